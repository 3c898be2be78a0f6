package daemon

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// metrics are the figures that no other duty gives. No label names anybody. A
// time that was never reached is 0.
func (w *watch) metrics() []prometheus.Collector {
	p := w.parts
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	out := []prometheus.Collector{
		buildInfo(p.version),
		lockedMetric(false),
		newWhenKnown("holdfast_stream_gaps", "Holes in the devices' numbers, and open alarms that the relay's stream has one; absent until every message was read once after a start.",
			func() (float64, bool) { return w.streamGaps(), w.gapsKnown.Load() }),
		gauge("holdfast_quarantined_entries", "Entries that the archive could not open, since the beginning.", w.quarantined),
		gauge("holdfast_accepting", "1 while what comes from the relay can be appended.", func() float64 { return flag(p.accepting() == nil) }),
		gauge("holdfast_pulse_last_success_timestamp_seconds", "When the writer last answered and the last entry was read.", func() float64 { return seconds(w.watchdog.lastFine()) }),
		gauge("holdfast_check_last_success_timestamp_seconds", "When the whole chain was last checked and found sound.", func() float64 { return seconds(w.checks.state().Chain) }),
		gauge("holdfast_check_bodies_last_success_timestamp_seconds", "When every body was last opened and found sound.", func() float64 { return seconds(w.checks.state().Bodies) }),
		gauge("holdfast_check_failed", "1 after a check that found damage, until one finds none.", func() float64 { return flag(w.checks.state().Failed) }),
		gauge("holdfast_clock_suspect", "1 while received time does not follow the machine's clock.", func() float64 { return flag(p.archive.Clock().Suspect) }),
		gauge("holdfast_approvals_waiting", "Requests that wait for a second person.", w.approvalsWaiting),
		newDisk(w.config.Data),
	}
	if w.config.Relay != nil {
		out = append(out, relayFigures{w})
	}
	if w.config.Directory != nil {
		out = append(out, gauge("holdfast_directory_refused", "1 while what the directory says is not believed, or its last synchronisation failed.", w.directoryRefused))
	}
	return out
}

func (w *watch) directoryRefused() float64 {
	s := w.parts.syncer
	if s == nil {
		return 0
	}
	st := s.Status()
	return flag(st.Failing != "" || st.Pending != nil)
}

// whenKnown is a gauge that is absent until its figure is known: 0 would be
// one.
type whenKnown struct {
	desc *prometheus.Desc
	f    func() (value float64, known bool)
}

func newWhenKnown(name, help string, f func() (float64, bool)) *whenKnown {
	return &whenKnown{prometheus.NewDesc(name, help, nil, nil), f}
}

// Describe implements prometheus.Collector.
func (g *whenKnown) Describe(out chan<- *prometheus.Desc) { out <- g.desc }

// Collect implements prometheus.Collector.
func (g *whenKnown) Collect(out chan<- prometheus.Metric) {
	if v, known := g.f(); known {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v)
	}
}

// disk is the file system of the data directory.
type disk struct {
	dir        string
	free, size *prometheus.Desc
}

func newDisk(dir string) *disk {
	return &disk{
		dir:  dir,
		free: prometheus.NewDesc("holdfast_disk_free_bytes", "Bytes that the daemon may still use on the data directory's file system.", nil, nil),
		size: prometheus.NewDesc("holdfast_disk_size_bytes", "Size of the data directory's file system.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (d *disk) Describe(out chan<- *prometheus.Desc) { out <- d.free; out <- d.size }

// Collect implements prometheus.Collector.
func (d *disk) Collect(out chan<- prometheus.Metric) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err != nil {
		out <- prometheus.NewInvalidMetric(d.free, err)
		return
	}
	out <- prometheus.MustNewConstMetric(d.free, prometheus.GaugeValue, float64(fs.Bavail)*float64(fs.Bsize))
	out <- prometheus.MustNewConstMetric(d.size, prometheus.GaugeValue, float64(fs.Blocks)*float64(fs.Bsize))
}

// relayFigures are how the archive stands to its relay.
type relayFigures struct{ *watch }

var (
	relayEvents  = prometheus.NewDesc("holdfast_relay_lag_events", "Events that the relay holds and the archive has not taken.", nil, nil)
	relaySeconds = prometheus.NewDesc("holdfast_relay_lag_seconds", "How far back in time the archive stands behind the relay, at most; 0 when it has all.", nil, nil)
	relayContact = prometheus.NewDesc("holdfast_relay_last_contact_timestamp_seconds", "When the relay last gave a page that verified.", nil, nil)
	relayFailing = prometheus.NewDesc("holdfast_relay_failing", "1 while polls fail, with what they fail by.", []string{"class"}, nil)
)

// Describe implements prometheus.Collector.
func (relayFigures) Describe(out chan<- *prometheus.Desc) {
	out <- relayEvents
	out <- relaySeconds
	out <- relayContact
	out <- relayFailing
}

// freshPoll is how old an answer may be by which the archive has all that there
// is: a long poll, and some time to spare.
const freshPoll = 5 * time.Minute

// Collect implements prometheus.Collector.
func (r relayFigures) Collect(out chan<- prometheus.Metric) {
	if r.parts.client == nil {
		return
	}
	s := r.parts.client.Status()
	lag := s.LagAge.Seconds()
	if s.Connected && s.LagEvents == 0 && time.Since(s.LastPoll) < freshPoll {
		lag = 0
	}
	class, failing := s.LastError, 1.0
	if class == "" {
		class, failing = "none", 0
	}
	for _, m := range []struct {
		desc   *prometheus.Desc
		value  float64
		labels []string
	}{
		{relayEvents, float64(s.LagEvents), nil}, {relaySeconds, lag, nil}, {relayContact, seconds(s.LastPoll), nil}, {relayFailing, failing, []string{class}},
	} {
		out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value, m.labels...)
	}
}
