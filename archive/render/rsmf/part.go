package rsmf

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"holdfast/archive/render"
)

// A part is what one file holds.
type part struct {
	n, of    int // as a reader counts the parts of the day
	name     string
	items    []item
	manifest manifest
	people   []render.Person // the participants, in the manifest's order
	files    []file
	text     string
}

// limits are what one file may hold.
type limits struct {
	events int
	bytes  int64 // of the whole file, text and all, by a cautious estimate
}

// allowed is what RSMF allows, with a tenth of the bytes kept for the people.
var allowed = limits{events: 10_000, bytes: 1_800_000_000}

// cost returns about how many bytes an event makes in a file, at most: JSON
// and files as base64 with line breaks, text as quoted-printable.
func cost(it *item) (int64, error) {
	b, err := marshal(&it.ev)
	if err != nil {
		return 0, err
	}
	n := int64(len(b))*2 + int64(len(it.ev.Body))*3 + 1024
	for _, e := range it.ev.Edits {
		n += int64(len(e.New)) * 3
	}
	for _, f := range it.files {
		n += inFile(f.size)
	}
	return n, nil
}

// inFile returns how many bytes a file of n bytes takes at most, as base64
// with its line breaks and its two heads in the zip.
func inFile(n int64) int64 { return n/100*137 + 1024 }

// cut returns how many of the events fit into one file: at least one.
func (w *writer) cut(items []item) (int, error) {
	events, bytes := w.limits.events, w.limits.bytes
	if w.o.Legend != "" {
		events--
		bytes -= int64(len(w.o.Legend))*6 + 1024
	}
	for n := range items {
		c, err := cost(&items[n])
		if err != nil {
			return 0, err
		}
		bytes -= c
		if n > 0 && (n >= events || bytes < 0) {
			return n, nil
		}
	}
	return len(items), nil
}

// fill makes the manifest of a part from its events.
func (w *writer) fill(u *render.Unit, p *part) error {
	here := make(map[string]bool, len(p.items))
	for i := range p.items {
		here[p.items[i].ev.ID] = true
	}
	if w.o.Legend != "" {
		p.items = append([]item{w.legend(&p.items[0])}, p.items...)
	}
	var talks []*talk
	listed := map[*talk][]string{}
	refs := map[string]bool{}
	for i := range p.items {
		it := &p.items[i]
		if parent := it.ev.Parent; parent != "" && !here[parent] {
			it.ev.note("parent_in_another_part", parent)
			it.ev.Parent = ""
		}
		k := it.talk
		if k == nil {
			it.ev.Conversation = "archive"
		} else if _, seen := listed[k]; !seen {
			talks = append(talks, k)
			listed[k] = usrs(k.members(it.moves))
		}
		if k != nil && k.typ == typeDirect {
			listed[k] = append(listed[k], it.refs...)
		}
		for _, usr := range it.named() {
			refs[usr] = true
		}
		p.files = append(p.files, it.files...)
		b, err := marshal(&it.ev)
		if err != nil {
			return err
		}
		p.manifest.Events = append(p.manifest.Events, json.RawMessage(b))
	}
	p.manifest.Version = version
	p.manifest.Collection = w.collection(u, p.items[0].talk)
	p.manifest.Conversations = []conversation{}
	for _, k := range talks {
		in := listed[k]
		slices.Sort(in)
		in = slices.Compact(in)
		for _, usr := range in {
			refs[usr] = true
		}
		c := conversation{ID: k.id, Platform: platform, Participants: orEmpty(in), Display: cmp.Or(render.Visible(k.display), render.Visible(k.id)), Type: k.typ,
			Custodian: custodian(p.items, k)}
		for _, other := range k.names {
			c.Custom = append(c.Custom, custom{"also_named", render.Visible(other)})
		}
		p.manifest.Conversations = append(p.manifest.Conversations, c)
	}
	if slices.ContainsFunc(p.items, func(it item) bool { return it.talk == nil }) {
		p.manifest.Conversations = append(p.manifest.Conversations,
			conversation{ID: "archive", Platform: platform, Participants: w.unplaced(p.items, refs), Display: "Said in no conversation", Type: typeDirect})
	}
	w.participants(u, p, slices.Sorted(maps.Keys(refs)))
	p.text = w.transcript(u, p)
	return nil
}

// unplaced returns the people of the events that have no conversation.
func (w *writer) unplaced(items []item, refs map[string]bool) []string {
	out := []string{}
	for i := range items {
		if items[i].talk == nil {
			out = append(out, items[i].named()...)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	for _, usr := range out {
		refs[usr] = true
	}
	return out
}

// named returns the people whom an event itself names as participants.
func (it *item) named() []string {
	var out []string
	if it.ev.Participant != "" {
		out = append(out, it.ev.Participant)
	}
	for _, e := range it.ev.Edits {
		out = append(out, e.Participant)
	}
	for _, r := range it.ev.Receipts {
		out = append(out, r.Participant)
	}
	for _, r := range it.ev.Reactions {
		out = append(out, r.Participants...)
	}
	return out
}

// legend returns the event that shows the protective order's legend, before
// the first event and at its time.
func (w *writer) legend(first *item) item {
	it := item{at: first.at, seq: first.seq, entry: first.entry, talk: first.talk, moves: first.moves}
	it.ev = event{Type: typeDisclaimer, ID: "legend", Conversation: first.ev.Conversation, Timestamp: first.ev.Timestamp}
	it.ev.Body = it.show("legend", w.o.Legend)
	return it
}

// participants fills in the people whom a part names, with the particulars
// that the directory had as of their first entry in it.
func (w *writer) participants(u *render.Unit, p *part, refs []string) {
	known := map[string]render.Person{}
	others := map[string][]custom{}
	learn := func(who *render.Person) {
		was, seen := known[who.Usr]
		switch {
		case !seen, was == render.Person{Usr: was.Usr}:
			known[who.Usr] = *who
		case who.Name != was.Name && who.Name != "":
			also := custom{"also_named", render.Visible(who.Name)}
			if !slices.Contains(others[who.Usr], also) {
				others[who.Usr] = append(others[who.Usr], also)
			}
		}
	}
	for i := range u.Entries {
		e := &u.Entries[i]
		if e.From != nil {
			learn(e.From)
		}
		for j := range e.To {
			learn(&e.To[j])
		}
		if e.Conversation != nil {
			for j := range e.Conversation.Members {
				learn(&e.Conversation.Members[j])
			}
		}
	}
	p.manifest.Participants = []participant{}
	for _, usr := range refs {
		who := known[usr]
		who.Usr = usr
		p.people = append(p.people, who)
		m := participant{ID: usr, Display: name(&who), Account: usr, Custom: others[usr]}
		if who.Mail != "" && who.Address() == who.Mail {
			m.Email = who.Mail
		} else if who.Mail != "" {
			m.Custom = append(m.Custom, custom{"mail", render.Visible(who.Mail)})
		}
		if who.UPN != "" {
			m.Custom = append(m.Custom, custom{"upn", render.Visible(who.UPN)})
		}
		p.manifest.Participants = append(p.manifest.Participants, m)
	}
}

// collection returns the id that all files of one conversation share.
func (w *writer) collection(u *render.Unit, k *talk) string {
	of := u.Stem
	if k != nil {
		of = k.id
	}
	sum := sha256.Sum256([]byte("holdfast rsmf collection v1\x00" + w.o.Origin + "\x00" + of))
	return hex.EncodeToString(sum[:16])
}

// custodian returns the names of the custodians among a conversation's people.
func custodian(items []item, k *talk) string {
	var all []string
	for i := range items {
		if k == nil || items[i].talk == k {
			all = append(all, items[i].entry.Custodians...)
		}
	}
	slices.Sort(all)
	return render.Visible(strings.Join(slices.Compact(all), "; "))
}

func usrs(list []render.Person) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Usr
	}
	return out
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
