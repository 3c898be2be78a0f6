package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/ijson"
)

// decode reads a request's body into v: strict I-JSON of at most MaxRequest
// bytes.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return badRequest("its body is not application/json", "send JSON with Content-Type: application/json")
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Problem{Title: "the request is too large", Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Exit: ExitUsage,
			Detail: fmt.Sprintf("a request has at most %d bytes", MaxRequest), Hint: "shorten the query"}
	}
	if err != nil {
		return badRequest("its body could not be read", "send it again")
	}
	if err := ijson.UnmarshalStrict(b, v); err != nil {
		return badRequest(err.Error(), "the package documentation of internal/api has the members of each request")
	}
	return nil
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write(b.Bytes())
	return err
}

// look does one audited look: the access entry is durable before do begins,
// the outcome before look returns. When either entry cannot be written the
// look has not been granted, and the caller shows nothing.
func (s *Server) look(ctx context.Context, a audit.Access, do func(ctx context.Context, access uint64) (audit.Outcome, error)) error {
	a.At = time.Now()
	access, err := audit.Begin(ctx, s.Ledger, a)
	if err != nil {
		return err
	}
	// A crash from here to Finish leaves an access without an outcome: the trace errs on the side of having looked.
	o, err := do(ctx, access)
	o.Of, o.Result = access, audit.ResultShown
	if err != nil {
		o.Result, o.Code = audit.ResultFailed, problemUnder(ctx, err).Code
	}
	if ferr := audit.Finish(ctx, s.Ledger, o); ferr != nil && err == nil {
		return ferr
	}
	return err
}

func (s *Server) search(w http.ResponseWriter, r *http.Request, who audit.Principal) error {
	var req SearchRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	limit, err := limitOf(req.Limit)
	if err != nil {
		return err
	}
	q, err := query.Parse(req.Query)
	if err != nil {
		return err
	}
	var found *SearchResponse
	access := audit.Access{Action: audit.ActionSearch, Principal: who, Reason: req.Reason, Matter: req.Matter, Query: req.Query}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		var err error
		if found, err = s.Search.Search(ctx, q, Page{Limit: limit, Before: req.Before, AsOf: req.AsOf}); err != nil {
			return audit.Outcome{}, err
		}
		return audit.Outcome{Total: found.Total, Shown: uint64(len(found.Hits)), Through: found.Through}, nil
	})
	if err != nil {
		return err
	}
	found.Hits = filled(found.Hits)
	for i := range found.Hits {
		found.Hits[i].fill()
	}
	return reply(w, found)
}

// fill makes empty lists of missing ones: scripts need not tell them apart.
func (h *Hit) fill() {
	h.To, h.Flags, h.Attachments = filled(h.To), filled(h.Flags), filled(h.Attachments)
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func limitOf(n int) (int, error) {
	if n < 0 || n > MaxLimit {
		return 0, badRequest(fmt.Sprintf("a limit of 1 to %d", MaxLimit), "ask for fewer, and for the next page with --before")
	}
	if n == 0 {
		return DefaultLimit, nil
	}
	return n, nil
}

func (s *Server) show(w http.ResponseWriter, r *http.Request, who audit.Principal) error {
	var req ShowRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if len(req.Seqs) == 0 {
		return badRequest("no entry is asked for", "give the numbers of entries, as search prints them")
	}
	var resp ShowResponse
	access := audit.Access{Action: audit.ActionShow, Principal: who, Reason: req.Reason, Matter: req.Matter, Seqs: req.Seqs}
	err := s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		var err error
		resp.Entries, err = s.Show.Show(ctx, req.Seqs)
		return audit.Outcome{Total: uint64(len(resp.Entries)), Shown: uint64(len(resp.Entries))}, err
	})
	if err != nil {
		return err
	}
	resp.Entries = filled(resp.Entries)
	for _, e := range resp.Entries {
		if e.Message != nil {
			e.Message.fill()
		}
	}
	return reply(w, resp)
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request, who audit.Principal) error {
	var req AuditRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	limit, err := limitOf(req.Limit)
	if err != nil {
		return err
	}
	f := audit.Filter{Action: audit.Action(req.Action), Principal: req.Principal, Before: req.Before, Limit: limit}
	if req.Action != "" && !f.Action.Valid() {
		return badRequest("an action that does not exist", "actions are search, show, export, audit and refused")
	}
	if req.Since != nil {
		f.Since = *req.Since
	}
	var resp AuditResponse
	access := audit.Access{Action: audit.ActionAudit, Principal: who, Reason: req.Reason, Matter: req.Matter}
	err = s.look(r.Context(), access, func(ctx context.Context, access uint64) (audit.Outcome, error) {
		if f.Before == 0 || f.Before > access {
			f.Before = access // this look itself is not part of what it shows
		}
		var err error
		resp.Accesses, err = audit.List(ctx, s.Ledger, f)
		n := uint64(len(resp.Accesses))
		return audit.Outcome{Total: n, Shown: n}, err
	})
	if err != nil {
		return err
	}
	resp.Accesses = filled(resp.Accesses)
	return reply(w, resp)
}

// refusals keeps a caller who is turned away again and again from filling the
// log: one entry per uid and refuseEvery says enough.
type refusals struct {
	mu   sync.Mutex
	last map[uint32]time.Time
}

const (
	refuseEvery = time.Minute
	maxRefused  = 1024 // uids remembered; beyond that all are forgotten
)

func (f *refusals) first(uid uint32, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.last[uid]; ok && now.Sub(at) < refuseEvery {
		return false
	}
	if len(f.last) >= maxRefused {
		clear(f.last)
	}
	f.last[uid] = now
	return true
}

// refuse turns away a user who may not use the socket, and records it.
func (s *Server) refuse(ctx context.Context, who audit.Principal) error {
	p := &Problem{Title: "you may not use this archive", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
		Hint: "log in as a user whom the daemon's configuration names, or ask its administrator"}
	if !s.refused.first(*who.UID, time.Now()) {
		return p
	}
	if _, err := audit.Begin(ctx, s.Ledger, audit.Access{Action: audit.ActionRefused, Principal: who, At: time.Now()}); err != nil {
		s.Log.Error("a refusal could not be recorded", "error", err)
	}
	return p
}
