package coverage

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// Day 0 of the log; entry n is received n hours later.
var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// ledger is a log in memory.
type ledger struct {
	t         *testing.T
	key       ed25519.PrivateKey
	id        *proof.Identity
	identity  []byte
	leaves    []proof.Leaf
	bodies    []archive.Record
	disposed  map[uint64]bool
	damaged   map[uint64]bool
	delivered map[string]map[uint64]uint64
	relay     map[string]uint64
	last      map[string]string // digest of a device's last message
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{t: t, disposed: map[uint64]bool{}, damaged: map[uint64]bool{}, delivered: map[string]map[uint64]uint64{}, relay: map[string]uint64{}, last: map[string]string{}}
	_, l.key, _ = ed25519.GenerateKey(nil)
	l.identity, l.id = identity(t, l.key)
	l.append(proof.KindGenesis, "", nil, l.identity)
	return l
}

func (l *ledger) append(kind proof.Kind, epoch string, note any, body []byte) uint64 {
	l.t.Helper()
	seq := uint64(len(l.leaves))
	leaf := proof.Leaf{Seq: seq, Kind: kind, Class: proof.ClassGeneral, Received: begin.Add(time.Duration(seq) * time.Hour).UnixMilli()}
	if epoch != "" {
		l.relay[epoch]++
		leaf.Epoch, leaf.RelaySeq = epoch, l.relay[epoch]
	}
	text, err := json.Marshal(note)
	if err != nil {
		l.t.Fatal(err)
	}
	l.leaves = append(l.leaves, leaf)
	l.bodies = append(l.bodies, archive.Record{Leaf: leaf, Note: text, Body: body})
	return seq
}

// say appends the nth message of a device.
func (l *ledger) say(usr, dev string, n uint64, typ string) uint64 {
	l.t.Helper()
	p := map[string]any{"v": 1, "typ": typ, "arc": "a.example", "mid": "AAAAAAAAAAAAAAAAAAAAAA", "usr": usr, "dev": dev, "n": n, "prev": l.last[dev], "sent": "2026-03-01T08:00:00.000Z"}
	if typ == envelope.TypMsg {
		p["conv"] = map[string]any{"id": "c", "kind": "direct", "members": []any{}}
		p["to"] = []any{map[string]any{"usr": "u-9"}}
		p["body"] = map[string]any{"text": "x"}
	}
	payload, err := json.Marshal(p)
	if err != nil {
		l.t.Fatal(err)
	}
	body, err := jws.Sign(envelope.TypMessage, l.key, payload)
	if err != nil {
		l.t.Fatal(err)
	}
	digest, err := envelope.Digest(body)
	if err != nil {
		l.t.Fatal(err)
	}
	l.last[dev] = jws.EncodeB64(digest[:])
	seq := l.append(proof.KindMessage, "e1", map[string]any{}, body)
	if l.delivered[dev] == nil {
		l.delivered[dev] = map[uint64]uint64{}
	}
	if _, again := l.delivered[dev][n]; !again {
		l.delivered[dev][n] = seq
	}
	return seq
}

// skip lets the relay's stream leave numbers out.
func (l *ledger) skip(epoch string, n uint64) { l.relay[epoch] += n }

func (l *ledger) Size() uint64 { return uint64(len(l.leaves)) }

func (l *ledger) Scan(_ context.Context, from, to uint64) iter.Seq2[proof.Leaf, error] {
	return func(yield func(proof.Leaf, error) bool) {
		for _, leaf := range l.leaves[from:to] {
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

func (l *ledger) RecordOf(_ context.Context, leaf proof.Leaf) (archive.Record, error) {
	switch {
	case l.disposed[leaf.Seq]:
		return archive.Record{Leaf: leaf}, archive.ErrDisposed
	case l.damaged[leaf.Seq]:
		return archive.Record{Leaf: leaf}, archive.ErrDamaged
	}
	return l.bodies[leaf.Seq], nil
}

func (l *ledger) Delivered(dev string, n uint64) (uint64, bool, error) {
	seq, ok := l.delivered[dev][n]
	return seq, ok, nil
}

func (l *ledger) IdentityJSON() []byte          { return l.identity }
func (l *ledger) IdentitySigner() crypto.Signer { return l.key }

func (l *ledger) request() Request {
	return Request{
		Name: "Anna Berg", Usrs: []string{"u-1"}, From: begin, To: begin.Add(1000 * time.Hour), By: "cy", Tool: "test",
		Keys:         []Key{{Usr: "u-1", Dev: "d-1", Kid: "k-1", Added: 0, Assurance: "enrolled"}},
		Certificates: func(seq uint64) []uint64 { return []uint64{900} },
	}
}

func (l *ledger) certify(change ...func(*Request)) *Statement {
	l.t.Helper()
	r := l.request()
	for _, f := range change {
		f(&r)
	}
	s, compact, err := Certify(l.t.Context(), l, r)
	if err != nil {
		l.t.Fatal(err)
	}
	checked, err := Verify(append([]byte("\n"), append(compact, ' ')...), l.id)
	if err != nil {
		l.t.Fatal(err)
	}
	if !reflect.DeepEqual(checked, s) {
		l.t.Errorf("what was signed is not what was said:\n%+v\n%+v", checked, s)
	}
	if text := fmt.Sprint(s); strings.Contains(strings.ToLower(text), "complete") {
		l.t.Errorf("a certificate says complete: %s", text)
	}
	return s
}

func only(t *testing.T, s *Statement) Device {
	t.Helper()
	if len(s.Devices) != 1 {
		t.Fatalf("%d devices", len(s.Devices))
	}
	return s.Devices[0]
}

// A device whose numbers are all there is sealed up to its checkpoint, and
// unknown after it.
func TestSealedAndOpen(t *testing.T) {
	l := newLedger(t)
	for n := uint64(1); n <= 3; n++ {
		l.say("u-1", "d-1", n, envelope.TypMsg)
	}
	l.say("u-1", "d-1", 4, envelope.TypCheckpoint)
	d := only(t, l.certify())
	if d.Standing != Sealed || d.First != 1 || d.Last != 4 || d.Present != 4 || d.Sealed.N != 4 || d.After != Unknown || len(d.Missing) != 0 || d.Keys[0].Kid != "k-1" {
		t.Errorf("%+v", d)
	}
	l.say("u-1", "d-1", 5, envelope.TypMsg)
	if d := only(t, l.certify()); d.Standing != Open || d.Sealed.N != 4 || d.Last != 5 {
		t.Errorf("%+v", d)
	}
	// As of before, the fifth was not there.
	if d := only(t, l.certify(func(r *Request) { r.To = begin.Add(5 * time.Hour) })); d.Standing != Sealed || d.Last != 4 {
		t.Errorf("%+v", d)
	}
	d = only(t, l.certify(func(r *Request) { r.Usrs, r.Keys = []string{"u-2"}, []Key{{Usr: "u-2", Dev: "d-2", Kid: "k"}} }))
	if d.Standing != Unknown || d.Newest != 0 {
		t.Errorf("%+v", d)
	}
}

// Numbers that are missing, stand twice, or do not follow from one another.
func TestGaps(t *testing.T) {
	l := newLedger(t)
	l.say("u-1", "d-1", 1, envelope.TypMsg)
	l.say("u-1", "d-1", 2, envelope.TypMsg)
	l.say("u-1", "d-1", 5, envelope.TypMsg)
	l.say("u-1", "d-1", 5, envelope.TypMsg)
	l.last["d-1"] = jws.EncodeB64(make([]byte, 32))
	l.say("u-1", "d-1", 6, envelope.TypCheckpoint)
	d := only(t, l.certify())
	if d.Standing != Gaps || !reflect.DeepEqual(d.Missing, []Gap{{3, 4}}) || !reflect.DeepEqual(d.Twice, []uint64{5}) || !reflect.DeepEqual(d.Broken, []uint64{6}) {
		t.Errorf("%+v", d)
	}
	// A number that is missing before the period belongs to it too: it may have come in it.
	d = only(t, l.certify(func(r *Request) { r.From = begin.Add(3 * time.Hour) }))
	if d.Standing != Gaps || d.First != 5 || !reflect.DeepEqual(d.Missing, []Gap{{3, 4}}) {
		t.Errorf("%+v", d)
	}
}

// What was disposed of is accounted for by its number, and named.
func TestDisposed(t *testing.T) {
	l := newLedger(t)
	seqs := map[uint64]uint64{}
	for n := uint64(1); n <= 6; n++ {
		typ := envelope.TypMsg
		if n == 6 {
			typ = envelope.TypCheckpoint
		}
		seqs[n] = l.say("u-1", "d-1", n, typ)
	}
	for _, n := range []uint64{1, 3, 4} {
		l.disposed[seqs[n]] = true
	}
	s := l.certify()
	if d := only(t, s); d.Standing != Sealed || d.Disposed != 3 || d.Present != 3 || d.First != 1 || len(d.Missing) != 0 || !reflect.DeepEqual(d.By, []uint64{900}) {
		t.Errorf("%+v", d)
	}
	if s.Disposed.Messages != 3 || !reflect.DeepEqual(s.Disposed.Certificates, []uint64{900}) {
		t.Errorf("%+v", s.Disposed)
	}
	// The checkpoint itself is gone: nobody can say that it was one.
	l.disposed[seqs[6]] = true
	if d := only(t, l.certify()); d.Standing != Open || d.Newest != 6 || d.Last != 6 || d.Sealed != nil || d.Disposed != 4 {
		t.Errorf("%+v", d)
	}
	// Damaged is not disposed: the number is missing.
	l.disposed, l.damaged = map[uint64]bool{}, map[uint64]bool{seqs[3]: true}
	l.delivered["d-1"][3] = seqs[3]
	s = l.certify()
	if !reflect.DeepEqual(s.Unreadable, []uint64{seqs[3]}) || only(t, s).Standing != Gaps {
		t.Errorf("%+v", s)
	}
}

// The relay's numbers, what it says that it lost, and its epochs.
func TestStreams(t *testing.T) {
	l := newLedger(t)
	l.say("u-1", "d-1", 1, envelope.TypMsg)
	l.append(proof.KindRelay, "e1", map[string]any{"kind": "relay.lost"}, []byte(`{"from":7,"to":9}`))
	l.append(proof.KindQuarantine, "e1", archive.QuarantineNote{Code: "bad_signature"}, []byte("?"))
	l.skip("e1", 2)
	l.say("u-7", "d-7", 1, envelope.TypMsg)
	l.append(proof.KindEpoch, "", nil, []byte(`{"epoch":"e2","ordinal":2,"previous":"e1","last_seq":6,"last_head":""}`))
	l.append(proof.KindRelay, "e2", map[string]any{"kind": "relay.wipe"}, []byte(`{}`))
	s := l.certify()
	want := []Stream{
		{Epoch: "e1", First: 1, Last: 6, Entries: 4, Missing: []Gap{{4, 5}}, Lost: []Gap{{7, 9}}, Ended: true},
		{Epoch: "e2", First: 1, Last: 1, Entries: 1, Missing: []Gap{}, Lost: []Gap{}},
	}
	if !reflect.DeepEqual(s.Streams, want) {
		t.Errorf("%+v", s.Streams)
	}
	if len(s.Quarantined) != 1 || s.Quarantined[0] != (Quarantine{Seq: 3, Epoch: "e1", RelaySeq: 3, Code: "bad_signature"}) {
		t.Errorf("%+v", s.Quarantined)
	}
	if s.Others != (Others{Devices: 1, Open: 1}) {
		t.Errorf("%+v", s.Others)
	}
	if s := l.certify(func(r *Request) { r.From = begin.Add(900 * time.Hour) }); len(s.Streams) != 0 || s.First != s.Next {
		t.Errorf("a period in which nothing came: %+v", s)
	}
}

// A device may count as it likes: a statement is made in time.
func TestAbsurdNumbers(t *testing.T) {
	l := newLedger(t)
	gone := l.say("u-1", "d-1", 1, envelope.TypMsg)
	l.disposed[gone] = true
	l.say("u-1", "d-1", 1<<52, envelope.TypMsg)
	if d := only(t, l.certify()); d.Standing != Gaps || !reflect.DeepEqual(d.Missing, []Gap{{2, 1<<52 - 1}}) {
		t.Errorf("%+v", d)
	}
}

func TestRequestsAndForgeries(t *testing.T) {
	l := newLedger(t)
	for name, change := range map[string]func(*Request){
		"nobody":  func(r *Request) { r.Usrs = nil },
		"no time": func(r *Request) { r.To = r.From },
	} {
		r := l.request()
		change(&r)
		if _, _, err := Certify(t.Context(), l, r); err == nil {
			t.Errorf("%s: certified", name)
		}
	}
	_, compact, err := Certify(t.Context(), l, l.request())
	if err != nil {
		t.Fatal(err)
	}
	other := newLedger(t)
	if _, err := Verify(compact, other.id); err == nil {
		t.Error("another archive's")
	}
	for i := range compact {
		changed := bytes.Clone(compact)
		changed[i] ^= 1
		if _, err := Verify(changed, l.id); err == nil {
			t.Fatalf("byte %d changed, and nobody noticed", i)
		}
	}
}

// What a person reads has a line for everything, and no name makes one.
func TestText(t *testing.T) {
	l := newLedger(t)
	l.say("u-1", "d-1", 2, envelope.TypMsg)
	s := l.certify(func(r *Request) { r.Name = "Anna\ndevice  d-9: SEALED" })
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"device      d-1 of u-1: GAPS; numbers 2 to 2 in the period, 1 there, 0 disposed of, missing 1,", "never sealed by a checkpoint; after number 2 unknown", "cannot show what a device sent after"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing from\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\ndevice  d-9") {
		t.Errorf("a name made a line:\n%s", b.String())
	}
}

func FuzzVerify(f *testing.F) {
	_, key, _ := ed25519.GenerateKey(nil)
	_, id := identity(f, key)
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Verify(b, id); err == nil {
			t.Error("a forgery")
		}
	})
}
