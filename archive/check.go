package archive

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	// Lapsed is for a copy that was put back with a later keyring: of an entry whose
	// body file has no key there, by the file's name, it says whether a certificate
	// has its body as destroyed. nil: it is damage, whatever became of the key.
	Lapsed func(file string, l *proof.Leaf) bool
	// Rest is for a check that nobody waits for: it keeps one core at most, and
	// after each step of a few thousand entries it rests this many times as long as
	// the step took, with no file held. 0: as fast as it can, on all cores.
	Rest int
}

// workers returns how many goroutines share the work.
func (o *CheckOptions) workers() int {
	if o.Rest > 0 {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// pause rests after a step that took so long.
func (o *CheckOptions) pause(ctx context.Context, took time.Duration) error {
	if o.Rest == 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(o.Rest) * took)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Finding is one thing that is not as it was appended.
type Finding struct {
	Seq  uint64 `json:"seq"`  // the entry
	What string `json:"what"` // free of content
}

// Report is what Check found.
type Report struct {
	Size        uint64    `json:"size"`        // entries in the log
	Root        string    `json:"root"`        // tree hash, base64 as in a checkpoint; "" if part of the tree cannot be read
	Bodies      uint64    `json:"bodies"`      // bodies opened and found to be what their leaves commit to
	Disposed    uint64    `json:"disposed"`    // entries whose bodies were destroyed by dispositions
	Blobs       uint64    `json:"blobs"`       // attachments read and found to have the hash that their messages state
	Orphans     uint64    `json:"orphans"`     // of a stopped store: bodies past the log's end, which a crash leaves and the next start deletes
	Checkpoints uint64    `json:"checkpoints"` // signed checkpoints found to state the log that is here
	Damage      uint64    `json:"damage"`      // number of findings
	Findings    []Finding `json:"findings"`    // up to MaxFindings, by seq
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return r.Damage == 0 }

// Check reads the whole log as it was when Check began: each leaf against the
// chain, the chain against the tree's stored hashes, the tree against every
// signed checkpoint and the record of the log's end, and, if asked, each body
// against its leaf and each stored attachment against its message. What is wrong is a finding, not an error; an error means
// that Check could not go on. Progress is called from one goroutine at a time,
// which holds the files open: it must not append.
func (a *Archive) Check(ctx context.Context, o CheckOptions) (*Report, error) {
	if o.Bodies && a.opts.Keyless {
		return nil, fmt.Errorf("%w: without it no body can be checked", ErrKeys)
	}
	c := &checker{archive: a, opts: o, size: a.Size(), genesis: proof.GenesisPrev(a.idText), report: &Report{Size: a.Size(), Findings: []Finding{}}}
	c.report.Size = c.size
	c.shares = make([]shareResult, (c.size+1<<checkLevel-1)>>checkLevel)
	if err := a.view(c.readTip); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	for range o.workers() {
		g.Go(func() error {
			buf := newShareBuffer()
			for ctx.Err() == nil {
				i := c.taken.Add(1) - 1
				if i >= uint64(len(c.shares)) {
					return nil
				}
				began := time.Now()
				if err := a.view(func(s *store) error { return c.share(s, i, buf) }); err != nil {
					return err
				}
				if err := o.pause(ctx, time.Since(began)); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	err := a.view(func(s *store) error {
		c.finish(a, s)
		return nil
	})
	return c.report, err
}

type checker struct {
	archive *Archive
	opts    CheckOptions
	size    uint64
	genesis proof.Hash // what leaf 0 is chained to
	end     *tipRecord // of the log when Check began; nil if it has grown since, or is damaged
	taken   atomic.Uint64
	shares  []shareResult

	mu     sync.Mutex
	done   uint64
	report *Report
}

// readTip reads the record of the log's end, and that of each older file's.
func (c *checker) readTip(s *store) error {
	for i, f := range s.logs {
		end := c.size
		if i+1 < len(s.logs) {
			end = s.logs[i+1].first
		}
		t, _, err := f.tip()
		switch {
		case err != nil:
			c.find(end-1, "the end of log file %06d.db: %v", f.number, err)
		case i+1 < len(s.logs) && t.size != end:
			c.find(end-1, "log file %06d.db ended with another entry", f.number)
		case t.size == c.size:
			c.end = &t
		}
	}
	return nil
}

// shareResult is what the last, sequential step needs of a share.
type shareResult struct {
	first    uint64
	frontier [checkLevel + 1]candidates // subtrees of the share's own leaves
	ms       [2]int64                   // received times of its first and last leaf that could be read
}

func (c *checker) find(seq uint64, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Damage++
	if len(c.report.Findings) < MaxFindings {
		c.report.Findings = append(c.report.Findings, Finding{seq, fmt.Sprintf(format, args...)})
	}
}

// finish joins the shares: the tree above them, the record of the log's end,
// and the checkpoints.
func (c *checker) finish(a *Archive, s *store) {
	nodes := &nodeCursor{s: s}
	t := checkTree{c: c, frontier: make([]candidates, 64), stored: nodes.get}
	var before int64
	for i := range c.shares {
		r := &c.shares[i]
		if r.ms[0] != 0 && r.ms[0] < before {
			c.find(r.first, "it was received before the entry before it")
		}
		before = max(before, r.ms[1])
		if size := c.size - r.first; size < 1<<checkLevel {
			copy(t.frontier, r.frontier[:checkLevel]) // the last share may be several smaller subtrees
			break
		}
		t.push(r.first+1<<checkLevel-1, checkLevel, r.frontier[checkLevel])
	}
	nodes.close()
	if c.size&1 == 1 && t.frontier[0].doubt {
		c.find(c.size-1, "its leaf is not the one that the log ended with")
	}
	root, known := c.root(&t)
	if known {
		c.report.Root = rootText(root)
	}
	if known && c.end != nil && c.end.root != root {
		c.find(c.size-1, "the tree up to it has not the root hash that the log ended with")
	}
	c.checkpoints(a, s, root)
	for _, what := range s.doubts {
		c.find(c.size-1, "%s", what)
	}
	if c.opts.Bodies && a.opts.ReadOnly {
		c.orphans(s)
	}
	slices.SortStableFunc(c.report.Findings, func(x, y Finding) int { return cmp.Compare(x.Seq, y.Seq) })
}

// root returns the tree hash of what is here, if every part of it could be
// had.
func (c *checker) root(t *checkTree) (proof.Hash, bool) {
	end := tip{size: c.size}
	for level, h := range t.frontier {
		if c.size>>level&1 == 0 {
			continue
		}
		if h.n == 0 {
			return proof.Hash{}, false
		}
		end.frontier[level] = h.hash[0]
	}
	return end.root(), true
}
