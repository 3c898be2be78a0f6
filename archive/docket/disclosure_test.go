package docket

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
)

func (l *memLog) disclose(t *testing.T, category Category, complete bool, mrns ...string) uint64 {
	t.Helper()
	n := newProduction("M-1")
	n.Purpose.Category = category
	seq, err := l.book.Begin(t.Context(), officer(1), n)
	want(t, "Begin", err, nil)
	if complete {
		want(t, "Complete", l.book.Complete(t.Context(), seq, Made{Manifest: manifest}, nil, mrns), nil)
	}
	return seq
}

// The accounting has each disclosure with its date, recipient, description and
// purpose; what 45 CFR 164.528(a)(1) exempts is left out, counted, and given
// when all is asked for.
func TestDisclosures(t *testing.T) {
	l := newLog()
	early := l.disclose(t, Litigation, true, "mrn-7")
	l.now = l.now.AddDate(2, 0, 0)
	second := l.disclose(t, Subpoena, true, "1", "MRN-7")
	exempt := 0
	for _, c := range Categories() {
		if c.Exempt() {
			exempt++
			l.disclose(t, c, true, "MRN-7")
		}
	}
	l.disclose(t, Oversight, true, "MRN-70", "MRN-")
	l.disclose(t, Oversight, false, "MRN-7")
	failed := l.disclose(t, Oversight, false)
	want(t, "Fail", l.book.Fail(t.Context(), failed, "x"), nil)
	if exempt != 5 {
		t.Errorf("%d exempt categories", exempt)
	}
	ask := func(q Accounting) *Account {
		t.Helper()
		a, err := l.book.Disclosures(t.Context(), q)
		want(t, "Disclosures", err, nil)
		return a
	}
	a := ask(Accounting{MRN: " mRn-7\n"})
	if len(a.Disclosures) != 2 || a.Disclosures[0].Production != early || a.Disclosures[1].Production != second || a.Left != 5 {
		t.Fatalf("%+v", a)
	}
	d := a.Disclosures[0]
	if p, _ := l.book.Production(early); !d.At.Equal(*p.Ended) || d.Recipient.Name != "Smith & Roe" || d.Recipient.Address != "1 Main St" || d.Description != usual ||
		d.Purpose.Category != Litigation || d.Purpose.Text != "first request" || d.Exempt {
		t.Errorf("%+v", d)
	}
	if a := ask(Accounting{MRN: "MRN-7", All: true}); len(a.Disclosures) != 7 || a.Left != 0 {
		t.Errorf("all: %+v", a)
	}
	if a := ask(Accounting{MRN: "MRN-7", Since: l.now.AddDate(-1, 0, 0)}); len(a.Disclosures) != 1 {
		t.Errorf("of a year: %+v", a)
	}
	l.now = began.AddDate(AccountingYears, 0, 0).Add(time.Hour) // the first is longer ago than six years
	if a := ask(Accounting{MRN: "MRN-7"}); len(a.Disclosures) != 1 || a.Disclosures[0].Production != second || !a.Since.Equal(l.now.AddDate(-6, 0, 0)) {
		t.Errorf("six years on: %+v", a)
	}
	if a := ask(Accounting{MRN: "MRN-7", Since: began}); len(a.Disclosures) != 2 {
		t.Errorf("further back: %+v", a)
	}
	_, err := l.book.Disclosures(t.Context(), Accounting{MRN: " "})
	want(t, "no number", err, ErrInvalid)
}

// An account of which a part cannot be read is none.
func TestDisclosuresUnread(t *testing.T) {
	l := newLog()
	seq := l.disclose(t, Litigation, true, "canary")
	l.lost = map[uint64]error{seq + 1: archive.ErrDamaged}
	_, err := l.book.Disclosures(t.Context(), Accounting{MRN: "canary"})
	if !errors.Is(err, archive.ErrDamaged) || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

// Whatever a sender's device put where the number belongs, the production is
// recorded and the number found.
func TestHostileNumbers(t *testing.T) {
	for _, mrn := range []string{strings.Repeat("9", 3000), strings.Repeat("ä", 200), "\xff\xfe", "a\x00b", "\"\\", strings.Repeat(" ", 300) + "1", strings.Repeat("9", MaxMRN-1) + "é"} {
		l := newLog()
		l.disclose(t, Litigation, true, mrn, mrn)
		a, err := l.book.Disclosures(t.Context(), Accounting{MRN: mrn})
		if err != nil || len(a.Disclosures) != 1 || len(l.book.Faults()) > 0 {
			t.Errorf("%.20q: %+v, %v", mrn, a, err)
		}
	}
}

// What was handed out of a production that was cut off, or failed, is accounted
// for, and one of which nobody knows is named.
func TestDisclosuresCutOff(t *testing.T) {
	l := newLog()
	cut := l.disclose(t, Litigation, false)
	want(t, "Disclose", l.book.Disclose(t.Context(), cut, []string{"MRN-7"}), nil)
	failed := l.disclose(t, Litigation, false)
	want(t, "Disclose", l.book.Disclose(t.Context(), failed, []string{"mrn-7", "8"}), nil)
	want(t, "Fail", l.book.Fail(t.Context(), failed, "x"), nil)
	nothing := l.disclose(t, Litigation, false)
	want(t, "Fail", l.book.Fail(t.Context(), nothing, "x"), nil)
	killed := l.disclose(t, Litigation, false)
	whole := l.disclose(t, Litigation, false)
	want(t, "Disclose", l.book.Disclose(t.Context(), whole, []string{"MRN-8"}), nil)
	want(t, "Complete", l.book.Complete(t.Context(), whole, Made{Manifest: manifest}, nil, []string{"MRN-7"}), nil)
	for mrn, want := range map[string]struct{ disclosed, unknown []uint64 }{
		"MRN-7": {[]uint64{cut, failed, whole}, []uint64{killed}},
		"8":     {[]uint64{failed}, []uint64{cut, killed}},
		"MRN-8": {nil, []uint64{cut, killed}}, // what was produced in the end is what counts
	} {
		a, err := l.book.Disclosures(t.Context(), Accounting{MRN: mrn})
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, d := range a.Disclosures {
			got = append(got, d.Production)
			if d.Partial != (d.Production != whole) || d.Partial != strings.Contains(d.Description, "cut off") || d.At.IsZero() {
				t.Errorf("%+v", d)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want.disclosed) || !slices.Equal(a.Unfinished, want.unknown) {
			t.Errorf("%s: disclosed by %v, not known of %v; want %+v", mrn, got, a.Unfinished, want)
		}
	}
	want(t, "Disclose what ended", l.book.Disclose(t.Context(), whole, []string{"9"}), ErrEnded)
}
