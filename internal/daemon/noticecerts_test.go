package daemon

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// Each certificate is told of 30 days and 7 days before its end, once each,
// whatever was acknowledged.
func TestCertificatesAreToldOfInTime(t *testing.T) {
	w := newWard(t)
	a := w.open()
	p, err := newParts(t.Context(), a, Options{Config: w.config, Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(p.index.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	}()
	c := &certificates{config: w.config, archive: a}
	ends, err := c.ends(time.Now())
	if err != nil || len(ends) != 3 {
		t.Fatalf("%v, %v", ends, err)
	}
	const day = 24 * time.Hour
	end := ends["relay-client"]
	for _, step := range []struct {
		now        time.Time
		name       string
		soon, last int
	}{
		{end.Add(-31 * day), "a month and a day", 0, 0},
		{end.Add(-30*day - 2*time.Hour), "the same day", 0, 0},
		{end.Add(-29 * day), "29 days", 1, 0},
		{end.Add(-28 * day), "28 days", 1, 0},
		{end.Add(-6 * day), "6 days", 1, 1},
		{end.Add(-4 * day), "4 days", 1, 1},
		{end.Add(day), "it has ended", 1, 1},
	} {
		if err := p.tellEnds(t.Context(), c, step.now); err != nil {
			t.Fatal(err)
		}
		if err := p.caughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		soon, last := 0, 0
		for _, alarm := range p.state.Alarms(true) {
			if alarm.Facts["certificate"] != "relay-client" {
				continue
			}
			switch {
			case alarm.Name == AlarmCertificateSoon && alarm.Severity == "warning" && strings.Contains(alarm.Text, "30 days"):
				soon++
			case alarm.Name == AlarmCertificateLast && alarm.Severity == "critical" && strings.Contains(alarm.Text, "7 days"):
				last++
			}
		}
		if soon != step.soon || last != step.last {
			t.Errorf("%s: %d and %d alarms, want %d and %d", step.name, soon, last, step.soon, step.last)
		}
	}
	for name := range endings {
		if about := endings[name]; about.soon == "" || about.last == "" || about.fix == "" {
			t.Errorf("%s: nothing is said of its end", name)
		}
	}
}

func TestFirstEnd(t *testing.T) {
	w := newWard(t)
	leaf, err := os.ReadFile(w.config.Relay.Cert)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(w.config.Relay.CA)
	if err != nil {
		t.Fatal(err)
	}
	first := func(text string, now time.Time) time.Time {
		path := w.path("bundle.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		end, err := firstEnd(path, now)
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	one, two := first(string(leaf), time.Now()), first(string(ca), time.Now())
	early, late := one, two
	if late.Before(early) {
		early, late = late, early
	}
	both := string(leaf) + string(ca)
	if got := first(both, time.Now()); !got.Equal(early) {
		t.Errorf("of two: %v, want %v", got, early)
	}
	if got := first(both, early); early.Before(late) && !got.Equal(late) {
		t.Errorf("when the first has ended: %v, want %v", got, late)
	}
	if got := first(both, late.Add(time.Hour)); !got.Equal(late) {
		t.Errorf("when both have ended: %v, want %v", got, late)
	}
	for _, text := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := os.WriteFile(w.path("bad.pem"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if end, err := firstEnd(w.path("bad.pem"), time.Now()); err == nil {
			t.Errorf("%q ends at %v", text, end)
		}
	}
}
