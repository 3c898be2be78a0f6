package retention

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
	"holdfast/retention/hold"
)

// generated is a log of a number of messages that are made when they are read,
// and of the entries appended to it.
type generated struct {
	Log
	messages uint64
	appended []archive.Record
	book     *Book
	applied  int
	seal     []byte // the header and the signature of each message, joined by ".."
}

func newGenerated(tb testing.TB, messages uint64) *generated {
	g := &generated{messages: messages}
	g.book = New(Options{Log: g, CatchUp: g.catchUp, Relay: parties{}, People: crowd{}, Requests: noRequests{}})
	if _, err := g.book.OpenMatter(tb.Context(), officer, NewMatter{ID: "M", Reason: "r"}); err != nil {
		tb.Fatal(err)
	}
	return g
}

func (g *generated) Size() uint64 { return g.messages + uint64(len(g.appended)) }

func (g *generated) Now() time.Time { return time.UnixMilli(int64(g.Size())).UTC() }

func (g *generated) Append(_ context.Context, b archive.Batch) (placed []archive.Placed, err error) {
	for _, e := range b.Entries {
		leaf := proof.Leaf{Seq: g.Size(), Kind: e.Kind, Class: e.Class, Received: int64(g.Size())}
		placed = append(placed, archive.Placed{Seq: leaf.Seq, Kind: e.Kind})
		g.appended = append(g.appended, archive.Record{Leaf: leaf, Body: e.Body})
	}
	return placed, nil
}

func (g *generated) catchUp(context.Context, uint64) error {
	for ; g.applied < len(g.appended); g.applied++ {
		if err := g.book.Apply(g.appended[g.applied]); err != nil {
			return err
		}
	}
	return nil
}

func (g *generated) Records(_ context.Context, from, to uint64) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		for seq := from; seq < to; seq++ {
			if seq >= g.messages {
				if !yield(g.appended[seq-g.messages], nil) {
					return
				}
				continue
			}
			leaf := proof.Leaf{Seq: seq, Kind: proof.KindMessage, Class: proof.ClassGeneral, Received: int64(seq), Epoch: "e1", RelaySeq: seq + 1}
			if !yield(archive.Record{Leaf: leaf, Body: g.body(seq)}, nil) {
				return
			}
		}
	}
}

// body makes a message between two of 1,000 people; every third is a receipt
// of the one before.
func (g *generated) body(seq uint64) []byte {
	text, ref := fmt.Sprintf(`"body":{"text":"patient in bed %d is stable, next round at noon, please call back"}`, seq), ""
	typ := envelope.TypMsg
	if seq%3 == 2 {
		compact, err := jws.Parse(g.body(seq-1), envelope.TypMessage)
		if err != nil {
			return nil
		}
		digest := compact.Digest()
		typ, text, ref = envelope.TypReceipt, `"status":"read"`, fmt.Sprintf(`,"ref":{"dev":"d","mid":%q,"digest":%q}`, mid(seq-1), jws.EncodeB64(digest[:]))
	}
	payload := fmt.Sprintf(`{"v":1,"typ":%q,"arc":"ward.test","mid":%q,"usr":"u%d","dev":"d%d","n":%d,"prev":"","sent":"2026-03-01T12:00:00.000Z",`+
		`"conv":{"id":"c%d","kind":"group"},"to":[{"usr":"u%d"}],%s%s}`,
		typ, mid(seq), seq%1000, seq%1000, seq+1, seq%5000, (seq+7)%1000, text, ref)
	if g.seal == nil {
		header := fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":%q}`, jws.EncodeB64(make([]byte, 32)), envelope.TypMessage)
		g.seal = []byte(base64.RawURLEncoding.EncodeToString([]byte(header)) + ".." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)))
	}
	parts := strings.SplitN(string(g.seal), "..", 2)
	return []byte(parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + parts[1])
}

func mid(seq uint64) string {
	return jws.EncodeB64(binary.BigEndian.AppendUint64(make([]byte, 8), seq))
}

// crowd matches user uN to the person whose objectGUID ends in N.
type crowd struct{ nobody }

func (crowd) EverOf(usr string) []string {
	return []string{"00000000-0000-0000-0001-" + strings.Repeat("0", 12-len(usr)+1) + usr[1:]}
}

func (crowd) Usrs(guid string) []string {
	return []string{"u" + strings.TrimLeft(guid[len("00000000-0000-0000-0001-"):], "0")}
}

// BenchmarkPlaceHold places custodian holds in an archive of 1,000,000 messages
// that the survey has not read.
func BenchmarkPlaceHold(b *testing.B) {
	g := newGenerated(b, 1_000_000)
	scope := hold.Scope{Custodians: crowd{}.EverOf("u42")}
	for b.Loop() {
		if _, err := g.book.PlaceHold(b.Context(), officer, NewHold{Matter: "M", Scope: scope, Reason: "r"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSurvey surveys 1,000,000 generated messages with a hold of each
// kind; the time of making the messages is told beside it.
func BenchmarkSurvey(b *testing.B) {
	const messages = 1_000_000
	for b.Loop() {
		g := newGenerated(b, messages)
		for _, s := range []hold.Scope{
			{Custodians: crowd{}.EverOf("u42")}, {Conversations: []string{"c42"}}, {Query: "stable AND from:u7"},
		} {
			if _, err := g.book.PlaceHold(b.Context(), officer, NewHold{Matter: "M", Scope: s, Reason: "r"}); err != nil {
				b.Fatal(err)
			}
		}
		began := time.Now()
		for _, err := range g.Records(b.Context(), 0, messages) {
			if err != nil {
				b.Fatal(err)
			}
		}
		making := time.Since(began)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began = time.Now()
		if err := g.book.settled(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(messages/(took-making).Seconds(), "entries/s")
		b.ReportMetric(making.Seconds(), "s-making")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/messages, "B/entry")
		h := g.book.Holds()
		if h[0].Held == 0 || h[1].Held == 0 || h[2].Held == 0 {
			b.Fatal("a hold found nothing")
		}
	}
}

// BenchmarkSurveyArchive surveys a real archive, and places a hold in it.
func BenchmarkSurveyArchive(b *testing.B) {
	const messages = 1_000_000
	w := newWorld(b)
	w.matter()
	g := &generated{}
	for seq := uint64(0); seq < messages; {
		batch := archive.Batch{}
		for ; len(batch.Entries) < 1000 && seq < messages; seq++ {
			e := w.relayEntry(proof.KindMessage, "", archive.MessageNote{ID: "x"}, g.body(seq))
			batch.Entries = append(batch.Entries, e)
			batch.Cursor = &archive.Cursor{Epoch: "e1", Seq: e.RelaySeq}
		}
		if _, err := w.archive.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		w.begin(w.archive)
		w.place(hold.Scope{Conversations: []string{"c42"}})
		began := time.Now()
		w.settle()
		b.ReportMetric(messages/time.Since(began).Seconds(), "entries/s")
		began = time.Now()
		w.place(hold.Scope{Conversations: []string{"c42"}})
		b.ReportMetric(time.Since(began).Seconds(), "s-placing")
	}
}
