package query

import (
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Binder says what the words of a query do not: who bears a name, who was in a
// group, what a hold covers.
type Binder interface {
	// Names returns the relay users of the people who ever had a name.
	Names(value string) []string
	// Members returns who was in a group and when.
	Members(group string) ([]Stay, error)
	// Held returns the seqs that a hold (OnHold), or the holds of a matter
	// (ForMatter), cover. The query keeps the set: it must not change.
	Held(p Property, value string) (*roaring64.Bitmap, error)
}

// Bind returns a query with what b says of its from:, to:, participants:,
// custodian:, group:, hold: and matter:, each value asked once. It is written
// like q. The error is b's.
func (q *Query) Bind(b Binder) (*Query, error) {
	asked := &remembered{b: b, names: map[string][]string{}, groups: map[string][]Stay{}, sets: map[heldBy]*roaring64.Bitmap{}}
	root, err := replace(q.root, asked.bind)
	if err != nil {
		return nil, err
	}
	return q.over(root), nil
}

// heldBy names what Held is asked of.
type heldBy struct {
	property Property
	value    string
}

// remembered asks a Binder each thing once.
type remembered struct {
	b      Binder
	names  map[string][]string
	groups map[string][]Stay
	sets   map[heldBy]*roaring64.Bitmap
}

func (r *remembered) bind(n Node) (Node, error) {
	switch n := n.(type) {
	case *Person:
		usrs, known := r.names[n.Value]
		if !known {
			usrs = r.b.Names(n.Value)
			r.names[n.Value] = usrs
		}
		return n.with(usrs), nil
	case *Group:
		stays, known := r.groups[n.Value]
		if !known {
			var err error
			if stays, err = r.b.Members(n.Value); err != nil {
				return nil, fmt.Errorf("bind group: %w", err)
			}
			r.groups[n.Value] = stays
		}
		return n.with(stays), nil
	case *Held:
		what := heldBy{n.Property, n.Value}
		set, known := r.sets[what]
		if !known {
			var err error
			if set, err = r.b.Held(n.Property, n.Value); err != nil {
				return nil, fmt.Errorf("bind %s: %w", n.Property, err)
			}
			r.sets[what] = set
		}
		return &Held{n.Property, n.Value, set}, nil
	}
	return n, nil
}

// WithNames returns a query in which each from:, to:, participants: and
// custodian: also holds for the relay users that usrs gives for its value: those
// of the people who ever had that name. It is Bind for whom has nothing else to
// say, such as a hold.
func (q *Query) WithNames(usrs func(value string) []string) *Query {
	root, err := replace(q.root, func(n Node) (Node, error) {
		if p, ok := n.(*Person); ok {
			return p.with(usrs(p.Value)), nil
		}
		return n, nil
	})
	if err != nil { // nothing above fails
		return q
	}
	return q.over(root)
}

// with returns the clause for these relay users besides.
func (p *Person) with(usrs []string) *Person {
	bound := *p
	bound.Usrs = slices.Clone(p.Usrs)
	for _, usr := range usrs {
		if key := FoldKey(usr); key != "" && !slices.Contains(bound.Usrs, key) {
			bound.Usrs = append(bound.Usrs, key)
		}
	}
	return &bound
}

// with returns the clause for a group's members.
func (g *Group) with(stays []Stay) *Group {
	bound := &Group{Value: g.Value, Stays: stays, byKey: map[string][]stayed{}}
	for _, s := range stays {
		for _, usr := range s.Usrs {
			key := FoldKey(usr)
			bound.byKey[key] = append(bound.byKey[key], stayed{s.From, s.To})
		}
	}
	return bound
}

// replace returns n with its clauses replaced; And, Or and Not are made anew.
func replace(n Node, by func(Node) (Node, error)) (Node, error) {
	all := func(parts []Node) ([]Node, error) {
		parts = slices.Clone(parts)
		for i := range parts {
			var err error
			if parts[i], err = replace(parts[i], by); err != nil {
				return nil, err
			}
		}
		return parts, nil
	}
	switch n := n.(type) {
	case *And:
		parts, err := all(n.Of)
		return &And{parts}, err
	case *Or:
		parts, err := all(n.Of)
		return &Or{parts}, err
	case *Not:
		of, err := replace(n.Of, by)
		return &Not{of}, err
	}
	return by(n)
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
			parts = append(parts, &Time{Property: Received, Op: GreaterEqual, Value: instant(s.From)})
		}
		if !s.To.IsZero() {
			parts = append(parts, &Time{Property: Received, Op: Less, Value: instant(s.To)})
		}
		scope.Of = append(scope.Of, &And{parts})
	}
	return q.over(&And{[]Node{q.root, scope}})
}

// Names returns the values of the query's from:, to:, participants: and
// custodian:, each once, in the order in which they are written.
func (q *Query) Names() []string {
	var names []string
	walk(q.asWritten(), func(n Node) {
		if p, ok := n.(*Person); ok && !slices.Contains(names, p.Value) {
			names = append(names, p.Value)
		}
	})
	return names
}

// Custodians returns the values of the query's custodian:, each once.
func (q *Query) Custodians() []string {
	var names []string
	walk(q.asWritten(), func(n Node) {
		if p, ok := n.(*Person); ok && p.Property == Custodian && !slices.Contains(names, p.Value) {
			names = append(names, p.Value)
		}
	})
	return names
}

// byID is a party by relay user id alone: it has no tokens to find in names.
func byID(p Property, usr string) *Person {
	return &Person{Property: p, Value: usr, Key: FoldKey(usr)}
}

func instant(t time.Time) Moment { return Moment{Start: t.UTC(), Digits: 9} }
