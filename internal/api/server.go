package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
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

// Searcher finds the entries that match a query. It sees everything that was
// acked before the call, or says how much it did not see.
type Searcher interface {
	// Search gives the hits of a page. Its answer has no cursor and no checkpoint.
	Search(ctx context.Context, q *query.Query, page Page) (*SearchResponse, error)
	// Count counts by one of the By constants; by ByCustodian a bucket's key is a
	// relay user. asOf is a Page's.
	Count(ctx context.Context, q *query.Query, by string, asOf uint64) (*CountResponse, error)
}

// Page says which hits of a search are wanted.
type Page struct {
	Limit  int    // 0..MaxLimit; 0 for the total alone
	Sort   string // SortSeq or SortSent
	Before *Place // only hits after this one in the order; nil: from the first
	AsOf   uint64 // as in SearchRequest
	Oldest bool   // in the log's order instead, from the first hit whose seq is above Above
	Above  uint64
}

// Place is a hit's place in the order of hits.
type Place struct {
	Sent time.Time // of SortSent
	Seq  uint64
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

// Parts are what a server serves.
type Parts struct {
	Ledger   Ledger
	Store    Store
	Alarms   Alarms
	Status   Statuser
	Search   Searcher
	Show     Shower
	Produce  Producer
	Auth     Auth
	Registry *prometheus.Registry // served as /metrics; the API's own metrics go in as well
	Log      *slog.Logger

	// What follows is optional. What needs a part that is not there is refused.

	Ready     func(ctx context.Context) error // nil error: entries are taken and searches answered
	People    People
	Register  Register
	Directory Directory
	Devices   Devices
	Wipes     Wipes
	Approvals Approvals
	Docket    Docket
	Coverage  Coverer
	Watch     *audit.Watch   // what is usual at the site; nil: nothing is flagged
	Zone      *time.Location // of dates in queries; nil: UTC
	Saved     Saved
	// GroupStays returns who was in a group of the directory, by its objectGUID, and when.
	GroupStays func(ctx context.Context, guid string) ([]query.Stay, error)
	// SizeAt returns how many entries had been received at a time, or before.
	SizeAt func(ctx context.Context, t time.Time) (uint64, error)
	Retention
	BackupParts
	RestoreParts
	AnchorParts
	NoticeParts
	DoctorParts
	PauseParts
	KitParts
	WatchParts

	// LargeExport is how many entries one person may export alone; 0 is no limit.
	LargeExport uint64
	// ThirdParties is how a patient access package shows people who are not the
	// patient, unless the export says otherwise; "": by initials.
	ThirdParties string
}

// Server answers the API's requests. It holds no data of its own.
type Server struct {
	Parts
	metrics    *metrics
	refused    refusals
	strangers  strangers
	heavy      chan struct{} // a place for each long task that runs
	grace      time.Duration // for requests under way when the daemon stops
	everything *query.Query  // matches every message
	cursors    cursorKey
}

// heavyTasks bounds exports and checks that run at once: each keeps a core and
// the disk busy.
const heavyTasks = 2

// New returns a server over p.
func New(p Parts) (*Server, error) {
	if p.Ledger == nil || p.Store == nil || p.Alarms == nil || p.Status == nil || p.Search == nil ||
		p.Show == nil || p.Produce == nil || p.Auth == nil || p.Registry == nil || p.Log == nil {
		return nil, errors.New("the API server needs all of its parts")
	}
	everything, err := query.Parse("received>=1900-01-01")
	if err != nil {
		return nil, err
	}
	cursors, err := newCursorKey()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(p.Registry)
	if err != nil {
		return nil, err
	}
	return &Server{
		Parts: p, metrics: m, everything: everything, cursors: cursors, grace: stopTimeout, heavy: make(chan struct{}, heavyTasks),
		refused: refusals{last: map[string]time.Time{}}, strangers: strangers{places: map[netip.Prefix]*bucket{}},
	}, nil
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

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, _ *caller) error {
	promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}
