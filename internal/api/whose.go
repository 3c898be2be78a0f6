package api

import (
	"slices"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// covers reports whether an entry is a message within a scope. Nobody can say
// whose a damaged one is.
func covers(within *query.Query, e *Shown) bool {
	m := e.Message
	if e.Kind != proof.KindMessage.String() || m == nil {
		return false
	}
	return isWithin(within, m.FromUsr, m.ToUsrs, e.Received)
}

// isWithin reports whether a message of these relay users is within a scope.
func isWithin(within *query.Query, from string, to []string, received time.Time) bool {
	d := query.Doc{From: query.Parties{{Usr: from}}, Received: received}
	for _, usr := range to {
		d.To = append(d.To, query.Party{Usr: usr})
	}
	return within.Match(&d)
}

// outOfScope is what stands in place of an entry that is not the caller's to read.
const outOfScope = "outside your scope"

// forAuditors is what stands in place of an entry of the audit for whoever may
// not read that.
const forAuditors = "the audit is read by auditors, with `holdfast audit`"

// elsewhere is what stands in place of an entry that says for which matter
// something is held, or asked for. The commands named render it for who asks.
const elsewhere = "it is shown by `holdfast matter`, `holdfast hold`, `holdfast disposition`, `holdfast devices wipes`, `holdfast alarms`, `holdfast requests`, `holdfast tag`, `holdfast productions`, `holdfast clawback` and `holdfast searches`, to those who may see it"

// matterKinds are the kinds of entries that name matters, scopes and custodians,
// or give reasons about them.
var matterKinds = []string{
	proof.KindMatter.String(), proof.KindHold.String(), proof.KindPlan.String(), proof.KindIntent.String(), proof.KindAbandoned.String(),
	proof.KindRequest.String(), proof.KindDecision.String(), proof.KindProvision.String(),
	proof.KindTag.String(), proof.KindProduction.String(), proof.KindClawback.String(), proof.KindSearch.String(),
}

// namesHeld reports whether an entry is the alarm that names a custodian, or one
// of which that cannot be told.
func namesHeld(e *Shown) bool {
	if e.Kind != proof.KindAlarm.String() {
		return false
	}
	var a struct {
		Name string `json:"name"`
	}
	return ijson.Unmarshal(e.Body, &a) != nil || a.Name == alarmDepartedHeld
}

// withhold returns why an entry is not the caller's to read, or nothing.
func (c *caller) withhold(e *Shown, within *query.Query) string {
	switch _, audits := role.Allowed(c.grants, role.Audit, time.Now()); {
	case !c.scope.All && !covers(within, e):
		return outOfScope
	case e.Class == proof.ClassAudit && !audits:
		return forAuditors
	case slices.Contains(matterKinds, e.Kind), namesHeld(e):
		return elsewhere
	}
	return ""
}

func withheld(e *Shown, why string) Shown {
	return Shown{Seq: e.Seq, Kind: e.Kind, Class: e.Class, Received: e.Received, LeafHash: e.LeafHash, Missing: why}
}

// partiesOf yields the relay users of each hit: sender, recipients, and who said
// something about it.
func partiesOf(hits []Hit) [][]string {
	parties := make([][]string, 0, len(hits))
	for i := range hits {
		h := &hits[i]
		usrs := slices.Clone(h.ToUsrs)
		if h.FromUsr != "" {
			usrs = append(usrs, h.FromUsr)
		}
		for f := range h.each() {
			if !slices.Contains(usrs, f.FromUsr) && f.FromUsr != "" {
				usrs = append(usrs, f.FromUsr)
			}
		}
		parties = append(parties, usrs)
	}
	return parties
}

// whose puts into an outcome whose messages were handed out: parties are the
// relay users of each entry. Own and colleagues are told by the people whom
// relay users belong to now.
func (s *Server) whose(o *audit.Outcome, who role.Principal, parties [][]string) {
	o.Custodians = []string{}
	near := s.nearness(who.Person)
	seen := map[string]nearness{}
	for _, usrs := range parties {
		colleagues := false
		for _, usr := range usrs {
			if _, ok := seen[usr]; !ok {
				o.Custodians, seen[usr] = append(o.Custodians, usr), near(usr)
			}
			o.Own = o.Own || seen[usr] == self
			colleagues = colleagues || seen[usr] == colleague
		}
		if colleagues {
			o.Colleagues++
		}
	}
}

// nearness is what a relay user is to a principal.
type nearness int

const (
	stranger  nearness = iota
	colleague          // somebody else of the same department
	self
)

// nearness returns what relay users are to a person of the directory.
func (s *Server) nearness(person string) func(usr string) nearness {
	if s.People == nil || person == "" {
		return func(string) nearness { return stranger }
	}
	department := s.People.Department(person)
	return func(usr string) nearness {
		guid, ok := s.People.PersonOf(usr)
		switch {
		case ok && guid == person:
			return self
		case ok && department != "" && s.People.Department(guid) == department:
			return colleague
		}
		return stranger
	}
}
