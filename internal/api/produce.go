package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/role"
)

// Production is what a Producer is asked for.
type Production struct {
	Query     *query.Query // widened by People and narrowed to Scope; it is written as it was typed
	Typed     string       // the query as typed
	Format    string       // FormatJSONL
	At        uint64       // size of the log that it is as of
	People    []Named      // whom names in the query were taken for
	Scope     role.Scope   // whose messages; the query is narrowed to it already
	Principal audit.Principal
	Reason    string
	Matter    string
	Access    uint64 // seq of the access entry
}

// Produced is what a production came to, in entries.
type Produced struct {
	Matched, Produced, Withheld uint64
	Through                     uint64 // newest entry that was examined
	Quarantined                 uint64 // quarantined entries up to there

	// Custodians are the relay users whose messages were produced, senders and
	// recipients, each once; nil when that is not known.
	Custodians []string
}

// Sink takes a production's files, one at a time: each is closed before the
// next is created. Names are slash-separated and of ValidFile's form.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Names of the parts that end an export.
const (
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
	if req.As != FormatJSONL {
		return nil, nil, badRequest("a format that this version does not make", "formats are: "+FormatJSONL)
	}
	q, err := query.Parse(req.Query)
	if err != nil {
		return nil, nil, err
	}
	req.Matter, err = s.matter(r.Context(), c, req.Matter)
	return &req, q, err
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
	var done Completion
	access := audit.Access{Action: audit.ActionExport, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: req.Query}
	if req.Request != 0 {
		access.Target = "request " + decimal(req.Request)
	}
	err = s.look(r.Context(), access, func(ctx context.Context, seq uint64) (audit.Outcome, error) {
		p := Production{Typed: req.Query, Format: req.As, Principal: c.who, Scope: c.scope, Reason: req.Reason, Matter: req.Matter, Access: seq}
		var err error
		if p.Query, p.People, err = s.narrow(ctx, c, q); err != nil {
			return audit.Outcome{}, err
		}
		if p.At, err = s.size(req.At); err != nil {
			return audit.Outcome{}, err
		}
		if req.Request != 0 {
			// A crash after this leaves an approval used up and no export: it is asked for anew.
			err = s.approved(ctx, c, req, q, p.People)
		} else {
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
		done = Completion{Access: seq, Matched: made.Matched, Produced: made.Produced, Withheld: made.Withheld, Through: made.Through, Quarantined: made.Quarantined}
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

// partSink turns files into parts of the response. Nothing is sent before the
// first file is created, so that what fails earlier is an ordinary problem.
type partSink struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	parts   *multipart.Writer // nil until the first file
	open    *partFile
	listing listing
	extend  time.Time    // when the write deadline is set anew
	still   func() error // asked every second: whether there may be more
}

func newPartSink(w http.ResponseWriter) *partSink {
	return &partSink{w: w, rc: http.NewResponseController(w), listing: newListing()}
}

// Create begins a file.
func (s *partSink) Create(name string) (io.WriteCloser, error) {
	if !ValidFile(name) {
		return nil, errors.New("a production's file has a name that no client takes")
	}
	if err := s.idle(); err != nil {
		return nil, err
	}
	if s.parts == nil {
		s.parts = multipart.NewWriter(s.w)
		s.w.Header().Set("Content-Type", mime.FormatMediaType("multipart/mixed", map[string]string{"boundary": s.parts.Boundary()}))
	}
	if err := s.proceed(); err != nil {
		return nil, err
	}
	part, err := s.parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {mime.FormatMediaType("attachment", map[string]string{"filename": name})},
		"Content-Type":        {"application/octet-stream"},
	})
	if err != nil {
		return nil, err
	}
	s.open = &partFile{sink: s, part: part, name: name, sum: sha256.New()}
	return s.open, nil
}

// idle returns an error while a file is open.
func (s *partSink) idle() error {
	if s.open != nil {
		return errors.New("a production's file was not closed")
	}
	return nil
}

// proceed is deadline for what is handed out, which nobody gets any longer than
// they may.
func (s *partSink) proceed() error {
	if time.Now().Before(s.extend) {
		return nil
	}
	if err := s.still(); err != nil {
		return err
	}
	return s.deadline()
}

// deadline gives the next writes writeTimeout. It is set anew every second at
// most: that is often enough.
func (s *partSink) deadline() error {
	now := time.Now()
	if now.Before(s.extend) {
		return nil
	}
	s.extend = now.Add(time.Second)
	return s.rc.SetWriteDeadline(now.Add(writeTimeout))
}

func (s *partSink) complete(c Completion) error {
	if s.parts == nil {
		return errors.New("a production without files")
	}
	c.Files, c.Bytes, c.SHA256 = s.listing.files, s.listing.bytes, s.listing.digest()
	return s.final(partComplete, c)
}

// fail ends a stream that has begun; else the problem is the whole answer and
// nothing is done here.
func (s *partSink) fail(p *Problem) error {
	if s.parts == nil {
		return nil
	}
	return s.final(partFailed, p)
}

func (s *partSink) final(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := s.deadline(); err != nil {
		return err
	}
	part, err := s.parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {mime.FormatMediaType("form-data", map[string]string{"name": name})},
		"Content-Type":        {"application/json"},
	})
	if err != nil {
		return err
	}
	if _, err := part.Write(b); err != nil {
		return err
	}
	return errors.Join(s.parts.Close(), s.rc.Flush())
}

// partFile is the file being sent.
type partFile struct {
	sink *partSink
	part io.Writer
	name string
	sum  hash.Hash
	size uint64
}

func (f *partFile) Write(b []byte) (int, error) {
	if err := f.sink.proceed(); err != nil {
		return 0, err
	}
	n, err := f.part.Write(b)
	f.sum.Write(b[:n])
	f.size += uint64(n) // #nosec G115 -- never negative
	return n, err
}

// Close ends the file.
func (f *partFile) Close() error {
	if f.sink.open != f {
		return errors.New("a production's file was closed twice")
	}
	f.sink.open = nil
	f.sink.listing.add(f.name, f.sum, f.size)
	return f.sink.rc.Flush()
}

// listing sums up files in order, on both ends of the stream.
type listing struct {
	sum          hash.Hash
	files, bytes uint64
}

func newListing() listing { return listing{sum: sha256.New()} }

func (l *listing) add(name string, sum hash.Hash, size uint64) {
	var line strings.Builder
	fmt.Fprintf(&line, "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), name)
	l.sum.Write([]byte(line.String()))
	l.files++
	l.bytes += size
}

func (l *listing) digest() string { return hex.EncodeToString(l.sum.Sum(nil)) }
