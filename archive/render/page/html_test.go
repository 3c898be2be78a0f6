package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/archive/render"
)

// htmlFact is one line of html_facts.py.
type htmlFact struct {
	Tag    string            `json:"tag"`
	Attrs  map[string]string `json:"attrs"`
	Said   *string           `json:"said"`
	Style  string            `json:"style"`
	Policy string            `json:"policy"`
}

func htmlFacts(t *testing.T, file []byte) []htmlFact {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.html")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "python3", "testdata/html_facts.py", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var facts []htmlFact
	for line := range bytes.Lines(out) {
		var f htmlFact
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, f)
	}
	return facts
}

// What a browser can be told by a page: nothing but these.
var (
	tags = strings.Fields("html head meta title style body table thead tbody tfoot tr td th h1 h2 p br bdi dl dt dd article header time strong span ul li div")
	atts = strings.Fields("lang charset http-equiv content name class role dir")
)

func TestHTMLOfHostileTextIsInert(t *testing.T) {
	list := hostile(t)
	file := show(t, HTML(), options(t), villain(list))["day/villain.html"].Bytes()
	if !utf8.Valid(file) {
		t.Error("it is no UTF-8")
	}
	for _, r := range string(file) {
		if render.Unsafe(r) && r != '\n' && r != '\t' {
			t.Fatalf("it has a raw %U", r)
		}
	}
	var said []string
	for _, f := range htmlFacts(t, file) {
		if f.Tag != "" && !slices.Contains(tags, f.Tag) {
			t.Errorf("it has a tag %s", f.Tag)
		}
		for name := range f.Attrs {
			if !slices.Contains(atts, name) {
				t.Errorf("a tag %s has an attribute %s", f.Tag, name)
			}
		}
		if f.Said != nil {
			said = append(said, *f.Said)
		}
	}
	var want []string
	for _, h := range list {
		if h != "" {
			want = append(want, render.Lines(h), render.Lines(h)) // as sent, and as edited
		}
	}
	if !slices.Equal(said, want) {
		t.Errorf("a browser reads %d texts, %d were said", len(said), len(want))
		for i := range min(len(said), len(want)) {
			if said[i] != want[i] {
				t.Fatalf("first %q for %q", said[i], want[i])
			}
		}
	}
}

func TestHTMLAllowsItsStyleAlone(t *testing.T) {
	var style, policy string
	for _, f := range htmlFacts(t, show(t, HTML(), options(t), sample())["day/c-4west-2026-03-08.html"].Bytes()) {
		style, policy = style+f.Style, policy+f.Policy
	}
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	if style == "" || policy != want {
		t.Errorf("policy %s", policy)
	}
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style fetches something")
	}
}

func TestHTMLSaysWhatAJudgeNeeds(t *testing.T) {
	file := show(t, HTML(), options(t), sample())["day/c-4west-2026-03-08.html"].String()
	for _, want := range []string{
		"CONFIDENTIAL – SUBJECT TO PROTECTIVE ORDER", "Case No. 26-cv-0001", "4 West, noche 夜勤", "2026-03-08 01:59:00.123 -06:00", "2026-03-08 03:00:00.123 -05:00",
		"Version 2, 2026-03-08 03:09:00.123 -05:00 by Ana Núñez, seq 11, HF0000011", "who did not send it: it does not change what the message says",
		"Recalled 2026-03-08 03:11:00.123 -05:00 by 李伟 Li Wei, seq 13, HF0000013", "Read 2026-03-08 03:01:00.123 -05:00 by 李伟 Li Wei, seq 14, HF0000014", "RECALLED", "REDACTED", "[withheld: privileged]", "STAT",
		"natives/000000000007-1.pdf", "not produced: blob_missing", "HF0000001 – HF0000017", "holdfast.invalid/ARC/0123456789abcdef", "relay.wipe",
	} {
		if !strings.Contains(strings.ToLower(file), strings.ToLower(strings.ReplaceAll(want, "'", "&#39;"))) {
			t.Errorf("it does not say %q", want)
		}
	}
}
