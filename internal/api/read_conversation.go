package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/ingest/envelope"
)

// reading is how far a conversation is read.
type reading struct {
	limit int
	asOf  uint64
	above uint64 // only messages above this seq
	of    string
	whom  string // of a cursor; "" on the first page
}

// reading reads a request. What it belongs to is the conversation and the
// caller's scope.
func (s *Server) reading(ctx context.Context, c *caller, req *ConversationRequest) (*reading, error) {
	if req.ID == "" || len(req.ID) > envelope.MaxName {
		return nil, badRequest("it names no conversation", "give its id, as `holdfast show` prints it")
	}
	if req.Cursor != "" && (req.AsOf != 0 || req.At != nil) || req.AsOf != 0 && req.At != nil {
		return nil, badRequest("two answers to as of when", "give one of cursor, as_of and at; a cursor says it itself")
	}
	r := &reading{asOf: req.AsOf, of: s.cursors.digest("conversation", req.ID, c.scopeText())}
	var err error
	if r.limit, err = limitOf(req.Limit); err != nil {
		return nil, err
	}
	if req.At != nil {
		if s.SizeAt == nil {
			return nil, notConfigured("clock for its entries")
		}
		size, err := s.SizeAt(ctx, *req.At)
		if err != nil {
			return nil, err
		}
		if size < 2 { // the first entry is the archive's genesis
			return nil, errNoConversation
		}
		r.asOf = size - 1
	}
	if req.Cursor != "" {
		at, err := s.cursors.open(req.Cursor, false)
		switch {
		case err != nil:
			return nil, err
		case at.Of != r.of:
			return nil, errCursorOther
		}
		r.asOf, r.above, r.whom = at.AsOf, at.Seq, at.Whom
	}
	return r, nil
}

var errNoConversation = &Problem{Title: "there is nothing of such a conversation that you may see", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
	Hint: "check the id, as `holdfast show` prints it; a conversation may have begun later than the time that you ask for"}

func (s *Server) conversation(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ConversationRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	l, err := s.reading(r.Context(), c, &req)
	if err != nil {
		return err
	}
	var resp *ConversationResponse
	access := audit.Access{Action: audit.ActionShow, Target: "conversation", Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: req.ID}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		if resp, err = s.converse(ctx, c, l, req.ID); err != nil {
			return audit.Outcome{}, err
		}
		o := audit.Outcome{Total: resp.Total, Shown: uint64(len(resp.Messages)), Through: resp.Through}
		s.whose(&o, c.who, partiesOf(resp.Messages))
		return o, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// converse reads one page of a conversation.
func (s *Server) converse(ctx context.Context, c *caller, l *reading, id string) (*ConversationResponse, error) {
	b, err := s.bind(ctx, c, s.everything)
	if err != nil {
		return nil, err
	}
	whom := s.cursors.digest(append([]string{"whom"}, b.whom...)...)
	if l.whom != "" && l.whom != whom {
		return nil, errCursorPeople
	}
	against, asOf, err := s.against(ctx, b, l.asOf)
	if err != nil {
		return nil, err
	}
	all, mine := s.everything.In(id), b.query.In(id)
	found, err := s.Search.Search(ctx, mine, Page{Limit: l.limit, Oldest: true, Above: l.above, AsOf: asOf})
	if err != nil {
		return nil, err
	}
	if found.Total == 0 {
		return nil, errNoConversation
	}
	out := &ConversationResponse{ID: id, Extent: found.Extent, Members: []Participant{}}
	out.Checkpoint = against
	if out.Messages, err = s.dress(ctx, c, b, found.Hits); err != nil {
		return nil, err
	}
	if out.NotInScope, err = s.hidden(ctx, c, all, mine, asOf); err != nil {
		return nil, err
	}
	if found.next != nil {
		at := cursor{Of: l.of, Whom: whom, AsOf: asOf, Seq: found.next.Seq, Now: time.Now().UnixMilli()}
		if out.Cursor, err = s.cursors.seal(at); err != nil {
			return nil, err
		}
	}
	newest, err := s.Search.Search(ctx, mine, Page{Limit: 1, Sort: SortSeq, AsOf: asOf})
	if err != nil || len(newest.Hits) == 0 {
		return out, err
	}
	return out, s.describe(ctx, out, newest.Hits[0].Seq)
}

// describe says what a message says of its conversation.
func (s *Server) describe(ctx context.Context, out *ConversationResponse, seq uint64) error {
	entries, err := s.Show.Show(ctx, []uint64{seq})
	if err != nil || len(entries) != 1 || entries[0].Message == nil {
		return err
	}
	m := entries[0].Message
	out.Members = filled(m.Members)
	if m.Conversation != out.ID {
		out.Name = m.Conversation
	}
	return nil
}
