package archive

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
)

// How far the wall clock may differ from what is known of the time that
// passed. Beyond that it is not believed until a person releases it
// (archive/FORMAT.md section 2).
const (
	// ClockLimit is the limit while the archive is open, in either direction,
	// and of a clock that is behind at a start.
	ClockLimit = time.Hour
	// StartLimit is how far ahead of the last entry the clock may be at a
	// start: nothing is known then of the time that passed.
	StartLimit = 7 * 24 * time.Hour
)

// Where a clock was found to have jumped, in ClockBody.Where.
const (
	JumpStart   = "start"
	JumpRunning = "running"
)

// The acts of a KindClock entry, in ClockBody.Op.
const (
	ClockJump    = "jump"
	ClockRelease = "release"
)

// ErrClockSound is the answer to a release of a clock that is not suspect.
var ErrClockSound = errors.New("no jump of the clock waits for its release; " +
	"where the clock lies before the last entry, received time goes on by itself once it has caught up")

// ClockBody is the body of a KindClock entry.
type ClockBody struct {
	Version  int             `json:"v"` // 1
	Op       string          `json:"op"`
	Where    string          `json:"where,omitempty"` // of a jump
	Received string          `json:"received"`        // received time by the time that passed, RFC 3339, milliseconds
	Wall     string          `json:"wall"`            // what the machine's clock said
	By       json.RawMessage `json:"by,omitempty"`    // of a release: the principal
	Reason   string          `json:"reason,omitempty"`
}

// Clock says how the archive's time stands.
type Clock struct {
	// Suspect says that received time does not follow the wall clock, or that
	// the clock lies before what the log says already; nothing may be disposed
	// of. It is also true while an entry appended now would meet a jump.
	Suspect  bool
	Since    uint64    // seq of the jump's entry; 0: the log has none yet
	Received time.Time // as Now
	Wall     time.Time // the machine's clock
}

// reading is one look at the machine's clocks.
type reading struct {
	wall int64     // ms since 1970
	mono time.Time // only its monotonic reading counts
}

func systemReading() reading {
	now := time.Now()
	return reading{now.UnixMilli(), now}
}

// timeline is what received time depends on. The writer owns one as part of
// the log's end; a copy is published with each commit.
type timeline struct {
	received int64     // of the last leaf, ms
	anchored time.Time // a moment with its monotonic reading
	anchor   int64     // the time that belonged to it, ms: the clock that was believed, or the last leaf's at a start
	begun    bool      // the clock has been believed since the start
	suspect  bool      // it jumped, and nobody has released it
	since    uint64    // seq of the jump's entry
}

// judge returns the received time of an entry appended at r, and where the
// clock jumped if it did: JumpStart, JumpRunning or "". Time that is measured
// never ends: whatever the clock says, received time keeps up with it.
func (t *timeline) judge(r reading) (received int64, jump string) {
	if t.anchored.IsZero() {
		return max(t.received, r.wall), "" // genesis: there is nothing to compare the clock with
	}
	passed := t.passed(r)
	if t.suspect {
		return max(t.received, passed), ""
	}
	ahead, where := ClockLimit, JumpRunning
	if !t.begun {
		ahead, where = StartLimit, JumpStart
	}
	if d := r.wall - passed; d > ahead.Milliseconds() || d < -ClockLimit.Milliseconds() {
		return max(t.received, passed), where
	}
	return max(t.received, r.wall), ""
}

// passed is the anchor and the time that has passed since, in ms.
func (t *timeline) passed(r reading) int64 { return t.anchor + r.mono.Sub(t.anchored).Milliseconds() }

// stamp returns what judge does, and goes on from there. After a jump the
// caller says by which entry it is known.
func (t *timeline) stamp(r reading) (received int64, jump string) {
	received, jump = t.judge(r)
	t.received = received
	switch {
	case jump != "":
		t.suspect = true
	case t.suspect:
	case !t.begun || r.mono.Sub(t.anchored) >= ClockLimit:
		t.believe(r)
	}
	return received, jump
}

// believe sets the anchor. It is what the clock says, not what was received: a
// clock that a person releases while it is behind is compared with itself, and
// received time stands still until the clock has caught up.
func (t *timeline) believe(r reading) {
	t.anchor, t.anchored, t.begun = r.wall, r.mono, true
}

// release ends a suspicion and returns the received time from there on.
func (t *timeline) release(r reading) int64 {
	t.suspect, t.since = false, 0
	t.believe(r)
	t.received = max(t.received, r.wall)
	return t.received
}

// load takes over what the log says.
func (t *timeline) load(received int64, since uint64, suspect bool, r reading) {
	switch {
	case t.anchored.IsZero():
		t.anchor, t.anchored = received, r.mono
	case t.suspect && !suspect:
		t.believe(r) // the release was committed although its commit failed
	}
	t.received, t.suspect, t.since = received, suspect, since
}

// behind says that the clock lies so far before the last entry that received
// time stands still.
func (t *timeline) behind(r reading) bool { return r.wall < t.received-ClockLimit.Milliseconds() }

// Now returns the received time that an entry appended now would get. Of an
// archive that is only read it is the wall clock's.
func (a *Archive) Now() time.Time {
	received, _ := a.timeline.Load().judge(a.opts.reading())
	return time.UnixMilli(received).UTC()
}

// Clock says how received time and the wall clock stand to one another.
func (a *Archive) Clock() Clock {
	t, r := a.timeline.Load(), a.opts.reading()
	received, jump := t.judge(r)
	return Clock{
		Suspect: t.suspect || jump != "" || t.behind(r), Since: t.since,
		Received: time.UnixMilli(received).UTC(), Wall: time.UnixMilli(r.wall).UTC(),
	}
}

// ReleaseClock appends b, one of whose entries is of KindClock with a ClockBody
// that says who releases and why; the archive fills in the rest of that body.
// From that entry on received time follows the wall clock again, forward as
// far as it says and never back: behind the last entry it stands still until
// the clock has caught up. ErrClockSound: there is nothing to release.
func (a *Archive) ReleaseClock(ctx context.Context, b Batch) ([]Placed, error) {
	at, err := releaseIn(&b)
	if err != nil {
		return nil, err
	}
	if err := b.validate(false, proof.KindClock); err != nil {
		return nil, err
	}
	b.Entries = slices.Clone(b.Entries) // the writer completes one
	r, err := a.submit(ctx, &request{batch: b, releases: &b.Entries[at], done: make(chan reply, 1)})
	return r.placed, err
}

// releaseIn finds the one KindClock entry of a release's batch.
func releaseIn(b *Batch) (at int, err error) {
	isClock := func(e Entry) bool { return e.Kind == proof.KindClock }
	at = slices.IndexFunc(b.Entries, isClock)
	switch {
	case at < 0 || b.Entries[at].Class != proof.ClassControl || b.Cursor != nil:
		return 0, fmt.Errorf("%w: a batch that releases the clock has a control entry that says so, and no cursor", ErrInvalid)
	case slices.ContainsFunc(b.Entries[at+1:], isClock):
		return 0, fmt.Errorf("%w: two releases of the clock in a batch", ErrInvalid)
	}
	if err := json.Unmarshal(b.Entries[at].Body, new(ClockBody)); err != nil {
		return 0, fmt.Errorf("%w: the body of the clock's release", ErrInvalid)
	}
	return at, nil
}

// meetClock notes a jump of the clock by an entry and an alarm, before the
// request that met it and whatever becomes of that, in the same transaction.
func (p *plan) meetClock(now reading) error {
	received, jump := p.end.stamp(now)
	if jump == "" {
		return nil
	}
	p.end.since = p.next()
	return p.noteJump(jump, received, now)
}

// date returns the received time of a request that nothing refused but perhaps
// this.
func (p *plan) date(r *request, now reading) (received int64, refused error) {
	if r.releases == nil {
		return p.end.received, nil
	}
	if !p.end.suspect {
		return 0, ErrClockSound
	}
	var body ClockBody
	if err := json.Unmarshal(r.releases.Body, &body); err != nil {
		return 0, fmt.Errorf("%w: the body of the clock's release", ErrInvalid)
	}
	body.Version, body.Op, body.Where = 1, ClockRelease, ""
	body.Received, body.Wall = instant(p.end.received), instant(now.wall)
	if r.releases.Body, refused = json.Marshal(body); refused != nil {
		return 0, refused
	}
	return p.end.release(now), nil
}

func instant(ms int64) string { return envelope.FormatTime(time.UnixMilli(ms)) }

// AlarmClock is the name of the alarm that the archive itself raises when the
// clock has jumped. It stands in the transaction of the first entry that met
// the jump, before it.
const AlarmClock = "clock-jump"

func (p *plan) noteJump(where string, received int64, now reading) error {
	since := p.end.since
	err := p.own(proof.KindClock, received, ClockBody{
		Version: 1, Op: ClockJump, Where: where, Received: instant(received), Wall: instant(now.wall),
	})
	if err != nil {
		return err
	}
	return p.own(proof.KindAlarm, received, AlarmBody{
		Name: AlarmClock, Severity: "critical",
		Text: "the machine's clock jumped; entries are dated by the time that passes instead, and nothing is disposed of",
		Fix: "Compare the machine's clock with one that you trust, and set it right. " +
			"Then look at `holdfast clock show`, and release it with `holdfast clock release --reason ...`.",
		Facts: map[string]string{
			"entry": strconv.FormatUint(since, 10), "where": where, "received": instant(received), "wall": instant(now.wall),
		},
	})
}

// own plans a control entry of the archive's own.
func (p *plan) own(kind proof.Kind, received int64, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	p.pending = append(p.pending, pending{
		leaf: proof.Leaf{Seq: p.next(), Kind: kind, Class: proof.ClassControl, Received: received, BodyLen: proof.RoundBody(len(text))},
		body: Body{Bytes: text},
	})
	return nil
}

// keyClock is the place in bucket meta of a suspicion that stands: the seq of
// the jump's entry. The record of the log's end covers it.
var keyClock = []byte("clock")

// putClock writes the suspicion, or that there is none, in the transaction
// that appends the entry by which it is known.
func (t *timeline) putClock(tx *bbolt.Tx) error {
	if !t.suspect {
		return tx.Bucket(bucketMeta).Delete(keyClock)
	}
	return tx.Bucket(bucketMeta).Put(keyClock, u64(t.since))
}

// clock reads the suspicion that stands.
func (f *logFile) clock() (since uint64, suspect bool, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketMeta).Get(keyClock)
			if b == nil {
				return nil
			}
			if len(b) != 8 {
				return fmt.Errorf("%w: the record of the clock", ErrDamaged)
			}
			since, suspect = binary.BigEndian.Uint64(b), true
			return nil
		})
	})
	return since, suspect, err
}

// loadClock reads what the timeline begins with after a start, and after a
// failed commit, which does not make it forget how much time has passed.
func (w *writer) loadClock(s *store, last *proof.Leaf) error {
	since, suspect, err := s.newest().clock()
	if err != nil {
		return err
	}
	if suspect {
		leaf, err := s.leaves(since, since+1, 1)
		if err != nil {
			return err
		}
		if leaf[0].Kind != proof.KindClock {
			return &SeqError{since, fmt.Errorf("%w: the log says that the clock jumped there", ErrDamaged)}
		}
	}
	w.end.load(last.Received, since, suspect, w.reading())
	return nil
}
