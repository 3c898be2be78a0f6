package page

import (
	"cmp"
	"slices"
	"strings"

	"holdfast/archive/render"
)

// A cast is the people of a unit with the particulars that were first seen.
type cast struct {
	by   map[string]render.Person
	usrs []string
}

func newCast() *cast { return &cast{by: map[string]render.Person{}} }

// see adds the people of an entry.
func (c *cast) see(e *render.Entry) {
	if e.From != nil {
		c.add(e.From)
	}
	for i := range e.To {
		c.add(&e.To[i])
	}
	if e.Conversation != nil {
		for i := range e.Conversation.Members {
			c.add(&e.Conversation.Members[i])
		}
	}
}

func (c *cast) add(p *render.Person) {
	was, seen := c.by[p.Usr]
	if !seen {
		c.usrs = append(c.usrs, p.Usr)
	}
	if !seen || was == (render.Person{Usr: was.Usr}) {
		c.by[p.Usr] = *p
	}
}

// list returns the people with their particulars, sorted by what they are called.
func (c *cast) list() []string {
	var out []string
	for _, usr := range c.usrs {
		p := c.by[usr]
		s := called(&p)
		var more []string
		for _, v := range []string{p.UPN, p.Mail, p.Usr} {
			if v = render.Visible(v); v != "" && v != s && !slices.Contains(more, v) {
				more = append(more, v)
			}
		}
		if len(more) > 0 {
			s += " (" + strings.Join(more, ", ") + ")"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// people returns who an entry is from.
func people(e *render.Entry) string {
	switch {
	case e.From != nil:
		return called(e.From)
	case e.Withheld != "":
		return "(withheld)"
	case e.Kind == "relay":
		return "the relay"
	}
	return "the archive"
}

// list returns what people are called.
func list(all []render.Person) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = called(&all[i])
	}
	return strings.Join(names, "; ")
}

// conversations returns the ids and kinds of a unit's conversations.
func conversations(u *render.Unit) string {
	var out []string
	for i := range u.Entries {
		if c := u.Entries[i].Conversation; c != nil {
			s := render.Visible(c.ID)
			if c.Kind != "" {
				s += " (" + render.Visible(c.Kind) + ")"
			}
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, "; ")
}

// bates returns the first and last Bates numbers of a family's entries.
func bates(f *render.Family) []string {
	var out []string
	for _, list := range [][]*render.Entry{{f.Head}, f.Edits, f.Recalls, f.Receipts, f.Reactions, f.Others} {
		for _, e := range list {
			if e.Bates != "" {
				out = append(out, e.Bates, cmp.Or(e.BatesEnd, e.Bates))
			}
		}
	}
	slices.Sort(out)
	return out
}

// span returns the first and the last Bates number of a unit.
func span(u *render.Unit) (first, last string) {
	for i := range u.Entries {
		e := &u.Entries[i]
		if e.Bates == "" {
			continue
		}
		if first == "" || e.Bates < first {
			first = e.Bates
		}
		last = max(last, e.Bates, e.BatesEnd)
	}
	return first, last
}

// called returns what a person is called.
func called(p *render.Person) string { return render.Visible(cmp.Or(p.Name, p.UPN, p.Usr)) }
