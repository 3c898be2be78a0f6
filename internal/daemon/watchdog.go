package daemon

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// How often the daemon looks whether it lives where systemd asks nothing, and
// after how long a look that has not come back counts as failed.
const (
	pulseEvery   = 10 * time.Second
	pulseTimeout = time.Minute
)

// errPulse is what the daemon says of itself when its last looks failed.
var errPulse = errors.New("the archive has not answered lately")

// watchdogInterval returns the time after which systemd takes the daemon for
// hung (WATCHDOG_USEC, sd_watchdog_enabled(3)); 0: it does not watch.
func watchdogInterval() (time.Duration, error) { return sd.SdWatchdogEnabled(false) }

// feed calls check, a third of interval after it last did, until ctx ends, and
// tells systemd after each success that the daemon lives. A check that fails
// or hangs tells nothing: systemd ends the process after interval. An interval
// of 0 asks the environment; where systemd does not watch, nothing is told.
//
// A check has a third of interval to answer. One that heeds no context holds up
// the next, and the return.
func feed(ctx context.Context, interval time.Duration, check func(ctx context.Context) error) error {
	w, err := newWatchdog(interval, check, slog.Default())
	if err != nil {
		return err
	}
	return w.run(ctx)
}

// watchdog looks again and again whether the daemon lives, remembers when it
// last did, and tells systemd.
type watchdog struct {
	interval time.Duration // systemd's; 0: it does not watch
	check    func(ctx context.Context) error
	tell     func(state string) error // sd_notify(3)
	logger   *slog.Logger

	mu      sync.Mutex
	fine    time.Time // of the last success; zero before the first
	failing error     // of the last look; nil after a success
}

func newWatchdog(interval time.Duration, check func(ctx context.Context) error, logger *slog.Logger) (*watchdog, error) {
	if interval == 0 {
		var err error
		if interval, err = watchdogInterval(); err != nil {
			return nil, err
		}
	}
	return &watchdog{interval: interval, check: check, tell: Notify, logger: logger}, nil
}

// every returns the time between two looks; each has as long to answer, up to
// patience, so that two may fail before systemd ends the process.
func (w *watchdog) every() time.Duration { return cmp.Or(w.interval/3, pulseEvery) }

func (w *watchdog) patience() time.Duration { return cmp.Or(w.interval/3, pulseTimeout) }

func (w *watchdog) run(ctx context.Context) error {
	tick := time.NewTicker(w.every())
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look checks once.
func (w *watchdog) look(ctx context.Context) {
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, w.patience())
	err := w.check(within)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if took := time.Since(began); err == nil && took > w.patience() {
		err = errPulse // it came back, too late to be called alive
	}
	w.note(err)
	if err != nil || w.interval == 0 {
		return
	}
	if err := w.tell(sd.SdNotifyWatchdog); err != nil {
		w.logger.Error("systemd was not told that the daemon lives; it will end it", "err", err)
	}
}

// note remembers how a look went, and logs where that is news.
func (w *watchdog) note(err error) {
	w.mu.Lock()
	before := w.failing
	if w.failing = err; err == nil {
		w.fine = time.Now()
	}
	w.mu.Unlock()
	switch {
	case err != nil && before == nil:
		w.logger.Error("the archive does not answer; unless it does soon, systemd ends the daemon and starts it anew", "err", err)
	case err == nil && before != nil:
		w.logger.Info("the archive answers again")
	}
}

// alive returns nil when a look succeeded lately: within three looks' time.
func (w *watchdog) alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fine.IsZero() || time.Since(w.fine) > 2*w.every()+w.patience() {
		return errPulse
	}
	return nil
}

// lastFine returns when a look last succeeded, zero before the first.
func (w *watchdog) lastFine() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fine
}
