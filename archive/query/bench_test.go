package query

import (
	"testing"
	"time"
)

// Judging ASCII text allocates nothing, but for a word that begins with the
// letter of one that is asked for by its stem.
func TestMatchAllocatesNothing(t *testing.T) {
	d := benchDoc()
	q, err := Parse(`"call dr ng" OR heparin OR hep* OR *emia OR zzz NEAR(3) heparin AND from:ada.ng@ward.example AND participants:u-9 NOT conversation:west sent>=2026-01-01 kind:msg mrn:7`)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { q.Match(d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkMatch is what the tail of an index and a hold cost per entry.
func BenchmarkMatch(b *testing.B) {
	accented := benchDoc()
	accented.Text = "Por favor llámame por la cama 4: el potasio está en 5,9, repetir a las seis y avisar si pasa de 6"
	for name, text := range map[string]string{
		"bare": "heparin", "bare, many alike": "talking", "quoted": `"heparin"`, "phrase": `"potassium was"`, "prefix": "hepar*", "suffix": "*emia", "fuzzy": "heparin~1",
		"near": "potassium NEAR(5) night", "two and a name": `heparin OR "potassium was" AND from:ada.ng@ward.example`, "person": "participants:lund",
	} {
		q, err := ParseIn(Reading{Now: time.Now()}, text)
		if err != nil {
			b.Fatal(err)
		}
		for which, d := range map[string]*Doc{"English": benchDoc(), "Spanish": accented} {
			b.Run(name+"/"+which, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					q.Match(d)
				}
			})
		}
	}
}
