package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// ward is an archive with the folders of its backups.
type ward struct {
	*archive.Archive
	t                  testing.TB
	dir, to, keys, tmp string
	options            archive.Options
	recovery           *seal.RecoveryKey
	book               book
	relay              uint64
}

const wardLeaves = 60 // in a log file

func newWard(t testing.TB) *ward {
	t.Helper()
	home := t.TempDir()
	recovery, err := seal.NewRecoveryKey()
	check(t, err)
	w := &ward{
		t: t, dir: filepath.Join(home, "data"), to: filepath.Join(home, "to"), keys: filepath.Join(home, "keys"), tmp: filepath.Join(home, "restored"),
		options: archive.Options{Master: seal.NewKey(), LogFileLeaves: wardLeaves, Reserve: 64 << 10, LowWater: 64 << 10}, recovery: recovery,
	}
	_, err = archive.Create(t.Context(), w.dir, archive.CreateOptions{ArchiveID: "ward.test", Master: w.options.Master, Recovery: recovery.Public()})
	check(t, err)
	check(t, os.Mkdir(w.to, 0o700))
	check(t, os.Mkdir(w.keys, 0o700))
	w.open()
	t.Cleanup(func() { check(t, w.Close()) })
	return w
}

func (w *ward) open() {
	a, err := archive.Open(context.Background(), w.dir, w.options)
	check(w.t, err)
	w.Archive = a
	if c, ok := a.Cursor(); ok {
		w.relay = c.Seq
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// page returns the next n messages of the relay's, of several classes.
func (w *ward) page(n int) archive.Batch {
	b := archive.Batch{Cursor: &archive.Cursor{Epoch: "e1", Seq: w.relay + uint64(n)}}
	for range n {
		w.relay++
		body := bytes.Repeat(fmt.Appendf(nil, "message %d ", w.relay), 20)
		b.Entries = append(b.Entries, archive.Entry{
			Kind: proof.KindMessage, Class: []string{"general", "orders"}[w.relay%2], Epoch: "e1", RelaySeq: w.relay, Body: body, Note: []byte(`{}`),
			Dedupe: &archive.Dedupe{Device: fmt.Sprintf("dev%d", w.relay%5), N: w.relay, Digest: sha256.Sum256(body)},
		})
	}
	return b
}

func (w *ward) append(b archive.Batch) {
	w.t.Helper()
	_, err := w.Append(context.Background(), b)
	check(w.t, err)
}

func control(text string) archive.Batch {
	return archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: []byte(text)}}}
}

// fill appends some pages and one attachment.
func (w *ward) fill(pages int) {
	w.t.Helper()
	for i := range pages {
		w.append(w.page(10))
		w.append(control("alarm"))
		text := fmt.Sprintf("attachment %d of %d", i, w.relay)
		check(w.t, w.PutBlob(context.Background(), text, sha256.Sum256([]byte(text)), strings.NewReader(text)))
	}
}

func (w *ward) keeper() *Keeper { return &Keeper{Archive: w.Archive, Dir: w.keys, Copies: &w.book} }

func (w *ward) backup() Options {
	return Options{Archive: w.Archive, Keys: w.keeper(), To: w.to, Spool: filepath.Join(w.dir, "spool"), Version: "test", Copies: &w.book}
}

func (w *ward) make() *Result {
	w.t.Helper()
	r, err := Make(w.t.Context(), w.backup())
	check(w.t, err)
	return r
}

// book is the account of copies.
type book struct {
	mu    sync.Mutex
	notes []Noted
	gone  map[string]bool
}

func (b *book) Made(_ context.Context, n Noted) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.notes, func(old Noted) bool { return old.ID == n.ID }) {
		return fmt.Errorf("%s is known", n.ID)
	}
	b.notes = append(b.notes, n)
	return nil
}

func (b *book) Gone(_ context.Context, id, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone == nil {
		b.gone = map[string]bool{}
	}
	if b.gone[id] || !slices.ContainsFunc(b.notes, func(n Noted) bool { return n.ID == id }) {
		return fmt.Errorf("%s is not there", id)
	}
	b.gone[id] = true
	return nil
}

func (b *book) Left() []Noted {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.notes), func(n Noted) bool { return b.gone[n.ID] })
}

func (b *book) ids(what string) (ids []string) {
	for _, n := range b.Left() {
		if n.What == what {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// putBack lays a backup's files out as an archive, under the keyring's own
// backup alone, and checks all of it.
func (w *ward) putBack(id string) *archive.Report {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "restored")
	m, identity, _, err := Open(w.to, id)
	check(w.t, err)
	for _, sub := range []string{"log", "bodies", "blobs", "blobs/tmp", "index"} {
		check(w.t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
	}
	for f, err := range m.AllFiles(context.Background(), w.to) {
		check(w.t, err)
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		check(w.t, os.MkdirAll(filepath.Dir(path), 0o700))
		out, err := os.Create(path)
		check(w.t, err)
		check(w.t, CopyObject(context.Background(), w.to, f, out))
		check(w.t, out.Close())
	}
	sealed, sidecar, err := NewestKeys(w.keys, identity)
	check(w.t, err)
	if missing := sidecar.Missing(m.Keys); len(missing) > 0 {
		w.t.Fatalf("keys are missing: %v", missing)
	}
	check(w.t, os.WriteFile(filepath.Join(dir, "keyring.recovery"), sealed, 0o600))
	o := w.options
	o.Master = seal.NewKey()
	check(w.t, archive.Recover(dir, w.recovery, o.Master))
	a, err := archive.Open(context.Background(), dir, o)
	check(w.t, err)
	defer func() { check(w.t, a.Close()) }()
	if a.Size() != m.Size {
		w.t.Errorf("the backup has %d entries, its manifest says %d", a.Size(), m.Size)
	}
	report, err := a.Check(context.Background(), archive.CheckOptions{Bodies: true})
	check(w.t, err)
	if !report.OK() {
		w.t.Errorf("the backup does not verify: %v", report.Findings)
	}
	_, err = a.Append(context.Background(), control("it goes on"))
	check(w.t, err)
	return report
}
