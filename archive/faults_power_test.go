//go:build faults

package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// explorer tries losses of power.
type explorer struct {
	v      *victim
	states int
	mu     sync.Mutex
	first  error // the first thing found wrong
}

// limitMemory lets a state that sends bbolt round in a circle end this test
// and not the machine.
func limitMemory(t *testing.T) {
	t.Helper()
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: 6 << 30, Max: 6 << 30}); err != nil {
		t.Fatal(err)
	}
}

// explore replays the events and tries, after each from the index begin on,
// what a loss of power there may leave: nothing unsynced, all of it, and some
// parts by chance. With stop it ends at the first thing found.
func (x *explorer) explore(t *testing.T, d *powerDisk, events []event, begin, chances int, stop bool) {
	t.Helper()
	limitMemory(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	type job struct {
		state map[string]*inode
		last  ack
		where string
		n     int
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		root := ramDir(t)
		wg.Go(func() {
			for j := range jobs {
				dir := fmt.Sprintf("%s/%d", root, j.n)
				err := materialize(dir, j.state)
				if err == nil {
					err = x.v.after(dir, j.last, j.n%8 == 0)
				}
				if err != nil {
					x.mu.Lock()
					if x.first == nil {
						x.first = fmt.Errorf("%s: %w", j.where, err)
					}
					x.mu.Unlock()
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	failed := func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.first != nil
	}
	var last ack
	for i, e := range events {
		if d.do(e); e.call == "ack" {
			last = e.ack
		}
		if i < begin || stop && failed() {
			continue
		}
		keeps := []float64{0}
		if d.pendingCount() > 0 {
			keeps = append(keeps, 1)
			for range chances {
				keeps = append(keeps, 0.1+0.8*rnd.Float64())
			}
		}
		for _, keep := range keeps {
			x.states++
			jobs <- job{d.crash(keep, rnd), last, fmt.Sprintf("event %d of %d, %s %s, keeping %.2f", i, len(events), e.call, e.path, keep), x.states}
		}
	}
	close(jobs)
	wg.Wait()
}

// after opens what a loss of power left, looks at it, and sometimes goes on.
func (v *victim) after(dir string, last ack, goOn bool) error {
	if err := v.audit(dir, last); err != nil || !goOn {
		return err
	}
	a, err := Open(context.Background(), dir, v.options)
	if err != nil {
		return err
	}
	c, _ := a.Cursor()
	_, err = a.Append(context.Background(), crashPage(c.Seq, 3))
	now := ack{c.Seq + 3, a.Size(), last.destroyed}
	if err = errors.Join(err, a.Close()); err != nil {
		return err
	}
	return v.audit(dir, now)
}

// record returns an archive's folder as it was, and what a writer then did.
func record(t *testing.T, pages int) (*victim, *powerDisk, []event) {
	t.Helper()
	needStrace(t)
	v := newVictim(t, t.TempDir())
	d, err := loadDisk(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	events := v.trace(t, pages, "")
	counts := map[string]int{}
	for _, e := range events {
		counts[e.call]++
	}
	if counts["ack"] < pages || counts["sync"] < 4*pages {
		t.Fatalf("the recording is not whole: %v", counts)
	}
	t.Logf("%d events: %v", len(events), counts)
	return v, d, events
}

// copyOf lets several explorations begin with the same disk.
func (d *powerDisk) copyOf() *powerDisk {
	c := &powerDisk{inodes: map[int]*inode{}, next: d.next, names: map[string]int{}, durable: map[string]int{}, changes: map[string][]dirOp{}}
	for id, f := range d.inodes {
		c.inodes[id] = f.clone()
	}
	for n, id := range d.names {
		c.names[n] = id
	}
	for n, id := range d.durable {
		c.durable[n] = id
	}
	return c
}

// TestFaultPowerLoss loses power at every system call of a writer. Then it
// does the same to writers that lack a sync, each of which must be caught:
// otherwise the first result would mean nothing.
func TestFaultPowerLoss(t *testing.T) {
	v, d, events := record(t, 30)
	x := &explorer{v: v}
	x.explore(t, d.copyOf(), events, 0, 4, false)
	t.Logf("%d states", x.states)
	if x.first != nil {
		t.Fatal(x.first)
	}
	second := false // every other sync of a log file: that between pages and meta page
	for name, drop := range map[string]func(e event) bool{
		"no sync of log files":         func(e event) bool { return strings.HasPrefix(e.path, "log/") },
		"no sync before the meta page": func(e event) bool { second = strings.HasPrefix(e.path, "log/") && !second; return second },
		"no sync of body files":        func(e event) bool { return strings.HasPrefix(e.path, "bodies/") },
		"no sync of resealed files": func(e event) bool {
			return strings.HasSuffix(e.path, newSuffix) && !strings.Contains(e.path, ".g1.") && strings.HasPrefix(e.path, "bodies/")
		},
		"no sync of the log's folder":   func(e event) bool { return e.path == "log" },
		"no sync of the bodies' folder": func(e event) bool { return e.path == "bodies" },
		"no sync of the keyring":        func(e event) bool { return strings.HasPrefix(e.path, "keyring") },
		"no sync of the keys' folder":   func(e event) bool { return e.path == "." },
	} {
		var mutant []event
		for _, e := range events {
			if e.call != "sync" || !drop(e) {
				mutant = append(mutant, e)
			}
		}
		y := &explorer{v: v}
		y.explore(t, d.copyOf(), mutant, 0, 4, true)
		if y.first == nil {
			t.Errorf("mutant not caught in %d states: %s", y.states, name)
		} else {
			t.Logf("mutant caught after %d states: %s: %v", y.states, name, y.first)
		}
	}
}

// TestFaultKilledThenPowerLoss kills a writer at one of its syncs, lets
// another go on and ack what it found, and then loses power: what the first
// had written but not synced is durable before the second acks it.
func TestFaultKilledThenPowerLoss(t *testing.T) {
	needStrace(t)
	v := newVictim(t, t.TempDir())
	states, caught := 0, 0
	for n := range 24 {
		d, err := loadDisk(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		killed := v.trace(t, 6, fmt.Sprintf("fdatasync:signal=SIGKILL:when=%d", 1+n%8))
		next := v.trace(t, 2, "")
		events := append(killed, next...)
		x := &explorer{v: v}
		x.explore(t, d.copyOf(), events, len(killed), 3, false)
		states += x.states
		if x.first != nil {
			t.Fatalf("round %d: %v", n, x.first)
		}
		// The mutant's second writer syncs nothing before its first ack.
		acked := false
		mutant := append([]event{}, killed...)
		for _, e := range next {
			if acked = acked || e.call == "ack"; acked || e.call != "sync" {
				mutant = append(mutant, e)
			}
		}
		y := &explorer{v: v}
		y.explore(t, d.copyOf(), mutant, len(killed), 3, true)
		if y.first != nil {
			caught++
			t.Logf("round %d: mutant caught: %v", n, y.first)
		}
	}
	t.Logf("%d states; the mutant was caught in %d of 24 rounds", states, caught)
	if caught == 0 {
		t.Error("a start that settles nothing was not caught")
	}
}
