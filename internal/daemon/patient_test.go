package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/internal/api"
)

// bedside is what was said of patient 0048-113 and others.
const bedside = `{"user":"zq1-nephro","name":"Zebulon Quenneville","mail":"z.quenneville@northgate.invalid"}
{"user":"xo2-nephro","name":"Ximena Oyarzabal","mail":"x.oyarzabal@northgate.invalid"}
{"user":"tw3-nephro","name":"Thaddeus Wolstenholme","mail":"t.wolstenholme@northgate.invalid"}
{"conv":"zq1-nephro-xo2-nephro","kind":"group","name":"Dialysis","members":["zq1-nephro","xo2-nephro","tw3-nephro"]}
{"id":"m1","time":"2026-03-02T07:00:00.000Z","from":"zq1-nephro","in":"zq1-nephro-xo2-nephro","text":"dialysis at eight","subject":{"mrn":"0048-113"},"att":[{"name":"plan.txt","mime":"text/plain","data":"ZWlnaHQgbydjbG9jaw=="}]}
{"id":"m2","time":"2026-03-02T07:01:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"shunt is fine","subject":{"mrn":"0048-113"}}
{"id":"r1","time":"2026-03-02T07:02:00.000Z","from":"tw3-nephro","in":"zq1-nephro-xo2-nephro","typ":"receipt","ref":"m1","status":"read"}
{"id":"m3","time":"2026-03-02T07:03:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"the dream about the well","subject":{"mrn":"0048-113"}}
{"id":"n1","time":"2026-03-02T07:04:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"spelled without","subject":{"mrn":"0048113"}}
{"id":"n2","time":"2026-03-02T07:05:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"no zeros","subject":{"mrn":"48-113"}}
{"id":"n3","time":"2026-03-02T07:06:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"a slip of the finger","subject":{"mrn":"0048-131"}}
{"id":"n4","time":"2026-03-02T07:07:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"about 0048-113: bed is made"}
{"id":"n5","time":"2026-03-02T07:08:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"somebody else","subject":{"mrn":"9051-777"}}
{"id":"n6","time":"2026-03-02T07:09:00.000Z","from":"xo2-nephro","in":"zq1-nephro-xo2-nephro","text":"lunch"}
`

// leaves returns all that leaves the house of a production, folded.
func leaves(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "annex":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		text, err := os.ReadFile(path)
		b.WriteString(path[len(dir):])
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToLower(b.String())
}

// A patient's own package, from the relay to what the patient is given and what
// stays in the house.
func TestPatientPackage(t *testing.T) {
	w := newWard(t)
	w.config.PatientAccess.Contact = "the Privacy Office"
	w.start()
	path := w.path("bedside.jsonl")
	if err := os.WriteFile(path, []byte(bedside), 0o600); err != nil {
		t.Fatal(err)
	}
	w.loadFile(path)
	w.acked()
	if _, err := w.client.OpenMatter(t.Context(), api.OpenMatterRequest{ID: "M-1", Reason: "therapy"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.SetTag(t.Context(), api.TagRequest{Tag: "psychotherapy", Matter: "M-1", Seqs: []uint64{w.one("dream")}, Reason: "notes of a session"}); err != nil {
		t.Fatal(err)
	}
	cp, err := w.client.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseLogKey([]byte(cp.LogKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{"", api.ThirdPartiesHide, api.ThirdPartiesShow} {
		for _, as := range []string{"html", "jsonl", "csv", "pdf"} {
			out := w.path("package" + policy + as)
			ask := api.ExportRequest{As: as, Reason: "request of 3 March", Recipient: "the patient", Patient: api.Patient{MRN: "0048-113", ThirdParties: policy}}
			done, err := w.client.Export(t.Context(), ask, out, false, api.Hearing{})
			if err != nil {
				t.Fatal(err)
			}
			if done.Produced != 3 || done.Withheld != 1 || done.Near != 4 {
				t.Errorf("%s %s: %+v", policy, as, done)
			}
			v, err := export.Verify(t.Context(), os.DirFS(out), export.VerifyKeys{Log: key}, nil)
			want := export.SignedOnly
			if policy == api.ThirdPartiesShow {
				want = export.Verified
			}
			if err != nil || v.Result != want || (v.Verified > 0) != (policy == api.ThirdPartiesShow) {
				t.Errorf("%s %s: %+v, %v", policy, as, v, err)
			}
			w.packaged(out, policy, as)
		}
	}
	w.accounted()
}

// packaged checks what is in a package.
func (w *ward) packaged(out, policy, as string) {
	w.t.Helper()
	text := leaves(w.t, out)
	for _, name := range []string{"quenneville", "zebulon", "oyarzabal", "ximena", "wolstenholme", "thaddeus", "northgate", "zq1-nephro", "xo2-nephro", "tw3-nephro"} {
		if policy != api.ThirdPartiesShow && strings.Contains(text, name) {
			w.t.Errorf("%s %s: %q leaves", policy, as, name)
		}
	}
	for _, never := range []string{"dream", "0048113", "0048-131", "9051-777", "spelled without", "bed is made"} {
		if strings.Contains(text, never) {
			w.t.Errorf("%s %s: %q leaves", policy, as, never)
		}
	}
	wants := []string{"privacy office", "     1  psychotherapy notes", "are not covered"}
	if as != "pdf" {
		wants = append(wants, "dialysis at eight", "shunt is fine", "eight o'clock")
	}
	for _, want := range wants {
		if !strings.Contains(text, want) {
			w.t.Errorf("%s %s: %q is not there", policy, as, want)
		}
	}
	near, err := os.ReadFile(filepath.Join(out, "annex", "near.csv"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, want := range []string{",0048113," + nearSpaces, ",48-113," + nearZeros, ",0048-131," + nearEdit, ",,names the number"} {
		if strings.Count(string(near), want) != 1 {
			w.t.Errorf("near.csv does not say %q once: %s", want, near)
		}
	}
}

// accounted checks that each package is a line of the accounting, which leaves
// those out unless it is asked for all.
func (w *ward) accounted() {
	w.t.Helper()
	for all, want := range map[bool]int{true: 12, false: 0} {
		d, err := w.client.Disclosures(w.t.Context(), api.DisclosuresRequest{MRN: "0048-113", All: all, Reason: "test"})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(d.Disclosures) != want || !all && d.Left != 12 {
			w.t.Errorf("all %v: %d lines, %d left out", all, len(d.Disclosures), d.Left)
		}
		for _, line := range d.Disclosures {
			if line.Purpose != "patient-access" || !line.Exempt || line.Recipient.Name != "the patient" {
				w.t.Errorf("%+v", line)
			}
		}
	}
	if d, err := w.client.Disclosures(w.t.Context(), api.DisclosuresRequest{MRN: "0048113", All: true, Reason: "test"}); err != nil || len(d.Disclosures) != 0 {
		w.t.Errorf("of a number that is nearly the same: %+v, %v", d, err)
	}
}

func TestNearly(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"123", "123", ""}, {"12-3", "1 23", nearSpaces}, {"00123", "123", nearZeros}, {"mrn-0012", "mrn12", nearZeros}, {"0", "000", nearZeros},
		{"123", "124", nearEdit}, {"123", "1234", nearEdit}, {"123", "23", nearEdit}, {"123", "132", nearEdit}, {"123", "321", ""}, {"123", "12345", ""},
		{"a1", "b2", ""}, {"-", " ", ""}, {"", "1", ""}, {"12‑34", "1234", nearSpaces}, {"0012a", "12b", ""}, {"abc", "abd", nearEdit},
	} {
		for _, got := range []string{nearly(tt.a, tt.b), nearly(tt.b, tt.a)} {
			if got != tt.want {
				t.Errorf("%q, %q: %q, want %q", tt.a, tt.b, got, tt.want)
			}
		}
	}
}
