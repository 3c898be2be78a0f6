package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// check refuses what is readable and yet no schedule, and orders the rules. It
// passes over values that were refused already, so that what it says beside
// those is worth reading.
func (r *reader) check() {
	if line, ok := r.top["version"]; !ok {
		r.faults.add(1, "no version: write version = %d at the top", Format)
		return
	} else if r.s.Format != Format {
		r.faults.add(line, "version %d is not known to this program, which reads version %d", r.s.Format, Format)
		return
	}
	for i := range r.s.Classes {
		r.checkClass(&r.s.Classes[i], r.classes[i])
	}
	r.checkClassNames()
	for i := range r.s.Rules {
		r.checkRule(&r.s.Rules[i], r.rules[i])
	}
	r.checkRuleNames()
	r.checkUse()
	if len(r.faults) > 0 {
		return // who goes before whom is only known of rules that are right
	}
	r.s.order = r.rank()
	r.checkOverlap()
	if len(r.faults) == 0 {
		r.checkReach()
	}
}

func (r *reader) checkClass(c *Class, keys lineOf) {
	for _, key := range []string{"name", "period", "trigger"} {
		switch _, ok := keys[key]; {
		case ok:
		case key == "trigger" && c.Period.Forever:
			c.Trigger = Received // what never ends need not say when it began
		default:
			r.faults.add(c.Line, "this class has no %s", key)
		}
	}
	if line, ok := keys["name"]; ok && c.Name != "" && !validClass(c.Name) {
		r.faults.add(line, "a class's name is made of a-z, 0-9 and -, at most %d of them", maxClass)
	}
	if line, ok := keys["adult"]; ok && c.Trigger != Majority && c.Trigger != "" {
		r.faults.add(line, "adult says nothing here: only the trigger \"majority\" asks for it")
	}
	if c.Trigger == Majority && c.Adult == 0 {
		c.Adult = DefaultAdult
	}
	switch {
	case c.Name == Control:
		r.faults.add(keys["name"], "class control is the archive's own and is never disposed of; leave it out")
	case c.Name == Audit:
		refused := c.Trigger == "" || c.Period == (Period{})
		if !refused && (c.Trigger != Received || !c.Period.atLeast(Period{Years: minAudit})) {
			r.faults.add(c.Line, "class audit is kept at least %d years from when it was received (45 CFR 164.316(b)(2)(i))", minAudit)
		}
	}
}

// minAudit is how long the record of who looked is kept at least, in years.
const minAudit = 6

func (r *reader) checkClassNames() {
	lines, own := lineOf{}, 0
	for i, c := range r.s.Classes {
		if line, ok := lines[c.Name]; ok && c.Name != "" {
			r.faults.add(r.classes[i]["name"], "there is a class %s already, on line %d", c.Name, line)
		} else {
			lines[c.Name] = c.Line
		}
		if c.Name != Audit {
			if own++; own == MaxClass+1 {
				r.faults.add(c.Line, "more than %d classes beside control and audit", MaxClass)
			}
		}
	}
	if _, ok := lines[General]; !ok {
		r.faults.add(1, "no class general: every archive has entries of it, so say how long they are kept")
	}
}

func (r *reader) checkRule(rule *Rule, keys lineOf) {
	for _, key := range []string{"name", "class"} {
		if _, ok := keys[key]; !ok {
			r.faults.add(rule.Line, "this rule has no %s", key)
		}
	}
	if line, ok := keys["name"]; ok {
		switch {
		case rule.Name == "": // refused
		case !validRule(rule.Name):
			r.faults.add(line, "a rule's name is made of letters, digits, dot, _ and -, at most %d of them", maxRule)
		case rule.Name == RuleLongest:
			r.faults.add(line, "no rule can be called %s: decisions about messages of which too little is known are", RuleLongest)
		}
	}
	if line, ok := keys["class"]; ok {
		r.checkNamed(rule.Class, line, "rule "+rule.Name)
	}
}

// checkNamed refuses a class that no entry can be assigned to.
func (r *reader) checkNamed(class string, line int, by string) {
	switch _, ok := r.s.Class(class); {
	case class == "": // refused
	case class == Control || class == Audit:
		r.faults.add(line, "class %s is for the archive's own entries; no message gets it", class)
	case !ok:
		r.faults.add(line, "%s names class %s, which has no schedule: there is no [[class]] of that name", by, class)
	}
}

func (r *reader) checkRuleNames() {
	names, groups := map[string]*Rule{}, map[string]string{}
	for i := range r.s.Rules {
		rule := &r.s.Rules[i]
		if before, ok := names[rule.Name]; ok && rule.Name != "" {
			r.faults.add(r.rules[i]["name"], "there is a rule %s already, on line %d", rule.Name, before.Line)
			continue
		}
		names[rule.Name] = rule
	}
	for i := range r.s.Rules {
		rule := &r.s.Rules[i]
		for _, over := range rule.Over {
			if _, ok := names[over]; !ok {
				r.faults.add(r.rules[i]["over"], "rule %s is over %s, which is no rule", rule.Name, over)
			}
		}
		r.checkGroups(rule.Senders, r.rules[i]["sender"], groups)
		r.checkGroups(rule.Recipients, r.rules[i]["recipient"], groups)
	}
}

// checkGroups refuses a group that is written in two ways: a directory's names
// do not tell upper from lower case.
func (r *reader) checkGroups(list []string, line int, written map[string]string) {
	for _, group := range list {
		folded := strings.ToLower(group)
		if before, ok := written[folded]; ok && before != group {
			r.faults.add(line, "group %q is written %q elsewhere; write it the same way everywhere", group, before)
		}
		written[folded] = group
	}
}

// checkUse refuses an `otherwise` that leads nowhere, and a class that nothing
// leads to although nobody said that this is meant: a rule that was forgotten
// would send its messages elsewhere, and they would go sooner.
func (r *reader) checkUse() {
	line, ok := r.top["otherwise"]
	if !ok {
		r.faults.add(1, "no otherwise: name the class of what no rule takes, otherwise = \"general\" for example")
	} else {
		r.checkNamed(r.s.Otherwise, line, "otherwise")
	}
	for i, c := range r.s.Classes {
		if c.Name == "" {
			continue // refused
		}
		if c.Name == Audit || c.Name == General || c.Name == Control {
			if line, ok := r.classes[i]["unused"]; ok {
				r.faults.add(line, "class %s is always used; leave unused out", c.Name)
			}
			continue
		}
		used := c.Name == r.s.Otherwise || slices.ContainsFunc(r.s.Rules, func(rule Rule) bool { return rule.Class == c.Name })
		switch {
		case used && c.Unused:
			r.faults.add(r.classes[i]["unused"], "class %s is used; leave unused out", c.Name)
		case !used && !c.Unused:
			r.faults.add(c.Line, "no rule leads to class %s; write unused = true if it is there for entries that have it already", c.Name)
		}
	}
}

// named gives rules' names and lines for people, the first few of them.
func named(rules []Rule) string {
	const few = 3
	var names []string
	for _, rule := range rules[:min(few, len(rules))] {
		names = append(names, fmt.Sprintf("%s (line %d)", rule.Name, rule.Line))
	}
	if len(rules) > few {
		names = append(names, fmt.Sprintf("%d more", len(rules)-few))
	}
	return strings.Join(names, ", ")
}
