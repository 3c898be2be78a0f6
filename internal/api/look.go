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
	"slices"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/ijson"
)

// decode reads a request's body into v: strict I-JSON of at most MaxRequest
// bytes.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	return decodeUpTo(w, r, v, MaxRequest)
}

// decodeUpTo is decode for another limit.
func decodeUpTo(w http.ResponseWriter, r *http.Request, v any, limit int64) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return badRequest("its body is not application/json", "send JSON with Content-Type: application/json")
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Problem{Title: "the request is too large", Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Exit: ExitUsage,
			Detail: fmt.Sprintf("such a request has at most %d bytes", limit), Hint: "shorten what it asks for"}
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
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
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

func (s *Server) search(w http.ResponseWriter, r *http.Request, c *caller) error {
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
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	var found *SearchResponse
	access := audit.Access{Action: audit.ActionSearch, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: req.Query}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		narrow, people, err := s.narrow(ctx, c, q)
		if err != nil {
			return audit.Outcome{}, err
		}
		e, err := s.keeping(ctx, c)
		if err != nil {
			return audit.Outcome{}, err
		}
		if found, err = s.Search.Search(ctx, narrow, Page{Limit: limit, Before: req.Before, AsOf: req.AsOf}); err != nil {
			return audit.Outcome{}, err
		}
		found.People = people
		found.Hits = slices.Clone(found.Hits) // what a part gave stays as it is
		for i := range found.Hits {
			if found.Hits[i].Kept, err = s.kept(ctx, e, found.Hits[i].Seq); err != nil {
				return audit.Outcome{}, err
			}
		}
		o := audit.Outcome{Total: found.Total, Shown: uint64(len(found.Hits)), Through: found.Through}
		s.whose(&o, c.who, partiesOf(found.Hits))
		return o, nil
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
	h.To, h.ToUsrs, h.Flags, h.Attachments = filled(h.To), filled(h.ToUsrs), filled(h.Flags), filled(h.Attachments)
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

func (s *Server) show(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ShowRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if len(req.Seqs) == 0 {
		return badRequest("no entry is asked for", "give the numbers of entries, as search prints them")
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	var resp ShowResponse
	access := audit.Access{Action: audit.ActionShow, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Seqs: req.Seqs}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		within, _, err := s.narrow(ctx, c, s.everything)
		if err != nil {
			return audit.Outcome{}, err
		}
		if resp.Entries, err = s.Show.Show(ctx, req.Seqs); err != nil {
			return audit.Outcome{}, err
		}
		sees, err := s.keeping(ctx, c)
		if err != nil {
			return audit.Outcome{}, err
		}
		resp.Entries = slices.Clone(resp.Entries)
		o := audit.Outcome{Total: uint64(len(resp.Entries))}
		var hits []Hit
		for i := range resp.Entries {
			e := &resp.Entries[i]
			why := c.withhold(e, within)
			if why == "" {
				masked, err := s.maskedEntry(ctx, c, e)
				if err != nil {
					return audit.Outcome{}, err
				}
				if masked {
					why = forAuditors
				}
			}
			if why != "" {
				resp.Entries[i] = withheld(e, why)
				continue
			}
			if e.Kept, err = s.kept(ctx, sees, e.Seq); err != nil {
				return audit.Outcome{}, err
			}
			o.Shown++
			if e.Message != nil {
				hits = append(hits, *e.Message)
			}
		}
		s.whose(&o, c.who, partiesOf(hits))
		return o, nil
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
