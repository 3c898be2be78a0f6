package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/role"
)

// canaries are what must not get out: of people, messages, queries, hosts,
// keys, passwords and shares.
var canaries = []string{
	"Gwendolyn Canary", "gcanary", "potassium 6.1 at bed 12", "canaryquery NEAR/5 fentanyl", "canary-laptop-7", "relay.canary-hospital.example",
	"ldaps://dc.canary", "st-canary", "c0ffee00canarykey", "Canary-Passw0rd", "HFSHARE-canary-1", "canary-ward", "/srv/canary", "America/Canary",
}

// lexicon is a program that says these texts.
type lexicon []string

func (l lexicon) Has(s string) bool {
	for _, known := range l {
		if len(s) >= minWord && strings.Contains(known, s) {
			return true
		}
	}
	return false
}

var said = lexicon{"holdfast_relay_failing", "holdfast_api_request_seconds", "go_goroutines", "network", "POST /v1/search", "a request failed", "disk-full", "smtp", "starttls", "auditor"}

// planted is a bundle into everything of which canaries were put.
func planted(t *testing.T) *Bundle {
	t.Helper()
	all := strings.Join(canaries, " ")
	data := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(data, "bodies"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range canaries {
		put(t, filepath.Join(data, "bodies", "2026-01."+strings.ReplaceAll(name, "/", "-")+".g1.db"), all, 0o600)
	}
	put(t, filepath.Join(data, "keyring"), all, 0o600)
	put(t, filepath.Join(data, "gcanary.db"), all, 0o600)
	var metrics, log strings.Builder
	metrics.WriteString("# HELP holdfast_relay_failing " + all + "\nholdfast_relay_failing{class=\"network\"} 1\nholdfast_api_request_seconds_bucket{endpoint=\"POST /v1/search\",le=\"0.5\"} 7\ngo_goroutines 12\n")
	log.WriteString("<3>time=2026-05-04T11:00:00.000Z level=ERROR msg=\"a request failed\" endpoint=\"POST /v1/search\" entries=12 error=\"x\"\n")
	for _, c := range canaries {
		metrics.WriteString("holdfast_relay_failing{class=\"" + c + "\"} 1\nholdfast_relay_failing{" + "person=\"" + c + "\"} 1\nholdfast_" + c + " 1\n")
		log.WriteString("level=INFO msg=\"" + c + "\" entries=" + c + " class=" + c + " query=\"" + c + "\"\n")
		log.WriteString("1777892400.123 holdfastd[12]: level=WARN msg=\"a request failed\" error=\"level=ERROR msg=\\\"" + c + "\\\"\" " + c + "=1\n")
		log.WriteString("panic: " + c + "\n")
	}
	r := report(fatal("config", all, all).with("files", 3))
	return &Bundle{
		Report: r, Status: map[string]float64{"entries": 12}, Metrics: []byte(metrics.String()), Log: []byte(log.String()), Data: data, Words: said,
		Machine: map[string]string{"system": "debian"},
		Alarms:  []Alarm{{Seq: 3, Name: "disk-full", Severity: Critical, Raised: now}, {Seq: 2, Name: canaries[0], Severity: canaries[1], Raised: now}},
		Config: &config.Config{
			Data: canaries[12], Socket: canaries[12], Credentials: canaries[8], TimeZone: canaries[13], LogLevel: canaries[0],
			Accounts:      []config.Account{{UID: 1000, Person: canaries[0], Roles: []role.Role{"auditor"}}},
			Relay:         &config.Relay{URL: canaries[5], CA: canaries[12], Cert: canaries[12], Key: canaries[12], HeadKey: canaries[12]},
			Directory:     &config.Directory{URLs: []string{canaries[6]}, Bind: canaries[1], Base: canaries, Filter: canaries[3], Interval: config.Duration{Duration: 5 * time.Minute}, Roles: []config.GroupRole{{Group: canaries[11], Role: "auditor", Department: canaries[11]}}},
			PatientAccess: config.PatientAccess{Contact: canaries[0]},
			Notify:        config.Notify{SMTP: &config.SMTP{Address: canaries[5], From: canaries[1], To: canaries, User: canaries[1], TLS: "starttls"}},
		},
	}
}

// TestBundleHasNoCanary looks for every canary in the packed file, in every
// spelling that packing could leave.
func TestBundleHasNoCanary(t *testing.T) {
	files, err := planted(t).Files()
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := WriteTar(&packed, files, now); err != nil {
		t.Fatal(err)
	}
	text := unpack(t, packed.Bytes())
	found := 0
	for _, c := range canaries {
		for _, form := range []string{c, strings.ToLower(c), strings.ReplaceAll(c, " ", ""), strings.ReplaceAll(c, "/", `\/`)} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
				t.Errorf("the bundle holds %q", c)
				found++
				break
			}
		}
	}
	if strings.Contains(strings.ToLower(text), "canary") || found > 0 {
		t.Errorf("%d canaries found", found)
	}
	for _, want := range []string{
		`"id": "config"`, `"files": 3`, `"entries": 12`, `"interval": "5m0s"`, `"tls": "starttls"`, `"auditor"`, `"uid": "set"`, `"name": "disk-full"`, `"name": "other"`,
		`holdfast_relay_failing{class="network"} 1`, `holdfast_api_request_seconds_bucket{endpoint="POST /v1/search",le="0.5"} 7`, "go_goroutines 12",
		`2026-05-04T11:00:00Z ERROR "a request failed" endpoint="POST /v1/search" entries="12"`, `1777892400.123 WARN "a request failed"`, `"system": "debian"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the bundle lacks %s", want)
		}
	}
}

func unpack(t *testing.T, packed []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(h.Name + "\n" + string(b))
	}
}

// The first file says what the others are.
func TestBundleListsItself(t *testing.T) {
	files, err := planted(t).Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files[1:] {
		if !strings.Contains(string(files[0].Text), f.Name) || f.What == "" {
			t.Errorf("%s is not listed", f.Name)
		}
		if strings.HasSuffix(f.Name, ".json") && !json.Valid(f.Text) {
			t.Errorf("%s is no JSON", f.Name)
		}
	}
}

// A program's own sentences are found in its own file, what it was told is not.
func TestWords(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w, err := ReadWords(self)
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Join([]string{"Gwen", "dolyn", " Can", "ary"}, "")[:4] + time.Now().Format("150405.000000")
	if !w.Has("the log's last entry is in the chain") || w.Has(told) || w.Has("the") {
		t.Error("words of the program are told from others wrongly")
	}
	if again := w.Has("the log's last entry is in the chain"); !again || w.Has(told) {
		t.Error("a second look came to something else")
	}
	text := filepath.Join(t.TempDir(), "text")
	put(t, text, "#!/bin/sh\n", 0o700)
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), text} {
		if _, err := ReadWords(path); err == nil {
			t.Errorf("%s was read as a program", path)
		}
	}
}

func FuzzScrub(f *testing.F) {
	f.Add(`time=2026-05-04T11:00:00Z level=INFO msg="a request failed" entries=1 error="Gwendolyn Canary"`)
	f.Add(`holdfast_relay_failing{class="Gwendolyn Canary",x="\""} 1`)
	f.Add(`level=INFO msg="Gwendolyn Canary" class="a\"b"`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, secret := range []string{"Canary"} {
			if out := string(scrubLog([]byte(text), said)) + string(scrubMetrics([]byte(text), said)); strings.Contains(out, secret) {
				t.Errorf("%q came through: %q", secret, out)
			}
		}
	})
}
