package docket

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
)

func TestProduction(t *testing.T) {
	l := newLog()
	b, ctx := l.book, t.Context()
	r, err := b.Reserve(ctx, officer(1), Numbering{Matter: "M-1", Prefix: "A", Count: 9})
	want(t, "Reserve", err, nil)
	n := newProduction("m-1")
	n.Bates = r.Seq
	seq, err := b.Begin(ctx, officer(1), n)
	want(t, "Begin", err, nil)
	p, ok := b.Production(seq)
	if !ok || p.State != StateUnfinished || p.Made != nil || p.Ended != nil || p.Matter != "M-1" || p.Bates.Last() != 9 {
		t.Errorf("begun: %+v", p)
	}
	_, err = b.Begin(ctx, officer(1), n)
	want(t, "the same numbers", err, ErrNoReservation)
	n.Matter = "M-3"
	_, err = b.Begin(ctx, officer(1), n)
	want(t, "another matter's numbers", err, ErrNoReservation)

	rows := slices.Values([]Row{{2, 4, []uint64{7}}, {5, 5, []uint64{3, 9}}})
	want(t, "numbers that are not its own", b.Complete(ctx, seq, Made{Manifest: manifest}, slices.Values([]Row{{9, 10, []uint64{7}}}), nil), ErrNoReservation)
	want(t, "an entry that is not there", b.Complete(ctx, seq, Made{Manifest: manifest}, slices.Values([]Row{{1, 1, []uint64{1 << 40}}}), nil), ErrInvalid)
	want(t, "no entry", b.Complete(ctx, seq, Made{Manifest: manifest}, slices.Values([]Row{{1, 1, nil}}), nil), ErrInvalid)
	want(t, "no manifest", b.Complete(ctx, seq, Made{Manifest: strings.ToUpper(manifest)}, rows, nil), ErrInvalid)
	if p, _ := b.Production(seq); p.State != StateUnfinished {
		t.Errorf("after refusals: %+v", p)
	}
	want(t, "Complete", b.Complete(ctx, seq, Made{Manifest: manifest, Files: 7, Matched: 3, Produced: 3}, rows, []string{"1", " 1 ", "2", ""}), nil)
	p, _ = b.Production(seq)
	if p.State != StateMade || p.Made.First != 2 || p.Made.Last != 5 || p.Made.Patients != 2 || p.Ended == nil || !p.Ended.After(p.Began) {
		t.Errorf("made: %+v %+v", p, p.Made)
	}
	want(t, "again", b.Complete(ctx, seq, Made{Manifest: manifest}, nil, nil), ErrEnded)
	want(t, "Fail", b.Fail(ctx, seq, "x"), ErrEnded)
	want(t, "Fail of none", b.Fail(ctx, 3, "x"), ErrUnknownProduction)
	want(t, "Complete of none", b.Complete(ctx, 3, Made{Manifest: manifest}, rows, nil), ErrUnknownProduction)

	l.closed["M-1"] = true
	_, err = b.Begin(ctx, officer(1), newProduction("M-1"))
	want(t, "a closed matter", err, ErrMatterClosed)
	if _, ok := b.Production(5); ok {
		t.Error("a production that there is not")
	}
}

func TestBeginRefuses(t *testing.T) {
	long := strings.Repeat("ä", MaxText+1)
	for name, change := range map[string]func(n *NewProduction){
		"recipient": func(n *NewProduction) { n.Recipient.Name = " " },
		"address":   func(n *NewProduction) { n.Recipient.Address = long },
		"category":  func(n *NewProduction) { n.Purpose.Category = "fun" },
		"purpose":   func(n *NewProduction) { n.Purpose.Text = long },
		"query":     func(n *NewProduction) { n.Query = strings.Repeat("x", MaxQuery+1) },
		"language":  func(n *NewProduction) { n.Language = 0 },
		"format":    func(n *NewProduction) { n.Format = "" },
		"tag":       func(n *NewProduction) { n.Include, n.Authority = []Tag{"x"}, "order" },
		"authority": func(n *NewProduction) { n.Include = []Tag{Part2} },
	} {
		l := newLog()
		n := newProduction("M-1")
		change(&n)
		if _, err := l.book.Begin(t.Context(), officer(1), n); !errors.Is(err, ErrInvalid) || l.Size() != 101 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A production whose completion never came is unfinished for ever: its numbers
// are burned, it discloses nothing and nothing of it can be asked back. At
// whatever append the daemon went down, a start finds it made or unfinished,
// never in between, and a completion may be tried again.
func TestCrashes(t *testing.T) {
	mrns := make([]string, 20)
	for i := range mrns {
		mrns[i] = fmt.Sprintf("%0100d", i)
	}
	for failAt := 1; ; failAt++ {
		for _, landed := range []bool{false, true} {
			l := newLog()
			l.book.length = 1000 // three parts
			n, appends := newProduction("M-1"), 0
			l.fail = func() (error, bool) {
				appends++
				if appends == failAt {
					return archive.ErrFailed, landed
				}
				return nil, true
			}
			r, err := l.book.Reserve(t.Context(), officer(1), Numbering{Matter: "M-1", Prefix: "A", Count: 100})
			var seq uint64
			if err == nil {
				n.Bates = r.Seq
				seq, err = l.book.Begin(t.Context(), officer(1), n)
			}
			rows := slices.Values([]Row{{1, 1, []uint64{1}}})
			if err == nil {
				err = l.book.Complete(t.Context(), seq, Made{Manifest: manifest}, rows, mrns)
			}
			if err == nil {
				if failAt < 7 || landed {
					t.Fatalf("only %d appends", appends)
				}
				return
			}
			want(t, "the failure", err, archive.ErrFailed)
			b := l.reopen()
			want(t, "catch up", l.catchUp(t.Context(), l.Size()), nil)
			all := b.Productions()
			for _, p := range all {
				if made := landed && p.Seq == seq && l.recs[l.Size()-1].Leaf.Kind == 36 && strings.Contains(string(l.recs[l.Size()-1].Body), `"complete"`); made != (p.State == StateMade) || !made && p.State != StateUnfinished {
					t.Errorf("append %d, landed %v: %+v", failAt, landed, p)
				}
				_, clawed := b.Claw(t.Context(), officer(1), NewClawback{Matter: "M-1", From: "A0000001", To: "A0000009", Reason: "r"})
				account, err := b.Disclosures(t.Context(), Accounting{MRN: mrns[19]})
				// Made or not, the account tells of it: as a disclosure once it knows of the patient, else as one of which nothing is known.
				told := err == nil && len(account.Disclosures)+len(account.Unfinished) == 1
				if want := p.State == StateMade; !told || want && (len(account.Disclosures) == 0 || account.Disclosures[0].Partial) || (clawed == nil) != want {
					t.Errorf("append %d, landed %v: %+v %v, %v", failAt, landed, account, err, clawed)
				}
				if p.State == StateUnfinished {
					want(t, "again", b.Complete(t.Context(), p.Seq, Made{Manifest: manifest}, rows, mrns), nil)
				}
			}
			next, err := b.Reserve(t.Context(), officer(1), Numbering{Matter: "M-1", Prefix: "A", Count: 1})
			if burnt := failAt > 1 || landed; err != nil || (next.First == 101) != burnt {
				t.Errorf("append %d, landed %v: next number %d", failAt, landed, next.First)
			}
			if f := b.Faults(); len(f) > 0 {
				t.Errorf("faults %+v", f)
			}
		}
	}
}

// What a production is of goes into as many entries as it needs, each within
// its bounds, and is found again in all of them.
func TestBigProduction(t *testing.T) {
	l := newLog()
	const many = 20_000
	r, err := l.book.Reserve(t.Context(), officer(1), Numbering{Matter: "M-1", Prefix: "A", Count: many + 1})
	want(t, "Reserve", err, nil)
	n := newProduction("M-1")
	n.Bates = r.Seq
	seq, err := l.book.Begin(t.Context(), officer(1), n)
	want(t, "Begin", err, nil)
	day := make([]uint64, many) // one document of very many entries
	for i := range day {
		day[i] = uint64(i%100) + 1
	}
	rows := func(yield func(Row) bool) {
		for i := range uint64(many) {
			if !yield(Row{i + 1, i + 1, []uint64{i%50 + 1}}) {
				return
			}
		}
		yield(Row{many + 1, many + 1, day})
	}
	want(t, "Complete", l.book.Complete(t.Context(), seq, Made{Manifest: manifest}, rows, nil), nil)
	parts := 0
	for _, rec := range l.recs[103:] {
		if len(rec.Body) > maxBody {
			t.Errorf("a body of %d bytes", len(rec.Body))
		}
		parts++
	}
	if parts < 4 {
		t.Errorf("%d entries", parts)
	}
	for _, tt := range []struct {
		from, to string
		entries  uint64
	}{{"A0000001", "A0000001", 1}, {"A0019999", "A0020000", 2}, {"A0020001", "A0020001", 100}, {"A0000050", "A0020001", 100}} {
		c, err := l.book.Claw(t.Context(), officer(1), NewClawback{Matter: "M-1", From: tt.from, To: tt.to, Reason: "r"})
		if err != nil || c.Entries != tt.entries {
			t.Errorf("%s..%s: %+v, %v", tt.from, tt.to, c, err)
		}
	}
}

// A book made anew from the log says what the one said that wrote it.
func TestReopen(t *testing.T) {
	l := newLog()
	l.produce(t, "M-1", "A", 10, 20, "1", "2")
	l.produce(t, "M-3", "A", 10, 20, "2")
	_, err := l.book.Claw(t.Context(), officer(1), NewClawback{Matter: "M-1", From: "A0000003", To: "A0000005", Reason: "r"})
	want(t, "Claw", err, nil)
	_, err = l.book.SaveSearch(t.Context(), officer(1), SavedSearch{Matter: "M-1", Name: "k", Query: "q", Language: 2})
	want(t, "SaveSearch", err, nil)
	says := func(b *Book) []any {
		account, err := b.Disclosures(t.Context(), Accounting{MRN: "2"})
		return []any{b.Productions(), b.Clawbacks(), b.Searches("M-1"), b.TagHistory(12), account, err, b.Faults()}
	}
	before := says(l.book)
	b := l.reopen()
	want(t, "catch up", l.catchUp(t.Context(), l.Size()), nil)
	if after := says(b); !reflect.DeepEqual(before, after) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}
