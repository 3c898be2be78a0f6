package daemon

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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

// Whatever ends is told of, each by its own name and with its own fix; a file
// that cannot be read keeps nobody from hearing of the others, and is looked at
// again.
func TestEveryEndIsTold(t *testing.T) {
	p := newWatched(t)
	c := &certificates{config: p.watch.config, archive: p.archive}
	ends, err := c.ends(time.Now())
	if err != nil || len(ends) != len(endings) {
		t.Fatalf("%v, %v", ends, err)
	}
	lost := *p.watch.config.Directory
	lost.CA = filepath.Join(p.watch.config.Data, "nowhere")
	fixes := map[string]bool{}
	for name, end := range ends {
		if name == "directory-ca" { // the last one that is told of
			continue
		}
		c := &certificates{config: p.watch.config, archive: p.archive}
		if err := p.tellEnds(t.Context(), c, end.Add(-6*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		p.endIsTold(t, name, fixes)
	}
	broken := *p.watch.config
	broken.Directory = &lost
	c = &certificates{config: &broken, archive: p.archive}
	late := ends["relay-client"].Add(100 * 365 * 24 * time.Hour)
	for range 2 {
		if err := p.tellEnds(t.Context(), c, late); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a certificate that is not there: %v", err)
		}
	}
	c.config = p.watch.config
	if err := p.tellEnds(t.Context(), c, ends["directory-ca"].Add(-6*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	p.endIsTold(t, "directory-ca", fixes)
}

// endIsTold fails unless a critical alarm says of a certificate that it ends.
func (p *parts) endIsTold(t *testing.T, name string, fixes map[string]bool) {
	t.Helper()
	if err := p.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range p.state.Alarms(true) {
		if a.Name == AlarmCertificateLast && a.Facts["certificate"] == name {
			if a.Severity != "critical" || a.Fix != endings[name].fix || fixes[a.Fix] {
				t.Errorf("%s: %+v", name, a)
			}
			fixes[a.Fix] = true
			return
		}
	}
	t.Errorf("%s ends, and nobody is told", name)
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
