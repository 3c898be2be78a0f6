package api

import (
	"strings"
	"testing"

	"holdfast/archive/query"
)

// Whatever a number is, the query for it asks for that and no more.
func FuzzMRNQuery(f *testing.F) {
	for _, s := range []string{"0048-113", " 7 ", `7" OR "8`, "7*", "", "“7”", "a:b", "NOT 7", "(7)", "7\n8", "ＡＢ１", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, mrn string) {
		text, err := MRNQuery(mrn)
		if err != nil {
			return
		}
		q, err := query.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", mrn, err)
		}
		for _, other := range []string{mrn + "0", "0" + mrn, "x"} {
			if q.Match(&query.Doc{MRN: other}) && query.FoldKey(other) != query.FoldKey(mrn) {
				t.Errorf("%q finds %q", text, other)
			}
		}
		if !q.Match(&query.Doc{MRN: mrn}) {
			t.Errorf("%q does not find itself", mrn)
		}
		again, err := query.Parse(q.String())
		if err != nil || again.String() != q.String() {
			t.Errorf("%q: printed it is another query", mrn)
		}
	})
}

func TestPatientRequests(t *testing.T) {
	s := &Server{Parts: Parts{ThirdParties: ThirdPartiesHide}}
	r := ExportRequest{As: "pdf", Recipient: "p", Patient: Patient{MRN: " 7 "}}
	if err := s.patient(&r); err != nil || r.check() != nil {
		t.Fatal(err, r.check())
	}
	if r.Query != `mrn:"7"` || r.Purpose != "patient-access" || r.ThirdParties != ThirdPartiesHide {
		t.Errorf("%+v", r)
	}
	// The policy is part of what is approved: another one is another export.
	q, err := query.Parse(r.Query)
	if err != nil {
		t.Fatal(err)
	}
	before := exportDigest(q, &r, 9, nil)
	r.ThirdParties = ThirdPartiesShow
	if exportDigest(q, &r, 9, nil) == before {
		t.Error("an approval for people hidden is one for people shown")
	}
	for name, r := range map[string]ExportRequest{
		"both":          {Query: "a", Patient: Patient{MRN: "7"}},
		"none":          {Query: "a", Patient: Patient{ThirdParties: ThirdPartiesHide}},
		"usr without":   {Query: "a", Patient: Patient{PatientUsrs: []string{"u"}}},
		"long":          {Patient: Patient{MRN: strings.Repeat("7", maxMRN+1)}},
		"nothing":       {Patient: Patient{MRN: "  "}, Purpose: "other"},
		"policy":        {Patient: Patient{MRN: "7", ThirdParties: "all"}},
		"psychotherapy": {Patient: Patient{MRN: "7"}, Include: []string{"psychotherapy"}, Authority: "consent"},
		"custodians":    {Patient: Patient{MRN: "7"}, Split: Split{Custodian: true}},
	} {
		r.As, r.Recipient = "pdf", "p"
		err := s.patient(&r)
		if err == nil {
			err = r.check()
		}
		if err == nil {
			t.Errorf("%s: no error for %+v", name, r)
		}
	}
}
