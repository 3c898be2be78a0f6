package ingest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

// fakeRelay answers from a stream in memory. Its hooks, called without the lock, put faults in.
type fakeRelay struct {
	t   testing.TB
	key ed25519.PrivateKey

	mu      sync.Mutex
	now     *stream
	acked   uint64
	acks    []wire.Ack
	keysets []wire.Keyset
	polls   int
	blobs   map[string][]byte
	order   func(string) // told of acks, with the recorder of appends
	pub     crypto.PublicKey

	onEvents func(poll int, want wire.Expect) (*wire.Page, error, bool) // true: that is the answer
	onAck    func(*wire.Ack) error
	onKeyset func(*wire.Keyset) error
	onStatus func() (wire.Status, error, bool)
	onAsked  func(p *wire.Provision) error
	onBlob   func(bid string, offset int64) (*blobPart, error, bool)
}

func newFakeRelay(t testing.TB, s *site, st *stream) *fakeRelay {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	pub, err := s.archive.Identity().Key()
	check(t, err)
	return &fakeRelay{t: t, key: key, now: st, blobs: map[string][]byte{}, pub: pub}
}

func (r *fakeRelay) status(context.Context) (wire.Status, error) {
	if r.onStatus != nil {
		if st, err, mine := r.onStatus(); mine {
			return st, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return wire.Status{Epoch: r.now.epoch, PreviousEpoch: r.now.previous, Oldest: 1, High: uint64(len(r.now.events)), Acked: r.acked}, nil
}

// page returns the true page after a place; nil when there is none in this epoch.
func (r *fakeRelay) page(want wire.Expect) *wire.Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	if want.Epoch != r.now.epoch || want.After > uint64(len(r.now.events)) {
		return nil
	}
	next := min(want.After+uint64(want.Limit), uint64(len(r.now.events)))
	p := &wire.Page{Events: r.now.events[want.After:next]}
	p.End = r.sign(next, r.now.heads[next], time.Now())
	return p
}

// sign makes an end line; mu is held.
func (r *fakeRelay) sign(next uint64, head wire.Head, at time.Time) wire.End {
	end := wire.End{Next: next, High: uint64(len(r.now.events)), Oldest: 1, Head: head, Time: envelope.FormatTime(at)}
	wire.SignEnd(r.key, testArc, r.now.epoch, &end)
	return end
}

func (r *fakeRelay) events(ctx context.Context, want wire.Expect, wait time.Duration) (*wire.Page, error) {
	r.mu.Lock()
	r.polls++
	poll := r.polls
	hook := r.onEvents
	r.mu.Unlock()
	if hook != nil {
		if p, err, mine := hook(poll, want); mine {
			return p, err
		}
	}
	for held := time.Duration(0); ; held += pollStep {
		r.mu.Lock()
		epoch, high := r.now.epoch, uint64(len(r.now.events))
		r.mu.Unlock()
		switch {
		case want.Epoch != epoch:
			return nil, &wire.Problem{Status: 409, Code: wire.CodeEpochChanged}
		case want.After > high:
			return nil, &wire.Problem{Status: 409, Code: wire.CodeCursorAhead}
		case want.After == high && held < wait:
			if err := sleep(ctx, pollStep); err != nil {
				return nil, err
			}
			continue
		}
		break
	}
	p := r.page(want)
	if p == nil {
		return nil, &wire.Problem{Status: 409, Code: wire.CodeEpochChanged}
	}
	// Through the true reader, so that what it refuses is refused here too.
	var b bytes.Buffer
	check(r.t, wire.WritePage(&b, p.Events, p.End))
	return wire.ReadPage(&b, want)
}

// pollStep is how soon a long poll sees new events.
const pollStep = 5 * time.Second

func (r *fakeRelay) ack(_ context.Context, compact []byte) error {
	a, err := wire.ParseAck(compact, r.pub)
	if err != nil {
		return &wire.Problem{Status: 403, Code: wire.CodeBadSignature}
	}
	if r.onAck != nil {
		if err := r.onAck(a); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.Epoch != r.now.epoch {
		return &wire.Problem{Status: 409, Code: wire.CodeEpochChanged}
	}
	if a.Seq >= uint64(len(r.now.heads)) || a.Head != r.now.heads[a.Seq] {
		return &wire.Problem{Status: 409, Code: wire.CodeHeadMismatch}
	}
	r.acks = append(r.acks, *a)
	r.acked = max(r.acked, a.Seq)
	if r.order != nil {
		r.order(fmt.Sprintf("ack %d", a.Seq))
	}
	return nil
}

func (r *fakeRelay) provision(_ context.Context, id string, compact []byte) error {
	p, err := wire.ParseProvision(compact, r.pub)
	check(r.t, err)
	if p.ID != id || p.Arc != testArc {
		r.t.Errorf("provision request %+v", p)
	}
	return r.onAsked(p)
}

func (r *fakeRelay) keyset(_ context.Context, compact []byte) error {
	k, err := wire.ParseKeyset(compact, r.pub)
	if err != nil {
		return &wire.Problem{Status: 403, Code: wire.CodeBadSignature}
	}
	if r.onKeyset != nil {
		if err := r.onKeyset(k); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keysets = append(r.keysets, *k)
	return nil
}

func (r *fakeRelay) blob(_ context.Context, bid string, offset int64, _ string) (*blobPart, error) {
	if r.onBlob != nil {
		if p, err, mine := r.onBlob(bid, offset); mine {
			return p, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.blobs[bid]
	if !ok {
		return nil, &wire.Problem{Status: 404, Code: wire.CodeNotFound}
	}
	return &blobPart{body: io.NopCloser(bytes.NewReader(b[offset:])), offset: offset, etag: `"1"`}, nil
}

func (r *fakeRelay) lastAck() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

// rig is a client between a site and a fake relay.
type rig struct {
	*site
	st     *stream
	relay  *fakeRelay
	log    Log
	client *Client
}

func newRig(t testing.TB) *rig {
	s := newSite(t)
	st := newStream(s, "e1")
	return &rig{site: s, st: st, relay: newFakeRelay(t, s, st)}
}

// start runs a client until the returned function is called.
func (r *rig) start(change ...func(*Options)) (stop func()) {
	r.t.Helper()
	o := Options{
		HeadKey: r.relay.key.Public().(ed25519.PublicKey), Log: r.archive, Blobs: r.archive, Keys: r.archive, State: r.site,
	}
	if r.log != nil {
		o.Log = r.log
	}
	for _, f := range change {
		f(&o)
	}
	check(r.t, o.defaults())
	r.client = newClient(o, testArc, r.relay)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.client.Run(ctx) }()
	return func() {
		r.t.Helper()
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
	}
}

// until waits, by the clock that the test runs under, for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(time.Hour)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s; status %+v, alarms %v", what, r.client.Status(), r.alarmNames())
		}
		if err := sleep(context.Background(), 250*time.Millisecond); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) untilAcked(seq uint64) {
	r.t.Helper()
	r.until(fmt.Sprintf("acked %d", seq), func() bool { return r.relay.lastAck() >= seq })
}
