package export

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"iter"
	"maps"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Each case makes four productions; -rapid.checks asks for more.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := flag.Set("rapid.checks", drawn); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const arc = "ward.test"

// ward is a small real archive with people, devices and messages in it, and
// the directory of its entries.
type ward struct {
	t      testing.TB
	a      *archive.Archive
	dir    *envelope.Directory
	enrol  crypto.Signer
	keys   map[string]crypto.Signer // by usr
	relay  uint64
	counts map[string]uint64 // n, by usr
	users  map[string][]uint64
	device map[string][]uint64 // by kid
	blobs  map[string][]uint64

	hangs map[string][]uint64 // by digest, of what was read
	read  uint64              // entries that hangs knows
}

func newWard(t testing.TB) *ward {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	must(t, err)
	home, master := t.TempDir(), seal.NewKey()
	_, err = archive.Create(t.Context(), home, archive.CreateOptions{ArchiveID: arc, Master: master, Recovery: recovery.Public()})
	must(t, err)
	a, err := archive.Open(t.Context(), home, archive.Options{Master: master})
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	w := &ward{
		t: t, a: a, enrol: edKey(t), keys: map[string]crypto.Signer{}, counts: map[string]uint64{},
		users: map[string][]uint64{}, device: map[string][]uint64{}, blobs: map[string][]uint64{},
	}
	w.dir = envelope.NewDirectory(arc, envelope.Pins{Enrol: w.enrol.Public()})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func edKey(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func (w *ward) source() Source { return Source{Log: w.a, Places: w} }

// relayed appends one entry from the relay and returns its seq.
func (w *ward) relayed(kind proof.Kind, class string, note any, body []byte, dedupe *archive.Dedupe) uint64 {
	w.t.Helper()
	w.relay++
	text, err := json.Marshal(note)
	must(w.t, err)
	placed, err := w.a.Append(w.t.Context(), archive.Batch{
		Entries: []archive.Entry{{Kind: kind, Class: class, Epoch: "e1", RelaySeq: w.relay, Note: text, Body: body, Dedupe: dedupe}},
		Cursor:  &archive.Cursor{Epoch: "e1", Seq: w.relay},
	})
	must(w.t, err)
	return placed[0].Seq
}

func (w *ward) control(kind proof.Kind, class string, body any) uint64 {
	w.t.Helper()
	text, err := json.Marshal(body)
	must(w.t, err)
	placed, err := w.a.Append(w.t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: kind, Class: class, Body: text}}})
	must(w.t, err)
	return placed[0].Seq
}

const relayTime = "2026-03-01T08:00:00.000Z"

func (w *ward) directory(data []byte) uint64 {
	w.t.Helper()
	at := envelope.Position{Seq: w.relay + 1}
	v := w.dir.Judge(at, data)
	must(w.t, w.dir.Apply(at, data, v))
	verdict, err := json.Marshal(v)
	must(w.t, err)
	return w.relayed(proof.KindDirectory, proof.ClassControl, archive.DirectoryNote{ID: "d", Time: relayTime, Verdict: verdict}, data, nil)
}

func (w *ward) user(usr, upn, name string) uint64 {
	w.t.Helper()
	data, err := envelope.UserUpsertEvent(envelope.User{Usr: usr, UPN: upn, Mail: upn, Name: name})
	must(w.t, err)
	seq := w.directory(data)
	w.users[usr] = append(w.users[usr], seq)
	return seq
}

func (w *ward) addDevice(usr string, key, by crypto.Signer) uint64 {
	w.t.Helper()
	data, err := envelope.DeviceAdd{Arc: arc, Usr: usr, Dev: usr + "-phone", At: time.Unix(1_770_000_000, 0), Key: key, By: by}.Event()
	must(w.t, err)
	kid, err := jws.Thumbprint(key.Public())
	must(w.t, err)
	seq := w.directory(data)
	w.keys[usr], w.device[kid] = key, append(w.device[kid], seq)
	return seq
}

// send appends a message of usr's; change may alter its payload.
func (w *ward) send(usr, text string, change func(p *envelope.Payload), flags ...string) uint64 {
	w.t.Helper()
	compact, p := w.compose(usr, text, change)
	seq, _ := w.deliver(usr, compact, p, flags...)
	return seq
}

func (w *ward) compose(usr, text string, change func(p *envelope.Payload)) ([]byte, *envelope.Payload) {
	w.t.Helper()
	w.counts[usr]++
	p := &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: arc, Mid: id16(usr, w.counts[usr]), Usr: usr, Dev: usr + "-phone", N: w.counts[usr],
		Sent: "2026-03-01T07:59:00.000Z", Prio: "routine", Body: &envelope.Body{Text: text},
		Conv: &envelope.Conv{ID: "c1", Kind: "group", Name: "Ward 7", Members: envelope.Members{{Usr: "anna"}, {Usr: "li"}}},
		To:   []envelope.Party{{Usr: "li"}, {Usr: "nobody", Name: "claimed by the sender"}},
	}
	if change != nil {
		change(p)
	}
	compact, err := envelope.SignMessage(w.keys[usr], p)
	must(w.t, err)
	return compact, p
}

func id16(s string, n uint64) string {
	sum := sha256.Sum256([]byte(s + string(rune('0'+n))))
	return jws.EncodeB64(sum[:16])
}

func (w *ward) deliver(usr string, compact []byte, p *envelope.Payload, flags ...string) (uint64, archive.MessageNote) {
	w.t.Helper()
	c, err := jws.Parse(compact, envelope.TypMessage)
	must(w.t, err)
	d, ok := w.dir.Device(c.Header.Kid, envelope.Position{Seq: w.relay + 1})
	if !ok {
		w.t.Fatal("no device")
	}
	n := archive.MessageNote{ID: "m", Time: relayTime, Assurance: string(d.Assurance), Device: d.Kid, Flags: flags}
	for _, a := range p.Att {
		status := archive.BlobStored
		if a.Name == "late.jpg" {
			status = archive.BlobPending
		}
		n.Blobs = append(n.Blobs, archive.BlobNote{BID: a.BID, Status: status})
	}
	seq := w.relayed(proof.KindMessage, proof.ClassGeneral, n, compact, &archive.Dedupe{Device: p.Dev, N: p.N, Digest: c.Digest()})
	return seq, n
}

// blob appends what became of the attachment bid of the message at seq.
func (w *ward) blob(of uint64, bid, status string) uint64 {
	w.t.Helper()
	leaf, err := w.a.Leaf(of)
	must(w.t, err)
	seq := w.control(proof.KindBlob, proof.ClassControl, archive.BlobBody{Epoch: leaf.Epoch, RelaySeq: leaf.RelaySeq, BID: bid, Status: status})
	w.blobs[bid] = append(w.blobs[bid], seq)
	return seq
}

// UserEntry, DeviceEntry and BlobEntry implement Places.
func (w *ward) UserEntry(usr string, at proof.Leaf) (uint64, bool) {
	return lastBelow(w.users[usr], at.Seq)
}

func (w *ward) DeviceEntry(kid string, at proof.Leaf) (uint64, bool) {
	return lastBelow(w.device[kid], at.Seq)
}

func (w *ward) BlobEntry(_ proof.Leaf, bid string, below uint64) (uint64, bool) {
	return lastBelow(w.blobs[bid], below)
}

func lastBelow(seqs []uint64, below uint64) (uint64, bool) {
	for _, seq := range slices.Backward(seqs) {
		if seq < below {
			return seq, true
		}
	}
	return 0, false
}

func attachment(name string) envelope.Attachment {
	sum := sha256.Sum256([]byte(name))
	return envelope.Attachment{
		BID: jws.EncodeB64(sum[:16]), Name: name, MIME: "image/jpeg", Size: 12345, Alg: envelope.AttachmentAlg,
		Key: jws.EncodeB64(sum[:]), CTSHA256: jws.EncodeB64(sum[:]),
	}
}

// furnish fills a ward with one entry of each sort that a production meets.
func furnish(t testing.TB) *ward {
	w := newWard(t)
	w.control(proof.KindEpoch, proof.ClassControl, archive.EpochBody{Epoch: "e1"})
	w.user("anna", "anna@ward.test", "Anna Lund")
	w.user("li", "li@ward.test", "李小龍")
	w.addDevice("anna", edKey(t), w.enrol)
	w.addDevice("li", ecKey(t), nil)
	w.send("anna", "Bed 4 needs a second line", nil)
	w.send("li", "好的，馬上來", func(p *envelope.Payload) {
		p.Prio, p.Subject = "stat", &envelope.Subject{MRN: "0042", Encounter: "e9", Born: 1951}
	})
	compact, p := w.compose("anna", "picture of the wound", func(p *envelope.Payload) {
		p.Att = []envelope.Attachment{attachment("wound.jpg"), attachment("late.jpg")}
	})
	picture, _ := w.deliver("anna", compact, p)
	w.deliver("anna", compact, p) // a redelivery
	w.relayed(proof.KindQuarantine, proof.ClassGeneral, archive.QuarantineNote{ID: "q", Kind: "env", Time: relayTime, Code: "bad_signature"}, []byte("not to be shown"), nil)
	w.relayed(proof.KindRelay, proof.ClassGeneral, archive.RelayNote{ID: "r", Kind: "relay.delivered", Time: relayTime}, []byte(`{"mid":"x"}`), nil)
	w.user("anna", "anna.berg@ward.test", "Anna Berg")
	digest, err := envelope.Digest(compact)
	must(t, err)
	w.send("anna", "picture of the other wound", func(p2 *envelope.Payload) {
		p2.Typ, p2.Ref = envelope.TypEdit, &envelope.Ref{Dev: p.Dev, Mid: p.Mid, Digest: jws.EncodeB64(digest[:])}
	}, "edit-by-other")
	w.send("li", "", func(p2 *envelope.Payload) {
		p2.Typ, p2.Body, p2.Status, p2.At = envelope.TypReceipt, nil, "read", "2026-03-01T08:00:01.000Z"
		p2.Ref = &envelope.Ref{Dev: p.Dev, Mid: p.Mid, Digest: jws.EncodeB64(digest[:])}
	})
	w.control(proof.KindAccess, proof.ClassAudit, map[string]string{"query": "somebody else's matter"})
	w.blob(picture, attachment("late.jpg").BID, archive.BlobStored)
	w.send("anna", "=1+2\u202e evil \u0007 <b>", nil)
	return w
}

// memorySink keeps a production in memory.
type memorySink struct {
	files fstest.MapFS
	order []string
	open  string
	fail  func(step, name string) error
}

func newSink() *memorySink { return &memorySink{files: fstest.MapFS{}} }

type memoryFile struct {
	bytes.Buffer
	name string
	sink *memorySink
}

func (s *memorySink) failing(step, name string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(step, name)
}

func (s *memorySink) Create(name string) (io.WriteCloser, error) {
	if s.open != "" {
		return nil, errors.New("created " + name + " while " + s.open + " is open")
	}
	if err := s.failing("create", name); err != nil {
		return nil, err
	}
	s.open, s.order = name, append(s.order, name)
	return &memoryFile{name: name, sink: s}, nil
}

func (f *memoryFile) Write(b []byte) (int, error) {
	if err := f.sink.failing("write", f.name); err != nil {
		return 0, err
	}
	return f.Buffer.Write(b)
}

func (f *memoryFile) Close() error {
	f.sink.open = ""
	f.sink.files[f.name] = &fstest.MapFile{Data: f.Bytes(), Mode: 0o644}
	return f.sink.failing("close", f.name)
}

// all yields every seq below to, but genesis.
func all(to uint64) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		for seq := uint64(1); seq < to; seq++ {
			if !yield(seq, nil) {
				return
			}
		}
	}
}

func these(seqs ...uint64) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		for _, seq := range seqs {
			if !yield(seq, nil) {
				return
			}
		}
	}
}

func request(seqs iter.Seq2[uint64, error]) Request {
	return Request{Seqs: seqs, Principal: "mjones", Tool: "holdfast test", Query: "wound", Parsed: `"wound"`, Reason: "audit of ward 7", Matter: "2026-17"}
}

func produce(t testing.TB, w *ward, req Request) (*Summary, fstest.MapFS) {
	t.Helper()
	sink := newSink()
	s, err := Produce(t.Context(), w.source(), req, sink)
	must(t, err)
	return s, sink.files
}

func (w *ward) logKey() note.Verifier {
	v, err := w.a.Identity().LogVerifier()
	must(w.t, err)
	return v
}

func verify(t testing.TB, files fstest.MapFS, key note.Verifier) *Verdict {
	t.Helper()
	v, err := Verify(context.Background(), files, VerifyKeys{Log: key}, nil)
	must(t, err)
	return v
}

func clone(files fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for name, f := range maps.All(files) {
		out[name] = &fstest.MapFile{Data: slices.Clone(f.Data), Mode: f.Mode}
	}
	return out
}
