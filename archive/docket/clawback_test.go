package docket

import (
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

func TestClawback(t *testing.T) {
	l := newLog()
	b, ctx := l.book, t.Context()
	first := l.produce(t, "M-1", "A", 10, 19)  // A1..A10
	second := l.produce(t, "M-1", "A", 15, 24) // A11..A20
	l.produce(t, "M-1", "B", 30, 39)
	other := l.produce(t, "M-3", "A", 40, 59)
	size := l.Size()
	for name, tt := range map[string]struct {
		n   NewClawback
		err error
	}{
		"past the end":   {NewClawback{Matter: "M-1", From: "A21", To: "A30", Reason: "r"}, ErrNotProduced},
		"no such prefix": {NewClawback{Matter: "M-1", From: "C1", To: "C2", Reason: "r"}, ErrNotProduced},
		"two prefixes":   {NewClawback{Matter: "M-1", From: "A1", To: "B2", Reason: "r"}, ErrInvalid},
		"backwards":      {NewClawback{Matter: "M-1", From: "A2", To: "A1", Reason: "r"}, ErrInvalid},
		"no matter":      {NewClawback{Matter: "M-9", From: "A1", To: "A2", Reason: "r"}, ErrUnknownMatter},
		"no reason":      {NewClawback{Matter: "M-1", From: "A1", To: "A2"}, ErrInvalid},
		"as not printed": {NewClawback{Matter: "M-1", From: "A1", To: "A2", Reason: "r"}, ErrInvalid},
	} {
		_, err := b.Claw(ctx, officer(1), tt.n)
		want(t, name, err, tt.err)
	}
	if l.Size() != size {
		t.Error("a refusal wrote something")
	}
	l.closed["M-1"] = true // what was produced by mistake is asked back all the same
	c, err := b.Claw(ctx, officer(2), NewClawback{Matter: "m-1", From: "A0000009", To: "A0000099", Reason: "memo of counsel"})
	want(t, "Claw", err, nil)
	if c.Matter != "M-1" || len(c.Productions) != 2 || c.Entries != 10 || c.Range() != "A0000009..A0000099" {
		t.Errorf("%+v", c)
	}
	if c.Productions[0] != (Clawed{first, 9, 10}) || c.Productions[1] != (Clawed{second, 11, 20}) {
		t.Errorf("%+v", c.Productions)
	}
	for seq := uint64(1); seq < 100; seq++ {
		_, withheld := b.Withheld("M-3", seq)
		if in := seq >= 15 && seq <= 24; withheld != in {
			t.Errorf("entry %d withheld: %v", seq, withheld)
		}
	}
	for seq, n := range map[uint64]int{first: 1, second: 1, other: 0} {
		if p, _ := b.Production(seq); len(p.Clawbacks) != n {
			t.Errorf("production %d: %+v", seq, p.Clawbacks)
		}
	}
	for _, of := range c.Productions {
		p, _ := b.Production(of.Production)
		text := Notice(p.Recipient, c, of, *p.Ended)
		if !strings.Contains(text, "To: Smith & Roe\n    1 Main St\n") || !strings.Contains(text, strings.Replace(c.Labels(of), "..", " to ", 1)) || !strings.Contains(text, "1 March 2026") {
			t.Errorf("notice\n%s", text)
		}
		for _, secret := range []string{"M-1", "memo", "counsel", "potassium", "officer", "first request", "%!"} {
			if strings.Contains(text, secret) {
				t.Errorf("the notice says %q:\n%s", secret, text)
			}
		}
	}
	if text := Notice(Recipient{Name: "x\nTo: y"}, c, c.Productions[0], time.Now()); strings.Contains(text, "\nTo: y") {
		t.Error("a recipient's name makes a line of its own")
	}
}

// The clawback and its tags are there together or not at all.
func TestClawbackIsOneBatch(t *testing.T) {
	for _, landed := range []bool{false, true} {
		l := newLog()
		seq := l.produce(t, "M-1", "A", 10, 19)
		l.fail = func() (error, bool) { return archive.ErrFailed, landed }
		_, err := l.book.Claw(t.Context(), officer(1), NewClawback{Matter: "M-1", From: "A0000001", To: "A0000010", Reason: "r"})
		want(t, "Claw", err, archive.ErrFailed)
		l.fail = nil
		l.put(proof.KindMessage, proof.ClassGeneral, nil)
		want(t, "catch up", l.catchUp(t.Context(), l.Size()), nil)
		p, _ := l.book.Production(seq)
		if _, withheld := l.book.Withheld("M-1", 15); withheld != landed || (len(p.Clawbacks) == 1) != landed {
			t.Errorf("landed %v: withheld %v, %v", landed, withheld, p.Clawbacks)
		}
	}
}
