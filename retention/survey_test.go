package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"testing"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/retention/hold"
)

func TestTheFamilyIsHeld(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		original := w.say(msg{text: "bed four"})
		first := w.say(msg{typ: envelope.TypEdit, text: "bed five", of: original})
		second := w.say(msg{typ: envelope.TypEdit, text: "sepsis in bed five", of: first})
		receipt := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: original})
		reaction := w.say(msg{typ: envelope.TypReaction, from: "bob", of: second})
		recall := w.say(msg{typ: envelope.TypRecall, of: original})
		e, _ := w.message(msg{from: "ann", to: []string{"bob"}})
		e.Kind, e.Dedupe, e.Body = proof.KindRedelivery, nil, fmt.Appendf(nil, `{"of":%d}`, original.seq)
		again := w.append(e)
		other := w.say(msg{text: "lunch"})
		otherReceipt := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: other})
		h := w.place(hold.Scope{Query: "sepsis"})
		w.held("the original, as long as its family is not known", original.seq)
		w.settle()
		for what, seq := range map[string]uint64{
			"the original": original.seq, "a version between": first.seq, "a receipt": receipt.seq, "a reaction": reaction.seq,
			"a recall": recall.seq, "a redelivery": again,
		} {
			w.held(what, seq, by(h, WhyFamily))
		}
		w.held("what matches", second.seq, by(h, "query"))
		w.held("another", other.seq)
		w.held("another's receipt", otherReceipt.seq)
		late := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: first})
		w.held("a receipt that was not surveyed", late.seq, by(h, WhyFamily))
		w.settle()
		w.held("and that was", late.seq, by(h, WhyFamily))
		if v, _ := w.book.Hold(h); v.Held != 8 {
			t.Errorf("held %d", v.Held)
		}
	})
}

// What refers to a message may come before it.
func TestAFamilyThatComesBackwards(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		h := w.place(hold.Scope{Query: "sepsis"})
		e, original := w.message(msg{from: "ann", to: []string{"bob"}, text: "sepsis"})
		w.relaySeq-- // it comes later
		one := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: original})
		w.settle()
		two := w.say(msg{typ: envelope.TypReceipt, from: "cyd", of: original})
		w.settle()
		w.held("before the message came", one.seq)
		w.relaySeq++
		e.RelaySeq = w.relaySeq
		w.append(e)
		w.settle()
		w.held("the first receipt", one.seq, by(h, WhyFamily))
		w.held("the second receipt", two.seq, by(h, WhyFamily))
		if v, _ := w.book.Hold(h); v.Held != 3 {
			t.Errorf("held %d", v.Held)
		}
	})
}

// When a conversation closed, and who came and went, is part of what was said in it.
func TestAHoldKeepsWhatGivesAConversationItsMeaning(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		came := w.say(msg{typ: envelope.TypMember, conv: "c1"})
		w.say(msg{conv: "c1", text: "sepsis"})
		closed := w.say(msg{typ: envelope.TypClose, conv: "c1"})
		other := w.say(msg{typ: envelope.TypClose, conv: "c2"})
		h := w.place(hold.Scope{Query: "sepsis"})
		w.settle()
		after := w.say(msg{typ: envelope.TypMember, conv: "c1"})
		w.settle()
		w.held("who came", came.seq, by(h, WhyFamily))
		w.held("that it closed", closed.seq, by(h, WhyFamily))
		w.held("who came later", after.seq, by(h, WhyFamily))
		w.held("another's close", other.seq)
	})
}

func TestMembersOfTheConversationAtTheTimeAreCustodians(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		w.person(ann, "ann")
		w.match("ann", ann)
		m := w.say(msg{from: "x", to: []string{"y"}, conv: "c1", members: []string{"x", "y", "ann"}})
		h := w.place(hold.Scope{Custodians: []string{string(ann)}})
		w.held("a member's", m.seq, by(h, "custodian"))
	})
}

func TestAnAttachmentWithoutTextIsHeldWhenTheOtherTermsMatch(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		picture := w.say(msg{from: "ann", to: []string{"bob"}, file: "scan.png"})
		others := w.say(msg{from: "cyd", to: []string{"bob"}, file: "scan.png", bid: 1})
		h := w.place(hold.Scope{Query: "from:ann AND sepsis"})
		w.held("hers", picture.seq, by(h, "query: attachments without text"))
		w.held("another's", others.seq)
	})
}

func TestWhoSharesAnAttachment(t *testing.T) {
	inTime(t, func(w *world) {
		a, b := w.say(msg{file: "scan.png"}), w.say(msg{file: "copy.png"})
		c := w.say(msg{file: "other.png", bid: 1})
		w.settle()
		rec, err := w.archive.Record(w.ctx(), a.seq)
		w.no(err)
		f, err := w.book.facts(w.ctx(), rec)
		w.no(err)
		if got := w.book.sharers(f.atts[0].bid, f.atts[0].sum); !reflect.DeepEqual(got, []uint64{a.seq, b.seq}) {
			t.Errorf("%v", got)
		}
		rec, err = w.archive.Record(w.ctx(), c.seq)
		w.no(err)
		f, err = w.book.facts(w.ctx(), rec)
		w.no(err)
		if got := w.book.sharers(f.atts[0].bid, f.atts[0].sum); !reflect.DeepEqual(got, []uint64{c.seq}) {
			t.Errorf("%v", got)
		}
	})
}

func (w *world) look(a audit.Access, o *audit.Outcome) (access, outcome uint64) {
	w.tb.Helper()
	a.Version, a.Principal = 1, officer
	body, err := json.Marshal(a)
	w.no(err)
	access = w.append(archive.Entry{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: body})
	if o != nil {
		o.Version, o.Of, o.Result = 1, access, audit.ResultShown
		body, err = json.Marshal(o)
		w.no(err)
		outcome = w.append(archive.Entry{Kind: proof.KindOutcome, Class: proof.ClassAudit, Body: body})
	}
	return access, outcome
}

func TestWhoLookedAtWhatIsHeldIsHeld(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		w.person(ann, "ann")
		w.match("ann", ann)
		search := audit.Access{Action: audit.ActionSearch, Reason: "r"}
		hers, saw := w.look(search, &audit.Outcome{Custodians: []string{"ann", "x"}})
		others, none := w.look(search, &audit.Outcome{Custodians: []string{"x"}})
		many, of := w.look(search, &audit.Outcome{Many: true})
		unfinished, _ := w.look(search, nil)
		matter, shown := w.look(audit.Access{Action: audit.ActionSearch, Matter: "M"}, &audit.Outcome{Custodians: []string{}})
		login, _ := w.look(audit.Access{Action: audit.ActionLogin}, nil)
		people, listed := w.look(audit.Access{Action: audit.ActionDirectory}, &audit.Outcome{})
		about, _ := w.look(audit.Access{Action: audit.ActionReport, Target: string(ann)}, nil)
		h := w.place(hold.Scope{Custodians: []string{string(ann)}})
		w.settle()
		w.held("a search that showed her", hers, by(h, WhyFamily))
		w.held("and its outcome", saw, by(h, "audit"))
		w.held("one that did not", others)
		w.held("and its outcome", none)
		w.held("one of too many", many, by(h, WhyFamily))
		w.held("and its outcome", of, by(h, "unknown content"))
		w.held("one without an outcome", unfinished, by(h, "unknown content"))
		w.held("one for the matter", matter, by(h, "audit"))
		w.held("and its outcome", shown, by(h, WhyFamily))
		w.held("a login", login)
		w.held("a look at the directory", people)
		w.held("and its outcome", listed)
		w.held("a report about her", about, by(h, "audit"))
	})
}

func TestAHoldPlacedLaterIsMaterialisedBehind(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		w.book.survey.batch = 8
		for i := range 48 {
			w.bulk(i)
		}
		w.flush()
		w.settle()
		h := w.place(hold.Scope{Conversations: []string{"c1"}})
		v, _ := w.book.Hold(h)
		if v.Through != 0 || v.Held != 0 || w.book.Survey().Through != 0 {
			t.Errorf("%+v", v)
		}
		for range 2 { // the log's end, and the first entries for the new hold
			more, err := w.book.step(w.ctx())
			w.no(err)
			if !more {
				t.Error("nothing to do")
			}
		}
		if v, _ = w.book.Hold(h); v.Through != 8 || v.Held == 0 {
			t.Errorf("after two steps: %d through %d", v.Held, v.Through)
		}
		w.settle()
		if v, _ = w.book.Hold(h); v.Through != w.archive.Size() || v.Held != 16 {
			t.Errorf("settled: %d through %d of %d", v.Held, v.Through, w.archive.Size())
		}
	})
}

// bulk collects messages, of which every third is of conversation c1; flush
// appends them.
func (w *world) bulk(i int) {
	w.tb.Helper()
	e, _ := w.message(msg{from: "ann", to: []string{"bob"}, conv: fmt.Sprintf("c%d", i%3)})
	if w.pending = append(w.pending, e); len(w.pending) == 512 {
		w.flush()
	}
}

func (w *world) flush() {
	w.tb.Helper()
	if len(w.pending) > 0 {
		w.append(w.pending...)
	}
	w.pending = nil
}

// dump is everything that a Book would answer about matters, holds and schedules.
func (w *world) dump() string {
	w.tb.Helper()
	w.settle()
	s, seq, text := w.book.Schedule()
	d, by := w.book.Classify(scheduleMessage)
	b, err := json.MarshalIndent([]any{w.book.Matters(), w.book.Holds(), s, seq, text, w.book.ScheduleGroups(), d, by, w.book.Faults()}, "", " ")
	w.no(err)
	return string(b)
}

// The Book needs class control alone.
func TestTheBookIsRebuiltFromControlAlone(t *testing.T) {
	inTime(t, func(w *world) {
		w.busy()
		before := w.dump()
		w.begin(control{w.archive, t})
		w.book.options.Log = noAudit{w.archive}
		after := w.dump()
		// Accesses whose bodies are gone are unknown, so that more may be held; all else is the same.
		counts := regexp.MustCompile(`"held": \d+`)
		if b, a := counts.ReplaceAllString(before, ""), counts.ReplaceAllString(after, ""); a != b {
			t.Errorf("before:\n%s\nafter:\n%s", b, a)
		}
	})
}

// control is an archive of which nothing but class control may be read.
type control struct {
	*archive.Archive
	tb testing.TB
}

func (c control) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	if class != proof.ClassControl {
		c.tb.Errorf("class %s was read", class)
	}
	return c.Archive.ClassRecords(ctx, class, from, to)
}

// noAudit is an archive whose audit files are gone.
type noAudit struct{ Log }

func (n noAudit) Records(ctx context.Context, from, to uint64) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		for rec, err := range n.Log.Records(ctx, from, to) {
			if err == nil && rec.Leaf.Class == proof.ClassAudit {
				rec, err = archive.Record{Leaf: rec.Leaf}, &archive.SeqError{Seq: rec.Leaf.Seq, Err: archive.ErrDamaged}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// busy does a little of everything.
func (w *world) busy() {
	w.tb.Helper()
	w.matter()
	w.person(ann, "ann")
	w.match("ann", ann)
	w.change(people.Change{Op: people.OpAdd, Group: &people.Group{GUID: nurses, Name: "nurses", Members: []people.GUID{ann}}})
	_, err := w.book.ApplySchedule(w.ctx(), officer, []byte(plainSchedule), "first", false)
	w.no(err)
	w.say(msg{conv: "c1"})
	w.look(audit.Access{Action: audit.ActionSearch, Matter: "M"}, &audit.Outcome{Custodians: []string{"ann"}})
	a := w.place(hold.Scope{Custodians: []string{string(ann)}})
	b := w.place(hold.Scope{Query: "sepsis OR from:ann"})
	c := w.place(hold.Scope{Groups: []string{string(nurses)}})
	_, err = w.book.WidenHold(w.ctx(), second, a, hold.Scope{Conversations: []string{"c1"}}, "more")
	w.no(err)
	w.no(w.book.Notice(w.ctx(), officer, a, Notice{Custodian: string(ann), State: NoticeSent, Text: "keep"}))
	w.release(b, &hold.Scope{Query: "sepsis"})
	w.release(c, nil)
	_, err = w.book.CancelRelease(w.ctx(), officer, c, "no")
	w.no(err)
	pass(DefaultGrace)
	w.say(msg{conv: "c1"})
}

func TestMalformedEntriesAreRefused(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		h := w.place(hold.Scope{All: true})
		before := w.dump()
		for _, kind := range []proof.Kind{proof.KindMatter, proof.KindHold, proof.KindSchedule} {
			for _, body := range []string{``, `{}`, `{"v":2}`, `[]`, `{"v":1,"op":7}`, `{"v":"1"}`} {
				if kind == proof.KindSchedule && body == `{"v":1,"op":7}` {
					continue
				}
				rec := archive.Record{Leaf: proof.Leaf{Seq: w.archive.Size(), Kind: kind}, Body: []byte(body)}
				if err := w.book.Apply(rec); err == nil {
					t.Errorf("%s %s was taken", kind, body)
				}
			}
		}
		for _, body := range []string{`{"v":1,"op":"place","matter":"M"}`, fmt.Sprintf(`{"v":1,"op":"widen","of":%d}`, h)} {
			if err := w.book.Apply(archive.Record{Leaf: proof.Leaf{Seq: w.archive.Size(), Kind: proof.KindHold}, Body: []byte(body)}); err == nil {
				t.Errorf("%s was taken", body)
			}
		}
		if after := w.dump(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		// What is well formed and breaks a rule is kept as a fault, and what it would hold is held.
		w.append(archive.Entry{Kind: proof.KindHold, Class: proof.ClassControl, Body: []byte(`{"v":1,"op":"widen","of":1,"scope":{"all":true}}`)})
		w.append(archive.Entry{Kind: proof.KindHold, Class: proof.ClassControl, Body: []byte(`{"v":1,"op":"place","matter":"none","scope":{"all":true}}`)})
		w.append(archive.Entry{Kind: proof.KindMatter, Class: proof.ClassControl, Body: []byte(`{"v":1,"op":"close","id":"M"}`)})
		codes := ""
		for _, f := range w.book.Faults() {
			codes += f.Code + " "
		}
		if codes != "unknown-hold unknown-matter matter-held " || len(w.book.Holds()) != 2 {
			t.Errorf("%q, %d holds", codes, len(w.book.Holds()))
		}
	})
}

// FuzzApply has a Book read any body; it takes it or leaves everything as it is.
func FuzzApply(f *testing.F) {
	f.Add(uint8(0), []byte(`{"v":1,"op":"open","id":"M","members":["uid:0"],"by":{"name":"x"},"reason":"r"}`))
	f.Add(uint8(1), []byte(`{"v":1,"op":"place","matter":"M","scope":{"all":true},"by":{"name":"x"},"reason":"r"}`))
	f.Add(uint8(1), []byte(`{"v":1,"op":"release","of":1,"last":1,"request":9,"grace":9007199254740991,"by":{"name":"x"}}`))
	f.Add(uint8(2), []byte(`{"v":1,"text":"version = 1\n","groups":null,"by":{"name":"x"},"reason":"r"}`))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		b := New(Options{Log: nothing{}, People: nobody{}, Requests: noRequests{}})
		k := []proof.Kind{proof.KindMatter, proof.KindHold, proof.KindSchedule}[kind%3]
		err := b.Apply(archive.Record{Leaf: proof.Leaf{Seq: 1, Kind: k}, Body: body})
		if err == nil && ijson.Check(body) != nil {
			t.Error("malformed JSON was taken")
		}
		if _, err := json.Marshal([]any{b.Matters(), b.Holds()}); err != nil {
			t.Error(err)
		}
	})
}
