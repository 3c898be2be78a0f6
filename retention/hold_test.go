package retention

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/retention/hold"
)

const day = 24 * time.Hour

// inTime runs a test of a world in whose bubble time passes when it waits.
func inTime(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// pass lets time pass in the bubble of inTime, in which nobody waits for it.
func pass(d time.Duration) { time.Sleep(d) }

func TestAQueryHoldCatchesTomorrowsMessage(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		before := w.say(msg{text: "sepsis in bed 4"})
		h := w.place(hold.Scope{Query: "sepsis"})
		time.Sleep(day)
		after := w.say(msg{text: "the Sepsis is treated"})
		other := w.say(msg{text: "lunch"})
		for range 2 { // by rule alone, and with the survey
			w.held("before", before.seq, by(h, "query"))
			w.held("tomorrow", after.seq, by(h, "query"))
			w.held("another", other.seq)
			w.settle()
		}
		if v, _ := w.book.Hold(h); v.Held != 2 || v.Through != w.archive.Size() {
			t.Errorf("held %d through %d", v.Held, v.Through)
		}
	})
}

func TestACustodianHoldCatchesARenamedPersonsOldAddress(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		w.person(ann, "ann")
		old := w.say(msg{from: "ann.mueller", to: []string{"x"}})
		family := w.say(msg{typ: envelope.TypReceipt, from: "x", of: old})
		h := w.place(hold.Scope{Custodians: []string{string(ann)}})
		w.settle()
		w.held("before anybody knew", old.seq)
		time.Sleep(day)
		w.match("ann.mueller", ann)
		p := people.Person{GUID: ann, Account: "aschmidt", Name: "Ann Schmidt"}
		w.change(people.Change{Op: people.OpChange, Person: &p, Fields: []string{"account", "name"}})
		w.match("ann.schmidt", ann)
		now := w.say(msg{from: "x", to: []string{"ann.schmidt"}})
		w.settle()
		w.held("her old address", old.seq, by(h, "custodian"))
		w.held("its receipt, by somebody else", family.seq, by(h, WhyFamily))
		w.held("her new address", now.seq, by(h, "custodian"))
		w.held("somebody else's", w.say(msg{from: "x", to: []string{"y"}}).seq)
	})
}

func TestReleaseAndGrace(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		m := w.say(msg{conv: "c1"})
		h := w.place(hold.Scope{Conversations: []string{"c1"}})
		request, p, err := w.book.AskRelease(w.ctx(), officer, h, nil, "settled")
		w.no(err)
		if p.Entries != 1 || len(p.ClassMonths) != 1 || p.ClassMonths[0].Entries != 1 || p.DueNow != 0 {
			t.Errorf("preview: %+v", p)
		}
		if _, err := w.book.ReleaseHold(w.ctx(), officer, request); !errors.Is(err, errNotApproved) {
			t.Errorf("one person released: %v", err)
		}
		w.approve(request)
		v, err := w.book.ReleaseHold(w.ctx(), officer, request)
		w.no(err)
		ends := v.Release.Ends
		if v.State != StateReleasing || ends.Sub(v.Release.At) != DefaultGrace || v.Scopes[0].Lapses == nil || v.Scopes[0].Until != nil {
			t.Errorf("releasing: %+v", v)
		}
		if _, err := w.book.ReleaseHold(w.ctx(), officer, request); !errors.Is(err, ErrReleasing) {
			t.Errorf("released twice: %v", err)
		}
		time.Sleep(time.Until(ends) - time.Millisecond)
		w.held("in the last millisecond", m.seq, by(h, "conversation"))
		w.say(msg{}) // or the archive would not believe the clock when it starts
		w.reopen()
		w.held("after a restart", m.seq, by(h, "conversation"))
		time.Sleep(time.Until(ends))
		w.held("when the grace ended", m.seq)
		w.reopen()
		w.held("after another restart", m.seq)
		v, _ = w.book.Hold(h)
		if v.State != StateReleased || v.Scopes[0].Until == nil || !v.Scopes[0].Until.Equal(ends) || v.Release == nil {
			t.Errorf("released: %+v", v)
		}
		if _, err := w.book.CancelRelease(w.ctx(), officer, h, "too late"); !errors.Is(err, ErrNotReleasing) {
			t.Errorf("cancelled after the grace: %v", err)
		}
		if len(w.book.Holds()) != 1 {
			t.Error("a released hold is not kept")
		}
	})
}

func TestAReleaseIsCancelledWithinItsGrace(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		m := w.say(msg{conv: "c1"})
		h := w.place(hold.Scope{Conversations: []string{"c1"}})
		w.release(h, nil)
		time.Sleep(DefaultGrace - day)
		v, err := w.book.CancelRelease(w.ctx(), second, h, "a new complaint")
		w.no(err)
		if v.State != StateActive || v.Release != nil || v.Scopes[0].Lapses != nil {
			t.Errorf("cancelled: %+v", v)
		}
		time.Sleep(2 * day)
		w.held("after the grace would have ended", m.seq, by(h, "conversation"))
		if _, err := w.book.CancelRelease(w.ctx(), second, h, "again"); !errors.Is(err, ErrNotReleasing) {
			t.Errorf("cancelled twice: %v", err)
		}
		w.release(h, nil) // a new request, because the hold was changed
		w.held("releasing again", m.seq, by(h, "conversation"))
	})
}

func TestTwoPeopleReleaseAHold(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		m := w.say(msg{conv: "c1"})
		h := w.place(hold.Scope{Conversations: []string{"c1"}})
		request, _, err := w.book.AskRelease(w.ctx(), officer, h, nil, "settled")
		w.no(err)
		if err := w.approvals.Decide(w.ctx(), w.archive, officer, request, true, "me too"); err == nil {
			t.Error("who asked approved")
		}
		w.approve(request)
		if _, err := w.book.WidenHold(w.ctx(), officer, h, hold.Scope{Conversations: []string{"c2"}}, "more"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.book.ReleaseHold(w.ctx(), officer, request); !errors.Is(err, ErrNotAsked) {
			t.Errorf("released what was not approved: %v", err)
		}
		// Nor does it when somebody else's entry came between judging and appending.
		r, ok := pairs{w}.Request(request)
		if !ok {
			t.Fatal("no request")
		}
		execution, used, err := w.approvals.Executing(w.ctx(), w.archive, officer, request, approval.HoldRelease, r.Digest)
		w.no(err)
		late, err := entry(kindHold, holdBody{Version: 1, Op: opRelease, Of: h, Last: h, Request: request, By: officer, Reason: "x"})
		w.no(err)
		w.append(execution, late)
		used(nil)
		w.held("released as it was before", m.seq, by(h, "conversation"))
		// Entries that say otherwise release nothing.
		e, err := entry(kindHold, holdBody{Version: 1, Op: opRelease, Of: h, Last: h, Request: request, Grace: 0, By: officer, Reason: "x"})
		w.no(err)
		w.append(e)
		w.held("released by one entry", m.seq, by(h, "conversation"))
		if f := w.book.Faults(); len(f) != 2 || f[0].Code != "not-approved" || f[1].Code != "not-approved" {
			t.Errorf("faults: %v", f)
		}
		w.reopen()
		w.held("after a restart", m.seq, by(h, "conversation"))
	})
}

func TestNarrowingIsARelease(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		a, b := w.say(msg{conv: "c1", text: "one"}), w.say(msg{conv: "c2", text: "two"})
		receipt := w.say(msg{typ: envelope.TypReceipt, from: "bob", of: a})
		h := w.place(hold.Scope{Conversations: []string{"c1", "c2"}})
		keep := &hold.Scope{Conversations: []string{"c1"}}
		p, err := w.book.PreviewRelease(w.ctx(), h, keep)
		w.no(err)
		if p.Entries != 1 {
			t.Errorf("preview: %+v", p)
		}
		if all, err := w.book.PreviewRelease(w.ctx(), h, nil); err != nil || all.Entries != 3 {
			t.Errorf("preview of all: %+v %v", all, err)
		}
		v := w.release(h, keep)
		if v.State != StateReleasing || len(v.Scopes) != 2 || v.Held != 3 {
			t.Errorf("narrowing: %+v", v)
		}
		w.held("in grace", b.seq, by(h, "conversation"))
		time.Sleep(DefaultGrace)
		w.settle()
		w.held("left out", b.seq)
		w.held("kept", a.seq, by(h, "conversation"))
		w.held("kept family", receipt.seq, by(h, WhyFamily))
		if v, _ := w.book.Hold(h); v.State != StateActive || v.Held != 2 {
			t.Errorf("narrowed: %+v", v)
		}
	})
}

func TestLeavingAGroupReleasesNothing(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		w.person(ann, "ann")
		w.person(bob, "bob")
		w.match("ann", ann)
		w.change(people.Change{Op: people.OpAdd, Group: &people.Group{GUID: nurses, Name: "nurses", Members: []people.GUID{ann}}})
		old := w.say(msg{from: "ann", to: []string{"x"}})
		bobs := w.say(msg{from: "bob", to: []string{"x"}})
		h := w.place(hold.Scope{Groups: []string{string(nurses)}})
		time.Sleep(day)
		w.change(people.Change{Op: people.OpChange, Group: &people.Group{GUID: nurses, Name: "nurses"}, Added: []people.GUID{bob}, Removed: []people.GUID{ann}})
		w.match("bob", bob)
		time.Sleep(day)
		new := w.say(msg{from: "x", to: []string{"ann"}})
		w.settle()
		w.held("while she was in it", old.seq, by(h, "group"))
		w.held("after she left", new.seq, by(h, "group"))
		w.held("of who came", bobs.seq, by(h, "group"))
		if !w.book.HeldPerson(string(ann)) || !w.book.HeldPerson(string(bob)) || w.book.HeldPerson(string(cyd)) {
			t.Error("HeldPerson")
		}
		if v, _ := w.book.Hold(h); v.Held != 3 {
			t.Errorf("held %d", v.Held)
		}
	})
}

func TestAHoldIsDurableAndInForceWhenItWasPlaced(t *testing.T) {
	inTime(t, func(w *world) {
		t := w.tb
		w.matter()
		m := w.say(msg{conv: "c1"})
		h, err := w.book.PlaceHold(w.ctx(), officer, NewHold{Matter: "m", Scope: hold.Scope{Conversations: []string{"c1"}}, Reason: "r"})
		w.no(err)
		if h.State != StateActive || h.Matter != "M" {
			t.Errorf("%+v", h)
		}
		w.held("at once", m.seq, by(h.Seq, "conversation"))
		// What lies on the disk when it returns is what a kill right behind it leaves.
		killed := t.TempDir()
		w.no(os.CopyFS(killed, os.DirFS(w.dir)))
		w.no(w.archive.Close())
		w.dir = killed
		w.open()
		w.held("after a kill right behind it", m.seq, by(h.Seq, "conversation"))
	})
}

func TestQuarantineInTheRangeIsHeld(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		early := w.quarantine()
		time.Sleep(day)
		from := time.Now()
		late := w.quarantine()
		damaged := w.append(w.relayEntry(kindMessage, "", struct{}{}, []byte("not a JWS")))
		h := w.place(hold.Scope{Custodians: []string{string(ann)}, From: &from})
		w.held("before the range", early)
		w.held("in it", late, by(h, "unknown content"))
		w.held("what the relay says of deliveries", w.append(w.relayEntry(proof.KindRelay, "", archive.RelayNote{ID: "x", Kind: "relay.delivered"}, []byte("{}"))), by(h, "unknown content"))
		w.held("a message that nobody can read", damaged, by(h, "unknown content"))
	})
}

// release has two people release a hold, or narrow it.
func (w *world) release(seq uint64, keep *hold.Scope) *Hold {
	w.tb.Helper()
	request, _, err := w.book.AskRelease(w.ctx(), officer, seq, keep, "settled")
	w.no(err)
	w.approve(request)
	h, err := w.book.ReleaseHold(w.ctx(), officer, request)
	w.no(err)
	return h
}
