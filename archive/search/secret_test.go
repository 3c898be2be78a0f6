package search

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/archive/query"
)

// Nothing of a message, no name, no identifier, no field name may stand in any
// byte of the index directory, nor in the names of its files.
func TestNothingReadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(1000)
	canaries := []string{"quokkatext", "quokkaname", "quokkausr", "quokkaupn", "quokkamail", "quokkaparty", "quokkaconv", "quokkaroom", "quokkalong", "quokkafile", "quokkareference", "quokkamrn", "quokkamember"}
	for i := range 150 {
		src.append(&query.Doc{
			Text: fmt.Sprintf("Quokkatext number %d %s", i, strings.Repeat("quokkalong ", i%50)), Files: []query.File{{Name: "quokkaname.pdf", Text: "quokkafile"}}, Ref: [32]byte([]byte("quokkareferencequokkareferencequo")), MRN: "quokkamrn", Members: query.Parties{{Usr: "quokkamember", Name: "quokkamembername"}},
			From: query.Parties{{Usr: "quokkausr", UPN: "quokkaupn@x", Mail: "quokkamail@x", Name: "Quokkaparty"}},
			To:   query.Parties{{Usr: "quokkausr", Name: "Quokkaparty"}}, Sent: testBase.Add(time.Duration(i) * time.Second),
			Conversation: query.ConversationRef{ID: "quokkaconv", Name: "Quokkaroom"},
		})
	}
	x := openIndex(t, dir, src, Options{BatchDocs: 40})
	catchUp(t, x)
	if r, err := x.Search(t.Context(), parse(t, "quokkatext from:quokkamail@x"), SearchOptions{}); err != nil || r.Total != 150 {
		t.Fatalf("the canaries are not in the index: %+v, %v", r, err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	key, _ := testKeys("k").IndexKey(t.Context(), 0)
	total := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		total += len(b)
		b = bytes.ToLower(append(b, e.Name()...))
		for _, c := range append(canaries, "quok", "okka", fieldConversationName+"\x00", string(key[:])) {
			if len(c) > 3 && bytes.Contains(b, []byte(c)) {
				t.Errorf("%s holds %q", e.Name(), c)
			}
		}
		return err
	})
	if err != nil || total < 10_000 {
		t.Fatalf("%d bytes looked at, %v", total, err)
	}
}

// damageTest is an index that was closed in good order, to be copied and
// damaged, and the log it belongs to.
type damageTest struct {
	pristine string
	src      *memSource
	queries  []*query.Query
}

func newDamageTest(t *testing.T) *damageTest {
	r := rand.New(rand.NewPCG(3, 4))
	d := &damageTest{pristine: t.TempDir(), src: newSource(10_000)}
	for range 300 {
		d.src.append(randomDoc(r, int(d.src.Size())))
	}
	for _, s := range []string{"call", `"call doctor" OR bed`, "sent>=2026-01-02 NOT pain", "from:u1"} {
		d.queries = append(d.queries, parse(t, s))
	}
	x := openIndex(t, d.pristine, d.src, Options{BatchDocs: 100, unmerged: true})
	catchUp(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *damageTest) copy(t *testing.T) string {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(d.pristine)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// answers checks that no answer is wrong: less than the truth only when the
// answer says so.
func (d *damageTest) answers(t *testing.T, x *Index) error {
	for _, q := range d.queries {
		got, err := x.Search(t.Context(), q, SearchOptions{Limit: 10})
		if err != nil {
			return err
		}
		if want := d.src.brute(q, d.src.Size()); got.Total+got.Unindexed < uint64(len(want)) || got.Unindexed == 0 && got.Total != uint64(len(want)) {
			return fmt.Errorf("%s: %+v, want %d", q, got, len(want))
		}
	}
	return nil
}

func zaps(t *testing.T, dir string) []string { return indexFiles(t, dir, "*.zap") }
func root(t *testing.T, dir string) string   { return indexFiles(t, dir, rootName)[0] }

// Whatever happens to the files while the daemon is down, the next start ends
// with right results, not wrong ones.
func TestDamageIsRebuilt(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	for name, damage := range map[string]func(t *testing.T, dir string){
		"segment copied over another": func(t *testing.T, dir string) { copyFile(t, zaps(t, dir)[0], zaps(t, dir)[1]) },
		"segments exchanged": func(t *testing.T, dir string) {
			a, b := zaps(t, dir)[0], zaps(t, dir)[1]
			rename(t, a, a+"x")
			rename(t, b, a)
			rename(t, a+"x", b)
		},
		"segment gone":      func(t *testing.T, dir string) { remove(t, zaps(t, dir)[0]) },
		"segment empty":     func(t *testing.T, dir string) { truncate(t, zaps(t, dir)[0], 0) },
		"segment cut":       func(t *testing.T, dir string) { truncate(t, zaps(t, dir)[0], 100) },
		"segment cut by 1":  func(t *testing.T, dir string) { truncate(t, zaps(t, dir)[0], -1) },
		"root gone":         func(t *testing.T, dir string) { remove(t, root(t, dir)) },
		"root empty":        func(t *testing.T, dir string) { truncate(t, root(t, dir), 0) },
		"root cut":          func(t *testing.T, dir string) { truncate(t, root(t, dir), 4096) },
		"root is noise":     func(t *testing.T, dir string) { noise(t, root(t, dir)) },
		"segment is noise":  func(t *testing.T, dir string) { noise(t, zaps(t, dir)[0]) },
		"footer id is gone": func(t *testing.T, dir string) { clearFooterID(t, zaps(t, dir)[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := d.copy(t)
			damage(t, dir)
			var log bytes.Buffer
			x, err := Open(t.Context(), dir, testKeys("k"), d.src, Options{unmerged: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			// bleve goes back to an older state where there is one that is whole; else everything is discarded.
			if lag := x.Lag(); lag == 0 || lag == d.src.Size() && !strings.Contains(log.String(), "discarded") {
				t.Errorf("the damage was not noticed: lag %d, log %q", x.Lag(), &log)
			}
			if err := d.answers(t, x); err != nil {
				t.Errorf("before rebuilding: %v", err)
			}
			catchUp(t, x)
			d.src.scanned = 0
			if err := d.answers(t, x); err != nil || d.src.scanned != 0 {
				t.Errorf("after rebuilding: %v, %d scanned", err, d.src.scanned)
			}
		})
	}
}

// A flipped bit of a segment is always noticed; one of root.bolt's bookkeeping
// may go unnoticed as long as no answer changes.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	d := newDamageTest(t)
	r := rand.New(rand.NewPCG(14, 15))
	for i := range 8 {
		dir := d.copy(t)
		files := append(zaps(t, dir), root(t, dir))
		file := files[i%len(files)]
		flipBit(t, file, r)
		x, err := Open(t.Context(), dir, testKeys("k"), d.src, Options{unmerged: true})
		if err != nil {
			t.Fatal(err)
		}
		if x.Lag() == 0 && strings.HasSuffix(file, ".zap") {
			t.Error("a flipped bit of a segment was not noticed")
		}
		if err := d.answers(t, x); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		catchUp(t, x)
		if err := d.answers(t, x); err != nil {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWrongKeyRebuilds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(100, &query.Doc{Text: "one"}, &query.Doc{Text: "one two"})
	first := openIndex(t, dir, src, Options{})
	catchUp(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(filepath.Dir(indexFiles(t, dir, "root.bolt")[0]), "stray")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := Open(t.Context(), dir, testKeys("another"), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if x.Lag() != 2 {
		t.Errorf("lag %d under another key", x.Lag())
	}
	catchUp(t, x)
	src.scanned = 0
	if r, err := x.Search(t.Context(), parse(t, "one"), SearchOptions{}); err != nil || r.Total != 2 || src.scanned != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is not a fresh one: %v", err)
	}
}

// Damage that shows only while searching is an error of that search; the next
// ones are right again.
func TestDamageWhileOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(10_000)
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		src.append(randomDoc(r, int(src.Size())))
	}
	x := openIndex(t, dir, src, Options{})
	catchUp(t, x)
	for _, zap := range indexFiles(t, dir, "*.zap") {
		noise(t, zap) // under the mapping
	}
	q := parse(t, `"call doctor" OR mañana`)
	_, err := x.Search(t.Context(), q, SearchOptions{Limit: 5})
	if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "mañana") {
		t.Fatalf("search in a damaged index: %v", err)
	}
	for range 2 {
		got, err := x.Search(t.Context(), q, SearchOptions{Limit: 5})
		if want := len(src.brute(q, src.Size())); err != nil || got.Total != uint64(want) {
			t.Errorf("%+v, %v, want %d", got, err, want)
		}
		catchUp(t, x)
	}
}

// A file of an index that is not open is refused, never left in the clear.
func TestHooksRefuse(t *testing.T) {
	t.Parallel()
	installHooks()
	for _, path := range []string{"", "/nowhere/a.zap", "/nowhere/root.bolt"} {
		if _, _, err := writerHook([]byte(path)); !errors.Is(err, errForeignFile) {
			t.Errorf("write %q: %v", path, err)
		}
	}
	dir := t.TempDir()
	setVaultKey(dir, [32]byte{1})
	defer dropVaultKey(dir)
	for path, id := range map[string]string{"/a.zap": "", "/b.zap": rootID, "/root.bolt": strings.Repeat("0", 32), "/sub/c.zap": strings.Repeat("0", 32)} {
		if _, err := readerHook(id, []byte(dir+path)); !errors.Is(err, errForeignFile) {
			t.Errorf("read %s with id %q: %v", path, id, err)
		}
	}
	id, seal, err := writerHook([]byte(dir + "/a.zap"))
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal([]byte("words"))
	open, err := readerHook(id, []byte(dir+"/a.zap"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := open(sealed); err != nil || string(plain) != "words" {
		t.Errorf("%q, %v", plain, err)
	}
	if other, err := readerHook(id, []byte(dir+"/b.zap")); err != nil {
		t.Error(err)
	} else if _, err := other(sealed); err == nil {
		t.Error("opened under another name")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
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

// truncate cuts a file to size, or by -size when it is negative.
func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if size < 0 {
		size += info.Size()
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// noise overwrites the middle half of a file in place.
func noise(t *testing.T, path string) {
	t.Helper()
	edit(t, path, func(b []byte) {
		for i := len(b) / 4; i < len(b)*3/4; i++ {
			b[i] = byte(i * 31)
		}
	})
}

func flipBit(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	edit(t, path, func(b []byte) { b[r.IntN(len(b))] ^= 1 << r.IntN(8) })
}

// clearFooterID makes a segment say that it is not encrypted, with a checksum
// that is right.
func clearFooterID(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const footer = 4 + 8 + 8 + 8 + 4 + 4 + 4
	tail := append([]byte(nil), b[len(b)-footer:]...)
	binary.BigEndian.PutUint32(tail, 0)
	b = append(b[:len(b)-footer-32], tail...)
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.ChecksumIEEE(b[:len(b)-4]))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit changes a file's bytes in place, so that a mapping of it sees them.
func edit(t *testing.T, path string, change func([]byte)) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}
