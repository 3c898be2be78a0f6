package docket

import (
	"strings"
	"testing"

	"holdfast/archive/proof"
)

// Whatever a body says, it is applied, is a fault, or is an error that quotes
// nothing; the book can be asked everything afterwards and says the same when
// it is made anew.
func FuzzApply(f *testing.F) {
	l := newLog()
	l.produce(f, "M-1", "A", 10, 12, "1")
	if _, err := l.book.Claw(f.Context(), officer(1), NewClawback{Matter: "M-1", From: "A0000001", To: "A0000002", Reason: "r"}); err != nil {
		f.Fatal(err)
	}
	if _, err := l.book.SaveSearch(f.Context(), officer(1), SavedSearch{Matter: "M-1", Name: "k", Query: "q", Language: 2}); err != nil {
		f.Fatal(err)
	}
	for _, rec := range l.recs[101:] {
		f.Add(byte(rec.Leaf.Kind), string(rec.Body))
	}
	f.Add(byte(proof.KindTag), `{"v":1,"op":"add","tag":"x","matter":"M-1","seqs":[[1,9007199254740991]]}`)
	f.Add(byte(proof.KindProduction), `{"v":1,"op":"reserve","matter":"M-1","prefix":"A","first":999999999999,"count":2,"digits":7}`)
	f.Fuzz(func(t *testing.T, kind byte, body string) {
		l := newLog()
		l.produce(t, "M-1", "A", 10, 12, "1")
		l.put(proof.KindTag+proof.Kind(kind%4), proof.ClassControl, []byte(body))
		if err := l.catchUp(t.Context(), l.Size()); err != nil {
			if len(body) > 20 && strings.Contains(err.Error(), body[:20]) {
				t.Errorf("the error quotes it: %v", err)
			}
			return
		}
		for _, p := range l.book.Productions() {
			if p.Bates != nil && (p.Bates.Count == 0 || p.Bates.Last() > MaxNumber) {
				t.Errorf("numbers %+v", p.Bates)
			}
		}
		for _, c := range l.book.Clawbacks() {
			if len(c.Range()) > 2*(MaxPrefix+MaxDigits)+2 {
				t.Errorf("a range %s", c.Range())
			}
		}
		if _, err := l.book.Disclosures(t.Context(), Accounting{MRN: "1"}); err != nil {
			t.Errorf("disclosures: %v", err)
		}
		if r, err := l.book.Reserve(t.Context(), officer(1), Numbering{Matter: "M-1", Prefix: "A", Count: 1}); err == nil && r.First <= 3 {
			t.Errorf("number %d was given out again", r.First)
		}
		l.book.Withheld("M-1", 7)
		l.book.TagHistory(7)
	})
}
