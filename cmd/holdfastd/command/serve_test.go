package command

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// manager is a service manager that keeps what it is told.
type manager struct {
	mu   sync.Mutex
	told []string
	end  chan struct{} // closed once the test's own last word came
}

func newManager(t *testing.T) *manager {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", address.Name)
	m := &manager{end: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 512)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "END" {
				close(m.end)
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return m
}

// all returns everything that was told before now.
func (m *manager) all(t *testing.T) []string {
	t.Helper()
	tell(slog.New(slog.DiscardHandler), "END") // datagrams keep their order
	select {
	case <-m.end:
	case <-time.After(20 * time.Second):
		t.Fatal("the last word did not come")
	}
	return m.told
}

// While an archive is opened systemd is asked for more time, often enough, and
// for no longer than an opening may take; never after the daemon was ready.
func TestStartAsksForTime(t *testing.T) {
	const more = "EXTEND_TIMEOUT_USEC=60000000"
	for name, tt := range map[string]struct {
		opens time.Duration
		ready bool
		want  []string
	}{
		"at once":      {time.Second, true, []string{"READY=1"}},
		"in a minute":  {65 * time.Second, true, []string{more, more, more, "READY=1"}},
		"it fails":     {45 * time.Second, false, []string{more, more}},
		"never at all": {9 * time.Hour, false, slices.Repeat([]string{more}, 359)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			synctest.Test(t, func(t *testing.T) {
				end := extendStart(t.Context(), slog.New(slog.DiscardHandler))
				time.Sleep(tt.opens)
				synctest.Wait()
				end(tt.ready)
				time.Sleep(time.Hour)
				synctest.Wait()
			})
			if got := m.all(t); !slices.Equal(got, tt.want) && (len(tt.want) < 100 || len(got) < 358 || len(got) > 360 || got[0] != more) {
				t.Errorf("told %d times: %q", len(got), got[:min(len(got), 9)])
			}
		})
	}
	// Where both are due at once, READY=1 is the last word all the same.
	for range 100 {
		m := newManager(t)
		synctest.Test(t, func(t *testing.T) {
			end := extendStart(t.Context(), slog.New(slog.DiscardHandler))
			time.Sleep(extendEach)
			end(true)
			time.Sleep(time.Hour)
		})
		if got := m.all(t); got[len(got)-1] != "READY=1" {
			t.Fatalf("told %q", got)
		}
	}
	if extendBy < 2*extendEach {
		t.Error("one word that is late ends the start")
	}
}

// SIGHUP has the daemon asked at its own socket to read its configuration
// again, each time; one that cannot be read ends nothing.
func TestHangUpReloads(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		io.WriteString(w, `{"title":"the configuration cannot be used","status":422,"code":"state"}`)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() { srv.Close(); serving.Wait() })
	var logs strings.Builder
	ctx, stop := context.WithCancel(t.Context())
	following := followHangUps(ctx, socket, slog.New(slog.NewTextHandler(&logs, nil)))
	for range 2 {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-asked:
			if got != "POST /v1/reload" {
				t.Errorf("it asked for %s", got)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nobody was asked")
		}
	}
	srv.Close()
	stop()
	following.Wait()
	if !strings.Contains(logs.String(), "the configuration was not read again") {
		t.Errorf("%s", &logs)
	}
}
