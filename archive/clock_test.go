package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
