package export

import (
	"bytes"
	"context"
	"testing"
	"testing/fstest"
)

// No change of the three files that Verify parses gets past it, and none makes
// it fail otherwise than by a verdict.
func FuzzVerify(f *testing.F) {
	w := furnish(f)
	_, files := produce(f, w, request(all(w.a.Size())))
	key := w.logKey()
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
	w := furnish(f)
	_, files := produce(f, w, request(all(w.a.Size())))
	key, signer := w.logKey(), w.a.IdentitySigner()
	records, proofs := files[fileRecords].Data, files[fileProofs].Data
	f.Add(records, proofs)
	f.Add(bytes.ReplaceAll(records, []byte("Anna"), []byte("Anne")), proofs)
	f.Add(records, bytes.ReplaceAll(proofs, []byte(`"device":4`), []byte(`"device":5`)))
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
