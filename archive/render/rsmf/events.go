package rsmf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/render"
)

// Flags that the archive set when it took a message in.
const (
	flagEditByOther   = "edit-by-other"
	flagRecallByOther = "recall-by-other"
)

// stamp is RFC 3339 with milliseconds and the zone's offset.
const stamp = "2006-01-02T15:04:05.000Z07:00"

// An item is an event on its way into a file, with what else the file needs to
// know of it.
type item struct {
	at    time.Time
	seq   uint64
	ev    event
	entry *render.Entry
	talk  *talk
	refs  []string // usrs of the people it names
	files []file   // in the order of ev.Attachments
	moves int      // of its channel, before it
}

// items returns the events of a unit by time, then seq. Children never stand
// before their parent.
func (w *writer) items(u *render.Unit) ([]item, error) {
	var out []item
	talks := newTalks()
	for _, f := range render.Families(u.Entries) {
		head, err := w.main(&f, talks)
		if err != nil {
			return nil, err
		}
		out = append(out, head)
		for _, e := range f.Others {
			child := w.other(e, talks)
			child.ev.Parent = head.ev.ID
			if child.at.Before(head.at) {
				child.ev.note("claimed_time", child.ev.Timestamp)
				child.at = head.at
				child.ev.Timestamp = w.time(child.at)
			}
			child.talk = head.talk
			child.ev.Conversation = head.ev.Conversation
			out = append(out, child)
		}
	}
	slices.SortStableFunc(out, func(a, b item) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq))
	})
	return w.comings(out), nil
}

// main returns the event of an entry that stands for itself, with its
// versions, receipts and reactions.
func (w *writer) main(f *render.Family, talks *talks) (item, error) {
	e := f.Head
	if e.Kind != "message" || e.Withheld != "" || e.Typ != "msg" {
		// What hangs at it is kept as well as RSMF can say it.
		it := w.other(e, talks)
		w.hang(&it, f)
		return it, w.attach(&it, e)
	}
	it := w.begin(e, talks)
	it.ev.Type = typeMessage
	it.ev.Body = it.show("text", e.Text)
	it.ev.Importance = "normal"
	if e.Prio == "urgent" || e.Prio == "stat" {
		it.ev.Importance = "high"
	}
	w.hang(&it, f)
	if err := w.attach(&it, e); err != nil {
		return it, err
	}
	for _, ed := range f.Edits {
		if err := w.attach(&it, ed); err != nil {
			return it, err
		}
	}
	return it, nil
}

// begin returns the event of an entry with what all events have.
func (w *writer) begin(e *render.Entry, talks *talks) item {
	it := item{at: e.When(), seq: e.Seq, entry: e, talk: talks.of(e)}
	ev := &it.ev
	ev.ID = strconv.FormatUint(e.Seq, 10)
	ev.Timestamp = w.time(it.at)
	if it.talk != nil {
		ev.Conversation = it.talk.id
	}
	if e.From != nil {
		ev.Participant = e.From.Usr
		it.refs = append(it.refs, e.From.Usr)
	}
	for i := range e.To {
		it.refs = append(it.refs, e.To[i].Usr)
	}
	ev.note("event_type", render.Visible(cmp.Or(e.Typ, e.Kind)))
	ev.note("seq", ev.ID)
	ev.note("received", w.time(e.Received))
	if e.Sent.IsZero() {
		ev.note("time_is", "of the archive or relay, not a sender's")
	}
	ev.note("mid", render.Visible(e.Mid))
	ev.note("to", people(e.To))
	ev.note("prio", render.Visible(e.Prio))
	ev.note("lang", render.Visible(e.Lang))
	if s := e.Subject; s != nil {
		ev.note("mrn", render.Visible(s.MRN))
		ev.note("encounter", render.Visible(s.Encounter))
		if s.Born != 0 {
			ev.note("born", strconv.FormatInt(s.Born, 10))
		}
	}
	ev.note("flags", render.Visible(strings.Join(e.Flags, "; ")))
	ev.note("assurance", render.Visible(e.Assurance))
	ev.note("custodians", render.Visible(strings.Join(e.Custodians, "; ")))
	ev.note("holds", render.Visible(strings.Join(e.Holds, "; ")))
	ev.note("bates_begin", e.Bates)
	ev.note("bates_end", e.BatesEnd)
	ev.note("leaf_hash", e.LeafHash)
	if e.Redacted {
		ev.note("redacted", "true")
	}
	ev.note("withheld", render.Visible(e.Withheld))
	return it
}

// other returns the event of an entry that is no message anybody wrote, or of
// which there is only its place.
func (w *writer) other(e *render.Entry, talks *talks) item {
	it := w.begin(e, talks)
	it.ev.Type = typeUnknown
	it.ev.Body = "[" + render.Visible(cmp.Or(e.Typ, e.Kind)) + "]"
	switch {
	case e.Withheld != "":
		it.ev.Body = "[withheld: " + render.Visible(e.Withheld) + "]"
		return it
	case e.Text != "":
		it.ev.Body += " " + it.show("text", e.Text)
	case e.Body != "":
		it.ev.Body += " " + it.show("body", e.Body)
	}
	if e.Status != "" {
		it.ev.Body += " " + render.Visible(e.Status)
		it.ev.note("status", render.Visible(e.Status))
		if !e.StatusAt.IsZero() {
			it.ev.note("status_at", w.time(e.StatusAt))
		}
	}
	if e.Target != nil {
		it.ev.note("about_seq", strconv.FormatUint(*e.Target, 10))
	}
	return it
}

// hang gives an event what hangs at its entry. What RSMF has no place for
// stands in custom values.
func (w *writer) hang(it *item, f *render.Family) {
	w.edits(it, f.Edits)
	for i, r := range f.Recalls {
		label := fmt.Sprintf("recall_%d", i+1)
		it.ev.note(label, fmt.Sprintf("by %s at %s, seq %d", name(r.From), w.time(r.When()), r.Seq))
		it.ev.note(label+"_flags", render.Visible(strings.Join(r.Flags, "; ")))
		if !slices.Contains(r.Flags, flagRecallByOther) {
			it.ev.Deleted = true
		}
	}
	w.receipts(it, f.Receipts)
	reactions(it, f.Reactions)
}

// edits gives an event its versions in the order of the log. An edit by
// somebody else than its sender is kept, and does not change what the event says.
func (w *writer) edits(it *item, edits []*render.Entry) {
	for i, e := range edits {
		label := fmt.Sprintf("edit_%d", i+1)
		at := e.When()
		if at.Before(it.at) {
			it.ev.note(label+"_claimed_time", w.time(at))
			at = it.at
		}
		text := it.show(label, e.Text)
		if e.Withheld != "" {
			text = "[withheld: " + render.Visible(e.Withheld) + "]"
		}
		it.ev.note(label+"_seq", strconv.FormatUint(e.Seq, 10))
		it.ev.note(label+"_flags", render.Visible(strings.Join(e.Flags, "; ")))
		it.ev.note(label+"_bates", e.Bates)
		if e.From == nil {
			it.ev.note(label+"_text", text)
			continue
		}
		it.refs = append(it.refs, e.From.Usr)
		it.ev.Edits = append(it.ev.Edits, edit{e.From.Usr, w.time(at), it.ev.Body, text})
		if it.ev.Type == typeMessage && !slices.Contains(e.Flags, flagEditByOther) {
			it.ev.Body = text
		}
	}
}

// receipts gives an event who got and read it. RSMF knows no acknowledgement:
// it is a reading, and said in a custom value.
func (w *writer) receipts(it *item, receipts []*render.Entry) {
	for i, e := range receipts {
		at := e.StatusAt
		if at.IsZero() {
			at = e.When()
		}
		action := "read"
		if e.Status == "delivered" {
			action = "delivered"
		}
		if e.Status != action || e.From == nil {
			it.ev.note(fmt.Sprintf("receipt_%d", i+1), fmt.Sprintf("%s by %s at %s, seq %d", render.Visible(e.Status), name(e.From), w.time(at), e.Seq))
		}
		if e.From == nil {
			continue
		}
		it.refs = append(it.refs, e.From.Usr)
		it.ev.Receipts = append(it.ev.Receipts, receipt{e.From.Usr, w.time(at), action})
	}
}

// reactions gives an event its reactions, those of one value together, each person once.
func reactions(it *item, entries []*render.Entry) {
	for _, e := range entries {
		value := cmp.Or(it.show("reaction", e.Text), "[no text]")
		if e.From == nil {
			it.ev.note("reaction", value)
			continue
		}
		i := slices.IndexFunc(it.ev.Reactions, func(r reaction) bool { return r.Value == value })
		if i < 0 {
			i = len(it.ev.Reactions)
			it.ev.Reactions = append(it.ev.Reactions, reaction{Value: value})
		}
		r := &it.ev.Reactions[i]
		if !slices.Contains(r.Participants, e.From.Usr) {
			it.refs = append(it.refs, e.From.Usr)
			r.Participants = append(r.Participants, e.From.Usr)
			r.Count++
		}
	}
}

// show returns text with its line breaks, in which nothing steers a reader's
// screen, and notes under the name of what it was that something was escaped.
func (it *item) show(what, text string) string {
	shown := render.Lines(text)
	if shown != strings.ReplaceAll(text, "\r\n", "\n") {
		it.ev.note("escaped", what)
	}
	return shown
}

// time returns t as RSMF writes it, in the production's zone.
func (w *writer) time(t time.Time) string {
	return t.In(w.zone).Format(stamp)
}

// name returns how a person is called in running text.
func name(p *render.Person) string {
	if p == nil {
		return "(nobody)"
	}
	return cmp.Or(render.Visible(cmp.Or(p.Name, p.UPN, p.Usr)), "(no name)")
}

func people(list []render.Person) string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = name(&list[i])
	}
	return strings.Join(names, "; ")
}
