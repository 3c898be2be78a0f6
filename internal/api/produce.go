package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/role"
)

// Production is what a Producer is asked for.
type Production struct {
	Query     *query.Query // widened by People and narrowed to Scope; it is written as it was typed
	Within    *query.Query // what hangs at a message has to match it as well; nil: all of it is the caller's to read
	Typed     string       // the query as typed
	Asked     *ExportRequest
	Digest    string     // of everything that was asked, but the reason; hex
	At        uint64     // size of the log that it is as of
	People    []Named    // whom names in the query were taken for
	Scope     role.Scope // whose messages; the query is narrowed to it already
	Principal audit.Principal
	Reason    string
	Matter    string
	Access    uint64 // seq of the access entry

	// Begin is told before the first file what the production is called.
	Begin func(Begun)
	// Progress is told how far it has come, in entries.
	Progress func(done, total uint64)
}

// MayHang reports whether an entry of these relay users is produced with the
// message at which it hangs: whether the caller could read it there.
func (p *Production) MayHang(from string, to []string, received time.Time) bool {
	return p.Within == nil || isWithin(p.Within, from, to, received)
}

// Produced is what a production came to, in entries.
type Produced struct {
	Matched, Produced, Withheld uint64
	Redacted                    uint64 // of those produced: with covered text
	Through                     uint64 // newest entry that was examined
	Quarantined                 uint64 // quarantined entries up to there

	// Custodians are the relay users whose messages were produced, senders and
	// recipients, each once; nil when that is not known.
	Custodians []string

	Production uint64 // seq of the entry that began it
	Bates      string // first and last number; "" without
	Near       uint64 // near matches of a patient access package: messages listed in its annex
}

// Sink takes a production's files, one at a time: each is closed before the
// next is created. Names are slash-separated and of ValidFile's form.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Names of the parts that are no files: one may come first, some between, and
// one of two ends an export.
const (
	partBegun    = "holdfast-begun"
	partProgress = "holdfast-progress"
	partComplete = "holdfast-complete"
	partFailed   = "holdfast-failed"
	maxFinal     = 64 << 10 // bytes of such a part
)

var fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){0,3}$`)

// ValidFile reports whether name can be a production's file: at most four
// parts, none of which begins with a dot. Server and client both insist on it.
func ValidFile(name string) bool { return fileName.MatchString(name) && len(name) <= 255 }

// exportRequest reads what an export or the request for one asks for.
func (s *Server) exportRequest(w http.ResponseWriter, r *http.Request, c *caller) (*ExportRequest, *query.Query, error) {
	var req ExportRequest
	if err := decode(w, r, &req); err != nil {
		return nil, nil, err
	}
	if err := s.patient(&req); err != nil {
		return nil, nil, err
	}
	if err := req.check(); err != nil {
		return nil, nil, err
	}
	q, err := s.typed(req.Query, "", "", time.Time{})
	if err != nil {
		return nil, nil, err
	}
	req.Matter, err = s.matter(r.Context(), c, req.Matter)
	return &req, q.query, err
}

func (s *Server) export(w http.ResponseWriter, r *http.Request, c *caller) error {
	req, q, err := s.exportRequest(w, r, c)
	if err != nil {
		return err
	}
	if req.Request != 0 {
		return badRequest("an approved export where others are made", "send it to /v1/export/approved")
	}
	return s.produce(w, r, c, req, q)
}

func (s *Server) exportApproved(w http.ResponseWriter, r *http.Request, c *caller) error {
	req, q, err := s.exportRequest(w, r, c)
	if err != nil {
		return err
	}
	if req.Request == 0 || req.At == 0 {
		return badRequest("it names no approved export", "give the request and the size of the log that was approved")
	}
	return s.produce(w, r, c, req, q)
}

// produce streams a production. One of many entries takes an approval.
func (s *Server) produce(w http.ResponseWriter, r *http.Request, c *caller, req *ExportRequest, q *query.Query) error {
	end, err := s.begin()
	if err != nil {
		return err
	}
	defer end()
	sink := newPartSink(w)
	sink.still = func() error { return s.still(endOf(r.Context()), c) }
	sink.resume = req.Resume
	var done Completion
	access := audit.Access{Action: audit.ActionExport, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: req.Query}
	if req.Request != 0 {
		access.Target = "request " + decimal(req.Request)
	}
	err = s.look(r.Context(), access, func(ctx context.Context, seq uint64) (audit.Outcome, error) {
		p := Production{Typed: req.Query, Asked: req, Principal: c.who, Scope: c.scope, Reason: req.Reason, Matter: req.Matter, Access: seq,
			Begin: func(b Begun) { sink.begun = &b }, Progress: sink.reach}
		b, err := s.bind(ctx, c, q)
		if err != nil {
			return audit.Outcome{}, err
		}
		p.Query, p.People, p.Within = b.query, b.named, s.scopeOf(c, b)
		if p.At, err = s.size(b, req.At); err != nil {
			return audit.Outcome{}, err
		}
		p.Digest = exportDigest(q, req, p.At, b.reachOf(c, p.At))
		switch {
		case req.Resume != nil:
			// What was begun was allowed then; the producer knows of it, and whose it is.
		case req.Request != 0:
			// A crash after this leaves an approval used up and no export: it is asked for anew.
			err = s.approved(ctx, c, req, p.Digest)
		default:
			err = s.small(ctx, p.Query, p.At)
		}
		if err != nil {
			return audit.Outcome{}, err
		}
		made, err := s.Produce.Produce(ctx, p, sink)
		switch {
		case err != nil:
			return audit.Outcome{}, err
		case made == nil:
			return audit.Outcome{}, errors.New("a production without a summary")
		}
		done = Completion{Access: seq, Matched: made.Matched, Produced: made.Produced, Withheld: made.Withheld, Redacted: made.Redacted, Through: made.Through, Quarantined: made.Quarantined, Production: made.Production, Bates: made.Bates, Near: made.Near}
		o := audit.Outcome{Total: made.Matched, Shown: made.Produced, Through: made.Through}
		if made.Custodians != nil {
			parties := make([][]string, 0, len(made.Custodians))
			for _, usr := range made.Custodians {
				parties = append(parties, []string{usr})
			}
			s.whose(&o, c.who, parties)
		}
		return o, sink.idle()
	})
	if err != nil {
		return errors.Join(err, sink.fail(problemOf(err)))
	}
	// A crash or a cut before this part leaves the client with a production that has a manifest but no end, which it throws away.
	return sink.complete(done)
}
