package retention

import (
	"context"
	"fmt"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// BenchmarkPlan measures a plan over a million messages of ten months, all of
// them due and one in a hundred held by a custodian hold: gathering the facts
// (each message's JSON is parsed), asking schedule and holds, and adding up.
// The log is in memory, so opening sealed bodies, which the archive's own
// benchmarks measure, is not in it; neither is the survey, which is made
// before.
func BenchmarkPlan(b *testing.B) {
	const messages = 1_000_000
	s, l := newStage(b)
	start := time.Now().AddDate(0, -11, 0)
	for n := range uint64(messages) {
		at := start.Add(time.Duration(n) * 300 * 24 * time.Hour / messages)
		from := stageUsrs[1+n%4]
		if n%100 == 0 {
			from = "anna"
		}
		p := envelope.Payload{
			V: 1, Typ: envelope.TypMsg, Arc: "ward.test", Mid: jws.EncodeB64(fmt.Appendf(nil, "%016d", n)), Usr: from, Dev: "dev", N: n + 1,
			Sent: envelope.FormatTime(at), To: []envelope.Party{{Usr: "zoe"}}, Body: &envelope.Body{Text: "a message of a ward, of about the usual length"},
		}
		body, _ := compactOf(b, p)
		seq := l.put(archive.Entry{Kind: proof.KindMessage, Class: proof.ClassGeneral, Body: body})
		l.date(seq, at)
	}
	s.schedule(stageSchedule)
	s.place(custodian("anna"))
	if err := s.book.settled(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		p, err := s.book.PlanDisposition(context.Background(), rita, PlanOptions{Dry: true})
		if err != nil || p.Total == 0 {
			b.Fatal(p, err)
		}
		b.ReportMetric(float64(p.Total), "entries")
	}
	b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
