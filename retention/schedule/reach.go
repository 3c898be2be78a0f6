package schedule

import (
	"math/bits"
	"slices"
)

// A ruleSet is a set of rules, by their place in the order.
type ruleSet [MaxRules / 64]uint64

func (s *ruleSet) add(i int) { s[i/64] |= 1 << (i % 64) }

// first gives the first rule that all four sets hold.
func first(a, b, c, d ruleSet) (int, bool) {
	for i := range a {
		if w := a[i] & b[i] & c[i] & d[i]; w != 0 {
			return i*64 + bits.TrailingZeros64(w), true
		}
	}
	return 0, false
}

// checkReach refuses a rule that can never decide: whatever message it takes, a
// rule before it takes as well. To find out it is enough to ask about messages
// that meet each of its conditions by one value and carry nothing else: more
// groups and labels only bring in more rules.
func (r *reader) checkReach() {
	for place, i := range r.s.order {
		if blockers := r.s.blockers(place); blockers != nil {
			r.faults.add(r.s.Rules[i].Line, "rule %s can never be reached: what it takes is taken by %s; narrow those, or put it over them, or leave it out",
				r.s.Rules[i].Name, named(blockers))
		}
	}
}

// blockers names the rules that leave nothing to the one at that place of the
// order, or nil when some message reaches it.
func (s *Schedule) blockers(place int) []Rule {
	rule, before := &s.Rules[s.order[place]], s.order[:place]
	senders := s.sets(before, rule.Senders, func(r *Rule) []string { return r.Senders })
	recipients := s.sets(before, rule.Recipients, func(r *Rule) []string { return r.Recipients })
	labels := s.sets(before, rule.Labels, func(r *Rule) []string { return r.Labels })
	var found []int
	for _, typ := range orAll(rule.Types, types) {
		// A message need not be of any conversation.
		for _, conversation := range orAll(rule.Conversations, append([]string{""}, conversations...)) {
			alike := s.alike(before, typ, conversation)
			for _, a := range senders {
				for _, b := range recipients {
					for _, c := range labels {
						blocker, ok := first(alike, a, b, c)
						if !ok {
							return nil
						}
						if !slices.Contains(found, blocker) {
							found = append(found, blocker)
						}
					}
				}
			}
		}
	}
	slices.Sort(found)
	blockers := make([]Rule, len(found))
	for i, f := range found {
		blockers[i] = s.Rules[s.order[f]]
	}
	return blockers
}

// alike gives the rules that a message of that type and conversation meets.
func (s *Schedule) alike(before []int, typ, conversation string) ruleSet {
	var set ruleSet
	for place, i := range before {
		r := &s.Rules[i]
		if anyOf(r.Types, []string{typ}) && anyOf(r.Conversations, []string{conversation}) {
			set.add(place)
		}
	}
	return set
}

// sets gives, for each value that would meet a condition, or for no value when
// the condition is empty, the rules whose same condition that value meets. The
// same set is given once.
func (s *Schedule) sets(before []int, values []string, condition func(*Rule) []string) []ruleSet {
	var sets []ruleSet
	for _, there := range orNone(values) {
		var set ruleSet
		for place, i := range before {
			if anyOf(condition(&s.Rules[i]), there) {
				set.add(place)
			}
		}
		if !slices.Contains(sets, set) {
			sets = append(sets, set)
		}
	}
	return sets
}

// orAll gives the values of a condition, all that there are when it is empty.
func orAll(values, all []string) []string {
	if len(values) == 0 {
		return all
	}
	return values
}

// orNone gives each value of a condition by itself, and once nothing when it is empty.
func orNone(values []string) [][]string {
	if len(values) == 0 {
		return [][]string{nil}
	}
	each := make([][]string, len(values))
	for i, v := range values {
		each[i] = []string{v}
	}
	return each
}
