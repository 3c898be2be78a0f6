package retention

import (
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
)

// linked is an entry of a drawn log: a message that may be about another one,
// before or after it, and may be in a conversation.
type linked struct {
	ref  int // the message that it is about; -1 none
	talk string
	typ  string
}

func drawLinked(t *rapid.T) []linked {
	n := rapid.IntRange(1, 40).Draw(t, "entries")
	out := make([]linked, n)
	for i := range out {
		out[i] = linked{ref: rapid.IntRange(-n, n+2).Draw(t, "ref"), talk: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "talk")}
		out[i].typ = rapid.SampledFrom([]string{envelope.TypMsg, envelope.TypMsg, envelope.TypClose, envelope.TypMember}).Draw(t, "typ")
		if out[i].ref < 0 || out[i].ref == i {
			out[i].ref = -1
		}
	}
	return out
}

func digestOf(i int) (d [32]byte) {
	binary.BigEndian.PutUint64(d[:], uint64(i)+1)
	return d
}

func (l linked) facts(seq int) *entryFacts {
	f := newFacts(proof.Leaf{Seq: uint64(seq), Kind: proof.KindMessage, Class: proof.ClassGeneral})
	f.digest, f.known, f.typ, f.hold.Conversation = digestOf(seq), true, l.typ, l.talk
	if l.ref >= 0 {
		f.ref, f.refs = digestOf(l.ref), true
	}
	return f
}

// closure is what holds keep, written plainly: start from what they cover, and
// add members of families and what gives conversations their meaning until
// nothing is added. Only what is covered itself gives a conversation meaning.
func closure(log []linked, covered []bool) []bool {
	held := append([]bool{}, covered...)
	for i, l := range log {
		for j, m := range log {
			if covered[j] && m.talk != "" && m.talk == l.talk && (l.typ == envelope.TypClose || l.typ == envelope.TypMember) {
				held[i] = true
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i, l := range log {
			for j, m := range log {
				tied := l.ref == j || m.ref == i || l.ref >= 0 && l.ref == m.ref
				if tied && held[j] && !held[i] {
					held[i], changed = true, true
				}
			}
		}
	}
	return held
}

// Whatever the order in which the log's end and scopes that lag behind are
// surveyed, what is held is what a plain reading says.
func TestTheSurveyHoldsWhatAPlainReadingHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLinked(t)
		s := newSurvey()
		s.batch = rapid.Uint64Range(1, 7).Draw(t, "batch")
		covered := map[*coverage][]bool{}
		size := uint64(0)
		for range 80 {
			if len(covered) < 3 && rapid.IntRange(0, 9).Draw(t, "place") == 0 {
				c := &coverage{}
				covered[c] = rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 5), func(n int) bool { return n == 0 }), len(log), len(log)).Draw(t, "covered")
				s.follow(append(append([]*coverage{}, s.covers...), c))
			}
			if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				for c := range covered {
					c.done = min(c.done, rapid.Uint64Range(0, size).Draw(t, "from")) // as when the directory changed
				}
			}
			size = min(size+rapid.Uint64Range(0, 3).Draw(t, "more"), uint64(len(log)))
			oneBatch(t, s, log, size, covered)
		}
		for from, to, _ := s.next(uint64(len(log))); from != to; from, to, _ = s.next(uint64(len(log))) {
			oneBatch(t, s, log, uint64(len(log)), covered)
		}
		for c, direct := range covered {
			want, count := closure(log, direct), uint64(0)
			for seq := range log {
				if want[seq] {
					count++
				}
				if got := c.roots.has(s.kin.root(uint64(seq))); got != want[seq] {
					t.Fatalf("entry %d: held %v, want %v", seq, got, want[seq])
				}
			}
			if entries, through := s.held([]*coverage{c}); entries != count || through != uint64(len(log)) {
				t.Fatalf("%d entries through %d, want %d", entries, through, count)
			}
			if entries, _ := s.held([]*coverage{c, c}); entries != count {
				t.Fatalf("%d entries counted one by one, want %d", entries, count)
			}
		}
	})
}

// oneBatch surveys one batch of the first size entries.
func oneBatch(t *rapid.T, s *survey, log []linked, size uint64, covered map[*coverage][]bool) {
	from, to, covers := s.next(size)
	if from == to {
		return
	}
	var facts []*entryFacts
	for seq := from; seq < to; seq++ {
		facts = append(facts, log[seq].facts(int(seq)))
	}
	held := make([][]bool, len(covers))
	for i, c := range covers {
		held[i] = covered[c][from:to]
	}
	if err := s.take(from, to, facts, covers, held); err != nil {
		t.Fatal(err)
	}
}

func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bits
		in := map[uint64]bool{}
		for _, n := range rapid.SliceOf(rapid.Uint64Range(0, 5*pageBits)).Draw(t, "set") {
			b.set(n)
			in[n] = true
		}
		for n := range uint64(6 * pageBits) {
			if b.has(n) != in[n] {
				t.Fatalf("%d", n)
			}
		}
	})
}

// A conversation is closed until it goes on; what is about its messages does
// not make it go on.
func TestWhenAConversationClosed(t *testing.T) {
	s := newSurvey()
	at := time.UnixMilli(5_000).UTC()
	for seq, typ := range []string{envelope.TypMsg, envelope.TypClose, envelope.TypReceipt, envelope.TypEdit} {
		f := linked{ref: -1, talk: "a", typ: typ}.facts(seq)
		f.due.Received = at.Add(time.Duration(seq) * time.Second)
		if err := s.take(uint64(seq), uint64(seq)+1, []*entryFacts{f}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.closed("a"); got == nil || !got.Equal(at.Add(time.Second)) {
		t.Errorf("closed %v", got)
	}
	for i, typ := range []string{envelope.TypCall, envelope.TypClose, envelope.TypMember} {
		f := linked{ref: -1, talk: "a", typ: typ}.facts(4 + i)
		if err := s.take(uint64(4+i), uint64(5+i), []*entryFacts{f}, nil, nil); err != nil {
			t.Fatal(err)
		}
		if (s.closed("a") != nil) != (typ == envelope.TypClose) {
			t.Errorf("after a %s: %v", typ, s.closed("a"))
		}
	}
	if s.closed("b") != nil {
		t.Error("a conversation that is not there")
	}
}
