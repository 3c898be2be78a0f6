package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/internal/role"
)

// WatchParts are the parts of the server that have to do with watching it.
type WatchParts struct {
	// Health returns nil while the archive answers, as of the last look; it
	// waits for nothing. Without it whoever answers is well.
	Health func() error
	// Reload reads the configuration again. Optional.
	Reload func(ctx context.Context) (*ReloadResponse, error)
}

// ReloadRequest asks the daemon to read its configuration again.
type ReloadRequest struct{}

// ReloadResponse says what came of it.
type ReloadResponse struct {
	LogLevel     string              `json:"log_level"`    // as it is from now on
	Certificates []ReloadCertificate `json:"certificates"` // as their files are now, and as the next handshake uses them
	Restart      []string            `json:"restart"`      // sections of the configuration that were changed and need a restart
}

// ReloadCertificate is a certificate of ours that was read again.
type ReloadCertificate struct {
	Certificate string    `json:"certificate"` // relay-client or https
	NotAfter    time.Time `json:"not_after"`
}

// watchRoutes are the ways to what has to do with watching the daemon.
func (s *Server) watchRoutes() []route {
	return []route{{name: "POST /v1/reload", answer: s.reload, endpoint: role.Reload, only: role.ViaSocket}}
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req ReloadRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Reload == nil {
		return &Problem{Title: "this daemon was started without a configuration file", Status: http.StatusConflict, Code: CodeNoPart, Exit: ExitConfig,
			Hint: "restart it instead"}
	}
	out, err := s.Reload(r.Context())
	if err != nil {
		return err
	}
	return reply(w, out)
}

// Reload has the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (*ReloadResponse, error) {
	return ask[ReloadResponse](ctx, c, http.MethodPost, "/v1/reload", ReloadRequest{})
}

// unwell is the answer of a daemon whose archive does not answer.
func unwell(err error) *Problem {
	return &Problem{Title: "the archive does not answer", Status: http.StatusServiceUnavailable, Code: CodeNotReady, Exit: ExitTemporary, err: err,
		Hint: "systemd ends the daemon and starts it anew when this lasts; the daemon's log says what fails: `journalctl -u holdfastd -p warning`"}
}

// notReady is the answer of a daemon that takes no entries, or answers no
// searches.
func notReady(ctx context.Context, err error) *Problem {
	p := problemUnder(ctx, err)
	return &Problem{Title: "not ready", Status: http.StatusServiceUnavailable, Detail: p.Title, Code: CodeNotReady, Exit: ExitTemporary, Hint: p.Hint, err: err}
}

// Monitor is what monitoring on this machine may ask without an account:
// GET /metrics, /healthz and /readyz, nothing else. None of them names anybody.
type Monitor struct {
	Registry *prometheus.Registry
	Health   func() error                    // as WatchParts.Health
	Ready    func(ctx context.Context) error // as Parts.Ready
	Status   string                          // what /healthz says of a daemon that is well; "" is ok
	Log      *slog.Logger
}

// Limits of the monitor: a scrape that takes longer is no use to anybody, and
// who opens more connections waits.
const (
	monitorTimeout = 30 * time.Second
	maxMonitors    = 32
)

// Serve answers at l, over plain HTTP, until ctx ends. It closes l and returns
// nil after such a stop.
func (m *Monitor) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: m.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: monitorTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(m.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(limited(l, maxMonitors, maxMonitors)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the listener for monitoring ended: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-ended
	return err
}

func (m *Monitor) handler() http.Handler {
	metrics := promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Timeout: monitorTimeout})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		var problem *Problem
		switch r.Method + " " + r.URL.Path {
		case "GET /metrics":
			metrics.ServeHTTP(w, r)
			return
		case "GET /healthz":
			problem = m.health()
		case "GET /readyz":
			if err := m.Ready(r.Context()); err != nil {
				problem = notReady(r.Context(), err)
			}
		default:
			problem = &Problem{Title: "there is no such endpoint", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
				Hint: "this address serves /metrics, /healthz and /readyz alone; the rest is at the daemon's socket"}
		}
		var err error
		if problem != nil {
			err = writeProblem(w, problem)
		} else {
			err = reply(w, Health{Status: m.status()})
		}
		if err != nil {
			m.Log.Debug("monitoring hung up", "err", err)
		}
	})
}

func (m *Monitor) health() *Problem {
	if m.Health != nil {
		if err := m.Health(); err != nil {
			return unwell(err)
		}
	}
	return nil
}

func (m *Monitor) status() string {
	if m.Status == "" {
		return statusOK
	}
	return m.Status
}

// Health is the answer of /healthz and /readyz when all is well.
type Health struct {
	Status string `json:"status"` // ok; locked while the daemon waits for its master key
}

const statusOK = "ok"
