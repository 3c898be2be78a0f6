package search

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// part is the index of one log file.
type part struct {
	file       uint64
	start, end uint64 // the seqs of the log file
	dir        string
	keys       Keys
	analysis   *index.AnalysisQueue
	log        *slog.Logger
	unmerged   bool

	use sync.RWMutex // held shared while the store is searched or written to; taken before mu

	mu      sync.Mutex
	store   *scorch.Scorch              // nil while the part is discarded
	mark    mark                        // of the last durable batch
	columns map[segment.Segment]*column // of segments of a recent snapshot
	words   *vocabulary                 // of the text in the store
	dead    *death                      // of the store
	opened  uint64                      // how many times a store was opened
}

// mark says what a part holds. It is written in the same batch as the entries
// that it counts.
type mark struct {
	through uint64 // every entry of the log file with a lower seq has been seen
	count   uint64 // how many of them were searchable
}

const (
	markKey     = "holdfast-mark"
	markVersion = 3 // of the mark and of everything in document.go
	markLen     = 1 + 8 + 8
)

func (m mark) bytes() []byte {
	b := binary.BigEndian.AppendUint64([]byte{markVersion}, m.through)
	return binary.BigEndian.AppendUint64(b, m.count)
}

func parseMark(b []byte) (mark, bool) {
	if len(b) != markLen || b[0] != markVersion {
		return mark{}, false
	}
	return mark{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}, true
}

// open opens the part's directory, or discards it and begins a new one when it
// fails any check.
func (p *part) open(ctx context.Context, size uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store != nil {
		return nil
	}
	key, err := p.keys.IndexKey(ctx, p.file)
	if err != nil {
		return fmt.Errorf("key of search index %06d: %w", p.file, err)
	}
	setVaultKey(p.dir, key)
	if _, err := os.Stat(p.dir); err == nil {
		err := p.openChecked(size)
		if err == nil {
			return nil
		}
		p.log.Warn("search index discarded", "file", p.file, "error", err)
	}
	if err := p.discard(); err != nil {
		return err
	}
	return p.openChecked(size)
}

// openChecked opens the store as it is on disk and checks all that can be
// checked without reading every posting.
func (p *part) openChecked(size uint64) (err error) {
	// bleve indexes into damaged files without looking; what it then panics with
	// is one more way of failing the check.
	defer recoverDamage(&err)
	_, statErr := os.Stat(p.dir)
	p.dead = &death{ch: make(chan struct{})}
	idx, err := scorch.NewScorch(scorch.Name, p.config(), p.analysis)
	if err != nil {
		return fmt.Errorf("search index %06d: %w", p.file, err)
	}
	setVaultDeath(p.dir, p.dead)
	store, ok := idx.(*scorch.Scorch)
	if !ok {
		return fmt.Errorf("search index %06d: %w", p.file, errPostings)
	}
	if err := store.Open(); err != nil {
		return fmt.Errorf("search index %06d: %w", p.file, err)
	}
	words := newVocabulary()
	m, err := p.check(store, size, errors.Is(statErr, os.ErrNotExist), words)
	if err != nil {
		return errors.Join(fmt.Errorf("search index %06d: %w", p.file, err), store.Close())
	}
	p.store, p.mark, p.columns, p.words = store, m, map[segment.Segment]*column{}, words
	p.opened++
	return nil
}

// config is made anew for each open, because bleve changes it.
func (p *part) config() map[string]any {
	c := map[string]any{
		"path":                   p.dir,
		"bolt_timeout":           "5s",
		"asyncErrorCallbackName": asyncErrorName,
	}
	if p.unmerged {
		c["scorchMergePlanOptions"] = map[string]any{"MaxSegmentsPerTier": 1000, "FloorSegmentSize": 1}
	}
	return c
}

func (p *part) check(store *scorch.Scorch, size uint64, fresh bool, words *vocabulary) (mark, error) {
	snap, err := snapshotOf(store)
	if err != nil {
		return mark{}, err
	}
	defer snap.Close()
	m, err := p.checkMark(snap)
	if err != nil {
		return mark{}, err
	}
	// bleve skips a state that it cannot read, such as one under another key, and
	// begins an empty one beside the files.
	if m.through == p.start && !fresh {
		return mark{}, errors.New("it holds nothing that can be read")
	}
	if m.through > size {
		return mark{}, errors.New("it is ahead of the log")
	}
	for _, s := range snap.Segments() {
		file, ok := s.Segment().(interface {
			Path() string
			CRC() uint32
		})
		if !ok {
			return mark{}, errors.New("a segment is not on disk")
		}
		if err := checkCRC(file.Path(), file.CRC()); err != nil {
			return mark{}, err
		}
		if err := words.learnFrom(s.Segment()); err != nil {
			return mark{}, err
		}
	}
	return m, nil
}

// checkMark reads the snapshot's mark, which a new part does not have yet, and compares it with the segments: a
// segment that was lost or doubled changes the count.
func (p *part) checkMark(snap *scorch.IndexSnapshot) (mark, error) {
	value, err := snap.GetInternal([]byte(markKey))
	if err != nil {
		return mark{}, err
	}
	if value == nil && len(snap.Segments()) == 0 {
		return mark{through: p.start}, nil
	}
	m, ok := parseMark(value)
	if !ok || m.through < p.start || m.through > p.end {
		return mark{}, errors.New("its mark is missing or of another version")
	}
	var count uint64
	for _, s := range snap.Segments() {
		if d := s.Deleted(); d != nil && !d.IsEmpty() {
			return mark{}, errors.New("it has deleted entries")
		}
		count += s.Segment().Count()
	}
	if count != m.count {
		return mark{}, errors.New("it does not hold as many entries as its mark says")
	}
	return m, nil
}

// checkCRC checks a segment file as a whole. GCM covers the postings, terms and
// values; the offsets between them only this.
func checkCRC(path string, want uint32) error {
	f, err := os.Open(path) // #nosec G304 -- a segment of the index's own folder
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyBuffer(sum, io.LimitReader(f, info.Size()-crc32.Size), make([]byte, 1<<20)); err != nil {
		return err
	}
	if sum.Sum32() != want {
		return errors.New("a segment's checksum is wrong")
	}
	return nil
}

// discard closes the store and removes its directory. The caller holds p.mu or
// is the only one to know p.
//
// If we were to crash in the middle, the next open finds a directory that fails
// its checks and discards it again.
func (p *part) discard() error {
	if err := p.closeStore(); err != nil {
		p.log.Warn("search index not closed cleanly", "file", p.file, "error", err)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("discard search index %06d: %w", p.file, err)
	}
	return nil
}

// closeStore closes the store; what it could not write is indexed again.
func (p *part) closeStore() error {
	store := p.store
	p.store, p.columns, p.words, p.mark = nil, nil, nil, mark{through: p.start}
	if store == nil {
		return nil
	}
	// Background work that has panicked leaves a transaction open, for which Close
	// would wait for ever; such a store is abandoned, and its directory with it.
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }()
	select {
	case err := <-closed:
		return err
	case <-p.dead.ch:
		if err := os.RemoveAll(p.dir); err != nil {
			return errors.Join(errDead, err)
		}
		return errDead
	}
}

func (p *part) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.closeStore()
	dropVaultKey(p.dir)
	return err
}

// damaged discards the store that was opened as the opened-th, after an error in
// it; the follower begins and fills a new one.
func (p *part) damaged(opened uint64, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened != opened || p.store == nil {
		return // discarded already
	}
	p.log.Warn("search index discarded", "file", p.file, "error", cause)
	if err := p.discard(); err != nil {
		p.log.Warn("search index not removed", "file", p.file, "error", err)
	}
}

// reset closes the store after a failed batch. The follower opens it again,
// with all the checks.
func (p *part) reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closeStore()
}

func (p *part) through() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.mark.through, p.start)
}

// state is a part as a search sees it.
type state struct {
	part    *part
	snap    *scorch.IndexSnapshot
	words   *vocabulary
	opened  uint64 // the number of the store
	through uint64 // every entry of the log file with a lower seq has been seen
}

// snapshot returns the state of the part; its snap is nil while there is no
// store. The caller gives a state with a snap to done.
func (p *part) snapshot() (st state, err error) {
	st = state{part: p, through: p.start}
	p.use.RLock()
	defer func() {
		if st.snap == nil {
			p.use.RUnlock()
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	st.opened = p.opened
	if p.store == nil {
		return st, nil
	}
	st.words = p.words
	st.snap, err = snapshotOf(p.store)
	return st, err
}

// done ends the use of a snapshot.
func (p *part) done(snap *scorch.IndexSnapshot) {
	if err := snap.Close(); err != nil {
		p.log.Warn("search index: a snapshot was not closed", "file", p.file, "error", err)
	}
	p.use.RUnlock()
}

func snapshotOf(store *scorch.Scorch) (*scorch.IndexSnapshot, error) {
	reader, err := store.Reader()
	if err != nil {
		return nil, err
	}
	snap, ok := reader.(*scorch.IndexSnapshot)
	if !ok || snap == nil {
		return nil, ErrClosed
	}
	return snap, nil
}

// write indexes docs and moves the mark to through, in one batch.
func (p *part) write(docs []query.Doc, through uint64) error {
	p.use.RLock()
	defer p.use.RUnlock()
	p.mu.Lock()
	store, m, dead, words := p.store, p.mark, p.dead, p.words
	p.mu.Unlock()
	if store == nil {
		return errGone
	}
	select {
	case <-dead.ch:
		return fmt.Errorf("search index %06d: %w", p.file, errDead)
	default:
	}
	m = mark{through, m.count + uint64(len(docs))}
	batch := index.NewBatch()
	for i := range docs {
		batch.Update(newDocument(&docs[i], p.start, words))
	}
	batch.SetInternal([]byte(markKey), m.bytes())
	done := make(chan error, 1)
	go func() { done <- store.Batch(batch) }()
	select {
	case err := <-done:
		// Once Batch has returned, entries and mark are on disk together; if we
		// were to crash before, neither would be, and both would be written again.
		if err != nil {
			return fmt.Errorf("search index %06d: %w", p.file, err)
		}
	case <-dead.ch:
		// Nothing will ever answer that batch; its goroutine is lost with the store.
		return fmt.Errorf("search index %06d: %w", p.file, errDead)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == store {
		p.mark = m
	}
	return nil
}

// recoverDamage turns a panic or memory fault in bleve into an error. What the
// panic says is not kept: it could hold content.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		*err = errors.Join(ErrDamaged, *err)
	}
}

// guard runs f, which reads an index's files, and turns damage of them into an
// error, also when a file shrinks under its mapping.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recoverDamage(&err)
	return f()
}
