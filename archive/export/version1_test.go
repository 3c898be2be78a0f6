package export

import (
	"os"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
)

// version1 is a production of version 1 as an earlier program made it, with its
// log's key.
func version1(t *testing.T) (fstest.MapFS, note.Verifier) {
	t.Helper()
	identity, err := os.ReadFile("testdata/v1/identity.json")
	must(t, err)
	key, err := proof.ParseLogKey(identity)
	must(t, err)
	files := fstest.MapFS{}
	for _, name := range []string{
		fileRecords, fileProofs, fileCustody, fileAnnex, fileAnnexSig, fileAnnexManifest, fileSums, fileSignature, fileManifest,
	} {
		b, err := os.ReadFile("testdata/v1/production/" + name)
		must(t, err)
		files[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	return files, key
}

func TestVersion1IsStillVerified(t *testing.T) {
	files, key := version1(t)
	v := verify(t, files, key)
	if !v.OK() || v.Records != 16 || v.Verified != 15 || v.Withheld != 1 || v.Annex != "verified" {
		t.Fatalf("%s: %+v", v.Result, v)
	}
	for name := range files {
		changed := clone(files)
		changed[name].Data[len(changed[name].Data)/2] ^= 1
		if v := verify(t, changed, key); v.OK() {
			t.Errorf("a change of %s is not seen", name)
		}
		delete(changed, name)
		if v := verify(t, changed, key); v.OK() {
			t.Errorf("nobody misses %s", name)
		}
	}
	// What version 2 has beside it is nothing here.
	for _, name := range []string{fileList, fileUnproven, fileCertificate, "natives/000000000008-1.jpg"} {
		changed := clone(files)
		changed[name] = &fstest.MapFile{Data: []byte("x"), Mode: 0o644}
		if v := verify(t, changed, key); v.OK() || !names(v, name, 0, 0) && !names(v, "natives/", 0, 0) {
			t.Errorf("%s: %s, %v", name, v.Result, v.Findings)
		}
	}
}
