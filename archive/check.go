package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"holdfast/archive/proof"
)

// tailCheck is how many of the log's last entries every start looks at.
const tailCheck = 1024

// checkLevel sets the share of one worker's step: 2^checkLevel leaves, whose
// subtree it computes by itself.
const checkLevel = 12

// MaxFindings bounds the findings that a report lists; Damage counts them all.
const MaxFindings = 1000

// CheckOptions says how far Check goes.
type CheckOptions struct {
	Bodies   bool // open every body and compare it with its leaf's commitments
	Progress func(done, total uint64)
}

// Finding is one thing that is not as it was appended.
type Finding struct {
	Seq  uint64 `json:"seq"`  // the entry
	What string `json:"what"` // free of content
}

// Report is what Check found.
type Report struct {
	Size        uint64    `json:"size"`        // entries in the log
	Root        string    `json:"root"`        // tree hash, base64 as in a checkpoint
	Bodies      uint64    `json:"bodies"`      // bodies opened and found to be what their leaves commit to
	Checkpoints uint64    `json:"checkpoints"` // signed checkpoints found to state the log that is here
	Damage      uint64    `json:"damage"`      // number of findings
	Findings    []Finding `json:"findings"`    // the first MaxFindings, by seq
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return r.Damage == 0 }

// Check reads the whole log as it was when Check began: each leaf against the
// chain, the chain against the tree's stored hashes, the tree against every
// signed checkpoint, and, if asked, each body against its leaf. What is wrong
// is a finding, not an error; an error means that Check could not go on.
func (a *Archive) Check(ctx context.Context, o CheckOptions) (*Report, error) {
	c := &checker{opts: o, size: a.Size(), report: &Report{Size: a.Size(), Findings: []Finding{}}}
	c.shares = make([]shareResult, (c.size+1<<checkLevel-1)>>checkLevel)
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for ctx.Err() == nil {
				i := c.taken.Add(1) - 1
				if i >= uint64(len(c.shares)) {
					return nil
				}
				if err := a.view(func(s *store) error { return c.share(s, i) }); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return c.report, a.view(func(s *store) error { return c.finish(a, s) })
}

type checker struct {
	opts   CheckOptions
	size   uint64
	taken  atomic.Uint64
	shares []shareResult

	mu     sync.Mutex
	done   uint64
	report *Report
}

// shareResult is what the last, sequential step needs of a share.
type shareResult struct {
	end   tip        // frontier of the share's own leaves
	prev  proof.Hash // prev of its first leaf
	last  proof.Hash // hash of its last leaf
	first uint64
	ms    [2]int64 // received times of its first and last leaf
	whole bool     // every leaf could be read
}

func (c *checker) find(seq uint64, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Damage++
	if len(c.report.Findings) < MaxFindings {
		c.report.Findings = append(c.report.Findings, Finding{seq, fmt.Sprintf(format, args...)})
	}
}

// share checks leaves [i<<checkLevel, …) by themselves.
func (c *checker) share(s *store, i uint64) error {
	from := i << checkLevel
	to := min(c.size, from+1<<checkLevel)
	r := &c.shares[i]
	r.first, r.whole = from, true
	leaves := make([]proof.Leaf, 0, to-from)
	for seq := from; seq < to; {
		n, err := c.chain(s, seq, to, r, &leaves)
		if err != nil {
			// Say which leaf cannot be read and go on behind it: one damaged page shall not hide the next.
			c.find(n, "its leaf cannot be read")
			r.whole = false
			n++
		}
		seq = n
	}
	if c.opts.Bodies {
		c.bodies(s, leaves, from, to)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += to - from
	if c.opts.Progress != nil {
		c.opts.Progress(c.done, c.size)
	}
	return nil
}

// chain reads leaves from seq on within one log file, follows prev, and
// compares the tree's hashes that they complete. It returns the seq after the
// last leaf that it read.
func (c *checker) chain(s *store, seq, to uint64, r *shareResult, leaves *[]proof.Leaf) (next uint64, err error) {
	f := s.logOf(seq)
	if i := slices.Index(s.logs, f); i+1 < len(s.logs) {
		to = min(to, s.logs[i+1].first)
	}
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			nodes := tx.Bucket(bucketNode)
			cur := tx.Bucket(bucketLeaf).Cursor()
			for k, text := cur.Seek(u64(seq)); seq < to; k, text = cur.Next() {
				if k == nil || binary.BigEndian.Uint64(k) != seq {
					return ErrDamaged
				}
				leaf, err := proof.ParseLeaf(text)
				if err != nil || leaf.Seq != seq {
					return ErrDamaged
				}
				c.follow(&leaf, text, r, nodes)
				*leaves = append(*leaves, leaf)
				seq++
			}
			return nil
		})
	})
	return seq, err
}

// follow chains one leaf to the one before it in the share.
func (c *checker) follow(leaf *proof.Leaf, text []byte, r *shareResult, nodes *bbolt.Bucket) {
	if leaf.Seq == r.first {
		r.prev, r.ms[0] = leaf.Prev, leaf.Received
	} else if r.whole && leaf.Prev != r.last {
		c.find(leaf.Seq-1, "it is not the entry that the next one was chained to")
	}
	if leaf.Received < r.ms[1] {
		c.find(leaf.Seq, "it was received before the entry before it")
	}
	r.ms[1] = leaf.Received
	r.last = proof.LeafHash(text)
	// The share's frontier runs from 0; an aligned share's subtrees are the log's own.
	r.end.push(r.last, func(index int64, h proof.Hash) {
		level, n := tlog.SplitStoredHashIndex(index)
		index = tlog.StoredHashIndex(level, n+int64(r.first>>level)) // #nosec G115 -- as in tip.push
		if r.whole && string(nodes.Get(u64(uint64(index)))) != string(h[:]) {
			c.find(leaf.Seq, "a hash of the tree above it is not the one its leaves give")
		}
	})
}

// bodies compares the records of the leaves' body files with the leaves: each
// leaf has its record, each record its leaf.
func (c *checker) bodies(s *store, leaves []proof.Leaf, from, to uint64) {
	byFile := map[string][]*proof.Leaf{}
	for i := range leaves {
		l := &leaves[i]
		name := bodyName(l.Month(), l.Class, 1)
		byFile[name] = append(byFile[name], l)
	}
	for name, want := range byFile {
		f, err := s.bodies.get(name)
		if err != nil {
			what := "its body file cannot be read"
			if errors.Is(err, os.ErrNotExist) {
				what = "its body file is missing"
			}
			for _, l := range want {
				c.find(l.Seq, "%s: %s", what, name)
			}
			continue
		}
		for seq := from; len(want) > 0; {
			if want, err = c.records(f, want, seq, to); err == nil {
				break
			}
			// Say which record cannot be read and go on behind it.
			seq = want[0].Seq + 1
			c.find(want[0].Seq, "its body cannot be read")
			want = want[1:]
		}
	}
}

// records walks one body file from seq to to along the given leaves of that
// range; with an error it returns those that it has not come to.
func (c *checker) records(f *bodyFile, want []*proof.Leaf, seq, to uint64) (rest []*proof.Leaf, err error) {
	var plain []byte
	var ok uint64
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			cur := tx.Bucket(bucketRecord).Cursor()
			for k, sealed := cur.Seek(u64(seq)); k != nil && binary.BigEndian.Uint64(k) < to; k, sealed = cur.Next() {
				seq = binary.BigEndian.Uint64(k)
				for len(want) > 0 && want[0].Seq < seq {
					c.find(want[0].Seq, "its body is missing")
					want = want[1:]
				}
				if len(want) == 0 || want[0].Seq > seq {
					c.find(seq, "body file %s holds a record that belongs to no entry of it", f.name)
					continue
				}
				if _, err := f.openRecord(plain[:0], want[0], sealed); err != nil {
					c.find(seq, "%v", err)
				} else {
					ok++
				}
				want = want[1:]
			}
			for _, l := range want {
				c.find(l.Seq, "its body is missing")
			}
			want = nil
			return nil
		})
	})
	c.mu.Lock()
	c.report.Bodies += ok
	c.mu.Unlock()
	return want, err
}

// finish joins the shares: the chain across their borders, the tree above
// them, and the checkpoints.
func (c *checker) finish(a *Archive, s *store) error {
	t := tip{last: proof.GenesisPrev(a.idText)}
	var before int64
	for i := range c.shares {
		r := &c.shares[i]
		if r.prev != t.last && r.whole {
			c.find(max(r.first, 1)-1, "it is not the entry that the next one was chained to")
		}
		if r.ms[0] < before {
			c.find(r.first, "it was received before the entry before it")
		}
		c.join(&t, r, hashReader{s})
		t.last, before = r.last, r.ms[1]
	}
	t.size = c.size
	root := t.root()
	c.report.Root = rootText(root)
	err := c.checkpoints(a, s, root)
	slices.SortStableFunc(c.report.Findings, func(x, y Finding) int {
		switch {
		case x.Seq < y.Seq:
			return -1
		case x.Seq > y.Seq:
			return 1
		}
		return 0
	})
	return err
}

// join adds a share's frontier to the tree: a full share is one subtree of
// checkLevel, the last one may be several smaller.
func (c *checker) join(t *tip, r *shareResult, stored hashReader) {
	if r.end.size < 1<<checkLevel {
		for level := range checkLevel {
			if r.end.size>>level&1 == 1 {
				t.frontier[level] = r.end.frontier[level]
			}
		}
		return
	}
	h, level := r.end.frontier[checkLevel], checkLevel
	for ; t.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(t.frontier[level], h)
		index := tlog.StoredHashIndex(level+1, int64(t.size>>(level+1))) // #nosec G115 -- as in tip.push
		if have, err := stored.ReadHashes([]int64{index}); r.whole && (err != nil || have[0] != h) {
			c.find(r.first+1<<checkLevel-1, "a hash of the tree above it is not the one its leaves give")
		}
	}
	t.frontier[level] = h
	t.size += 1 << checkLevel
}
