package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// ledger is a log in memory.
type ledger struct {
	mu    sync.Mutex
	recs  []archive.Record
	lost  map[uint64]bool
	grown chan struct{}
}

func newLedger() *ledger { return &ledger{grown: make(chan struct{}), lost: map[uint64]bool{}} }

func (l *ledger) add(t *testing.T, kind proof.Kind, class string, body any) uint64 {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := uint64(len(l.recs))
	l.recs = append(l.recs, archive.Record{Leaf: proof.Leaf{Seq: seq, Kind: kind, Class: class, Received: time.Date(2026, 3, 1, 12, 0, int(seq%60), 0, time.UTC).UnixMilli()}, Body: b})
	close(l.grown)
	l.grown = make(chan struct{})
	return seq
}

func (l *ledger) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.recs))
}

func (l *ledger) Wait(ctx context.Context, size uint64) error {
	for {
		l.mu.Lock()
		n, grown := uint64(len(l.recs)), l.grown
		l.mu.Unlock()
		if n > size {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *ledger) ClassRecords(_ context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		l.mu.Lock()
		recs := l.recs[from:to]
		l.mu.Unlock()
		for _, r := range recs {
			if r.Leaf.Class != class {
				continue
			}
			var err error
			if l.lost[r.Leaf.Seq] {
				r.Body, err = nil, archive.ErrNoBody
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

const canary = "CANARY"

// look adds an access with a canary wherever a person may write something, its
// outcome, and a message.
func (l *ledger) look(t *testing.T, who role.Principal) {
	who.Name = canary + " Lund"
	access := l.add(t, proof.KindAccess, proof.ClassAudit, audit.Access{
		Version: 1, Action: audit.ActionSearch, Principal: who, Reason: canary + " reason", Matter: canary, Query: canary + " query", Target: canary, Seqs: []uint64{4242}, At: time.Now(),
	})
	l.add(t, proof.KindMessage, proof.ClassGeneral, canary+" message")
	l.add(t, proof.KindOutcome, proof.ClassAudit, audit.Outcome{
		Version: 1, Of: access, Result: audit.ResultShown, Total: 7, Shown: 3, Custodians: []string{canary}, Own: true,
	})
}

var (
	uid    = uint32(1007)
	nurse  = role.Principal{Person: "2f1c7a6e-0000-4000-8000-00000000000a", Via: role.ViaHTTPS, Address: "10.1.2.3"}
	root   = role.Principal{UID: &uid}
	nobody = role.Principal{Via: role.ViaHTTPS, Person: canary + "; who", Address: canary}
)

// mirrored runs a mirror until stop is called.
func mirrored(t *testing.T, l *ledger, to *Syslog, path string) (m *Mirror, stop func()) {
	t.Helper()
	m = NewMirror(MirrorOptions{Log: l, To: to, Path: path, ArchiveID: "st-elsewhere", Logger: quiet})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Every look is copied, in order, across restarts, with nothing in it that
// anybody wrote.
func TestMirror(t *testing.T) {
	config, roots := certified(t)
	s := newSIEM(t, config)
	to := newCollector(t, "tls", listen(t, s.serve), roots)
	path := filepath.Join(t.TempDir(), "mirror")
	l := newLedger()
	l.look(t, nurse) // before the mirror was switched on
	began := l.Size()
	m, stop := mirrored(t, l, to, path)
	for m.Failing() == "" {
		<-time.After(time.Millisecond)
		if b, err := os.ReadFile(path); err == nil && string(b) == fmt.Sprintf(`{"v":1,"next":%d}`+"\n", began) {
			break
		}
	}
	l.look(t, nurse)
	l.look(t, root)
	s.all(4)
	for m.Through() < l.Size() {
		<-time.After(time.Millisecond)
	}
	stop()
	l.look(t, nobody)
	l.add(t, proof.KindAccess, proof.ClassAudit, audit.Access{Version: 1, Action: audit.ActionLogin, Principal: role.Principal{Via: role.ViaHTTPS, Name: canary}, Code: "wrong_code", Count: 12})
	lost := l.add(t, proof.KindAccess, proof.ClassAudit, "x")
	l.lost[lost] = true
	odd := l.add(t, proof.KindAccess, proof.ClassAudit, canary)
	_, stop = mirrored(t, l, to, path)
	got := s.all(9)[:9]
	stop()

	seq := uint64(0)
	for i, m := range got {
		d := data(m)
		n, err := strconv.ParseUint(d["seq"], 10, 64)
		if err != nil || n < began || n <= seq {
			t.Errorf("message %d is of entry %q", i, d["seq"])
		}
		seq = n
		if *m.MsgID != "audit" || *m.Priority/8 != 13 || m.Message != nil || !m.Timestamp.Equal(l.recs[n].Leaf.ReceivedTime()) {
			t.Errorf("%+v", m)
		}
	}
	if seq != odd {
		t.Errorf("the last one is entry %d", seq)
	}
	for i, want := range []string{
		"action=search address=10.1.2.3 archive=st-elsewhere kind=access seq=3 via=https who=person:2f1c7a6e-0000-4000-8000-00000000000a",
		"archive=st-elsewhere kind=outcome of=3 own=1 result=shown seq=5 shown=3",
		"action=search archive=st-elsewhere kind=access seq=6 via=socket who=uid:1007", "",
		"action=search archive=st-elsewhere kind=access seq=9 via=https who=unknown", "",
		"action=login archive=st-elsewhere code=wrong_code count=12 kind=access seq=12 via=https who=unknown",
		"archive=st-elsewhere kind=access lost=1 seq=13",
	} {
		if got := flat(data(got[i])); want != "" && got != want {
			t.Errorf("message %d is\n%s, want\n%s", i, got, want)
		}
	}
	for _, raw := range s.raw {
		if strings.Contains(raw, canary) || strings.Contains(raw, "4242") {
			t.Errorf("content left: %q", raw)
		}
	}
}

// An action, or a way in, that this program does not know is a word of
// somebody's, and does not leave.
func TestLookHoldsOwnWords(t *testing.T) {
	body, err := json.Marshal(audit.Access{Version: 1, Action: audit.Action(canary), Principal: role.Principal{Person: canary, Via: canary, Address: canary, Name: canary}})
	if err != nil {
		t.Fatal(err)
	}
	l := lookOf(archive.Record{Leaf: proof.Leaf{Kind: proof.KindAccess}, Body: body})
	if want := (Look{Kind: "access", Action: "unknown", Who: "unknown", Via: role.ViaSocket}); l != want {
		t.Errorf("%+v", l)
	}
}

// flat is structured data in one line, by name.
func flat(m map[string]string) string {
	var out []string
	for _, name := range []string{"action", "address", "archive", "code", "count", "kind", "lost", "of", "own", "result", "seq", "shown", "via", "who"} {
		if v, ok := m[name]; ok {
			out = append(out, name+"="+v)
		}
	}
	if len(out) != len(m) {
		return fmt.Sprint(m)
	}
	return strings.Join(out, " ")
}

// A collector that is away, or hangs up in the middle, misses nothing.
func TestMirrorMissesNothing(t *testing.T) {
	s := newSIEM(t, nil)
	s.hang = func(n int) bool { return n == 10 }
	to := newCollector(t, "tcp", listen(t, s.serve), nil)
	l := newLedger()
	path := filepath.Join(t.TempDir(), "mirror")
	if err := os.WriteFile(path, []byte(`{"v":1,"next":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		l.look(t, nurse)
	}
	m, stop := mirrored(t, l, to, path)
	for m.Failing() == "" {
		<-time.After(time.Millisecond)
	}
	stop()
	s.mu.Lock()
	s.hang = nil
	s.mu.Unlock()
	m, stop = mirrored(t, l, to, path)
	for m.Through() < l.Size() {
		<-time.After(time.Millisecond)
	}
	stop()
	seen := map[string]bool{}
	for _, m := range s.all(40) {
		seen[data(m)["seq"]] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d of 40 looks came", len(seen))
	}
}

// dead is an address at which nobody answers.
const dead = "127.0.0.1:1"

func TestMirrorWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirror")
	to := newCollector(t, "tcp", dead, nil)
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		m, stop := mirrored(t, l, to, path)
		synctest.Wait()
		stop()
		if m.Failing() != "" {
			t.Errorf("there was nothing to send: %s", m.Failing())
		}
	})
	for name, text := range map[string]string{"empty": "", "another version": `{"v":2,"next":1}`, "noise": `{"v":1,"next":1,"x":2}`, "long": `{"v":1,"next":1}` + strings.Repeat(" ", maxPlace)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewMirror(MirrorOptions{Log: newLedger(), Path: path}).begin(); !errors.Is(err, ErrPlace) {
			t.Errorf("%s: %v", name, err)
		}
		synctest.Test(t, func(t *testing.T) {
			m, stop := mirrored(t, newLedger(), to, path)
			synctest.Wait()
			if m.Failing() == "" {
				t.Errorf("%s: it does not show", name)
			}
			stop()
		})
	}
	// A restored log may be shorter than what was copied.
	if err := os.WriteFile(path, []byte(`{"v":1,"next":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if next, err := NewMirror(MirrorOptions{Log: newLedger(), Path: path}).begin(); err != nil || next != 0 {
		t.Errorf("%d, %v", next, err)
	}
}

// halting is a ledger whose collector hangs up between two entries.
type halting struct {
	*ledger
	hangUp func()
}

func (h halting) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		n := 0
		for rec, err := range h.ledger.ClassRecords(ctx, class, from, to) {
			if n++; n == 2 {
				h.hangUp()
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// What was written to a collector that then hung up may be lost, so all of the
// batch is sent again, and not only what follows.
func TestMirrorSendsTheBatchAgain(t *testing.T) {
	s := newSIEM(t, nil)
	l := newLedger()
	l.look(t, nurse)
	r := &mirroring{Mirror: NewMirror(MirrorOptions{To: newCollector(t, "tcp", listen(t, s.serve), nil), Path: filepath.Join(t.TempDir(), "mirror"), Logger: quiet})}
	hung := false
	r.o.Log = halting{l, func() {
		if !hung {
			hung = true
			_ = r.link.conn.Close()
			<-r.link.heard
		}
	}}
	if err := r.step(t.Context()); !errors.Is(err, ErrGone) || r.next != 0 {
		t.Errorf("%v, next is %d", err, r.next)
	}
	if err := r.step(t.Context()); err != nil || r.next != l.Size() {
		t.Errorf("%v, next is %d", err, r.next)
	}
	r.drop()
}
