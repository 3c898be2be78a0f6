package retention

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/seal"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kindHold    = proof.KindHold
	kindMessage = proof.KindMessage
)

var errNotApproved = approval.ErrNotApproved

// The people of the tests.
const (
	ann    people.GUID = "00000000-0000-0000-0000-0000000000a1"
	bob    people.GUID = "00000000-0000-0000-0000-0000000000b2"
	cyd    people.GUID = "00000000-0000-0000-0000-0000000000c3"
	nurses people.GUID = "00000000-0000-0000-0000-0000000000f1"
)

var (
	officer  = role.Principal{Name: "Olga", Person: "00000000-0000-0000-0000-00000000000f", Via: role.ViaHTTPS}
	second   = role.Principal{Name: "Sven", Person: "00000000-0000-0000-0000-00000000000e", Via: role.ViaHTTPS}
	stranger = role.Principal{Name: "Stan", Person: "00000000-0000-0000-0000-00000000000d", Via: role.ViaHTTPS}
)

// world is a real archive with everything that a Book rests on.
type world struct {
	tb        testing.TB
	dir       string
	options   archive.Options
	archive   *archive.Archive
	state     *state.State
	history   *people.History
	approvals *approval.Book
	book      *Book

	key      ed25519.PrivateKey
	relaySeq uint64
	n        uint64
	pending  []archive.Entry // of bulk
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, dir: tb.TempDir()}
	recovery, err := seal.NewRecoveryKey()
	w.no(err)
	w.options.Master = seal.NewKey()
	_, err = archive.Create(w.ctx(), w.dir, archive.CreateOptions{ArchiveID: "ward.test", Master: w.options.Master, Recovery: recovery.Public()})
	w.no(err)
	_, w.key, err = ed25519.GenerateKey(rand.Reader)
	w.no(err)
	w.open()
	tb.Cleanup(func() { w.no(w.archive.Close()) })
	return w
}

// ctx outlives the test, whose cleanup still reads the archive.
func (w *world) ctx() context.Context { return context.Background() }

func (w *world) no(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) open() {
	w.tb.Helper()
	var err error
	w.archive, err = archive.Open(w.ctx(), w.dir, w.options)
	w.no(err)
	w.begin(w.archive)
}

// begin has a new state follow the log from its start.
func (w *world) begin(src state.Source) {
	w.tb.Helper()
	catchUp := func(ctx context.Context, size uint64) error { return w.state.CatchUp(ctx, size) }
	w.history = people.NewHistory()
	w.approvals = approval.NewBook(approval.Options{CatchUp: catchUp})
	w.book = New(Options{
		Log: w.archive, CatchUp: catchUp, Relay: parties{}, People: folk{w.history}, Requests: pairs{w},
		Forget: func(context.Context, []uint64) error { return nil },
		Signer: w.archive.IdentitySigner(), Identity: w.archive.Identity(), Tool: "test",
	})
	w.state = state.New(src, envelope.Pins{}, w.appliers())
	w.no(w.state.CatchUp(w.ctx(), w.archive.Size()))
}

func (w *world) appliers() map[proof.Kind]state.Applier {
	appliers := map[proof.Kind]state.Applier{}
	for _, k := range []proof.Kind{proof.KindPerson, proof.KindGroup, proof.KindSync, proof.KindMatch} {
		appliers[k] = w.history
	}
	for _, k := range []proof.Kind{proof.KindRequest, proof.KindDecision, proof.KindExecution} {
		appliers[k] = w.approvals
	}
	for k, a := range w.book.Appliers() {
		appliers[k] = a
	}
	return appliers
}

// reopen does what a crash and a start do.
func (w *world) reopen() {
	w.tb.Helper()
	w.no(w.archive.Close())
	w.open()
}

// parties knows every relay user by a name and an address of the same word.
type parties struct{}

func (parties) Party(usr string, _ proof.Leaf) query.Party {
	return query.Party{Usr: usr, UPN: usr + "@relay.test", Name: "The " + usr}
}

// folk is the people's history as a Book asks it.
type folk struct{ h *people.History }

func (f folk) MembersEver(group string, from time.Time) []string {
	return texts(f.h.MembersSince(people.GUID(group), from))
}
func (f folk) Usrs(guid string) []string { return f.h.Usrs(people.GUID(guid)) }
func (f folk) Names(value string) (out []string) {
	for _, g := range f.h.Find(value) {
		out = append(out, f.h.Usrs(g)...)
	}
	return out
}
func (f folk) PersonOf(usr string) (string, bool) {
	g, ok := f.h.PersonOf(usr)
	return string(g), ok
}
func (f folk) EverOf(usr string) []string { return texts(f.h.EverOf(usr)) }
func (f folk) Departed(guid string) (time.Time, bool) {
	s, ok := f.h.Person(people.GUID(guid), time.Time{})
	return s.Since, ok && s.Status == people.StatusDeparted
}
func (f folk) Group(name string) (string, bool, error) {
	g, ok, err := f.h.GroupNow(name)
	return string(g.GUID), ok, err
}

func texts(guids []people.GUID) (out []string) {
	for _, g := range guids {
		out = append(out, string(g))
	}
	return out
}

// pairs is the two-person rule as a Book asks it.
type pairs struct{ w *world }

func (p pairs) Ask(ctx context.Context, who role.Principal, act, digest, summary, reason string) (uint64, error) {
	return p.w.approvals.Ask(ctx, p.w.archive, who, approval.Ask{Act: approval.Act(act), Digest: digest, Summary: summary, Reason: reason})
}

func (p pairs) Executing(ctx context.Context, who role.Principal, seq uint64, act, digest string) (archive.Entry, func(error), error) {
	return p.w.approvals.Executing(ctx, p.w.archive, who, seq, approval.Act(act), digest)
}

func (p pairs) Request(seq uint64) (Request, bool) {
	q, err := p.w.approvals.Request(seq)
	if err != nil {
		return Request{}, false
	}
	out := Request{Act: string(q.Act), Digest: q.Digest, By: q.By, Status: string(q.Status)}
	if d := q.Decision; d != nil && d.Approve {
		out.Approver = &d.By
	}
	if e := q.Execution; e != nil && !slices.ContainsFunc(q.Faults, func(f approval.Fault) bool { return f.Seq == e.Seq }) {
		out.Executed = e.Seq
	}
	return out, true
}

func (w *world) approve(request uint64) {
	w.tb.Helper()
	w.no(w.approvals.Decide(w.ctx(), w.archive, second, request, true, "checked"))
}

func (w *world) append(entries ...archive.Entry) uint64 {
	w.tb.Helper()
	b := archive.Batch{Entries: entries}
	for _, e := range entries {
		if e.RelaySeq != 0 {
			b.Cursor = &archive.Cursor{Epoch: e.Epoch, Seq: e.RelaySeq, Head: sha256.Sum256(binary.BigEndian.AppendUint64(nil, e.RelaySeq))}
		}
	}
	placed, err := w.archive.Append(w.ctx(), b)
	w.no(err)
	seq := placed[len(placed)-1].Seq
	w.no(w.state.CatchUp(w.ctx(), seq+1))
	return seq
}

// said is a message in the archive.
type said struct {
	seq    uint64
	digest string
	dev    string
	mid    string
}

// msg is what a message says; its zero value is one from ann to bob.
type msg struct {
	typ     string // envelope.TypMsg when empty
	from    string
	to      []string
	text    string
	conv    string
	members []string
	of      *said
	sent    time.Time // now when zero
	born    int64
	class   string
	file    string // of an attachment
	bid     byte   // and its id
}

// relayEntry is an entry of the relay's stream.
func (w *world) relayEntry(kind proof.Kind, class string, note any, body []byte) archive.Entry {
	w.relaySeq++
	n, err := json.Marshal(note)
	w.no(err)
	if class == "" {
		class = proof.ClassGeneral
	}
	return archive.Entry{Kind: kind, Class: class, Epoch: "e1", RelaySeq: w.relaySeq, Note: n, Body: body}
}

// message makes a message's entry, unappended.
func (w *world) message(m msg) (archive.Entry, *said) {
	w.n++
	id := func(fill byte) string {
		b := make([]byte, 16)
		binary.BigEndian.PutUint64(b, w.n)
		b[15] = fill
		return jws.EncodeB64(b)
	}
	s := &said{dev: "dev-" + m.from, mid: id(0)}
	if m.typ == "" {
		m.typ = envelope.TypMsg
	}
	if m.sent.IsZero() {
		m.sent = time.Now()
	}
	p := envelope.Payload{
		V: 1, Typ: m.typ, Arc: "ward.test", Mid: s.mid, Usr: m.from, Dev: s.dev, N: w.n, Sent: m.sent.UTC().Format("2006-01-02T15:04:05.000Z"),
	}
	for _, to := range m.to {
		p.To = append(p.To, envelope.Party{Usr: to})
	}
	if m.conv != "" {
		p.Conv = &envelope.Conv{ID: m.conv, Kind: "group"}
		for _, usr := range m.members {
			p.Conv.Members = append(p.Conv.Members, envelope.Party{Usr: usr})
		}
	}
	if m.text != "" {
		p.Body = &envelope.Body{Text: m.text}
	}
	if m.born != 0 {
		p.Subject = &envelope.Subject{Born: m.born}
	}
	if m.of != nil {
		p.Ref = &envelope.Ref{Dev: m.of.dev, Mid: m.of.mid, Digest: m.of.digest}
	}
	if m.typ == envelope.TypReceipt {
		p.Status = "read"
	}
	if m.file != "" {
		p.Att = []envelope.Attachment{{
			BID: jws.EncodeB64(append(make([]byte, 15), m.bid)), Name: m.file, MIME: "image/png", Alg: envelope.AttachmentAlg,
			Key: jws.EncodeB64(make([]byte, 32)), CTSHA256: jws.EncodeB64(make([]byte, 32)),
		}}
	}
	payload, err := json.Marshal(p)
	w.no(err)
	body, err := jws.Sign(envelope.TypMessage, w.key, payload)
	w.no(err)
	compact, err := jws.Parse(body, envelope.TypMessage)
	w.no(err)
	digest := compact.Digest()
	s.digest = jws.EncodeB64(digest[:])
	e := w.relayEntry(proof.KindMessage, m.class, archive.MessageNote{ID: "x"}, body)
	e.Envelope = sha256.Sum256(body)
	e.Dedupe = &archive.Dedupe{Device: s.dev, N: w.n, Digest: digest}
	return e, s
}

func (w *world) say(m msg) *said {
	w.tb.Helper()
	if m.from == "" {
		m.from = "ann"
	}
	if m.to == nil && m.typ == "" {
		m.to = []string{"bob"}
	}
	e, s := w.message(m)
	s.seq = w.append(e)
	return s
}

func (w *world) quarantine() uint64 {
	w.tb.Helper()
	return w.append(w.relayEntry(proof.KindQuarantine, "", archive.QuarantineNote{ID: "x", Kind: "env", Code: "decrypt_failed"}, []byte("opaque")))
}

// change has the directory say something.
func (w *world) change(changes ...people.Change) {
	w.tb.Helper()
	for _, c := range changes {
		e, err := c.Entry()
		w.no(err)
		w.append(e)
	}
}

func (w *world) person(g people.GUID, name string) {
	w.tb.Helper()
	p := people.Person{GUID: g, Account: name, Name: name}
	w.change(people.Change{Op: people.OpAdd, Person: &p})
}

func (w *world) match(usr string, g people.GUID) {
	w.tb.Helper()
	e, err := people.MatchBody{Op: people.OpMatch, Usr: usr, GUID: g, By: people.ByPerson, Principal: officer, Reason: "badge"}.Entry()
	w.no(err)
	w.append(e)
}

// matter opens the matter M with officer and second.
func (w *world) matter() {
	w.tb.Helper()
	_, err := w.book.OpenMatter(w.ctx(), officer, NewMatter{ID: "M", Name: "Roe v. Ward", Members: []string{second.ID()}, Reason: "complaint"})
	w.no(err)
}

func (w *world) place(s hold.Scope) uint64 {
	w.tb.Helper()
	h, err := w.book.PlaceHold(w.ctx(), officer, NewHold{Matter: "M", Scope: s, Reason: "complaint"})
	w.no(err)
	return h.Seq
}

// holds returns the holds that keep an entry, as "hold:why".
func (w *world) holds(seq uint64) []string {
	w.tb.Helper()
	rec, err := w.archive.Record(w.ctx(), seq)
	w.no(err)
	s, err := w.book.Standing(w.ctx(), rec)
	w.no(err)
	out := []string{}
	for _, h := range s.HeldBy {
		out = append(out, fmt.Sprintf("%d:%s", h.Hold, h.Why))
	}
	return out
}

// held checks by what an entry is held; nothing for none.
func (w *world) held(what string, seq uint64, want ...string) {
	w.tb.Helper()
	if want == nil {
		want = []string{}
	}
	if got := w.holds(seq); !slices.Equal(got, want) {
		w.tb.Errorf("%s: held by %v, want %v", what, got, want)
	}
}

func (w *world) settle() {
	w.tb.Helper()
	w.no(w.book.settled(w.ctx()))
}

func by(seq uint64, why string) string { return fmt.Sprintf("%d:%s", seq, why) }
