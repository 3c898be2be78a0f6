package ingest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

func TestPlanProvision(t *testing.T) {
	devices := []envelope.Device{
		{Usr: "bob", Dev: "phone", Kid: kidA}, {Usr: "ann", Dev: "tablet", Kid: kidB, Revoked: true}, {Usr: "ann", Dev: "phone", Kid: kidA}}
	whole, open := Tail{Newest: 3, Checkpoint: true}, Tail{Newest: 3}
	all := ProvisionPolicy{Disable: true, Revoke: true, Wipe: true}
	for name, tt := range map[string]struct {
		departed []Departed
		policy   ProvisionPolicy
		held     bool
		tail     Tail
		override bool
		want     string
	}{
		"nobody":         {nil, all, false, whole, false, ""},
		"no policy":      {[]Departed{{"ann", 7}}, ProvisionPolicy{}, false, whole, false, ""},
		"no hold":        {[]Departed{{"ann", 7}}, all, false, Tail{}, false, "user.disable:wanted device.wipe:wanted device.revoke:wanted device.wipe:wanted"},
		"disable only":   {[]Departed{{"bob", 7}, {"ann", 7}}, ProvisionPolicy{Disable: true}, true, open, false, "user.disable:wanted user.disable:wanted"},
		"revoke only":    {[]Departed{{"ann", 7}}, ProvisionPolicy{Revoke: true}, true, open, false, "device.revoke:wanted"},
		"wipe, no hold":  {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, false, open, false, "device.wipe:wanted"},
		"hold, archived": {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, whole, false, "device.wipe:wanted"},
		"hold, open":     {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, open, false, "device.wipe:refused/hold_tail_open"},
		"hold, unknown":  {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, Tail{}, false, "device.wipe:refused/hold_tail_unknown"},
		"hold, gap": {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, Tail{Newest: 3, Gap: true, Checkpoint: true}, false,
			"device.wipe:refused/hold_tail_gap"},
		"hold, unread": {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, Tail{Newest: 3, Checkpoint: true, Unread: true}, false,
			"device.wipe:refused/hold_tail_unknown"},
		"hold, overridden":       {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, open, true, "device.wipe:wanted/overridden"},
		"archived by then":       {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, true, whole, true, "device.wipe:wanted"},
		"overridden for no hold": {[]Departed{{"bob", 7}}, ProvisionPolicy{Wipe: true}, false, open, true, "device.wipe:wanted"},
		"departed twice":         {[]Departed{{"bob", 7}, {"bob", 9}}, ProvisionPolicy{Disable: true}, false, open, false, "user.disable:wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := PlanProvision(tt.departed, devices, tt.policy, func(string) bool { return tt.held }, func(string, string) Tail { return tt.tail },
				func(string) bool { return tt.override })
			var got []string
			for _, d := range plan {
				got = append(got, strings.TrimSuffix(d.Op+":"+string(d.State)+"/"+d.Code, "/"))
				if err := d.onWire(testArc, time.Now()).Check(); err != nil {
					t.Errorf("%+v: %v", d, err)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
	// The id says what is asked for, and of which departure.
	ids := map[string]string{}
	for name, r := range map[string]ProvisionRequest{
		"disable": disable("ann"), "another": disable("bob"), "wipe": wipeOf("ann"), "later": newProvision(wire.OpUserDisable, "ann", "", "", 8),
		"moved": newProvision(wire.OpUserDisable, "an", "n", "", 7), "revoke": newProvision(wire.OpDeviceRevoke, "ann", "phone", kidA, 7),
	} {
		if other := ids[r.ID]; other != "" || len(r.ID) > wire.MaxID || len(r.OverrideDigest()) != 64 {
			t.Errorf("%s has the id of %s: %s", name, other, r.ID)
		}
		ids[r.ID] = name
	}
	if again := disable("ann"); again != disable("ann") || disable("ann").OverrideDigest() == disable("bob").OverrideDigest() {
		t.Error("ids or digests")
	}
	last := PlanProvision([]Departed{{"bob", 7}, {"bob", 9}, {"bob", 8}}, nil, all, nil, nil, nil)
	if len(last) != 1 || last[0].ID != newProvision(wire.OpUserDisable, "bob", "", "", 9).ID {
		t.Errorf("of several departures %+v", last)
	}
}

func TestHostileProvisionEntriesAreNamed(t *testing.T) {
	good := want(wipeOf("ann")).entry()
	for name, change := range map[string]func(s string) string{
		"not JSON": func(string) string { return "{" }, "version": func(s string) string { return strings.Replace(s, `"v":1`, `"v":2`, 1) },
		"state": func(s string) string { return strings.Replace(s, `"wanted"`, `"done"`, 1) },
		"op":    func(s string) string { return strings.Replace(s, `"device.wipe"`, `"device.melt"`, 1) },
		"no kid": func(s string) string {
			return strings.Replace(s, kidA, "", 1)
		},
		"another's id": func(s string) string { return strings.Replace(s, `"ann"`, `"bob"`, 1) },
	} {
		b := NewProvisionBook()
		check(t, b.Apply(archive.Record{Body: good.Body}))
		if err := b.Apply(archive.Record{Body: []byte(change(string(good.Body)))}); err == nil {
			t.Errorf("%s: taken in", name)
		}
		if len(b.List()) != 1 || b.List()[0].Usr != "ann" {
			t.Errorf("%s: %+v", name, b.List())
		}
	}
}

func FuzzProvisionBook(f *testing.F) {
	f.Add(want(wipeOf("ann")).entry().Body)
	f.Add(ProvisionDecision{disable("ann"), ProvisionRefused, "x"}.entry().Body)
	f.Fuzz(func(t *testing.T, body []byte) {
		b := NewProvisionBook()
		if b.Apply(archive.Record{Body: body}) != nil {
			if len(b.List()) != 0 {
				t.Fatal("a failed entry left something")
			}
			return
		}
		p := b.List()[0]
		again := NewProvisionBook()
		if err := again.Apply(archive.Record{Body: ProvisionDecision{p.ProvisionRequest, p.State, p.Code}.entry().Body}); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if q, ok := again.Get(p.ID); !ok || q != p {
			t.Fatalf("%+v read back as %+v", p, q)
		}
	})
}

func TestProvisionerNeedsItsParts(t *testing.T) {
	if _, err := NewProvisioner(ProvisionerOptions{}); !errors.Is(err, errOptions) {
		t.Errorf("%v", err)
	}
}
