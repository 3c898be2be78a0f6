package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// kennel is a watchdog whose words to systemd are kept, with the time of each.
type kennel struct {
	*watchdog
	mu    sync.Mutex
	began time.Time
	beats []time.Duration // since the start
	logs  lockedBuffer
}

func newKennel(interval time.Duration, check func(ctx context.Context) error) *kennel {
	k := &kennel{began: time.Now()}
	k.watchdog = &watchdog{interval: interval, check: check, logger: slog.New(slog.NewTextHandler(&k.logs, nil)), tell: func(state string) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if state == "WATCHDOG=1" {
			k.beats = append(k.beats, time.Since(k.began))
		}
		return nil
	}}
	return k
}

// last returns when systemd last heard that the daemon lives.
func (k *kennel) last() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.beats) == 0 {
		return -1
	}
	return k.beats[len(k.beats)-1]
}

// While the check succeeds systemd hears it well within its interval; once it
// hangs or fails, systemd hears nothing more, however long that lasts; and
// health says so. When it comes back so does the pulse.
func TestWatchdog(t *testing.T) {
	failure := errors.New("the disk failed")
	for name, stops := range map[string]func(ctx context.Context, release chan struct{}) error{
		"heeds its context": func(ctx context.Context, release chan struct{}) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-release:
				return nil
			}
		},
		"heeds nothing": func(_ context.Context, release chan struct{}) error { <-release; return nil },
		"fails": func(_ context.Context, release chan struct{}) error {
			select {
			case <-release:
				return nil
			default:
				return failure
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var hangs atomic.Bool
				k := newKennel(time.Minute, func(ctx context.Context) error {
					if hangs.Load() {
						return stops(ctx, release)
					}
					return nil
				})
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- k.run(ctx) }()
				time.Sleep(10*time.Minute + time.Second)
				synctest.Wait()
				k.mu.Lock()
				for i := 1; i < len(k.beats); i++ {
					if gap := k.beats[i] - k.beats[i-1]; gap > 30*time.Second {
						t.Errorf("systemd heard nothing for %v", gap)
					}
				}
				k.mu.Unlock()
				if k.last() < 10*time.Minute-30*time.Second || k.alive() != nil {
					t.Fatalf("the last beat was at %v, %v", k.last(), k.alive())
				}
				before := k.last()
				hangs.Store(true)
				time.Sleep(time.Hour)
				synctest.Wait()
				if k.last() != before {
					t.Errorf("the archive hangs, and systemd heard at %v that it lives", k.last())
				}
				if k.alive() == nil {
					t.Error("the archive hangs, and health is fine")
				}
				close(release)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if k.alive() != nil || k.last() == before {
					t.Errorf("the archive is back, and the pulse is not: %v, %v", k.last(), k.alive())
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if n := strings.Count(k.logs.String(), "level=ERROR"); name != "heeds nothing" && n != 1 {
					t.Errorf("%d lines for one hang:\n%s", n, &k.logs)
				}
			})
		})
	}
}

// A check that comes back after its time was no pulse.
func TestWatchdogTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(time.Minute, func(context.Context) error { time.Sleep(21 * time.Second); return nil })
		k.look(t.Context())
		if k.last() >= 0 || k.alive() == nil {
			t.Error("a check that took more than a third of the interval fed the watchdog")
		}
		k.check = func(context.Context) error { time.Sleep(19 * time.Second); return nil }
		k.look(t.Context())
		if k.last() < 0 || k.alive() != nil {
			t.Error("a check within its time did not")
		}
	})
}

// Where systemd does not watch it is told nothing, and health is known all the
// same.
func TestWatchdogUnwatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(0, func(context.Context) error { return nil })
		if k.alive() == nil {
			t.Error("health is fine before the first look")
		}
		k.look(t.Context())
		if k.last() >= 0 || k.alive() != nil || k.lastFine().IsZero() {
			t.Errorf("%v, %v", k.last(), k.alive())
		}
	})
}

// feed says WATCHDOG=1 at systemd's own socket, at the pace that the
// environment gives.
func TestFeed(t *testing.T) {
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", address.Name)
	t.Setenv("WATCHDOG_USEC", "30000")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- feed(ctx, 0, func(context.Context) error { return nil }) }()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	for range 3 {
		if n, err := conn.Read(b); err != nil || string(b[:n]) != "WATCHDOG=1" {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := feed(t.Context(), 0, nil); err == nil {
		t.Error("an interval that is none was taken")
	}
}
