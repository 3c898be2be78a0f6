package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/internal/config"
	"holdfast/internal/corpus"
)

// watchOver opens a ward's archive and makes the parts of a daemon over it that
// does not run.
func watchOver(t *testing.T, w *ward) *parts {
	t.Helper()
	master, err := ReadMaster(w.path("cred"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), w.config.Data, archive.Options{Master: master})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newParts(t.Context(), a, Options{Config: w.config, Version: "test", Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	if err != nil {
		t.Fatal(errors.Join(err, a.Close()))
	}
	t.Cleanup(func() {
		if err := errors.Join(p.index.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// newWatched makes the parts of a daemon that has everything a configuration
// can have.
func newWatched(t *testing.T) *parts {
	t.Helper()
	w := newWard(t)
	pki := func(name string) string { return w.path("relay/pki/" + name) }
	hour := config.Duration{Duration: time.Hour}
	w.config.HTTPS = &config.HTTPS{Listen: "127.0.0.1:0", Cert: pki("archive.pem"), Key: pki("archive.key"), Idle: hour, Absolute: hour}
	w.config.Directory = &config.Directory{URLs: []string{"ldaps://127.0.0.1:1"}, CA: pki("ca.pem"), Bind: "CN=reader,DC=x", Base: []string{"DC=x"}, Interval: hour}
	w.config.Anchor = config.Anchor{Every: hour, File: w.path("anchors")}
	w.config.Backup = config.Backup{To: w.path("backup"), KeysTo: w.path("keys"), Keep: 3, DrillSample: 10}
	w.config.Notify = config.Notify{Repeat: hour, Syslog: &config.Syslog{Address: "127.0.0.1:1", Network: "udp"}}
	return watchOver(t, w)
}

// get asks the listener for monitoring.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// value returns a metric's figure, by name and labels as they are printed.
func value(t *testing.T, text, series string) string {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			return rest
		}
	}
	return ""
}

// A daemon that runs and pulls tells monitoring how it stands, at its own
// address, and nothing else there.
func TestMonitoring(t *testing.T) {
	w := newWard(t)
	w.config.Metrics.Listen = "127.0.0.1:0"
	w.start()
	w.load([]corpus.Line{{From: "ann", To: "bob", Text: "canary one"}, {From: "bob", To: "ann", Text: "canary two"}})
	w.acked()
	m := regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(w.logs.String())
	if m == nil {
		t.Fatalf("no address:\n%s", w.logs)
	}
	at := "http://" + m[1]
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(t, at+path); code != 200 || body != `{"status":"ok"}`+"\n" {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	for _, path := range []string{"/", "/v1/status", "/v1/alarms/list", "/metrics/x", "/debug/pprof/"} {
		if code, _ := get(t, at+path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	code, text := get(t, at+"/metrics")
	if code != 200 || strings.Contains(text, "canary") || strings.Contains(text, "ann") && regexp.MustCompile(`[="]ann["]`).MatchString(text) {
		t.Errorf("%d\n%s", code, text)
	}
	for series, want := range map[string]string{
		"holdfast_accepting": "1", "holdfast_locked": "0", "holdfast_check_failed": "0", "holdfast_relay_lag_seconds": "0", "holdfast_relay_lag_events": "0",
		`holdfast_relay_failing{class="none"}`: "0", "holdfast_clock_suspect": "0", "holdfast_approvals_waiting": "0", "holdfast_check_last_success_timestamp_seconds": "0",
		"holdfast_quarantined_entries": "0",
	} {
		if got := value(t, text, series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	for _, series := range []string{"holdfast_disk_free_bytes", "holdfast_disk_size_bytes", "holdfast_relay_last_contact_timestamp_seconds", "holdfast_pulse_last_success_timestamp_seconds", "process_start_time_seconds"} {
		if got := value(t, text, series); got == "" || got == "0" {
			t.Errorf("%s is %q", series, got)
		}
	}
	w.stop()
	if strings.Contains(w.logs.String(), "canary") {
		t.Error("a message is in the log")
	}
}

// Health and readiness follow the archive, not the process.
func TestReadinessIsTrue(t *testing.T) {
	p := watchOver(t, newWard(t))
	health := p.watchAPI().Health
	if health() == nil {
		t.Error("health is fine before the first pulse")
	}
	p.watch.watchdog.look(t.Context())
	if err := health(); err != nil {
		t.Error(err)
	}
	if err := p.ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.archive.Close(); err != nil {
		t.Fatal(err)
	}
	p.watch.watchdog.note(nil)
	p.watch.watchdog.look(t.Context())
	if p.watch.watchdog.failing == nil {
		t.Error("a closed archive has a pulse")
	}
}

// newCheckWard makes the checks of a daemon whose store says what a test wants
// of it.
func newCheckWard(t *testing.T) (*parts, *checks, func() []archive.CheckOptions, *archive.Report) {
	t.Helper()
	p := watchOver(t, newWard(t))
	var asked []archive.CheckOptions
	report := &archive.Report{Size: 1}
	p.watch.checks.check = func(_ context.Context, o archive.CheckOptions) (*archive.Report, error) {
		asked = append(asked, o)
		return report, nil
	}
	return p, p.watch.checks, func() []archive.CheckOptions { return asked }, report
}

// Damage is a critical alarm, once, and a figure that stays until a check of
// everything finds nothing; both survive a restart.
func TestCheckFindsDamage(t *testing.T) {
	p, c, asked, report := newCheckWard(t)
	if err := c.once(t.Context(), true); err != nil || c.damaged() || c.state().Bodies.IsZero() || c.state().Chain.IsZero() {
		t.Fatalf("%+v, %v", c.state(), err)
	}
	sound := c.state().Chain
	report.Damage, report.Findings = 2, []archive.Finding{{Seq: 7, What: "its body cannot be read"}}
	for range 2 {
		if err := c.once(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	open := p.state.Alarms(false)
	if len(open) != 1 || open[0].Name != AlarmCheck || open[0].Severity != "critical" || open[0].Facts["findings"] != "2" || open[0].Facts["entry"] != "7" {
		t.Errorf("%+v", open)
	}
	again, err := newChecks(p.watch.config.Data, p)
	if err != nil || !again.damaged() || !again.state().Chain.Equal(sound) {
		t.Errorf("after a restart: %+v, %v", again.state(), err)
	}
	stands := again.state()
	if wait, bodies := stands.due(stands.Tried.Add(time.Hour)); !bodies || wait != 23*time.Hour {
		t.Errorf("after damage the next check is in %v, bodies %v", wait, bodies)
	}
	report.Damage = 0
	if err := c.once(t.Context(), true); err != nil || c.damaged() {
		t.Errorf("%+v, %v", c.state(), err)
	}
	for _, o := range asked() {
		if o.Rest == 0 {
			t.Error("a check that nobody waits for takes all cores")
		}
	}
	// A check that cannot go on is no verdict; damage that keeps it from going on is.
	c.check = func(context.Context, archive.CheckOptions) (*archive.Report, error) { return nil, os.ErrPermission }
	if err := c.once(t.Context(), true); !errors.Is(err, os.ErrPermission) || c.damaged() {
		t.Errorf("%v", err)
	}
	c.check = func(context.Context, archive.CheckOptions) (*archive.Report, error) { return nil, archive.ErrDamaged }
	if err := c.once(t.Context(), true); err != nil || !c.damaged() {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(c.path, []byte(`{"v":1,"chain":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if torn, err := newChecks(p.watch.config.Data, p); err != nil || torn.damaged() || !torn.state().Chain.IsZero() {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// When is checked: the chain daily, bodies weekly, also over restarts, and a
// clock that was set back puts nothing off.
func TestCheckDue(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		was    checked
		wait   time.Duration
		bodies bool
	}{
		"never":                         {checked{}, 0, true},
		"an hour ago":                   {checked{Chain: ago(time.Hour), Bodies: ago(time.Hour)}, 23 * time.Hour, false},
		"the chain yesterday":           {checked{Chain: ago(day), Bodies: ago(2 * day)}, 0, false},
		"bodies a week ago":             {checked{Chain: ago(time.Hour), Bodies: ago(7 * day)}, 0, true},
		"both are due":                  {checked{Chain: ago(8 * day), Bodies: ago(8 * day)}, 0, true},
		"bodies in an hour":             {checked{Chain: ago(time.Hour), Bodies: ago(7*day - time.Hour)}, time.Hour, true},
		"ahead of the clock":            {checked{Chain: now.Add(day), Bodies: ago(day)}, 0, false},
		"damage an hour ago":            {checked{Chain: ago(day), Bodies: ago(day), Failed: true, Tried: ago(time.Hour)}, 23 * time.Hour, true},
		"damage ahead of the clock":     {checked{Failed: true, Tried: now.Add(day)}, 0, true},
		"damage found by a daily check": {checked{Chain: ago(2 * day), Bodies: ago(day), Failed: true, Tried: ago(day)}, 0, true},
	} {
		if wait, bodies := tt.was.due(now); wait != tt.wait || bodies != tt.bodies {
			t.Errorf("%s: in %v, bodies %v; want %v, %v", name, wait, bodies, tt.wait, tt.bodies)
		}
	}
}

// Over a fortnight the chain is checked every day, every body every week, and
// the first check leaves a start alone.
func TestChecksByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var chain, bodies int
		var first time.Duration
		c := &checks{path: t.TempDir() + "/" + checkedFile, parts: &parts{logger: slog.New(slog.DiscardHandler)}, stands: checked{Version: 1}}
		c.check = func(_ context.Context, o archive.CheckOptions) (*archive.Report, error) {
			if first == 0 {
				first = time.Since(began)
			}
			if chain++; o.Bodies {
				bodies++
			}
			time.Sleep(time.Hour) // it rests a good deal
			if chain == 3 {
				return nil, os.ErrPermission
			}
			return &archive.Report{}, nil
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx) }()
		time.Sleep(15 * 24 * time.Hour)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if first != checkSettle || chain < 14 || chain > 17 || bodies < 2 || bodies > 3 {
			t.Errorf("the first after %v, %d checks, %d of them of bodies", first, chain, bodies)
		}
	})
}

// A reload says what it took over and what it could not, and names the next
// step when the file is wrong.
func TestReload(t *testing.T) {
	w := newWard(t)
	p := watchOver(t, w)
	level := new(slog.LevelVar)
	now := *w.config
	now.LogLevel, now.Metrics.Listen, now.Backup.To = "warn", "127.0.0.1:1", "/elsewhere"
	var wrong error
	p.watch.level, p.watch.reread = level, func() (*config.Config, error) { return &now, wrong }
	out, err := p.watch.reload(t.Context())
	if err != nil || out.LogLevel != "warn" || level.Level() != slog.LevelWarn || strings.Join(out.Restart, " ") != "backup metrics" ||
		len(out.Certificates) != 1 || out.Certificates[0].Certificate != "relay-client" || out.Certificates[0].NotAfter.Before(time.Now()) {
		t.Errorf("%+v, %v", out, err)
	}
	relayOf := *w.config.Relay
	relayOf.Cert = w.path("nowhere")
	now.Relay, now.LogLevel = &relayOf, "debug"
	if _, err := p.watch.reload(t.Context()); err == nil || level.Level() != slog.LevelWarn {
		t.Errorf("a certificate that is not there: %v, level %v", err, level)
	}
	wrong = config.ErrConfig
	if _, err := p.watch.reload(t.Context()); err == nil || level.Level() != slog.LevelWarn {
		t.Errorf("%v", err)
	}
}

// What systemd shows names nobody, in one line.
func TestStatusLine(t *testing.T) {
	p := watchOver(t, newWard(t))
	if err := p.raise(t.Context(), archive.AlarmBody{Name: "x", Severity: "warning", Text: "canary", Fix: "f"}); err != nil {
		t.Fatal(err)
	}
	if err := p.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.gate.Close(reasonPaused)
	p.watch.checks.stands.Failed = true
	line := p.watch.line()
	for _, want := range []string{" entries; ", "behind the relay", "ingest is held back: paused", "1 alarms open", "DAMAGED"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
	if strings.ContainsAny(line, "\n\r") || strings.Contains(line, "canary") {
		t.Errorf("%q", line)
	}
	if text, err := json.Marshal(p.watch.checks.state()); err != nil || len(text) > 4<<10 {
		t.Errorf("%s, %v", text, err)
	}
}
