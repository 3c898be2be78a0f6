package search

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"holdfast/archive/query"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		runChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// memSource is a log in memory. A nil doc is an entry that cannot be searched.
type memSource struct {
	perFile uint64

	mu      sync.Mutex
	docs    []*query.Doc
	grown   chan struct{} // closed and replaced at each growth
	fail    error         // of the next Docs
	scanned uint64        // entries that Docs was asked for
	asked   func()        // called by Docs, if set
}

func newSource(perFile uint64, docs ...*query.Doc) *memSource {
	s := &memSource{perFile: perFile, grown: make(chan struct{})}
	s.append(docs...)
	return s
}

func (s *memSource) append(docs ...*query.Doc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range docs {
		if d != nil {
			d.Seq = uint64(len(s.docs))
		}
		s.docs = append(s.docs, d)
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *memSource) Size() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.docs))
}

func (s *memSource) Wait(ctx context.Context, size uint64) error {
	for {
		s.mu.Lock()
		n, grown := uint64(len(s.docs)), s.grown
		s.mu.Unlock()
		if n > size {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *memSource) Docs(_ context.Context, from, to uint64) iter.Seq2[query.Doc, error] {
	s.mu.Lock()
	docs := s.docs[from:to:to]
	err := s.fail
	s.scanned += to - from
	if s.asked != nil {
		s.asked()
	}
	s.mu.Unlock()
	return func(yield func(query.Doc, error) bool) {
		if err != nil {
			yield(query.Doc{}, err)
			return
		}
		for _, d := range docs {
			if d != nil && !yield(*d, nil) {
				return
			}
		}
	}
}

func (s *memSource) LeavesPerFile() uint64 { return s.perFile }

// brute is the truth: the matching seqs below size, newest first.
func (s *memSource) brute(q *query.Query, size uint64) []uint64 {
	return seqsOf(s.plainly(q, size).sorted(BySeq))
}

// testKeys derives a key for each file from a seed.
type testKeys string

func (k testKeys) IndexKey(_ context.Context, file uint64) ([32]byte, error) {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", k, file)), nil
}

type failingKeys struct{}

func (failingKeys) IndexKey(context.Context, uint64) ([32]byte, error) {
	return [32]byte{}, errors.New("the keyring is locked")
}

func openIndex(t testing.TB, dir string, src Source, opts Options) *Index {
	t.Helper()
	x, err := Open(t.Context(), dir, testKeys("k"), src, opts)
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

// catchUp indexes all that there is.
func catchUp(t testing.TB, x *Index) {
	t.Helper()
	for {
		more, err := x.step(context.Background(), x.src.Size())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	if lag := x.Lag(); lag != 0 {
		t.Fatalf("lag %d after catching up", lag)
	}
}

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func parse(t failer, s string) *query.Query {
	t.Helper()
	q, err := query.Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return q
}

// indexFiles lists the files in an index directory.
func indexFiles(t testing.TB, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

func seqsOf(hits []Hit) []uint64 {
	seqs := []uint64{}
	for _, h := range hits {
		seqs = append(seqs, h.Seq)
	}
	return seqs
}
