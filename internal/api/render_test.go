package api

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// ward is a small log with a directory and messages, and its renderer.
type ward struct {
	*house
	key   ed25519.PrivateKey
	relay uint64
	gone  map[uint64]error
}

func (w *ward) Record(_ context.Context, seq uint64) (archive.Record, error) {
	if seq >= w.Size() {
		return archive.Record{}, &archive.SeqError{Seq: seq, Err: archive.ErrNotFound}
	}
	if err := w.gone[seq]; err != nil {
		return archive.Record{Leaf: w.records[seq].Leaf}, &archive.SeqError{Seq: seq, Err: err}
	}
	return w.records[seq], nil
}

func newWard(t *testing.T) (*ward, *Renderer) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{house: newHouse(t), key: key, gone: map[uint64]error{}}
	w.entry(proof.KindEpoch, archive.EpochBody{Epoch: "e1"}, nil)
	w.user("u1", "Anna Berg")
	w.user("u2", "")
	return w, &Renderer{Log: w, State: state.New(w, envelope.Pins{}, nil)}
}

func (w *ward) entry(kind proof.Kind, body, note any) uint64 {
	w.t.Helper()
	bytesOf := func(v any) []byte {
		switch v := v.(type) {
		case nil:
			return nil
		case []byte:
			return v
		}
		b, err := json.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		return b
	}
	class := proof.ClassControl
	if kind == proof.KindMessage {
		class = proof.ClassGeneral
	}
	if _, err := w.Append(w.t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: kind, Class: class, Body: bytesOf(body)}}}); err != nil {
		w.t.Fatal(err)
	}
	rec := &w.records[len(w.records)-1]
	rec.Note = bytesOf(note)
	if kind.FromRelay() {
		w.relay++
		rec.Leaf.Epoch, rec.Leaf.RelaySeq = "e1", w.relay
	}
	return rec.Leaf.Seq
}

func (w *ward) user(usr, name string) {
	w.t.Helper()
	event, err := envelope.UserUpsertEvent(envelope.User{Usr: usr, UPN: usr + "@ward.example", Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	verdict, err := json.Marshal(envelope.Verdict{Op: envelope.OpUserUpsert, Accepted: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.entry(proof.KindDirectory, event, archive.DirectoryNote{Verdict: verdict})
}

var (
	id16   = jws.EncodeB64(make([]byte, 16))
	secret = jws.EncodeB64([]byte("an attachment key of 32 bytes...")) // what show must not hand out
)

func (w *ward) message(text string, change func(*envelope.Payload)) uint64 {
	w.t.Helper()
	p := &envelope.Payload{V: 1, Typ: envelope.TypMsg, Arc: "st-elsewhere", Mid: id16, Usr: "u1", Dev: "d1", N: 1,
		Sent: "2026-03-01T08:00:00.000Z", Body: &envelope.Body{Text: text}, To: []envelope.Party{{Usr: "u2"}, {Usr: "u3"}},
		Conv: &envelope.Conv{ID: "c1", Kind: "group", Name: "Ward 3"}}
	change(p)
	text1, err := envelope.SignMessage(w.key, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.entry(proof.KindMessage, text1, archive.MessageNote{Time: "2026-03-01T08:00:01.000Z", Assurance: "enrolled", Device: "k",
		Flags: []string{"revoked-device"}, Blobs: []archive.BlobNote{{BID: id16, Status: archive.BlobPending}}})
}

func TestHitsAreAsOfTheirPlace(t *testing.T) {
	w, r := newWard(t)
	withFile := func(p *envelope.Payload) {
		p.Att = []envelope.Attachment{{BID: id16, Name: "ecg.pdf", MIME: "application/pdf", Size: 12, Alg: envelope.AttachmentAlg, Key: secret, CTSHA256: jws.EncodeB64(make([]byte, 32))}}
	}
	before := w.message("before", withFile)
	w.user("u1", "Anna Lund")
	after := w.message("after", func(p *envelope.Payload) { p.Conv = &envelope.Conv{ID: "c2", Kind: "direct"} })
	w.entry(proof.KindBlob, archive.BlobBody{Epoch: "e1", RelaySeq: w.records[before].Leaf.RelaySeq, BID: id16, Status: archive.BlobStored}, nil)
	if err := r.State.CatchUp(t.Context(), w.Size()); err != nil {
		t.Fatal(err)
	}
	hits, err := r.Hits(t.Context(), []HitAt{{Seq: after}, {Seq: before}}, w.Size())
	if err != nil {
		t.Fatal(err)
	}
	want := []Hit{
		{Seq: after, From: "Anna Lund", FromUsr: "u1", Conversation: "c2", ConversationID: "c2", Text: "after", Attachments: []Attachment{}},
		{Seq: before, From: "Anna Berg", FromUsr: "u1", Conversation: "Ward 3", ConversationID: "c1", Text: "before",
			Attachments: []Attachment{{BID: id16, Name: "ecg.pdf", Mime: "application/pdf", Size: 12, Status: archive.BlobStored}}},
	}
	for i := range want {
		want[i].Sent, want[i].Received = "2026-03-01T08:00:00.000Z", w.records[want[i].Seq].Leaf.ReceivedTime()
		want[i].To, want[i].ToUsrs = []string{"u2@ward.example", "u3"}, []string{"u2", "u3"}
		want[i].Kind, want[i].Typ, want[i].Assurance = "message", "msg", "enrolled"
		want[i].Flags = []string{"revoked-device"}
	}
	if !reflect.DeepEqual(hits, want) {
		t.Errorf("hits\n%+v\nwant\n%+v", hits, want)
	}
	w.gone[before] = archive.ErrDamaged
	hits, err = r.Hits(t.Context(), []HitAt{{Seq: after}, {Seq: before}}, w.Size())
	if err != nil || len(hits) != 2 || hits[0].Text != "after" || hits[1].Seq != before || !strings.Contains(hits[1].Missing, "damaged") {
		t.Errorf("a damaged hit beside a whole one: %+v, %v", hits, err)
	}
}

func TestShowEveryKind(t *testing.T) {
	w, r := newWard(t)
	file := func(p *envelope.Payload) {
		p.Att = []envelope.Attachment{{BID: id16, Name: "ecg.pdf", Alg: envelope.AttachmentAlg, Key: secret, CTSHA256: jws.EncodeB64(make([]byte, 32))}}
	}
	msg := w.message("hello", file)
	raw := w.entry(proof.KindQuarantine, []byte("\x00not JSON"), archive.QuarantineNote{Code: "malformed"})
	gone := w.message("gone", file)
	torn := w.message("torn", file)
	w.gone[gone], w.gone[torn] = archive.ErrNoBody, archive.ErrDamaged
	shown, err := r.Show(t.Context(), []uint64{msg, 0, raw, gone, torn, 2})
	if err != nil || len(shown) != 6 {
		t.Fatalf("%d entries, %v", len(shown), err)
	}
	m := shown[0]
	if m.Message == nil || m.Message.Text != "hello" || m.Kind != "message" || m.Epoch != "e1" || m.RelaySeq != 3 || len(m.LeafHash) != 64 {
		t.Errorf("message %+v", m)
	}
	if strings.Contains(string(m.Body), secret) || !strings.Contains(string(m.Body), `"ct_sha256"`) || !strings.Contains(string(m.Body), `"text":"hello"`) {
		t.Errorf("payload %s", m.Body)
	}
	if !strings.Contains(string(m.Note), "enrolled") {
		t.Errorf("note %s", m.Note)
	}
	if g := shown[1]; g.Kind != "genesis" || g.Class != "control" || g.Message != nil {
		t.Errorf("genesis %+v", g)
	}
	if q := shown[2]; string(q.Raw) != "\x00not JSON" || q.Body != nil || !strings.Contains(string(q.Note), "malformed") {
		t.Errorf("quarantine %+v", q)
	}
	for _, s := range shown[3:5] {
		if s.Missing == "" || s.Message != nil || s.Body != nil || s.LeafHash == "" {
			t.Errorf("without a body %+v", s)
		}
	}
	if d := shown[5]; d.Kind != "directory" || !strings.Contains(string(d.Body), "Anna Berg") {
		t.Errorf("directory %+v", d)
	}
	if b, err := json.Marshal(shown); err != nil || strings.Contains(string(b), secret) {
		t.Errorf("JSON: %v", err)
	}
	if _, err := r.Show(t.Context(), []uint64{msg, 999}); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("show of nothing: %v", err)
	}
}

func TestPayloadWithoutAttachmentsIsVerbatim(t *testing.T) {
	w, _ := newWard(t)
	seq := w.message("x", func(*envelope.Payload) {})
	got, err := payload(w.records[seq].Body)
	c, perr := jws.Parse(w.records[seq].Body, envelope.TypMessage)
	if err != nil || perr != nil || string(got) != string(c.Payload) {
		t.Errorf("payload %s, %v, %v", got, err, perr)
	}
	if _, err := payload([]byte("no JWS")); err == nil {
		t.Error("no JWS has a payload")
	}
}
