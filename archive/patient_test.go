package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// patient is a stopped archive of three log files, on copies of which damage is
// tried.
type patient struct {
	dir     string
	options Options
	size    uint64
}

const patientLeaves = 100 // in a log file

var (
	patientOnce sync.Once
	patientZero *patient // TestMain removes its folder
)

// newPatient returns a patient of the test's own; most share the one of
// onePatient, which they copy.
func newPatient(t testing.TB) *patient {
	t.Helper()
	return makePatient(t, t.TempDir())
}

func onePatient(t testing.TB) *patient {
	t.Helper()
	patientOnce.Do(func() {
		dir, err := os.MkdirTemp("", "holdfast-patient-")
		if err != nil {
			t.Fatal(err)
		}
		patientZero = makePatient(t, dir)
	})
	return patientZero
}

func makePatient(t testing.TB, dir string) *patient {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &patient{dir: dir, options: Options{Master: seal.NewKey(), LogFileLeaves: patientLeaves, ReadOnly: true}}
	if _, err := Create(t.Context(), dir, CreateOptions{ArchiveID: "ward.test", Master: p.options.Master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	writable := p.options
	writable.ReadOnly = false
	a, err := Open(t.Context(), dir, writable)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(21) {
		mustAppend(t, a, page(i*10+1, i*10+10))
		mustAppend(t, a, control(fmt.Sprintf("alarm %d", i)))
		if i%6 == 3 {
			if _, err := a.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, a, Batch{Entries: []Entry{{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: []byte("a look")}}})
		}
	}
	p.size = a.Size()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// copy returns a copy of the patient's directory.
func (p *patient) copy(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := p.copyTo(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (p *patient) copyTo(dir string) error {
	return filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, p.dir))
		if e.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		if e.Name() == "reserve" {
			return nil
		}
		return copyFile(path, to)
	})
}

// copyFile copies a file and keeps its holes.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	block := make([]byte, 64<<10)
	zero := make([]byte, len(block))
	at := int64(0)
	for err == nil {
		var n int
		if n, err = in.ReadAt(block, at); n > 0 && !bytes.Equal(block[:n], zero[:n]) {
			if _, e := out.WriteAt(block[:n], at); e != nil {
				err = e
			}
		}
		at += int64(n)
	}
	if errors.Is(err, io.EOF) {
		err = out.Truncate(at)
	}
	return errors.Join(err, in.Close(), out.Close())
}

// check opens a damaged copy to be read and checks it.
func (p *patient) check(t testing.TB, dir string, keyless bool) (*Report, error) {
	t.Helper()
	o := p.options
	o.Keyless = keyless
	a, err := Open(context.Background(), dir, o)
	if err != nil {
		return nil, err
	}
	r, err := a.Check(context.Background(), CheckOptions{Bodies: !keyless})
	if e := a.Close(); e != nil {
		t.Fatal(e)
	}
	return r, err
}

// logOf returns the path of the log file that holds seq. The patient's files
// break where a batch would not have fitted.
func (p *patient) logOf(t testing.TB, dir string, seq uint64) string {
	t.Helper()
	path := ""
	for n := uint64(0); ; n++ {
		if _, err := os.Stat(logPath(dir, n)); err != nil {
			return path
		}
		var first uint64
		edit(t, logPath(dir, n), func(tx *bbolt.Tx) { first = uint64of(tx.Bucket(bucketMeta).Get(keyFirst)) })
		if first > seq {
			return path
		}
		path = logPath(dir, n)
	}
}

func uint64of(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// edit changes a closed database behind the archive's back.
func edit(t testing.TB, path string, f func(tx *bbolt.Tx)) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { f(tx); return nil })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// change edits the value of one key.
func change(t testing.TB, path string, bucket, key []byte, f func(v []byte) []byte) {
	t.Helper()
	edit(t, path, func(tx *bbolt.Tx) {
		b := tx.Bucket(bucket)
		v := b.Get(key)
		if v == nil {
			t.Fatalf("%s has no %x in %s", path, key, bucket)
		}
		var err error
		if v = f(bytes.Clone(v)); v == nil {
			err = b.Delete(key)
		} else {
			err = b.Put(key, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

func flip(bit int) func([]byte) []byte {
	return func(v []byte) []byte { v[bit/8%len(v)] ^= 1 << (bit % 8); return v }
}

func deleted([]byte) []byte { return nil }

func named(r *Report) (seqs []uint64) {
	for _, f := range r.Findings {
		seqs = append(seqs, f.Seq)
	}
	return slices.Compact(seqs)
}

func (p *patient) bodyPath(t testing.TB, dir, class string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "bodies", "*."+class+".g1.db"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no body file of class %s: %v", class, err)
	}
	return found[0]
}

// ramDir returns a folder in memory if there is one: many states
// are tried, and no power is lost here.
func ramDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "holdfast-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
