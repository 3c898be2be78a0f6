package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// again is how the ward's backup is put back: from the two folders and the kit
// alone, into a fresh folder, under another master key.
func (w *ward) again() RestoreOptions {
	return RestoreOptions{From: w.to, Keys: w.keys, To: filepath.Join(w.t.TempDir(), "restored"), Recovery: w.recovery, Master: seal.NewKey()}
}

func (w *ward) point() (proof.Checkpoint, []byte) {
	w.t.Helper()
	signed, err := w.Checkpoint(context.Background())
	check(w.t, err)
	key, err := w.Identity().LogVerifier()
	check(w.t, err)
	c, err := proof.OpenCheckpoint(signed, key)
	check(w.t, err)
	return c, signed
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(10)
	r := w.make()
	size, newest := w.Size(), w.page(1).Entries[0].RelaySeq
	// The original machine is gone, and what came after the backup with it.
	w.append(control("lost"))
	_, anchor := w.point()
	check(t, w.Close())
	check(t, os.RemoveAll(w.dir))

	o := w.again()
	o.Anchor = anchor
	var said []string
	o.Progress = func(what string, done, total int64) {
		if done > total {
			t.Errorf("%s: %d of %d", what, done, total)
		}
		said = append(said, what)
	}
	out, err := Restore(t.Context(), o)
	check(t, err)
	if !out.Report.OK() || out.Report.Bodies != size || out.Manifest.ID != r.Manifest.ID || len(out.Missing) > 0 {
		t.Fatalf("%+v", out.Report)
	}
	if out.Lost == nil || *out.Lost != (archive.Lost{From: size, To: size + 1}) {
		t.Errorf("lost: %+v", out.Lost)
	}
	if said = slices.Compact(said); !slices.Equal(said, []string{"copy", "check"}) {
		t.Errorf("told: %v", said)
	}
	a, err := archive.Open(t.Context(), o.To, archive.Options{Master: o.Master})
	check(t, err)
	if m := a.Restored(); m.Times() != 1 || !m.Pending || m.Sizes[0] != size {
		t.Errorf("the log is marked as restored %d times", m.Times())
	}
	if c, ok := a.Cursor(); !ok || c.Seq != newest-1 {
		t.Errorf("it goes on behind relay seq %d", c.Seq)
	}
	w.relay, w.Archive, w.dir = newest-1, a, o.To
	w.fill(5)
	if c, _ := w.point(); c.Restored != 1 {
		t.Errorf("it signs as %s", c.Line())
	}
	report, err := a.Check(t.Context(), archive.CheckOptions{Bodies: true})
	check(t, err)
	if !report.OK() {
		t.Errorf("%+v", report.Findings)
	}
	// A backup of the restored archive is put back in its turn.
	w.make()
	o = w.again()
	out, err = Restore(t.Context(), o)
	check(t, err)
	if out.Mark.Times() != 2 || out.Manifest.Size == size {
		t.Errorf("restored %d times, %d entries", out.Mark.Times(), out.Manifest.Size)
	}
}

// What is not wanted is refused, and leaves nothing behind.
func TestRestoreRefused(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	w.make()
	other := newWard(t)
	other.fill(2)
	foreign := other.make()
	for name, c := range map[string]struct {
		change func(o *RestoreOptions)
		want   error
	}{
		"onto a live archive": {func(o *RestoreOptions) { o.To = w.dir }, ErrNotEmpty},
		"onto something": {func(o *RestoreOptions) {
			check(t, os.Mkdir(o.To, 0o700))
			check(t, os.WriteFile(filepath.Join(o.To, "thesis.txt"), []byte("x"), 0o600))
		}, ErrNotEmpty},
		"another kit":         {func(o *RestoreOptions) { o.Recovery = other.recovery }, archive.ErrKit},
		"no backups":          {func(o *RestoreOptions) { o.From = t.TempDir() }, ErrNoBackup},
		"no such backup":      {func(o *RestoreOptions) { o.Backup = "20200101T000000Z-5" }, ErrNoBackup},
		"no id":               {func(o *RestoreOptions) { o.Backup = "../x" }, ErrNoBackup},
		"another's keys":      {func(o *RestoreOptions) { o.Keys = other.keys }, ErrNoKeys},
		"another's anchor":    {func(o *RestoreOptions) { _, o.Anchor = other.point() }, proof.ErrCheckpoint},
		"an anchor of a fork": {func(o *RestoreOptions) { o.Anchor = fork(t, w) }, archive.ErrAnchor},
		"another's manifest": {func(o *RestoreOptions) {
			o.From = cloneDir(t, w.to)
			compact, err := os.ReadFile(ManifestPath(other.to, foreign.Manifest.ID))
			check(t, err)
			o.Backup = NewID(mustTime(t, foreign.Manifest.ID).AddDate(1, 0, 0), foreign.Manifest.Size)
			check(t, os.WriteFile(ManifestPath(o.From, o.Backup), compact, 0o600))
		}, ErrDamaged},
		"another's manifest and objects": {func(o *RestoreOptions) {
			o.From, o.Recovery, o.Keys, o.Backup = cloneDir(t, w.to), other.recovery, other.keys, foreign.Manifest.ID
			check(t, os.Remove(ManifestPath(o.From, onlyID(t, w.to))))
			check(t, os.CopyFS(filepath.Join(o.From, "other"), os.DirFS(other.to)))
			merge(t, other.to, o.From)
		}, ErrForeign},
	} {
		o := w.again()
		c.change(&o)
		before := names(t, o.To)
		out, err := Restore(t.Context(), o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %+v", name, err, out)
		}
		if after := names(t, o.To); !slices.Equal(before, after) {
			t.Errorf("%s: it left %v", name, after)
		}
	}
}

// fork signs, under the ward's own key, a log that is not the ward's.
func fork(t *testing.T, w *ward) []byte {
	t.Helper()
	copied := cloneDir(t, w.dir)
	o := w.options
	a, err := archive.Open(t.Context(), copied, o)
	check(t, err)
	defer func() { check(t, a.Close()) }()
	_, err = a.Append(t.Context(), control("other"))
	check(t, err)
	signed, err := a.Checkpoint(t.Context())
	check(t, err)
	w.append(control("one"))
	w.make()
	return signed
}

func mustTime(t *testing.T, id string) (at time.Time) {
	t.Helper()
	at, _, err := ParseID(id)
	check(t, err)
	return at
}

func onlyID(t *testing.T, to string) string {
	t.Helper()
	ids, err := IDs(to)
	check(t, err)
	return ids[len(ids)-1]
}

func cloneDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	check(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// merge copies the backups and objects of one folder beside those of another.
func merge(t *testing.T, from, to string) {
	t.Helper()
	check(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, path)
		if err != nil || d.IsDir() || rel == markerName || rel == lockName {
			return err
		}
		b, err := os.ReadFile(path)
		check(t, err)
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700))
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}))
}

// names lists the files of a folder, nothing of one that is not there.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if path != dir {
			out = append(out, path)
		}
		return err
	}))
	return out
}

// Every byte of a backup counts: whichever is flipped, the restore says so.
// Of the large files it is tried at some places, of everything else at every
// fifth.
func TestRestoreFindsEveryFlip(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	w.make()
	tried := 0
	for _, root := range []string{w.to, w.keys} {
		check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == lockName {
				return err
			}
			b, err := os.ReadFile(path)
			check(t, err)
			large := strings.Contains(path, objectsName)
			step := 5 // of what is text
			if large || strings.Contains(path, keyCopyPrefix) {
				step = max(1, len(b)/8)
			}
			for at := 0; at < len(b); at += step {
				flipped := slices.Clone(b)
				flipped[at] ^= 1 << (at % 8)
				check(t, os.WriteFile(path, flipped, 0o600))
				o := w.again()
				if _, err := Restore(t.Context(), o); err == nil {
					t.Errorf("%s: nobody noticed byte %d of %d", path, at, len(b))
				} else if left := names(t, o.To); len(left) > 0 {
					t.Errorf("%s: byte %d left %v", path, at, left)
				}
				tried++
			}
			return os.WriteFile(path, b, 0o600)
		}))
	}
	if tried < 500 {
		t.Errorf("tried only %d places", tried)
	}
	out, err := Restore(t.Context(), w.again())
	check(t, err)
	if !out.Report.OK() {
		t.Errorf("%+v", out.Report)
	}
}

// Files that are cut off, missing, swapped or too many are found.
func TestRestoreFindsDamage(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(3)
	m := w.make().Manifest
	object := func(to, name string) string {
		for f, err := range m.AllFiles(t.Context(), to) {
			check(t, err)
			if strings.HasPrefix(f.Path, name) {
				return ObjectPath(to, f.SHA256)
			}
		}
		t.Fatalf("no %s", name)
		return ""
	}
	for _, kind := range []string{"identity.json", "log/", "bodies/", "blobs/"} {
		for name, damage := range map[string]func(to, path string) error{
			"cut off": func(_, path string) error { return os.Truncate(path, 10) },
			"emptied": func(_, path string) error { return os.Truncate(path, 0) },
			"longer": func(_, path string) error {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				check(t, err)
				_, err = f.Write([]byte{0})
				return errors.Join(err, f.Close())
			},
			"missing": func(_, path string) error { return os.Remove(path) },
			"a link": func(_, path string) error {
				return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
			},
			"a folder": func(_, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
			"swapped": func(to, path string) error {
				other := object(to, map[bool]string{true: "log/", false: "bodies/"}[kind != "log/"])
				if other == path {
					other = object(to, "blobs/")
				}
				return errors.Join(os.Rename(path, path+".x"), os.Rename(other, path), os.Rename(path+".x", other))
			},
		} {
			o := w.again()
			o.From = cloneDir(t, w.to)
			check(t, damage(o.From, object(o.From, kind)))
			if _, err := Restore(t.Context(), o); err == nil {
				t.Errorf("%s %s: nobody noticed", kind, name)
			} else if left := names(t, o.To); len(left) > 0 {
				t.Errorf("%s %s: it left %d files", kind, name, len(left))
			}
		}
	}
}

// resigned changes a backup as somebody could who has the identity key: what
// the manifest's signature would hide, the check of everything finds.
func (w *ward) resigned(m Manifest, change func(m *Manifest, to string)) string {
	w.t.Helper()
	to := cloneDir(w.t.(*testing.T), w.to)
	check(w.t, os.Remove(ManifestPath(to, m.ID)))
	text, err := json.Marshal(m)
	check(w.t, err)
	var copied Manifest
	check(w.t, json.Unmarshal(text, &copied))
	change(&copied, to)
	compact, err := copied.Sign(w.IdentitySigner())
	check(w.t, err)
	check(w.t, os.WriteFile(ManifestPath(to, copied.ID), compact, 0o600))
	return to
}

// rewrite changes a file of a backup and its place in the manifest.
func rewrite(t *testing.T, to string, m *Manifest, prefix string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	for i := range m.Files {
		f := &m.Files[i]
		if !strings.HasPrefix(f.Path, prefix) {
			continue
		}
		path := filepath.Join(t.TempDir(), "db")
		b, err := os.ReadFile(ObjectPath(to, f.SHA256))
		check(t, err)
		check(t, os.WriteFile(path, b, 0o600))
		db, err := bbolt.Open(path, 0o600, nil)
		check(t, err)
		check(t, db.Update(change))
		check(t, db.Close())
		b, err = os.ReadFile(path)
		check(t, err)
		f.SHA256, f.Size = hashOf(b), int64(len(b))
		check(t, os.MkdirAll(filepath.Dir(ObjectPath(to, f.SHA256)), 0o700))
		check(t, os.WriteFile(ObjectPath(to, f.SHA256), b, 0o600))
		return
	}
	t.Fatalf("no %s", prefix)
}

func TestRestoreChecksWhatIsSigned(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(4)
	older := w.make().Manifest
	w.fill(4)
	m := w.make().Manifest
	for name, change := range map[string]func(m *Manifest, to string){
		"a body that is gone": func(m *Manifest, to string) {
			rewrite(t, to, m, "bodies/", func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte("record"))
				k, _ := b.Cursor().First()
				return b.Delete(k)
			})
		},
		"a leaf that was changed": func(m *Manifest, to string) {
			rewrite(t, to, m, "log/", func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte("leaf"))
				k, v := b.Cursor().First()
				v = slices.Clone(v)
				v[20] ^= 1
				return b.Put(k, v)
			})
		},
		"an older log": func(m *Manifest, _ string) {
			for i, f := range m.Files {
				if strings.HasPrefix(f.Path, "log/") {
					j := slices.IndexFunc(older.Files, func(o File) bool { return o.Path == f.Path })
					if j >= 0 {
						m.Files[i] = older.Files[j]
					}
				}
			}
		},
		"another cursor":        func(m *Manifest, _ string) { m.Cursor.Seq++ },
		"no cursor":             func(m *Manifest, _ string) { m.Cursor = nil },
		"a body file left out":  func(m *Manifest, _ string) { m.Files = slices.Delete(m.Files, 0, 1) },
		"a later schema":        func(m *Manifest, _ string) { m.Schema = archive.Schema + 1 },
		"a key that nobody has": func(m *Manifest, _ string) { m.Keys[0].ID = strings.Repeat("ab", 16) },
		"a later keyring":       func(m *Manifest, _ string) { m.Keyring += 100 },
	} {
		o := w.again()
		o.From = w.resigned(*m, change)
		if _, err := Restore(t.Context(), o); err == nil {
			t.Errorf("%s: nobody noticed", name)
		} else if left := names(t, o.To); len(left) > 0 {
			t.Errorf("%s: it left %d files", name, len(left))
		}
	}
}

// Bodies that came into a file after the log was copied are left out, however
// many they are.
func TestRestoreTruncatesBodies(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	m := w.make().Manifest
	o := w.again()
	o.From = w.resigned(*m, func(m *Manifest, to string) {
		rewrite(t, to, m, "bodies/", func(tx *bbolt.Tx) error {
			for seq := range uint64(30_000) { // more than a crash can leave
				if err := tx.Bucket([]byte("record")).Put(fmt.Appendf(nil, "%c%c%c%c%c%c%c%c", 0, 0, 0, 1, byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)), []byte("later")); err != nil {
					return err
				}
			}
			return nil
		})
	})
	out, err := Restore(t.Context(), o)
	check(t, err)
	if out.Truncated == 0 || !out.Report.OK() || out.Report.Orphans != 0 {
		t.Errorf("truncated %d, %+v", out.Truncated, out.Report)
	}
	a, err := archive.Open(t.Context(), o.To, archive.Options{Master: o.Master})
	check(t, err)
	check(t, a.Close())
}

// A backup of whose body files a key was destroyed since is damaged, unless a
// certificate says so; then what it covers is disposed of, and the rest damaged.
func TestRestoreAfterADisposition(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(3)
	m := w.make().Manifest
	month := ""
	for _, f := range m.Files {
		if strings.Contains(f.Path, ".orders.") {
			month = filepath.Base(f.Path)[:7]
		}
	}
	w.disposeOf(archive.ClassMonth{Class: "orders", Month: month})
	w.newestKeysAlone()
	o := w.again()
	if _, err := Restore(t.Context(), o); !errors.Is(err, ErrLostKeys) {
		t.Fatalf("%v", err)
	}
	var asked uint64
	o.Lapsed = func(file string, l *proof.Leaf) bool {
		if l.Class != "orders" || file != month+".orders.g1" {
			t.Errorf("asked of %s in %s", l.Class, file)
		}
		asked++
		return true
	}
	out, err := Restore(t.Context(), o)
	check(t, err)
	if !out.Report.OK() || out.Report.Disposed != asked || asked == 0 || len(out.Missing) != 1 {
		t.Errorf("%d disposed of, %d asked, %+v", out.Report.Disposed, asked, out.Missing)
	}
	o = w.again()
	first := true
	o.Lapsed = func(string, *proof.Leaf) bool { defer func() { first = false }(); return !first }
	if _, err := Restore(t.Context(), o); !errors.Is(err, ErrRestored) {
		t.Errorf("an entry that no certificate covers: %v", err)
	}
	first, o.Salvage = true, true
	if out, err := Restore(t.Context(), o); err != nil || out.Report.Damage != 1 {
		t.Errorf("salvaged: %v", err)
	} else if len(names(t, o.To)) == 0 {
		t.Error("nothing was kept")
	}
}

// disposeOf destroys a whole class-month as a disposition does.
func (w *ward) disposeOf(cm archive.ClassMonth) {
	w.t.Helper()
	ctx := context.Background()
	r, err := w.Reseal(ctx, cm, archive.ResealOptions{Keep: func(archive.Record) (bool, error) { return false, nil }})
	check(w.t, err)
	_, err = w.Switch(ctx, []*archive.Resealed{r}, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindIntent, Class: proof.ClassControl, Body: []byte("{}")}}})
	check(w.t, err)
	_, err = w.Destroy(ctx, []archive.ClassMonth{cm}, nil)
	check(w.t, err)
}

func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
