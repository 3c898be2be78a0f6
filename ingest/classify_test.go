package ingest

import (
	"context"
	"errors"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// byKind classifies by the conversation's kind.
type byKind struct {
	archived map[[32]byte]string // what Target finds
	asked    int
	fail     error
}

func (c *byKind) Classify(_ context.Context, page []Incoming) ([]Class, error) {
	if c.fail != nil {
		err := c.fail
		c.fail = nil
		return nil, err
	}
	out := make([]Class, len(page))
	for i, m := range page {
		switch {
		case m.Unknown:
			out[i] = Class{Name: "longest", Note: archive.ClassNote{Rule: "longest", Schedule: 7}}
		case m.Payload == nil:
			out[i] = Class{Name: "relay", Note: archive.ClassNote{Schedule: 7}}
		default:
			out[i] = Class{Name: m.Payload.Conv.Kind, Note: archive.ClassNote{Rule: "kind", Schedule: 7, Directory: 9}}
		}
	}
	return out, nil
}

func (c *byKind) Target(_ context.Context, digest [32]byte) (string, bool, error) {
	c.asked++
	class, ok := c.archived[digest]
	return class, ok, nil
}

// about makes a payload a receipt of the message with the given digest, in a direct conversation.
func about(typ, digest string) func(*envelope.Payload) {
	return func(p *envelope.Payload) {
		p.Typ, p.Ref = typ, &envelope.Ref{Dev: p.Dev, Mid: newID16(), Digest: digest}
		p.Conv = &envelope.Conv{ID: "x", Kind: "direct"}
		p.Body = nil
		if typ == envelope.TypReceipt {
			p.Status, p.At = "read", p.Sent
		}
		if typ == envelope.TypEdit {
			p.Body = &envelope.Body{Text: "mended"}
		}
	}
}

func inPatient(p *envelope.Payload) { p.Conv = &envelope.Conv{ID: "p", Kind: "patient"} }

func TestEveryEntryGetsOneClassAndFollowersTheirTargets(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "of a patient", inPatient)
		message := ann.prev
		r.st.say(ann, "of the ward")
		r.st.say(ann, "", about(envelope.TypEdit, message))
		edit := ann.prev
		r.st.say(ann, "", about(envelope.TypReceipt, edit)) // of an edit, on the same page
		r.st.say(ann, "", about(envelope.TypReceipt, message))
		old := [32]byte{1, 2, 3}
		r.st.say(ann, "", about(envelope.TypReceipt, jws.EncodeB64(old[:])))           // of a message before the last start
		r.st.say(ann, "", about(envelope.TypReceipt, jws.EncodeB64(make([]byte, 32)))) // of none that is here
		r.st.add(wire.KindDelivered, `{"mid":"x"}`)
		r.st.add(wire.KindEnv, "AMX1.nonsense")
		classes := &byKind{archived: map[[32]byte]string{old: "group"}, fail: errors.New("not now")}
		stop := r.start(func(o *Options) { o.Classes, o.PageLimit = classes, 5 })
		r.untilAcked(11)
		stop()
		r.wantOnce(r.st)

		want := []struct {
			class string
			note  archive.ClassNote
		}{
			{"patient", archive.ClassNote{Rule: "kind", Schedule: 7, Directory: 9}},
			{"group", archive.ClassNote{Rule: "kind", Schedule: 7, Directory: 9}},
			{"patient", archive.ClassNote{Rule: "target"}},
			{"patient", archive.ClassNote{Rule: "target"}},
			{"patient", archive.ClassNote{Rule: "target"}},
			{"group", archive.ClassNote{Rule: "target"}},
			{"longest", archive.ClassNote{Rule: "longest", Schedule: 7}},
			{"relay", archive.ClassNote{Schedule: 7}},
			{"longest", archive.ClassNote{Rule: "longest", Schedule: 7}},
		}
		records := r.records(proof.KindMessage, proof.KindRelay, proof.KindQuarantine)
		if len(records) != len(want) {
			t.Fatalf("%d entries; want %d", len(records), len(want))
		}
		for i, rec := range records {
			var note struct {
				Class *archive.ClassNote `json:"class"`
			}
			check(t, ijson.Unmarshal(rec.Note, &note))
			if rec.Leaf.Class != want[i].class || note.Class == nil || *note.Class != want[i].note {
				t.Errorf("entry %d: class %s by %+v; want %+v", rec.Leaf.Seq, rec.Leaf.Class, note.Class, want[i])
			}
		}
		if classes.asked != 2 {
			t.Errorf("%d targets were looked up; want the two that this run had not seen", classes.asked)
		}
		for _, rec := range r.records(proof.KindDirectory) {
			if rec.Leaf.Class != proof.ClassControl {
				t.Errorf("a directory event is of class %s", rec.Leaf.Class)
			}
		}
	})
}

func TestTargetsAreBounded(t *testing.T) {
	var seen targets
	for i := range keptTargets + 10 {
		seen.add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, "general")
		seen.add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, "general")
	}
	if len(seen.class) != keptTargets {
		t.Errorf("%d classes are remembered; want %d", len(seen.class), keptTargets)
	}
	if _, ok := seen.class[[32]byte{9}]; ok {
		t.Error("the oldest is remembered")
	}
	last := keptTargets + 9
	if _, ok := seen.class[[32]byte{byte(last), byte(last >> 8), byte(last >> 16)}]; !ok {
		t.Error("the newest is forgotten")
	}
}
