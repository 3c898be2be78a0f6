package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// everyMessage is every message over a small vocabulary: two groups on each
// side, two labels, every kind of conversation and none, the types that drawn
// rules ask for, one that they never ask for, and one that no rule can.
var everyMessage = func() []Message {
	subsets := func(a, b string) [][]string { return [][]string{nil, {a}, {b}, {a, b}} }
	var all []Message
	for _, typ := range []string{"edit", "close", "msg", "call"} {
		for _, conversation := range append([]string{""}, conversations...) {
			for _, senders := range subsets("A", "B") {
				for _, recipients := range subsets("A", "B") {
					for _, labels := range subsets("x", "y") {
						all = append(all, Message{Type: typ, Conversation: conversation, Senders: senders, Recipients: recipients, Labels: labels})
					}
				}
			}
		}
	}
	return all
}()

// drawRules draws rules over that vocabulary. With settle, most pairs that
// would overlap are put over one another, so that many schedules are accepted.
func drawRules(t *rapid.T, classes []string) []Rule {
	some := func(name string, of ...string) []string {
		if rapid.IntRange(0, 2).Draw(t, name+"?") > 0 {
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, min(2, len(of)), rapid.ID[string]).Draw(t, name)
	}
	rules := make([]Rule, rapid.IntRange(0, 5).Draw(t, "rules"))
	names := rapid.Permutation([]string{"p", "q", "r", "s", "t"}).Draw(t, "names")
	for i := range rules {
		rules[i] = Rule{
			Name: names[i], Class: rapid.SampledFrom(classes).Draw(t, "class"),
			Types: some("type", "msg", "call"), Conversations: some("conversation", conversations...),
			Senders: some("sender", "A", "B"), Recipients: some("recipient", "A", "B"), Labels: some("label", "x", "y"),
		}
	}
	backwards := rapid.Bool().Draw(t, "backwards")
	for i := range rules {
		for j := range i {
			a, b := i, j
			if backwards {
				a, b = j, i
			}
			sure := rules[a].Class != rules[b].Class && together(&rules[a], &rules[b])
			if sure && rapid.IntRange(0, 9).Draw(t, "settle") > 0 || rapid.IntRange(0, 19).Draw(t, "over") == 0 {
				rules[a].Over = append(rules[a].Over, rules[b].Name)
			}
		}
	}
	return rules
}

func drawPeriod(t *rapid.T) Period {
	return rapid.SampledFrom([]Period{
		{Months: 1}, {Days: 28}, {Days: 30}, {Days: 31}, {Months: 1, Days: 1}, {Years: 1}, {Days: 365}, {Months: 12}, {Days: 366},
		{Years: 6}, {Years: 7}, {Months: 84}, {Years: 10}, {Forever: true},
	}).Draw(t, "period")
}

func drawClass(t *rapid.T, name string) Class {
	c := Class{Name: name, Period: drawPeriod(t), Trigger: rapid.SampledFrom([]Trigger{Received, Closed, Departed, Majority}).Draw(t, "trigger")}
	if c.Trigger == Majority {
		c.Adult = rapid.SampledFrom([]int{18, 19, 21}).Draw(t, "adult")
	}
	return c
}

// drawSchedule draws a schedule of up to four classes, accepted or not.
func drawSchedule(t *rapid.T) *Schedule {
	classes := []string{"general", "c1", "c2", "c3"}[:rapid.IntRange(1, 4).Draw(t, "classes")]
	s := &Schedule{Format: Format, Otherwise: rapid.SampledFrom(classes).Draw(t, "otherwise"), Rules: drawRules(t, classes)}
	for _, name := range classes {
		c := drawClass(t, name)
		c.Unused = name != General && name != s.Otherwise && !slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.Class == name })
		s.Classes = append(s.Classes, c)
	}
	if rapid.Bool().Draw(t, "audit") {
		s.Classes = append(s.Classes, Class{Name: Audit, Period: Period{Years: rapid.IntRange(6, 9).Draw(t, "years")}, Trigger: Received})
	}
	return s
}

// drawGood draws a schedule that is accepted.
func drawGood(t *rapid.T, label string) *Schedule {
	return rapid.Custom(func(t *rapid.T) *Schedule {
		s, err := Parse(write(drawSchedule(t)))
		if err != nil {
			return nil
		}
		return s
	}).Filter(func(s *Schedule) bool { return s != nil }).Draw(t, label)
}

// write is a schedule as a file.
func write(s *Schedule) []byte {
	var b strings.Builder
	list := func(key string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "%s = [%s]\n", key, strings.Join(quoted(values), ", "))
		}
	}
	fmt.Fprintf(&b, "version = %d\notherwise = %q\n", s.Format, s.Otherwise)
	for _, c := range s.Classes {
		fmt.Fprintf(&b, "[[class]]\nname = %q\nperiod = %q\ntrigger = %q\n", c.Name, c.Period, c.Trigger)
		if c.Adult != 0 {
			fmt.Fprintf(&b, "adult = %d\n", c.Adult)
		}
		if c.Unused {
			b.WriteString("unused = true\n")
		}
	}
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "[[rule]]\nname = %q\nclass = %q\n", r.Name, r.Class)
		list("type", r.Types)
		list("conversation", r.Conversations)
		list("sender", r.Senders)
		list("recipient", r.Recipients)
		list("label", r.Labels)
		list("over", r.Over)
	}
	return []byte(b.String())
}

// plainly says of two rules whether the one is over the other, by walking.
func plainly(rules []Rule, from, to string, steps int) bool {
	if steps < 0 {
		return false
	}
	for _, r := range rules {
		if r.Name == from {
			return slices.ContainsFunc(r.Over, func(o string) bool { return o == to || plainly(rules, o, to, steps-1) })
		}
	}
	return false
}

// classes gives the classes that a message could get when every rule that takes
// it has a say, unless another that takes it is over that one.
func plainClasses(s *Schedule, m Message) []string {
	var taking []Rule
	for _, r := range s.Rules {
		if r.takes(m) {
			taking = append(taking, r)
		}
	}
	var classes []string
	for _, r := range taking {
		beaten := slices.ContainsFunc(taking, func(o Rule) bool { return plainly(s.Rules, o.Name, r.Name, len(s.Rules)) })
		if !beaten && !slices.Contains(classes, r.Class) {
			classes = append(classes, r.Class)
		}
	}
	if len(taking) == 0 {
		classes = []string{s.Otherwise}
	}
	return classes
}

func drawTime(t *rapid.T, label string) time.Time {
	days := rapid.OneOf(rapid.IntRange(0, 3000), rapid.SampledFrom([]int{58, 59, 60, 30, 31, 89, 365, 366, 789, 790, 1520, 1521})).Draw(t, label)
	return time.Date(2019, 1, 1, rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, time.UTC).AddDate(0, 0, days)
}

func drawFacts(t *rapid.T) Facts {
	f := Facts{Received: drawTime(t, "received"), Born: rapid.SampledFrom([]int{0, 19, 1950, 1999, 2000, 2001, 2003, 2005, 2015, 2019, 2028}).Draw(t, "born")}
	maybe := func(label string) *time.Time {
		if rapid.Bool().Draw(t, label+"?") {
			at := drawTime(t, label)
			return &at
		}
		return nil
	}
	f.Closed, f.Departed = maybe("closed"), maybe("departed")
	return f
}
