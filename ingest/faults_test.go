package ingest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	randv2 "math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// answer has the reader judge a page that a relay wrote.
func (r *rig) answer(want wire.Expect, events []wire.Event, end wire.End) (*wire.Page, error, bool) {
	var b bytes.Buffer
	check(r.t, wire.WritePage(&b, events, end))
	p, err := wire.ReadPage(&b, want)
	return p, err, true
}

// signed makes an end line of the relay's.
func (r *rig) signed(next uint64, head wire.Head, at time.Time) wire.End {
	r.relay.mu.Lock()
	defer r.relay.mu.Unlock()
	return r.relay.sign(next, head, at)
}

// lie makes an answer out of a true page.
func lie(f func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool)) func(*rig, wire.Expect) (*wire.Page, error, bool) {
	return func(r *rig, want wire.Expect) (*wire.Page, error, bool) {
		p := r.relay.page(want)
		p.Events = slices.Clone(p.Events)
		return f(r, want, p)
	}
}

// cut sends a page without its last bytes.
func cut(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
	var b bytes.Buffer
	check(r.t, wire.WritePage(&b, p.Events, p.End))
	got, err := wire.ReadPage(io.LimitReader(&b, int64(b.Len()-30)), want)
	return got, err, true
}

// badPages are the things that a relay can do to a page, each with the alarm that it comes to.
var badPages = []struct {
	name, alarm string
	lie         func(*rig, wire.Expect) (*wire.Page, error, bool)
}{
	{"cut short", AlarmPageRefused, lie(cut)},
	{"drops an event", AlarmGap, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		return r.answer(want, slices.Delete(p.Events, 2, 3), p.End)
	})},
	{"repeats an event", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		return r.answer(want, slices.Insert(p.Events, 2, p.Events[1]), p.End)
	})},
	{"swaps two events", AlarmGap, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		p.Events[1], p.Events[2] = p.Events[2], p.Events[1]
		return r.answer(want, p.Events, p.End)
	})},
	{"drops the tail", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		return r.answer(want, p.Events[:4], p.End)
	})},
	{"alters an event", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		p.Events[3].Data = "x" + p.Events[3].Data
		return r.answer(want, p.Events, p.End)
	})},
	{"signs another head", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		// Its seq differs from that of the true page, so that this is no equivocation.
		p.Events[3].Data = "x" + p.Events[3].Data
		return r.answer(want, p.Events[:5], r.signed(5, wire.Head{1}, time.Now()))
	})},
	{"signs with another key", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		check(r.t, err)
		wire.SignEnd(key, testArc, r.st.epoch, &p.End)
		return r.answer(want, p.Events, p.End)
	})},
	{"answers in another epoch", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		wire.SignEnd(r.relay.key, testArc, "e0", &p.End)
		return r.answer(want, p.Events, p.End)
	})},
	{"gives more than was asked for", AlarmPageRefused, lie(func(r *rig, want wire.Expect, p *wire.Page) (*wire.Page, error, bool) {
		want.Limit = 3
		return r.answer(want, p.Events, p.End)
	})},
	{"is no relay", AlarmPageRefused, func(_ *rig, want wire.Expect) (*wire.Page, error, bool) {
		p, err := wire.ReadPage(strings.NewReader("<html>Please sign in to the guest network</html>\n"), want)
		return p, err, true
	}},
	{"refuses", AlarmRefused, func(*rig, wire.Expect) (*wire.Page, error, bool) {
		return nil, &wire.Problem{Status: 403, Code: wire.CodeWrongArchive}, true
	}},
	{"is set back", AlarmCursorAhead, func(*rig, wire.Expect) (*wire.Page, error, bool) {
		return nil, &wire.Problem{Status: 409, Code: wire.CodeCursorAhead}, true
	}},
	{"has deleted", AlarmCursorExpired, func(*rig, wire.Expect) (*wire.Page, error, bool) {
		return nil, &wire.Problem{Status: 410, Code: wire.CodeCursorExpired}, true
	}},
	{"is overloaded", "", func(*rig, wire.Expect) (*wire.Page, error, bool) {
		return nil, &wire.Problem{Status: 503, RetryAfter: 20 * time.Second}, true
	}},
}

// TestBadPages: each of them three times in a row. Nothing of it is taken or acked, it is told once, and when it is over everything is there
// once.
func TestBadPages(t *testing.T) {
	for _, c := range badPages {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				ann := r.st.join("u-ann", jws.EdDSA)
				for range 6 {
					r.st.say(ann, "undisturbed")
				}
				bad, began := 3, time.Now()
				r.relay.onEvents = func(_ int, want wire.Expect) (*wire.Page, error, bool) {
					if bad--; bad < 0 {
						return nil, nil, false
					}
					if r.lastAck() != 0 || want.After != 0 {
						t.Error("something was taken from a bad page")
					}
					want.Limit = wire.MaxPageEvents // this fault looks the same however little is asked for
					return c.lie(r, want)
				}
				stop := r.start()
				r.untilAcked(8)
				stop()
				r.wantOnce(r.st)
				var want []string
				if c.alarm != "" {
					want = []string{c.alarm}
				}
				if got := r.alarmNames(); !slices.Equal(got, want) {
					t.Errorf("alarms %v; want %v", got, want)
				}
				if took := time.Since(began); took < 750*time.Millisecond {
					t.Errorf("asked four times within %v", took)
				} else if c.name == "is overloaded" && took < time.Minute {
					t.Errorf("asked again after %v; the relay said 20 s each time", took)
				}
			})
		})
	}
}

func TestGapIsToldWithinTwoPolls(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "hidden")
		r.st.say(ann, "shown")
		var polls atomic.Int64
		r.relay.onEvents = func(_ int, want wire.Expect) (*wire.Page, error, bool) {
			polls.Add(1)
			p := r.relay.page(want)
			hidden := slices.DeleteFunc(slices.Clone(p.Events), func(e wire.Event) bool { return e.Seq == 3 })
			return r.answer(want, hidden, p.End)
		}
		stop := r.start()
		r.until("alarm", func() bool { return len(r.alarmNames()) > 0 })
		if n := polls.Load(); n > 2 {
			t.Errorf("told after %d polls", n)
		}
		check(t, sleep(t.Context(), 2*time.Hour))
		stop()
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmGap}) {
			t.Errorf("alarms %v; a gap that stays is told once", got)
		}
		if _, ok := r.archive.Cursor(); ok || r.lastAck() != 0 {
			t.Error("the cursor moved")
		}
	})
}

func TestEquivocation(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "everybody saw this")
		stop := r.start()
		r.untilAcked(3)
		other := wire.Head{42}
		lies := 2
		r.relay.mu.Lock()
		r.relay.onEvents = func(_ int, want wire.Expect) (*wire.Page, error, bool) {
			if want.After != 3 || lies == 0 {
				return nil, nil, false
			}
			lies--
			return r.answer(want, nil, r.signed(3, other, time.Now()))
		}
		r.relay.mu.Unlock()
		r.until("alarm", func() bool { return slices.Contains(r.alarmNames(), AlarmEquivocation) })
		stop()
		for _, rec := range r.records(proof.KindAlarm) {
			body := alarmOf(t, rec)
			if body.Name != AlarmEquivocation {
				continue
			}
			for i, head := range []wire.Head{r.st.heads[3], other} {
				which := []string{"first", "second"}[i]
				var high, oldest uint64
				_, err := fmt.Sscan(body.Facts[which+"_high"], &high)
				check(t, err)
				_, err = fmt.Sscan(body.Facts[which+"_oldest"], &oldest)
				check(t, err)
				sig, err := jws.DecodeB64(body.Facts[which+"_sig"])
				check(t, err)
				// What is kept must convince somebody who has nothing else.
				end := wire.End{Next: 3, Head: head, High: high, Oldest: oldest, Time: body.Facts[which+"_time"], Sig: sig}
				if err := end.Verify(r.relay.key.Public().(ed25519.PublicKey), testArc, "e1"); err != nil {
					t.Errorf("%s head: %v", which, err)
				}
			}
		}
		if cur, _ := r.archive.Cursor(); cur.Head != r.st.heads[3] {
			t.Error("the cursor's head changed")
		}
	})
}

func TestClockOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		skew := 11 * time.Minute
		r.relay.onEvents = func(_ int, want wire.Expect) (*wire.Page, error, bool) {
			if want.After == 2 {
				check(t, sleep(t.Context(), time.Second))
			}
			p := r.relay.page(want)
			return r.answer(want, p.Events, r.signed(p.End.Next, p.End.Head, time.Now().Add(-skew)))
		}
		stop := r.start()
		r.untilAcked(2)
		check(t, sleep(t.Context(), time.Minute))
		stop()
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmClock}) {
			t.Errorf("alarms %v", got)
		}
	})
}

func TestRelayWasToldMoreThanTheLogHolds(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		stop := r.start()
		r.untilAcked(2)
		stop()
		for range 3 {
			r.st.say(ann, "taken by the copy that is gone")
		}
		r.relay.acked = 5
		stop = r.start()
		r.until("caught up", func() bool { return r.client.Status().Cursor.Seq == 5 })
		stop()
		r.wantOnce(r.st)
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmAckedBeyond}) {
			t.Errorf("alarms %v", got)
		}
	})
}

func TestRelayLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.add(wire.KindLost, `{"from":3,"to":9}`)
		r.st.add(wire.KindLost, `{"from":30,"to":90}`)
		r.st.add(wire.KindLost, `{"from":300,"from":900}`)
		stop := r.start()
		r.untilAcked(3)
		stop()
		alarms := r.records(proof.KindAlarm)
		if len(alarms) != 1 {
			t.Fatalf("alarms %v", r.alarmNames())
		}
		if body := alarmOf(t, alarms[0]); body.Name != AlarmLost || body.Facts["events"] != "3" || body.Facts["first_relay_seq"] != "1" {
			t.Errorf("alarm %+v", body)
		}
	})
}

// TestTwoThousandUnderFaults: half of all pages are bad in some way; every message is there once, in order.
func TestTwoThousandUnderFaults(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		for i := range 1998 {
			if i%50 == 49 {
				r.st.add(wire.KindEnv, r.st.events[len(r.st.events)-5].Data)
				continue
			}
			r.st.say(ann, "one of two thousand")
		}
		dice := randv2.New(randv2.NewPCG(1, 2)) // #nosec G404 -- a test repeats itself
		r.relay.onEvents = func(_ int, want wire.Expect) (*wire.Page, error, bool) {
			p := r.relay.page(want)
			if dice.IntN(2) == 0 || len(p.Events) < 3 {
				return nil, nil, false
			}
			p.Events = slices.Clone(p.Events)
			i := dice.IntN(len(p.Events) - 1)
			switch dice.IntN(5) {
			case 0:
				p.Events = slices.Delete(p.Events, i, i+1)
			case 1:
				p.Events[i], p.Events[i+1] = p.Events[i+1], p.Events[i]
			case 2:
				p.Events = slices.Insert(p.Events, i, p.Events[i])
			case 3:
				p.Events[i].Data = r.st.events[0].Data
			case 4:
				p.Events = slices.Insert(p.Events, 0, r.st.events[max(1, want.After)-1])
			}
			if len(p.Events) > want.Limit {
				p.Events = p.Events[:want.Limit]
			}
			return r.answer(want, p.Events, p.End)
		}
		stop := r.start(func(o *Options) { o.PageLimit = 150 })
		r.untilAcked(2000)
		stop()
		r.wantOnce(r.st)
		if m, d := len(r.records(proof.KindMessage)), len(r.records(proof.KindRedelivery)); m != 1998-39 || d != 39 {
			t.Errorf("%d messages and %d redeliveries; want %d and 39", m, d, 1998-39)
		}
		if got := r.client.Status().AckedSeq; got != 2000 {
			t.Errorf("acked %d", got)
		}
	})
}

func TestUnreachableAndLag(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		stop := r.start()
		r.untilAcked(2)
		down := &url.Error{Op: "Get", URL: "https://relay", Err: io.ErrUnexpectedEOF}
		r.relay.mu.Lock()
		r.relay.onEvents = func(int, wire.Expect) (*wire.Page, error, bool) { return nil, down, true }
		r.relay.mu.Unlock()
		began := time.Now()
		for _, step := range []struct {
			after time.Duration
			want  []string
		}{
			{14 * time.Minute, nil},
			{17 * time.Minute, []string{AlarmUnreachable}},
			{23 * time.Hour, []string{AlarmUnreachable}},
			{25 * time.Hour, []string{AlarmUnreachable, AlarmLag}},
			{73 * time.Hour, []string{AlarmUnreachable, AlarmLag, AlarmLag}},
			{121 * time.Hour, []string{AlarmUnreachable, AlarmLag, AlarmLag, AlarmLag}},
		} {
			check(t, sleep(t.Context(), time.Until(began.Add(step.after))))
			if got := r.alarmNames(); !slices.Equal(got, step.want) {
				t.Errorf("after %v: alarms %v; want %v", step.after, got, step.want)
			}
		}
		s := r.client.Status()
		if s.Connected || s.LastError != classNetwork || s.LagAge < 120*time.Hour {
			t.Errorf("status %+v", s)
		}
		stop()
	})
}

func TestNothingIsSaidOfPeople(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var lines bytes.Buffer
		ann := r.st.join("u-CANARY", jws.EdDSA)
		r.st.say(ann, "CANARY in the text")
		r.st.add(wire.KindEnv, "CANARY")
		r.relay.onAck = func(a *wire.Ack) error {
			if r.lastAck() == 0 && len(r.relay.acks) == 0 && lines.Len() < 1<<16 {
				return &wire.Problem{Status: 409, Code: "CANARY", Detail: "CANARY\nlevel=ERROR msg=forged"}
			}
			return nil
		}
		stop := r.start(func(o *Options) { o.Logger = textLogger(&lines) })
		r.until("durable", func() bool { c, _ := r.archive.Cursor(); return c.Seq == 4 })
		check(t, sleep(t.Context(), time.Minute))
		stop()
		if lines.Len() == 0 || strings.Contains(lines.String(), "CANARY") {
			t.Errorf("log:\n%s", lines.String())
		}
		for _, rec := range r.records(proof.KindAlarm) {
			if strings.Contains(string(rec.Body), "CANARY") {
				t.Errorf("alarm %s", rec.Body)
			}
		}
	})
}
