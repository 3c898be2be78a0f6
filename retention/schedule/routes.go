package schedule

import "slices"

// A route is where a message goes: the rule that decides, nil for `otherwise`,
// and the rules before it, none of which may take the message.
type route struct {
	rule   *Rule
	class  string
	before []*Rule
}

// routes gives every way that a message can go under a schedule.
func (s *Schedule) routes() []route {
	var routes []route
	var before []*Rule
	for _, i := range s.order {
		r := &s.Rules[i]
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
			if class.atLeast(before) || !possible(from, to) {
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
func possible(from, to route) bool {
	// Of other types the rules are not asked, but if they were: "" stands for those.
	for _, typ := range append([]string{""}, types...) {
		for _, conversation := range append([]string{""}, conversations...) {
			if from.open(to, typ, conversation) && to.open(from, typ, conversation) {
				return true
			}
		}
	}
	return false
}

// open says whether a message of that type and conversation, which both rules
// take, could pass by the rules before this one.
func (r route) open(other route, typ, conversation string) bool {
	if r.rule != nil && !r.rule.alike(typ, conversation) {
		return false
	}
	return !slices.ContainsFunc(r.before, func(b *Rule) bool {
		return b.alike(typ, conversation) &&
			follows(b.Senders, r, other, func(r *Rule) []string { return r.Senders }) &&
			follows(b.Recipients, r, other, func(r *Rule) []string { return r.Recipients }) &&
			follows(b.Labels, r, other, func(r *Rule) []string { return r.Labels })
	})
}

// alike says whether a message of that type and conversation meets a rule's
// conditions on these two.
func (r *Rule) alike(typ, conversation string) bool {
	return (len(r.Types) == 0 || slices.Contains(r.Types, typ)) &&
		(len(r.Conversations) == 0 || slices.Contains(r.Conversations, conversation))
}

// follows says whether whatever two rules take must meet a third one's
// condition: it asks nothing, or one of the two asks for nothing else.
func follows(condition []string, a, b route, of func(*Rule) []string) bool {
	if len(condition) == 0 {
		return true
	}
	within := func(r *Rule) bool {
		return r != nil && len(of(r)) > 0 && !slices.ContainsFunc(of(r), func(v string) bool { return !slices.Contains(condition, v) })
	}
	return within(a.rule) || within(b.rule)
}
