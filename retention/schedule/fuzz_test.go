package schedule

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// file is a schedule file as a strict decoder sees it.
type file struct {
	Version   int
	Name      string
	Otherwise string
	Class     []struct {
		Name, Text, Period, Trigger string
		Adult                       int
		Unused                      bool
	}
	Rule []struct {
		Name, Class                                        string
		Type, Conversation, Sender, Recipient, Label, Over []string
	}
}

// FuzzParse: a file is refused with faults that lie in it, or it is read as the
// strict decoder reads it, and then it can be asked.
func FuzzParse(f *testing.F) {
	f.Add(Default())
	for _, pattern := range []string{"testdata/refused/*.toml", "testdata/compare/*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		s, err := Parse(text)
		if string(text) != before {
			t.Fatal("the text was written to")
		}
		if err != nil {
			var faults Faults
			if s != nil || !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("%v, %v", s, err)
			}
			for _, fault := range faults {
				if fault.Line < 1 || fault.Line > 1+strings.Count(before, "\n") || fault.Text == "" {
					t.Fatalf("%+v of %q", fault, text)
				}
			}
			return
		}
		sameAsDecoded(t, s, text)
		for _, m := range everyMessage[:64] {
			if d := s.Classify(m); d.Class == "" || d.Class == Audit || d.Class == Control {
				t.Fatalf("%v", d)
			}
		}
		again, err := Parse(write(s))
		if err != nil {
			t.Fatalf("written and read again: %v", err)
		}
		for _, c := range Compare(s, again) {
			if c.Text != "described anew" { // write leaves descriptions out
				t.Fatalf("%+v", c)
			}
		}
	})
}

func sameAsDecoded(t *testing.T, s *Schedule, text []byte) {
	t.Helper()
	var want file
	if err := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields().Decode(&want); err != nil {
		t.Fatalf("accepted, yet %v", err)
	}
	if s.Format != want.Version || s.Name != want.Name || s.Otherwise != want.Otherwise || len(s.Classes) != len(want.Class) || len(s.Rules) != len(want.Rule) {
		t.Fatalf("%+v is not %+v", s, want)
	}
	lines := strings.Split(string(text), "\n")
	for i, w := range want.Class {
		c := s.Classes[i]
		if c.Name != w.Name || c.Text != w.Text || c.Period.String() != w.Period || c.Unused != w.Unused ||
			c.Trigger != Trigger(w.Trigger) && !c.Period.Forever || c.Adult != w.Adult && (w.Adult != 0 || c.Adult != DefaultAdult) {
			t.Fatalf("%+v is not %+v", c, w)
		}
		if !strings.Contains(lines[c.Line-1], "class") && !strings.Contains(lines[c.Line-1], "\\u") && !strings.Contains(lines[c.Line-1], "\\U") {
			t.Fatalf("class on line %d: %q", c.Line, lines[c.Line-1])
		}
	}
	for i, w := range want.Rule {
		r := s.Rules[i]
		if r.Name != w.Name || r.Class != w.Class || !reflect.DeepEqual([][]string{r.Types, r.Conversations, r.Senders, r.Recipients, r.Labels, r.Over},
			[][]string{w.Type, w.Conversation, w.Sender, w.Recipient, w.Label, w.Over}) {
			t.Fatalf("%+v is not %+v", r, w)
		}
	}
}

// FuzzPeriod: a period is refused, or written as it was read.
func FuzzPeriod(f *testing.F) {
	for _, text := range []string{"7y", "18m", "90d", "1y6m", "forever", "", "1y2m3d", "007y", "7y-1m"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePeriod(text)
		if err == nil && (p.String() != text || p == (Period{})) {
			t.Fatalf("%q was read as %v", text, p)
		}
	})
}
