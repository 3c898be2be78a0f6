package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// content returns a digest of everything in a database that Check answers for,
// "" if it cannot be read.
func content(path string) (digest string) {
	h := sha256.New()
	err := guard(func() error {
		db, err := openBolt(path, forChecking)
		if err != nil {
			return err
		}
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
				fmt.Fprintf(h, "bucket %q\n", name)
				if string(name) == string(bucketDevice) || string(name) == string(bucketDedupe) {
					return nil // FORMAT.md section 10: no sum covers them
				}
				return b.ForEach(func(k, v []byte) error { return hashPair(h, name, k, v) })
			})
		})
		return errors.Join(err, db.Close())
	})
	if err != nil {
		return ""
	}
	return string(h.Sum(nil))
}

func hashPair(h hash.Hash, bucket, k, v []byte) error {
	if string(bucket) == string(bucketMeta) && (string(k) == string(keyRolled) || string(k) == string(keyFormat)) {
		v = nil // that they are there is what counts
	}
	_, err := fmt.Fprintf(h, "%x %x\n", k, v)
	return err
}

// flips damages one random place of the raw files after the other and checks.
// Whatever it hits, Check comes back; and if it changed anything that Check
// answers for, it says so.
func flips(t *testing.T, p *patient, seed uint64, rounds int) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := p.copy(t)
	var files []string
	before := map[string]string{}
	used := map[string][]int64{} // offsets of the pages in use: the rest is a hole
	for _, pattern := range []string{"log/*.db", "bodies/*.db"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		before[path] = content(path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(b); at += 64 {
			if string(b[at:at+64]) != string(make([]byte, 64)) {
				used[path] = append(used[path], int64(at))
			}
		}
	}
	mattered, missed := 0, 0
	for round := range rounds {
		path := files[rnd.IntN(len(files))]
		at := used[path][rnd.IntN(len(used[path]))] + rnd.Int64N(64)
		if round%4 == 0 {
			at = at&^(16<<10-1) + rnd.Int64N(64) // a page's header and first elements
		}
		was := poke(t, path, at, func(b byte) byte {
			if round%3 == 0 {
				return byte(rnd.Uint32())
			}
			return b ^ 1<<rnd.IntN(8)
		})
		changed := content(path) != before[path]
		r, err := p.check(t, dir, false)
		found := err != nil || !r.OK()
		if changed {
			mattered++
			if !found {
				missed++
				t.Errorf("round %d: byte %d of %s was changed and nothing found", round, at, filepath.Base(path))
			}
		}
		poke(t, path, at, func(byte) byte { return was })
	}
	t.Logf("%d flips, %d changed something, %d of them missed", rounds, mattered, missed)
	if r, err := p.check(t, dir, false); err != nil || !r.OK() {
		t.Fatalf("after all was put back: %+v, %v", r, err)
	}
}

// poke changes one byte of a file in place and returns what it was.
func poke(t *testing.T, path string, at int64, f func(byte) byte) byte {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	was := b[0]
	b[0] = f(was)
	_, err = file.WriteAt(b[:], at)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return was
}

func TestCheckAnyByte(t *testing.T) { flips(t, onePatient(t), 1, 150) }

// A file cut off anywhere, under a reader's feet included, is damage and no
// crash.
func TestCheckCutOff(t *testing.T) {
	p := onePatient(t)
	dir := p.copy(t)
	o := p.options
	a, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{p.bodyPath(t, dir, "general"), logPath(dir, 1), logPath(dir, 0)} {
		if err := os.Truncate(path, 48<<10); err != nil {
			t.Fatal(err)
		}
		r, err := a.Check(t.Context(), CheckOptions{Bodies: true})
		if err != nil || r.OK() {
			t.Fatalf("%s cut off: %+v, %v", filepath.Base(path), r, err)
		}
		for range a.Records(t.Context(), 0, p.size) { // errors, no crash
			continue
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 1, 4096, 16 << 10, 17 << 10, 40 << 10} {
		if err := os.Truncate(logPath(dir, 0), size); err != nil {
			t.Fatal(err)
		}
		if r, err := p.check(t, dir, false); err == nil && r.OK() {
			t.Fatalf("%d bytes of a log file were the whole", size)
		}
		if err := copyFile(logPath(p.dir, 0), logPath(dir, 0)); err != nil {
			t.Fatal(err)
		}
	}
}
