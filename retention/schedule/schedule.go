package schedule

import (
	"cmp"
	"slices"
)

// Classes that have a meaning of their own.
const (
	// General is the class that every archive has: what is appended before
	// there is a schedule gets it.
	General = "general"
	// Audit is the class of the archive's own record of who looked. No rule
	// leads to it. A schedule that does not define it keeps it for ever.
	Audit = "audit"
	// Control is the class of holds, schedules, certificates. It is never
	// disposed of, and no schedule may define it.
	Control = "control"
)

// RuleLongest is the name that a Decision gives instead of a rule when too
// little is known of a message to ask the rules. No rule may have it.
const RuleLongest = "longest"

// Format is the one version of the file that there is.
const Format = 1

// A Schedule is a schedule file that was found to be right. Only Parse makes
// one that can be asked.
type Schedule struct {
	Format    int
	Name      string
	Rules     []Rule  // as in the file; the order there means nothing
	Classes   []Class // as in the file
	Otherwise string  // class of what no rule takes

	order []int // indexes of Rules: the first that takes a message decides
}

// A Rule assigns a class to the messages that meet every one of its conditions.
// A condition is met by any one of its values; an empty one by every message.
type Rule struct {
	Name          string
	Class         string
	Types         []string // AMX/1 payload types (ingest/AMX.md §2)
	Conversations []string // kinds: direct, group, patient
	Senders       []string // groups by name, as the file writes them
	Recipients    []string // the same
	Labels        []string
	Over          []string // rules that this one goes before
	Line          int      // of its [[rule]], from 1
}

// A Class says how long its entries are kept, from when on.
type Class struct {
	Name    string
	Text    string // what the class is for
	Period  Period
	Trigger Trigger
	Adult   int  // age of majority in years; used by the trigger Majority
	Unused  bool // that no rule leads to it is meant
	Line    int  // of its [[class]], from 1
}

// A Trigger is what a class's period begins with.
type Trigger string

// The triggers.
const (
	Received Trigger = "received" // the entry was received
	Closed   Trigger = "closed"   // its conversation was closed
	Departed Trigger = "departed" // the last of its sender and recipients departed
	Majority Trigger = "majority" // its subject came of age
)

// rank orders triggers by how far off they are as a rule.
func (t Trigger) rank() int { return slices.Index([]Trigger{Received, Closed, Departed, Majority}, t) }

// A Message is what the rules ask about a message.
type Message struct {
	Type         string
	Conversation string   // kind; "" for a message outside conversations
	Senders      []string // groups that the sender is in, by name as the schedule writes them
	Recipients   []string // groups that any recipient is in, the same
	Labels       []string
	// Unknown says that what the rules ask cannot be known: the sender or every
	// person is unknown, the entry is quarantined or unreadable, or the message
	// that it refers to is not there.
	Unknown bool
}

// A Decision is a class and the reason: the name of the rule, "" when no rule
// took the message, RuleLongest when too little is known of it.
type Decision struct{ Class, Rule string }

// Classify decides which class a message gets. It always gives one, and the
// same one however the file's rules are ordered.
func (s *Schedule) Classify(m Message) Decision {
	if m.Unknown {
		return Decision{Class: s.Longest(), Rule: RuleLongest}
	}
	for _, i := range s.order {
		if r := &s.Rules[i]; r.takes(m) {
			return Decision{Class: r.Class, Rule: r.Name}
		}
	}
	return Decision{Class: s.Otherwise}
}

// takes says whether m meets every condition of r.
func (r *Rule) takes(m Message) bool {
	return (len(r.Types) == 0 || slices.Contains(r.Types, m.Type)) &&
		(len(r.Conversations) == 0 || slices.Contains(r.Conversations, m.Conversation)) &&
		anyOf(r.Senders, m.Senders) && anyOf(r.Recipients, m.Recipients) && anyOf(r.Labels, m.Labels)
}

// anyOf says whether the condition asks for nothing or for something that is there.
func anyOf(condition, there []string) bool {
	return len(condition) == 0 || slices.ContainsFunc(condition, func(v string) bool { return slices.Contains(there, v) })
}

// Longest names the class that keeps longest: for ever before everything else,
// then the longer period, to which majority adds the years until a newborn
// comes of age, then the trigger that is farther off. The archive's own classes
// and those marked unused do not count.
func (s *Schedule) Longest() string {
	var longest *Class
	for i := range s.Classes {
		c := &s.Classes[i]
		if c.Name == Audit || c.Unused {
			continue
		}
		if longest == nil || cmp.Or(c.most().compare(longest.most()), cmp.Compare(c.Trigger.rank(), longest.Trigger.rank()),
			cmp.Compare(longest.Name, c.Name)) > 0 {
			longest = c
		}
	}
	if longest == nil {
		return General
	}
	return longest.Name
}

// most is a class's period, with all the years that a subject can be a minor.
func (c Class) most() Period {
	p := c.Period
	if c.Trigger == Majority && !p.Forever {
		p.Years += c.adult()
	}
	return p
}

// Class gives the class of that name.
func (s *Schedule) Class(name string) (Class, bool) {
	i := slices.IndexFunc(s.Classes, func(c Class) bool { return c.Name == name })
	if i < 0 {
		return Class{}, false
	}
	return s.Classes[i], true
}

// Yearly says whether a class is cut off by the year instead of by the month:
// what its period begins with differs from entry to entry.
func (s *Schedule) Yearly(class string) bool {
	c, ok := s.Class(class)
	return ok && c.Trigger != Received
}

// Groups names every group that a rule asks for, sorted, each once.
func (s *Schedule) Groups() []string {
	var groups []string
	for _, r := range s.Rules {
		groups = append(append(groups, r.Senders...), r.Recipients...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}
