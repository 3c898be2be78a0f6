package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"

	"holdfast/archive"
	"holdfast/archive/query"
	"holdfast/archive/search"
	"holdfast/internal/api"
)

// Search implements api.Searcher.
func (p *parts) Search(ctx context.Context, q *query.Query, page api.Page) (*api.SearchResponse, error) {
	find := p.newest
	if page.Oldest {
		find = p.oldest
	}
	found, more, err := find(ctx, q, page)
	if err != nil {
		return nil, searchProblem(err)
	}
	out := &api.SearchResponse{}
	if out.Extent, err = p.extent(ctx, q, found); err != nil {
		return nil, err
	}
	at := make([]api.HitAt, len(found.Hits))
	for i, h := range found.Hits {
		at[i].Seq = h.Seq
		if h.Entry != h.Seq {
			at[i].Late = h.Entry
		}
	}
	if n := len(found.Hits); more {
		out.NextAt(&api.Place{Seq: found.Hits[n-1].Seq, Sent: found.Hits[n-1].Sent})
	}
	out.Hits, err = p.render.Hits(ctx, at, found.ThroughSeq)
	return out, err
}

// options are those of a page, and one hit more, by which it shows that there is
// another page.
func options(page api.Page) search.SearchOptions {
	o := search.SearchOptions{Limit: page.Limit}
	if page.Limit > 0 {
		o.Limit++
	}
	if page.AsOf != 0 {
		o.AsOf = page.AsOf + 1
	}
	if page.Sort == api.SortSent {
		o.Sort = search.BySent
	}
	if page.Before != nil {
		o.Before = &search.Place{Sent: page.Before.Sent, Seq: page.Before.Seq}
	}
	return o
}

// newest finds a page of hits and says whether there are more behind it.
func (p *parts) newest(ctx context.Context, q *query.Query, page api.Page) (search.Result, bool, error) {
	found, err := p.index.Search(ctx, q, options(page))
	more := len(found.Hits) > page.Limit
	if more {
		found.Hits = found.Hits[:page.Limit]
	}
	return found, more, err
}

// firstSpan is how many entries are looked through at first for the oldest hits.
const firstSpan = 1 << 12

// oldest is newest for hits in the log's order. The index gives the newest
// first, so that the range that it is asked for grows until it has enough.
func (p *parts) oldest(ctx context.Context, q *query.Query, page api.Page) (search.Result, bool, error) {
	limit := page.Limit
	o := options(page)
	o.Sort, o.Before, o.Limit = search.BySeq, nil, 0
	all, err := p.index.Search(ctx, q, o)
	if err != nil || limit == 0 {
		return all, false, err
	}
	o.AsOf = all.ThroughSeq // what comes meanwhile does not count
	for span := uint64(firstSpan); ; span *= 4 {
		o.Limit = 0
		part := q.Among(page.Above+1, page.Above+span)
		if page.Above == 0 {
			part = q.Among(0, span)
		}
		found, err := p.index.Search(ctx, part, o)
		if err != nil {
			return found, false, err
		}
		whole := page.Above+span >= all.ThroughSeq
		if found.Total <= uint64(limit) && !whole { // #nosec G115 -- positive
			continue
		}
		if o.Limit = math.MaxInt; found.Total > 0 {
			if found, err = p.index.Search(ctx, part, o); err != nil {
				return found, false, err
			}
		}
		slices.Reverse(found.Hits)
		more := len(found.Hits) > limit
		all.Hits = found.Hits[:min(limit, len(found.Hits))]
		return all, more, nil
	}
}

// Count implements api.Searcher.
func (p *parts) Count(ctx context.Context, q *query.Query, by string, asOf uint64) (*api.CountResponse, error) {
	way := map[string]search.By{
		api.ByCustodian: search.ByParty, api.ByMonth: search.ByMonth, api.ByConversation: search.ByConversation, api.ByTerm: search.ByTerm,
	}[by]
	if asOf != 0 {
		asOf++
	}
	buckets, found, err := p.index.Count(ctx, q, way, p.zone, asOf)
	if err != nil {
		return nil, searchProblem(err)
	}
	out := &api.CountResponse{By: by}
	if out.Extent, err = p.extent(ctx, q, found); err != nil {
		return nil, err
	}
	for _, b := range buckets {
		bucket := api.Bucket{Key: b.Key, Count: b.Count}
		switch by {
		case api.ByTerm:
			bucket.Alone = new(b.Alone)
		case api.ByCustodian:
			if u, ok := p.relayUser(b.Key); ok {
				bucket.Name = u.Name
			}
		}
		out.Buckets = append(out.Buckets, bucket)
	}
	return out, nil
}

// quarantined names the newest of these quarantined entries: any of them might
// have matched.
func (p *parts) quarantined(ctx context.Context, seqs []uint64) ([]api.Quarantined, error) {
	var out []api.Quarantined
	for _, seq := range slices.Backward(seqs) {
		if len(out) == api.MaxQuarantine {
			break
		}
		r, err := p.archive.Record(ctx, seq)
		if errors.Is(err, archive.ErrDisposed) {
			continue
		}
		if err != nil && !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrNoBody) {
			return nil, err
		}
		q := api.Quarantined{Seq: seq, Received: r.Leaf.ReceivedTime(), Code: "unreadable"}
		var note archive.QuarantineNote
		if err == nil && json.Unmarshal(r.Note, &note) == nil {
			q.Code = note.Code
		}
		out = append(out, q)
	}
	return out, nil
}

// searchProblem tells the API what the index's own errors mean.
func searchProblem(err error) error {
	switch {
	case errors.Is(err, search.ErrDamaged):
		return api.Indexing(err)
	case errors.Is(err, search.ErrAsOf):
		return api.BeyondLog(err)
	}
	return err
}
