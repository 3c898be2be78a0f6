package api

import (
	"context"
	"net/http"

	"holdfast/archive/audit"
)

// work does a long audited task that streams how far it has come: a WorkLine a
// line. What fails before the first line is an ordinary problem. The last line
// is written after the outcome is durable.
func (s *Server) work(w http.ResponseWriter, r *http.Request, c *caller, access audit.Access, do func(ctx context.Context, progress func(Progress)) (*WorkLine, uint64, error)) error {
	end, err := s.begin()
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := &lineWriter{w: w, rc: http.NewResponseController(w), cancel: cancel, line: func(p Progress) any { return WorkLine{Progress: &p} }}
	var last *WorkLine
	err = s.actOn(ctx, c, access, func(ctx context.Context) (n uint64, err error) {
		last, n, err = do(ctx, lines.report)
		return n, err
	})
	switch {
	case err != nil && !lines.begun():
		return err
	case err != nil:
		lines.write(WorkLine{Problem: problemOf(err)})
		return err
	}
	lines.write(*last)
	return nil
}

// steadfast returns a context that ends when the daemon stops, and not when the
// client of ctx is gone.
func steadfast(ctx context.Context) (context.Context, func()) {
	going, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop, ok := ctx.Value(stopping{}).(context.Context)
	if !ok {
		return going, func() { cancel(nil) }
	}
	detach := context.AfterFunc(stop, func() { cancel(context.Cause(stop)) })
	return going, func() {
		detach()
		cancel(nil)
	}
}
