package daemon

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// figure returns a metric without labels; known says that it is there.
func figure(t *testing.T, p *parts, name string) (value float64, known bool) {
	t.Helper()
	families, err := p.server.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// numbered appends a message of a device with its number, as the relay's next
// event.
func numbered(t *testing.T, a *archive.Archive, key ed25519.PrivateKey, relaySeq, n uint64) {
	t.Helper()
	var mid [16]byte
	rand.Read(mid[:])
	compact, err := envelope.SignMessage(key, &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: "ward", Mid: jws.EncodeB64(mid[:]), Usr: "ann", Dev: "ann-phone", N: n, Sent: envelope.FormatTime(time.Now()),
		Body: &envelope.Body{Text: "call"}, Conv: &envelope.Conv{ID: "c", Kind: "direct"}, To: []envelope.Party{{Usr: "bob"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := envelope.Digest(compact)
	if err != nil {
		t.Fatal(err)
	}
	note, err := json.Marshal(archive.MessageNote{ID: fmt.Sprint(n), Time: envelope.FormatTime(time.Now()), Assurance: string(envelope.RelayAsserted), Device: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Append(t.Context(), archive.Batch{Cursor: &archive.Cursor{Epoch: "e", Seq: relaySeq}, Entries: []archive.Entry{{
		Kind: proof.KindMessage, Class: proof.ClassGeneral, Note: note, Body: compact, Envelope: sha256.Sum256(compact), Epoch: "e", RelaySeq: relaySeq,
		Dedupe: &archive.Dedupe{Device: "ann-phone", N: n, Digest: digest},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever watches sees each hole in a device's numbers and each open alarm that
// the relay's stream has one, and nothing before every message was read: 0 would
// be a figure.
func TestGapsAreShown(t *testing.T) {
	const name = "holdfast_stream_gaps"
	p := watchOver(t, newWard(t))
	body, err := json.Marshal(archive.EpochBody{Epoch: "e"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.archive.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindEpoch, Class: proof.ClassControl, Body: body}}}); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	numbered(t, p.archive, key, 1, 1)
	numbered(t, p.archive, key, 2, 3)
	if n, known := figure(t, p, name); known {
		t.Errorf("nothing was read yet, and there are %v holes", n)
	}
	p.watch.tails = ingest.NewTails(p.archive)
	shows := func(want float64) {
		t.Helper()
		p.watch.refresh(t.Context())
		if n, known := figure(t, p, name); !known || n != want {
			t.Errorf("%v holes, known %v; want %v", n, known, want)
		}
	}
	shows(1)
	for alarm := range gapAlarms {
		if err := p.raise(t.Context(), archive.AlarmBody{Name: alarm, Severity: "critical", Text: "t", Fix: "f"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.raise(t.Context(), archive.AlarmBody{Name: "disk-full", Severity: "critical", Text: "t", Fix: "f"}); err != nil {
		t.Fatal(err)
	}
	shows(1 + float64(len(gapAlarms)))
}
