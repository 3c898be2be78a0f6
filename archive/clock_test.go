package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

const (
	day   = 24 * time.Hour
	years = 20 * 365 * day
)

// clocks are a machine's clocks that tests set.
type clocks struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Time
}

func newClocks() *clocks {
	now := time.Now()
	return &clocks{wall: now, mono: now}
}

func (c *clocks) reading() reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	return reading{c.wall.UnixMilli(), c.mono}
}

// pass lets time pass, for both clocks alike.
func (c *clocks) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(d), c.mono.Add(d)
}

// jump sets the wall clock alone.
func (c *clocks) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// Received time follows a clock within the limits, and from the first reading
// beyond them the time that passes.
func TestTimeline(t *testing.T) {
	start := time.Now()
	type step struct {
		passed, clock, want time.Duration // all since the start
		jump                string
	}
	for name, steps := range map[string][]step{
		"within the limit": {
			{0, 0, 0, ""},
			{time.Minute, time.Minute, time.Minute, ""},
			{2 * time.Minute, -58 * time.Minute, time.Minute, ""}, // never back
			{3 * time.Minute, 33 * time.Minute, 33 * time.Minute, ""},
			{4 * time.Minute, 64 * time.Minute, 64 * time.Minute, ""},
			{10 * day, 10 * day, 10 * day, ""},
		},
		"ahead while running": {
			{0, 0, 0, ""},
			{4 * time.Minute, years, 4 * time.Minute, JumpRunning},
			{4 * time.Minute, years, 4 * time.Minute, ""}, // once
			{5 * time.Minute, 2 * years, 5 * time.Minute, ""},
			{10 * day, -years, 10 * day, ""}, // whatever it says
			{11 * day, 11 * day, 11 * day, ""},
		},
		"just beyond the limit": {
			{0, 0, 0, ""},
			{time.Minute, time.Minute + ClockLimit, time.Minute + ClockLimit, ""},
			{2 * time.Minute, 2*time.Minute + ClockLimit + time.Millisecond, time.Minute + ClockLimit, JumpRunning},
		},
		"back while running": {
			{0, 0, 0, ""},
			{90 * time.Minute, 90 * time.Minute, 90 * time.Minute, ""},
			{3 * time.Hour, 3*time.Hour - years, 3 * time.Hour, JumpRunning},
			{30 * day, 30*day - years, 30 * day, ""},
		},
		"back by little more than the limit": {
			{0, 0, 0, ""},
			{time.Minute, time.Minute - ClockLimit, 0, ""},
			{2 * time.Minute, 2*time.Minute - ClockLimit - time.Millisecond, 2 * time.Minute, JumpRunning},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var line timeline
			for i, s := range steps {
				r := reading{start.Add(s.clock).UnixMilli(), start.Add(s.passed)}
				wantNow, wantJump := line.judge(r)
				got, jump := line.stamp(r)
				if got != wantNow || jump != wantJump {
					t.Errorf("step %d: stamp says %d and %q, judge said %d and %q", i, got, jump, wantNow, wantJump)
				}
				if got-start.UnixMilli() != s.want.Milliseconds() || jump != s.jump {
					t.Fatalf("step %d: received %v after the start with jump %q, %v and %q were due",
						i, time.Duration(got-start.UnixMilli())*time.Millisecond, jump, s.want, s.jump)
				}
			}
		})
	}
}

// At a start the clock may be a week ahead of the last entry and an hour behind.
func TestTimelineAtStart(t *testing.T) {
	last := time.Now()
	for _, s := range []struct {
		clock, want time.Duration
		jump        string
	}{
		{0, 0, ""},
		{StartLimit, StartLimit, ""},
		{StartLimit + time.Millisecond, 0, JumpStart},
		{years, 0, JumpStart},
		{-ClockLimit, 0, ""},
		{-ClockLimit - time.Millisecond, 0, JumpStart},
		{-years, 0, JumpStart},
	} {
		var line timeline
		line.load(last.UnixMilli(), 0, false, reading{last.UnixMilli(), last})
		got, jump := line.stamp(reading{last.Add(s.clock).UnixMilli(), last})
		if got-last.UnixMilli() != s.want.Milliseconds() || jump != s.jump {
			t.Errorf("clock at %v: received %d ms after the last entry, jump %q", s.clock, got-last.UnixMilli(), jump)
		}
	}
}

// Whatever the clock does, and however often the archive is started: received
// time never falls, is never later than it is, and earlier only by the time
// that the archive was closed while nothing could be believed.
func TestReceivedTimeIsNeverWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mono := time.Now()
		truth := mono.UnixMilli() // true time
		wrong := int64(0)         // how far the clock is off
		closed := int64(0)        // time that nobody measured
		var line timeline
		read := func() reading { return reading{truth + wrong, mono} }
		line.stamp(read())
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"pass", "pass", "jump", "right", "restart", "release"}).Draw(t, "step") {
			case "pass":
				d := rapid.Int64Range(0, (100*day).Milliseconds()).Draw(t, "passed")
				truth, mono = truth+d, mono.Add(time.Duration(d)*time.Millisecond)
			case "jump":
				wrong = rapid.Int64Range((2*365*day).Milliseconds(), years.Milliseconds()).Draw(t, "by")
				if rapid.Bool().Draw(t, "back") {
					wrong = -wrong
				}
			case "right":
				wrong = 0
			case "restart":
				d := rapid.Int64Range(0, (9*day).Milliseconds()).Draw(t, "closed")
				// What passed between the last entry and the closing is not known at the start either.
				closed += d + max(0, truth-closed-line.received)
				truth += d
				next := timeline{}
				next.load(line.received, line.since, line.suspect, read())
				line = next
			case "release":
				if wrong == 0 && line.suspect {
					line.release(read())
				}
			}
			if rapid.Bool().Draw(t, "nothing appended") {
				continue
			}
			before, suspected := line.received, line.suspect
			got, jump := line.stamp(read())
			if !line.suspect {
				closed = 0
			}
			switch {
			case got < before:
				t.Fatalf("received time fell by %d ms", before-got)
			case got > truth:
				t.Fatalf("received %d ms too late", got-truth)
			case got < truth-closed:
				t.Fatalf("received %d ms too early", truth-closed-got)
			case wrong != 0 && !line.suspect:
				t.Fatal("a wrong clock is believed")
			case suspected && jump != "":
				t.Fatal("a suspicion was raised twice")
			}
		}
	})
}

// clocked makes an archive on clocks that the test sets.
func clocked(t *testing.T, o Options) (*Archive, string, *clocks) {
	t.Helper()
	c := newClocks()
	o.reading = c.reading
	a, dir := makeArchive(t, o)
	return a, dir, c
}

// restart closes the archive and opens it again.
func restart(t *testing.T, a *Archive, dir string) *Archive {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Open(t.Context(), dir, a.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := next.Close(); err != nil {
			t.Error(err)
		}
	})
	return next
}

// ofKind returns the entries of a kind.
func ofKind(t *testing.T, a *Archive, kind proof.Kind) (found []Record) {
	t.Helper()
	for r, err := range a.Records(t.Context(), 0, a.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Leaf.Kind == kind {
			found = append(found, r)
		}
	}
	return found
}

func received(t *testing.T, a *Archive, seq uint64) time.Time {
	t.Helper()
	l, err := a.Leaf(seq)
	if err != nil {
		t.Fatal(err)
	}
	return l.ReceivedTime()
}

// wantJump looks at the one jump that the log knows, and at its alarm.
func wantJump(t *testing.T, a *Archive, where string, before uint64, at, wall time.Time) {
	t.Helper()
	jumps := ofKind(t, a, proof.KindClock)
	if len(jumps) != 1 {
		t.Fatalf("%d entries about the clock", len(jumps))
	}
	j := jumps[0]
	var body ClockBody
	if err := json.Unmarshal(j.Body, &body); err != nil {
		t.Fatal(err)
	}
	want := ClockBody{Version: 1, Op: ClockJump, Where: where, Received: instant(at.UnixMilli()), Wall: instant(wall.UnixMilli())}
	if fmt.Sprint(body) != fmt.Sprint(want) || j.Leaf.Class != proof.ClassControl || j.Leaf.Seq+2 != before {
		t.Errorf("entry %d: %+v, want %+v two before %d", j.Leaf.Seq, body, want, before)
	}
	next, err := a.Record(t.Context(), j.Leaf.Seq+1)
	if err != nil {
		t.Fatal(err)
	}
	var alarm AlarmBody
	if err := json.Unmarshal(next.Body, &alarm); err != nil {
		t.Fatal(err)
	}
	if next.Leaf.Kind != proof.KindAlarm || alarm.Name != AlarmClock || alarm.Severity != "critical" || alarm.Fix == "" || alarm.Facts["entry"] != fmt.Sprint(j.Leaf.Seq) {
		t.Errorf("the alarm: %+v", alarm)
	}
	if c := a.Clock(); !c.Suspect || c.Since != j.Leaf.Seq {
		t.Errorf("%+v", c)
	}
}

func release(t *testing.T, a *Archive) error {
	t.Helper()
	_, err := a.ReleaseClock(t.Context(), releaseBatch())
	return err
}

func releaseBatch() Batch {
	return Batch{Entries: []Entry{
		{Kind: proof.KindStart, Class: proof.ClassControl, Body: []byte("beside it")},
		{Kind: proof.KindClock, Class: proof.ClassControl, Body: []byte(`{"by":{"name":"ann"},"reason":"compared"}`)},
	}}
}

// The clock jumps by twenty years, either way, while the archive runs or while
// it is closed: it is an entry and an alarm once, nothing is lost, nothing is
// dated by that clock, also not after another start, until somebody releases it.
func TestClockJumps(t *testing.T) {
	for _, where := range []string{JumpRunning, JumpStart} {
		for _, by := range []time.Duration{years, -years} {
			t.Run(fmt.Sprintf("%s %v", where, by > 0), func(t *testing.T) {
				t.Parallel()
				a, dir, c := clocked(t, Options{})
				mustAppend(t, a, page(1, 3))
				c.pass(5 * time.Minute)
				begin := c.wall
				if where == JumpStart {
					mustAppend(t, a, control("the last before the end"))
				}
				c.jump(by)
				if where == JumpStart {
					a = restart(t, a, dir)
				}
				if s := a.Clock(); !s.Suspect || s.Since != 0 || !s.Received.Equal(begin.Truncate(time.Millisecond)) || s.Wall.Sub(s.Received).Abs() < years-day {
					t.Errorf("before the first entry: %+v", s)
				}
				placed := mustAppend(t, a, page(4, 6))
				wantJump(t, a, where, placed[0].Seq, begin, c.wall)
				c.pass(3 * time.Hour)
				mustAppend(t, a, page(7, 9))
				a = restart(t, a, dir)
				c.pass(time.Hour)
				want := begin.Add(4 * time.Hour).Truncate(time.Millisecond)
				if now := a.Now(); !now.Equal(want) {
					t.Errorf("now %v, want %v", now, want)
				}
				placed = mustAppend(t, a, page(10, 12))
				if got := received(t, a, placed[2].Seq); !got.Equal(want) {
					t.Errorf("after the second start received %v, want %v", got, want)
				}
				if n := len(ofKind(t, a, proof.KindClock)); n != 1 {
					t.Errorf("%d entries about the clock", n)
				}
				if n := len(ofKind(t, a, proof.KindMessage)); n != 12 {
					t.Errorf("%d messages of 12", n)
				}
				c.jump(-by) // it is set right
				mustAppend(t, a, page(13, 13))
				if !a.Clock().Suspect {
					t.Error("a clock that came back by itself is believed")
				}
				if err := release(t, a); err != nil {
					t.Fatal(err)
				}
				wantReleased(t, a, c)
				a = restart(t, a, dir)
				wantReleased(t, a, c)
				months := map[string]bool{}
				for l, err := range a.Scan(t.Context(), 0, a.Size()) {
					if err != nil {
						t.Fatal(err)
					}
					months[l.Month()] = true
				}
				if len(months) > 2 {
					t.Errorf("entries of the months %v", months)
				}
			})
		}
	}
}

// wantReleased looks at the entry of the release, and whether received time
// follows the clock again.
func wantReleased(t *testing.T, a *Archive, c *clocks) {
	t.Helper()
	entries := ofKind(t, a, proof.KindClock)
	var body ClockBody
	if err := json.Unmarshal(entries[len(entries)-1].Body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Version != 1 || body.Op != ClockRelease || string(body.By) != `{"name":"ann"}` || body.Reason != "compared" || body.Received == "" || body.Wall == "" {
		t.Errorf("%+v", body)
	}
	c.pass(time.Minute)
	placed := mustAppend(t, a, control("after the release"))
	if got := received(t, a, placed[0].Seq); !got.Equal(c.wall.Truncate(time.Millisecond)) || a.Clock().Suspect {
		t.Errorf("received %v by a clock at %v; %+v", got, c.wall, a.Clock())
	}
	if err := release(t, a); !errors.Is(err, ErrClockSound) {
		t.Errorf("a second release: %v", err)
	}
}

// A release goes forward as far as the clock says. That was wrong here: when
// the clock is set right again, the archive waits for it, and nothing may be
// disposed of meanwhile.
func TestReleaseOfAWrongClock(t *testing.T) {
	a, dir, c := clocked(t, Options{})
	mustAppend(t, a, page(1, 1))
	c.jump(30 * day)
	mustAppend(t, a, page(2, 2))
	if err := release(t, a); err != nil {
		t.Fatal(err)
	}
	if now := a.Now(); !now.Equal(c.wall.Truncate(time.Millisecond)) || a.Clock().Suspect {
		t.Errorf("%v, %+v", now, a.Clock())
	}
	reached := a.Now()
	c.jump(-30 * day)
	mustAppend(t, a, page(3, 3))
	if err := release(t, a); err != nil {
		t.Fatal(err)
	}
	c.pass(29 * day)
	placed := mustAppend(t, a, page(4, 4))
	if got := received(t, a, placed[0].Seq); !got.Equal(reached) {
		t.Errorf("received %v instead of standing still at %v", got, reached)
	}
	if s := a.Clock(); !s.Suspect {
		t.Errorf("%+v", s)
	}
	if n := len(ofKind(t, a, proof.KindClock)); n != 4 {
		t.Errorf("%d entries about the clock: two jumps and two releases", n)
	}
	c.pass(2 * day)
	placed = mustAppend(t, a, page(5, 5))
	if got := received(t, a, placed[0].Seq); !got.Equal(c.wall.Truncate(time.Millisecond)) || a.Clock().Suspect {
		t.Errorf("the clock has caught up: received %v, %+v", got, a.Clock())
	}
	// Behind at a start it is under suspicion anew: nothing tells the two apart.
	c.jump(-2 * time.Hour)
	a = restart(t, a, dir)
	mustAppend(t, a, page(6, 6))
	if s := a.Clock(); !s.Suspect || s.Since == 0 {
		t.Errorf("%+v", s)
	}
}

// The suspicion goes with the log from file to file, and so does its end.
func TestClockWhileRolling(t *testing.T) {
	a, dir, c := clocked(t, Options{LogFileLeaves: 10})
	mustAppend(t, a, page(1, 4))
	c.jump(years)
	for i := range uint64(5) {
		mustAppend(t, a, page(5+i*7, 11+i*7))
	}
	files := len(a.st.logs)
	if files < 4 {
		t.Fatalf("%d log files", files)
	}
	since := a.Clock().Since
	a = restart(t, a, dir)
	if s := a.Clock(); !s.Suspect || s.Since != since || a.st.logOf(since) == a.st.newest() {
		t.Errorf("%+v; the jump's entry is %d", s, since)
	}
	c.jump(-years)
	if err := release(t, a); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		mustAppend(t, a, page(40+i*7, 46+i*7))
	}
	if len(a.st.logs) <= files {
		t.Fatal("no log file was begun after the release")
	}
	a = restart(t, a, dir)
	if s := a.Clock(); s.Suspect || s.Since != 0 {
		t.Errorf("%+v", s)
	}
}

// The commit that meets the jump fails at each of its steps, and the machine
// stops there: the jump is an entry once or not yet, and suspicion and entry
// are always there together.
func TestCrashAroundJump(t *testing.T) {
	for _, step := range []string{"after bodies", "after log"} {
		t.Run(step, func(t *testing.T) {
			a, dir, c := clocked(t, Options{})
			mustAppend(t, a, page(1, 3))
			c.jump(years)
			crashed := failAt(t, a, dir, step)
			if _, err := a.Append(t.Context(), page(4, 6)); !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			mustAppend(t, a, page(4, 6))
			wantJump(t, a, JumpRunning, 6, received(t, a, 4), c.wall)

			b := openCopy(t, a, *crashed)
			if got, want := len(ofKind(t, b, proof.KindClock)), 0; step != "after log" && got != want {
				t.Errorf("%d entries about the clock after the crash", got)
			}
			mustAppend(t, b, page(4, 6))
			where := JumpStart
			if step == "after log" {
				where = JumpRunning
			}
			wantJump(t, b, where, 6, received(t, b, 4), c.wall)
			if n := len(ofKind(t, b, proof.KindMessage)); n != 6 {
				t.Errorf("%d messages of 6", n)
			}
			mustCheck(t, b)
		})
	}
}

func TestCrashAroundRelease(t *testing.T) {
	for _, step := range []string{"after bodies", "after log"} {
		t.Run(step, func(t *testing.T) {
			a, dir, c := clocked(t, Options{})
			mustAppend(t, a, page(1, 3))
			c.jump(-years)
			mustAppend(t, a, page(4, 6))
			c.jump(years + 40*time.Hour)
			crashed := failAt(t, a, dir, step)
			if err := release(t, a); !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			done := step == "after log"
			for _, x := range []*Archive{a, openCopy(t, a, *crashed)} {
				if err := release(t, x); done != errors.Is(err, ErrClockSound) || !done && err != nil {
					t.Fatalf("releasing again: %v", err)
				}
				mustAppend(t, x, page(7, 9))
				if n := len(ofKind(t, x, proof.KindClock)); n != 2 || x.Clock().Suspect {
					t.Errorf("%d entries about the clock, %+v", n, x.Clock())
				}
				mustCheck(t, x)
			}
		})
	}
}

// failAt makes the next commit fail at a step, and keeps a copy of the
// directory as it was then.
func failAt(t *testing.T, a *Archive, dir, step string) *string {
	t.Helper()
	copied := new(string)
	a.fault = func(s string) error {
		if s != step || *copied != "" {
			return nil
		}
		*copied = t.TempDir()
		if err := (&patient{dir: dir}).copyTo(*copied); err != nil {
			return err
		}
		return errors.New("injected")
	}
	return copied
}

func openCopy(t *testing.T, a *Archive, dir string) *Archive {
	t.Helper()
	b, err := Open(t.Context(), dir, a.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A request that is refused has met the jump all the same.
func TestRefusedRequestMeetsJump(t *testing.T) {
	a, _, c := clocked(t, Options{})
	mustAppend(t, a, page(1, 3))
	c.jump(-years)
	if _, err := a.Append(t.Context(), page(9, 9)); !errors.Is(err, ErrStaleCursor) {
		t.Fatal(err)
	}
	if err := a.Wait(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	wantJump(t, a, JumpRunning, a.Size(), received(t, a, 4), c.wall)
}

// Nobody but the archive writes entries about the clock, but for a release.
func TestReleaseIsChecked(t *testing.T) {
	a, _, c := clocked(t, Options{})
	if err := release(t, a); !errors.Is(err, ErrClockSound) {
		t.Errorf("a sound clock: %v", err)
	}
	if _, err := a.Append(t.Context(), releaseBatch()); !errors.Is(err, ErrInvalid) {
		t.Errorf("appended by itself: %v", err)
	}
	mustAppend(t, a, page(1, 1))
	c.jump(years)
	mustAppend(t, a, page(2, 2))
	size := a.Size()
	for name, spoil := range map[string]func(b *Batch){
		"none":     func(b *Batch) { b.Entries = b.Entries[:1] },
		"two":      func(b *Batch) { b.Entries = append(b.Entries, b.Entries[1]) },
		"class":    func(b *Batch) { b.Entries[1].Class = proof.ClassAudit },
		"no JSON":  func(b *Batch) { b.Entries[1].Body = []byte("{") },
		"a cursor": func(b *Batch) { b.Cursor = page(3, 3).Cursor },
	} {
		b := releaseBatch()
		spoil(&b)
		if _, err := a.ReleaseClock(t.Context(), b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a.Size() != size || !a.Clock().Suspect {
		t.Errorf("size %d, before %d; %+v", a.Size(), size, a.Clock())
	}
	b := releaseBatch()
	body := slices.Clone(b.Entries[1].Body)
	if _, err := a.ReleaseClock(t.Context(), b); err != nil || string(b.Entries[1].Body) != string(body) {
		t.Errorf("%v; the caller's batch was changed: %s", err, b.Entries[1].Body)
	}
}

// The record of a suspicion is covered by the sum of the log's end: it neither
// vanishes nor appears unnoticed.
func TestSuspicionDoesNotDecay(t *testing.T) {
	a, dir, c := clocked(t, Options{})
	mustAppend(t, a, page(1, 1))
	c.jump(years)
	mustAppend(t, a, page(2, 2))
	since := a.Clock().Since
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{"gone": nil, "elsewhere": u64(since + 1), "short": {1}} {
		copied := t.TempDir()
		if err := (&patient{dir: dir}).copyTo(copied); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(filepath.Join(copied, "log", "000000.db"), 0o600, boltOptions(false))
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			if value == nil {
				return tx.Bucket(bucketMeta).Delete(keyClock)
			}
			return tx.Bucket(bucketMeta).Put(keyClock, value)
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if b, err := Open(t.Context(), copied, a.opts); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = b.Close()
			}
		}
	}
}

// A failed commit does not make the archive forget how much time has passed.
func TestTimelineAfterFailure(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 1))
	anchored := a.w.end.anchored
	failed := false
	a.fault = func(string) error {
		if failed {
			return nil
		}
		failed = true
		return errors.New("injected")
	}
	if _, err := a.Append(t.Context(), page(2, 2)); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	mustAppend(t, a, page(2, 2))
	if anchored.IsZero() || a.w.end.anchored != anchored {
		t.Errorf("anchored at %v, before at %v", a.w.end.anchored, anchored)
	}
}

// On a machine's own clocks: a long quiet time is no jump, nor is a week closed;
// a longer one is.
func TestClockOfTheMachine(t *testing.T) {
	dir := t.TempDir()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		o := Options{Master: seal.NewKey()}
		if _, err := Create(t.Context(), dir, CreateOptions{ArchiveID: "ward.test", Master: o.Master, Recovery: recovery.Public()}); err != nil {
			t.Fatal(err)
		}
		next := uint64(0)
		for _, closed := range []time.Duration{0, 6 * day, 8 * day} {
			<-time.After(closed)
			a, err := Open(t.Context(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				next++
				mustAppend(t, a, page(next, next))
				<-time.After(100 * day)
			}
			next++
			mustAppend(t, a, page(next, next))
			if s := a.Clock(); s.Suspect != (closed > StartLimit) || !s.Suspect && !s.Received.Equal(s.Wall) {
				t.Errorf("closed for %v: %+v", closed, s)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if _, err := os.Stat(filepath.Join(dir, "bodies", "2000-01.general.g1.db")); err != nil {
		t.Error(err)
	}
}
