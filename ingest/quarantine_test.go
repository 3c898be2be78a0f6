package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// hostile is an envelope that earns a code; opened says that HPKE opens it.
type hostile struct {
	code   envelope.Code
	opened bool
	data   string
}

// reheader changes the header of an envelope.
func reheader(t *testing.T, data string, change func(map[string]any)) string {
	t.Helper()
	parts := strings.Split(data, ".")
	b, err := jws.DecodeB64(parts[1])
	check(t, err)
	var header map[string]any
	check(t, json.Unmarshal(b, &header))
	change(header)
	b, err = json.Marshal(header)
	check(t, err)
	return parts[0] + "." + jws.EncodeB64(b) + "." + parts[2]
}

func hostiles(t *testing.T, r *rig, ann *sender) []hostile {
	t.Helper()
	good := r.st.message(ann, "as it should be")
	ann.n--
	stranger := &sender{usr: ann.usr, dev: ann.dev, key: newSigner(t, jws.EdDSA)}
	letter := "A" // another one of base64url
	if good[len(good)-4] == 'A' {
		letter = "B"
	}
	flipped := good[:len(good)-4] + letter + good[len(good)-3:]
	other, err := envelope.GenerateKey(envelope.P256)
	check(t, err)
	compact, err := envelope.SignMessage(ann.key, &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: testArc, Mid: newID16(), Usr: ann.usr, Dev: ann.dev, N: 900, Sent: "2026-01-01T00:00:00.000Z"})
	check(t, err)
	foreign, err := envelope.Seal(other.Public(), testArc, newID16(), compact)
	check(t, err)
	dots := bytes.Split(compact, []byte("."))
	sig, err := jws.DecodeB64(string(dots[2]))
	check(t, err)
	sig[10] ^= 1
	resigned := string(dots[0]) + "." + string(dots[1]) + "." + jws.EncodeB64(sig)
	doubled := envelope.Attachment{BID: newID16(), Alg: envelope.AttachmentAlg, Key: jws.EncodeB64(make([]byte, 32)), CTSHA256: jws.EncodeB64(make([]byte, 32))}
	payload, err := json.Marshal(&envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: testArc, Mid: newID16(), Usr: ann.usr, Dev: ann.dev, N: 901, Sent: "2026-01-01T00:00:00.000Z",
		Att: []envelope.Attachment{doubled, doubled}})
	check(t, err)
	twice, err := envelope.SignPayload(ann.key, payload)
	check(t, err)
	return []hostile{
		{envelope.Malformed, true, r.st.seal(newID16(), twice)},
		{envelope.Malformed, false, "not an envelope"},
		{envelope.Malformed, false, ""},
		{envelope.UnsupportedVersion, false, "AMX2" + good[4:]},
		{envelope.UnsupportedSuite, false, reheader(t, good, func(h map[string]any) { h["kem"] = 0x0020 })},
		{envelope.UnsupportedSuite, false, reheader(t, good, func(h map[string]any) { h["aead"] = 3 })},
		{envelope.WrongArchive, false, reheader(t, good, func(h map[string]any) { h["arc"] = "elsewhere" })},
		{envelope.UnknownArchiveKey, false, string(foreign)},
		{envelope.DecryptFailed, false, flipped},
		{envelope.UnknownDeviceKey, true, r.st.message(stranger, "who am I")},
		{envelope.BadSignature, true, r.st.seal(newID16(), []byte(resigned))},
		{envelope.BindingMismatch, true, r.st.seal(newID16(), compact)},
		{envelope.TooLarge, false, "AMX1." + strings.Repeat("A", wire.MaxEnvelope)},
	}
}

func TestEveryQuarantineCode(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		all := hostiles(t, r, ann)
		var want []wire.Quarantined
		for _, h := range all {
			want = append(want, wire.Quarantined{Seq: r.st.add(wire.KindEnv, h.data), Code: string(h.code)})
			r.st.say(ann, "the queue moves on")
		}
		want = append(want, wire.Quarantined{Seq: r.st.add(wire.KindDelivered, `{"a":1,"a":2}`), Code: "malformed"})
		stop := r.start()
		r.untilAcked(uint64(len(r.st.events)))
		stop()
		r.wantOnce(r.st)
		if n := len(r.records(proof.KindMessage)); n != len(all) {
			t.Errorf("%d messages; want %d", n, len(all))
		}
		var acked []wire.Quarantined
		for _, a := range r.relay.acks {
			acked = append(acked, a.Quarantined...)
		}
		if !slices.Equal(acked, want) {
			t.Errorf("acked\n%v; want\n%v", acked, want)
		}
		kept := r.records(proof.KindQuarantine)
		for i, h := range all {
			rec := kept[i]
			var note archive.QuarantineNote
			check(t, ijson.Unmarshal(rec.Note, &note))
			if note.Code != string(h.code) || note.Opened != h.opened || note.Kind != wire.KindEnv {
				t.Errorf("%s: note %+v", h.code, note)
			}
			hash := proof.Hash{}
			if h.opened {
				hash = sha256.Sum256([]byte(h.data))
				if !bytes.HasPrefix(rec.Body, []byte("eyJ")) || len(rec.Body)%256 != 0 {
					t.Errorf("%s: the body is not what HPKE opened", h.code)
				}
			} else if string(rec.Body) != h.data {
				t.Errorf("%s: the body is not the event's data", h.code)
			}
			if rec.Leaf.Envelope != hash {
				t.Errorf("%s: envelope hash %v; want %v", h.code, rec.Leaf.Envelope, hash)
			}
		}
	})
}

func TestX25519WhereTheSiteOptsIn(t *testing.T) {
	key, err := envelope.GenerateKey(envelope.X25519)
	check(t, err)
	private, err := key.Bytes()
	check(t, err)
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				ann := r.st.join("u-ann", jws.EdDSA)
				r.keys[envelope.X25519], r.st.kem = key.Public(), envelope.X25519
				r.st.say(ann, "from an older phone")
				keys := fixedKeys{r.archive, append(r.archive.RecipientKeys(),
					archive.RecipientKey{KID: key.KID(), KEM: uint16(envelope.X25519), Private: private, NotAfter: r.archive.RecipientKeys()[0].NotAfter})}
				stop := r.start(func(o *Options) { o.AllowX25519, o.Keys = allowed, keys })
				r.untilAcked(3)
				stop()
				published := slices.ContainsFunc(r.relay.keysets[0].Keys, func(k wire.KeysetKey) bool { return k.KEM == uint16(envelope.X25519) })
				if opened := len(r.records(proof.KindMessage)) == 1; opened != allowed || published != allowed {
					t.Errorf("opened %v, published %v; want %v", opened, published, allowed)
				}
			})
		})
	}
}

// Data that a page can just hold must fit into an entry.
func TestLargestQuarantine(t *testing.T) {
	o := &opener{epoch: strings.Repeat("e", wire.MaxID)}
	for _, size := range []int{archive.MaxBody - maxNote, archive.MaxBody - maxNote + 1, wire.MaxPage} {
		e := &wire.Event{Seq: 1, ID: strings.Repeat("\x01", wire.MaxID), Kind: strings.Repeat("\x01", wire.MaxKind), Data: strings.Repeat("A", size)}
		var out outcome
		o.quarantine(e, &out, &envelope.Error{Code: envelope.TooLarge, Err: io.ErrShortBuffer})
		if have := len(out.entry.Body) + len(out.entry.Note); have > archive.MaxBody || len(out.entry.Body) < archive.MaxBody-maxNote {
			t.Errorf("of %d bytes %d are kept, %d with the note", size, len(out.entry.Body), have)
		}
	}
}

func TestMarksMergeUpToALimit(t *testing.T) {
	many := make([]wire.Quarantined, maxQuarantined-1)
	a := &acker{wake: make(chan struct{}, 1)}
	a.add(mark{epoch: "e1", seq: 10, head: wire.Head{1}, quarantined: many})
	a.add(mark{epoch: "e1", seq: 20, head: wire.Head{2}, quarantined: many[:1]})
	a.add(mark{epoch: "e1", seq: 30, head: wire.Head{3}, quarantined: many[:2]})
	a.add(mark{epoch: "e1", seq: 40, head: wire.Head{4}})
	m, reads, ok := a.take()
	if !ok || m.seq != 20 || m.head != (wire.Head{2}) || len(m.quarantined) != maxQuarantined {
		t.Fatalf("first mark: seq %d, %d quarantined", m.seq, len(m.quarantined))
	}
	a.putBack(m, reads, classNetwork)
	if m, _, _ = a.take(); m.seq != 20 {
		t.Fatalf("a mark put back comes first; got %d", m.seq)
	}
	if m, reads, _ = a.take(); m.seq != 40 || len(m.quarantined) != 2 {
		t.Fatalf("second mark: seq %d, %d quarantined", m.seq, len(m.quarantined))
	}
	a.add(mark{epoch: "e2", seq: 5})
	a.putBack(m, reads, classNetwork)
	if m, reads, _ = a.take(); m.epoch != "e1" {
		t.Fatal("what an epoch's end left to ack comes first")
	}
	a.putBack(m, reads, classEpochChanged)
	if m, reads, _ = a.take(); m.epoch != "e2" {
		t.Fatal("a mark was kept of an epoch that the relay is done with")
	}
	m.quarantined = many[:1]
	a.restart(mark{epoch: "e2", seq: 9, quarantined: many[:1]})
	a.putBack(m, reads, classNetwork)
	if m, _, _ = a.take(); m.seq != 9 || len(m.quarantined) != 1 {
		t.Fatal("the log's own mark stands for those before it")
	}
	if _, _, ok := a.take(); ok {
		t.Fatal("more marks than there are")
	}
	ack := wire.Ack{Arc: testArc, Quarantined: make([]wire.Quarantined, maxQuarantined)}
	for i := range ack.Quarantined {
		ack.Quarantined[i] = wire.Quarantined{Seq: wire.MaxSafe, Code: "unknown_archive_key"}
	}
	compact, err := ack.Sign(newSigner(t, jws.EdDSA))
	check(t, err)
	if len(compact) > wire.MaxEnvelope {
		t.Errorf("the largest ack has %d bytes; the relay reads %d", len(compact), wire.MaxEnvelope)
	}
}
