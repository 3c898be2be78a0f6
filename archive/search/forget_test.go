package search

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"holdfast/archive/query"
)

// ring is a keyring that can lose the keys of some files and then makes others.
type ring struct {
	mu    sync.Mutex
	turns map[uint64]int
}

func (k *ring) IndexKey(_ context.Context, file uint64) ([32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return sha256.Sum256(fmt.Appendf(nil, "ring %d %d", file, k.turns[file])), nil
}

func (k *ring) lose(files ...uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.turns == nil {
		k.turns = map[uint64]int{}
	}
	for _, f := range files {
		k.turns[f]++
	}
}

// dispose takes the entries of which gone is true out of the log.
func (s *memSource) dispose(gone func(seq uint64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs = slices.Clone(s.docs) // readers have the old ones
	for i := range s.docs {
		if gone(uint64(i)) {
			s.docs[i] = nil
		}
	}
}

func openRing(t *testing.T, dir string, k Keys, src Source, o Options) *Index {
	t.Helper()
	x, err := Open(t.Context(), dir, k, src, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// canaryLog has a canary word in every tenth entry, over three log files.
func canaryLog() *memSource {
	src := newSource(100)
	for i := range 250 {
		text := fmt.Sprintf("an ordinary word %d", i)
		if i%10 == 3 {
			text = fmt.Sprintf("the quokkacanary said quokkaword%d", i)
		}
		src.append(&query.Doc{Text: text, Sent: testBase, From: query.Parties{{Usr: "u1", Name: "Ann"}}})
	}
	return src
}

func isCanary(seq uint64) bool { return seq%10 == 3 }

// decrypted reads everything in an index that its keys open: the terms of every
// field, the stored values, the marks. It adds the files as they are, their
// names included.
func decrypted(t *testing.T, dir string, keys Keys, src Source) []byte {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(&all, "%s %s\n", e.Name(), b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir() // opening discards what does not open
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	x, err := Open(t.Context(), copied, keys, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for _, p := range x.parts {
		p.dump(t, &all)
	}
	return all.Bytes()
}

func (p *part) dump(t *testing.T, all *bytes.Buffer) {
	t.Helper()
	st, err := p.snapshot()
	if err != nil || st.snap == nil {
		t.Fatal(st.snap, err)
	}
	defer p.done(st.snap)
	for _, s := range st.snap.Segments() {
		seg := s.Segment()
		for _, field := range seg.Fields() {
			dict, err := seg.Dictionary(field)
			if err != nil {
				t.Fatal(err)
			}
			terms := dict.AutomatonIterator(nil, nil, nil)
			for term, err := terms.Next(); err != nil || term != nil; term, err = terms.Next() {
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(all, "%s=%s\n", field, term.Term)
			}
		}
		for doc := range seg.Count() {
			err := seg.VisitStoredFields(doc, func(field string, _ byte, value []byte, _ []uint64) bool {
				fmt.Fprintf(all, "%s:%s\n", field, value)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What was disposed of is in no file of the index, neither in the clear nor
// under any key that there still is; and a copy of the folder from before opens
// under none.
func TestForgetKeepsNothing(t *testing.T) {
	t.Parallel()
	dir, keys, src := t.TempDir(), &ring{}, canaryLog()
	x := openRing(t, dir, keys, src, Options{BatchDocs: 40})
	catchUp(t, x)
	before := decrypted(t, dir, keys, src)
	for i := 3; i < 250; i += 10 {
		if word := fmt.Sprintf("x=quokkaword%d\n", i); !bytes.Contains(before, []byte(word)) {
			t.Fatalf("%q is not in the index, so its absence would show nothing", word)
		}
	}
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	src.dispose(isCanary)
	keys.lose(0, 1, 2)
	if err := x.Forget(t.Context(), []uint64{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left after Forget: %v, %v", left, err)
	}
	if x.Lag() != 250 {
		t.Errorf("lag %d, nothing is indexed", x.Lag())
	}
	if r, err := x.Search(t.Context(), parse(t, "ordinary"), SearchOptions{Limit: 1}); err != nil || r.Total != 225 || r.Unindexed != 0 {
		t.Errorf("a search before it is built again: %+v, %v", r, err)
	}
	catchUp(t, x)
	after := decrypted(t, dir, keys, src)
	if bytes.Contains(bytes.ToLower(after), []byte("quokka")) {
		t.Error("a canary is in the index")
	}
	if !bytes.Contains(after, []byte("x=ordinary\n")) || len(after) < 10_000 {
		t.Errorf("the survivors are not in the index (%d bytes looked at)", len(after))
	}
	if b := decrypted(t, old, keys, src); bytes.Contains(b, []byte("x=ordinary")) {
		t.Error("the keys of now open a copy from before")
	}
	src.scanned = 0
	for q, want := range map[string]uint64{"quokkacanary": 0, "ordinary": 225} {
		if r, err := x.Search(t.Context(), parse(t, q), SearchOptions{}); err != nil || r.Total != want || src.scanned != 0 {
			t.Errorf("%s: %+v, %v, %d scanned", q, r, err, src.scanned)
		}
	}
}

// Only what was asked for is forgotten.
func TestForgetOne(t *testing.T) {
	t.Parallel()
	dir, keys, src := t.TempDir(), &ring{}, canaryLog()
	x := openRing(t, dir, keys, src, Options{BatchDocs: 40})
	catchUp(t, x)
	keys.lose(1)
	if err := x.Forget(t.Context(), []uint64{1, 7}); err != nil { // there is no 7
		t.Fatal(err)
	}
	if x.Lag() != 100 {
		t.Errorf("lag %d", x.Lag())
	}
	if _, err := os.Stat(x.folder(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, file := range []uint64{0, 2} {
		if _, err := os.Stat(x.folder(file)); err != nil {
			t.Error(err)
		}
	}
}

// If the machine stops after the keyring has lost the key and before the folder
// is removed, the next start discards the folder, and builds it again from what
// is left.
func TestForgetCrashBetweenKeyringAndFolder(t *testing.T) {
	t.Parallel()
	dir, keys, src := t.TempDir(), &ring{}, canaryLog()
	first, err := Open(t.Context(), dir, keys, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	catchUp(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	src.dispose(isCanary)
	keys.lose(0, 2)
	x := openRing(t, dir, keys, src, Options{})
	if x.Lag() != 150 { // file 1 was not disposed of
		t.Errorf("lag %d after a start under other keys", x.Lag())
	}
	catchUp(t, x)
	text := decrypted(t, dir, keys, src)
	for i := range uint64(250) {
		in := bytes.Contains(text, fmt.Appendf(nil, "x=quokkaword%d\n", i))
		if want := isCanary(i) && i/100 == 1; in != want {
			t.Errorf("the word of entry %d is in the index: %v", i, in)
		}
	}
}

// The follower builds again what is forgotten while it waits for the log to
// grow, and what is forgotten while it is building.
func TestForgetWhileFollowing(t *testing.T) {
	t.Parallel()
	src := canaryLog()
	keys := &ring{}
	x := openRing(t, t.TempDir(), keys, src, Options{BatchDocs: 25, Linger: -1})
	follow(t, x)
	waitFor(t, "the index has caught up", func() bool { return x.Lag() == 0 })
	keys.lose(0, 1, 2)
	if err := x.Forget(t.Context(), []uint64{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is built again although nothing is appended", func() bool { return x.Lag() == 0 })

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			queries := []*query.Query{parse(t, "word"), parse(t, "from:u1 NOT quokkacanary"), parse(t, "quokkacanary")}
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				q := queries[n%len(queries)]
				got, err := x.Search(context.Background(), q, SearchOptions{Limit: 3})
				// The canaries go while this runs: a search sees all of them, none, or those of some log files.
				low, high := uint64(225), uint64(225)
				if n%len(queries) == 2 {
					low, high = 0, 25
				}
				if err != nil || got.Total < low || got.Total > high || got.Unindexed != 0 {
					t.Errorf("%s: %+v, %v", q, got, err)
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(21, 22))
	src.dispose(isCanary)
	for range 8 {
		file := r.Uint64N(3)
		keys.lose(file)
		if err := x.Forget(t.Context(), []uint64{file}); err != nil {
			t.Error(err)
		}
		lag := r.Uint64N(100)
		waitFor(t, "some of it is built again", func() bool { return x.Lag() <= lag })
	}
	keys.lose(0, 1, 2)
	if err := x.Forget(t.Context(), []uint64{0, 1, 2}); err != nil {
		t.Error(err)
	}
	waitFor(t, "all of it is built again", func() bool { return x.Lag() == 0 })
	close(stop)
	wg.Wait()
	if r, err := x.Search(t.Context(), parse(t, "quokkacanary"), SearchOptions{}); err != nil || r.Total != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// lateSource gives the first batch the entries from before a disposition that
// takes place before the batch is written.
type lateSource struct {
	*memSource
	before  []*query.Doc
	dispose func()
	once    sync.Once
}

func (s *lateSource) Docs(ctx context.Context, from, to uint64) iter.Seq2[query.Doc, error] {
	docs := s.memSource.Docs(ctx, from, to)
	s.once.Do(func() {
		s.dispose()
		docs = newSource(s.perFile, s.before...).Docs(ctx, from, to)
	})
	return docs
}

// A batch that was collected before the disposition is not written after it.
func TestForgetDuringBatch(t *testing.T) {
	t.Parallel()
	dir, keys, src := t.TempDir(), &ring{}, canaryLog()
	late := &lateSource{memSource: src, before: slices.Clone(src.docs)}
	x := openRing(t, dir, keys, late, Options{})
	disposed := false
	late.dispose = func() {
		disposed = true
		src.dispose(isCanary)
		keys.lose(0, 1, 2)
		if err := x.Forget(context.Background(), []uint64{0, 1, 2}); err != nil {
			t.Error(err)
		}
	}
	catchUp(t, x)
	text := decrypted(t, dir, keys, src)
	if !disposed || bytes.Contains(text, []byte("quokka")) || !bytes.Contains(text, []byte("x=ordinary\n")) {
		t.Errorf("disposed: %v; a batch from before was written afterwards", disposed)
	}
}

// Forgetting in vain is an error that can be tried again, and a closed index
// says so.
func TestForgetErrors(t *testing.T) {
	t.Parallel()
	src := canaryLog()
	x, err := Open(t.Context(), t.TempDir(), &ring{}, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Forget(cancelled, []uint64{0}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.Forget(t.Context(), []uint64{0}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
