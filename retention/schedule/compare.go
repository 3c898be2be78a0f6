package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// A Change is one difference between two schedules.
type Change struct {
	What string `json:"what"` // "class", "rule", "otherwise", "longest"
	Name string `json:"name"` // of the class or rule; for the other two, of the class
	Text string `json:"text"` // for people
	// Narrows says that it could let something go earlier.
	Narrows bool `json:"narrows"`
}

// Compare says what is different under a new schedule, in the order of classes,
// rules and the rest. When no change narrows, nothing is due earlier than under
// the old one: no entry of any class, and no message yet to come, whichever
// class it would have got. Where that cannot be shown the change narrows.
// Before the first schedule nothing is ever due, so nothing narrows it; old is
// nil then.
func Compare(old, new *Schedule) []Change {
	first := old == nil
	if first {
		old = &Schedule{}
	}
	c := comparison{old: old, new: new, known: map[[2]*Rule][3]bool{}}
	c.classes()
	c.rules()
	if old.Otherwise != new.Otherwise {
		c.add("otherwise", new.Otherwise, false, "what no rule takes: %s", was(old.Otherwise, new.Otherwise))
	}
	if !first {
		c.routes()
		c.longest()
	}
	for i := range c.changes {
		c.changes[i].Narrows = c.changes[i].Narrows && !first
	}
	return c.changes
}

type comparison struct {
	old, new *Schedule
	changes  []Change
	known    map[[2]*Rule][3]bool // what within found out
}

func (c *comparison) add(what, name string, narrows bool, format string, args ...any) {
	c.changes = append(c.changes, Change{What: what, Name: name, Text: fmt.Sprintf(format, args...), Narrows: narrows})
}

// classes compares the classes: what it says of them goes for the entries that
// have them already.
func (c *comparison) classes() {
	for _, name := range names(c.old.Classes, c.new.Classes, func(c Class) string { return c.Name }) {
		before, was := c.old.Class(name)
		after, is := c.new.Class(name)
		switch {
		case !was:
			// The record of who looked is kept for ever where no class audit says otherwise.
			c.add("class", name, name == Audit && !after.Period.Forever, "new: kept %s", after.keeps())
		case !is:
			c.add("class", name, name != Audit, "removed; it was kept %s", before.keeps())
		case before.keeps() != after.keeps():
			c.add("class", name, !after.atLeast(before), "kept %s, was %s", after.keeps(), before.keeps())
		case before.Text != after.Text:
			c.add("class", name, false, "described anew")
		case before.Unused != after.Unused:
			c.add("class", name, false, "unused: %t, was %t", after.Unused, before.Unused)
		}
	}
}

// keeps says how long a class keeps, in the words of the file.
func (c Class) keeps() string {
	if c.Period.Forever {
		return "forever"
	}
	text := c.Period.String() + " from " + string(c.Trigger)
	if c.Trigger == Majority {
		text += fmt.Sprintf(" at %d", c.adult())
	}
	return text
}

// atLeast says whether no entry is due earlier under c than it would be under
// before, whatever its facts are. Every trigger keeps at least the period from
// when the entry was received, so any is as good as "received".
func (c Class) atLeast(before Class) bool {
	switch {
	case c.Period.Forever:
		return true
	case !c.Period.atLeast(before.Period):
		return false
	case before.Trigger == Received:
		return true
	}
	return c.Trigger == before.Trigger && (c.Trigger != Majority || c.adult() >= before.adult())
}

// rules says which rules are there, gone, or other than before. What that does
// to messages is for routes.
func (c *comparison) rules() {
	for _, name := range names(c.old.Rules, c.new.Rules, func(r Rule) string { return r.Name }) {
		before, was := c.old.rule(name)
		after, is := c.new.rule(name)
		switch {
		case !was:
			c.add("rule", name, false, "new: %s", after.says())
		case !is:
			c.add("rule", name, false, "removed; it was: %s", before.says())
		case before.says() != after.says():
			c.add("rule", name, false, "%s; was: %s", after.says(), before.says())
		}
	}
}

func (s *Schedule) rule(name string) (Rule, bool) {
	i := slices.IndexFunc(s.Rules, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, false
	}
	return s.Rules[i], true
}

// says gives a rule in one line, the same however its lists are ordered.
func (r Rule) says() string {
	text := "class " + r.Class
	for _, condition := range []struct {
		key    string
		values []string
	}{{"type", r.Types}, {"conversation", r.Conversations}, {"sender", r.Senders}, {"recipient", r.Recipients}, {"label", r.Labels}, {"over", r.Over}} {
		if len(condition.values) > 0 {
			text += fmt.Sprintf(", %s %s", condition.key, strings.Join(quoted(sorted(condition.values)), " "))
		}
	}
	return text
}

func quoted(values []string) []string {
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = fmt.Sprintf("%q", v)
	}
	return q
}

func was(before, after string) string {
	if before == "" {
		return "class " + after
	}
	return "class " + after + ", was " + before
}

// longest compares the classes of messages of which too little is known.
func (c *comparison) longest() {
	before, _ := c.old.Class(c.old.Longest())
	after, _ := c.new.Class(c.new.Longest())
	if before.Name != after.Name {
		c.add("longest", after.Name, !after.atLeast(before), "messages of which too little is known: %s", was(before.Name, after.Name))
	}
}

// names gives the names in a, then those that only b has.
func names[T any](a, b []T, name func(T) string) []string {
	var all []string
	for _, v := range slices.Concat(a, b) {
		if !slices.Contains(all, name(v)) {
			all = append(all, name(v))
		}
	}
	return all
}
