package command

import (
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/internal/api"
)

// watching is a watch on its way.
type watching struct {
	g     *globals
	req   api.SearchRequest
	token string
	seen  uint64 // everything through this entry has been looked at
	quiet bool   // the daemon does not answer, and that was said
}

// runWatch shows what a query finds, and then what is new, until ctx ends: that
// is how a watch is ended, and no error.
func runWatch(ctx context.Context, g *globals, req api.SearchRequest, every time.Duration) error {
	if req.Cursor != "" || req.Before != 0 || req.AsOf != 0 || req.Sort != api.SortSeq {
		return usage("--watch goes on with the newest messages: it takes no --cursor, --before, --as-of or --sort sent")
	}
	w := &watching{g: g, req: req}
	found, err := w.begin(ctx)
	if err != nil {
		return err
	}
	if found.Explain != nil && g.format != formatJSON {
		if err := g.sayExplained(found.Explain); err != nil {
			return err
		}
	}
	if err := w.show(found.Hits); err != nil {
		return err
	}
	if err := g.say("%d found through entry %d, %d shown; watching for more, until you interrupt it", found.Total, found.Through, len(found.Hits)); err != nil {
		return err
	}
	w.req.Limit = api.MaxLimit
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.poll(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// begin begins the watch, or begins it anew behind what was seen.
func (w *watching) begin(ctx context.Context) (*api.SearchResponse, error) {
	req := w.req
	req.Watch, req.After = api.WatchBegin, max(w.req.After, w.seen)
	return w.ask(ctx, req)
}

func (w *watching) ask(ctx context.Context, req api.SearchRequest) (*api.SearchResponse, error) {
	found, err := ask(ctx, w.g, func(c *api.Client) (*api.SearchResponse, error) { return c.Search(ctx, req) })
	if err == nil && req.Watch != "" {
		w.token, w.seen = found.Watch, found.Through
	}
	return found, err
}

// poll asks once for what is new, and shows it. A daemon that does not answer is
// asked again at the next turn; one that was started anew begins the watch anew.
func (w *watching) poll(ctx context.Context) error {
	req := w.req
	req.Watch, req.After, req.Explain = w.token, 0, false
	found, err := w.ask(ctx, req)
	var p *api.Problem
	switch {
	case errors.As(err, &p) && p.Code == api.CodeCursor:
		found, err = w.begin(ctx)
	case errors.As(err, &p) && (p.Code == api.CodeUnreachable || p.Code == api.CodeStopping || p.Code == api.CodeIndexing):
		if w.quiet {
			return nil
		}
		w.quiet = true
		return w.g.say("%s; asking again", visible(p.Error()))
	}
	if err != nil {
		return err
	}
	w.quiet = false
	hits := found.Hits
	for req.Watch = ""; found.Cursor != ""; hits = append(hits, found.Hits...) {
		req.Cursor = found.Cursor
		if found, err = w.ask(ctx, req); err != nil {
			return err
		}
	}
	return w.show(hits)
}

// show writes hits, the oldest first.
func (w *watching) show(hits []api.Hit) error {
	if len(hits) == 0 {
		return nil
	}
	hits = slices.Clone(hits)
	slices.Reverse(hits)
	if w.g.format != formatJSON {
		return w.g.writeHits(hits)
	}
	for i := range hits {
		if err := w.g.writeJSON(&hits[i]); err != nil {
			return err
		}
	}
	return nil
}
