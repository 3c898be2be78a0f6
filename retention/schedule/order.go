package schedule

import (
	"cmp"
	"slices"
)

// compareRules orders rules where `over` says nothing: the one that asks for
// more goes first, so that it is the narrower rule that a decision names.
func compareRules(a, b *Rule) int {
	return cmp.Or(cmp.Compare(b.conditions(), a.conditions()), cmp.Compare(a.values(), b.values()), cmp.Compare(a.Name, b.Name))
}

// conditions counts what a rule asks for.
func (r *Rule) conditions() int {
	n := 0
	for _, values := range r.lists() {
		if len(values) > 0 {
			n++
		}
	}
	return n
}

// values counts the values that would do.
func (r *Rule) values() int {
	n := 0
	for _, values := range r.lists() {
		n += len(values)
	}
	return n
}

func (r *Rule) lists() [5][]string {
	return [5][]string{r.Types, r.Conversations, r.Senders, r.Recipients, r.Labels}
}

// above says, for each rule, which rules it goes before by `over`, its own or
// that of a rule between.
func above(rules []Rule) [][]bool {
	at := make(map[string]int, len(rules))
	for i := range rules {
		at[rules[i].Name] = i
	}
	over := make([][]bool, len(rules))
	for i := range rules {
		over[i] = make([]bool, len(rules))
		for _, name := range rules[i].Over {
			over[i][at[name]] = true
		}
	}
	for between := range rules {
		for i := range rules {
			if over[i][between] {
				for j := range rules {
					over[i][j] = over[i][j] || over[between][j]
				}
			}
		}
	}
	return over
}

// rank orders the rules: each behind those that are over it, and else by
// compareRules. The first rule that takes a message decides. Where the rules
// are free of overlaps this gives the class that any order would give that
// respects `over`; which of several rules of one class is named does not
// depend on the file's order either. Circles of `over` are faults.
func (r *reader) rank() []int {
	rules, over := r.s.Rules, above(r.s.Rules)
	for i := range rules {
		if over[i][i] {
			r.faults.add(r.rules[i]["over"], "rule %s is over itself, by way of the rules that it is over", rules[i].Name)
		}
	}
	if len(r.faults) > 0 {
		return nil
	}
	order, placed := make([]int, 0, len(rules)), make([]bool, len(rules))
	for range rules {
		next := -1
		for i := range rules {
			waits := false
			for j := range rules {
				waits = waits || !placed[j] && over[j][i]
			}
			if !placed[i] && !waits && (next < 0 || compareRules(&rules[i], &rules[next]) < 0) {
				next = i
			}
		}
		order, placed[next] = append(order, next), true
	}
	return order
}

// meets says whether one message could meet both conditions, of which a
// message has one value: its type, its conversation's kind.
func meets(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

// together says whether one message could be taken by both. Groups and labels
// keep no two rules apart: a person is in several groups, a message has
// several labels.
func together(a, b *Rule) bool {
	return meets(a.Types, b.Types) && meets(a.Conversations, b.Conversations)
}

// checkOverlap refuses two rules that could take one message into different
// classes when neither is over the other.
func (r *reader) checkOverlap() {
	rules, over := r.s.Rules, above(r.s.Rules)
	for i := range rules {
		for j := range i {
			a, b := &rules[i], &rules[j]
			if a.Class != b.Class && together(a, b) && !over[i][j] && !over[j][i] {
				r.faults.add(a.Line, "rules %s and %s (line %d) could both take a message, into %s and %s; say in one of them that it is over the other",
					a.Name, b.Name, b.Line, a.Class, b.Class)
			}
		}
	}
}
