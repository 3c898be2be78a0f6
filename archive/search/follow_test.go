package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"holdfast/archive/query"
)

// waitFor polls a condition that another goroutine brings about.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// follow starts the follower and stops it at the end of the test.
func follow(t *testing.T, x *Index) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow: %v", err)
		}
	})
}

// While entries come in, are indexed, and log files roll, every search counts
// exactly what was committed when it began.
func TestSearchWhileFollowing(t *testing.T) {
	t.Parallel()
	src := newSource(100)
	x := openIndex(t, t.TempDir(), src, Options{BatchDocs: 30, Linger: -1})
	follow(t, x)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			queries := []*query.Query{parse(t, "call"), parse(t, `"call doctor" OR NOT pain`), parse(t, "received>=2026-01-02")}
			for {
				select {
				case <-stop:
					return
				default:
				}
				q := queries[r.IntN(len(queries))]
				got, err := x.Search(context.Background(), q, SearchOptions{Limit: 3})
				if err != nil {
					t.Error(err)
					return
				}
				want := src.brute(q, got.ThroughSeq)
				if got.Total != uint64(len(want)) || !slices.Equal(seqsOf(got.Hits), want[:min(3, len(want))]) {
					t.Errorf("%s: %+v, want %d", q, got, len(want))
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(8, 9))
	for range 12 {
		for range 20 {
			src.append(randomDoc(r, int(src.Size())))
		}
		size := src.Size()
		waitFor(t, "the index follows", func() bool { return x.Lag() <= src.Size()-size+40 })
	}
	waitFor(t, "the index has caught up", func() bool { return x.Lag() == 0 })
	close(stop)
	wg.Wait()
}

// The follower outlives an entry that cannot be read and a part that was
// thrown away.
func TestFollowRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(300)
	for range 50 {
		src.append(&query.Doc{Text: "word"})
	}
	x := openIndex(t, dir, src, Options{Linger: -1})
	src.mu.Lock()
	src.fail = errors.New("cannot be read")
	src.mu.Unlock()
	follow(t, x)
	waitFor(t, "the follower has tried", func() bool {
		src.mu.Lock()
		defer src.mu.Unlock()
		return src.scanned > 0
	})
	src.mu.Lock()
	src.fail = nil
	src.mu.Unlock()
	waitFor(t, "the index has caught up", func() bool { return x.Lag() == 0 })
	p, err := x.part(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	p.damaged(p.opened, ErrDamaged)
	if x.Lag() != 50 {
		t.Errorf("lag %d after the part was thrown away", x.Lag())
	}
	src.append(&query.Doc{Text: "word"}) // wakes the follower
	waitFor(t, "the part is built again", func() bool { return x.Lag() == 0 })
	if r, err := x.Search(t.Context(), parse(t, "word"), SearchOptions{}); err != nil || r.Total != 51 {
		t.Errorf("%+v, %v", r, err)
	}
}

const (
	childEnv  = "HOLDFAST_SEARCH_CHILD"
	childDocs = 1500
)

// childSource is the same log in every process.
func childSource() *memSource {
	src := newSource(900)
	r := rand.New(rand.NewPCG(10, 11))
	for range childDocs {
		src.append(randomDoc(r, int(src.Size())))
	}
	return src
}

// runChild follows until it is killed, and prints a dot for each batch begun.
func runChild(dir string) {
	src := childSource()
	src.asked = func() { fmt.Print(".") }
	x, err := Open(context.Background(), dir, testKeys("k"), src, Options{BatchDocs: 25})
	if err == nil {
		err = x.Follow(context.Background())
	}
	fmt.Println("child:", err)
	os.Exit(1)
}

// kill -9 at any instant: what the mark says is there is there, and nothing is
// there twice.
func TestKilledWhileIndexing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := childSource()
	r := rand.New(rand.NewPCG(12, 13))
	queries := []*query.Query{parse(t, "call"), parse(t, `"call doctor"`), parse(t, "NOT bed")}
	progress := map[uint64]bool{}
	// How far a child gets before it is killed is chance, more so on a busy machine.
	for round := 0; round < 5 || round < 40 && len(progress) < 3; round++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Some batches are begun; the kill hits any moment of the next ones.
		if _, err := io.ReadFull(out, make([]byte, 2+r.IntN(12))); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(time.Duration(r.IntN(20_000)) * time.Microsecond):
		case <-t.Context().Done():
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says that it was killed

		x, err := Open(t.Context(), dir, testKeys("k"), src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		lag := x.Lag()
		progress[lag] = true
		for _, q := range queries {
			got, err := x.Search(t.Context(), q, SearchOptions{Limit: 20})
			want := src.brute(q, src.Size())
			if err != nil || got.Total != uint64(len(want)) || !slices.Equal(seqsOf(got.Hits), want[:min(20, len(want))]) {
				t.Errorf("round %d, lag %d: %+v, %v, want %d", round, lag, got, err, len(want))
			}
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(progress) < 3 {
		t.Errorf("the children did not get on: lags %v", progress)
	}
	x := openIndex(t, dir, src, Options{})
	catchUp(t, x)
}

// A panic in bleve's background work leaves its store unable to close. The
// follower must go on with a new one, not wait.
func TestFollowOutlivesPanic(t *testing.T) {
	dir := t.TempDir()
	src := newSource(300, &query.Doc{Text: "word"})
	x := openIndex(t, dir, src, Options{Linger: -1})
	p, err := x.part(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	asyncError(scorch.NewScorchError("persister", "panic", scorch.ErrAsyncPanic), p.dir)
	if err := p.write(nil, 1); !errors.Is(err, errDead) {
		t.Errorf("write to a dead store: %v", err)
	}
	if err := p.reset(); err != nil && !errors.Is(err, errDead) {
		t.Errorf("close of a dead store: %v", err)
	}
	follow(t, x)
	waitFor(t, "the part is built again", func() bool { return x.Lag() == 0 })
	if r, err := x.Search(t.Context(), parse(t, "word"), SearchOptions{}); err != nil || r.Total != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
