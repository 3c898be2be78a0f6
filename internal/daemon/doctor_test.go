package daemon

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/api"
	"holdfast/internal/corpus"
	"holdfast/internal/doctor"
)

func finding(t *testing.T, r *api.DoctorResponse, id string) api.Finding {
	t.Helper()
	at := slices.IndexFunc(r.Findings, func(f api.Finding) bool { return f.ID == id })
	if at < 0 {
		t.Fatalf("no finding %s in %+v", id, r.Findings)
	}
	return r.Findings[at]
}

// The doctor's findings follow the daemon's real metrics, and nothing that a
// person wrote or looked for is in them or in a support bundle.
func TestDoctor(t *testing.T) {
	w := newWard(t)
	w.start()
	const text, query = "gwendolyn canary needs potassium now", "gwendolyn potassium"
	w.load([]corpus.Line{{From: "Gwendolyn Canary", To: "Ward Canary", Text: text}})
	w.acked()
	if r := w.search(query, 5); r.Total == 0 {
		t.Fatal("the canary is not there")
	}
	r, err := w.client.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"chain", "ingest", "relay", "quarantine", "index", "disk", "clock", "restored"} {
		if f := finding(t, r, id); f.Severity != doctor.OK && id != "disk" {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, r, "disk"); f.Figures["free_bytes"] <= 0 || f.Figures["used_bytes"] <= 0 {
		t.Errorf("%+v", f)
	}
	if _, err := w.client.PauseIngest(t.Context(), api.PauseRequest{Reason: "gwendolyn canary is away"}); err != nil {
		t.Fatal(err)
	}
	if r, err = w.client.Examine(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := finding(t, r, "ingest"); f.Severity != doctor.Warning || !strings.Contains(f.Fix, "holdfast ingest resume") {
		t.Errorf("%+v", f)
	}
	answer, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"canary", "gwendolyn", "potassium", w.dir} {
		if bytes.Contains(bytes.ToLower(answer), []byte(secret)) {
			t.Errorf("the findings hold %q", secret)
		}
		if bytes.Contains(bytes.ToLower(w.bundle(r)), []byte(secret)) {
			t.Errorf("the support bundle holds %q", secret)
		}
	}
}

// bundle makes a support bundle of a running ward, unpacked.
func (w *ward) bundle(r *api.DoctorResponse) []byte {
	w.t.Helper()
	metrics, err := w.client.Metrics(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	program, err := doctor.ReadWords(os.Args[0])
	if err != nil {
		w.t.Fatal(err)
	}
	var found []doctor.Finding
	for _, f := range r.Findings {
		found = append(found, doctor.Finding(f))
	}
	b := doctor.Bundle{Report: doctor.NewReport(r.At, "test", found), Metrics: metrics, Log: []byte(w.logs.String()), Config: w.config, Data: w.config.Data, Words: program}
	files, err := b.Files()
	if err != nil {
		w.t.Fatal(err)
	}
	var all bytes.Buffer
	for _, f := range files {
		all.Write(f.Text)
	}
	if !strings.Contains(all.String(), `"serving"`) || !strings.Contains(all.String(), "holdfast_log_entries") {
		w.t.Errorf("the bundle lacks what it is for:\n%s", all.Bytes())
	}
	return all.Bytes()
}

// Every metric that the doctor judges by is one that the daemon has.
func TestDoctorKnowsRealMetrics(t *testing.T) {
	registry := newWatched(t).server.Registry
	files, err := filepath.Glob("../doctor/live*.go")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	name := regexp.MustCompile(`"(holdfast_[a-z_]+)"`)
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			n++
			if registry.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: m[1], Help: "of the doctor's test"})) == nil {
				t.Errorf("%s: the daemon has no such metric", m[1])
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d names were found", n)
	}
}
