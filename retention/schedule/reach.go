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
	before := newValueSets()
	for place, i := range r.s.order {
		blockers := r.s.blockers(place, before)
		before.add(place, &r.s.Rules[i])
		if blockers != nil {
			r.faults.add(r.s.Rules[i].Line, "rule %s can never be reached: what it takes is taken by %s; narrow those, or put it over them, or leave it out",
				r.s.Rules[i].Name, named(blockers))
		}
	}
}

// blockers names the rules that leave nothing to the one at that place of the
// order, or nil when some message reaches it. The rules before it are in before.
func (s *Schedule) blockers(place int, before *valueSets) []Rule {
	rule := &s.Rules[s.order[place]]
	carried := rule.carried()
	senders, recipients, labels := before.of(0, carried[0]), before.of(1, carried[1]), before.of(2, carried[2])
	var found []int
	for _, typ := range orAll(rule.Types, types) {
		// A message need not be of any conversation.
		for _, conversation := range orAll(rule.Conversations, append([]string{""}, conversations...)) {
			alike := s.alike(s.order[:place], typ, conversation)
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
		if s.Rules[i].alike(typ, conversation) {
			set.add(place)
		}
	}
	return set
}

// valueSets say which of the rules seen so far ask for a value, by condition as
// in Rule.carried, and which ask for none.
type valueSets struct {
	by   [3]map[string]*ruleSet
	none [3]ruleSet
}

func newValueSets() *valueSets {
	return &valueSets{by: [3]map[string]*ruleSet{{}, {}, {}}}
}

func (v *valueSets) add(place int, r *Rule) {
	for condition, values := range r.carried() {
		if len(values) == 0 {
			v.none[condition].add(place)
		}
		for _, value := range values {
			if v.by[condition][value] == nil {
				v.by[condition][value] = &ruleSet{}
			}
			v.by[condition][value].add(place)
		}
	}
}

// of gives, for each of the values, or for no value when there are none, the
// rules whose condition it meets. The same set is given once.
func (v *valueSets) of(condition int, values []string) []ruleSet {
	if len(values) == 0 {
		return []ruleSet{v.none[condition]}
	}
	var sets []ruleSet
	for _, value := range values {
		set := v.none[condition]
		if by := v.by[condition][value]; by != nil {
			for i := range set {
				set[i] |= by[i]
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
