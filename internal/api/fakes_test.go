package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The archive fits what the API asks of it.
var (
	_ Ledger  = (*archive.Archive)(nil)
	_ Store   = (*archive.Archive)(nil)
	_ Records = (*archive.Archive)(nil)
	_ Alarms  = (*state.State)(nil)
	_ Shower  = (*Renderer)(nil)
)

// house is everything behind the server, in memory. It keeps a trace of what
// was asked of it, in order.
type house struct {
	t  *testing.T
	mu sync.Mutex

	trace   []string
	records []archive.Record
	failAt  int // the append that fails, from 1; 0 for none
	failAs  error
	appends int

	searchErr error
	found     SearchResponse
	search    func(q *query.Query, page Page) (*SearchResponse, error) // instead of found
	messages  []Hit                                                    // of talk
	counted   CountResponse
	shown     []Shown
	produce   func(ctx context.Context, p Production, sink Sink) (*Produced, error)
	check     func(ctx context.Context, o archive.CheckOptions) (*archive.Report, error)
	ready     error
}

func (h *house) did(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trace = append(h.trace, fmt.Sprintf(format, args...))
}

func (h *house) traced() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.trace)
}

func (h *house) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.appends++
	if h.appends == h.failAt {
		h.trace = append(h.trace, "append failed")
		return nil, h.failAs
	}
	var placed []archive.Placed
	for _, e := range b.Entries {
		seq := uint64(len(h.records))
		h.records = append(h.records, archive.Record{Body: e.Body, Leaf: proof.Leaf{
			Seq: seq, Kind: e.Kind, Class: e.Class, Received: int64(seq) * 60_000,
		}})
		h.trace = append(h.trace, "append "+e.Kind.String())
		placed = append(placed, archive.Placed{Seq: seq, Kind: e.Kind})
	}
	return placed, nil
}

func (h *house) Size() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(len(h.records))
}

func (h *house) ClassRecords(_ context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	h.mu.Lock()
	records := slices.Clone(h.records[from:to])
	h.mu.Unlock()
	return func(yield func(archive.Record, error) bool) {
		for _, r := range records {
			if r.Leaf.Class == class && !yield(r, nil) {
				return
			}
		}
	}
}

func (h *house) Identity() *proof.Identity {
	return &proof.Identity{ArchiveID: "st-elsewhere", LogKey: "holdfast.invalid/st-elsewhere/0011223344556677+log+key"}
}
func (h *house) IdentityJSON() []byte { return []byte("{\n  \"v\": 1\n}\n") }
func (h *house) Checkpoint(context.Context) ([]byte, error) {
	return []byte("origin\n5\nroot\n\n— sig\n"), nil
}

func (h *house) Check(ctx context.Context, o archive.CheckOptions) (*archive.Report, error) {
	return h.check(ctx, o)
}

func (h *house) Status(context.Context) (*Status, error) {
	return &Status{Version: "v1", ArchiveID: "st-elsewhere", Size: h.Size(), Accepting: true}, nil
}

func (h *house) Search(_ context.Context, q *query.Query, page Page) (*SearchResponse, error) {
	before := page.Above
	if page.Before != nil {
		before = page.Before.Seq
	}
	h.did("search %s limit %d before %d as of %d", q, page.Limit, before, page.AsOf)
	if h.search != nil {
		return h.search(q, page)
	}
	found := h.found
	return &found, h.searchErr
}

func (h *house) Count(_ context.Context, q *query.Query, by string, asOf uint64) (*CountResponse, error) {
	h.did("count %s by %s as of %d", q, by, asOf)
	counted := h.counted
	return &counted, h.searchErr
}

func (h *house) Show(_ context.Context, seqs []uint64) ([]Shown, error) {
	h.did("show %v", seqs)
	return h.shown, h.searchErr
}

func (h *house) Produce(ctx context.Context, p Production, sink Sink) (*Produced, error) {
	h.did("produce %s", p.Query)
	return h.produce(ctx, p, sink)
}

// files makes a producer of the given files, name and content in turn.
func files(pairs ...string) func(context.Context, Production, Sink) (*Produced, error) {
	return func(_ context.Context, _ Production, sink Sink) (*Produced, error) {
		for i := 0; i < len(pairs); i += 2 {
			if err := writeFile(sink, pairs[i], pairs[i+1]); err != nil {
				return nil, err
			}
		}
		return &Produced{Matched: 5, Produced: 4, Withheld: 1, Through: 99}, nil
	}
}

func writeFile(sink Sink, name, content string) error {
	w, err := sink.Create(name)
	if err != nil {
		return err
	}
	for len(content) > 0 {
		n := min(1000, len(content))
		if _, err := w.Write([]byte(content[:n])); err != nil {
			return err
		}
		content = content[n:]
	}
	return w.Close()
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, failAs: archive.ErrFailed, produce: files("records.jsonl", "{}\n", "manifest.json", "{}")}
	h.found = SearchResponse{Extent: Extent{Total: 1, Through: 7}, Hits: []Hit{{Seq: 3, Text: "canary text"}}}
	h.shown = []Shown{{Seq: 3, Kind: "message", Message: &Hit{Text: "canary text"}}}
	h.check = func(context.Context, archive.CheckOptions) (*archive.Report, error) {
		return &archive.Report{Size: 9, Root: "r", Findings: []archive.Finding{}}, nil
	}
	if _, err := h.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindGenesis, Class: proof.ClassControl}}}); err != nil {
		t.Fatal(err)
	}
	h.trace, h.appends = nil, 0
	return h
}

// server makes a server over the house.
func (h *house) server() *Server {
	h.t.Helper()
	s, err := New(Parts{
		Ledger: h, Store: h, Alarms: state.New(h, envelope.Pins{}, nil), Status: h, Search: h, Show: h, Produce: h, Auth: owners{},
		Ready:    func(context.Context) error { return h.ready },
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// socketPath returns a path short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "s")
}

// serve runs a server on a real socket until the test ends, and returns a
// client of it.
func serve(t *testing.T, s *Server) (*Client, func() error) {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	c := NewClient(path)
	stop := sync.OnceValue(func() error {
		c.Close()
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return c, stop
}

// post sends a raw body to an endpoint.
func post(t *testing.T, c *Client, method, path, contentType, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://holdfast"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// problem returns err as a problem.
func problem(t *testing.T, err error) *Problem {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("error is no problem: %v", err)
	}
	if p.Exit == 0 || p.Code == "" {
		t.Errorf("problem without exit or code: %+v", p)
	}
	return p
}

func outcomeOf(t *testing.T, r archive.Record) audit.Outcome {
	t.Helper()
	var o audit.Outcome
	if r.Leaf.Kind != proof.KindOutcome {
		t.Fatalf("entry %d is a %v", r.Leaf.Seq, r.Leaf.Kind)
	}
	if err := json.Unmarshal(r.Body, &o); err != nil {
		t.Fatal(err)
	}
	return o
}
