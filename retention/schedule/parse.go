package schedule

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Limits of a schedule file.
const (
	Max       = 1 << 20 // bytes of the file
	MaxClass  = 12      // classes beside control and audit
	MaxRules  = 128
	MaxValues = 64 // values of one condition
	MaxValue  = 256
	maxClass  = 32 // bytes of a class's name, as a leaf has it
	maxRule   = 64
	maxText   = 512
	minAdult  = 16
	maxAdult  = 30
)

// Parse reads a schedule file. Its error is Faults, every one with its line.
func Parse(text []byte) (*Schedule, error) {
	if len(text) > Max {
		return nil, Faults{{Line: 1, Text: fmt.Sprintf("the file is longer than %d bytes", Max)}}
	}
	// The decoder knows what is TOML; the reader below, which sees expressions
	// with their places, takes that for granted.
	var whole map[string]any
	if err := toml.Unmarshal(text, &whole); err != nil {
		line := 1
		var where *toml.DecodeError
		if errors.As(err, &where) {
			line, _ = where.Position()
		}
		return nil, Faults{{Line: line, Text: "not TOML: " + err.Error()}}
	}
	r := newReader(text)
	r.read()
	r.check()
	if err := r.faults.sorted(); err != nil {
		return nil, err
	}
	return &r.s, nil
}

// A reader turns the expressions of a file into a schedule. It keeps nothing of
// the parser's memory.
type reader struct {
	s      Schedule
	faults Faults
	parser unstable.Parser
	starts []int // offsets at which lines start

	in      string   // the table that is being read: "", "class", "rule"; "?" one that nobody knows
	top     lineOf   // lines of the keys at the top
	classes []lineOf // the same of each class
	rules   []lineOf // and of each rule
}

// lineOf is the line of each key of a table.
type lineOf map[string]int

func newReader(text []byte) *reader {
	r := &reader{top: lineOf{}, starts: []int{0}}
	for i, c := range text {
		if c == '\n' {
			r.starts = append(r.starts, i+1)
		}
	}
	r.parser.Reset(bytes.Clone(text))
	return r
}

// line is where a node stands, from 1.
func (r *reader) line(n *unstable.Node) int {
	i, found := slices.BinarySearch(r.starts, int(n.Raw.Offset))
	if found {
		i++
	}
	return i
}

// read reads every expression of the file.
func (r *reader) read() {
	for r.parser.NextExpression() {
		switch n := r.parser.Expression(); n.Kind {
		case unstable.Table, unstable.ArrayTable:
			r.readHeader(n)
		case unstable.KeyValue:
			r.readKey(n)
		}
	}
	if err := r.parser.Error(); err != nil {
		r.faults.add(1, "not TOML: %v", err)
	}
}

// keyOf gives a table's or a value's key, "" when it has dots.
func (r *reader) keyOf(n *unstable.Node) (key string, line int) {
	parts := 0
	for it := n.Key(); it.Next(); parts++ {
		if parts == 0 {
			key, line = string(it.Node().Data), r.line(it.Node())
		}
	}
	if parts > 1 {
		return "", line
	}
	return key, line
}

func (r *reader) readHeader(n *unstable.Node) {
	key, line := r.keyOf(n)
	r.in = "?"
	switch {
	case key != "class" && key != "rule":
		r.faults.add(line, "there is no such table; a schedule has [[class]] and [[rule]]")
	case n.Kind == unstable.Table:
		r.faults.add(line, "write [[%s]]: there may be several", key)
	case key == "class":
		r.in = key
		r.s.Classes = append(r.s.Classes, Class{Line: line})
		r.classes = append(r.classes, lineOf{})
	case len(r.s.Rules) == MaxRules:
		r.faults.add(line, "more than %d rules", MaxRules)
	default:
		r.in = key
		r.s.Rules = append(r.s.Rules, Rule{Line: line})
		r.rules = append(r.rules, lineOf{})
	}
}

func (r *reader) readKey(n *unstable.Node) {
	key, line := r.keyOf(n)
	known, seen := false, r.top
	switch r.in {
	case "":
		known = r.readTop(key, n.Value(), line)
	case "class":
		seen = r.classes[len(r.classes)-1]
		known = r.readClass(&r.s.Classes[len(r.s.Classes)-1], key, n.Value(), line)
	case "rule":
		seen = r.rules[len(r.rules)-1]
		known = r.readRule(&r.s.Rules[len(r.s.Rules)-1], key, n.Value(), line)
	default:
		return // its table was refused
	}
	if !known {
		r.faults.add(line, "there is no such key here; retention/SCHEDULE.md lists them")
		return
	}
	seen[key] = line
}

func (r *reader) readTop(key string, v *unstable.Node, line int) bool {
	switch key {
	case "version":
		r.s.Format = r.integer(v, line, key, math.MinInt32, math.MaxInt32)
	case "name":
		r.s.Name = r.text(v, line, key, MaxValue)
	case "otherwise":
		r.s.Otherwise = r.text(v, line, key, maxClass)
	default:
		return false
	}
	return true
}

func (r *reader) readClass(c *Class, key string, v *unstable.Node, line int) bool {
	switch key {
	case "name":
		c.Name = r.text(v, line, key, maxClass)
	case "text":
		c.Text = r.text(v, line, key, maxText)
	case "period":
		if text := r.text(v, line, key, maxClass); text != "" {
			var err error
			if c.Period, err = ParsePeriod(text); err != nil {
				r.faults.add(line, "%v", err)
			}
		}
	case "trigger":
		if text := r.text(v, line, key, maxClass); text != "" {
			if c.Trigger = Trigger(text); c.Trigger.rank() < 0 {
				r.faults.add(line, "there is no trigger %q; it is received, closed, departed or majority", text)
				c.Trigger = ""
			}
		}
	case "adult":
		c.Adult = r.integer(v, line, key, minAdult, maxAdult)
	case "unused":
		if v.Kind != unstable.Bool {
			r.faults.add(line, "unused is true or false")
		}
		c.Unused = string(v.Data) == "true"
	default:
		return false
	}
	return true
}

func (r *reader) readRule(rule *Rule, key string, v *unstable.Node, line int) bool {
	switch key {
	case "name":
		rule.Name = r.text(v, line, key, maxRule)
	case "class":
		rule.Class = r.text(v, line, key, maxClass)
	case "type":
		rule.Types = r.choice(v, line, key, types)
	case "conversation":
		rule.Conversations = r.choice(v, line, key, conversations)
	case "sender":
		rule.Senders = r.list(v, line, key)
	case "recipient":
		rule.Recipients = r.list(v, line, key)
	case "label":
		rule.Labels = r.list(v, line, key)
	case "over":
		rule.Over = r.list(v, line, key)
	default:
		return false
	}
	return true
}
