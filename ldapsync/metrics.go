package ldapsync

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what synchronisations do. No label holds anything that the
// directory chose.
type Metrics struct {
	lastSuccess prometheus.Gauge
	seconds     prometheus.Gauge
	people      prometheus.Gauge
	failures    *prometheus.CounterVec // by class
	logins      *prometheus.CounterVec // passwords asked about, by outcome
}

// NewMetrics makes the collectors and registers them.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.lastSuccess, m.seconds, m.people, m.failures, m.logins} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the directory's metrics: %w", err)
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	name := func(s, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "holdfast", Subsystem: "directory", Name: s, Help: help}
	}
	gauge := func(s, help string) prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts(name(s, help))) }
	vec := func(s, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(name(s, help)), []string{label})
	}
	return &Metrics{
		lastSuccess: gauge("last_success_timestamp_seconds", "When the directory was last read and found in step, or brought into step."),
		seconds:     gauge("sync_seconds", "How long the last successful synchronisation took."),
		people:      gauge("people", "People whom the last successful synchronisation read."),
		failures:    vec("failures_total", "Synchronisations that failed or were refused, by class.", "class"),
		logins:      vec("logins_total", "Passwords that the directory was asked about, by outcome: right, wrong, unavailable.", "outcome"),
	}
}

func (m *Metrics) succeeded(at time.Time, took time.Duration, people int) {
	m.lastSuccess.Set(float64(at.UnixMilli()) / 1000)
	m.seconds.Set(took.Seconds())
	m.people.Set(float64(people))
}
