package daemon

import (
	"context"
	"iter"
	"math"
	"slices"

	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/archive/search"
	"holdfast/internal/api"
	"holdfast/internal/role"
)

// Produce implements api.Producer.
func (p *parts) Produce(ctx context.Context, req api.Production, sink api.Sink) (*api.Produced, error) {
	at := req.At
	if at == 0 {
		at = p.archive.Size()
	}
	found, err := p.index.Search(ctx, req.Query, search.SearchOptions{Limit: math.MaxInt, AsOf: at})
	if err != nil {
		return nil, searchProblem(err)
	}
	if found.Unindexed > 0 {
		return nil, errIncomplete
	}
	if err := p.state.CatchUp(ctx, at); err != nil {
		return nil, err
	}
	hits := seqsOf(found.Hits)
	slices.Reverse(hits)
	summary, err := export.Produce(ctx, export.Source{Log: p.archive, Places: p.state}, export.Request{
		Seqs: func(yield func(uint64, error) bool) {
			for _, seq := range hits {
				if !yield(seq, nil) {
					return
				}
			}
		},
		Exclusions: p.unseen(at, hits),
		At:         at, Through: found.ThroughSeq - 1, Total: found.Total,
		Principal: req.Principal.String(), Tool: "holdfastd " + p.version,
		Query: req.Typed, Parsed: req.Query.String(), Matter: req.Matter, Reason: req.Reason,
		Names: namesOf(req.People), Scope: scopeOf(req.Scope),
	}, sink)
	if err != nil {
		return nil, err
	}
	c := summary.Manifest.Counts
	return &api.Produced{Matched: c.Matched, Produced: c.Produced, Withheld: c.Matched - c.Produced, Through: found.ThroughSeq - 1, Quarantined: c.Quarantined,
		Custodians: summary.Usrs}, nil
}

func namesOf(people []api.Named) []export.Name {
	var out []export.Name
	for _, n := range people {
		name := export.Name{Value: n.Value, Usrs: n.Usrs}
		for _, p := range n.People {
			name.People = append(name.People, p.GUID)
		}
		out = append(out, name)
	}
	return out
}

func scopeOf(s role.Scope) []string {
	var out []string
	for _, g := range s.Of {
		text := "department " + g.Department
		switch {
		case g.Department == "":
			text = g.OU
		case g.OU != "":
			text += " below " + g.OU
		}
		out = append(out, text)
	}
	return out
}

// unseen yields, as exclusions of a production, the messages that could not be
// read when they were to be indexed: whether they match nobody can say.
func (p *parts) unseen(at uint64, hits []uint64) iter.Seq2[export.Exclusion, error] {
	return func(yield func(export.Exclusion, error) bool) {
		for _, seq := range p.damage.below(at) {
			if _, hit := slices.BinarySearch(hits, seq); hit {
				continue // it was mended, and the index built anew
			}
			if !yield(export.Exclusion{Seq: seq, Kind: proof.KindMessage, Reason: export.ReasonDamaged}, nil) {
				return
			}
		}
	}
}

// errIncomplete refuses a production of which it is known that entries are
// missing from it.
var errIncomplete = &api.Problem{
	Title: "the production would not be complete", Status: 503, Code: api.CodeNotReady, Exit: api.ExitTemporary,
	Detail: "entries in its range could not be searched",
	Hint:   "wait until `holdfast status` shows the index working and caught up",
}
