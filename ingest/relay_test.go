package ingest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
	"holdfast/internal/relay"
)

// live is a client and the reference relay with a real connection between them.
type live struct {
	*site
	st     *stream // makes the events; the relay places them
	dir    string
	faults *relay.Faults
	relay  *relay.Relay
	run    *relay.Running
	client *Client
	stop   func()
}

func newLive(t *testing.T) *live {
	t.Helper()
	s := newSite(t)
	l := &live{site: s, st: newStream(s, "unused"), dir: filepath.Join(t.TempDir(), "relay"), faults: &relay.Faults{}}
	identity, err := s.archive.Identity().Key()
	check(t, err)
	_, err = relay.Init(l.dir, relay.Params{Arc: testArc, Listen: "127.0.0.1:0", Identity: identity})
	check(t, err)
	l.relay, err = relay.New(l.dir, relay.Options{Faults: l.faults, Heartbeat: 50 * time.Millisecond})
	check(t, err)
	l.run, err = l.relay.Start("127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(t, l.run.Stop(ctx))
		check(t, l.relay.Close())
	})
	return l
}

func (l *live) pki(name string) string { return filepath.Join(l.dir, "pki", name) }

func (l *live) options() Options {
	return Options{
		URL: l.run.URL, CA: l.pki("ca.pem"), Cert: l.pki("archive.pem"), Key: l.pki("archive.key"), HeadKey: l.relay.HeadKey(),
		Log: l.archive, Blobs: l.archive, Keys: l.archive, State: l.site, Approvals: l.site.Approvals,
		Wait: time.Second, BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond, BlobGrace: 50 * time.Millisecond,
	}
}

func (l *live) start(change ...func(*Options)) {
	l.t.Helper()
	o := l.options()
	for _, f := range change {
		f(&o)
	}
	var err error
	l.client, err = New(o)
	check(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.client.Run(ctx) }()
	l.stop = func() {
		cancel()
		check(l.t, <-done)
	}
}

// submit hands the stream's new events to the relay.
func (l *live) submit() {
	l.t.Helper()
	var batch []relay.Submission
	for _, e := range l.st.events {
		batch = append(batch, relay.Submission{ID: e.ID, Kind: e.Kind, Data: e.Data})
	}
	_, err := l.relay.Submit(l.t.Context(), batch)
	check(l.t, err)
}

func (l *live) until(what string, ok func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			l.t.Fatalf("never: %s; status %+v, alarms %v", what, l.client.Status(), l.alarmNames())
		}
		check(l.t, sleep(l.t.Context(), 5*time.Millisecond))
	}
}

func (l *live) untilAcked(seq uint64) {
	l.t.Helper()
	l.until(fmt.Sprintf("acked %d", seq), func() bool {
		st, err := l.relay.Status()
		check(l.t, err)
		return st.Acked >= seq
	})
}

func (l *live) add(t *testing.T, spec string) {
	t.Helper()
	check(t, l.faults.Add(spec))
}

// TestReferenceRelay: each fault that the reference relay can inject into pages, over TLS; what was sent is there once, in order.
func TestReferenceRelay(t *testing.T) {
	l := newLive(t)
	ann := l.st.join("u-ann", jws.EdDSA)
	for range 58 {
		l.st.say(ann, "over a real connection")
	}
	bid := newID16()
	att, ct := attach(t, bid, bytes.Repeat([]byte("x-ray"), 50_000))
	l.st.say(ann, "with a scan", att)
	check(t, l.relay.PutBlob(bid, bytes.NewReader(ct)))
	for _, spec := range []string{
		"drop-event@5x2", "gap@9x2", "repeat@13x2", "swap@17x2", "malformed@21x2", "truncate@25x2", "wrong-head@29", "wrong-sig@33x2",
		"429@37", "503@41", "corrupt@45", "oversize@49", "lost@53",
	} {
		l.add(t, spec)
	}
	l.submit()
	l.start(func(o *Options) { o.PageLimit = 4 })
	l.untilAcked(61)
	l.stop()
	if left := l.faults.Pending(); len(left) > 0 {
		t.Errorf("faults that never happened: %v", left)
	}
	seqs, quarantined := 0, 0
	for leaf, err := range l.archive.Scan(t.Context(), 0, l.archive.Size()) {
		check(t, err)
		if leaf.RelaySeq == 0 {
			continue
		}
		seqs++
		if leaf.RelaySeq != uint64(seqs) {
			t.Fatalf("relay seq %d where %d was due", leaf.RelaySeq, seqs)
		}
		if leaf.Kind == proof.KindQuarantine {
			quarantined++
		}
	}
	if seqs != 61 || quarantined != 2 || len(l.records(proof.KindMessage)) != 56 {
		t.Errorf("%d events, %d quarantined, %d messages", seqs, quarantined, len(l.records(proof.KindMessage)))
	}
	for _, name := range []string{AlarmGap, AlarmPageRefused, AlarmLost} {
		if !slices.Contains(l.alarmNames(), name) {
			t.Errorf("alarms %v lack %s", l.alarmNames(), name)
		}
	}
	compact, err := jws.Parse(l.records(proof.KindMessage)[55].Body, "amx+jws")
	check(t, err)
	if note := string(l.records(proof.KindMessage)[55].Note); !bytes.Contains([]byte(note), []byte(archive.BlobStored)) {
		t.Errorf("note %s of %s", note, compact.Header.Alg)
	}
}

func TestReferenceRelayEquivocates(t *testing.T) {
	l := newLive(t)
	ann := l.st.join("u-ann", jws.EdDSA)
	l.st.say(ann, "which one did you see")
	l.add(t, "equivocate@3")
	l.submit()
	l.start()
	l.until("told", func() bool { return slices.Contains(l.alarmNames(), AlarmEquivocation) })
	l.stop()
	if cur, _ := l.archive.Cursor(); cur.Seq != 3 {
		t.Errorf("cursor %+v", cur)
	}
}

func TestReferenceRelayChangesItsEpoch(t *testing.T) {
	l := newLive(t)
	ann := l.st.join("u-ann", jws.EdDSA)
	l.st.say(ann, "one")
	l.submit()
	l.start(func(o *Options) { o.PageLimit = 2 })
	l.untilAcked(3)
	l.stop()
	// Pulled by nobody when the epoch ends: still to be taken before the next begins.
	l.st.events = nil
	l.st.heads = l.st.heads[:1]
	for i := range 5 {
		l.st.say(ann, "left behind")
		l.st.events[i].ID = fmt.Sprintf("tail-%d", i)
	}
	l.submit()
	before, err := l.relay.Status()
	check(t, err)
	after, err := l.relay.NewEpoch()
	check(t, err)
	for i := range l.st.events {
		l.st.events[i] = wire.Event{ID: fmt.Sprintf("next-%d", i), Kind: wire.KindDelivered, Data: "{}"}
	}
	l.submit()
	l.start(func(o *Options) { o.PageLimit = 2 })
	l.untilAcked(5)
	l.stop()
	count := map[string]int{}
	for leaf, err := range l.archive.Scan(t.Context(), 0, l.archive.Size()) {
		check(t, err)
		count[leaf.Epoch]++
	}
	if count[before.Epoch] != 8 || count[after.Epoch] != 5 {
		t.Errorf("entries by epoch: %v", count)
	}
	if got := l.alarmNames(); !slices.Equal(got, []string{AlarmEpochChanged}) {
		t.Errorf("alarms %v", got)
	}
}

func TestReferenceRelayBlobs(t *testing.T) {
	l := newLive(t)
	ann := l.st.join("u-ann", jws.EdDSA)
	var bids []string
	for range 4 {
		bid := newID16()
		att, ct := attach(t, bid, bytes.Repeat([]byte("x"), 300_000))
		l.st.say(ann, "see", att)
		check(t, l.relay.PutBlob(bid, bytes.NewReader(ct)))
		bids = append(bids, bid)
	}
	l.add(t, "blob-corrupt="+bids[0]+"x100")
	l.add(t, "blob-missing="+bids[1])
	l.add(t, "blob-stall="+bids[2])
	l.submit()
	l.start(func(o *Options) { o.BlobDeadline, o.IdleTimeout = 300*time.Millisecond, 200*time.Millisecond })
	l.untilAcked(6)
	l.until("all ended", func() bool {
		pending, err := l.PendingBlobs(t.Context())
		check(t, err)
		return len(pending) == 0
	})
	l.stop()
	states := map[string]string{}
	for _, rec := range l.records(proof.KindBlob) {
		var b archive.BlobBody
		check(t, ijson.Unmarshal(rec.Body, &b))
		states[fmt.Sprint(slices.Index(bids, b.BID))] = b.Status
	}
	if states["0"] != archive.BlobCorrupt || states["1"] != archive.BlobMissing {
		t.Errorf("end states %v", states)
	}
	if s, late := states["2"]; late && s != archive.BlobStored {
		t.Errorf("the stalled one ended as %s", s)
	}
}

// TestTLSBothEnds: neither end talks to the other without the certificates it was told to expect.
func TestTLSBothEnds(t *testing.T) {
	l := newLive(t)
	other := filepath.Join(t.TempDir(), "other")
	_, err := relay.Init(other, relay.Params{Arc: testArc, Listen: "127.0.0.1:0"})
	check(t, err)
	asked := 0
	serve := func(name string, lowest, highest uint16) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		cert, err := tls.LoadX509KeyPair(l.pki(name+".pem"), l.pki(name+".key"))
		check(t, err)
		server.TLS = &tls.Config{MinVersion: lowest, MaxVersion: highest, Certificates: []tls.Certificate{cert}} // #nosec G402 -- what must be refused
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	old := serve("server", tls.VersionTLS12, tls.VersionTLS12)
	impostor := serve("vendor", tls.VersionTLS13, tls.VersionTLS13)
	for _, c := range []struct {
		name   string
		change func(*Options)
	}{
		{"relay of another CA", func(o *Options) { o.CA = filepath.Join(other, "pki", "ca.pem") }},
		{"archive of another CA", func(o *Options) {
			o.Cert, o.Key = filepath.Join(other, "pki", "archive.pem"), filepath.Join(other, "pki", "archive.key")
		}},
		{"vendor's certificate", func(o *Options) { o.Cert, o.Key = l.pki("vendor.pem"), l.pki("vendor.key") }},
		{"relay with another's certificate of the same CA", func(o *Options) { o.URL = impostor }},
		{"TLS 1.2", func(o *Options) { o.URL = old }},
	} {
		o := l.options()
		c.change(&o)
		check(t, o.defaults())
		r, err := newHTTPRelay(&o, testArc)
		check(t, err)
		_, err = r.status(t.Context())
		if class := classOf(err); class != classTLS && class != classRefused {
			t.Errorf("%s: class %q: %v", c.name, class, err)
		}
		r.close()
	}
	if asked > 0 {
		t.Errorf("%d requests reached a server that is not the relay", asked)
	}
}

func TestWrongHeadKeyTakesNothing(t *testing.T) {
	l := newLive(t)
	l.st.join("u-ann", jws.EdDSA)
	l.submit()
	pub, _, err := ed25519.GenerateKey(nil)
	check(t, err)
	l.start(func(o *Options) { o.HeadKey = pub })
	l.until("told", func() bool { return slices.Contains(l.alarmNames(), AlarmPageRefused) })
	l.stop()
	if _, known := l.archive.Cursor(); known {
		t.Error("something was taken")
	}
}
