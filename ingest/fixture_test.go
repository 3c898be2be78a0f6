package ingest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testArc = "st-mary.example"

// site is a hospital: its archive, its enrolment key, and the senders whose messages a stream is made of.
type site struct {
	t       testing.TB
	dir     string
	master  [seal.MasterSize]byte
	archive *archive.Archive
	state   *state.State
	enrol   crypto.Signer
	keys    map[envelope.KEM]envelope.PublicKey
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "store"), enrol: newSigner(t, jws.EdDSA), keys: map[envelope.KEM]envelope.PublicKey{}}
	recovery, err := seal.NewRecoveryKey()
	check(t, err)
	_, err = archive.Create(t.Context(), s.dir, archive.CreateOptions{ArchiveID: testArc, Master: s.master, Recovery: recovery.Public()})
	check(t, err)
	s.open()
	t.Cleanup(s.close)
	for _, r := range s.archive.RecipientKeys() {
		key, err := envelope.NewPrivateKey(envelope.KEM(r.KEM), r.Private)
		check(t, err)
		s.keys[key.KEM()] = key.Public()
	}
	return s
}

func (s *site) open() {
	var err error
	s.archive, err = archive.Open(context.Background(), s.dir, archive.Options{Master: s.master, Reserve: 1, LowWater: 1})
	check(s.t, err)
	s.state = state.New(s.archive, envelope.Pins{Enrol: s.enrol.Public()}, nil)
}

// close checks the whole log, as every store test ends.
func (s *site) close() {
	if s.archive == nil {
		return
	}
	report, err := s.archive.Check(context.Background(), archive.CheckOptions{Bodies: true})
	if err != nil {
		s.t.Errorf("check: %v", err)
	} else if len(report.Findings) > 0 {
		s.t.Errorf("check found %v", report.Findings)
	}
	if err := s.archive.Close(); err != nil {
		s.t.Errorf("close: %v", err)
	}
	s.archive = nil
}

// reopen is a restart of the daemon.
func (s *site) reopen() {
	s.close()
	s.open()
}

// Directory, PendingBlobs and Ordinal make site a State.
func (s *site) Directory(ctx context.Context) (*envelope.Directory, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return nil, err
	}
	return s.state.Directory().Clone(), nil
}

func (s *site) PendingBlobs(ctx context.Context) ([]PendingBlob, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return nil, err
	}
	var out []PendingBlob
	for _, b := range s.state.PendingBlobs() {
		out = append(out, PendingBlob{BlobBody: b.BlobBody, Seq: b.Seq, Since: b.Received})
	}
	return out, nil
}

func (s *site) Ordinal(ctx context.Context, epoch string) (uint32, bool, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return 0, false, err
	}
	n, ok := s.state.Ordinal(epoch)
	return n, ok, nil
}

// records returns the log's entries of some kinds.
func (s *site) records(kinds ...proof.Kind) []archive.Record {
	s.t.Helper()
	var out []archive.Record
	for rec, err := range s.archive.Records(context.Background(), 0, s.archive.Size()) {
		check(s.t, err)
		for _, k := range kinds {
			if rec.Leaf.Kind == k {
				out = append(out, rec)
			}
		}
	}
	return out
}

func (s *site) alarmNames() []string {
	s.t.Helper()
	var out []string
	for _, rec := range s.records(proof.KindAlarm) {
		out = append(out, alarmOf(s.t, rec).Name)
	}
	return out
}

// sender is one device.
type sender struct {
	usr, dev string
	key      crypto.Signer
	n        uint64
	prev     string
}

// stream is what a relay holds in one epoch: events and the head after each.
type stream struct {
	site            *site
	epoch, previous string
	heads           []wire.Head // heads[i] is the head after seq i
	events          []wire.Event
	kem             envelope.KEM
}

func newStream(s *site, epoch string) *stream {
	return &stream{site: s, epoch: epoch, kem: envelope.P256, heads: []wire.Head{wire.Genesis(testArc, epoch, "", wire.Head{})}}
}

// next begins the epoch that follows st.
func (st *stream) next(epoch string) *stream {
	n := newStream(st.site, epoch)
	n.previous = st.epoch
	n.heads[0] = wire.Genesis(testArc, epoch, st.epoch, st.heads[len(st.heads)-1])
	return n
}

func (st *stream) add(kind, data string) uint64 {
	seq := uint64(len(st.events) + 1)
	e := wire.Event{Seq: seq, ID: fmt.Sprintf("%s-%d", st.epoch, seq), Kind: kind, Time: envelope.FormatTime(time.Now()), Data: data}
	st.events = append(st.events, e)
	st.heads = append(st.heads, st.heads[seq-1].Next(e))
	return seq
}

// join adds a person with one enrolled device.
func (st *stream) join(usr string, alg string) *sender {
	st.site.t.Helper()
	sn := &sender{usr: usr, dev: usr + "-phone", key: newSigner(st.site.t, alg)}
	user, err := envelope.UserUpsertEvent(envelope.User{Usr: usr, UPN: usr + "@st-mary.example", Name: usr})
	check(st.site.t, err)
	st.add(wire.KindDir, string(user))
	st.add(wire.KindDir, string(st.deviceAdd(sn)))
	return sn
}

func (st *stream) deviceAdd(sn *sender) []byte {
	st.site.t.Helper()
	data, err := envelope.DeviceAdd{Arc: testArc, Usr: sn.usr, Dev: sn.dev, At: time.Now(), Key: sn.key, By: st.site.enrol}.Event()
	check(st.site.t, err)
	return data
}

// message signs and seals the sender's next message.
func (st *stream) message(sn *sender, text string, change ...func(*envelope.Payload)) string {
	st.site.t.Helper()
	sn.n++
	p := &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: testArc, Mid: newID16(), Usr: sn.usr, Dev: sn.dev, N: sn.n, Prev: sn.prev,
		Sent: envelope.FormatTime(time.Now()), Conv: &envelope.Conv{ID: "ward-3", Kind: "group"},
		To: []envelope.Party{{Usr: "u-2"}}, Body: &envelope.Body{Text: text},
	}
	for _, f := range change {
		f(p)
	}
	compact, err := envelope.SignMessage(sn.key, p)
	check(st.site.t, err)
	digest, err := envelope.Digest(compact)
	check(st.site.t, err)
	sn.prev = jws.EncodeB64(digest[:])
	return st.seal(p.Mid, compact)
}

func (st *stream) seal(mid string, compact []byte) string {
	st.site.t.Helper()
	sealed, err := envelope.Seal(st.site.keys[st.kem], testArc, mid, compact)
	check(st.site.t, err)
	return string(sealed)
}

func (st *stream) say(sn *sender, text string, change ...func(*envelope.Payload)) uint64 {
	return st.add(wire.KindEnv, st.message(sn, text, change...))
}

// attach returns a change that gives a message a sealed attachment, and its ciphertext.
func attach(t testing.TB, bid string, plain []byte) (func(*envelope.Payload), []byte) {
	t.Helper()
	var key [32]byte
	rand.Read(key[:])
	var ct bytes.Buffer
	sum, size, err := envelope.SealAttachment(&ct, bytes.NewReader(plain), key)
	check(t, err)
	att := envelope.Attachment{
		BID: bid, Name: "scan.pdf", MIME: "application/pdf", Size: size, Alg: envelope.AttachmentAlg,
		Key: jws.EncodeB64(key[:]), CTSHA256: jws.EncodeB64(sum[:]),
	}
	return func(p *envelope.Payload) { p.Att = append(p.Att, att) }, ct.Bytes()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSigner(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	if alg == jws.ES256 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
		return key
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	return key
}

func newID16() string {
	var b [16]byte
	rand.Read(b[:])
	return jws.EncodeB64(b[:])
}

func alarmOf(t testing.TB, rec archive.Record) archive.AlarmBody {
	t.Helper()
	var body archive.AlarmBody
	check(t, ijson.Unmarshal(rec.Body, &body))
	return body
}

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
