package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
)

// checkOwn checks the files of a production's own that are checked as wholes.
func (v *verifier) checkOwn() {
	for _, f := range v.m.Files {
		if f.Path != fileProofs && f.Path != fileRecords && f.Path != fileList {
			v.checkWhole(f, nil)
		}
	}
	want, size := sha256.New(), 0
	before := v.m.Files[:len(v.m.Files)-1]
	for name, f := range v.list.ordered() {
		if v.m.V > 1 {
			n, _ := fmt.Fprintf(want, "%s  %s\n", f.SHA256, name) // a hash takes every write
			size += n
		}
	}
	n, _ := want.Write(sums(before))
	if f, _ := v.m.file(fileSums); f.SHA256 != hex.EncodeToString(want.Sum(nil)) || f.Size != uint64(size+n) { // #nosec G115 -- a count of bytes
		v.v.file(fileSums, Changed, "it does not list the files as the manifest does")
	}
}

// checkWhole compares a file with what a manifest says of it. also, if not
// nil, is written its bytes.
func (v *verifier) checkWhole(want File, also hash.Hash) {
	bad := func(p Problem, detail string) {
		v.v.add(Finding{File: visible(want.Path), Seq: seqOf(want.Path), Problem: p, Detail: detail})
	}
	f, err := openRegular(v.fsys, want.Path)
	if err != nil {
		bad(problemOf(err), "it cannot be opened")
		return
	}
	defer f.Close()
	sum := sha256.New()
	dst := io.Writer(sum)
	if also != nil {
		dst = io.MultiWriter(sum, also)
	}
	n, err := io.Copy(dst, io.LimitReader(f, int64(want.Size)+1)) // #nosec G115 -- I-JSON integers are below 2^53
	switch {
	case err != nil:
		bad(Changed, "it cannot be read to its end")
	case uint64(n) != want.Size: // #nosec G115 -- a count of bytes read
		bad(Changed, "it is not of the size that the manifest lists")
	case hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		bad(Changed, "its SHA-256 is not the one that the manifest lists")
	}
}

// checkAnnex checks the internal part where it is present.
func (v *verifier) checkAnnex() {
	if _, err := fs.Stat(v.fsys, dirAnnex); errors.Is(err, fs.ErrNotExist) {
		return
	}
	before := len(v.v.Findings)
	v.v.Annex = "failed"
	text, err := readSmall(v.fsys, fileAnnexManifest, maxManifest)
	if err != nil {
		v.v.file(fileAnnexManifest, problemOf(err), "it cannot be read")
		return
	}
	sig, err := readSmall(v.fsys, fileAnnexSig, maxSignature)
	if err != nil {
		v.v.file(fileAnnexSig, problemOf(err), "it cannot be read")
		return
	}
	if v.key == nil {
		v.v.file(fileAnnexManifest, Unproven, "without the log's identity key its signature cannot be checked")
	} else if err := verifyDetached(typAnnex, v.key, sig, text); err != nil {
		v.v.file(fileAnnexManifest, Changed, "the signature in %s is not the archive's over it: %v", fileAnnexSig, err)
	}
	m, err := parseAnnexManifest(text)
	if err != nil {
		v.v.file(fileAnnexManifest, Changed, "it is not an annex's manifest: %v", err)
		return
	}
	salted := sha256.New()
	salted.Write([]byte(annexLabel))
	v.checkWhole(m.Files[0], salted)
	for _, f := range m.Files[1:] {
		v.checkWhole(f, nil)
		v.annex = append(v.annex, f.Path)
	}
	if v.m != nil && (m.Records != v.listed(v.m.main()).SHA256 || m.Origin != v.m.Origin) {
		v.v.file(fileAnnexManifest, Changed, "it belongs to another production")
	}
	if v.m != nil && hex.EncodeToString(salted.Sum(nil)) != v.m.AnnexHash {
		v.v.file(fileAnnex, Changed, "it is not the annex whose hash the manifest holds")
	}
	if len(v.v.Findings) == before {
		v.v.Annex = "verified"
	}
}
