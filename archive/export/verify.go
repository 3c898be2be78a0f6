package export

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
)

// VerifyKeys are the keys that do not come from the production itself.
type VerifyKeys struct {
	Log     note.Verifier    // of the log's checkpoints; nil: the result is SelfConsistent at best
	Witness []*proof.Witness // whose cosignatures on the checkpoint are looked for
	// Tool is this program, as Request.Tool names it. What another version rendered
	// otherwise is not proven rather than changed; "": there is no other version.
	Tool string
}

// A verifier checks one production.
type verifier struct {
	ctx      context.Context
	fsys     fs.FS
	keys     VerifyKeys
	v        *Verdict
	progress func(done, total uint64)
	got      counted
	text     []byte    // manifest.json
	sig      []byte    // manifest.jws
	m        *Manifest // as it stands; nil if it cannot be read
	id       *proof.Identity
	key      ed25519.PublicKey // identity key; nil if there is none that the log names
	signed   string            // checkpoint of proofs.json
	point    proof.Checkpoint  // likewise, opened
	list     fileMap           // of files.jsonl; in version 1 of the manifest
	annex    []string          // files of the annex that not every one has
}

// Verify checks the production in fsys, a folder or a zip file's content: its
// files, its signatures, and each record back to the log key. The verdict
// names everything that is wrong; an error means only that ctx ended, and there
// is no verdict then. progress, which may be nil, is told of rows. The
// production is taken to be hostile: no path and no size in it is believed.
func Verify(ctx context.Context, fsys fs.FS, keys VerifyKeys, progress func(done, total uint64)) (*Verdict, error) {
	v := &verifier{
		ctx: ctx, fsys: root(fsys), keys: keys, progress: progress,
		v: &Verdict{Assurance: map[string]uint64{}, Annex: "absent", Findings: []Finding{}, selfSigned: keys.Log == nil},
	}
	if v.readManifest() {
		v.checkContent()
		if v.m != nil {
			v.checkOwn()
			v.checkAbout()
		}
		v.checkAnnex()
		v.checkNothingAdded()
	} else {
		v.v.Result = NotProduction
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.v.conclude()
	return v.v, nil
}

// root descends into the one folder that a zip of a folder holds.
func root(fsys fs.FS) fs.FS {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil || len(entries) != 1 || !entries[0].IsDir() {
		return fsys
	}
	if sub, err := fs.Sub(fsys, entries[0].Name()); err == nil {
		return sub
	}
	return fsys
}

// readManifest reads the manifest and its signature; false if either is not
// there. Whose signature it is can be told only once the log has named the key.
func (v *verifier) readManifest() bool {
	var err error
	if v.text, err = readSmall(v.fsys, fileManifest, maxManifest); err != nil {
		v.v.file(fileManifest, problemOf(err), "there is no manifest that can be read")
		return false
	}
	if v.sig, err = readSmall(v.fsys, fileSignature, maxSignature); err != nil {
		v.v.file(fileSignature, problemOf(err), "there is no signature of the manifest that can be read")
		return false
	}
	if len(v.sig) == 0 {
		v.v.file(fileSignature, Missing, "the manifest is not signed")
		return false
	}
	if v.m, err = parseManifest(v.text); err != nil {
		v.m = nil
		v.v.file(fileManifest, Changed, "it is not a manifest: %v", err)
		return true
	}
	v.v.Created, v.v.At, v.v.Format = visible(v.m.Created), v.m.At, v.m.Format
	return true
}

func problemOf(err error) Problem {
	if errors.Is(err, fs.ErrNotExist) {
		return Missing
	}
	return Changed
}

// limit is how many bytes of a file are read: a line more than the manifest
// lists, so that what was added at the end can be named.
func (v *verifier) limit(name string) int64 {
	if v.m == nil {
		return math.MaxInt64
	}
	return int64(v.listed(name).Size) + MaxLine + 1 // #nosec G115 -- I-JSON integers are below 2^53
}

// listed returns what the production says of a file: its manifest, or the list
// that the manifest names.
func (v *verifier) listed(name string) File {
	if f, ok := v.m.file(name); ok {
		return f
	}
	f, _ := v.list.file(name)
	return f
}

// checkContent reads records and proofs side by side.
func (v *verifier) checkContent() {
	v.readList()
	proofs, err := openLines(v.fsys, fileProofs, v.limit(fileProofs))
	if err != nil {
		v.v.file(fileProofs, problemOf(err), "without it nothing is proven")
	} else {
		defer proofs.Close()
		if err := v.readHead(proofs); err != nil {
			v.v.add(Finding{File: fileProofs, Line: proofs.line, Problem: Changed, Detail: err.Error()})
		} else {
			v.checkManifest()
			v.checkRecords(proofs)
		}
		v.finish(proofs)
	}
	v.checkRest()
}

// checkRecords checks what the proofs are of.
func (v *verifier) checkRecords(proofs *lineReader) {
	if v.m != nil && v.m.Format != JSONL {
		newWalk(v, proofs).run()
		return
	}
	records := v.openRows()
	newPairing(v, records, proofs).run()
	records.close()
}

// finish checks a file that was read line by line against the manifest.
func (v *verifier) finish(r *lineReader) {
	for v.ctx.Err() == nil {
		if _, ok, _ := r.next(); !ok {
			break
		}
	}
	if v.m == nil || v.ctx.Err() != nil {
		return
	}
	v.list.see(r.name)
	if err := r.check(v.listed(r.name)); err != nil {
		v.v.file(r.name, Changed, "%v", err)
	}
}

// readHead reads proofs.json up to its entries: from the log key to the
// checkpoint, from there to the genesis entry, and from it to the identity.
func (v *verifier) readHead(r *lineReader) error {
	var lines [4]string
	for i := range lines {
		line, ok, err := r.next()
		if !ok || err != nil {
			return errors.New("its beginning is not that of a list of proofs")
		}
		lines[i] = string(line)
	}
	signed, ok := cut(lines[1], proofsNote, ",")
	first, ok2 := cut(lines[2], proofsGenesis, ",")
	if !ok || !ok2 || lines[0] != v.proofsOpen() || lines[3] != proofsEntries {
		return errors.New("its beginning is not that of a list of proofs")
	}
	var text string
	if err := ijson.Unmarshal([]byte(signed), &text); err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	genesis, err := parseProofEntry([]byte(first))
	if err != nil {
		return fmt.Errorf("its genesis entry: %w", err)
	}
	if v.id, err = proof.ParseIdentity([]byte(genesis.Body)); err != nil {
		return fmt.Errorf("its genesis entry: %w", err)
	}
	if err := v.openCheckpoint([]byte(text)); err != nil {
		return err
	}
	rec, err := genesis.open(v.point, []byte(genesis.Body))
	if err != nil {
		return fmt.Errorf("its genesis entry: %w", err)
	}
	if genesis.As != asGenesis || rec.Leaf.Kind != proof.KindGenesis || rec.Leaf.Seq != 0 || rec.Leaf.Prev != proof.GenesisPrev(rec.Body) {
		return errors.New("its genesis entry is not the first of a log")
	}
	v.v.Origin, v.v.LogSize, v.v.Root = visible(v.point.Origin), v.point.Size, hex.EncodeToString(v.point.Root[:])
	v.signed = text
	v.witnessed()
	v.key, err = v.id.Key()
	return err
}

// witnessed looks for the witnesses' cosignatures on the checkpoint.
func (v *verifier) witnessed() {
	for _, w := range v.keys.Witness {
		name := visible(w.Name())
		at, ok, err := w.Cosigned([]byte(v.signed))
		switch {
		case err != nil:
			v.v.file(fileProofs, Unproven, "the checkpoint has a line of the witness %s that is no cosignature of it", name)
		case ok:
			v.v.Anchored = append(v.v.Anchored, Anchor{Witness: name, At: at})
		default:
			v.v.Unanchored = append(v.v.Unanchored, name)
		}
	}
}

// proofsOpen is the first line of proofs.json.
func (v *verifier) proofsOpen() string {
	if v.m != nil && v.m.V == 1 {
		return proofsOpen1
	}
	return proofsOpen
}

// openCheckpoint opens the checkpoint with the key from elsewhere. If that
// does not fit, the finding stands, and the production's own key serves to
// name whatever else is wrong.
func (v *verifier) openCheckpoint(signed []byte) error {
	if v.keys.Log != nil {
		point, err := proof.OpenCheckpoint(signed, v.keys.Log)
		if err == nil && point.Origin == v.id.Origin {
			v.point = point
			return nil
		}
		v.v.file(fileProofs, Unproven, "its checkpoint is not signed by the log key that was given")
	}
	own, err := v.id.LogVerifier()
	if err != nil {
		return err
	}
	if v.point, err = proof.OpenCheckpoint(signed, own); err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	return nil
}

func cut(s, prefix, suffix string) (string, bool) {
	s, ok := strings.CutPrefix(s, prefix)
	s, ok2 := strings.CutSuffix(s, suffix)
	return s, ok && ok2
}

// checkManifest checks the manifest's signature and that it is of this log.
func (v *verifier) checkManifest() {
	if err := verifyDetached(typManifest, v.key, v.sig, v.text); err != nil {
		v.v.file(fileManifest, Changed, "the signature in %s is not the archive's over it: %v", fileSignature, err)
		return
	}
	if v.m == nil {
		return
	}
	switch {
	case v.m.Checkpoint != v.signed:
		v.v.file(fileProofs, Changed, "its checkpoint is not the manifest's")
	case v.m.Origin != v.point.Origin:
		v.v.file(fileManifest, Changed, "it names another log than its checkpoint")
	case v.m.At > v.point.Size:
		v.v.file(fileManifest, Changed, "its checkpoint does not cover the entries that it is as of")
	}
	if _, err := envelope.ParseTime(v.m.Created); err != nil {
		v.v.file(fileManifest, Changed, "it does not say when it was made")
	}
}

// checkNothingAdded names every file that is not of the production.
func (v *verifier) checkNothingAdded() {
	names := v.names()
	err := fs.WalkDir(v.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if v.ctx.Err() != nil {
			return fs.SkipAll
		}
		_, rendered := v.list.file(name)
		switch {
		case err != nil:
			v.v.file(path.Clean(name), Changed, "it cannot be listed: there may be more in it")
			return fs.SkipDir
		case d.IsDir():
			if name != "." && name != dirAnnex && !v.list.folder(name) && v.m != nil {
				v.v.file(name+"/", Added, "it is not of this production")
				return fs.SkipDir
			}
		case !rendered && !slices.Contains(names, name) && (v.m != nil || !validFile(name)):
			v.v.file(name, Added, "it is not of this production")
		case !d.Type().IsRegular():
			v.v.file(name, Changed, "it is not a regular file")
		}
		return nil
	})
	if err != nil {
		v.v.file(".", Changed, "the production cannot be listed")
	}
}

// names returns the names of a production's own files.
func (v *verifier) names() []string {
	out := append([]string{fileSignature, fileManifest, fileAnnex, fileAnnexSig, fileAnnexManifest}, v.annex...)
	if v.m == nil {
		return append(append(out, own...), fileRecords)
	}
	for _, f := range v.m.Files {
		out = append(out, f.Path)
	}
	return out
}
