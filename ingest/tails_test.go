package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// tailLog is a log in memory: what a Tails reads.
type tailLog struct {
	t       *testing.T
	key     *sender
	records []archive.Record
	numbers map[string]uint64
	fail    map[uint64]error
	lookUp  error
	reads   int
}

func newTailLog(t *testing.T) *tailLog {
	return &tailLog{t: t, key: &sender{key: newSigner(t, jws.EdDSA)}, numbers: map[string]uint64{}, fail: map[uint64]error{}}
}

func (l *tailLog) Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error] {
	return func(yield func(proof.Leaf, error) bool) {
		for _, r := range l.records[from:to] {
			if !yield(r.Leaf, ctx.Err()) {
				return
			}
		}
	}
}

func (l *tailLog) Record(_ context.Context, seq uint64) (archive.Record, error) {
	l.reads++
	return l.records[seq], l.fail[seq]
}

func (l *tailLog) Delivered(dev string, n uint64) (uint64, bool, error) {
	seq, ok := l.numbers[fmt.Sprintf("%s %d", dev, n)]
	return seq, ok, l.lookUp
}

func (l *tailLog) add(kind proof.Kind, note string, body []byte) uint64 {
	seq := uint64(len(l.records))
	l.records = append(l.records, archive.Record{Leaf: proof.Leaf{Seq: seq, Kind: kind}, Note: []byte(note), Body: body})
	return seq
}

func (l *tailLog) say(dev, typ string, n uint64) uint64 {
	l.t.Helper()
	compact, err := envelope.SignMessage(l.key.key, &envelope.Payload{
		V: 1, Typ: typ, Arc: testArc, Mid: newID16(), Usr: "u-ann", Dev: dev, N: n, Sent: "2026-03-01T12:00:00.000Z"})
	check(l.t, err)
	seq := l.add(proof.KindMessage, "{}", compact)
	if name := fmt.Sprintf("%s %d", dev, n); l.numbers[name] == 0 {
		l.numbers[name] = seq
	}
	return seq
}

// dispose has a message disposed of.
func (l *tailLog) dispose(seq uint64) { l.fail[seq] = archive.ErrDisposed }

func (l *tailLog) tail(dev string) Tail {
	l.t.Helper()
	t := NewTails(l)
	check(l.t, t.CatchUp(l.t.Context(), uint64(len(l.records))))
	return t.Tail("u-ann", dev)
}

func TestTails(t *testing.T) {
	const msg, end = envelope.TypMsg, envelope.TypCheckpoint
	for name, tt := range map[string]struct {
		draw func(l *tailLog)
		want string
	}{
		"nothing":                 {func(*tailLog) {}, CodeTailUnknown},
		"whole":                   {func(l *tailLog) { l.say("d", msg, 1); l.say("d", msg, 2); l.say("d", end, 3) }, ""},
		"whole, out of order":     {func(l *tailLog) { l.say("d", end, 3); l.say("d", msg, 1); l.say("d", msg, 2) }, ""},
		"no checkpoint":           {func(l *tailLog) { l.say("d", msg, 1) }, CodeTailOpen},
		"a checkpoint, then more": {func(l *tailLog) { l.say("d", end, 1); l.say("d", msg, 2) }, CodeTailOpen},
		"the first is missing":    {func(l *tailLog) { l.say("d", end, 2) }, CodeTailGap},
		"one is missing":          {func(l *tailLog) { l.say("d", msg, 1); l.say("d", msg, 3); l.say("d", end, 4) }, CodeTailGap},
		"one number twice":        {func(l *tailLog) { l.say("d", msg, 1); l.say("d", msg, 1); l.say("d", end, 2) }, CodeTailGap},
		"one twice, ahead":        {func(l *tailLog) { l.say("d", end, 2); l.say("d", end, 2); l.say("d", msg, 1) }, CodeTailGap},
		"another device's end":    {func(l *tailLog) { l.say("d", msg, 1); l.say("e", end, 1); l.say("e", end, 2) }, CodeTailOpen},
		"a redelivery":            {func(l *tailLog) { l.say("d", end, 1); l.add(proof.KindRedelivery, "{}", nil) }, ""},
		"an envelope kept back":   {func(l *tailLog) { l.say("d", end, 1); l.add(proof.KindQuarantine, `{"kind":"env"}`, nil) }, CodeTailQuarantine},
		"one kept back before":    {func(l *tailLog) { l.add(proof.KindQuarantine, `{"kind":"env"}`, nil); l.say("d", end, 1) }, ""},
		"a dir event kept back":   {func(l *tailLog) { l.say("d", end, 1); l.add(proof.KindQuarantine, `{"kind":"dir"}`, nil) }, ""},
		"a later one is damaged":  {func(l *tailLog) { l.say("d", end, 1); l.fail[l.say("d", msg, 2)] = archive.ErrDamaged }, CodeTailUnknown},
		"a later one has no body": {func(l *tailLog) { l.say("d", end, 1); l.fail[l.say("d", msg, 2)] = archive.ErrNoBody }, CodeTailUnknown},
		"the earlier ones are disposed of": {func(l *tailLog) {
			for n := range uint64(2000) {
				l.dispose(l.say("d", msg, n+1))
			}
			l.say("d", msg, 2001)
			l.say("d", end, 2002)
		}, ""},
		"one between is disposed of, out of order": {func(l *tailLog) { l.say("d", end, 3); l.dispose(l.say("d", msg, 2)); l.say("d", msg, 1) }, ""},
		"one between is disposed of":               {func(l *tailLog) { l.say("d", msg, 1); l.dispose(l.say("d", msg, 2)); l.say("d", end, 3) }, ""},
		"one disposed of, one missing":             {func(l *tailLog) { l.dispose(l.say("d", msg, 1)); l.say("d", end, 3) }, CodeTailGap},
		"the newest is disposed of":                {func(l *tailLog) { l.say("d", end, 1); l.dispose(l.say("d", msg, 2)) }, CodeTailUnknown},
		"all are disposed of":                      {func(l *tailLog) { l.dispose(l.say("d", end, 1)) }, CodeTailUnknown},
		"an earlier one is gone":                   {func(l *tailLog) { l.fail[l.say("d", msg, 1)] = archive.ErrNoBody; l.say("d", end, 2) }, CodeTailGap},
		"a later one is no JWS":                    {func(l *tailLog) { l.say("d", end, 1); l.add(proof.KindMessage, "{}", []byte("x")) }, CodeTailUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTailLog(t)
			tt.draw(l)
			tail := l.tail("d")
			if tail.refusal() != tt.want || tail.Archived() != (tt.want == "") {
				t.Errorf("%+v: %q, want %q", tail, tail.refusal(), tt.want)
			}
		})
	}
}

// A device that leaves out more than the archive keeps track of stays unsure, even when what was missing comes.
func TestCountersAreBounded(t *testing.T) {
	c := &counters{}
	for n := uint64(2); n < maxBeyond+10; n++ {
		if c.add(n); len(c.beyond) > maxBeyond {
			t.Fatalf("%d numbers remembered", len(c.beyond))
		}
	}
	if c.add(1); !c.broken {
		t.Error("what was forgotten is taken for whole")
	}
	c = &counters{}
	for n := uint64(maxBeyond); n > 0; n-- {
		c.add(n)
	}
	if c.broken || c.dense != maxBeyond || len(c.beyond) != 0 {
		t.Errorf("backwards: %d dense, %d beyond, broken %v", c.dense, len(c.beyond), c.broken)
	}
}

// Each message is read once, whatever happens in between.
func TestTailsAreReadOnce(t *testing.T) {
	l := newTailLog(t)
	for n := range uint64(5) {
		l.say("d", envelope.TypMsg, n+1)
	}
	tails := NewTails(l)
	broken := errors.New("broken")
	l.fail[3] = broken
	if err := tails.CatchUp(t.Context(), 5); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	delete(l.fail, 3)
	for range 3 {
		check(t, tails.CatchUp(t.Context(), 5))
	}
	l.say("d", envelope.TypCheckpoint, 6)
	check(t, tails.CatchUp(t.Context(), 6))
	if tail := tails.Tail("u-ann", "d"); !tail.Archived() || tail.Newest != 6 || l.reads != 7 {
		t.Errorf("%+v after %d reads", tail, l.reads)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.say("d", envelope.TypMsg, 7)
	if err := tails.CatchUp(ctx, 7); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzTailsMessage(f *testing.F) {
	for _, n := range []uint64{1, 2, 1 << 60} {
		f.Add(fmt.Appendf(nil, `{"typ":"checkpoint","usr":"u","dev":"d","n":%d}`, n))
	}
	f.Add([]byte(`{"n":-1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		tails := NewTails(&tailLog{})
		if tails.message(t.Context(), 1, payload) != nil {
			return
		}
		for key := range tails.senders {
			if tail := tails.Tail(key.usr, key.dev); tail.Archived() && tail.Newest != 1 {
				t.Fatalf("%+v of one message", tail)
			}
		}
	})
}
