package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"holdfast/archive"
)

func (s *Server) status(w http.ResponseWriter, r *http.Request, _ *caller) error {
	st, err := s.Status.Status(r.Context())
	if err != nil {
		return err
	}
	return reply(w, st)
}

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request, _ *caller) error {
	signed, err := s.Store.Checkpoint(r.Context())
	if err != nil {
		return err
	}
	return reply(w, CheckpointResponse{
		Checkpoint: string(signed),
		LogKey:     s.Store.Identity().LogKey,
		Identity:   json.RawMessage(s.Store.IdentityJSON()),
	})
}

// healthz tells whether the archive answered lately.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ *caller) error {
	if s.Health != nil {
		if err := s.Health(); err != nil {
			return unwell(err)
		}
	}
	return reply(w, Health{Status: statusOK})
}

// readyz tells whether entries are taken and searches answered.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request, _ *caller) error {
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			return notReady(r.Context(), err)
		}
	}
	return reply(w, Health{Status: statusOK})
}

// begin takes one of the places for long tasks, or refuses at once. The
// caller gives it back with the function returned.
func (s *Server) begin() (end func(), err error) {
	select {
	case s.heavy <- struct{}{}:
		return func() { <-s.heavy }, nil
	default:
		return nil, &Problem{Title: "too many exports and checks are running", Status: http.StatusServiceUnavailable, Code: CodeBusy, Exit: ExitTemporary,
			Hint: "try again when one of them has ended"}
	}
}

// verify checks the whole store and streams how far it has come.
func (s *Server) verify(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req VerifyRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	end, err := s.begin()
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := &lineWriter{w: w, rc: http.NewResponseController(w), cancel: cancel, line: func(p Progress) any { return VerifyLine{Progress: &p} }}
	report, err := s.Store.Check(ctx, archive.CheckOptions{Bodies: !req.LeavesOnly, Progress: func(done, total uint64) { lines.report(Progress{Done: done, Total: total}) }})
	if err != nil {
		lines.write(VerifyLine{Problem: problemOf(err)})
		return err
	}
	lines.write(VerifyLine{Report: &CheckReport{OK: report.OK(), Report: *report}})
	return nil
}

// progressEvery bounds how often a stream says how far it has come.
const progressEvery = 200 * time.Millisecond

// lineWriter writes the stream of a long task. When the client is gone it calls
// cancel and writes no more.
type lineWriter struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	cancel context.CancelFunc
	line   func(Progress) any

	mu   sync.Mutex
	last time.Time // of a report
	step string
	any  bool // something was written
	gone bool
}

// report writes how far the task has come, unless it just did.
func (l *lineWriter) report(p Progress) {
	l.mu.Lock()
	due := p.Step != l.step || time.Since(l.last) >= progressEvery
	if due {
		l.last, l.step = time.Now(), p.Step
	}
	l.mu.Unlock()
	if due {
		l.write(l.line(p))
	}
}

// begun reports whether the client has been answered something.
func (l *lineWriter) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.any
}

func (l *lineWriter) write(line any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	if !l.any {
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.any = true
	}
	err := l.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		err = json.NewEncoder(l.w).Encode(line)
	}
	if err == nil {
		err = l.rc.Flush()
	}
	if err != nil {
		l.gone = true
		l.cancel()
	}
}
