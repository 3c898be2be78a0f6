package schedule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestCompare reads the files of testdata/compare: an old schedule (none in
// the first file's case), a new one, and what is different.
func TestCompare(t *testing.T) {
	files, err := filepath.Glob("testdata/compare/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			for _, f := range a.Files {
				parts[f.Name] = f.Data
			}
			var old *Schedule
			if text, ok := parts["old"]; ok {
				if old, err = Parse(text); err != nil {
					t.Fatal(err)
				}
			}
			next, err := Parse(parts["new"])
			if err != nil {
				t.Fatal(err)
			}
			got := shown(Compare(old, next))
			if *update {
				a.Files[slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "diff" })].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(parts["diff"]); got != want && !*update {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func shown(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		mark := " "
		if c.Narrows {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s %s %s: %s\n", mark, c.What, c.Name, c.Text)
	}
	return b.String()
}

// TestCompareWithItself: nothing is different.
func TestCompareWithItself(t *testing.T) {
	s, err := Parse(Default())
	if err != nil {
		t.Fatal(err)
	}
	if changes := Compare(s, s); len(changes) != 0 {
		t.Errorf("%s", shown(changes))
	}
}
