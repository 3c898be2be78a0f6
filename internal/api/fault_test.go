package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/role"
)

// A fault of the program is answered and told, and neither says what was read.
func TestFaultOfTheProgram(t *testing.T) {
	w, s := keepTown(t)
	var log bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.Pauser = nil
	s.Status = nil // a nil interface: whoever asks it meets a fault
	status, body := w.post(s, role.Administrator, "GET /v1/status", "")
	if status != http.StatusInternalServerError || !strings.Contains(body, CodeInternal) || strings.Contains(body, "nil pointer") {
		t.Errorf("%d %s", status, body)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=ERROR") || !strings.Contains(text, ".go:") || strings.Contains(text, "goroutine") {
		t.Errorf("the log says %q", text)
	}
}
