package command

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

// run runs a command line in-process against a house of its own.
func run(t *testing.T, h *house, term *Terminal, args ...string) (code int, out, errs string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	stop, err := h.start(socket)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	term.Out, term.Err = &stdout, &stderr
	if term.In == nil {
		term.In = strings.NewReader("")
	}
	code = Run(t.Context(), term, append([]string{"--socket", socket}, args...))
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	return code, stdout.String(), stderr.String()
}

// On the user's own terminal the query is repeated with a caret under the
// fault; elsewhere it is not.
func TestBadQueryIsPointedAt(t *testing.T) {
	const query = "正常\u202e AND \"open"
	code, out, errs := run(t, newHouse(), &Terminal{ErrTTY: true}, "search", query, "--reason", "r")
	if code != api.ExitUsage || out != "" {
		t.Errorf("exit code %d, stdout %q", code, out)
	}
	const want = "  正常<U+202E> AND \"open\n" +
		"                   ^\n"
	if !strings.Contains(errs, want) || strings.Contains(errs, "\u202e") {
		t.Errorf("stderr\n%s\nwant\n%s", errs, want)
	}
	if _, _, errs := run(t, newHouse(), &Terminal{}, "search", query, "--reason", "r"); strings.Contains(errs, "正常") {
		t.Errorf("stderr %q repeats the query", errs)
	}
	for bad, want := range map[string]string{
		"a \x1b[31m": "column 3: a control character stands here",
		"é\xff":      "column 2: this is not valid UTF-8",
	} {
		code, _, errs := run(t, newHouse(), &Terminal{ErrTTY: true}, "search", bad, "--reason", "r")
		if code != api.ExitUsage || !strings.Contains(errs, want) || !strings.Contains(errs, "^\n") {
			t.Errorf("%q: exit code %d, stderr %q", bad, code, errs)
		}
	}
	term := &Terminal{ErrTTY: true, In: strings.NewReader("potassium\nAND \"open\n")}
	if _, _, errs := run(t, newHouse(), term, "search", "--query-file", "-", "--reason", "r"); !strings.Contains(errs, "  AND \"open\n      ^\n") {
		t.Errorf("stderr %q", errs)
	}
}

func TestPointAt(t *testing.T) {
	tests := []struct {
		query  string
		column int
		want   string
	}{
		{"abc", 1, "  abc\n  ^"},
		{"abc", 4, "  abc\n     ^"},
		{"ab\ncd", 4, "  cd\n  ^"},
		{"abc", 9, ""},
		{"", 1, "  \n  ^"},
	}
	for _, tt := range tests {
		if got := pointAt(tt.query, tt.column); got != tt.want {
			t.Errorf("pointAt(%q, %d) = %q, want %q", tt.query, tt.column, got, tt.want)
		}
	}
}

// A table fits the terminal; what is piped is not cut.
func TestTablesFitTheTerminal(t *testing.T) {
	for _, width := range []int{0, 140, 100} {
		code, out, _ := run(t, newHouse(), &Terminal{Width: width}, "search", "potassium", "--reason", "r")
		if code != 0 {
			t.Fatalf("exit code %d", code)
		}
		longest := 0
		for line := range strings.Lines(out) {
			longest = max(longest, text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")))
		}
		if (width == 140 && longest > width) || (width == 0) != strings.Contains(out, "ecg␇.pdf]") {
			t.Errorf("width %d: longest line %d\n%s", width, longest, out)
		}
	}
}

// The bar is drawn on a terminal only, and never on stdout.
func TestProgressOnTerminalsOnly(t *testing.T) {
	_, out, errs := run(t, newHouse(), &Terminal{ErrTTY: true}, "verify")
	if !strings.Contains(errs, "checking") || strings.Contains(out, "checking") {
		t.Errorf("stdout %q, stderr %q", out, errs)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if _, _, errs := run(t, newHouse(), &Terminal{ErrTTY: true}, "export", "potassium", "--reason", "r", "--recipient", "court", "--purpose", "subpoena", "--out", dir); !strings.Contains(errs, "producing") {
		t.Errorf("stderr %q", errs)
	}
	if _, _, errs := run(t, newHouse(), &Terminal{}, "verify"); errs != "" {
		t.Errorf("stderr %q", errs)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := Run(ctx, &Terminal{Out: &out, Err: &errs, In: strings.NewReader("")}, []string{"--socket", "nowhere", "status"})
	if code != api.ExitTemporary || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
}

// Every command says how it is used, and every flag what it takes.
func TestEveryCommandHasExamples(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" || !strings.Contains(c.Example, "holdfast ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(&globals{Terminal: &Terminal{}}))
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"2026-01-01": "2026-01-01T00:00:00Z", "2026-01-01T08:00:00+01:00": "2026-01-01T07:00:00Z",
		"7d": "2026-03-01T12:00:00Z", "90m": "2026-03-08T10:30:00Z", "0d": "2026-03-08T12:00:00Z",
	} {
		if got, err := parseTime("--since", s, now); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "-1d", "-5m", "yesterday", "99999999d", "2026-13-01"} {
		if got, err := parseTime("--since", s, now); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

// Nothing that a stranger wrote can steer a terminal, and JSON stays what it
// was.
func FuzzNothingSteers(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b]0;x\x07", "\u202eabc\u2066", "a\u0085b\u009b", "\xff\xfe", "👩\u200d⚕️", "\U000e0041", "\u2028\ufeff\u061c", "␊"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range visible(s) {
			if steers(r) && r != utf8.RuneError {
				t.Errorf("visible(%q) has %U", s, r)
			}
		}
		var out bytes.Buffer
		term := &Terminal{Out: &out}
		if err := term.writeJSON(map[string]string{"s": s}); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(out.String(), "\n")
		for _, r := range line {
			if steers(r) && r != utf8.RuneError {
				t.Errorf("JSON of %q has %U", s, r)
			}
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(line), &back); err != nil || back["s"] != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("JSON of %q reads as %q, %v", s, back["s"], err)
		}
		out.Reset()
		if err := term.writeText(s); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "  | ") {
				t.Errorf("text %q has a line of ours: %q", s, line)
			}
		}
	})
}
