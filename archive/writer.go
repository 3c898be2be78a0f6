package archive

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

// Limits of one group commit.
const (
	groupEntries = 8192
	groupBytes   = 16 << 20
)

type request struct {
	batch      Batch
	checkpoint bool
	alone      func() (reply, error) // in place of the others: run by the writer between two groups; an error means that the outcome is unknown
	releases   *Entry                // of the batch, when the request releases the clock
	goesOn     bool                  // the request goes on from a restored log
	anchor     []byte                // likewise: what of the lost one is given up
	done       chan reply            // buffered: the writer never waits for a caller
}

type reply struct {
	placed     []Placed
	checkpoint []byte
	err        error
}

// writer is the state of the log's end. The writer goroutine owns it. It is
// changed only after a commit, and loaded again from disk after a failed one.
type writer struct {
	failed  error // of the last commit: reopen before anything else
	end     tip
	devices map[deviceMAC]uint32
	reading func() reading // of the machine's clocks
}

// tip is the log's end: what the next leaf depends on.
type tip struct {
	size     uint64
	first    uint64         // of the newest log file
	last     proof.Hash     // leaf hash of the last leaf
	timeline                // of received times
	frontier [64]proof.Hash // roots of the complete subtrees, by level
	cursor   *Cursor        // relay cursor, nil before the first contact
	restored *Restored      // nil: the log never was
}

// push adds a leaf hash to the tree and calls store with each hash of level 1
// and up that it completes.
func (t *tip) push(h proof.Hash, store func(index int64, h proof.Hash)) {
	n := int64(t.size) // #nosec G115 -- a log of 2^63 entries is out of reach
	t.last = h
	level := 0
	for ; n>>level&1 == 1; level++ {
		h = tlog.NodeHash(t.frontier[level], h)
		store(tlog.StoredHashIndex(level+1, n>>(level+1)), h)
	}
	t.frontier[level] = h
	t.size++
}

// root returns the tree hash of the log (RFC 6962 section 2.1).
func (t *tip) root() proof.Hash {
	if t.size == 0 {
		return tlogEmpty
	}
	var h proof.Hash
	have := false
	for rest := t.size; rest != 0; rest &= rest - 1 {
		level := bits.TrailingZeros64(rest)
		if !have {
			h, have = t.frontier[level], true
			continue
		}
		h = tlog.NodeHash(t.frontier[level], h)
	}
	return h
}

// tlogEmpty is the tree hash of an empty log: SHA-256 of nothing.
var tlogEmpty = proof.Hash{
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
}

// loadSize reads how long the log is and how far the relay's stream has been
// appended. An archive that is only read does without a
// record of the log's end that has decayed: Check says so.
func (w *writer) loadSize(a *Archive) error {
	f := a.st.newest()
	t, cursor, err := f.tip()
	if err != nil && a.opts.ReadOnly {
		t.size, err = f.end()
	}
	if err != nil {
		return err
	}
	restored, err := f.restored()
	if err != nil && !a.opts.ReadOnly {
		return err // of an archive that is only read Check says so: the record of the log's end covers it
	}
	w.end = tip{size: t.size, first: f.first, cursor: cursor, timeline: w.end.timeline, restored: restored}
	w.end.last = proof.GenesisPrev(a.idText)
	return nil
}

// load reads all of the log's end that appending needs, compares it with the
// record of it, and drops orphaned bodies.
func (w *writer) load(a *Archive) error {
	if err := w.loadSize(a); err != nil {
		return err
	}
	s, size := a.st, w.end.size
	var err error
	if w.devices, err = s.devices(); err != nil || size == 0 {
		return err
	}
	if err := w.loadFrontier(s); err != nil {
		return err
	}
	text, err := s.leaf(size - 1)
	if err != nil {
		return err
	}
	leaf, err := proof.ParseLeaf(text)
	if err != nil {
		return &SeqError{size - 1, fmt.Errorf("%w: its leaf cannot be read", ErrDamaged)}
	}
	w.end.last = proof.LeafHash(text)
	if err := w.loadClock(s, &leaf); err != nil {
		return err
	}
	if t, _, err := s.newest().tip(); err != nil || t != w.end.record() {
		return &SeqError{size - 1, errors.Join(fmt.Errorf("%w: the log's end is not the one that was written", ErrDamaged), err)}
	}
	return s.dropOrphans(size, leaf.Month())
}

func (w *writer) loadFrontier(s *store) error {
	read := hashReader{s}
	var before uint64
	for level := 63; level >= 0; level-- {
		if w.end.size>>level&1 == 0 {
			continue
		}
		index := tlog.StoredHashIndex(level, int64(before>>level)) // #nosec G115 -- as in push
		h, err := read.ReadHashes([]int64{index})
		if err != nil {
			return err
		}
		w.end.frontier[level] = h[0]
		before += 1 << level
	}
	return nil
}

// write is the writer goroutine: it takes what is waiting, commits it as one
// group, and answers.
func (a *Archive) write() {
	defer close(a.done)
	several := false // requests in the last group
	for {
		select {
		case <-a.stop:
			return
		case r := <-a.queue:
			a.busy.Store(true)
			group := a.collect(r, several)
			several = len(group) > 1
			a.commitAll(group)
			a.busy.Store(len(a.queue) > 0)
		}
	}
}

// groupGap is how long the writer lets callers come who were just answered and
// ask again, before it closes a group, and groupYields how often it yields to
// them at most, for where the clock stands still (testing/synctest). It waits
// only after a group of several: a single caller is never delayed.
const (
	groupGap    = 40 * time.Microsecond
	groupYields = 1000
)

// collect drains the queue up to a group's limits.
func (a *Archive) collect(first *request, several bool) []*request {
	group := []*request{first}
	entries, size := len(first.batch.Entries), first.batch.bytes()
	last, yields := time.Now(), 0
	for entries < groupEntries && size < groupBytes {
		select {
		case r := <-a.queue:
			group = append(group, r)
			entries += len(r.batch.Entries)
			size += r.batch.bytes()
			last, yields, several = time.Now(), 0, true
		default:
			if !several || yields == groupYields || time.Since(last) > groupGap {
				return group
			}
			yields++
			runtime.Gosched() // a timer would sleep for a millisecond
		}
	}
	return group
}

// commitAll answers every request of the group.
func (a *Archive) commitAll(group []*request) {
	for len(group) > 0 {
		if a.w.failed != nil {
			if err := a.reopen(); err != nil {
				answer(group, fmt.Errorf("%w: %w", ErrFailed, err))
				return
			}
		}
		rest, err := a.commitNext(group)
		if err != nil {
			// What was committed is unknown: nothing is acked, and nothing more is appended before a reopening has looked.
			a.w.failed = err
			if a.opts.Logger != nil {
				a.opts.Logger.Error("a commit failed; reopening", "err", err)
			}
			answer(group, fmt.Errorf("%w: %w", ErrFailed, err))
			return
		}
		group = rest
	}
}

func answer(group []*request, err error) {
	for _, r := range group {
		select {
		case r.done <- reply{err: err}:
		default: // it has its answer already
		}
	}
}

// commitSome commits requests of the group until the log file is full, and
// returns the others. An error means that the outcome is unknown.
func (a *Archive) commitSome(group []*request) (rest []*request, err error) {
	if err := a.disk.refill(); err != nil {
		return nil, err
	}
	p := newPlan(&a.w, a.st, a.keys.snapshot().Dedupe)
	var planned int64    // bytes of the requests before
	var after []*request // those from one on that is run alone
	for i, r := range group {
		if r.alone != nil {
			after = group[i:]
			break
		}
		if p.full(r, a.opts.LogFileLeaves) {
			rest = group[i:]
			break
		}
		if err := a.admit(&r.batch, planned); err != nil {
			answer(group[i:i+1], err)
			continue
		}
		planned += r.batch.bytes()
		refused, err := p.add(r)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		if refused != nil {
			answer(group[i:i+1], refused)
		}
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	if len(p.requests) > 0 || len(p.pending) > 0 {
		if err := guard(func() error { return a.commit(p) }); err != nil {
			return nil, err
		}
	}
	if rest == nil {
		return after, nil
	}
	return rest, a.roll()
}

// admit asks the disk for room on behalf of what the batch is for: a relay
// page with the alarms it brings is ingest, whatever its classes. planned is
// what the same commit will take besides.
func (a *Archive) admit(b *Batch, planned int64) error {
	c, bytes := claimControl, planned+b.bytes()
	for i := range b.Entries {
		switch e := &b.Entries[i]; {
		case e.Kind.FromRelay() || b.Cursor != nil:
			return a.disk.admit(claimIngest, bytes)
		case e.Class != proof.ClassControl:
			c = claimAudit
		}
	}
	return a.disk.admit(c, bytes)
}

// roll begins the next log file. A crash before its rename leaves the old file
// the newest; after it, an empty newest file that carries the cursor on.
func (a *Archive) roll() error {
	f := a.st.newest()
	if err := createLogFile(a.dir, f.number+1, a.w.end.size, a.id.Origin, &a.w.end); err != nil {
		return err
	}
	next, err := openLogFile(a.dir, f.number+1, a.id.Origin, forWriting)
	if err != nil {
		return err
	}
	// A crash here leaves the full file without its mark, which is then not missed.
	err = f.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyRolled, u64(next.first)) })
	if err != nil {
		return errors.Join(err, next.db.Close())
	}
	a.mu.Lock()
	a.st.logs = append(a.st.logs, next)
	a.mu.Unlock()
	a.w.end.first = next.first
	return nil
}

// reopen closes and opens every file after a failed commit, reads the log's
// end anew and checks it.
func (a *Archive) reopen() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.st != nil {
		if err := a.st.close(); err != nil && a.opts.Logger != nil {
			a.opts.Logger.Warn("closing after a failed commit", "err", err)
		}
		a.st = nil
	}
	st, err := openStore(a.dir, a.id.Origin, a.keys, false, false)
	if err != nil {
		return err
	}
	a.st = st
	if err := a.w.load(a); err != nil {
		return err
	}
	if err := checkTail(st, a.w.end.size, tailCheck); err != nil {
		return fmt.Errorf("%w; stop the daemon and run `holdfastd verify`", err)
	}
	a.w.failed = nil
	a.publish(&a.w.end)
	return nil
}
