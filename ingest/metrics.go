package ingest

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/ingest/wire"
)

// Metrics counts what ingest does. No label holds anything that the relay or a sender chose.
type Metrics struct {
	events      *prometheus.CounterVec // by kind
	messages    prometheus.Counter
	redelivered prometheus.Counter
	quarantined *prometheus.CounterVec // by code
	refused     *prometheus.CounterVec // polls without a page, by class
	alarms      *prometheus.CounterVec // by name
	blobs       *prometheus.CounterVec // by end state
	acks        *prometheus.CounterVec // by outcome
	lagEvents   prometheus.Gauge
	lagSeconds  prometheus.Gauge
	acked       prometheus.Gauge
	cursor      prometheus.Gauge
	connected   prometheus.Gauge
}

// NewMetrics makes the collectors and registers them.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{
		m.events, m.messages, m.redelivered, m.quarantined, m.refused, m.alarms, m.blobs, m.acks,
		m.lagEvents, m.lagSeconds, m.acked, m.cursor, m.connected,
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register ingest's metrics: %w", err)
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	name := func(s, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "holdfast", Subsystem: "ingest", Name: s, Help: help}
	}
	counter := func(s, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(name(s, help)))
	}
	vec := func(s, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(name(s, help)), []string{label})
	}
	gauge := func(s, help string) prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts(name(s, help))) }
	return &Metrics{
		events:      vec("events_total", "Relay events committed, by kind.", "kind"),
		messages:    counter("messages_total", "Messages committed."),
		redelivered: counter("redelivered_total", "Messages that the log held already."),
		quarantined: vec("quarantined_total", "Events committed to quarantine, by code.", "code"),
		refused:     vec("polls_failed_total", "Polls that gave no page, by class.", "class"),
		alarms:      vec("alarms_total", "Alarms raised, by name.", "alarm"),
		blobs:       vec("blobs_total", "Attachments that reached an end state.", "status"),
		acks:        vec("acks_total", "Acknowledgements sent, by outcome.", "outcome"),
		lagEvents:   gauge("lag_events", "Events that the relay holds beyond the cursor."),
		lagSeconds:  gauge("lag_seconds", "How far the archive is behind the relay."),
		acked:       gauge("acked_seq", "Last seq of the relay's epoch that the relay knows to be durable."),
		cursor:      gauge("cursor_seq", "Last seq of the relay's epoch that is durable."),
		connected:   gauge("connected", "1 while the last poll succeeded."),
	}
}

// kindLabel keeps a kind that the relay invented out of the metrics.
func kindLabel(kind string) string {
	if wire.KnownKind(kind) {
		return kind
	}
	return "other"
}
