package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/jws"
)

func TestCheckUndamaged(t *testing.T) {
	p := onePatient(t)
	for _, keyless := range []bool{false, true} {
		r, err := p.check(t, p.dir, keyless)
		if err != nil || !r.OK() || r.Size != p.size || r.Checkpoints != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	o := p.options
	o.Keyless = true
	a, err := Open(t.Context(), p.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Check(t.Context(), CheckOptions{Bodies: true}); !errors.Is(err, ErrKeys) {
		t.Errorf("bodies were checked without a key: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every altered leaf is named, and no other, whichever byte of it changed, and
// with no key as well.
func TestCheckAlteredLeaf(t *testing.T) {
	p := onePatient(t)
	dir := p.copy(t)
	for seq := uint64(0); seq < p.size; seq += 1 + seq%4 {
		path := p.logOf(t, dir, seq)
		var whole []byte
		bit := int(seq*37) % (8 * proof.MinLeaf)
		change(t, path, bucketLeaf, u64(seq), func(v []byte) []byte { whole = bytes.Clone(v); return flip(bit)(v) })
		r, err := p.check(t, dir, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := named(r); !slices.Equal(got, []uint64{seq}) {
			t.Fatalf("bit %d of leaf %d: findings %v", bit, seq, r.Findings)
		}
		change(t, path, bucketLeaf, u64(seq), func([]byte) []byte { return whole })
	}
}

// Several altered and missing leaves, side by side, are all named.
func TestCheckSeveralLeaves(t *testing.T) {
	p := onePatient(t)
	for _, c := range []struct{ gone, altered []uint64 }{
		{[]uint64{10}, []uint64{12, 30}},
		{[]uint64{10, 11, 12}, []uint64{13}},
		{[]uint64{0}, []uint64{1, 2, 3}},
		{nil, []uint64{40, 41, 42, 43}},
		{[]uint64{p.size - 1}, []uint64{p.size - 2}},
		{[]uint64{p.size - 3, p.size - 2, p.size - 1}, nil},
	} {
		dir := p.copy(t)
		for _, seq := range c.gone {
			change(t, p.logOf(t, dir, seq), bucketLeaf, u64(seq), deleted)
		}
		for _, seq := range c.altered {
			change(t, p.logOf(t, dir, seq), bucketLeaf, u64(seq), flip(13*8+int(seq%8))) // in the class or the time
		}
		r, err := p.check(t, dir, true)
		if err != nil {
			t.Fatal(err)
		}
		got := named(r)
		for _, seq := range slices.Concat(c.gone, c.altered) {
			if !slices.Contains(got, seq) {
				t.Errorf("%+v: entry %d is not named: %v", c, seq, r.Findings)
			}
		}
	}
}

// Every altered or missing hash of the tree is found, and the entry named is
// the one that completed it.
func TestCheckAlteredNode(t *testing.T) {
	p := onePatient(t)
	dir := p.copy(t)
	for seq := uint64(1); seq < p.size; seq += 2 + 2*(seq>>1%3) {
		for level := 1; (seq+1)%(1<<level) == 0; level++ {
			path := p.logOf(t, dir, seq)
			key := u64(uint64(tlog.StoredHashIndex(level, int64(seq>>level))))
			for _, f := range []func([]byte) []byte{flip(int(seq) * 11), deleted} {
				var whole []byte
				change(t, path, bucketNode, key, func(v []byte) []byte { whole = bytes.Clone(v); return f(v) })
				r, err := p.check(t, dir, true)
				if err != nil {
					t.Fatal(err)
				}
				if got := named(r); !slices.Contains(got, seq) {
					t.Fatalf("node %d of level %d: findings %v", seq>>level, level, r.Findings)
				}
				edit(t, path, func(tx *bbolt.Tx) {
					if err := tx.Bucket(bucketNode).Put(key, whole); err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
}

func TestCheckDamage(t *testing.T) {
	p := onePatient(t)
	last := p.size - 1
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   []uint64 // named
		opens  bool     // for writing: what a start looks at shows nothing
	}{
		"a checkpoint's bit": {func(t *testing.T, dir string) {
			edit(t, logPath(dir, 0), func(tx *bbolt.Tx) {
				k, v := tx.Bucket(bucketCheckpoint).Cursor().First()
				if err := tx.Bucket(bucketCheckpoint).Put(k, flip(700)(bytes.Clone(v))); err != nil {
					t.Fatal(err)
				}
			})
		}, []uint64{44}, true},
		"a checkpoint of another size": {func(t *testing.T, dir string) {
			edit(t, logPath(dir, 0), func(tx *bbolt.Tx) {
				k, v := tx.Bucket(bucketCheckpoint).Cursor().First()
				if err := tx.Bucket(bucketCheckpoint).Put(u64(uint64of(k)+1), bytes.Clone(v)); err != nil {
					t.Fatal(err)
				}
			})
		}, []uint64{45}, true},
		"a body's bit": {func(t *testing.T, dir string) {
			change(t, p.bodyPath(t, dir, "general"), bucketRecord, u64(5), flip(100))
		}, []uint64{5}, false},
		"a body missing": {func(t *testing.T, dir string) {
			change(t, p.bodyPath(t, dir, "general"), bucketRecord, u64(5), deleted)
		}, []uint64{5}, false},
		"the last body missing": {func(t *testing.T, dir string) {
			change(t, p.bodyPath(t, dir, "control"), bucketRecord, u64(last), deleted)
		}, []uint64{last}, false},
		"two bodies changed about": {func(t *testing.T, dir string) {
			path := p.bodyPath(t, dir, "general")
			var one []byte
			change(t, path, bucketRecord, u64(5), func(v []byte) []byte { one = bytes.Clone(v); return v })
			var two []byte
			change(t, path, bucketRecord, u64(7), func(v []byte) []byte { two = bytes.Clone(v); return one })
			change(t, path, bucketRecord, u64(5), func([]byte) []byte { return two })
		}, []uint64{5, 7}, false},
		"a body of another file": {func(t *testing.T, dir string) {
			var one []byte
			change(t, p.bodyPath(t, dir, "control"), bucketRecord, u64(11), func(v []byte) []byte { one = bytes.Clone(v); return v })
			edit(t, p.bodyPath(t, dir, "general"), func(tx *bbolt.Tx) {
				if err := tx.Bucket(bucketRecord).Put(u64(11), one); err != nil {
					t.Fatal(err)
				}
			})
		}, []uint64{11}, true},
		"body files changed about": {func(t *testing.T, dir string) {
			one, two := p.bodyPath(t, dir, "control"), p.bodyPath(t, dir, "audit")
			rename(t, one, one+"x")
			rename(t, two, one)
			rename(t, one+"x", two)
		}, []uint64{0, 11, 45}, false},
		"a body file missing": {func(t *testing.T, dir string) {
			remove(t, p.bodyPath(t, dir, "audit"))
		}, []uint64{45}, false},
		"a body file cut off": {func(t *testing.T, dir string) {
			if err := os.Truncate(p.bodyPath(t, dir, "audit"), 16<<10); err != nil {
				t.Fatal(err)
			}
		}, []uint64{45}, false},
		"the cursor's bit": {func(t *testing.T, dir string) {
			change(t, logPath(dir, 2), bucketCursor, keyRelay, flip(90))
		}, []uint64{last}, false},
		"the cursor missing": {func(t *testing.T, dir string) {
			change(t, logPath(dir, 2), bucketCursor, keyRelay, deleted)
		}, []uint64{last}, false},
		"the tip's bit": {func(t *testing.T, dir string) {
			change(t, logPath(dir, 2), bucketMeta, keyTip, flip(70))
		}, []uint64{last}, false},
		"the tip missing": {func(t *testing.T, dir string) {
			change(t, logPath(dir, 2), bucketMeta, keyTip, deleted)
		}, []uint64{last}, false},
		"a leaf key's high bit": {func(t *testing.T, dir string) {
			edit(t, logPath(dir, 2), func(tx *bbolt.Tx) {
				b := tx.Bucket(bucketLeaf)
				v := bytes.Clone(b.Get(u64(last)))
				if err := errors.Join(b.Delete(u64(last)), b.Put(u64(last|1<<63), v)); err != nil {
					t.Fatal(err)
				}
			})
		}, []uint64{last}, false},
		"the log's end cut off with its record": {func(t *testing.T, dir string) {
			change(t, logPath(dir, 2), bucketMeta, keyTip, deleted)
			change(t, logPath(dir, 2), bucketLeaf, u64(last), deleted)
		}, []uint64{last - 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := p.copy(t)
			c.damage(t, dir)
			r, err := p.check(t, dir, false)
			if err != nil {
				t.Fatal(err)
			}
			got := named(r)
			for _, seq := range c.want {
				if !slices.Contains(got, seq) {
					t.Errorf("entry %d is not named: %v", seq, r.Findings)
				}
			}
			if len(got) > len(c.want) && name != "body files changed about" && name != "a body file missing" && name != "a body file cut off" {
				t.Errorf("others than %v are named: %v", c.want, r.Findings)
			}
			o := p.options
			o.ReadOnly = false
			a, err := Open(t.Context(), dir, o)
			if c.opens != (err == nil) {
				t.Errorf("opened for writing: %v", err)
			}
			if err == nil {
				err = a.Close()
			}
			if err != nil && !c.opens && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBody) {
				t.Errorf("refused with %v", err)
			}
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A missing log file is said, with what was in it, and nothing is mended.
func TestLogFileMissing(t *testing.T) {
	p := onePatient(t)
	for number, want := range []string{"entries 0 to 99", "entries 100 to 1", "000002.db, the newest"} {
		dir := p.copy(t)
		remove(t, logPath(dir, uint64(number)))
		for _, readOnly := range []bool{true, false} {
			o := p.options
			o.ReadOnly = readOnly
			if a, err := Open(t.Context(), dir, o); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
				t.Errorf("log file %d: opened %v: %v", number, a != nil, err)
			}
		}
	}
}

// An identity.json that was changed but fits in itself is noticed by Check,
// and the archive does not open for writing: its next keyring would be sealed
// to another recovery key.
func TestIdentityChanged(t *testing.T) {
	p := onePatient(t)
	dir := p.copy(t)
	text, id, err := readIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(text, []byte(id.RecoveryKey[:100]), []byte(jws.EncodeB64(other.Public())[:100]), 1)
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), bad, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := p.check(t, dir, false)
	if err != nil || !slices.Equal(named(r), []uint64{0}) {
		t.Errorf("%+v, %v", r, err)
	}
	o := p.options
	o.ReadOnly = false
	if _, err := Open(t.Context(), dir, o); !errors.Is(err, ErrForeign) {
		t.Errorf("opened for writing: %v", err)
	}
	// Another archive's identity altogether.
	foreign := newPatient(t)
	b, err := os.ReadFile(filepath.Join(foreign.dir, "identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.check(t, dir, false); !errors.Is(err, ErrKeys) {
		t.Errorf("with the key: %v", err)
	}
	if _, err := p.check(t, dir, true); !errors.Is(err, ErrForeign) {
		t.Errorf("without the key: %v", err)
	}
}

// The newest log file put back from an older copy is consistent in itself:
// nothing in the directory but bodies past its end tells. One group's worth of
// those is what a crash leaves, so it opens, and the relay sends again.
func TestOlderLogFileRestored(t *testing.T) {
	a, dir := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 10))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(logPath(dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), dir, a.opts)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, page(11, 20))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logPath(dir, 0), older, 0o600); err != nil {
		t.Fatal(err)
	}
	o := a.opts
	o.ReadOnly = true
	p := &patient{dir: dir, options: o}
	r, err := p.check(t, dir, false)
	if err != nil || !r.OK() || r.Size != 11 {
		t.Fatalf("%+v, %v", r, err)
	}
	c, err := Open(t.Context(), dir, a.opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, placed := range mustAppend(t, c, page(11, 20)) {
		if placed.Skipped {
			t.Fatal("the relay's messages were taken for present")
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// More bodies past the log's end than a crash can leave are all that is left of
// a lost end: they are not deleted.
func TestLostEndKeepsBodies(t *testing.T) {
	a, dir := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 10))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "bodies", bodyName(a.w.end.month(), proof.ClassGeneral, 1)+".db")
	far := a.Size() + maxOrphans
	edit(t, path, func(tx *bbolt.Tx) {
		if err := errors.Join(tx.Bucket(bucketRecord).Put(u64(far), []byte("x")), tx.Bucket(bucketRecord).Put(u64(a.Size()), []byte("x"))); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := Open(t.Context(), dir, a.opts); !errors.Is(err, ErrDamaged) {
		t.Fatalf("opened: %v", err)
	}
	edit(t, path, func(tx *bbolt.Tx) {
		b := tx.Bucket(bucketRecord)
		if b.Get(u64(a.Size())) == nil {
			t.Error("a body past the end was deleted")
		}
		if err := b.Delete(u64(far)); err != nil {
			t.Fatal(err)
		}
	})
	b, err := Open(t.Context(), dir, a.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(tx *bbolt.Tx) {
		if tx.Bucket(bucketRecord).Get(u64(a.Size())) != nil {
			t.Error("an orphan was left")
		}
	})
}

// month is that of the last leaf.
func (t *tip) month() string {
	l := proof.Leaf{Received: t.received}
	return l.Month()
}
