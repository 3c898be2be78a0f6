package backup

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
)

// DrillOptions says what is tried.
type DrillOptions struct {
	From   string // folder of the data backup
	Backup string // the backup's id; "": the newest
	Keys   string // folder of the keyring's own backup
	Temp   string // an empty folder, which is emptied again; the attachments are read, and not written there

	// Live is the folder of the running archive, whose keyring is read with Master;
	// Running is that archive itself, in the process that runs it. With Recovery
	// the keyring copy is opened instead, as a restore would.
	Live     string
	Master   [seal.MasterSize]byte
	Running  *archive.Archive
	Recovery *seal.RecoveryKey

	Anchor []byte // the last signed checkpoint that was anchored; nil: none

	Sample    int                                  // bodies to open, each once; of a smaller backup all
	Destroyed func(key archive.KeyID) bool         // whether a certificate of disposition has a key as destroyed; nil: none does
	Progress  func(what string, done, total int64) // may be nil
}

// Drilled is what a drill came to.
type Drilled struct {
	Manifest *Manifest
	Identity *proof.Identity
	Bytes    int64  // read, and compared with their hashes
	Bodies   uint64 // opened, and what their leaves commit to
	Disposed uint64 // of the sample, whose keys a certificate says were destroyed
	Took     time.Duration
	Report   *archive.Report
}

// Drill puts a backup back into a temporary folder and checks it as far as it
// can be checked without taking the place of the archive: every file by its
// hash, the chain, the tree and the checkpoints, a sample of bodies, and that
// the keyring's own backup has the key of every body file. It leaves nothing
// behind, whatever it finds.
//
// Keys that are missing without a certificate are damage; keys that are missing
// with one were disposed of.
func Drill(ctx context.Context, o DrillOptions) (out *Drilled, err error) {
	began := time.Now()
	if err := Apart(o.Temp, o.From, o.Keys); err != nil {
		return nil, err
	}
	m, id, text, err := open(o.From, o.Backup)
	if err != nil {
		return nil, err
	}
	if o.Recovery != nil && id.RecoveryKey != base64.RawURLEncoding.EncodeToString(o.Recovery.Public()) {
		return nil, archive.ErrKit // before anything is copied: it says nothing of the backup
	}
	out = &Drilled{Manifest: m, Identity: id}
	defer func() { out.Took = time.Since(began) }()
	copied, sidecar, _, err := keysFor(o.Keys, id, m)
	if err != nil {
		return out, err
	}
	missing := slices.DeleteFunc(sidecar.Missing(m.Keys), o.destroyed)
	if err := (&Outcome{Manifest: m, Keyring: sidecar.Generation, Missing: missing}).checkKeyring(false); err != nil {
		return out, err
	}
	if err := makeEmpty(o.Temp); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, Empty(o.Temp)) }()
	w := &filler{from: o.From, to: o.Temp, m: m, progress: o.Progress}
	if err := w.files(ctx); err != nil {
		return out, err
	}
	out.Bytes = w.done
	if err := durable.Create(filepath.Join(o.Temp, identityName), text, 0o644); err != nil {
		return out, err
	}
	if _, err := archive.TruncateBodies(o.Temp, m.Size); err != nil {
		return out, err
	}
	options, err := o.keyring(copied)
	if err != nil {
		return out, err
	}
	return out, out.try(ctx, &o, options)
}

// keyring says with which keyring the bodies are opened. That of the kit is
// written under a master key that nobody keeps.
func (o *DrillOptions) keyring(copied []byte) (archive.Options, error) {
	options := archive.Options{Master: o.Master, ReadOnly: true, KeysOf: o.Live, KeysFrom: o.Running}
	if o.Recovery == nil {
		return options, nil
	}
	options.KeysOf, options.KeysFrom, options.Master = "", nil, seal.NewKey()
	if err := durable.Create(filepath.Join(o.Temp, "keyring.recovery"), copied, 0o600); err != nil {
		return options, err
	}
	return options, archive.Recover(o.Temp, o.Recovery, options.Master)
}

func (out *Drilled) try(ctx context.Context, o *DrillOptions, options archive.Options) (err error) {
	a, err := archive.Open(ctx, o.Temp, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := sameEnd(a, out.Manifest); err != nil {
		return err
	}
	if out.Report, err = a.Check(ctx, archive.CheckOptions{}); err != nil {
		return err
	}
	if !out.Report.OK() {
		return fmt.Errorf("%w: entry %d: %s (%d findings)", ErrRestored, out.Report.Findings[0].Seq, out.Report.Findings[0].What, out.Report.Damage)
	}
	if err := sameRoot(out.Report, out.Manifest); err != nil {
		return err
	}
	if err := out.anchored(o, a); err != nil {
		return err
	}
	return out.sample(ctx, o, a)
}

// anchored holds the backup against the last anchor, if the backup is new enough
// to have what that states.
func (out *Drilled) anchored(o *DrillOptions, a *archive.Archive) error {
	if o.Anchor == nil {
		return nil
	}
	key, err := out.Identity.LogVerifier()
	if err != nil {
		return err
	}
	c, err := proof.OpenCheckpoint(o.Anchor, key)
	if err != nil {
		return fmt.Errorf("the anchor: %w", err)
	}
	if c.Size > a.Size() || c.Restored > a.Restored().Times() {
		return nil
	}
	_, err = a.Compare(c)
	return err
}

// sample opens some bodies, each once.
func (out *Drilled) sample(ctx context.Context, o *DrillOptions, a *archive.Archive) error {
	seqs := drawn(a.Size(), o.Sample)
	for i, seq := range seqs {
		rec, err := a.Record(ctx, seq)
		switch {
		case err == nil:
			out.Bodies++
		case errors.Is(err, archive.ErrDisposed):
			out.Disposed++
		case errors.Is(err, archive.ErrNoBody) && out.lapsed(o, &rec.Leaf):
			out.Disposed++
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			return fmt.Errorf("%w: %w", ErrRestored, err)
		}
		if o.Progress != nil {
			o.Progress("sample", int64(i+1), int64(len(seqs)))
		}
	}
	return nil
}

// drawn returns the numbers of n entries of so many, in order and each once: the
// last always, for the newest file is the one that nobody has tried before, and
// others at random. Of fewer than n it returns all.
func drawn(size uint64, n int) []uint64 {
	if size == 0 || n <= 0 {
		return nil
	}
	others := size - 1
	seen := map[uint64]bool{others: true}
	// R. W. Floyd's way: each set of that many is as likely as any other.
	for top := others - min(uint64(n-1), others); top < others; top++ {
		seq := rand.Uint64N(top + 1) // #nosec G404 -- which entries are tried is no secret
		if seen[seq] {
			seq = top
		}
		seen[seq] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func (o *DrillOptions) destroyed(key archive.KeyID) bool {
	return o.Destroyed != nil && o.Destroyed(key)
}

// lapsed reports whether the key of a body file of an entry's class and month
// was destroyed.
func (out *Drilled) lapsed(o *DrillOptions, l *proof.Leaf) bool {
	prefix := "bodies/" + l.Month() + "." + l.Class + ".g"
	return slices.ContainsFunc(out.Manifest.Keys, func(k archive.KeyID) bool { return strings.HasPrefix(k.Name, prefix) && o.destroyed(k) })
}
