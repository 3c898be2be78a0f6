package retention

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"holdfast/ingest/envelope"
	"holdfast/retention/hold"
)

// What holds keep is the entries that they cover with their families, of those
// in force alone, and known through the log's end.
func TestHeldSet(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		m := w.say(msg{text: "sepsis in bed four"})
		receipt := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: m})
		other := w.say(msg{conv: "c2", text: "lunch"})
		h := w.place(hold.Scope{Query: "sepsis"})
		lunch := w.place(hold.Scope{Query: "lunch"})
		late := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: m})
		seqs := func(holds ...uint64) []uint64 {
			t.Helper()
			set, size, err := w.book.HeldSet(w.ctx(), holds)
			if err != nil || size != w.archive.Size() {
				t.Fatalf("through %d of %d, %v", size, w.archive.Size(), err)
			}
			return set.ToArray()
		}
		if got := seqs(h); !slices.Equal(got, []uint64{m.seq, receipt.seq, late.seq}) {
			t.Errorf("held %v", got)
		}
		if got := seqs(h, lunch); !slices.Equal(got, []uint64{m.seq, receipt.seq, other.seq, late.seq}) {
			t.Errorf("held by two %v", got)
		}
		if got := seqs(); len(got) > 0 {
			t.Errorf("held by none %v", got)
		}
		if _, _, err := w.book.HeldSet(w.ctx(), []uint64{m.seq}); !errors.Is(err, ErrUnknownHold) {
			t.Errorf("of what is no hold: %v", err)
		}
	})
}

func TestAnchors(t *testing.T) {
	inTime(t, func(w *world) {
		came := w.say(msg{typ: envelope.TypMember, conv: "c1"})
		w.say(msg{conv: "c1", text: "sepsis"})
		w.say(msg{typ: envelope.TypMember, conv: "c2"})
		closed := w.say(msg{typ: envelope.TypClose, conv: "c1"})
		got, err := w.book.Anchors(w.ctx(), "c1")
		if err != nil || !slices.Equal(got, []uint64{came.seq, closed.seq}) {
			t.Errorf("anchors %v, %v", got, err)
		}
		if got, err := w.book.Anchors(w.ctx(), "c3"); err != nil || len(got) > 0 {
			t.Errorf("of no conversation: %v, %v", got, err)
		}
	})
}

// What was disposed of is known entry by entry.
func TestGone(t *testing.T) { synctest.Test(t, testGone) }

func testGone(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	old, _ := s.send(letter{from: "anna", to: "bela", body: "canary"})
	s.place(custodian("cleo"))
	kept, _ := s.send(letter{from: "cleo", to: "bela", body: "kept"})
	last, _ := s.send(letter{from: "anna", to: "bela", body: "canary"})
	s.advance(4 * aMonth)
	if got := s.book.Gone(); len(got) > 0 {
		t.Fatalf("before anything went: %+v", got)
	}
	s.run(s.planned().Seq)
	gone := s.book.Gone()
	if len(gone) != 1 || !gone[0].Certified || gone[0].First != old || gone[0].Last != last || gone[0].Class != "general" {
		t.Fatalf("gone %+v", gone)
	}
	for seq, want := range map[uint64]bool{old: true, kept: false, last: true, last + 1: false} {
		if got := gone[0].Has(l.recs[seq].Leaf); got != want {
			t.Errorf("entry %d: %v", seq, got)
		}
	}
}
