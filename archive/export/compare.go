package export

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
)

// How a comparison finds its place again where a file differs.
const (
	headSize   = 512     // bytes of a unit by which it is found
	windowSize = 1 << 20 // bytes in which it is sought
	maxMisses  = 64      // units in a row that are not found, before the rest of the file is given up
)

// A compareSink takes what formats render anew and compares it with the files
// of a production.
type compareSink struct {
	v      *verifier
	prefix string // of the volume
	open   *comparison
	cur    *unit // nil: between units
}

// unit begins a unit; nil: what stands between units.
func (s *compareSink) unit(u *unit) {
	if s.open != nil {
		s.open.end()
	}
	s.cur = u
	if s.open != nil {
		s.open.begin()
	}
}

// skip goes on without a unit that cannot be rendered.
func (s *compareSink) skip() {
	s.unit(nil)
	if s.open != nil {
		s.open.lost = true
	}
}

// opaque compares so many bytes of the unit with a hash. A file that the unit
// has alone is compared with files.jsonl later.
func (s *compareSink) opaque(size uint64, sum string) {
	if s.open != nil {
		s.open.opaque(size, sum)
	}
	s.unit(nil)
}

// Create implements render.Sink.
func (s *compareSink) Create(name string) (io.WriteCloser, error) {
	name = s.prefix + name
	if s.open != nil {
		return nil, errors.New("a format created a file out of turn")
	}
	c := &comparison{s: s, name: name}
	s.open = c
	listed, ok := s.v.list.file(name)
	if !ok {
		c.finding(Missing, "files.jsonl does not list it")
		return c, nil
	}
	c.listed = listed
	s.v.list.see(name)
	f, err := openRegular(s.v.fsys, name)
	if err != nil {
		c.finding(problemOf(err), "it cannot be opened")
		return c, nil
	}
	c.file, c.sum = f, sha256.New()
	c.limit = &io.LimitedReader{R: f, N: int64(listed.Size) + windowSize} // #nosec G115 -- I-JSON integers are below 2^53
	c.src = bufio.NewReaderSize(io.TeeReader(c.limit, io.MultiWriter(c.sum, (*counter)(&c.size))), windowSize)
	c.begin()
	return c, nil
}

// abandon closes the file that is open.
func (s *compareSink) abandon() {
	if s.open != nil && s.open.file != nil {
		// It was only read.
		_ = s.open.file.Close()
	}
	s.open = nil
}

type counter uint64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b)) // #nosec G115 -- a count of bytes
	return len(b), nil
}

// A comparison compares one file with what should be in it, unit by unit, so
// that a unit that differs is named and the rest is compared all the same.
type comparison struct {
	s      *compareSink
	name   string
	listed File
	file   fs.File // nil: there is nothing to compare with
	limit  *io.LimitedReader
	src    *bufio.Reader
	sum    hash.Hash
	size   uint64 // bytes read of the file

	head     []byte // of the unit, until it is decided where it stands
	decided  bool
	lost     bool   // the place in the file is not known
	ahead    uint64 // bytes that should come before the next unit, while it is not
	misses   int
	findings []Finding
	missing  int // index of the finding that may turn out to be a missing unit; -1: none
}

func (c *comparison) begin() { c.head, c.decided = c.head[:0], false }

// Write takes bytes that should come next.
func (c *comparison) Write(b []byte) (int, error) {
	if c.file == nil {
		return len(b), nil
	}
	if c.decided {
		c.compare(b)
		return len(b), nil
	}
	n := min(len(b), headSize-len(c.head))
	c.head = append(c.head, b[:n]...)
	if len(c.head) == headSize {
		c.decide()
		c.compare(b[n:])
	}
	return len(b), nil
}

// end ends a unit.
func (c *comparison) end() {
	if c.file != nil && !c.decided && len(c.head) > 0 {
		c.decide()
	}
}

// decide finds out where the unit stands that begins with head.
func (c *comparison) decide() {
	c.decided = true
	if c.misses >= maxMisses {
		return
	}
	if c.lost && c.ahead > windowSize/2 {
		c.discard(c.ahead - windowSize/4)
		c.ahead = windowSize / 4
	}
	i := 0
	if next, _ := c.src.Peek(len(c.head)); !bytes.Equal(next, c.head) {
		window, _ := c.src.Peek(windowSize)
		i = bytes.Index(window, c.head)
	}
	switch {
	case i < 0:
		c.changed()
		c.missing = len(c.findings) - 1
		c.ahead += uint64(len(c.head))
		if c.misses++; c.misses == maxMisses {
			c.findings = append(c.findings, Finding{File: visible(c.name), Problem: Changed, Detail: "what follows cannot be told apart"})
		}
		return
	case i == 0 && c.lost && c.missing >= 0 && c.ahead > 0 && c.missing < len(c.findings):
		c.findings[c.missing].Problem, c.findings[c.missing].Detail = Missing, "it is not in the file"
	case i > 0 && !c.lost:
		c.finding(Added, "something stands before it that was not rendered")
	}
	c.discard(uint64(i + len(c.head)))
	c.lost, c.ahead, c.missing, c.misses = false, 0, -1, 0
}

func (c *comparison) discard(n uint64) {
	// Where the file ends earlier, the next comparison finds that out.
	_, _ = c.src.Discard(int(n)) // #nosec G115 -- at most what a file holds
}

// compare compares bytes where the unit's place is known.
func (c *comparison) compare(b []byte) {
	for len(b) > 0 && !c.lost {
		n := min(len(b), windowSize/2)
		there, _ := c.src.Peek(n)
		if !bytes.Equal(there, b[:n]) {
			c.changed()
			c.missing = -1
			break
		}
		c.discard(uint64(n))
		b = b[n:]
	}
	c.ahead += uint64(len(b))
}

// changed notes that the unit is not what it should be.
func (c *comparison) changed() {
	c.lost = true
	c.finding(Changed, "it does not say what its entries say")
}

func (c *comparison) finding(p Problem, detail string) {
	f := Finding{File: visible(c.name), Problem: p, Detail: detail}
	if u := c.s.cur; u != nil && len(u.items) > 0 {
		seq := u.items[0].row.Seq
		f.Seq = &seq
		if n := len(u.items); n > 1 {
			f.Detail += "; it holds entries " + seqs(u)
		}
	}
	c.findings = append(c.findings, f)
}

// opaque compares so many bytes with a hash.
func (c *comparison) opaque(size uint64, sum string) {
	c.decided = true
	if c.file == nil || c.misses >= maxMisses {
		return
	}
	if c.lost {
		c.ahead += size
		return
	}
	h := sha256.New()
	n, err := io.CopyN(h, c.src, int64(size))                                     // #nosec G115 -- I-JSON integers are below 2^53
	if err != nil || uint64(n) != size || hex.EncodeToString(h.Sum(nil)) != sum { // #nosec G115 -- a count of bytes
		c.changed()
		c.missing, c.ahead = -1, 0
	}
}

// Close ends the file: what is left in it, and what is listed of it.
func (c *comparison) Close() error {
	if c.s.open != c {
		return errors.New("a format closed a file twice")
	}
	c.end()
	c.s.open = nil
	if c.file == nil {
		c.report(false)
		return nil
	}
	if _, err := c.src.Peek(1); err == nil && !c.lost {
		c.s.cur = nil
		c.finding(Added, "something follows its end")
	}
	_, err := io.Copy(io.Discard, c.src)
	err = errors.Join(err, c.file.Close())
	whole := err == nil && c.size == c.listed.Size && hex.EncodeToString(c.sum.Sum(nil)) == c.listed.SHA256
	if !whole && len(c.findings) == 0 {
		c.finding(Changed, "it is not what files.jsonl lists")
	}
	c.report(whole)
	return nil
}

// report tells what was found. A file that is as it was signed, and that
// another version of the program rendered, is not proven rather than changed.
func (c *comparison) report(whole bool) {
	v := c.s.v
	if whole && len(c.findings) > 0 && v.keys.Tool != "" && v.m.Tool != v.keys.Tool {
		v.v.Unrendered += uint64(len(c.findings))
		return
	}
	for _, f := range c.findings {
		v.v.add(f)
	}
}
