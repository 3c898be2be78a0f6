package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/api"
)

// openingLimit is for how long after it was unlocked the daemon is taken to
// live while it opens the archive: systemd was told that it is ready when it
// was locked, and watches it since.
const openingLimit = time.Hour

// masterKey is the key that opens the archive, and how it came here.
type masterKey struct {
	key      [seal.MasterSize]byte
	unlocked *archive.KeeperBody // nil: it was there
	opened   func()              // says that the archive is open: from then on it feeds the watchdog itself
}

// waitForMaster returns the master key, waiting for it as `locked` where it is
// not there, cannot be read, or is not the archive's; nil when ctx ends first.
func waitForMaster(ctx context.Context, o Options) (*masterKey, error) {
	key, err := ReadMaster(CredentialsDir(o.Config.Credentials, o.Config.Data))
	if err == nil {
		wrong := archive.OpensWith(o.Config.Data, key)
		if !errors.Is(wrong, archive.ErrKeys) {
			return &masterKey{key: key, opened: func() {}}, nil // what else is wrong, opening the archive says
		}
		err = wrong
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if _, none := archive.ReadIdentity(o.Config.Data); none != nil {
		return nil, err // there is nothing to be unlocked
	}
	l := &locked{Options: o, cause: err, got: make(chan struct{})}
	return l.wait(ctx)
}

// locked is a daemon that waits for its master key.
type locked struct {
	Options
	cause error // why it waits; free of secrets

	mu  sync.Mutex
	key *masterKey
	got chan struct{} // closed once key is there
}

// wait serves the little that a locked daemon answers until it has its key.
func (l *locked) wait(ctx context.Context) (*masterKey, error) {
	registry, err := lockedMetrics(l.Version)
	if err != nil {
		return nil, err
	}
	listener, err := api.Listen(l.Config.Socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSocket, err)
	}
	metrics, err := listenMetrics(ctx, l.Config.Metrics)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	l.Logger.Warn("locked: the daemon waits for its master key; run `sudo holdfastd unlock`", "cause", l.cause)
	monitor := api.Monitor{Registry: registry, Status: api.StatusLocked, Log: l.Logger, Ready: func(context.Context) error { return api.NotUnlocked() }}
	server := &api.Locked{Monitor: monitor, Own: uint32(os.Geteuid()), Unlock: l.unlock} // #nosec G115 -- a uid
	opening := l.feed(ctx)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(running, l.got, listener) })
	if metrics != nil {
		l.Logger.Info("serving metrics", "address", metrics.Addr().String())
		g.Go(func() error { return l.monitor(running, &monitor, metrics) })
	}
	if l.Ready != nil {
		l.Ready()
	}
	l.tell("STATUS=locked: waiting for the master key; run `sudo holdfastd unlock`")
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		opening()
		return nil, err
	}
	l.tell("STATUS=unlocked: opening the archive")
	l.Logger.Info("unlocked", "way", l.key.unlocked.Way, "uid", l.key.unlocked.By)
	l.key.opened = opening
	return l.key, nil
}

// monitor answers at metrics.listen until the daemon is unlocked.
func (l *locked) monitor(ctx context.Context, m *api.Monitor, at net.Listener) error {
	until, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-l.got:
			stop()
		case <-until.Done():
		}
	}()
	return m.Serve(until, at)
}

// feed tells systemd's watchdog that the daemon lives while it is locked, and
// until the archive is open: the function returned says so, and waits until
// nothing is told any more.
func (l *locked) feed(ctx context.Context) (opened func()) {
	fed, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := feed(fed, 0, l.alive()); err != nil {
			l.Logger.Error("systemd's watchdog is not fed", "err", err)
		}
	}()
	return sync.OnceFunc(func() {
		stop()
		<-ended
	})
}

// alive returns the check of a daemon that is locked, or opens the archive since
// less than openingLimit.
func (l *locked) alive() func(context.Context) error {
	var since time.Time // of the first look after the key came
	return func(context.Context) error {
		select {
		case <-l.got:
		default:
			return nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > openingLimit {
			return errPulse
		}
		return nil
	}
}

// unlock takes the master key from whoever the server lets in.
func (l *locked) unlock(_ context.Context, r api.UnlockRequest, uid uint32) error {
	key, err := r.Key()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil {
		return nil // two came at once
	}
	if err := archive.OpensWith(l.Config.Data, key); errors.Is(err, archive.ErrKeys) {
		l.Logger.Warn("a master key that is not the archive's was refused", "uid", uid)
		return api.ErrWrongKey
	} else if err != nil {
		return err
	}
	l.key = &masterKey{key: key, unlocked: &archive.KeeperBody{Version: 1, Op: archive.KeyUnlocked, By: uid, Way: r.Way}}
	close(l.got)
	return nil
}

func (l *locked) tell(state string) {
	if err := Notify(state); err != nil {
		l.Logger.Warn("systemd was not told", "err", err)
	}
}

// lockedMetrics are the metrics of a daemon that is locked.
func lockedMetrics(version string) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	accepting := prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_accepting", Help: "1 while what comes from the relay can be appended."})
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(version), lockedMetric(true), accepting,
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// noteUnlocked puts into the log who unlocked the daemon, and how. A full disk
// shall not keep it from serving what is there.
func (p *parts) noteUnlocked(ctx context.Context, m *masterKey) {
	if m.unlocked == nil {
		return
	}
	if err := p.noteKeeper(ctx, *m.unlocked); err != nil {
		p.logger.Warn("that the daemon was unlocked was not noted in the log", "err", err)
	}
}

// noteKeeper puts what was done about the master key or the recovery kit into
// the log, durable once it returns.
func (p *parts) noteKeeper(ctx context.Context, b archive.KeeperBody) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	_, err = p.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindKey, Class: proof.ClassControl, Body: body}}})
	return err
}
