package retention

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// stage is a Book over a log with the real state and the real two-person rule
// around it, in a bubble (testing/synctest). reopen makes both anew from the
// log alone.
type stage struct {
	t         testing.TB
	log       stageLog
	id        *proof.Identity
	signer    crypto.Signer
	people    *stagePeople
	state     *state.State
	approvals *approval.Book
	book      *Book
	forget    func([]uint64) error
	n         uint64
	relaySeq  *uint64 // of a log that wants the relay's, its last
}

// stageLog is a log that a state can follow, too.
type stageLog interface {
	Log
	Identity() *proof.Identity
}

func newStage(t testing.TB) (*stage, *memLog) {
	t.Helper()
	l := newMemLog(t)
	s := &stage{t: t, log: l, id: l.id, signer: l.key, people: newStagePeople()}
	s.reopen()
	return s, l
}

func (s *stage) reopen() {
	s.approvals = approval.NewBook(approval.Options{CatchUp: s.catchUp})
	forget := func(_ context.Context, files []uint64) error {
		if s.forget != nil {
			return s.forget(files)
		}
		return nil
	}
	s.book = New(Options{
		Log: s.log, CatchUp: s.catchUp, Relay: stageRelay{}, People: s.people, Requests: stageRequests{s},
		Forget: forget, Signer: s.signer, Identity: s.id, Tool: "holdfast test",
	})
	others := map[proof.Kind]state.Applier{
		proof.KindRequest: s.approvals, proof.KindDecision: s.approvals, proof.KindExecution: s.approvals,
	}
	for k, a := range s.book.Appliers() {
		others[k] = a
	}
	s.state = state.New(s.log, envelope.Pins{}, others)
	if err := s.catchUp(context.Background(), s.log.Size()); err != nil {
		s.t.Fatal(err)
	}
}

// advance lets time pass: in a bubble all of it at once.
func (s *stage) advance(d time.Duration) { time.Sleep(d) }

func (s *stage) catchUp(ctx context.Context, size uint64) error { return s.state.CatchUp(ctx, size) }

// stageRequests is archive/approval as the Book wants it.
type stageRequests struct{ s *stage }

func (r stageRequests) Ask(ctx context.Context, who role.Principal, act, digest, summary, reason string) (uint64, error) {
	return r.s.approvals.Ask(ctx, r.s.log, who, approval.Ask{Act: approval.Act(act), Digest: digest, Summary: summary, Reason: reason, TTL: approval.MaxTTL})
}

func (r stageRequests) Executing(ctx context.Context, who role.Principal, seq uint64, act, digest string) (archive.Entry, func(error), error) {
	return r.s.approvals.Executing(ctx, r.s.log, who, seq, approval.Act(act), digest)
}

func (r stageRequests) Request(seq uint64) (Request, bool) {
	q, err := r.s.approvals.Request(seq)
	if err != nil {
		return Request{}, false
	}
	out := Request{Act: string(q.Act), Digest: q.Digest, By: q.By, Status: string(q.Status)}
	if q.Decision != nil && q.Decision.Approve {
		out.Approver = &q.Decision.By
	}
	if q.Execution != nil && !slices.ContainsFunc(q.Faults, func(f approval.Fault) bool { return f.Seq == q.Execution.Seq }) {
		out.Executed = q.Execution.Seq
	}
	return out, true
}

type stageRelay struct{}

func (stageRelay) Party(usr string, _ proof.Leaf) query.Party { return query.Party{Usr: usr} }

// stagePeople are people whose objectGUID is made of their relay user's name.
type stagePeople struct {
	departed map[string]time.Time
	groups   map[string][]string // objectGUID to those who were ever in it
}

func newStagePeople() *stagePeople {
	return &stagePeople{departed: map[string]time.Time{}, groups: map[string][]string{}}
}

// guidOf is the objectGUID of the person that a relay user belongs to.
func guidOf(usr string) string {
	h := fmt.Sprintf("%032x", usr)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (p *stagePeople) MembersEver(group string, _ time.Time) []string { return p.groups[group] }
func (p *stagePeople) Usrs(guid string) []string {
	for _, usr := range stageUsrs {
		if guidOf(usr) == guid {
			return []string{usr}
		}
	}
	return nil
}
func (p *stagePeople) Names(string) []string              { return nil }
func (p *stagePeople) PersonOf(usr string) (string, bool) { return guidOf(usr), true }
func (p *stagePeople) EverOf(usr string) []string         { return []string{guidOf(usr)} }
func (p *stagePeople) Group(string) (string, bool, error) { return "", false, nil }
func (p *stagePeople) Departed(guid string) (time.Time, bool) {
	at, ok := p.departed[guid]
	return at, ok
}

var stageUsrs = []string{"anna", "bela", "cleo", "dora", "emil"}

// The people of the tests.
var (
	rita = account("rita", 1001)
	abel = account("abel", 1002)
	olga = account("olga", 1003)
)

func account(name string, uid uint32) role.Principal { return role.Principal{Name: name, UID: &uid} }

// letter is a message that is to be sent.
type letter struct {
	typ, from, to, conv, body string
	ref                       *[32]byte
	born                      int64
	bid                       byte // of an attachment; 0: none
	class                     string
}

// send appends a message and returns its seq and digest.
func (s *stage) send(m letter) (uint64, [32]byte) {
	s.t.Helper()
	e, digest := s.message(m)
	b := archive.Batch{}
	if s.relaySeq != nil {
		*s.relaySeq++
		e.Epoch, e.RelaySeq = "e1", *s.relaySeq
		b.Cursor = &archive.Cursor{Epoch: e.Epoch, Seq: e.RelaySeq}
	}
	b.Entries = []archive.Entry{e}
	placed, err := s.log.Append(s.t.Context(), b)
	if err != nil {
		s.t.Fatal(err)
	}
	return placed[0].Seq, digest
}

func (s *stage) message(m letter) (archive.Entry, [32]byte) {
	s.n++
	p := envelope.Payload{
		V: 1, Typ: m.typ, Arc: "ward.test", Mid: jws.EncodeB64(fmt.Appendf(nil, "%016d", s.n)), Usr: m.from, Dev: "dev-" + m.from, N: s.n,
		Sent: envelope.FormatTime(s.log.Now()), Body: &envelope.Body{Text: m.body},
	}
	if p.Typ == "" {
		p.Typ = envelope.TypMsg
	}
	if m.to != "" {
		p.To = []envelope.Party{{Usr: m.to}}
	}
	if m.conv != "" {
		p.Conv = &envelope.Conv{ID: m.conv, Kind: "group"}
	}
	if m.ref != nil {
		p.Ref = &envelope.Ref{Dev: "dev-" + m.from, Mid: p.Mid, Digest: jws.EncodeB64(m.ref[:])}
	}
	if p.Typ == envelope.TypReceipt {
		p.Status = "read"
	}
	if m.born != 0 {
		p.Subject = &envelope.Subject{Born: m.born}
	}
	if m.bid != 0 {
		p.Att = []envelope.Attachment{{
			BID: jws.EncodeB64(bytes.Repeat([]byte{m.bid}, 16)), Name: "x.pdf", Alg: envelope.AttachmentAlg,
			Key: jws.EncodeB64(make([]byte, 32)), CTSHA256: jws.EncodeB64(bytes.Repeat([]byte{m.bid}, 32)),
		}}
	}
	body, digest := compactOf(s.t, p)
	if m.class == "" {
		m.class = proof.ClassGeneral
	}
	return archive.Entry{Kind: proof.KindMessage, Class: m.class, Body: body}, digest
}

// compactOf returns a JWS whose signature nobody here looks at.
func compactOf(t testing.TB, p envelope.Payload) ([]byte, [32]byte) {
	t.Helper()
	payload, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	header := `{"alg":"EdDSA","kid":"` + jws.EncodeB64(make([]byte, 32)) + `","typ":"` + envelope.TypMessage + `"}`
	compact := []byte(jws.EncodeB64([]byte(header)) + "." + jws.EncodeB64(payload) + "." + jws.EncodeB64(make([]byte, 64)))
	c, err := jws.Parse(compact, envelope.TypMessage)
	if err != nil {
		t.Fatal(err)
	}
	return compact, c.Digest()
}

const stageSchedule = `version = 1
name = "test"
otherwise = "general"

[[class]]
name = "general"
period = "2m"
trigger = "received"
`

// schedule puts a schedule into force: by one person, or by two when it narrows.
func (s *stage) schedule(toml string) {
	s.t.Helper()
	a, err := s.book.ApplySchedule(s.t.Context(), rita, []byte(toml), "the board decided", false)
	if err != nil {
		s.t.Fatal(err)
	}
	if a.Request == 0 {
		return
	}
	s.decide(a.Request, true)
	if _, err := s.book.ApplyApproved(s.t.Context(), rita, []byte(toml), a.Request); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) decide(request uint64, approve bool) {
	s.t.Helper()
	if err := s.approvals.Decide(s.t.Context(), s.log, abel, request, approve, "looked at it"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.catchUp(s.t.Context(), s.log.Size()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) place(scope hold.Scope) uint64 {
	s.t.Helper()
	if _, ok := s.book.Matter("M-1"); !ok {
		if _, err := s.book.OpenMatter(s.t.Context(), olga, NewMatter{ID: "M-1", Name: "one", Reason: "a suit"}); err != nil {
			s.t.Fatal(err)
		}
	}
	h, err := s.book.PlaceHold(s.t.Context(), olga, NewHold{Matter: "M-1", Scope: scope, Reason: "a suit"})
	if err != nil {
		s.t.Fatal(err)
	}
	return h.Seq
}

// release releases a hold; it still holds until its grace period has passed.
func (s *stage) release(seq uint64) {
	s.t.Helper()
	request, _, err := s.book.AskRelease(s.t.Context(), olga, seq, nil, "settled")
	if err != nil {
		s.t.Fatal(err)
	}
	s.decide(request, true)
	if _, err := s.book.ReleaseHold(s.t.Context(), olga, request); err != nil {
		s.t.Fatal(err)
	}
}

func custodian(usr string) hold.Scope { return hold.Scope{Custodians: []string{guidOf(usr)}} }

func (s *stage) plan() *Plan {
	s.t.Helper()
	p, err := s.book.PlanDisposition(s.t.Context(), rita, PlanOptions{Reason: "monthly"})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// planned returns an approved plan of what is due.
func (s *stage) planned() *Plan {
	s.t.Helper()
	p := s.plan()
	s.decide(p.Request, true)
	return p
}

func (s *stage) run(plan uint64) *Ran {
	s.t.Helper()
	r, err := s.book.Run(s.t.Context(), rita, plan, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// is reports what became of an entry.
func (s *stage) disposed(seq uint64) bool {
	s.t.Helper()
	_, err := s.log.Record(s.t.Context(), seq)
	if err != nil && !errors.Is(err, archive.ErrDisposed) {
		s.t.Fatal(err)
	}
	return err != nil
}

func (s *stage) want(seq uint64, disposed bool) {
	s.t.Helper()
	if got := s.disposed(seq); got != disposed {
		s.t.Errorf("entry %d: disposed of is %v, want %v", seq, got, disposed)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var _ = synctest.Test // the floors: sleeping is for bubbles

const aMonth = 31 * 24 * time.Hour
