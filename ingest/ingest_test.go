package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// bubble runs a test under a clock of its own: pauses cost nothing, and what happens at which time is exact.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t)) })
}

// wantOnce checks that each relay seq of the stream up to now has exactly one entry, in order, of the given epoch.
func (r *rig) wantOnce(st *stream) {
	r.t.Helper()
	want := uint64(1)
	for leaf, err := range r.archive.Scan(r.t.Context(), 0, r.archive.Size()) {
		check(r.t, err)
		if leaf.Epoch != st.epoch {
			continue
		}
		if leaf.RelaySeq != want {
			r.t.Fatalf("entry %d has relay seq %d; want %d", leaf.Seq, leaf.RelaySeq, want)
		}
		want++
	}
	if want != uint64(len(st.events))+1 {
		r.t.Fatalf("the log ends at relay seq %d of %d", want-1, len(st.events))
	}
}

func TestMessagesReachTheLogAndAreAcked(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.kem = envelope.XWing
		ann, bob := r.st.join("u-ann", jws.EdDSA), r.st.join("u-bob", jws.ES256)
		for i := range 60 {
			r.st.say([]*sender{ann, bob}[i%2], fmt.Sprintf("message %d", i))
		}
		r.st.add(wire.KindDelivered, `{"mid":"x"}`)
		r.st.add("relay.invented", `{"what":"a kind that this version does not know"}`)
		stop := r.start(func(o *Options) { o.PageLimit = 7 })
		r.untilAcked(66)
		stop()
		r.wantOnce(r.st)

		messages := r.records(proof.KindMessage)
		if len(messages) != 60 {
			t.Fatalf("%d messages; want 60", len(messages))
		}
		rec := messages[0]
		var note archive.MessageNote
		check(t, ijson.Unmarshal(rec.Note, &note))
		event := r.st.events[rec.Leaf.RelaySeq-1]
		if note.ID != event.ID || note.Time != event.Time || note.Assurance != "enrolled" || note.Device == "" {
			t.Errorf("note %+v", note)
		}
		compact, err := jws.Parse(rec.Body, envelope.TypMessage)
		check(t, err)
		p, err := envelope.ParsePayload(compact.Payload)
		check(t, err)
		if p.Body.Text != "message 0" || rec.Leaf.Class != proof.ClassGeneral || rec.Leaf.Envelope == (proof.Hash{}) {
			t.Errorf("record %+v of %q", rec.Leaf, p.Body.Text)
		}
		if n := len(r.records(proof.KindDirectory)); n != 4 {
			t.Errorf("%d directory entries; want 4", n)
		}
		if n := len(r.records(proof.KindRelay)); n != 2 {
			t.Errorf("%d entries of the relay's own; want 2", n)
		}
		epochs := r.records(proof.KindEpoch)
		if len(epochs) != 1 || epochs[0].Leaf.Seq != 1 {
			t.Errorf("the epoch's entry: %+v", epochs)
		}

		ack := r.relay.acks[len(r.relay.acks)-1]
		verifier, err := r.archive.Identity().LogVerifier()
		check(t, err)
		cp, err := proof.OpenCheckpoint([]byte(ack.Checkpoint), verifier)
		check(t, err)
		if cp.Size < 67 || ack.BackedUp != 0 || len(ack.Quarantined) != 0 {
			t.Errorf("ack %+v with a checkpoint of %d", ack, cp.Size)
		}
		if s := r.client.Status(); !s.Connected || s.LastError != "" || s.Cursor.Seq != 66 || s.RelayHigh != 66 || s.LagEvents != 0 || s.AckedSeq != 66 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		for round := range 3 {
			for range 5 {
				r.st.say(ann, "still here")
			}
			stop := r.start()
			r.untilAcked(uint64(len(r.st.events)))
			stop()
			r.wantOnce(r.st)
			if n := len(r.records(proof.KindEpoch)); n != 1 {
				t.Fatalf("round %d: %d epoch entries", round, n)
			}
			r.reopen()
		}
		if names := r.alarmNames(); len(names) > 0 {
			t.Errorf("alarms %v", names)
		}
	})
}

// recorder notes the order in which appends become durable and acks leave.
type recorder struct {
	Log
	mu   sync.Mutex
	said []string
}

func (l *recorder) say(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, s)
}

func (l *recorder) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	// Long enough for an ack that does not wait.
	if err := sleep(ctx, time.Minute); err != nil {
		return nil, err
	}
	placed, err := l.Log.Append(ctx, b)
	if err == nil && b.Cursor != nil {
		l.say(fmt.Sprintf("durable %d", b.Cursor.Seq))
	}
	return placed, err
}

func TestAckOnlyAfterDurable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		for range 38 {
			r.st.say(ann, "first durable, then acked")
		}
		rec := &recorder{Log: r.archive}
		r.log, r.relay.order = rec, rec.say
		stop := r.start(func(o *Options) { o.PageLimit = 4 })
		r.untilAcked(40)
		stop()
		durable := uint64(0)
		for _, s := range rec.said {
			var seq uint64
			if n, _ := fmt.Sscanf(s, "durable %d", &seq); n == 1 {
				durable = seq
			} else if n, _ := fmt.Sscanf(s, "ack %d", &seq); n == 1 && seq > durable {
				t.Fatalf("seq %d acked while %d was durable: %v", seq, durable, rec.said)
			}
		}
	})
}

// failingLog fails one append of a relay page, before or after it persisted, as a failed sync may.
type failingLog struct {
	Log
	mu        sync.Mutex
	at        int // which append of a page fails, from 0
	n         int
	persisted bool
}

func (l *failingLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	l.mu.Lock()
	fails := false
	if b.Cursor != nil {
		fails = l.n == l.at
		l.n++
	}
	l.mu.Unlock()
	if !fails {
		return l.Log.Append(ctx, b)
	}
	if l.persisted {
		if _, err := l.Log.Append(ctx, b); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("fdatasync: %w", archive.ErrFailed)
}

func TestAppendFails(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		for at := range 4 {
			t.Run(fmt.Sprintf("persisted=%v/at=%d", persisted, at), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					ann := r.st.join("u-ann", jws.EdDSA)
					for range 8 {
						r.st.say(ann, "kept once")
					}
					r.st.add(wire.KindEnv, "no envelope")
					r.st.say(ann, "and this")
					reopened := 0
					r.log = &failingLog{Log: r.archive, at: at, persisted: persisted}
					stop := r.start(func(o *Options) {
						o.PageLimit = 3
						o.Reopen = func(context.Context) error { reopened++; return nil }
					})
					r.untilAcked(12)
					stop()
					r.wantOnce(r.st)
					if n := len(r.records(proof.KindMessage)); n != 9 {
						t.Errorf("%d messages; want 9", n)
					}
					if n := len(r.records(proof.KindEpoch)); n != 1 {
						t.Errorf("%d epoch entries; want 1", n)
					}
					if reopened != 1 {
						t.Errorf("reopened %d times; want 1", reopened)
					}
					if got := r.alarmNames(); !slices.Equal(got, []string{AlarmWriteFailed}) {
						t.Errorf("alarms %v", got)
					}
					var acked []wire.Quarantined
					for _, a := range r.relay.acks {
						acked = append(acked, a.Quarantined...)
					}
					if len(acked) == 0 || acked[0] != (wire.Quarantined{Seq: 11, Code: "malformed"}) {
						t.Errorf("quarantined in acks: %v", acked)
					}
				})
			})
		}
	}
}

func TestCrashBetweenCommitAndAck(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "one")
		r.st.add(wire.KindEnv, "AMX9.a.b")
		r.st.say(ann, "two")
		r.relay.onAck = func(*wire.Ack) error { return errors.New("the line is dead") }
		stop := r.start()
		r.until("durable", func() bool { c, _ := r.archive.Cursor(); return c.Seq == 5 })
		stop()
		if r.lastAck() != 0 {
			t.Fatal("acked")
		}
		r.reopen()
		r.relay.onAck = nil
		stop = r.start()
		r.untilAcked(5)
		stop()
		r.wantOnce(r.st)
		if a := r.relay.acks[0]; !slices.Equal(a.Quarantined, []wire.Quarantined{{Seq: 4, Code: "unsupported_version"}}) {
			t.Errorf("quarantined %v", a.Quarantined)
		}
	})
}

func (r *rig) lastAck() uint64 { return r.relay.lastAck() }

func TestAcksAreRetriedAndCumulative(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		for range 28 {
			r.st.say(ann, "ack me")
		}
		r.st.add(wire.KindEnv, "AMX1.!.!")
		refusals := 5
		r.relay.onAck = func(*wire.Ack) error {
			if refusals--; refusals >= 0 {
				return &wire.Problem{Status: 409, Code: wire.CodeHeadMismatch}
			}
			return nil
		}
		stop := r.start(func(o *Options) { o.PageLimit = 3 })
		r.untilAcked(31)
		stop()
		if n := len(r.relay.acks); n > 2 {
			t.Errorf("%d acks for what one says", n)
		}
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmAckRefused}) {
			t.Errorf("alarms %v; want one for all the refusals", got)
		}
		if q := r.relay.acks[0].Quarantined; !slices.Equal(q, []wire.Quarantined{{Seq: 31, Code: "malformed"}}) {
			t.Errorf("quarantined %v", q)
		}
	})
}

func TestRedeliveryAndConflict(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.ES256)
		first := r.st.message(ann, "said once")
		r.st.add(wire.KindEnv, first)
		r.st.add(wire.KindEnv, first) // seq 4
		ann.n, ann.prev = 0, ""
		r.st.say(ann, "said otherwise under the same number") // seq 5
		r.st.say(ann, "number two")
		own := 0 // alarms of ingest's own; the log itself tells of the conflict, in the same transaction
		r.log = logFunc{r.archive, func(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
			for _, e := range b.Entries {
				if e.Kind == proof.KindAlarm {
					own++
				}
			}
			return r.archive.Append(ctx, b)
		}}
		stop := r.start()
		r.untilAcked(6)
		stop()
		again := r.records(proof.KindRedelivery)
		if len(again) != 1 || again[0].Leaf.RelaySeq != 4 {
			t.Fatalf("redeliveries %+v", again)
		}
		if n := len(r.records(proof.KindMessage)); n != 3 {
			t.Errorf("%d messages; want both of the same number, and number two", n)
		}
		messages, alarms := r.records(proof.KindMessage), r.records(proof.KindAlarm)
		if len(alarms) != 1 || alarmOf(t, alarms[0]).Name != archive.AlarmConflict ||
			alarmOf(t, alarms[0]).Facts["entry"] != decimal(messages[1].Leaf.Seq) || alarms[0].Leaf.Seq != messages[1].Leaf.Seq+1 {
			t.Errorf("the log's alarms: %v", r.alarmNames())
		}
		if own != 0 {
			t.Errorf("ingest raised %d alarms for what the log tells", own)
		}
	})
}

func TestDedupeOnlyAfterTheSignature(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		thief := &sender{usr: ann.usr, dev: ann.dev, key: newSigner(t, jws.EdDSA)}
		r.st.say(thief, "takes number one")
		r.st.say(ann, "is number one")
		stop := r.start()
		r.untilAcked(4)
		stop()
		if n := len(r.records(proof.KindMessage)); n != 1 || len(r.alarmNames()) != 0 {
			t.Errorf("%d messages, alarms %v; want the true one alone", n, r.alarmNames())
		}
	})
}

func TestDirectoryAsOfThePlace(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "before")
		late := &sender{usr: "u-ann", dev: "tablet", key: newSigner(t, jws.EdDSA)}
		r.st.say(late, "too early")                          // 4: its key comes behind it on the same page
		r.st.add(wire.KindDir, string(r.st.deviceAdd(late))) // 5
		r.st.say(late, "now it is known")                    // 6
		kid, err := jws.Thumbprint(ann.key.Public())
		check(t, err)
		revoke, err := envelope.DeviceRevokeEvent(ann.usr, ann.dev, kid, time.Now())
		check(t, err)
		r.st.add(wire.KindDir, string(revoke)) // 7
		r.st.say(ann, "after")                 // 8
		r.st.add(wire.KindDir, `{"op":"device.add","usr":"u-ann"}`)
		forged := &sender{usr: "u-x", dev: "d", key: newSigner(t, jws.EdDSA)}
		r.st.add(wire.KindDir, strings.Replace(string(r.st.deviceAdd(forged)), `"usr":"u-x"`, `"usr":"u-y"`, 1))
		stop := r.start()
		r.untilAcked(10)
		stop()
		flags := map[uint64][]string{}
		for _, rec := range r.records(proof.KindMessage) {
			var note archive.MessageNote
			check(t, ijson.Unmarshal(rec.Note, &note))
			flags[rec.Leaf.RelaySeq] = note.Flags
		}
		if len(flags) != 3 || len(flags[3]) != 0 || len(flags[6]) != 0 || !slices.Equal(flags[8], []string{envelope.FlagRevokedDevice}) {
			t.Errorf("flags %v", flags)
		}
		want := []wire.Quarantined{{Seq: 4, Code: "unknown_device_key"}, {Seq: 9, Code: "malformed"}, {Seq: 10, Code: "binding_mismatch"}}
		if got := r.relay.acks[len(r.relay.acks)-1].Quarantined; !slices.Equal(got, want) {
			t.Errorf("quarantined %v; want %v", got, want)
		}
	})
}
