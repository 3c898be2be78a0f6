package doctor

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) float64 { return float64(now.Add(-d).Unix()) }

// well are an archive and a daemon of which everything is configured and right.
func well() (Facts, Samples) {
	f := Facts{
		Now: now, Started: now.Add(-30 * day), Begun: now.Add(-200 * day),
		Growth: &Growth{Size: 1 << 40, Free: 1 << 39, LowWater: 256 << 20, Used: 1 << 38, Daily: 1 << 30},
		Relay:  true, Directory: true, Backup: true, KeysBackup: true, Anchor: true, Notices: true, AnchorEvery: time.Hour,
	}
	one := func(v float64) map[string]float64 { return map[string]float64{"": v} }
	return f, Samples{
		"holdfast_check_failed": one(0), "holdfast_check_last_success_timestamp_seconds": one(ago(5 * time.Hour)),
		"holdfast_accepting": one(1), "holdfast_ingest_paused": one(0),
		"holdfast_relay_lag_seconds": one(0), "holdfast_relay_lag_events": one(0), "holdfast_relay_last_contact_timestamp_seconds": one(ago(time.Minute)),
		"holdfast_relay_failing": {"network": 0, "tls": 0}, "holdfast_stream_gaps": one(0), "holdfast_quarantined_entries": one(0),
		"holdfast_index_lag_entries": one(3), "holdfast_directory_last_success_timestamp_seconds": one(ago(5 * time.Minute)), "holdfast_directory_refused": one(0),
		"holdfast_backup_last_success_timestamp_seconds": one(ago(10 * time.Hour)), "holdfast_backup_failed": one(0), "holdfast_keys_backup_current": one(1),
		"holdfast_drill_last_success_timestamp_seconds": one(ago(5 * day)), "holdfast_drill_failed": one(0),
		"holdfast_anchor_last_success_timestamp_seconds": {"file": ago(time.Hour), "relay": ago(time.Minute)}, "holdfast_anchor_failing": {"file": 0},
		"holdfast_restored_waiting": one(0), "holdfast_clock_suspect": one(0), "holdfast_alarms_open": one(0), "holdfast_approvals_waiting": one(2),
		"holdfast_notice_failing": {"smtp": 0}, "holdfast_certificate_not_after_timestamp_seconds": {"relay-client": ago(-200 * day), "https": ago(-90 * day), "recipient": ago(-40 * day)},
	}
}

func TestAllIsWell(t *testing.T) {
	for _, f := range Live(well()) {
		if f.Severity != OK || f.Fix != "" || f.Text == "" {
			t.Errorf("%+v", f)
		}
	}
}

// Every check of the running daemon can fail, and says what to do.
func TestEveryLiveCheckFails(t *testing.T) {
	type world struct {
		f *Facts
		s Samples
	}
	set := func(name string, v float64) func(world) {
		return func(w world) { w.s["holdfast_"+name] = map[string]float64{"": v} }
	}
	label := func(name, label string, v float64) func(world) {
		return func(w world) { w.s["holdfast_"+name][label] = v }
	}
	both := func(a, b func(world)) func(world) { return func(w world) { a(w); b(w) } }
	cases := []struct {
		id, severity, text, fix string
		change                  func(world)
	}{
		{"chain", Critical, "cannot be read", "holdfast verify", func(w world) { w.f.Head = errors.New("leaf") }},
		{"check", Critical, "found damage", "holdfast verify", set("check_failed", 1)},
		{"check", Warning, "4 days ago", "holdfast verify", set("check_last_success_timestamp_seconds", ago(4*day))},
		{"check", Critical, "9 days ago", "holdfast verify", set("check_last_success_timestamp_seconds", ago(9*day))},
		{"check", Critical, "no check", "journalctl", set("check_last_success_timestamp_seconds", 0)},
		{"check", Warning, "nothing is known", "holdfast verify", func(w world) { delete(w.s, "holdfast_check_last_success_timestamp_seconds") }},
		{"ingest", Critical, "nothing is taken from the relay", "free space", set("accepting", 0)},
		{"ingest", Warning, "paused", "holdfast ingest resume", set("ingest_paused", 1)},
		{"relay", Warning, "tls", "TLS inspection", label("relay_failing", "tls", 1)},
		{"relay", Warning, "other", "operator", label("relay_failing", "other", 1)},
		{"relay", Warning, "the oldest 26 hours", "operator", set("relay_lag_seconds", 26*3600)},
		{"relay", Critical, "the oldest 4 days", "keep it longer", set("relay_lag_seconds", 4*86400)},
		{"relay", Warning, "answered 3 hours ago", "firewall", set("relay_last_contact_timestamp_seconds", ago(3*time.Hour))},
		{"relay", Critical, "answered 47 hours ago", "firewall", set("relay_last_contact_timestamp_seconds", ago(47*time.Hour))},
		{"relay", Critical, "not answered since the start", "firewall", set("relay_last_contact_timestamp_seconds", 0)},
		{"relay", Warning, "not answered since the start", "firewall", both(set("relay_last_contact_timestamp_seconds", 0), func(w world) { w.f.Started = now.Add(-11 * time.Minute) })},
		{"gaps", Warning, "2 known gaps", "holdfast certify", set("stream_gaps", 2)},
		{"quarantine", Warning, "2 entries came", "holdfast devices list", both(set("quarantined_entries", 7), func(w world) { w.f.QuarantinedLately = 2 })},
		{"index", Warning, "10000 entries behind", "catches up", set("index_lag_entries", 10_000)},
		{"index", Critical, "50001 entries behind", "built anew", set("index_lag_entries", 50_001)},
		{"directory", Warning, "rails", "holdfast directory approve", set("directory_refused", 1)},
		{"directory", Critical, "rails", "holdfast directory status", both(set("directory_refused", 1), set("directory_last_success_timestamp_seconds", ago(25*time.Hour)))},
		{"directory", Warning, "2 hours ago", "holdfast directory status", set("directory_last_success_timestamp_seconds", ago(2*time.Hour))},
		{"directory", Critical, "25 hours ago", "--preflight", set("directory_last_success_timestamp_seconds", ago(25*time.Hour))},
		{"backup", Warning, "attempt at a backup failed", "holdfastd-backup.timer", set("backup_failed", 1)},
		{"backup", Warning, "31 hours ago", "holdfastd backup", set("backup_last_success_timestamp_seconds", ago(31*time.Hour))},
		{"backup", Critical, "5 days ago", "holdfastd backup", set("backup_last_success_timestamp_seconds", ago(5*day))},
		{"backup", Critical, "no backup yet", "holdfastd backup", set("backup_last_success_timestamp_seconds", 0)},
		{"backup", Warning, "no backup is configured", "[backup]", both(set("backup_last_success_timestamp_seconds", 0), func(w world) { w.f.Backup = false })},
		{"keys-backup", Critical, "lacks keys", "keys_to", set("keys_backup_current", 0)},
		{"keys-backup", Warning, "no backup of its own", "keys_to", both(set("keys_backup_current", 0), func(w world) { w.f.KeysBackup = false })},
		{"drill", Critical, "failed", "holdfastd drill", set("drill_failed", 1)},
		{"drill", Warning, "16 days ago", "holdfastd-drill.timer", set("drill_last_success_timestamp_seconds", ago(16*day))},
		{"drill", Critical, "no restore drill yet", "holdfastd drill", set("drill_last_success_timestamp_seconds", 0)},
		{"anchor", Warning, "do not answer: file", "holdfast anchors list", label("anchor_failing", "file", 1)},
		{"anchor", Warning, "7 hours ago", "holdfast anchors make", func(w world) {
			w.s["holdfast_anchor_last_success_timestamp_seconds"] = map[string]float64{"file": ago(7 * time.Hour)}
		}},
		{"anchor", Critical, "2 days ago", "holdfast anchors make", func(w world) {
			w.s["holdfast_anchor_last_success_timestamp_seconds"] = map[string]float64{"file": ago(2 * day)}
		}},
		{"anchor", Warning, "acks alone", "witness", func(w world) { w.f.Anchor = false }},
		{"anchor", Warning, "nowhere outside", "witness", func(w world) {
			w.f.Anchor = false
			delete(w.s, "holdfast_anchor_last_success_timestamp_seconds")
		}},
		{"restored", Critical, "two people", "holdfast restore go-on", set("restored_waiting", 1)},
		{"clock", Critical, "jumped", "holdfast clock release", set("clock_suspect", 1)},
		{"disk", Critical, "are free", "Enlarge", func(w world) { w.f.Growth.Free = w.f.Growth.LowWater }},
		{"disk", Warning, "are free", "Enlarge", func(w world) { w.f.Growth.Free, w.f.Growth.Daily = w.f.Growth.Size/8, 0 }},
		{"disk", Critical, "are free", "Enlarge", func(w world) { w.f.Growth.Free, w.f.Growth.Daily = w.f.Growth.Size/21, 0 }},
		{"disk", Warning, "last for 51 days", "Enlarge", func(w world) { w.f.Growth.Daily = 10 << 30 }},
		{"disk", Critical, "last for 5 days", "Enlarge", func(w world) { w.f.Growth.Daily = 100 << 30 }},
		{"disk", Warning, "could not be found out", "df", func(w world) { w.f.Growth = nil }},
		{"alarms", Warning, "4 alarms", "holdfast alarms list", set("alarms_open", 4)},
		{"notices", Warning, "do not get out by: smtp", "holdfast notify test", label("notice_failing", "smtp", 1)},
		{"notices", Warning, "by no way", "[notify.smtp]", func(w world) { w.f.Notices = false }},
		{"certificate-https", Warning, "for 20 days", "https.cert", label("certificate_not_after_timestamp_seconds", "https", ago(-20*day-time.Hour))},
		{"certificate-relay-client", Critical, "for 6 days", "holdfast relay enroll --name relay-2", label("certificate_not_after_timestamp_seconds", "relay-client", ago(-6*day-time.Hour))},
		{"certificate-recipient", Critical, "ended on 2026-05-03", "by itself", label("certificate_not_after_timestamp_seconds", "recipient", ago(day))},
	}
	failed := map[string]bool{}
	for _, c := range cases {
		f, s := well()
		c.change(world{&f, s})
		found := Live(f, s)
		at := slices.IndexFunc(found, func(f Finding) bool { return f.ID == c.id })
		if at < 0 {
			t.Fatalf("%s: no such finding", c.id)
		}
		got := found[at]
		if got.Severity != c.severity || !strings.Contains(got.Text, c.text) || !strings.Contains(got.Fix, c.fix) {
			t.Errorf("%s: got %+v, want %s with %q and fix %q", c.id, got, c.severity, c.text, c.fix)
		}
		for i, other := range found {
			if i != at && other.Severity != OK {
				t.Errorf("%s: %s fails as well: %s", c.id, other.ID, other.Text)
			}
		}
		failed[c.id] = true
	}
	f, s := well()
	for _, known := range Live(f, s) {
		if known.ID != "approvals" && !failed[known.ID] { // what waits for a second person is no fault
			t.Errorf("no case makes %s fail", known.ID)
		}
	}
}

// A daemon that has just started is given time, and what is not configured is no fault.
func TestBeginnings(t *testing.T) {
	f := Facts{Now: now, Started: now.Add(-time.Minute), Begun: now.Add(-time.Minute), Growth: &Growth{Size: 1 << 40, Free: 1 << 39},
		Relay: true, Directory: true, Backup: true, KeysBackup: true, Anchor: true, Notices: true, AnchorEvery: time.Hour}
	s := Samples{"holdfast_keys_backup_current": {"": 1}, "holdfast_check_last_success_timestamp_seconds": {"": 0}}
	for _, got := range Live(f, s) {
		if got.Severity != OK {
			t.Errorf("%+v", got)
		}
	}
	f = Facts{Now: now, Started: now.Add(-90 * day), Begun: now.Add(-90 * day), Growth: f.Growth}
	for _, got := range Live(f, s) {
		if (got.ID == "relay" || got.ID == "directory") && got.Severity != OK {
			t.Errorf("%+v", got)
		}
	}
}

func TestGather(t *testing.T) {
	r := prometheus.NewRegistry()
	plain := prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_accepting"})
	by := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "holdfast_relay_failing"}, []string{"class"})
	two := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_sums_total"}, []string{"a", "b"})
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "elsewhere"})
	r.MustRegister(plain, by, two, other)
	plain.Set(1)
	by.WithLabelValues("tls").Set(1)
	by.WithLabelValues("network").Set(0)
	two.WithLabelValues("x", "1").Add(2)
	two.WithLabelValues("x", "2").Add(3)
	s, err := Gather(r)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := s.value("holdfast_accepting"); !ok || v != 1 {
		t.Errorf("%v %v", v, ok)
	}
	if got := s.set("holdfast_relay_failing"); !slices.Equal(got, []string{"tls"}) {
		t.Errorf("%v", got)
	}
	if s["holdfast_sums_total"]["x"] != 5 || len(s) != 3 {
		t.Errorf("%v", slices.Sorted(maps.Keys(s)))
	}
}

func TestMergeKeepsTheWorse(t *testing.T) {
	got := Merge([]Finding{fine("a", "1"), warn("b", "2", "f")}, []Finding{fatal("a", "3", "f"), fine("b", "4"), fine("c", "5")})
	if len(got) != 3 || got[0].Text != "3" || got[1].Text != "2" || got[2].Text != "5" || Worst(got) != Critical {
		t.Errorf("%+v", got)
	}
}
