package daemon

import (
	"context"
	"encoding/json"
	"errors"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/search"
	"holdfast/internal/api"
)

// Search implements api.Searcher.
func (p *parts) Search(ctx context.Context, q *query.Query, page api.Page) (*api.SearchResponse, error) {
	options := search.SearchOptions{Limit: page.Limit}
	if page.Before != 0 {
		options.Before = &search.Place{Seq: page.Before}
	}
	if page.AsOf != 0 {
		options.AsOf = page.AsOf + 1
	}
	found, err := p.index.Search(ctx, q, options)
	if err != nil {
		return nil, searchProblem(err)
	}
	if err := p.counts.catchUp(ctx, p.archive); err != nil {
		return nil, err
	}
	if err := p.state.CatchUp(ctx, found.ThroughSeq); err != nil {
		return nil, err
	}
	out := &api.SearchResponse{
		Total: found.Total, Through: found.ThroughSeq - 1, Quarantined: p.counts.of(proof.KindQuarantine),
		Unindexed: found.Unindexed + uint64(len(p.damage.below(found.ThroughSeq))),
	}
	if out.Quarantine, err = p.quarantine(ctx); err != nil {
		return nil, err
	}
	out.Hits, err = p.render.Hits(ctx, seqsOf(found.Hits))
	return out, err
}

// seqsOf returns the messages of hits.
func seqsOf(hits []search.Hit) []uint64 {
	seqs := make([]uint64, len(hits))
	for i, h := range hits {
		seqs[i] = h.Seq
	}
	return seqs
}

// quarantine names the newest quarantined entries: any of them might have
// matched.
func (p *parts) quarantine(ctx context.Context) ([]api.Quarantined, error) {
	var out []api.Quarantined
	for _, seq := range p.counts.newest(api.MaxQuarantine) {
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
