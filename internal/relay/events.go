package relay

import (
	"bytes"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"holdfast/ingest/wire"
)

// eventsQuery is what GET events asks for.
type eventsQuery struct {
	epoch string
	after uint64
	limit int
	wait  time.Duration
}

func parseEventsQuery(v url.Values) (eventsQuery, error) {
	q := eventsQuery{epoch: v.Get("epoch"), limit: wire.MaxPageEvents}
	for name, values := range v {
		if len(values) != 1 {
			return q, problem(400, wire.CodeBadRequest, "a parameter is given twice")
		}
		switch name {
		case "epoch", "after", "limit", "wait":
		default:
			return q, problem(400, wire.CodeBadRequest, "the parameters are epoch, after, limit and wait")
		}
	}
	if q.epoch == "" || len(q.epoch) > wire.MaxID {
		return q, problem(400, wire.CodeBadRequest, "epoch is missing or longer than 64 bytes")
	}
	after, ok := number(v.Get("after"), 0, wire.MaxSafe)
	if !ok {
		return q, problem(400, wire.CodeBadRequest, "after is not a seq")
	}
	q.after = after
	if v.Has("limit") {
		n, ok := number(v.Get("limit"), 1, wire.MaxPageEvents)
		if !ok {
			return q, problem(400, wire.CodeBadRequest, "limit is not 1 to 1000")
		}
		q.limit = int(n)
	}
	if v.Has("wait") {
		n, ok := number(v.Get("wait"), 0, wire.MaxWait)
		if !ok {
			return q, problem(400, wire.CodeBadRequest, "wait is not 0 to 55")
		}
		q.wait = time.Duration(n) * time.Second
	}
	return q, nil
}

// number reads a decimal in its shortest form.
func number(s string, least, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s && least <= n && n <= most
}

// serveEvents answers with a page, at once if there are events or else when the first arrives or the wait is over. Meanwhile it sends blank
// lines, after which nothing but a page can follow: a refusal that arises by then is left to the next request.
func (r *Relay) serveEvents(w http.ResponseWriter, req *http.Request) error {
	q, err := parseEventsQuery(req.URL.Query())
	if err != nil {
		return err
	}
	end := time.NewTimer(q.wait)
	defer end.Stop()
	beat := time.NewTicker(r.heartbeat)
	defer beat.Stop()
	began := false
	for waiting := q.wait > 0; ; {
		changed := r.queue.watch()
		d, err := r.queue.page(q.epoch, q.after, q.limit)
		if err != nil {
			if began {
				return nil
			}
			return err
		}
		if len(d.lines) > 0 || !waiting {
			return r.sendPage(w, d, began)
		}
		select {
		case <-changed:
		case <-end.C:
			waiting = false
		case <-r.stop:
			waiting = false
		case <-req.Context().Done():
			return req.Context().Err()
		case <-beat.C:
			began = true
			if !heartbeat(w) {
				return nil
			}
		}
	}
}

// heartbeat sends a blank line and reports whether the reader is still there.
func heartbeat(w http.ResponseWriter) bool {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := w.Write([]byte("\n")); err != nil {
		return false
	}
	return http.NewResponseController(w).Flush() == nil
}

func (r *Relay) sendPage(w http.ResponseWriter, d *draft, began bool) error {
	if !began {
		if p := r.faults.refusal(d); p != nil {
			return p
		}
	}
	lines, err := r.render(d)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	for _, line := range lines {
		if _, err := w.Write(line); err != nil {
			return hungUp(err)
		}
	}
	return nil
}

// lines yields the lines of b that are not blank.
func lines(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(b) {
			line = bytes.TrimRight(line, "\r\n")
			if len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}
