// Package search is the full-text index of the archive: one encrypted bleve
// index for each log file, a follower that keeps them up with the log, and a
// search whose answer equals, entry by entry, what query.Match says.
//
// The index is derived. Everything in it can be thrown away at any time and is
// built again from the log; whatever is damaged is. What the index does not yet
// hold is scanned at search time, so that a result is never stale.
//
// The directory's format is specified in archive/search/FORMAT.md. Packages
// above floor 2 may import this package; it meets the archive through the
// interfaces [Source] and [Keys].
package search

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"holdfast/archive/query"
)

// Errors of a search. Neither they nor what they wrap holds query text.
var (
	// ErrDamaged says that a part of the index failed its checks. The part has
	// been discarded; the follower builds it again.
	ErrDamaged = errors.New("the search index is damaged and is being rebuilt; search again in a moment")
	// ErrAsOf says that a search asked for a state that the log has not reached.
	ErrAsOf = errors.New("the log is shorter than the state that was asked for")
	// ErrClosed says that the index was closed.
	ErrClosed = errors.New("the search index is closed")
)

// Source is the log as the index sees it.
type Source interface {
	// Size returns the number of committed entries.
	Size() uint64
	// Wait blocks until Size() > size or ctx is done.
	Wait(ctx context.Context, size uint64) error
	// Docs yields the searchable entries with from <= seq < to in ascending
	// order of seq; entries that cannot be searched are left out.
	Docs(ctx context.Context, from, to uint64) iter.Seq2[query.Doc, error]
	// LeavesPerFile returns how many entries a log file holds; it never changes
	// and is at most 2^32.
	LeavesPerFile() uint64
}

// Keys gives the key of each log file's index.
type Keys interface {
	// IndexKey returns the key of the index of log file number file, making it
	// durable first if there is none yet.
	IndexKey(ctx context.Context, file uint64) ([32]byte, error)
}

// Options of an index. The zero value is right for production.
type Options struct {
	BatchDocs int           // entries indexed in one batch; default 8000
	Linger    time.Duration // how long the follower waits for a small batch to grow; default 200 ms, negative: not at all
	ScanLimit uint64        // most unindexed entries that one search scans; default 200,000
	Room      func() bool   // whether the disk has room for the index; while not, Follow waits and searches scan. Default: always
	Log       *slog.Logger  // default: discard

	unmerged bool // keep the segment of each batch, for tests that damage one of several
}

func (o Options) withDefaults() Options {
	if o.BatchDocs <= 0 {
		o.BatchDocs = 8000
	}
	if o.Linger == 0 {
		o.Linger = 200 * time.Millisecond
	}
	if o.ScanLimit == 0 {
		o.ScanLimit = 200_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Index is the index of a whole archive. It is safe for concurrent use; at most
// one Follow may run.
type Index struct {
	dir      string // absolute
	keys     Keys
	src      Source
	opts     Options
	analysis *index.AnalysisQueue

	mu     sync.Mutex
	parts  map[uint64]*part // by log file number; opened when first needed
	closed bool

	wake chan struct{} // tells Follow that a part was forgotten
}

// Open opens the index in dir, which is made if it is missing. The indexes of
// all log files that exist are opened and checked; those that fail are emptied,
// and Follow builds them again. The caller must Close the index.
func Open(ctx context.Context, dir string, keys Keys, src Source, opts Options) (*Index, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open search index: %w", err)
	}
	if n := src.LeavesPerFile(); n == 0 || n > math.MaxUint32+1 {
		return nil, fmt.Errorf("open search index: %d leaves per log file is outside 1 to 2^32", n)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open search index: %w; make the directory writable for the daemon", err)
	}
	installHooks()
	x := &Index{
		dir:      dir,
		keys:     keys,
		src:      src,
		opts:     opts.withDefaults(),
		parts:    map[uint64]*part{},
		wake:     make(chan struct{}, 1),
		analysis: index.NewAnalysisQueue(runtime.GOMAXPROCS(0)),
	}
	for file := range x.files(src.Size()) {
		if _, err := x.part(ctx, file); err != nil {
			return nil, errors.Join(err, x.Close())
		}
	}
	return x, nil
}

// Close waits for a running batch, then releases everything. Follow must have
// been cancelled.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	var errs []error
	for _, p := range x.parts {
		errs = append(errs, p.close())
	}
	x.analysis.Close()
	return errors.Join(errs...)
}

// Lag returns how many committed entries are not in the index yet.
func (x *Index) Lag() uint64 {
	size := x.src.Size()
	var lag uint64
	x.mu.Lock()
	defer x.mu.Unlock()
	for file := range x.files(size) {
		start, end := x.span(file, size)
		if p := x.parts[file]; p != nil {
			start = min(max(start, p.through()), end)
		}
		lag += end - start
	}
	return lag
}

// files returns how many log files hold size entries.
func (x *Index) files(size uint64) uint64 {
	per := x.src.LeavesPerFile()
	return (size + per - 1) / per
}

// span returns the seqs of a log file as far as they are below size.
func (x *Index) span(file, size uint64) (start, end uint64) {
	per := x.src.LeavesPerFile()
	return file * per, min((file+1)*per, size)
}

// folder returns the directory of a log file's index.
func (x *Index) folder(file uint64) string { return filepath.Join(x.dir, fmt.Sprintf("%06d", file)) }

// part returns the index of a log file, opening it if it is not open.
func (x *Index) part(ctx context.Context, file uint64) (*part, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	if p := x.parts[file]; p != nil {
		return p, nil
	}
	start, end := x.span(file, math.MaxUint64)
	p := &part{
		file:     file,
		start:    start,
		end:      end,
		dir:      x.folder(file),
		keys:     x.keys,
		analysis: x.analysis,
		log:      x.opts.Log,
		unmerged: x.opts.unmerged,
	}
	if err := p.open(ctx, x.src.Size()); err != nil {
		return nil, err
	}
	x.parts[file] = p
	return p, nil
}
