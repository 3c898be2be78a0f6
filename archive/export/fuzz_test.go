package export

import (
	"bytes"
	"context"
	"crypto"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/note"
)

// small returns a production of one message that is verified, without an annex.
func small(t testing.TB) (fstest.MapFS, note.Verifier, crypto.Signer) {
	t.Helper()
	l, anna := newLyingLog(t).begin(nil), edKey(t)
	who, dev := l.user("anna", "Anna", "true"), l.device("anna", anna)
	m := l.message(anna, anna, said("anna", "x"), nil)
	r := l.row(m, told{"anna": {Usr: "anna", UPN: "anna", Mail: "anna", Name: "Anna", Entry: who}})
	files := l.production([]Row{r}, append(l.evidence(who, dev), l.proofOf(m, dev)))
	key, err := l.id.LogVerifier()
	must(t, err)
	if v := verify(t, files, key); !v.OK() {
		t.Fatal(v.Findings)
	}
	return files, key, l.key
}

// No change of the three files that Verify parses gets past it, and none makes
// it fail otherwise than by a verdict. (The inputs are long: fuzz with
// -fuzzminimizetime 1x.)
func FuzzVerify(f *testing.F) {
	files, key, _ := small(f)
	records, proofs, manifest := files[fileRecords].Data, files[fileProofs].Data, files[fileManifest].Data
	f.Add(records, proofs, manifest)
	f.Add([]byte{}, proofs, manifest)
	f.Add(records, []byte(proofsOpen+"\n"), manifest)
	f.Add(records, bytes.ReplaceAll(proofs, []byte(asEvidence), []byte(asRecord)), manifest)
	f.Add(bytes.ToUpper(records), proofs, bytes.ReplaceAll(manifest, []byte("records.jsonl"), []byte("../etc/passwd")))
	f.Add(bytes.Repeat([]byte("\n"), 100), bytes.ReplaceAll(proofs, []byte("\n"), nil), []byte("{}"))
	f.Fuzz(func(t *testing.T, r, p, m []byte) {
		changed := fstest.MapFS{}
		for name, file := range files {
			changed[name] = file
		}
		changed[fileRecords], changed[fileProofs], changed[fileManifest] = &fstest.MapFile{Data: r}, &fstest.MapFile{Data: p}, &fstest.MapFile{Data: m}
		v, err := Verify(context.Background(), changed, VerifyKeys{Log: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		same := bytes.Equal(r, records) && bytes.Equal(p, proofs) && bytes.Equal(m, manifest)
		if v.OK() != same {
			t.Errorf("%s although same=%v", v.Result, same)
		}
		if !same && len(v.Findings) == 0 {
			t.Error("a change without a finding")
		}
	})
}

// With the manifest signed over whatever is there, the parsers of records and
// proofs stand alone: a production that verifies has the rows of the original.
func FuzzForgery(f *testing.F) {
	files, key, signer := small(f)
	records, proofs := files[fileRecords].Data, files[fileProofs].Data
	f.Add(records, proofs)
	f.Add(bytes.ReplaceAll(records, []byte("Anna"), []byte("Anne")), proofs)
	f.Add(records, bytes.ReplaceAll(proofs, []byte(`"device":2`), []byte(`"device":1`)))
	f.Fuzz(func(t *testing.T, r, p []byte) {
		forged := clone(files)
		forged[fileRecords].Data, forged[fileProofs].Data = r, p
		resign(t, forged, signer, nil)
		v, err := Verify(context.Background(), forged, VerifyKeys{Log: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if v.OK() && !bytes.Equal(r, records) {
			t.Errorf("other rows are verified: %q", r)
		}
	})
}
