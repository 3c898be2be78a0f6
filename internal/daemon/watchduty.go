package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/proof"
	"holdfast/ingest"
	"holdfast/internal/api"
	"holdfast/internal/config"
)

// lookEvery is how often the figures are brought up to date that cannot be had
// while somebody waits for them, and systemd is told how things stand.
const lookEvery = 30 * time.Second

// watch is what monitoring looks at.
type watch struct {
	parts    *parts
	config   *config.Config
	reread   func() (*config.Config, error)
	level    *slog.LevelVar
	watchdog *watchdog
	checks   *checks
	listener net.Listener // of metrics.listen; nil without it

	tails     *ingest.Tails // provisioning's, where there is one
	gaps      atomic.Uint64 // holes in the devices' numbers
	gapsKnown atomic.Bool   // every message has been read once
}

// watchDuty looks after what monitoring looks at.
func (p *parts) watchDuty(o Options) (duty, error) {
	w := &watch{parts: p, config: o.Config, reread: o.Reread, level: o.Level}
	var err error
	if w.watchdog, err = newWatchdog(0, p.archive.Pulse, p.logger); err != nil {
		return duty{}, fmt.Errorf("%w: systemd's WATCHDOG_USEC: %w", config.ErrConfig, err)
	}
	if w.checks, err = newChecks(o.Config.Data, p); err != nil {
		return duty{}, err
	}
	p.watch = w
	return duty{metrics: w.metrics(), start: w.start, run: w.run}, nil
}

// watchAPI returns what the API needs of it.
func (p *parts) watchAPI() api.WatchParts {
	out := api.WatchParts{Health: p.watch.watchdog.alive}
	if p.watch.reread != nil {
		out.Reload = p.watch.reload
	}
	return out
}

// ErrMetrics is returned when metrics cannot be served where the configuration
// says.
var ErrMetrics = errors.New("metrics.listen")

// start takes the address for monitoring, and the first pulse.
func (w *watch) start(ctx context.Context) error {
	l, err := listenMetrics(ctx, w.config.Metrics)
	if err != nil {
		return err
	}
	w.listener = l
	if w.tails = w.parts.tails; w.tails == nil {
		w.tails = ingest.NewTails(w.parts.archive)
	}
	w.watchdog.look(ctx)
	return nil
}

// listenMetrics takes the address; nil without one.
func listenMetrics(ctx context.Context, c config.Metrics) (net.Listener, error) {
	if c.Listen == "" {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetrics, err)
	}
	return l, nil
}

func (w *watch) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.watchdog.run(ctx) })
	g.Go(func() error { return w.checks.run(ctx) })
	g.Go(func() error { return w.follow(ctx) })
	if w.listener != nil {
		m := &api.Monitor{Registry: w.parts.server.Registry, Health: w.watchdog.alive, Ready: w.parts.ready, Log: w.parts.logger}
		w.parts.logger.Info("serving metrics", "address", w.listener.Addr().String())
		g.Go(func() error { return m.Serve(ctx, w.listener) })
	}
	return g.Wait()
}

// follow brings figures up to date until ctx ends, and tells systemd.
func (w *watch) follow(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		w.refresh(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// gapStep is how many entries are read at once for the devices' counters:
// provisioning waits for no more than that.
const gapStep = 4096

// refresh works out what takes reading. Whatever fails is tried again, and
// said where somebody looks into it.
func (w *watch) refresh(ctx context.Context) {
	p := w.parts
	size := p.archive.Size()
	err := errors.Join(p.state.CatchUp(ctx, size), p.counts.catchUp(ctx, p.archive))
	for at := w.tails.Through(); err == nil && at < size; at = w.tails.Through() {
		err = w.tails.CatchUp(ctx, min(size, at+gapStep))
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		w.gaps.Store(w.tails.Gaps())
		w.gapsKnown.Store(true)
	} else {
		p.logger.Error("the figures for monitoring could not be brought up to date", "err", err)
	}
	if err := Notify("STATUS=" + w.line()); err != nil {
		p.logger.Debug("systemd was not told how things stand", "err", err)
	}
}

// line says in one line how things stand, for `systemctl status`. It names
// nobody.
func (w *watch) line() string {
	p := w.parts
	words := []string{fmt.Sprintf("%d entries", p.archive.Size())}
	if p.client != nil {
		s := p.client.Status()
		words = append(words, fmt.Sprintf("%d behind the relay", s.LagEvents))
		if s.LastError != "" {
			words = append(words, "relay failing: "+s.LastError)
		}
	}
	for _, reason := range p.gate.Reasons() {
		words = append(words, "ingest is held back: "+reason)
	}
	if n := len(p.state.Alarms(false)); n > 0 {
		words = append(words, fmt.Sprintf("%d alarms open", n))
	}
	if w.checks.damaged() {
		words = append(words, "DAMAGED: see `holdfast alarms list`")
	}
	return strings.Join(words, "; ")
}

// gapAlarms are the alarms that say that something of the relay's stream is
// missing; who acknowledges one has seen to it.
var gapAlarms = map[string]bool{ingest.AlarmGap: true, ingest.AlarmLost: true, ingest.AlarmCursorExpired: true}

func (w *watch) streamGaps() float64 {
	n := w.gaps.Load()
	for _, a := range w.parts.state.Alarms(false) {
		if gapAlarms[a.Name] {
			n++
		}
	}
	return float64(n)
}

// accepting reports whether what comes from the relay could be appended now.
func (p *parts) accepting() error {
	if !p.archive.Room() {
		return archive.ErrDiskFull
	}
	if p.client == nil {
		return nil
	}
	switch p.client.Status().LastError {
	case ingest.ClassDiskFull:
		return archive.ErrDiskFull
	case ingest.ClassLog:
		return archive.ErrFailed
	}
	return nil
}

// ready reports whether entries are taken and searches answered.
func (p *parts) ready(context.Context) error {
	if err := p.accepting(); err != nil {
		return err
	}
	if p.lag() >= lagBroken {
		return &api.Problem{Title: "the search index is being built", Status: 503, Code: api.CodeIndexing, Exit: api.ExitTemporary,
			Hint: "searches say what they have not seen; `holdfast status` says how far the index is"}
	}
	return nil
}

func (w *watch) approvalsWaiting() (n float64) {
	for _, r := range w.parts.requests.Requests(approval.Filter{Open: true}) {
		if r.Status == approval.Pending {
			n++
		}
	}
	return n
}

func (w *watch) quarantined() float64 { return float64(w.parts.counts.of(proof.KindQuarantine)) }

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// seconds is a time as a metric; 0 stands for never.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}

// buildInfo says which version runs.
func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_build_info", Help: "1; the version that runs stands in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}

// lockedMetric says whether the daemon waits for its master key.
func lockedMetric(locked bool) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_locked", Help: "1 while the daemon waits for its master key: nothing is taken, nothing is shown."})
	g.Set(flag(locked))
	return g
}
