package schedule

import "slices"

// A route is where a message goes: the rule that decides, nil for `otherwise`,
// and the rules before it, none of which may take the message.
type route struct {
	rule   *Rule
	class  string
	before []*Rule
}

// routes gives every way that a message can go under a schedule. Its rules have
// their groups and labels sorted.
func (s *Schedule) routes() []route {
	var routes []route
	var before []*Rule
	for _, i := range s.order {
		copied := s.Rules[i]
		r := &copied
		r.Senders, r.Recipients, r.Labels = sorted(r.Senders), sorted(r.Recipients), sorted(r.Labels)
		routes = append(routes, route{rule: r, class: r.Class, before: before[:len(before):len(before)]})
		before = append(before, r)
	}
	return append(routes, route{class: s.Otherwise, before: before})
}

// routes reports every message that may go into another class than under the
// old schedule, of which it is not certain that it keeps as long: one change
// for each rule that takes such messages and each class that they are taken
// from. That both schedules give a class the same name is no matter here: what
// became of the class itself is reported with the classes.
func (c *comparison) routes() {
	routes := c.old.routes()
	for _, to := range c.new.routes() {
		class, _ := c.new.Class(to.class)
		var told []string
		for _, from := range routes {
			if from.class == to.class || slices.Contains(told, from.class) {
				continue
			}
			before, _ := c.old.Class(from.class)
			if class.atLeast(before) || !c.possible(from, to) {
				continue
			}
			told = append(told, from.class)
			what, name := "otherwise", class.Name
			if to.rule != nil {
				what, name = "rule", to.rule.Name
			}
			c.add(what, name, true, "messages that would have been kept %s, in class %s, will be kept %s, in class %s", before.keeps(), before.Name, class.keeps(), class.Name)
		}
	}
}

// possible says whether a message could go the one way under the old schedule
// and the other under the new. It may say so of two ways that no message goes,
// never the other way round.
func (c *comparison) possible(from, to route) bool {
	var passed []*Rule // what no message that both rules take could pass by
	for _, b := range slices.Concat(from.before, to.before) {
		if c.follows(b, from.rule, to.rule) {
			passed = append(passed, b)
		}
	}
	// Of other types the rules are not asked, but if they were: "" stands for those.
	for _, typ := range append([]string{""}, types...) {
		for _, conversation := range append([]string{""}, conversations...) {
			takes := func(r *Rule) bool { return r.alike(typ, conversation) }
			if (from.rule == nil || takes(from.rule)) && (to.rule == nil || takes(to.rule)) && !slices.ContainsFunc(passed, takes) {
				return true
			}
		}
	}
	return false
}

// alike says whether a message of that type and conversation meets a rule's
// conditions on these two.
func (r *Rule) alike(typ, conversation string) bool {
	return (len(r.Types) == 0 || slices.Contains(r.Types, typ)) &&
		(len(r.Conversations) == 0 || slices.Contains(r.Conversations, conversation))
}

// follows says whether whatever two rules take, or one of them when the other
// is nil, meets all that a third asks of groups and labels: each of its
// conditions is empty, or one of the two asks for nothing beside it.
func (c *comparison) follows(b, from, to *Rule) bool {
	a, z := c.within(from, b), c.within(to, b)
	for i, condition := range b.carried() {
		if len(condition) > 0 && !a[i] && !z[i] {
			return false
		}
	}
	return true
}

// carried are the conditions of which a message can meet several values.
func (r *Rule) carried() [3][]string { return [3][]string{r.Senders, r.Recipients, r.Labels} }

// within says, for each of the carried conditions, whether whatever meets a's
// meets b's. It is asked about the same two rules often.
func (c *comparison) within(a, b *Rule) [3]bool {
	var within [3]bool
	if a == nil {
		return within
	}
	within, ok := c.known[[2]*Rule{a, b}]
	if ok {
		return within
	}
	for i, narrow := range a.carried() {
		within[i] = len(narrow) > 0 && subset(narrow, b.carried()[i])
	}
	c.known[[2]*Rule{a, b}] = within
	return within
}

func sorted(values []string) []string { return slices.Sorted(slices.Values(values)) }

// subset says whether all of a are in b, both sorted.
func subset(a, b []string) bool {
	for _, v := range a {
		i, found := slices.BinarySearch(b, v)
		if !found {
			return false
		}
		b = b[i+1:]
	}
	return true
}
