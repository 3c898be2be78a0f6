package retention

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/hold"
)

// An archive that stood still for twenty years does not believe the clock when
// it starts. What it takes in meanwhile bears the time of twenty years ago, and
// is not due when a person releases the clock.
func TestWhatCameWhileTheClockWasDoubtedIsNotDueEarly(t *testing.T) {
	d, relaySeq := newDisk(t), uint64(0)
	var old uint64
	synctest.Test(t, func(t *testing.T) {
		s, _ := d.create(t)
		s.schedule(stageSchedule)
		old, _ = s.send(letter{from: "anna", to: "bela", body: "old"})
		relaySeq = *s.relaySeq
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * 365 * day)
		s, _ := d.open(t, &relaySeq)
		now, _ := s.send(letter{from: "anna", to: "bela", body: "new"})
		if err := s.catchUp(t.Context(), s.log.Size()); err != nil {
			t.Fatal(err)
		}
		if f, err := s.book.facts(t.Context(), mustRecord(t, s, now)); err != nil || s.book.dueOf(f).Known {
			t.Errorf("while the clock is doubted: due %+v, %v", s.book.dueOf(f), err)
		}
		h := s.place(hold.Scope{Custodians: []string{hold.UsrPrefix + "anna"}, From: new(time.Now().Add(-day))})
		if by := heldNow(t, s, now); len(by) != 1 || by[0].Hold != h {
			t.Errorf("a hold on what came since yesterday does not hold what may have come since: %v", by)
		}
		if err := s.book.ReleaseClock(t.Context(), olga, "compared with another clock"); err != nil {
			t.Fatal(err)
		}
		released := time.Now()
		if by := heldNow(t, s, now); len(by) != 1 || by[0].Hold != h {
			t.Errorf("once the clock is released: %v", by)
		}
		p, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "x"})
		if err != nil || p.Total != 1 || p.Lines[0].First != old {
			t.Errorf("planned %+v, %v; want what came twenty years ago alone", p, err)
		}
		f, err := s.book.facts(t.Context(), mustRecord(t, s, now))
		if err != nil {
			t.Fatal(err)
		}
		if due := s.book.dueOf(f); !due.Known || due.At.Before(released.Add(aMonth)) {
			t.Errorf("due %+v; it came by %v at the latest", due, released)
		}
	})
}

func mustRecord(t *testing.T, s *stage, seq uint64) archive.Record {
	t.Helper()
	rec, err := s.log.Record(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func heldNow(t *testing.T, s *stage, seq uint64) []HeldBy {
	t.Helper()
	f, err := s.book.facts(t.Context(), mustRecord(t, s, seq))
	if err != nil {
		t.Fatal(err)
	}
	return s.book.heldBy(f)
}

func TestLatestTimes(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }
	b := New(Options{})
	clock := func(hour int, body string) error {
		return b.Apply(archive.Record{Leaf: proof.Leaf{Seq: uint64(hour), Kind: proof.KindClock, Received: at(hour).UnixMilli()}, Body: []byte(body)})
	}
	want := func(what string, hour, latest int, known bool) {
		t.Helper()
		if got, ok := b.latest(at(hour)); ok != known || ok && !got.Equal(at(latest)) {
			t.Errorf("%s: %v, %v; want hour %d, %v", what, got, ok, latest, known)
		}
	}
	want("before anything", 5, 5, true)
	for _, step := range []error{
		clock(3, `{"v":1,"op":"jump"}`), clock(4, `{"v":1,"op":"jump"}`),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	want("before the jump", 2, 2, true)
	want("since the jump", 3, 0, false)
	if err := clock(9, `{"v":1,"op":"release","received":"2026-03-01T05:00:00.000Z"}`); err != nil {
		t.Fatal(err)
	}
	want("before the jump", 2, 2, true)
	want("at the jump", 3, 9, true)
	want("at the end of the doubt", 5, 9, true)
	want("behind the release", 10, 10, true)
	for seq, late := range map[uint64]int{2: 0, 3: 9, 8: 9, 9: 0} {
		leaf := proof.Leaf{Seq: seq, Received: at(3).UnixMilli()}
		if got := b.receivedBy(leaf); late == 0 && !got.IsZero() || late != 0 && !got.Equal(at(late)) {
			t.Errorf("entry %d, which bears the time of the jump: %v", seq, got)
		}
	}
	if err := clock(11, `{"v":1,"op":"release","received":"nonsense"}`); err != nil {
		t.Errorf("a release of nothing: %v", err)
	}
	if err := clock(12, `{"v":1,"op":"jump"}`); err != nil {
		t.Fatal(err)
	}
	want("since another jump", 12, 0, false)
	want("between the two", 11, 11, true)
	if err := clock(13, `{"v":1,"op":"release","received":"nonsense"}`); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("a time that is none: %v", err)
	}
}
