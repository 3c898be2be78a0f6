package api

import (
	"context"

	"holdfast/archive/query"
)

// catcher keeps the queries that parts are asked.
type catcher struct {
	*town
	asked map[string]*query.Query
}

func (c catcher) Search(ctx context.Context, q *query.Query, page Page) (*SearchResponse, error) {
	c.asked["search"] = q
	return c.town.Search(ctx, q, page)
}

func (c catcher) Produce(ctx context.Context, p Production, sink Sink) (*Produced, error) {
	c.asked["produce"] = p.Query
	return c.town.Produce(ctx, p, sink)
}

// wrap has a producer say whose messages it produced.
func wrap(inner func(context.Context, Production, Sink) (*Produced, error), custodians []string) func(context.Context, Production, Sink) (*Produced, error) {
	return func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
		made, err := inner(ctx, p, sink)
		if err == nil {
			made.Custodians = custodians
		}
		return made, err
	}
}
