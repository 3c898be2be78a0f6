package backup

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
)

// Errors of putting a backup back.
var (
	// ErrNotEmpty is returned for a destination in which something is.
	ErrNotEmpty = errors.New("the destination is not empty; a backup is put back into a folder of its own, never onto an archive")

	// ErrLostKeys means that the backup cannot be read for want of keys that no
	// certificate says were destroyed.
	ErrLostKeys = fmt.Errorf("%w: the keyring copies lack keys of its body files, and no certificate of disposition says that they were destroyed", ErrDamaged)

	// ErrRestored means that what was put back is not what the backup says it is.
	ErrRestored = fmt.Errorf("%w: what was put back from it is not what it says", ErrDamaged)
)

// RestoreOptions says what is put back, where, and what it is held against.
type RestoreOptions struct {
	From   string // folder of the data backup
	Backup string // the backup's id; "": the newest
	Keys   string // folder of the keyring's own backup
	To     string // folder of the archive: made, or empty

	Recovery *seal.RecoveryKey     // opens the keyring copy
	Master   [seal.MasterSize]byte // the keyring is written under it

	// Anchor is the newest signed checkpoint of the log that is known from outside
	// the machine; nil: none. What it states must be in the backup, or is lost.
	Anchor []byte

	// Lapsed says of an entry whose body file's key no keyring copy has whether a
	// certificate of disposition has it as destroyed; nil: none does.
	Lapsed func(file string, l *proof.Leaf) bool

	// Salvage keeps what was put back although bodies or attachments of it are
	// damaged or missing: for want of a better backup.
	Salvage bool

	Progress func(what string, done, total int64) // may be nil; of bytes, then of entries
}

// Outcome is what came of putting a backup back.
type Outcome struct {
	Manifest  *Manifest
	Identity  *proof.Identity
	Keyring   uint64            // generation of the keyring copy
	Missing   []archive.KeyID   // keys of the backup's body files that no copy of the keyring has
	Truncated uint64            // bodies past the backup's end, left out
	Report    *archive.Report   // of the check of everything
	Mark      *archive.Restored // from here on the log is another one
	Lost      *archive.Lost     // what the anchor states and the backup has not; nil: nothing, as far as is known

	newestKeyring uint64 // generation of the newest copy, beside which a later one is to go
}

// Restore puts a backup back as an archive of its own that a daemon can run,
// and checks every byte of it: the manifest's signature, each file's hash, the
// chain, the tree, the checkpoint, each body and attachment. Its log is marked
// as restored (archive.MarkRestored). Whose backup it is tells the identity in
// the Outcome, and that the recovery kit opened it.
//
// On an error, and when the Outcome's report is not OK and Salvage is false,
// nothing is left in the destination. A crash leaves a folder that does not
// open, for it lacks its keyring or its identity; it is put back anew, into
// another one.
func Restore(ctx context.Context, o RestoreOptions) (out *Outcome, err error) {
	if err := Apart(o.To, o.From, o.Keys); err != nil {
		return nil, err
	}
	m, id, text, err := open(o.From, o.Backup)
	if err != nil {
		return nil, err
	}
	if id.RecoveryKey != base64.RawURLEncoding.EncodeToString(o.Recovery.Public()) {
		return nil, archive.ErrKit
	}
	if err := checkAnchor(o.Anchor, id); err != nil {
		return nil, err
	}
	copied, sidecar, newest, err := keysFor(o.Keys, id, m)
	if err != nil {
		return nil, err
	}
	out = &Outcome{Manifest: m, Identity: id, Keyring: sidecar.Generation, Missing: sidecar.Missing(m.Keys), newestKeyring: newest}
	if err := out.checkKeyring(o.Lapsed != nil || o.Salvage); err != nil {
		return nil, err
	}
	if err := makeEmpty(o.To); err != nil {
		return nil, err
	}
	err = out.fill(ctx, &o, text, copied)
	if err == nil && !out.Report.OK() && !o.Salvage {
		err = fmt.Errorf("%w: entry %d: %s (%d findings)", ErrRestored, out.Report.Findings[0].Seq, out.Report.Findings[0].What, out.Report.Damage)
	}
	if err != nil {
		return out, errors.Join(err, Empty(o.To))
	}
	return out, nil
}

// Chosen reads the manifest of a backup, of the newest if id is empty, and whose
// it is, without any key.
func Chosen(from, id string) (*Manifest, *proof.Identity, error) {
	m, identity, _, err := open(from, id)
	return m, identity, err
}

// open reads the manifest of a backup, of the newest if id is empty, and sees
// that it is of the archive whose backups the folder holds.
func open(from, id string) (*Manifest, *proof.Identity, []byte, error) {
	marker, err := ReadMarker(from)
	if err != nil {
		return nil, nil, nil, err
	}
	ids, err := IDs(from)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case len(ids) == 0:
		return nil, nil, nil, fmt.Errorf("%s: %w", from, ErrNoBackup)
	case id == "":
		id = ids[len(ids)-1]
	case !slices.Contains(ids, id):
		return nil, nil, nil, &UnknownError{From: from, IDs: ids}
	}
	m, identity, text, err := Open(from, id)
	if err != nil {
		return nil, nil, nil, err
	}
	if marker.Origin != identity.Origin || marker.ArchiveID != identity.ArchiveID {
		return nil, nil, nil, fmt.Errorf("%w: backup %s is of %s, the folder's are of %s", ErrForeign, id, identity.Origin, marker.Origin)
	}
	if m.Schema > archive.Schema {
		return nil, nil, nil, fmt.Errorf("backup %s: %w", id, archive.ErrNewer)
	}
	return m, identity, text, nil
}

// UnknownError is a backup that was asked for by its id and is not in the folder
// from which it was to come. It is an ErrNoBackup.
type UnknownError struct {
	From string
	IDs  []string // of those that are there, the newest last; one at least
}

// maxListed is how many ids an UnknownError names.
const maxListed = 20

// Error implements error.
func (e *UnknownError) Error() string {
	listed, more := e.IDs, ""
	if n := len(listed) - maxListed; n > 0 {
		listed, more = listed[n:], fmt.Sprintf(", and %d older", n)
	}
	return fmt.Sprintf("there is no backup of that id in %s; choose one of those that are there: %s%s", e.From, strings.Join(listed, ", "), more)
}

// Is reports whether target is ErrNoBackup.
func (e *UnknownError) Is(target error) bool { return target == ErrNoBackup }

func checkAnchor(signed []byte, id *proof.Identity) error {
	if signed == nil {
		return nil
	}
	key, err := id.LogVerifier()
	if err != nil {
		return err
	}
	if _, err := proof.OpenCheckpoint(signed, key); err != nil {
		return fmt.Errorf("the anchor: %w", err)
	}
	return nil
}

// checkKeyring refuses a keyring copy that cannot open the backup. Keys of body
// files may be missing if somebody can tell that they were destroyed.
func (out *Outcome) checkKeyring(may bool) error {
	if out.Keyring < out.Manifest.Keyring {
		return fmt.Errorf("%w: the newest keyring copy is of generation %d, the backup needs %d", ErrLostKeys, out.Keyring, out.Manifest.Keyring)
	}
	if len(out.Missing) > 0 && !may {
		return fmt.Errorf("%w: %s and %d others", ErrLostKeys, out.Missing[0].Name, len(out.Missing)-1)
	}
	return nil
}

// makeEmpty makes the destination, or sees that there is nothing in it.
func makeEmpty(to string) error {
	err := os.MkdirAll(to, 0o700)
	if err == nil {
		err = durable.SyncDir(filepath.Dir(filepath.Clean(to)))
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		return err
	}
	// A file system of its own has this folder from the beginning.
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.IsDir() && e.Name() == "lost+found" })
	if len(entries) > 0 {
		return fmt.Errorf("%s: %w", to, ErrNotEmpty)
	}
	return nil
}

// Empty takes out of the folder of a restore or a drill what was put into it.
// The copies of the keyring are overwritten: nobody keeps account of them.
func Empty(to string) error {
	entries, err := os.ReadDir(to)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "keyring") {
			err = errors.Join(err, durable.Erase(filepath.Join(to, e.Name())))
		}
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(to, e.Name())))
		}
	}
	return err
}

// fill puts everything in place, in an order in which whatever a crash leaves
// does not open: the keyring comes last.
func (out *Outcome) fill(ctx context.Context, o *RestoreOptions, identity, copied []byte) error {
	w := &filler{from: o.From, to: o.To, m: out.Manifest, progress: o.Progress, blobs: true}
	if err := w.files(ctx); err != nil {
		return err
	}
	if err := durable.Create(filepath.Join(o.To, "keyring.recovery"), copied, 0o600); err != nil {
		return err
	}
	if err := durable.Create(filepath.Join(o.To, identityName), identity, 0o644); err != nil {
		return err
	}
	var err error
	// A crash from here on leaves an archive without a keyring, which does not open.
	if out.Truncated, err = archive.TruncateBodies(o.To, out.Manifest.Size); err != nil {
		return err
	}
	if out.Mark, err = archive.MarkRestored(o.To, o.Anchor); err != nil {
		return err
	}
	if err := archive.Recover(o.To, o.Recovery, o.Master); err != nil {
		return err
	}
	missing, err := archive.KeepKeys(o.To, o.Master, out.Manifest.Keys, out.newestKeyring)
	if err != nil {
		return err
	}
	if !slices.Equal(missing, out.Missing) {
		return fmt.Errorf("%w: the keyring copy has other keys than its sidecar says", ErrRestored)
	}
	return out.check(ctx, o)
}

const identityName = "identity.json"

// check opens what was put back and checks all of it.
func (out *Outcome) check(ctx context.Context, o *RestoreOptions) (err error) {
	a, err := archive.Open(ctx, o.To, archive.Options{Master: o.Master, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := sameEnd(a, out.Manifest); err != nil {
		return err
	}
	options := archive.CheckOptions{Bodies: true, Lapsed: o.Lapsed}
	if o.Progress != nil {
		options.Progress = func(done, total uint64) { o.Progress("check", int64(done), int64(total)) } // #nosec G115 -- entries of one log
	}
	if out.Report, err = a.Check(ctx, options); err != nil {
		return err
	}
	if err := sameRoot(out.Report, out.Manifest); err != nil {
		return err
	}
	key, err := out.Identity.LogVerifier()
	if err != nil || out.Mark.Anchor == nil {
		return err
	}
	c, err := proof.OpenCheckpoint(out.Mark.Anchor, key)
	if err != nil {
		return fmt.Errorf("the anchor: %w", err)
	}
	out.Lost, err = a.Compare(c)
	return err
}

// sameEnd compares the end of the log that was put back with its manifest.
func sameEnd(a *archive.Archive, m *Manifest) error {
	c, ok := a.Cursor()
	switch {
	case a.Size() != m.Size:
		return fmt.Errorf("%w: its log has %d entries, its manifest states %d", ErrRestored, a.Size(), m.Size)
	case ok != (m.Cursor != nil):
		return fmt.Errorf("%w: the place in the relay's stream", ErrRestored)
	case ok && (c.Epoch != m.Cursor.Epoch || c.Ordinal != m.Cursor.Ordinal || c.Seq != m.Cursor.Seq || hex.EncodeToString(c.Head[:]) != m.Cursor.Head):
		return fmt.Errorf("%w: the place in the relay's stream", ErrRestored)
	}
	return nil
}

// sameRoot compares the tree of the log that was put back with its manifest.
func sameRoot(r *archive.Report, m *Manifest) error {
	root, err := base64.StdEncoding.DecodeString(r.Root)
	if err != nil || hex.EncodeToString(root) != m.Root {
		return fmt.Errorf("%w: its tree is not the one that its manifest states", ErrRestored)
	}
	return nil
}

// filler writes a backup's files into a folder.
type filler struct {
	from, to    string
	m           *Manifest
	blobs       bool // write the attachments too; else they are only read
	progress    func(what string, done, total int64)
	done, total int64
	folders     map[string]bool
}

// files writes every file but identity.json, and compares it with the hash that
// the manifest states.
func (w *filler) files(ctx context.Context) error {
	for _, sub := range []string{"log", "bodies", "blobs", "blobs/tmp", "index"} {
		if err := durable.Mkdir(filepath.Join(w.to, sub), 0o700); err != nil {
			return err
		}
	}
	w.folders = map[string]bool{}
	for _, f := range w.m.Files {
		w.total += f.Size
	}
	for _, l := range w.m.Lists {
		w.total += l.Bytes
	}
	for f, err := range w.m.AllFiles(ctx, w.from) {
		if err != nil {
			return err
		}
		if f.Path != identityName {
			if err := w.file(ctx, f); err != nil {
				return err
			}
		}
		if w.done += f.Size; w.progress != nil {
			w.progress("copy", w.done, w.total)
		}
	}
	return nil
}

func (w *filler) file(ctx context.Context, f File) error {
	dir := path.Dir(f.Path)
	if path.Dir(dir) == "blobs" {
		if !w.blobs {
			return CopyObject(ctx, w.from, f, io.Discard)
		}
		if !w.folders[dir] {
			if err := durable.Mkdir(filepath.Join(w.to, filepath.FromSlash(dir)), 0o700); err != nil {
				return err
			}
			w.folders[dir] = true
		}
	}
	// The folder of unfinished attachments is empty in an archive that nobody runs.
	out, err := durable.NewFile(filepath.Join(w.to, "blobs", "tmp"), filepath.Join(w.to, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	if err := CopyObject(ctx, w.from, f, out); err != nil {
		return errors.Join(err, out.Abort())
	}
	if err := out.Commit(); err != nil {
		return errors.Join(err, out.Abort())
	}
	return nil
}
