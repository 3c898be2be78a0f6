package state

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/role"
)

var officer = role.Principal{Name: "C. Officer", Person: "8e2f6d30-0000-4000-8000-000000000001", Via: role.ViaHTTPS}

func (c *chronicle) cursor() archive.Cursor {
	return archive.Cursor{Epoch: c.epoch, Ordinal: c.ordinal, Seq: c.relay}
}

// approve appends the entry that s makes.
func (c *chronicle) approve(s *State, kid string) (proof.Leaf, error) {
	c.t.Helper()
	e, err := s.ApproveDevice(kid, c.cursor(), officer, "read out over the telephone")
	if err != nil {
		return proof.Leaf{}, err
	}
	leaf := c.add(e.Kind, string(e.Body), string(e.Note), e.Class)
	return leaf, s.CatchUp(c.t.Context(), c.size())
}

func TestApprovedDevices(t *testing.T) {
	enrol, _ := newKey(t)
	phone, phoneKid := newKey(t)
	tablet, tabletKid := newKey(t)
	other, otherKid := newKey(t)
	pins := envelope.Pins{Enrol: enrol.Public()}
	c := begin(t, pins.Enrol)
	c.newEpoch("e1")
	c.user("u1", "Anna Berg")
	added := c.device("u1", "phone", phone, nil)
	c.device("u1", "tablet", tablet, enrol)
	c.device("u0", "x", other, nil)
	before := c.message()
	s := caughtUp(t, c, pins)

	leaf, err := c.approve(s, phoneKid)
	if err != nil {
		t.Fatal(err)
	}
	after := c.message()
	for what, tt := range map[string]struct {
		at   proof.Leaf
		want uint64
	}{"before": {before, added.Seq}, "after": {after, leaf.Seq}} {
		if seq, ok := s.DeviceEntry(phoneKid, tt.at); !ok || seq != tt.want {
			t.Errorf("DeviceEntry %s: %d, want %d", what, seq, tt.want)
		}
	}
	// A message that was under way has its place behind the approval's and its entry before it.
	underWay := after
	underWay.Seq = leaf.Seq - 1
	if seq, _ := s.DeviceEntry(phoneKid, underWay); seq != added.Seq {
		t.Errorf("DeviceEntry of a message that was under way: %d, want %d", seq, added.Seq)
	}
	place, _ := s.Position(after)
	if d, _ := s.Directory().Device(phoneKid, place); d.Assurance != envelope.Enrolled {
		t.Errorf("the directory says %s", d.Assurance)
	}
	if got := s.Approvals(0); len(got) != 1 || got[0].Kid != phoneKid || got[0].At != (envelope.Position{Seq: before.RelaySeq}) || len(s.Approvals(1)) != 0 {
		t.Errorf("Approvals %+v", got)
	}

	list := s.Devices()
	if len(list) != 3 || list[0].Kid != otherKid || list[1].Dev != "phone" || list[2].Dev != "tablet" {
		t.Fatalf("Devices %+v", list)
	}
	d := list[1]
	if d.Kid != phoneKid || strings.ReplaceAll(d.Fingerprint, " ", "") != phoneKid || d.Name != "Anna Berg" || d.UPN != "u1@ward.example" ||
		d.Assurance != envelope.Enrolled || d.Revoked || d.Tainted || !d.Added.Equal(added.ReceivedTime()) || d.AddedSeq != added.Seq {
		t.Errorf("%+v", d)
	}
	if a := d.Approval; a == nil || a.Seq != leaf.Seq || a.By != officer || a.UPN != "u1@ward.example" || !a.InForce || !a.At.Equal(leaf.ReceivedTime()) {
		t.Errorf("approval %+v", d.Approval)
	}
	if list[0].Approval != nil || list[0].Name != "" || list[2].Approval != nil || list[2].Assurance != envelope.Enrolled {
		t.Errorf("%+v, %+v", list[0], list[2])
	}

	for name, kid := range map[string]string{"again": phoneKid, "enrolled": tabletKid} {
		if _, err := c.approve(s, kid); !errors.Is(err, ErrEnrolled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.approve(s, "nobody"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("no device: %v", err)
	}
	c.dir(envelope.DeviceRevokeEvent("u0", "x", otherKid, time.Unix(0, 0)))
	renamed := c.dir(envelope.UserUpsertEvent(envelope.User{Usr: "u1", UPN: "anna.lund@ward.example", Mail: "u1@ward.example", Name: "Anna Lund"}))
	if err := s.CatchUp(t.Context(), c.size()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.approve(s, otherKid); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	for _, reason := range []string{"", "  \n", strings.Repeat("x", maxReason+1), "\xff"} {
		if _, err := s.ApproveDevice(phoneKid, c.cursor(), officer, reason); !errors.Is(err, ErrReason) {
			t.Errorf("reason %q: %v", reason, err)
		}
	}
	d = s.Devices()[1]
	if d.Assurance != envelope.RelayAsserted || !d.Tainted || d.Approval == nil || d.Approval.InForce || d.UPN != "anna.lund@ward.example" {
		t.Errorf("after %d: %+v", renamed.Seq, d)
	}
	if _, err := c.approve(s, phoneKid); err != nil || s.Devices()[1].Tainted || !s.Devices()[1].Approval.InForce {
		t.Errorf("approved again: %v, %+v", err, s.Devices()[1])
	}

	// A restart comes to the same.
	if a, b := s.Devices(), caughtUp(t, c, pins).Devices(); mustText(t, a) != mustText(t, b) {
		t.Errorf("after a restart %s, before %s", mustText(t, b), mustText(t, a))
	}
}

func mustText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The person's name changed between the entry's making and its place in the log: it was given for somebody else.
func TestAnApprovalForAnotherNameChangesNothing(t *testing.T) {
	key, kid := newKey(t)
	c := begin(t, nil)
	c.newEpoch("e1")
	c.user("u1", "Anna Berg")
	added := c.device("u1", "phone", key, nil)
	s := caughtUp(t, c, envelope.Pins{})
	e, err := s.ApproveDevice(kid, c.cursor(), officer, "seen")
	if err != nil {
		t.Fatal(err)
	}
	c.dir(envelope.UserUpsertEvent(envelope.User{Usr: "u1", UPN: "chief@ward.example", Name: "Chief"}))
	c.add(e.Kind, string(e.Body), string(e.Note), e.Class)
	at := c.message()
	if err := s.CatchUp(t.Context(), c.size()); err != nil {
		t.Fatal(err)
	}
	d := s.Devices()[0]
	if d.Assurance != envelope.RelayAsserted || !d.Tainted || d.Approval == nil || d.Approval.InForce || len(s.Approvals(0)) != 0 {
		t.Errorf("%+v", d)
	}
	if seq, _ := s.DeviceEntry(kid, at); seq != added.Seq {
		t.Errorf("DeviceEntry = %d", seq)
	}
}

func TestHostileApprovalsAreNamed(t *testing.T) {
	key, kid := newKey(t)
	_, stranger := newKey(t)
	for name, change := range map[string]func(body *approvalBody, note *envelope.ApprovalNote){
		"an unknown key":     func(b *approvalBody, n *envelope.ApprovalNote) { b.Kid, n.Kid = stranger, stranger },
		"an unknown epoch":   func(b *approvalBody, n *envelope.ApprovalNote) { b.Epoch, n.Epoch = "e9", "e9" },
		"a note of its own":  func(b *approvalBody, n *envelope.ApprovalNote) { n.RelaySeq++ },
		"another's device":   func(b *approvalBody, n *envelope.ApprovalNote) { b.Usr, n.Usr = "u2", "u2" },
		"another version":    func(b *approvalBody, n *envelope.ApprovalNote) { b.V, n.V = 2, 2 },
		"a note without kid": func(b *approvalBody, n *envelope.ApprovalNote) { n.Kid = "" },
	} {
		t.Run(name, func(t *testing.T) {
			c := begin(t, nil)
			c.newEpoch("e1")
			c.device("u1", "phone", key, nil)
			s := caughtUp(t, c, envelope.Pins{})
			body := approvalBody{ApprovalNote: envelope.ApprovalNote{V: 1, Kid: kid, Usr: "u1", Dev: "phone", Added: 2, Epoch: "e1", RelaySeq: 1}}
			note := body.ApprovalNote
			change(&body, &note)
			c.add(proof.KindDevice, mustText(t, body), mustText(t, note), proof.ClassControl)
			if err := s.CatchUp(t.Context(), c.size()); err == nil || !strings.Contains(err.Error(), "control entry 3 (device)") {
				t.Errorf("CatchUp: %v", err)
			}
			if d := s.Devices()[0]; d.Assurance != envelope.RelayAsserted || d.Approval != nil {
				t.Errorf("%+v", d)
			}
		})
	}
}

// What the note shows to a stranger must not let them guess who approved: the body has a salt.
func TestAnApprovalsBodyCannotBeGuessed(t *testing.T) {
	key, kid := newKey(t)
	c := begin(t, nil)
	c.newEpoch("e1")
	c.device("u1", "phone", key, nil)
	s := caughtUp(t, c, envelope.Pins{})
	bodies := map[string]bool{}
	for range 2 {
		e, err := s.ApproveDevice(kid, c.cursor(), officer, "seen")
		if err != nil {
			t.Fatal(err)
		}
		bodies[string(e.Body)] = true
		if strings.Contains(string(e.Note), "Officer") || strings.Contains(string(e.Note), officer.Person) || strings.Contains(string(e.Note), "seen") {
			t.Errorf("the note tells: %s", e.Note)
		}
	}
	if len(bodies) != 2 {
		t.Error("two approvals by the same person for the same reason have the same body")
	}
}
