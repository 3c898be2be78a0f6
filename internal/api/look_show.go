package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"holdfast/archive/audit"
	"holdfast/archive/query"
)

func (s *Server) show(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ShowRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if len(req.Seqs) == 0 {
		return badRequest("no entry is asked for", "give the numbers of entries, as search prints them")
	}
	if req.Context < 0 || req.Context > MaxContext {
		return badRequest(fmt.Sprintf("a context of 0 to %d messages", MaxContext), "ask for fewer, or for the whole conversation")
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	resp := ShowResponse{Entries: []Shown{}}
	access := audit.Access{Action: audit.ActionShow, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Seqs: req.Seqs}
	if req.Context > 0 {
		access.Target = fmt.Sprintf("context %d", req.Context)
	}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		b, err := s.bind(ctx, c, s.everything)
		if err != nil {
			return audit.Outcome{}, err
		}
		o, hits, err := s.showAll(ctx, c, b, &req, &resp)
		if err != nil {
			return audit.Outcome{}, err
		}
		s.whose(&o, c.who, partiesOf(hits))
		return o, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// showAll reads the entries that were asked for into resp, as the caller may
// know them, and returns the messages among them with those around them.
func (s *Server) showAll(ctx context.Context, c *caller, b *bound, req *ShowRequest, resp *ShowResponse) (o audit.Outcome, hits []Hit, err error) {
	entries, err := s.Show.Show(ctx, req.Seqs)
	if err != nil {
		return o, nil, err
	}
	sees, err := s.keeping(ctx, c)
	if err != nil {
		return o, nil, err
	}
	resp.Entries = slices.Clone(entries)
	o.Total = uint64(len(resp.Entries))
	for i := range resp.Entries {
		e := &resp.Entries[i]
		why, err := s.mayNotShow(ctx, c, b, e)
		if err != nil {
			return o, nil, err
		}
		if why != "" {
			resp.Entries[i] = withheld(e, why)
			continue
		}
		if e.Kept, err = s.kept(ctx, sees, e.Seq); err != nil {
			return o, nil, err
		}
		o.Shown++
		if e.Message == nil {
			continue
		}
		m := *e.Message // what a part gave stays as it is
		m.Followers = m.within(s.scopeOf(c, b))
		m.fill()
		e.Message = &m
		hits = append(hits, m)
		if req.Context == 0 || m.ConversationID == "" {
			continue
		}
		if e.Context, err = s.surround(ctx, c, b, &m, req.Context); err != nil {
			return o, nil, err
		}
		hits = slices.Concat(hits, e.Context.Before, e.Context.After)
		o.Shown += uint64(len(e.Context.Before) + len(e.Context.After))
		o.Total += uint64(len(e.Context.Before) + len(e.Context.After))
	}
	return o, hits, nil
}

// mayNotShow returns why an entry is not the caller's to read; "" when it is.
func (s *Server) mayNotShow(ctx context.Context, c *caller, b *bound, e *Shown) (string, error) {
	if why := c.withhold(e, b.query); why != "" {
		return why, nil
	}
	masked, err := s.maskedEntry(ctx, c, e)
	if masked {
		return forAuditors, err
	}
	return "", err
}

// surround returns up to n messages before a message and n after it in its
// conversation, as far as they are in the caller's scope.
func (s *Server) surround(ctx context.Context, c *caller, b *bound, m *Hit, n int) (*Context, error) {
	all := s.everything.In(m.ConversationID)
	mine := b.query.In(m.ConversationID)
	out := &Context{}
	before, err := s.Search.Search(ctx, mine, Page{Limit: n, Sort: SortSeq, Before: &Place{Seq: m.Seq}})
	if err != nil {
		return nil, err
	}
	after, err := s.Search.Search(ctx, mine, Page{Limit: n, Oldest: true, Above: m.Seq})
	if err != nil {
		return nil, err
	}
	if out.Before, err = s.dress(ctx, c, b, before.Hits); err != nil {
		return nil, err
	}
	slices.Reverse(out.Before)
	if out.After, err = s.dress(ctx, c, b, after.Hits); err != nil {
		return nil, err
	}
	first, last := m.Seq, m.Seq
	if len(out.Before) > 0 {
		first = out.Before[0].Seq
	}
	if k := len(out.After); k > 0 {
		last = out.After[k-1].Seq
	}
	out.NotInScope, err = s.hidden(ctx, c, all.Among(first, last), mine.Among(first, last), 0)
	return out, err
}

// hidden returns how many entries there are of which the caller may not see
// more than that.
func (s *Server) hidden(ctx context.Context, c *caller, all, mine *query.Query, asOf uint64) (uint64, error) {
	if c.scope.All {
		return 0, nil
	}
	every, err := s.Search.Search(ctx, all, Page{Sort: SortSeq, AsOf: asOf})
	if err != nil {
		return 0, err
	}
	own, err := s.Search.Search(ctx, mine, Page{Sort: SortSeq, AsOf: asOf})
	if err != nil {
		return 0, err
	}
	return every.Total - min(every.Total, own.Total), nil
}
