package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/render"
)

// A story is a unit as a reader of pages is told it. All its strings are safe
// to show but not yet escaped for a format; those called text have line breaks.
type story struct {
	title  string
	facts  []fact
	legend []string // text, line by line
	blocks []block
}

type fact struct{ name, value string }

// A block is one entry with all that hangs at it.
type block struct {
	entry    *render.Entry
	time     string
	who      string
	marks    []string // what a reader must not overlook: EDITED, RECALLED, ...
	versions []version
	files    []fileRow
	events   []string // what became of it: recalls, receipts, reactions, ...
	facts    []fact
	bates    []string // the Bates numbers of all entries in it, in order
}

// A version is what was said, and again with each edit.
type version struct {
	label string // "" when there is but one
	text  string
	lang  string // BCP 47, where the sender said one of its form
	dim   bool   // it is not what the message says now
}

// A fileRow is one attachment.
type fileRow struct{ name, kind, size, state, bates, sha256 string }

// stamp is how times are shown: the production's zone, with its offset.
const stamp = "2006-01-02 15:04:05.000 -07:00"

// teller tells stories with the same options.
type teller struct {
	o    render.Options
	zone *time.Location
}

func newTeller(o render.Options) teller {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	return teller{o, o.Zone}
}

// tell returns the story of a unit.
func (t teller) tell(u *render.Unit) *story {
	s := &story{title: "Messages"}
	people := newCast()
	var names []string
	for i := range u.Entries {
		e := &u.Entries[i]
		people.see(e)
		if c := e.Conversation; c != nil {
			name := render.Visible(cmp.Or(c.Name, c.ID))
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 {
		s.title = names[0]
	}
	add := func(name, value string) {
		if value != "" {
			s.facts = append(s.facts, fact{name, value})
		}
	}
	if u.Day != "" {
		add("Day", fmt.Sprintf("%s (%s)", u.Day, t.zone))
	} else {
		add("Times in", t.zone.String())
	}
	if u.Parts > 1 {
		add("Part", fmt.Sprintf("%d of %d", u.Part, u.Parts))
	}
	add("Also called", strings.Join(names[min(1, len(names)):], "; "))
	add("Conversation", conversations(u))
	add("People", strings.Join(people.list(), "; "))
	add("Archive", render.Visible(t.o.Origin))
	first, last := span(u)
	add("Bates", dash(first, last))
	if t.o.Legend != "" {
		s.legend = strings.Split(render.Lines(t.o.Legend), "\n")
	}
	for _, f := range render.Families(u.Entries) {
		s.blocks = append(s.blocks, t.block(&f))
	}
	return s
}

// block tells of one entry and what hangs at it.
func (t teller) block(f *render.Family) block {
	e := f.Head
	b := block{entry: e, time: t.when(e), who: people(e), bates: bates(f)}
	b.mark(e, f)
	t.say(&b, f)
	for _, of := range append([]*render.Entry{e}, f.Edits...) {
		for i := range of.Attachments {
			b.files = append(b.files, row(&of.Attachments[i]))
		}
	}
	t.became(&b, f)
	t.facts(&b, e)
	return b
}

// mark says what a reader must not overlook.
func (b *block) mark(e *render.Entry, f *render.Family) {
	add := func(when bool, mark string) {
		if when && !slices.Contains(b.marks, mark) {
			b.marks = append(b.marks, mark)
		}
	}
	add(e.Prio == "stat" || e.Prio == "urgent", strings.ToUpper(e.Prio))
	add(e.Kind != "message" || e.Typ != "msg", strings.ToUpper(render.Visible(cmp.Or(e.Typ, e.Kind))))
	add(len(f.Edits) > 0, "EDITED")
	for _, r := range f.Recalls {
		if slices.Contains(r.Flags, "recall-by-other") {
			add(true, "RECALL BY SOMEBODY ELSE")
		} else {
			add(true, "RECALLED")
		}
	}
	for _, of := range append([]*render.Entry{e}, f.Edits...) {
		add(of.Redacted, "REDACTED")
		add(of.Withheld != "", "WITHHELD")
	}
	for _, flag := range e.Flags {
		add(true, strings.ToUpper(render.Visible(flag)))
	}
}

// say adds what was said, and each further version of it.
func (t teller) say(b *block, f *render.Family) {
	e := f.Head
	v := version{text: said(e), lang: lang(e.Lang)}
	if len(f.Edits) == 0 {
		b.versions = []version{v}
		return
	}
	v.label, v.dim = "Version 1, as sent "+t.when(e), true
	b.versions = append(b.versions, v)
	now := 0
	for i, ed := range f.Edits {
		v := version{text: said(ed), lang: lang(ed.Lang), dim: true}
		v.label = fmt.Sprintf("Version %d, %s by %s, %s", i+2, t.when(ed), people(ed), place(ed))
		if slices.Contains(ed.Flags, "edit-by-other") {
			v.label += ", who did not send it: it does not change what the message says"
		} else {
			now = i + 1
		}
		b.versions = append(b.versions, v)
	}
	b.versions[now].dim = false
}

// became adds what became of the entry, each with its place in the log.
func (t teller) became(b *block, f *render.Family) {
	add := func(format string, args ...any) { b.events = append(b.events, fmt.Sprintf(format, args...)) }
	for _, r := range f.Recalls {
		by := ""
		if slices.Contains(r.Flags, "recall-by-other") {
			by = ", who did not send it"
		}
		add("Recalled %s by %s%s, %s", t.when(r), people(r), by, place(r))
	}
	for _, r := range f.Receipts {
		at := r.StatusAt
		if at.IsZero() {
			at = r.When()
		}
		add("%s %s by %s, %s", capital(render.Visible(r.Status)), t.time(at), people(r), place(r))
	}
	for _, r := range f.Reactions {
		add("Reaction %s %s by %s, %s", cmp.Or(render.Visible(r.Text), "(no text)"), t.when(r), people(r), place(r))
	}
	for _, o := range f.Others {
		what := capital(render.Visible(cmp.Or(o.Typ, o.Kind)))
		detail := ""
		if body := render.Visible(cmp.Or(o.Text, o.Body)); body != "" && o.Withheld == "" {
			detail = ": " + body
		}
		by := ""
		if o.From != nil {
			by = " by " + people(o)
		}
		add("%s %s%s, %s%s", what, t.when(o), by, place(o), detail)
	}
}

// facts adds the entry's place and particulars.
func (t teller) facts(b *block, e *render.Entry) {
	add := func(name, value string) {
		if value != "" {
			b.facts = append(b.facts, fact{name, value})
		}
	}
	add("To", list(e.To))
	if s := e.Subject; s != nil {
		add("MRN", render.Visible(s.MRN))
		add("Encounter", render.Visible(s.Encounter))
		if s.Born != 0 {
			add("Born", strconv.FormatInt(s.Born, 10))
		}
	}
	if e.Status != "" {
		at := ""
		if !e.StatusAt.IsZero() {
			at = " " + t.time(e.StatusAt)
		}
		add("Status", render.Visible(e.Status)+at)
	}
	if e.Target != nil {
		add("About", "seq "+strconv.FormatUint(*e.Target, 10))
	}
	add("Seq", strconv.FormatUint(e.Seq, 10))
	add("Bates", dash(e.Bates, e.BatesEnd))
	if !e.Received.IsZero() {
		add("Received", t.time(e.Received))
	}
	add("Sender's device", render.Visible(e.Assurance))
	add("Custodians", render.Visible(strings.Join(e.Custodians, "; ")))
	add("Held by", render.Visible(strings.Join(e.Holds, "; ")))
	add("Leaf hash", e.LeafHash)
}

// said returns an entry's text, or what stands in its place.
func said(e *render.Entry) string {
	switch {
	case e.Withheld != "":
		return "[withheld: " + render.Visible(e.Withheld) + "]"
	case e.Text != "":
		return render.Lines(e.Text)
	case e.Kind == "message" && e.Typ == "member" && e.Conversation != nil:
		return "The members are now: " + list(e.Conversation.Members)
	case e.Body != "":
		return render.Lines(e.Body)
	}
	return ""
}

func row(a *render.Attachment) fileRow {
	r := fileRow{name: render.Visible(a.Name), kind: render.Visible(a.MIME), size: strconv.FormatInt(a.Size, 10), bates: a.Bates, sha256: a.SHA256}
	if a.Path != "" {
		r.state = render.Visible(a.Path)
	} else {
		r.state = "not produced: " + cmp.Or(render.Visible(a.Status), "not there")
	}
	return r
}

func (t teller) time(at time.Time) string { return at.In(t.zone).Format(stamp) }

func (t teller) when(e *render.Entry) string {
	if at := e.When(); !at.IsZero() {
		return t.time(at)
	}
	return "(no time)"
}

// place returns where an entry stands in the log, and in the production.
func place(e *render.Entry) string {
	s := "seq " + strconv.FormatUint(e.Seq, 10)
	if e.Bates != "" {
		s += ", " + dash(e.Bates, e.BatesEnd)
	}
	if e.Withheld != "" {
		s += ", withheld: " + render.Visible(e.Withheld)
	}
	return s
}

// lang returns a language tag that is one by its form (BCP 47), else "".
func lang(s string) string {
	if len(s) < 2 || len(s) > 35 || strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return ""
	}
	return s
}

func capital(s string) string {
	if s == "" {
		return "(no status)"
	}
	if 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

func dash(first, last string) string {
	if last == "" || last == first {
		return first
	}
	return first + " – " + last
}
