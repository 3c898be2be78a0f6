package retention

import (
	"context"
	"encoding/json"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/reading"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

// entryFacts is what holds and the schedule ask about one entry.
type entryFacts struct {
	leaf  proof.Leaf
	class string         // that counts
	rule  string         // by which the leaf's class was given, as its note says
	typ   string         // of a message, as AMX/1 calls it
	hold  hold.Entry     // what holds ask
	due   schedule.Facts // what the schedule asks
	atts  []attachment   // of a message

	digest, ref [32]byte // of a message, and of the one that it is about
	known, refs bool     // that digest, and ref, are set
	of          uint64   // redelivery and outcome: the entry that it belongs to

	// bereft says that what the entry is about is not in the archive any more, or
	// never was: then its own reception is all that its period can begin with.
	bereft bool
	// looked says that all entries of the log were surveyed before this one was
	// judged: what it is about was looked for. What comes in meanwhile is no matter.
	looked bool
	// reads says of an entry about looking that messages were looked at.
	reads bool
	// doubted says that nobody can tell when what its period begins with was.
	doubted bool
}

// attachment names one sealed attachment in the archive.
type attachment struct {
	bid string
	sum [32]byte // SHA-256 of the sealed bytes
}

// facts gathers what is known of an entry. The state has been caught up past it.
// It is for judging single entries by what the survey knows: call it once the
// survey has come past the entry.
func (b *Book) facts(ctx context.Context, rec archive.Record) (*entryFacts, error) {
	f, err := b.gather(ctx, rec, b.options.People.EverOf)
	if err != nil {
		return nil, err
	}
	f.noteRule(rec.Note)
	if f.leaf.Kind == proof.KindAccess && f.reads && b.survey.unfinished(f.leaf.Seq) {
		f.hold.Unknown = true // the daemon did not live to say whose messages were shown
	}
	b.mu.RLock()
	f.class = b.disposal.classOf(f.leaf)
	triggers := b.inForce.triggers
	b.mu.RUnlock()
	if triggers {
		err = b.dueFacts(ctx, f)
	}
	b.dated(f)
	return f, err
}

// unreadable is what is known of an entry whose body cannot be had: nothing,
// and so it is held.
func (b *Book) unreadable(leaf proof.Leaf) *entryFacts {
	b.mu.RLock()
	defer b.mu.RUnlock()
	f := newFacts(leaf)
	f.class = b.disposal.classOf(leaf)
	f.hold.Unknown, f.hold.Latest = true, b.receivedBy(leaf)
	return f
}

func newFacts(leaf proof.Leaf) *entryFacts {
	at := leaf.ReceivedTime()
	return &entryFacts{
		leaf: leaf, class: leaf.Class,
		hold: hold.Entry{Seq: leaf.Seq, Kind: leaf.Kind, Received: at},
		due:  schedule.Facts{Received: at},
	}
}

// gather reads what an entry says of itself; ever returns whom a relay user
// ever was.
func (b *Book) gather(ctx context.Context, rec archive.Record, ever func(usr string) []string) (*entryFacts, error) {
	f := newFacts(rec.Leaf)
	f.hold.Latest = b.receivedBy(rec.Leaf)
	switch rec.Leaf.Kind {
	case proof.KindMessage:
		b.message(f, rec.Body, ever)
	case proof.KindQuarantine, proof.KindRelay:
		// What the relay says of deliveries names messages in ways that this
		// version does not read: whom it concerns is as unknown as of quarantine.
		f.hold.Kind, f.hold.Unknown = proof.KindQuarantine, true
	case proof.KindRedelivery:
		var body archive.RedeliveryBody
		if err := ijson.Unmarshal(rec.Body, &body); err != nil || body.Of >= rec.Leaf.Seq {
			f.hold.Unknown = true
		} else {
			f.of = body.Of
		}
	case proof.KindAccess:
		f.access(rec.Body)
	case proof.KindOutcome:
		return f, b.outcome(ctx, f, rec.Body, ever)
	}
	return f, nil
}

// noteRule reads by which rule the entry got its class.
func (f *entryFacts) noteRule(note []byte) {
	if len(note) == 0 {
		return
	}
	var n struct {
		Class *archive.ClassNote `json:"class"`
	}
	if json.Unmarshal(note, &n) == nil && n.Class != nil {
		f.rule = n.Class.Rule
	}
}

// message reads a message. One that cannot be understood is unknown.
func (b *Book) message(f *entryFacts, body []byte, ever func(string) []string) {
	compact, err := jws.Parse(body, envelope.TypMessage)
	if err != nil {
		f.hold.Unknown = true
		return
	}
	p, err := envelope.ParsePayload(compact.Payload)
	if err != nil {
		f.hold.Unknown = true
		return
	}
	f.digest, f.known = compact.Digest(), true
	if p.Ref != nil {
		if ref, err := p.Ref.Sum(); err == nil {
			f.ref, f.refs = ref, true
		}
	}
	f.typ, f.hold.Sent, f.hold.Doc = p.Typ, p.SentTime(), b.doc(f.leaf, p, f.digest)
	if p.Conv != nil {
		f.hold.Conversation = p.Conv.ID
	}
	if p.Subject != nil && p.Subject.Born > 0 && p.Subject.Born < 10_000 {
		f.due.Born = int(p.Subject.Born)
	}
	for i := range p.Att {
		if sum, err := p.Att[i].Sum(); err == nil {
			f.atts = append(f.atts, attachment{p.Att[i].BID, sum})
		}
	}
	f.people(p, ever)
}

// people notes whom a message concerns.
func (f *entryFacts) people(p *envelope.Payload, ever func(string) []string) {
	seen := make(map[string]struct{}, 2+len(p.To))
	note := func(usr string) {
		if _, again := seen[usr]; again {
			return
		}
		seen[usr] = struct{}{}
		f.hold.Usrs = append(f.hold.Usrs, usr)
		f.hold.Persons = append(f.hold.Persons, ever(usr)...)
	}
	note(p.Usr)
	for _, to := range p.To {
		note(to.Usr)
	}
	if p.Conv != nil {
		for _, m := range p.Conv.Members {
			note(m.Usr)
		}
	}
}

// doc is the message as queries see it. What says nothing of its own is held
// for whom it names, beside what it is about.
func (b *Book) doc(leaf proof.Leaf, p *envelope.Payload, digest [32]byte) *query.Doc {
	file := reading.Unread
	if b.options.Texts != nil {
		file = b.options.Texts.File
	}
	d := reading.Doc(leaf, p, digest, func(usr string) query.Party { return b.options.Relay.Party(usr, leaf) }, file)
	d.Hangs = false
	return &d
}

// parties returns a message's sender and recipients; the members of its
// conversation where it names no recipients.
func (f *entryFacts) parties() []string {
	d := f.hold.Doc
	if d == nil {
		return nil
	}
	if len(d.To) == 0 {
		return f.hold.Usrs
	}
	out := []string{d.From[0].Usr}
	for _, to := range d.To {
		out = append(out, to.Usr)
	}
	return out
}

// departed returns when the last of the relay users departed; nil while one has
// not, or when it is not known who one is.
func (b *Book) departed(usrs []string) *time.Time {
	var last *time.Time
	for _, usr := range usrs {
		persons := b.options.People.EverOf(usr)
		if len(persons) == 0 {
			return nil
		}
		for _, guid := range persons {
			at, gone := b.options.People.Departed(guid)
			if !gone {
				return nil
			}
			if last == nil || at.After(*last) {
				last = &at
			}
		}
	}
	return last
}
