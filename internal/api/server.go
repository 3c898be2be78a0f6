package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/state"
)

// Ledger is the log as the API needs it: access entries, outcomes and
// acknowledgements go in, audit entries come out. *archive.Archive is one.
type Ledger interface {
	audit.Appender
	audit.Source
}

// Store is what else *archive.Archive does for the API.
type Store interface {
	Identity() *proof.Identity
	IdentityJSON() []byte
	Checkpoint(ctx context.Context) ([]byte, error)
	Check(ctx context.Context, o archive.CheckOptions) (*archive.Report, error)
}

// Alarms are the alarms as of a log size. *state.State is one.
type Alarms interface {
	CatchUp(ctx context.Context, size uint64) error
	Alarms(all bool) []state.Alarm
	Alarm(seq uint64) (state.Alarm, error)
}

// Statuser tells how things stand. It must answer at once and name no person.
type Statuser interface {
	Status(ctx context.Context) (*Status, error)
}

// Searcher finds the entries that match q, newest first. It sees everything
// that was acked before the call, or says how much it did not see.
type Searcher interface {
	Search(ctx context.Context, q *query.Query, page Page) (*SearchResponse, error)
}

// Page says which hits of a search are wanted; see SearchRequest.
type Page struct {
	Limit        int // 1..MaxLimit
	Before, AsOf uint64
}

// Shower gives whole entries, in the order of seqs. A seq that the log does
// not have is archive.ErrNotFound; a body that is gone is no error. *Renderer
// is one.
type Shower interface {
	Show(ctx context.Context, seqs []uint64) ([]Shown, error)
}

// Producer makes a production, file by file, manifest last. It stops when ctx
// ends or the sink fails.
type Producer interface {
	Produce(ctx context.Context, p Production, sink Sink) (*Produced, error)
}

// Parts are what a server serves. All are required except Ready.
type Parts struct {
	Ledger   Ledger
	Store    Store
	Alarms   Alarms
	Status   Statuser
	Search   Searcher
	Show     Shower
	Produce  Producer
	Ready    func(ctx context.Context) error // nil error: entries are taken and searches answered
	Registry *prometheus.Registry            // served as /metrics; the API's own metrics go in as well
	Log      *slog.Logger
	UIDs     []uint32 // who may use the socket besides root and the daemon's own user
}

// Server answers the API's requests. It holds no data of its own.
type Server struct {
	Parts
	metrics *metrics
	refused refusals
	heavy   chan struct{}  // a place for each long task that runs
	grace   time.Duration  // for requests under way when the daemon stops
	running sync.WaitGroup // handlers
}

// heavyTasks bounds exports and checks that run at once: each keeps a core and
// the disk busy.
const heavyTasks = 2

// New returns a server over p.
func New(p Parts) (*Server, error) {
	if p.Ledger == nil || p.Store == nil || p.Alarms == nil || p.Status == nil || p.Search == nil ||
		p.Show == nil || p.Produce == nil || p.Registry == nil || p.Log == nil {
		return nil, errors.New("the API server needs all of its parts")
	}
	m, err := newMetrics(p.Registry)
	if err != nil {
		return nil, err
	}
	return &Server{Parts: p, metrics: m, refused: refusals{last: map[uint32]time.Time{}}, heavy: make(chan struct{}, heavyTasks), grace: stopTimeout}, nil
}

// Timeouts of a connection. A stream has no timeout as a whole, but each of
// its writes has one, so that a client that stopped reading holds nothing up.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	writeTimeout  = time.Minute
	stopTimeout   = 10 * time.Second
	maxHeader     = 16 << 10
)

// Serve answers at l until ctx ends; then requests under way get some
// time before they are cut off. It closes l and returns nil after such a stop.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(http.ErrServerClosed)
	srv := &http.Server{
		Handler:           s.Handler(),
		ConnContext:       withPeer,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the API server ended: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	err := srv.Shutdown(grace)
	abort(http.ErrServerClosed) // long tasks notice that the daemon stops, and record how far they came
	if err != nil {
		err = srv.Close()
	}
	<-ended
	s.running.Wait() // the store is closed after this: no outcome is appended to a closed log
	return err
}

// Handler returns the API's handler. Its requests must have passed a server
// whose ConnContext says who the peer is, as Serve's does.
func (s *Server) Handler() http.Handler {
	// A table instead of http.ServeMux: that would answer a wrong path or method in plain text, or with a redirect.
	routes := map[string]http.Handler{}
	for route, h := range map[string]handler{
		"GET /v1/status":       s.status,
		"POST /v1/search":      s.search,
		"POST /v1/show":        s.show,
		"POST /v1/export":      s.export,
		"POST /v1/verify":      s.verify,
		"GET /v1/checkpoint":   s.checkpoint,
		"POST /v1/audit":       s.audit,
		"POST /v1/alarms/list": s.alarmsList,
		"POST /v1/alarms/show": s.alarmsShow,
		"POST /v1/alarms/ack":  s.alarmsAck,
		"GET /healthz":         s.healthz,
		"GET /readyz":          s.readyz,
		"GET /metrics":         s.serveMetrics,
	} {
		routes[route] = s.endpoint(route, h)
	}
	unknown := s.endpoint("other", func(http.ResponseWriter, *http.Request, audit.Principal) error {
		return &Problem{Title: "there is no such endpoint", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
			Hint: "the program and the daemon may be of different versions: compare `holdfast version` with `holdfast status`"}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := routes[r.Method+" "+r.URL.Path]
		if !ok {
			h = unknown
		}
		h.ServeHTTP(w, r)
	})
}

// handler answers one endpoint; an error before the first byte becomes the
// answer.
type handler func(http.ResponseWriter, *http.Request, audit.Principal) error

// endpoint puts around a handler what all have in common: the peer's right to
// be here, no content in URLs, problems for errors, and metrics.
func (s *Server) endpoint(name string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		began := time.Now()
		out := &answer{ResponseWriter: w}
		if err := s.answer(out, r, h); err != nil {
			s.fail(out, r, name, err)
		}
		s.metrics.observe(name, out.code(), time.Since(began))
	})
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, h handler) error {
	who, err := peerOf(r.Context())
	if err != nil {
		return fmt.Errorf("peer credentials: %w", err)
	}
	if !s.allowed(*who.UID) {
		return s.refuse(r.Context(), who)
	}
	if r.URL.RawQuery != "" {
		return badRequest("a URL with a query part", "send parameters in the body: URLs end up in logs")
	}
	return h(w, r, who)
}

func (s *Server) allowed(uid uint32) bool {
	return uid == 0 || int(uid) == os.Getuid() || slices.Contains(s.UIDs, uid)
}

// fail tells the client what went wrong, if nothing was told yet, and the log
// what the client is not told. Neither has content.
func (s *Server) fail(w *answer, r *http.Request, endpoint string, err error) {
	p := problemUnder(r.Context(), err)
	switch p.Code {
	case CodeInternal:
		s.Log.Error("a request failed", "endpoint", endpoint, "error", err)
	case CodeInterrupted:
		s.Log.Debug("a request was interrupted", "endpoint", endpoint, "error", err)
	}
	if w.status != 0 {
		return // a stream has its own way of saying so
	}
	if err := writeProblem(w, p); err != nil {
		s.Log.Debug("a client hung up", "endpoint", endpoint)
	}
}

// answer remembers which status was sent.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(code int) {
	if a.status == 0 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach flushing and deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, _ audit.Principal) error {
	promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}
