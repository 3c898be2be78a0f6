package api

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
)

// searching is a search as its request means it.
type searching struct {
	typed  *typed
	sort   string
	limit  int
	before *Place
	after  uint64
	asOf   uint64
	of     string  // what a cursor must belong to
	cursor *cursor // that it goes on from; nil: none
	watch  bool    // a watch begins, or goes on
}

// searching reads a request. The matter is the caller's to work on.
func (s *Server) searching(c *caller, req *SearchRequest) (*searching, error) {
	l := &searching{sort: req.Sort, after: req.After, asOf: req.AsOf, watch: req.Watch != ""}
	if l.sort == "" {
		l.sort = SortSeq
	}
	goesOn := l.watch && req.Watch != WatchBegin
	switch {
	case l.sort != SortSeq && l.sort != SortSent:
		return nil, badRequest("no such order", "sort is "+SortSeq+" or "+SortSent)
	case l.sort != SortSeq && req.Before != 0:
		return nil, badRequest("before, of an order that is not that of the log", "go on with the cursor of the page before")
	case req.Cursor != "" && (req.Before != 0 || req.After != 0 || req.AsOf != 0 || l.watch):
		return nil, badRequest("a cursor, and besides it where to begin", "a cursor says where its page begins and as of what")
	case goesOn && (req.Before != 0 || req.After != 0 || req.AsOf != 0):
		return nil, badRequest("a watch that goes on, and besides it where to begin", "a watch says itself how far it has come")
	}
	var err error
	if l.limit, err = limitOf(req.Limit); err != nil {
		return nil, err
	}
	switch {
	case req.Cursor != "":
		l.cursor, err = s.cursors.open(req.Cursor, false)
	case goesOn:
		l.cursor, err = s.cursors.open(req.Watch, true)
	}
	if err != nil {
		return nil, err
	}
	var now time.Time
	if l.cursor != nil {
		now = time.UnixMilli(l.cursor.Now)
	}
	if l.typed, err = s.typed(req.Query, req.Saved, req.Matter, now); err != nil {
		return nil, err
	}
	l.of = s.cursors.digest("search", l.typed.query.String(), strconv.Itoa(l.typed.query.Language()), l.sort, c.scopeText())
	if req.Before != 0 {
		l.before = &Place{Seq: req.Before}
	}
	return l, l.goOn(goesOn)
}

// goOn continues where the cursor stands.
func (l *searching) goOn(watch bool) error {
	switch {
	case l.cursor == nil:
		return nil
	case l.cursor.Of != l.of:
		return errCursorOther
	case watch:
		l.after = l.cursor.AsOf
		return nil
	}
	l.before, l.after, l.asOf = l.cursor.place(), l.cursor.After, l.cursor.AsOf
	return nil
}

func (s *Server) search(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req SearchRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	l, err := s.searching(c, &req)
	if err != nil {
		return err
	}
	if l.watch && l.cursor != nil {
		nothing, err := s.nothingNew(r.Context(), c, l)
		if err != nil {
			return err
		}
		if nothing != nil {
			return reply(w, nothing)
		}
	}
	var found *SearchResponse
	access := audit.Access{Action: audit.ActionSearch, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: l.typed.text}
	if l.watch {
		access.Target = "watch"
	}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		if found, err = s.found(ctx, c, l); err != nil {
			return audit.Outcome{}, err
		}
		if req.Explain {
			found.Explain = new(l.typed.query.Explain())
		}
		o := audit.Outcome{Total: found.Total, Shown: uint64(len(found.Hits)), Through: found.Through}
		s.whose(&o, c.who, partiesOf(found.Hits))
		return o, nil
	})
	if err != nil {
		return err
	}
	return reply(w, found)
}

// found does a search whose access is in the log.
func (s *Server) found(ctx context.Context, c *caller, l *searching) (*SearchResponse, error) {
	b, err := s.bind(ctx, c, l.typed.query)
	if err != nil {
		return nil, err
	}
	whom := s.cursors.digest(append([]string{"whom"}, b.whom...)...)
	if l.cursor != nil && !l.watch && l.cursor.Whom != whom {
		return nil, errCursorPeople
	}
	against, asOf, err := s.against(ctx, b, l.asOf)
	if err != nil {
		return nil, err
	}
	given, err := s.Search.Search(ctx, b.above(l.after), Page{Limit: l.limit, Sort: l.sort, Before: l.before, AsOf: asOf})
	if err != nil {
		return nil, err
	}
	found := *given // what a part gave stays as it is
	found.People, found.Checkpoint = b.named, against
	if found.Hits, err = s.dress(ctx, c, b, found.Hits); err != nil {
		return nil, err
	}
	made := cursor{Of: l.of, Whom: whom, AsOf: found.Through, Now: l.typed.now.UnixMilli(), After: l.after}
	if found.next != nil {
		at := made
		at.Seq = found.next.Seq
		if !found.next.Sent.IsZero() {
			at.Sent = found.next.Sent.UnixMilli()
		}
		if found.Cursor, err = s.cursors.seal(at); err != nil {
			return nil, err
		}
	}
	if l.watch {
		made.After, made.Watch = 0, true
		if found.Watch, err = s.cursors.seal(made); err != nil {
			return nil, err
		}
	}
	return &found, nil
}

// nothingNew answers a watch that goes on when nothing has come since; nil:
// something has. It looks at no message and tells nothing of what it looked for
// but that: the search itself is in the log since the watch began, and the token,
// which the server sealed, lets nobody ask for another.
func (s *Server) nothingNew(ctx context.Context, c *caller, l *searching) (*SearchResponse, error) {
	b, err := s.bind(ctx, c, l.typed.query)
	if err != nil {
		return nil, err
	}
	page := Page{Sort: l.sort}
	if b.size > 0 {
		page.AsOf = b.size - 1
	}
	given, err := s.Search.Search(ctx, b.above(l.after), page)
	if err != nil || given.Total > 0 || given.Unindexed > 0 {
		return nil, err
	}
	out := &SearchResponse{Hits: []Hit{}}
	out.Through = max(given.Through, l.after)
	made := *l.cursor
	made.AsOf = out.Through
	out.Watch, err = s.cursors.seal(made)
	return out, err
}

// above returns the query for entries above a seq.
func (b *bound) above(seq uint64) *query.Query {
	if seq == 0 {
		return b.query
	}
	return b.query.Among(seq+1, math.MaxUint64)
}

// against returns the checkpoint against which a look is run, and as of which
// entry that is: as asked for, else the newest of the checkpoint.
func (s *Server) against(ctx context.Context, b *bound, asOf uint64) (*RunAgainst, uint64, error) {
	note, err := s.Store.Checkpoint(ctx)
	if err != nil {
		return nil, 0, err
	}
	out := &RunAgainst{Note: string(note)}
	if lines := strings.SplitN(out.Note, "\n", 4); len(lines) == 4 { // C2SP tlog-checkpoint: origin, size, root hash
		out.Root = lines[2]
		if out.Size, err = strconv.ParseUint(lines[1], 10, 63); err != nil {
			return nil, 0, err
		}
	}
	if asOf == 0 && out.Size > 0 {
		asOf = out.Size - 1
	}
	if b.size > 0 {
		asOf = min(asOf, b.size-1) // of what came later nobody knows yet whether it is held
	}
	return out, asOf, nil
}

// dress adds to hits what the caller may know of each besides, and takes away
// what hangs at it and is not in the caller's scope.
func (s *Server) dress(ctx context.Context, c *caller, b *bound, hits []Hit) ([]Hit, error) {
	e, err := s.keeping(ctx, c)
	if err != nil {
		return nil, err
	}
	hits = filled(slices.Clone(hits))
	for i := range hits {
		h := &hits[i]
		if h.Kept, err = s.kept(ctx, e, h.Seq); err != nil {
			return nil, err
		}
		h.Followers = h.within(s.scopeOf(c, b))
		h.fill()
	}
	return hits, nil
}

// scopeOf is what the caller may read of; nil: everything.
func (s *Server) scopeOf(c *caller, b *bound) *query.Query {
	if c.scope.All {
		return nil
	}
	return s.everything.Within(b.scope)
}
