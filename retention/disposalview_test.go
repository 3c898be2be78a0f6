package retention

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
)

func TestCompleteOnlyWhenNoCopyIsLeft(t *testing.T) {
	synctest.Test(t, testCompleteOnlyWhenNoCopyIsLeft)
}

func testCompleteOnlyWhenNoCopyIsLeft(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	l.keys = []archive.RecipientKey{{KID: "k1", Made: l.Now().Add(-aMonth), NotAfter: l.Now().Add(11 * aMonth)}, {KID: "old", Made: l.Now().Add(-30 * aMonth), NotAfter: l.Now().Add(-18 * aMonth)}}
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "vault", Keyring: 1}); err != nil {
		t.Fatal(err)
	}
	// The data alone opens nothing.
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "backup-1", What: CopyBackup, Where: "vault", Keyring: 1, Keyless: true}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a keyring without keys", s.book.NoteCopy(t.Context(), olga, Copy{ID: "k", What: CopyRecovery, Where: "x", Keyless: true}), ErrInvalid)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	c := s.run(s.planned().Seq).Certificates[0]
	if c.Complete || len(c.Copies) != 2 || c.Copies[0].ID != "tape-1" || c.Copies[1].ID != "k1" || !c.Copies[1].Until.Equal(l.keys[0].NotAfter.Add(archive.RelayBuffering)) {
		t.Fatalf("certificate %+v", c)
	}
	// A copy made afterwards cannot open it.
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-2", What: CopyBackup, Where: "vault", Keyring: 2}); err != nil {
		t.Fatal(err)
	}
	complete := func() *Certificate {
		t.Helper()
		if err := s.book.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, ok := s.book.CertificateFor(a, l.recs[a].Leaf)
		if !ok {
			t.Fatal("no certificate")
		}
		return got
	}
	if err := s.book.CopyGone(t.Context(), olga, "tape-1", "shredded"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "gone twice", s.book.CopyGone(t.Context(), olga, "tape-1", "shredded"), ErrCopyUnknown)
	wantErr(t, "an id used again", s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "x"}), ErrCopyKnown)
	if got := complete(); got.Seq != c.Seq || got.Complete {
		t.Errorf("a key is left: %+v", got)
	}
	l.keys = nil
	full := complete()
	if !full.Complete || full.Of != c.Seq || len(full.Copies) != 0 || full.Ranges != c.Ranges {
		t.Errorf("complete: %+v", full)
	}
	if _, err := VerifyCertificate([]byte(full.JWS), l.id); err != nil {
		t.Error(err)
	}
	if first, _ := s.book.Certificate(c.Seq); first.Continued != full.Seq {
		t.Errorf("continued by %d, want %d", first.Continued, full.Seq)
	}
	if again := complete(); again.Seq != full.Seq {
		t.Error("a further certificate without anything new")
	}
	// An old copy comes up: what was said is not true any more.
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "found", What: CopySnapshot, Where: "an old disk"}); err != nil {
		t.Fatal(err)
	}
	if got := complete(); got.Complete || got.Copies[0].ID != "found" {
		t.Errorf("a copy came up: %+v", got)
	}
}

func TestRebuiltTheSame(t *testing.T) { synctest.Test(t, testRebuiltTheSame) }

func testRebuiltTheSame(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	s.run(s.planned().Seq)
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "vault", Keyring: 9}); err != nil {
		t.Fatal(err)
	}
	view := func() string {
		return fmt.Sprintf("%+v %+v %+v %+v %+v", s.book.Plans(), s.book.Certificates(), s.book.Copies(), s.book.Matters(), s.book.Holds()[0].Scopes)
	}
	before := view()
	// Every file of class audit is gone, and so is the state.
	for seq, r := range l.recs {
		if r.Leaf.Class == proof.ClassAudit {
			l.damaged[uint64(seq)] = true
		}
	}
	s.reopen()
	if after := view(); after != before {
		t.Errorf("rebuilt\n%s\nwas\n%s", after, before)
	}
	s.want(a, true)
}

func TestExplain(t *testing.T) { synctest.Test(t, testExplain) }

func testExplain(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	a, digest := s.send(letter{from: "anna", to: "bela", body: "one"})
	r, _ := s.send(letter{typ: envelope.TypReceipt, from: "bela", to: "anna", ref: &digest})
	h := s.place(custodian("bela"))
	explain := func(seq uint64) *Explanation {
		t.Helper()
		x, err := s.book.Explain(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := explain(a)
	if x.State != EntryHeld || len(x.HeldBy) != 1 || x.HeldBy[0].Hold != h || x.Class != "general" || x.Trigger != "received" || x.Period == "" || len(x.Family) != 1 || x.Family[0] != r {
		t.Errorf("held: %+v", x)
	}
	if len(x.Text) != 3 || !strings.Contains(x.Text[0], "released") || x.Due == nil {
		t.Errorf("text %q", x.Text)
	}
	s.release(h)
	s.advance(DefaultGrace + time.Hour)
	if x := explain(a); x.State != EntryKept {
		t.Errorf("kept: %+v", x)
	}
	s.advance(4 * aMonth)
	if x := explain(a); x.State != EntryDue {
		t.Errorf("due: %+v", x)
	}
	p := s.planned()
	if x := explain(a); x.State != EntryPlanned || x.Plans[0] != p.Seq {
		t.Errorf("planned: %+v", x)
	}
	ran := s.run(p.Seq)
	if x := explain(a); x.State != EntryDisposed || x.Certificate != ran.Certificates[0].Seq {
		t.Errorf("disposed: %+v", x)
	}
	if x := explain(h); x.State != EntryKept || !strings.Contains(x.Text[0], "control") {
		t.Errorf("control: %+v", x)
	}
	if _, err := s.book.Explain(t.Context(), 1<<40); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("no such entry: %v", err)
	}
}

func TestGauges(t *testing.T) { synctest.Test(t, testGauges) }

func testGauges(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	s.send(letter{from: "anna", to: "bela", body: "one"})
	reckon := func() Gauges {
		t.Helper()
		if err := s.book.Reckon(context.Background()); err != nil {
			t.Fatal(err)
		}
		return s.book.Gauges()
	}
	sent := s.log.Now()
	if g := reckon(); g.DueMessages != 0 || g.NextCutoff == nil || !g.NextCutoff.Equal(sent.AddDate(0, 2, 0)) {
		t.Errorf("before: %+v", g)
	}
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	if g := reckon(); g.DueMessages != 1 || g.DueBytes == 0 || g.HoldsActive != 1 || g.OldestHold == nil || g.PlansWaiting != 0 {
		t.Errorf("due: %+v", g)
	}
	s.plan()
	if g := s.book.Gauges(); g.PlansWaiting != 1 {
		t.Errorf("waiting: %+v", g)
	}
}
