package query

import (
	"slices"
	"time"
)

// Stay is some people's belonging to a scope for a time: [From, To), where a
// zero time is an open end. Usrs are their relay user ids.
type Stay struct {
	Usrs     []string
	From, To time.Time
}

// Within returns a query that holds where q holds and where, besides, one of a
// stay's people sent the entry or was among its recipients, and the archive
// received it during the stay. Without stays it holds nowhere. It is written
// like q: a scope is no part of what was asked.
func (q *Query) Within(stays []Stay) *Query {
	scope := &Or{}
	for _, s := range stays {
		var people []Node
		for _, usr := range s.Usrs {
			people = append(people, byID(From, usr), byID(To, usr))
		}
		if len(people) == 0 {
			continue
		}
		parts := []Node{&Or{people}}
		if !s.From.IsZero() {
			parts = append(parts, &Time{Received, GreaterEqual, instant(s.From)})
		}
		if !s.To.IsZero() {
			parts = append(parts, &Time{Received, Less, instant(s.To)})
		}
		scope.Of = append(scope.Of, &And{parts})
	}
	return &Query{root: &And{[]Node{q.root, scope}}, written: q.asWritten()}
}

// WithNames returns a query in which each from: and to: also holds for the
// relay users that usrs gives for its value: those of the people who ever had
// that name. It is written like q.
func (q *Query) WithNames(usrs func(value string) []string) *Query {
	return &Query{root: widened(q.root, usrs), written: q.asWritten()}
}

func widened(n Node, usrs func(string) []string) Node {
	all := func(parts []Node) []Node {
		parts = slices.Clone(parts)
		for i := range parts {
			parts[i] = widened(parts[i], usrs)
		}
		return parts
	}
	switch n := n.(type) {
	case *And:
		return &And{all(n.Of)}
	case *Or:
		return &Or{all(n.Of)}
	case *Not:
		return &Not{widened(n.Of, usrs)}
	case *Person:
		ids := usrs(n.Value)
		if len(ids) == 0 {
			return n
		}
		parts := []Node{n}
		for _, usr := range ids {
			parts = append(parts, byID(n.Property, usr))
		}
		return &Or{parts}
	}
	return n
}

// Names returns the values of the query's from: and to:, each once, in the
// order in which they are written.
func (q *Query) Names() []string {
	var names []string
	var walk func(Node)
	walk = func(n Node) {
		switch n := n.(type) {
		case *And:
			for _, p := range n.Of {
				walk(p)
			}
		case *Or:
			for _, p := range n.Of {
				walk(p)
			}
		case *Not:
			walk(n.Of)
		case *Person:
			if !slices.Contains(names, n.Value) {
				names = append(names, n.Value)
			}
		}
	}
	walk(q.asWritten())
	return names
}

// byID is a party by relay user id alone: it has no tokens to find in names.
func byID(p Property, usr string) *Person {
	return &Person{Property: p, Value: usr, Key: FoldKey(usr)}
}

func instant(t time.Time) Moment { return Moment{Start: t.UTC(), Digits: 9} }
