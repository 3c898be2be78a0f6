package retention

import (
	"strings"
	"sync/atomic"

	"holdfast/archive/query"
	"holdfast/retention/hold"
)

// coverage is what is known of one scope of a hold: how to ask it of an entry,
// and what the survey found that it covers.
type coverage struct {
	matter  string
	scope   hold.Scope
	matcher atomic.Pointer[hold.Matcher] // nil: the scope cannot be made sense of, and covers everything

	// survey.mu guards what follows.
	done   uint64 // entries below it have been asked
	roots  bits   // of the families of which it covers a member
	count  uint64 // entries in these families
	talks  map[*conversation]struct{}
	people map[string]struct{} // relay users whose entries it may cover, as of the last compile
}

// newCoverage makes a scope of a hold of a matter ready for asking.
func newCoverage(matter string, s hold.Scope, p People, r hold.Readings) *coverage {
	c := &coverage{matter: matter, scope: s}
	c.compile(p, r)
	c.people = c.resolve(p)
	return c
}

// compile makes the scope ready for asking, with what the directory says now.
func (c *coverage) compile(p People, r hold.Readings) {
	m, err := hold.Compile(c.matter, c.scope, p, r)
	if err != nil {
		m = nil // it was checked when it was placed; whatever this version makes of it, it holds
	}
	c.matcher.Store(m)
}

// covers asks the scope of an entry.
func (c *coverage) covers(f *entryFacts) (why string, held bool) {
	m := c.matcher.Load()
	if m == nil {
		return whyUnreadable, true
	}
	return m.Covers(&f.hold)
}

const whyUnreadable = "unknown scope"

// resolve returns the relay users for which what the directory says matters.
func (c *coverage) resolve(p People) map[string]struct{} {
	out := map[string]struct{}{}
	add := func(usrs []string) {
		for _, usr := range usrs {
			out[usr] = struct{}{}
		}
	}
	for _, who := range c.scope.Custodians {
		if usr, ok := strings.CutPrefix(who, hold.UsrPrefix); ok {
			out[usr] = struct{}{}
		} else {
			add(p.Usrs(who))
		}
	}
	for _, g := range c.scope.Groups {
		for _, guid := range p.MembersEver(g, fromOf(c.scope)) {
			add(p.Usrs(guid))
		}
	}
	if c.scope.Query == "" {
		return out
	}
	for version := range hold.Languages(p) {
		if q, err := query.ParseLanguage(version, c.scope.Query); err == nil {
			for _, name := range q.Names() {
				add(p.Names(name))
			}
		}
	}
	return out
}

// mark notes that the scope covers an entry of a family. survey.mu is held.
func (c *coverage) mark(k *kin, seq uint64) {
	root := k.root(seq)
	if !c.roots.has(root) {
		c.roots.set(root)
		c.count += k.size(root)
	}
}
