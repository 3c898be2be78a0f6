package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	holdfast "holdfast/cmd/holdfast/command"
	holdfastd "holdfast/cmd/holdfastd/command"
)

func TestRoff(t *testing.T) {
	for in, want := range map[string]string{
		`a\b`:            `a\eb`,
		"--reason":       `\-\-reason`,
		".PP is no line": `\&.PP is no line`,
		"'tis":           `\(aqtis`,
		"`x` and ^~":     `\(gax\(ga and \(ha\(ti`,
	} {
		if got := roff(in); got != want {
			t.Errorf("roff(%q) = %q", in, got)
		}
	}
	for in, want := range map[string]string{
		"run `holdfast x`\n.then": "run \\fBholdfast x\\fP\n\\&.then",
		"one ` alone":             `one \(ga alone`,
		"`a` and ` alone":         `\fBa\fP and \(ga alone`,
	} {
		if got := inline(in); got != want {
			t.Errorf("inline(%q) = %q", in, got)
		}
	}
}

// Each command that the help shows has a page, which says all that its help
// says and which groff reads without a complaint.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	count := 0
	for section, root := range map[int]*cobra.Command{1: holdfast.Root(), 8: holdfastd.Root()} {
		m := manual{section: section, version: "1.2.3", day: "1 May 2026"}
		pages, err := m.pages(root)
		if err != nil {
			t.Fatal(err)
		}
		visit(root, func(c *cobra.Command) {
			count++
			name := pageName(c) + map[int]string{1: ".1.gz", 8: ".8.gz"}[section]
			page, there := pages[name]
			if !there {
				t.Errorf("%s has no page", c.CommandPath())
				return
			}
			text := set(t, dir, name, page)
			for _, part := range []string{c.Short, c.Long, c.Example, c.LocalFlags().FlagUsages()} {
				missing(t, c.CommandPath(), text, part)
			}
		})
	}
	if count < 60 {
		t.Errorf("%d commands were looked at", count)
	}
}

func visit(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range shown(c) {
		visit(sub, f)
	}
}

// set returns a page as groff sets it, without what is bold.
func set(t *testing.T, dir, name string, page []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-rLL=300n", "-P-c", "-P-b", "-P-u")
	c.Dir = filepath.Clean(dir)
	c.Stdin = bytes.NewReader(text)
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil || complaints.Len() > 0 {
		t.Errorf("%s: %v %s", name, err, complaints.Bytes())
	}
	return string(out)
}

var word = regexp.MustCompile(`[\p{L}\p{N}<>_=.:/*-]+`)

// missing names the words of part that the page does not have.
func missing(t *testing.T, name, page, part string) {
	t.Helper()
	for _, w := range word.FindAllString(part, -1) {
		if !strings.Contains(page, strings.TrimRight(w, ".:")) {
			t.Errorf("%s: %q of the help is not in the page", name, w)
		}
	}
}
