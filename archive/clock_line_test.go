package archive

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

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
