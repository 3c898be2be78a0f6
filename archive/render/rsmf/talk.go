package rsmf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"holdfast/archive/render"
)

// platform is the kind of chat that the conversations are from.
const platform = "amx"

// A talk is a conversation of a unit as its entries tell of it.
type talk struct {
	id, display, typ string
	names            []string        // further names that devices gave it
	listed           []render.Person // a channel's members at its earliest event; else nil
	moves            []move          // who came and left since
}

// A move is that one person came to a channel or left it.
type move struct {
	typ string
	who render.Person
}

// members returns a channel's members after its first n moves.
func (k *talk) members(n int) []render.Person {
	left := map[string]bool{}
	out := slices.Clone(k.listed)
	for _, m := range k.moves[:n] {
		left[m.who.Usr] = m.typ == typeLeave
		if m.typ == typeJoin {
			out = append(out, m.who)
		}
	}
	return without(slices.DeleteFunc(out, func(p render.Person) bool { return left[p.Usr] }), nil)
}

// talks are a unit's conversations by id, in the order in which they come up.
type talks struct {
	byID map[string]*talk
}

func newTalks() *talks { return &talks{byID: map[string]*talk{}} }

// of returns the conversation that an entry was said in: the one it names,
// else the one of the people it went between; nil if it went between nobody.
func (t *talks) of(e *render.Entry) *talk {
	if c := e.Conversation; c != nil {
		id := c.ID
		if strings.HasPrefix(id, "people:") || strings.HasPrefix(id, "conversation:") {
			id = "conversation:" + id // no device can name another's people as its conversation
		}
		typ := typeChannel
		if c.Kind == typeDirect {
			typ = typeDirect
		}
		return t.add(id, typ, c.Name)
	}
	var usrs []string
	if e.From != nil {
		usrs = append(usrs, e.From.Usr)
	}
	for i := range e.To {
		usrs = append(usrs, e.To[i].Usr)
	}
	if len(usrs) == 0 {
		return nil
	}
	slices.Sort(usrs)
	h := sha256.New()
	for _, usr := range slices.Compact(usrs) {
		fmt.Fprintf(h, "%d:%s", len(usr), usr)
	}
	return t.add("people:"+hex.EncodeToString(h.Sum(nil)[:16]), typeDirect, "")
}

func (t *talks) add(id, typ, display string) *talk {
	k := t.byID[id]
	if k == nil {
		k = &talk{id: id, typ: typ, display: display}
		t.byID[id] = k
	}
	switch {
	case display == "" || display == k.display || slices.Contains(k.names, display):
	case k.display == "":
		k.display = display
	default:
		k.names = append(k.names, display)
	}
	return k
}

// comings goes through the events of a unit in their order and turns what
// changes a channel's members into joins and leaves. Who came before a list of
// the members was seen, nobody can say: such an entry stays as it is.
func (w *writer) comings(items []item) []item {
	now := map[*talk][]render.Person{} // the members, as last listed
	out := make([]item, 0, len(items))
	list(items)
	for _, it := range items {
		k, e := it.talk, it.entry
		if k != nil {
			it.moves = len(k.moves)
		}
		// A list is looked at once, and when it may have changed.
		changes := e.Typ == typMember
		if k == nil || k.typ != typeChannel || now[k] != nil && !changes {
			out = append(out, it)
			continue
		}
		before, after := now[k], members(e)
		if len(after) == 0 {
			out = append(out, it)
			continue
		}
		now[k] = after
		if !changes {
			out = append(out, it)
			continue
		}
		seen := before != nil
		came, left := without(after, before), without(before, after)
		switch {
		case !seen:
			it.ev.Body = "[member] the members are now: " + people(after)
			out = append(out, it)
		case len(came)+len(left) == 0:
			it.ev.Body = "[member] the members stay as they were"
			out = append(out, it)
		}
		if !seen {
			continue
		}
		n := 0
		for typ, who := range moved(came, left) {
			out = append(out, it.moved(typ, &who, n))
			k.moves = append(k.moves, move{typ, who})
			n++
		}
	}
	return out
}

// typMember is the type of a message that tells who a conversation's members are.
const typMember = "member"

// moved yields who came, then who left.
func moved(came, left []render.Person) iter.Seq2[string, render.Person] {
	return func(yield func(string, render.Person) bool) {
		for _, p := range came {
			if !yield(typeJoin, p) {
				return
			}
		}
		for _, p := range left {
			if !yield(typeLeave, p) {
				return
			}
		}
	}
}

// members returns the members that a message lists; nil for any other entry.
func members(e *render.Entry) []render.Person {
	if e.Kind != "message" || e.Withheld != "" || e.Conversation == nil {
		return nil
	}
	return without(e.Conversation.Members, nil)
}

// list finds the members of each channel at its earliest event: the first list
// of them, or where there is none everybody who sent or was sent anything.
func list(items []item) {
	for _, it := range items {
		if k := it.talk; k != nil && k.typ == typeChannel && len(k.listed) == 0 {
			k.listed = members(it.entry)
		}
	}
	unlisted := map[*talk][]render.Person{}
	for _, it := range items {
		if k := it.talk; k != nil && k.typ == typeChannel && len(k.listed) == 0 {
			if it.entry.From != nil {
				unlisted[k] = append(unlisted[k], *it.entry.From)
			}
			unlisted[k] = append(unlisted[k], it.entry.To...)
		}
	}
	for k, all := range unlisted {
		k.listed = without(all, nil)
	}
}

// moved returns the event of one person who came or left, the n-th of its entry.
func (it *item) moved(typ string, who *render.Person, n int) item {
	out := *it
	out.moves += n
	out.refs = []string{who.Usr}
	out.ev = event{Type: typ, ID: it.ev.ID, Participant: who.Usr, Conversation: it.ev.Conversation, Timestamp: it.ev.Timestamp,
		Body: name(who) + map[string]string{typeJoin: " joined", typeLeave: " left"}[typ], Custom: slices.Clone(it.ev.Custom)}
	if n > 0 {
		out.ev.ID = fmt.Sprintf("%s.%d", it.ev.ID, n+1)
		out.files = nil
	} else {
		out.ev.Attachments = it.ev.Attachments
	}
	out.ev.note("said_by", name(it.entry.From))
	return out
}

// without returns the people of list who are not among others, each once.
func without(list, others []render.Person) []render.Person {
	skip := make(map[string]bool, len(others))
	for i := range others {
		skip[others[i].Usr] = true
	}
	var out []render.Person
	for _, p := range list {
		if !skip[p.Usr] {
			skip[p.Usr] = true
			out = append(out, p)
		}
	}
	return out
}
