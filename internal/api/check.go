package api

import (
	"context"
	"encoding/json"
	"fmt"
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

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ *caller) error {
	_, err := fmt.Fprintln(w, "ok")
	return err
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request, c *caller) error {
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			p := problemOf(err)
			return &Problem{Title: "not ready", Status: http.StatusServiceUnavailable, Detail: p.Title, Code: CodeNotReady, Exit: ExitTemporary, Hint: p.Hint, err: err}
		}
	}
	return s.healthz(w, r, c)
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
	lines := &lineWriter{w: w, rc: http.NewResponseController(w), cancel: cancel}
	w.Header().Set("Content-Type", "application/x-ndjson")
	report, err := s.Store.Check(ctx, archive.CheckOptions{Bodies: !req.LeavesOnly, Progress: lines.progress})
	if err != nil {
		lines.write(VerifyLine{Problem: problemOf(err)})
		return err
	}
	lines.write(VerifyLine{Report: &CheckReport{OK: report.OK(), Report: *report}})
	return nil
}

// progressEvery bounds how often a stream says how far it has come.
const progressEvery = 200 * time.Millisecond

// lineWriter writes a check's stream. When the client is gone it cancels the
// check.
type lineWriter struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	rc     *http.ResponseController
	cancel context.CancelFunc
	last   time.Time
}

func (l *lineWriter) progress(done, total uint64) {
	l.mu.Lock()
	due := time.Since(l.last) >= progressEvery
	if due {
		l.last = time.Now()
	}
	l.mu.Unlock()
	if due {
		l.write(VerifyLine{Progress: &Progress{Done: done, Total: total}})
	}
}

func (l *lineWriter) write(line VerifyLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		err = json.NewEncoder(l.w).Encode(line)
	}
	if err == nil {
		err = l.rc.Flush()
	}
	if err != nil {
		l.cancel()
	}
}
