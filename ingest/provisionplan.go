package ingest

import (
	"cmp"
	"slices"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

// ProvisionPolicy says what the relay is asked to do when a person has departed. The zero value asks for nothing.
type ProvisionPolicy struct {
	Disable bool // the relay user
	Revoke  bool // each device's key
	Wipe    bool // what each device's app holds
}

// Departed is a relay user whose person has departed.
type Departed struct {
	Usr   string
	Since uint64 // seq of the entry that says so
}

// ProvisionDecision is how a request is to stand; a plan has ProvisionWanted and, with a code, ProvisionRefused.
type ProvisionDecision struct {
	ProvisionRequest
	State ProvisionState
	Code  string
}

// The codes of a plan. All but CodeOverridden refuse the wipe of a device of a custodian under hold: what it alone still has would be
// destroyed (spoliation).
const (
	CodeTailUnknown    = "hold_tail_unknown"    // the archive has no message of the device, or cannot read them
	CodeTailGap        = "hold_tail_gap"        // one of the device's counters is missing or was used twice
	CodeTailOpen       = "hold_tail_open"       // its newest message is no checkpoint: more may be under way
	CodeTailQuarantine = "hold_tail_quarantine" // an envelope that came after its newest message is in quarantine and may be its
	CodeOverridden     = "overridden"           // wanted all the same: two people approved it
)

func planCode(code string) bool {
	switch code {
	case CodeTailUnknown, CodeTailGap, CodeTailOpen, CodeTailQuarantine:
		return true
	}
	return false
}

// PlanProvision decides what the relay is to be asked for, by person, the wipe of a device before its revocation, since a device that is shut
// out may not hear of it. It is pure: the same answers give the same plan.
//
// held says whether a usr's person is a custodian under hold; unknown must be held. tail says how far a device's stream is archived and is
// asked for devices of held people alone. overridden says whether two people approved the wipe whose request has that id.
func PlanProvision(departed []Departed, devices []envelope.Device, policy ProvisionPolicy, held func(usr string) bool,
	tail func(usr, dev string) Tail, overridden func(id string) bool) []ProvisionDecision {
	byUsr := map[string][]envelope.Device{}
	for _, d := range devices {
		byUsr[d.Usr] = append(byUsr[d.Usr], d)
	}
	departed = slices.Clone(departed)
	slices.SortFunc(departed, func(a, b Departed) int { return cmp.Or(cmp.Compare(a.Usr, b.Usr), cmp.Compare(b.Since, a.Since)) })
	var plan []ProvisionDecision
	for i, who := range departed {
		if i > 0 && departed[i-1].Usr == who.Usr {
			continue // the newest departure counts
		}
		if policy.Disable {
			plan = append(plan, want(newProvision(wire.OpUserDisable, who.Usr, "", "", who.Since)))
		}
		own := byUsr[who.Usr]
		slices.SortFunc(own, func(a, b envelope.Device) int { return cmp.Or(cmp.Compare(a.Dev, b.Dev), cmp.Compare(a.Kid, b.Kid)) })
		for _, d := range own {
			if policy.Wipe {
				plan = append(plan, planWipe(newProvision(wire.OpDeviceWipe, d.Usr, d.Dev, d.Kid, who.Since), held, tail, overridden))
			}
			if policy.Revoke && !d.Revoked {
				plan = append(plan, want(newProvision(wire.OpDeviceRevoke, d.Usr, d.Dev, d.Kid, who.Since)))
			}
		}
	}
	return plan
}

func want(r ProvisionRequest) ProvisionDecision {
	return ProvisionDecision{ProvisionRequest: r, State: ProvisionWanted}
}

func planWipe(r ProvisionRequest, held func(string) bool, tail func(usr, dev string) Tail, overridden func(string) bool) ProvisionDecision {
	if !held(r.Usr) {
		return want(r)
	}
	code := tail(r.Usr, r.Dev).refusal()
	switch {
	case code == "":
		return want(r)
	case overridden(r.ID):
		return ProvisionDecision{r, ProvisionWanted, CodeOverridden}
	}
	return ProvisionDecision{r, ProvisionRefused, code}
}
