package schedule

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRefused reads the files of testdata/refused. Where a line is refused it
// ends in a comment "# want: WORDS", with "|" between several; the faults must
// be these and no others.
func TestRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.toml")
	if err != nil || len(files) < 20 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, text, wanted(text))
		})
	}
}

// wanted reads a file's "# want:" comments.
func wanted(text []byte) []Fault {
	var want []Fault
	for i, line := range strings.Split(string(text), "\n") {
		if _, words, ok := strings.Cut(line, "# want: "); ok {
			for _, w := range strings.Split(words, " | ") {
				want = append(want, Fault{Line: i + 1, Text: w})
			}
		}
	}
	return want
}

func refused(t *testing.T, text []byte, want []Fault) {
	t.Helper()
	s, err := Parse(text)
	var faults Faults
	if !errors.As(err, &faults) || !errors.Is(err, ErrSchedule) || s != nil {
		t.Fatalf("got %v, %v", s, err)
	}
	left := append(Faults(nil), faults...)
	for _, w := range want {
		found := -1
		for i, f := range left {
			if f.Line == w.Line && strings.Contains(f.Text, w.Text) {
				found = i
				break
			}
		}
		if found < 0 {
			t.Errorf("missing: %v\ngot:\n%v", w, err)
			continue
		}
		left = append(left[:found], left[found+1:]...)
	}
	if len(left) > 0 {
		t.Errorf("not expected:\n%v", left)
	}
	for i := 1; i < len(faults); i++ {
		if faults[i].Line < faults[i-1].Line {
			t.Errorf("not in the order of lines:\n%v", err)
		}
	}
}

// TestRefusedLimits are the refusals that would make long files.
func TestRefusedLimits(t *testing.T) {
	const head = "version = 1\notherwise = \"general\"\n[[class]]\nname = \"general\"\nperiod = \"7y\"\ntrigger = \"received\"\n"
	values := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("\"g" + strings.Repeat("x", i) + "\", ")
		}
		return "[" + b.String() + "]"
	}
	rule := func(key, value string) string {
		return head + "[[rule]]\nname = \"r\"\nclass = \"general\"\n" + key + " = " + value + "\n"
	}
	var classes, rules strings.Builder
	for i := range MaxClass {
		name := "c" + strings.Repeat("x", i)
		classes.WriteString("[[class]]\nname = \"" + name + "\"\nperiod = \"7y\"\ntrigger = \"received\"\nunused = true\n")
	}
	for i := range MaxRules + 1 {
		name := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		rules.WriteString("[[rule]]\nname = \"" + name + "\"\nclass = \"general\"\nlabel = [\"" + name + "\"]\n")
	}
	for _, c := range []struct {
		name, text string
		want       Fault
	}{
		{"file", head + "#" + strings.Repeat(" ", Max), Fault{1, "longer than 1048576 bytes"}},
		{"values", rule("sender", values(MaxValues+1)), Fault{10, "more than 64 values"}},
		{"value", rule("sender", "[\n\"g\",\n\""+strings.Repeat("x", MaxValue+1)+"\"]"), Fault{12, "longer than 256 bytes"}},
		{"classes", head + classes.String(), Fault{7 + 5*(MaxClass-1), "more than 12 classes"}},
		{"rules", head + rules.String(), Fault{7 + 4*MaxRules, "more than 128 rules"}},
		{"rule's name", head + "[[rule]]\nname = \"" + strings.Repeat("r", 65) + "\"\nclass = \"general\"\n", Fault{8, "longer than 64 bytes"}},
		{"empty", "", Fault{1, "no version"}},
		{"syntax", head + "[[rule\n", Fault{7, "not TOML"}},
		{"key twice", head + "name = \"general\"\n", Fault{7, "not TOML"}},
		{"table twice", head + "[class]\n", Fault{7, "not TOML"}},
		{"not UTF-8", head + "text = \"\xff\"\n", Fault{7, "not TOML"}},
		{"deep", head + "text = " + strings.Repeat("[", 20000) + "\n", Fault{7, "not TOML"}},
		{"line ends", strings.ReplaceAll(head, "\n", "\r\n") + "tetx = \"x\"\r\n", Fault{7, "no such key"}},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, []byte(c.text), []Fault{c.want}) })
	}
	if _, err := Parse([]byte(rule("sender", values(MaxValues)))); err != nil {
		t.Errorf("as many values as are allowed: %v", err)
	}
}

// TestFaultsAreBounded: a file of nothing but faults is told in so many lines.
func TestFaultsAreBounded(t *testing.T) {
	_, err := Parse([]byte("version = 1\n" + strings.Repeat("[[rule]]\nx = 1\n", MaxRules)))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != maxFaults+1 || !strings.HasPrefix(lines[maxFaults], "and ") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}
