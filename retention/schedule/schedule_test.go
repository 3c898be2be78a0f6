package schedule

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDefault: the schedule that the program brings is right, and keeps what
// its sources ask for.
func TestDefault(t *testing.T) {
	s, err := Parse(Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m    Message
		want Decision
	}{
		{Message{Type: "msg", Conversation: "direct"}, Decision{"general", ""}},
		{Message{Type: "checkpoint"}, Decision{"general", ""}},
		{Message{Type: "msg", Conversation: "patient"}, Decision{"patient", "patient-conversations"}},
		{Message{Type: "close", Conversation: "patient"}, Decision{"patient", "patient-conversations"}},
		{Message{Type: "msg", Conversation: "group", Labels: []string{"x", "hipaa-documentation"}}, Decision{"documentation", "documentation"}},
		{Message{Type: "msg", Conversation: "patient", Labels: []string{"hipaa-documentation"}}, Decision{"patient", "patient-conversations"}},
		{Message{Type: "msg", Conversation: "direct", Unknown: true}, Decision{"patient", RuleLongest}},
	} {
		if got := s.Classify(c.m); got != c.want {
			t.Errorf("%+v: %v, want %v", c.m, got, c.want)
		}
	}
	six := Period{Years: 6}
	for _, c := range s.Classes {
		if !c.Period.atLeast(six) || c.Text == "" {
			t.Errorf("%+v", c)
		}
	}
	if len(s.Groups()) != 0 {
		t.Errorf("%v: a site's groups cannot be known", s.Groups())
	}
	for _, source := range []string{"45 CFR 164.316(b)(2)(i)", "45 CFR 164.530(j)(2)", "42 CFR 482.24(b)(1)", "yours to set"} {
		if !strings.Contains(string(Default()), source) {
			t.Errorf("%s is not cited", source)
		}
	}
	Default()[0] = 'x'
	if _, err := Parse(Default()); err != nil {
		t.Errorf("the default can be written to: %v", err)
	}
}

// TestSpecification: the example of retention/SCHEDULE.md is a schedule, and
// the limits that it states are those of the code.
func TestSpecification(t *testing.T) {
	spec, err := os.ReadFile("../SCHEDULE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(spec), "```toml\n")
	example, _, ok := strings.Cut(example, "```")
	if !ok {
		t.Fatal("no example")
	}
	s, err := Parse([]byte(example))
	if err != nil || len(s.Rules) != 2 || s.Longest() != "board" {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, limit := range []string{
		fmt.Sprintf("at most %d classes", MaxClass), fmt.Sprintf("at most %d rules", MaxRules), fmt.Sprintf("at\nmost %d values of at most %d bytes", MaxValues, MaxValue),
		fmt.Sprintf("%d to %d; %d when", minAdult, maxAdult, DefaultAdult), fmt.Sprintf("longer than %d years", maxYears), fmt.Sprintf("more than %d years before", bornBefore),
	} {
		if !strings.Contains(string(spec), limit) {
			t.Errorf("not stated: %q", limit)
		}
	}
}

// TestCutoff: what begins with the receipt is cut off by the month, all else by the year.
func TestCutoff(t *testing.T) {
	s, err := Parse(Default())
	if err != nil {
		t.Fatal(err)
	}
	for class, yearly := range map[string]bool{"general": false, "audit": false, "patient": true, "documentation": true, "other": false} {
		if s.Yearly(class) != yearly {
			t.Errorf("%s: yearly %t", class, !yearly)
		}
	}
	if _, ok := s.Class("other"); ok {
		t.Error("a class that is not there")
	}
}

// TestOverGoesThroughOthers: a rule over a second is over what that one is over.
func TestOverGoesThroughOthers(t *testing.T) {
	s, err := Parse([]byte(`version = 1
otherwise = "general"
[[class]]
name = "general"
period = "7y"
trigger = "received"
[[class]]
name = "a"
period = "8y"
trigger = "closed"
[[class]]
name = "b"
period = "forever"
[[rule]]
name = "third"
class = "general"
label = ["x"]
[[rule]]
name = "second"
class = "b"
sender = ["S", "T"]
recipient = ["S"]
over = ["third"]
[[rule]]
name = "first"
class = "a"
conversation = ["group", "direct"]
over = ["second"]
`))
	if err != nil {
		t.Fatal(err)
	}
	all := Message{Type: "msg", Conversation: "group", Senders: []string{"T"}, Recipients: []string{"U", "S"}, Labels: []string{"x"}}
	if got := s.Classify(all); got != (Decision{"a", "first"}) {
		t.Error(got)
	}
	all.Conversation = "patient"
	if got := s.Classify(all); got != (Decision{"b", "second"}) {
		t.Error(got)
	}
	all.Recipients = []string{"U"}
	if got := s.Classify(all); got != (Decision{"general", "third"}) {
		t.Error(got)
	}
	all.Labels = nil
	if got := s.Classify(all); got != (Decision{"general", ""}) {
		t.Error(got)
	}
	if got := s.Groups(); !slices.Equal(got, []string{"S", "T"}) {
		t.Error(got)
	}
	if got := s.Longest(); got != "b" {
		t.Error(got)
	}
	if b, _ := s.Class("b"); b.Trigger != Received || b.Line != 11 {
		t.Errorf("%+v", b)
	}
}

// TestAccepted: rules that nothing is wrong with, although they come close.
func TestAccepted(t *testing.T) {
	const head = `version = 1
otherwise = "general"
[[class]]
name = "general"
period = "7y"
trigger = "received"
[[class]]
name = "a"
period = "8y"
trigger = "received"
[[rule]]
name = "one"
class = "a"
`
	const next = "[[rule]]\nname = \"two\"\nclass = \"general\"\n"
	for name, rules := range map[string]string{
		"types keep apart":         "type = [\"msg\"]\n" + next + "type = [\"call\"]\n",
		"conversations keep apart": "conversation = [\"direct\"]\n" + next + "conversation = [\"patient\", \"group\"]\n",
		"outside conversations":    "conversation = [\"direct\", \"group\", \"patient\"]\nover = [\"two\"]\n" + next,
	} {
		if _, err := Parse([]byte(head + rules)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// largest is a schedule with as many rules and values as there may be, in which
// it takes every rule before one to see whether that one is reached.
func largest() []byte {
	var b strings.Builder
	b.WriteString("version = 1\notherwise = \"general\"\n[[class]]\nname = \"general\"\nperiod = \"7y\"\ntrigger = \"received\"\n")
	for i := range MaxRules {
		fmt.Fprintf(&b, "[[rule]]\nname = \"r%03d\"\nclass = \"general\"\n", i)
		for at, key := range []string{"sender", "recipient", "label"} {
			fmt.Fprintf(&b, "%s = [", key)
			for v := range MaxValues {
				fmt.Fprintf(&b, "\"%d\", ", i*(at+1)+v)
			}
			b.WriteString("]\n")
		}
	}
	return []byte(b.String())
}

// TestLargest: the largest schedule is accepted, and differs in nothing from
// itself; from one in which all goes elsewhere it differs in every rule.
func TestLargest(t *testing.T) {
	s, err := Parse(largest())
	if err != nil {
		t.Fatal(err)
	}
	if changes := Compare(s, s); len(changes) != 0 {
		t.Errorf("%d changes", len(changes))
	}
	short := strings.ReplaceAll(string(largest()), `class = "general"`, `class = "short"`)
	other, err := Parse([]byte(short + "[[class]]\nname = \"short\"\nperiod = \"1y\"\ntrigger = \"received\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if changes := Compare(s, other); len(changes) != 1+2*MaxRules {
		t.Errorf("%d changes", len(changes))
	}
}

func BenchmarkParseLargest(b *testing.B) {
	text := largest()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	s, err := Parse(Default())
	if err != nil {
		b.Fatal(err)
	}
	m := Message{Type: "msg", Conversation: "direct", Senders: []string{"A", "B"}, Recipients: []string{"A"}, Labels: []string{"x"}}
	b.ReportAllocs()
	for b.Loop() {
		s.Classify(m)
	}
}

func BenchmarkDue(b *testing.B) {
	c, f := Class{Period: Period{Years: 10}, Trigger: Majority, Adult: 18}, Facts{Received: date(2019, 3, 4), Born: 2011}
	b.ReportAllocs()
	for b.Loop() {
		c.Due(f)
	}
}
