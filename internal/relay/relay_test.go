package relay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const arc = "ward.example"

var identity = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

// rig is a relay that serves, and an archive's view of it.
type rig struct {
	t       *testing.T
	dir     string
	relay   *Relay
	running *Running
	client  *http.Client
	epoch   string
	cursor  uint64
	head    wire.Head
}

func newRig(t *testing.T, faults string) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "relay")
	if _, err := Init(dir, Params{Arc: arc, Listen: "127.0.0.1:0", Identity: identity.Public().(ed25519.PublicKey)}); err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, dir: dir}
	g.open(faults)
	t.Cleanup(g.stop)
	g.begin()
	return g
}

func (g *rig) open(faults string) {
	g.t.Helper()
	f, err := ParseFaults(faults)
	if err != nil {
		g.t.Fatal(err)
	}
	if g.relay, err = New(g.dir, Options{Faults: f, Heartbeat: 20 * time.Millisecond}); err != nil {
		g.t.Fatal(err)
	}
	if g.running, err = g.relay.Start("127.0.0.1:0"); err != nil {
		g.t.Fatal(err)
	}
	config, err := ArchiveTLS(g.dir)
	if err != nil {
		g.t.Fatal(err)
	}
	g.client = clientOf(config)
}

func clientOf(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 20 * time.Second}
}

func (g *rig) stop() {
	g.t.Helper()
	g.client.CloseIdleConnections()
	if g.relay == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(g.running.Stop(ctx), g.relay.Close()); err != nil {
		g.t.Error(err)
	}
	g.relay = nil
}

// begin goes to the start of the current epoch, given the last head of the one before.
func (g *rig) begin() {
	g.t.Helper()
	s, err := wire.ParseStatus(g.get("status", 200))
	if err != nil {
		g.t.Fatal(err)
	}
	g.epoch, g.cursor, g.head = s.Epoch, 0, wire.Genesis(arc, s.Epoch, s.PreviousEpoch, g.head)
}

// do makes a request of the archive and returns the answer's body.
func (g *rig) do(method, path string, body []byte, status int) []byte {
	g.t.Helper()
	resp, err := g.request(method, path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		g.t.Fatalf("%s %s: %d %s, %v; want %d", method, path, resp.StatusCode, b, err, status)
	}
	return b
}

func (g *rig) request(method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequest(method, g.running.URL+"/amx/v1/"+arc+"/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return g.client.Do(req)
}

func (g *rig) get(path string, status int) []byte {
	g.t.Helper()
	return g.do("GET", path, nil, status)
}

// problem makes a request that is refused, and returns the code.
func (g *rig) problem(method, path string, body []byte) *wire.Problem {
	g.t.Helper()
	resp, err := g.request(method, path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	var p *wire.Problem
	if resp.StatusCode == 200 || !errors.As(wire.ReadProblem(resp), &p) {
		g.t.Fatalf("%s %s was not refused: %d", method, path, resp.StatusCode)
	}
	return p
}

func (g *rig) submit(n int) {
	g.t.Helper()
	batch := make([]Submission, n)
	for i := range batch {
		id := make([]byte, 16)
		rand.Read(id)
		batch[i] = Submission{ID: jws.EncodeB64(id), Kind: wire.KindEnv, Data: fmt.Sprintf("AMX1.e30.%s", jws.EncodeB64(id))}
	}
	rec, err := g.relay.Submit(context.Background(), batch)
	if err != nil || rec.Accepted != n {
		g.t.Fatalf("%+v, %v", rec, err)
	}
}

// pull asks for one page, and moves on when it is good.
func (g *rig) pull(limit, wait int) (*wire.Page, error) {
	g.t.Helper()
	resp, err := g.request("GET", fmt.Sprintf("events?epoch=%s&after=%d&limit=%d&wait=%d", g.epoch, g.cursor, limit, wait), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return nil, wire.ReadProblem(resp)
	}
	page, err := wire.ReadPage(resp.Body, wire.Expect{Arc: arc, Epoch: g.epoch, After: g.cursor, Head: g.head, Limit: limit, HeadKey: g.relay.HeadKey()})
	if err == nil {
		g.cursor, g.head = page.End.Next, page.End.Head
	}
	return page, err
}

// mustPull asks for one page, which must be good and have n events.
func (g *rig) mustPull(limit, n int) *wire.Page {
	g.t.Helper()
	page, err := g.pull(limit, 0)
	if err != nil || len(page.Events) != n {
		g.t.Fatalf("page %+v, %v; want %d events", page, err, n)
	}
	return page
}

func (g *rig) ack(change func(a *wire.Ack)) []byte {
	g.t.Helper()
	a := &wire.Ack{Arc: arc, Epoch: g.epoch, Seq: g.cursor, Head: g.head}
	if change != nil {
		change(a)
	}
	compact, err := a.Sign(identity)
	if err != nil {
		g.t.Fatal(err)
	}
	return compact
}

func TestPull(t *testing.T) {
	g := newRig(t, "")
	g.mustPull(10, 0)
	g.submit(5)
	page := g.mustPull(3, 3)
	if page.End.High != 5 || page.End.Oldest != 1 {
		t.Errorf("end %+v", page.End)
	}
	g.mustPull(1000, 2)
	g.mustPull(1000, 0)
}

// A page never passes its size, however few events fit.
func TestPageSize(t *testing.T) {
	g := newRig(t, "")
	big := string(bytes.Repeat([]byte("x"), 6<<20))
	for i := range 4 {
		if _, err := g.relay.Submit(context.Background(), []Submission{{ID: fmt.Sprint(i), Kind: wire.KindEnv, Data: big}}); err != nil {
			t.Fatal(err)
		}
	}
	g.mustPull(1000, 2)
	g.mustPull(1000, 2)
	_, err := g.relay.Submit(context.Background(), []Submission{{ID: "huge", Kind: wire.KindEnv, Data: big + big + big}})
	var p *wire.Problem
	if !errors.As(err, &p) || p.Code != wire.CodeTooLarge {
		t.Errorf("an event larger than a page: %v", err)
	}
	g.mustPull(1000, 0)
}

func TestSubmitIsIdempotentAndWhole(t *testing.T) {
	g := newRig(t, "")
	ctx := context.Background()
	one := Submission{ID: "one", Kind: wire.KindDir, Data: "{}"}
	two := Submission{ID: "two", Kind: wire.KindDir, Data: "{}"}
	for range 2 {
		if _, err := g.relay.Submit(ctx, []Submission{one}); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := g.relay.Submit(ctx, []Submission{one, two, two})
	if err != nil || !reflect.DeepEqual(rec, Receipt{Accepted: 1, Duplicates: 2, High: 2}) {
		t.Errorf("%+v, %v", rec, err)
	}
	bad := Submission{ID: "bad", Kind: wire.KindEnv, Data: "\xff"}
	if _, err := g.relay.Submit(ctx, []Submission{{ID: "three", Kind: wire.KindDir, Data: "{}"}, bad}); err == nil {
		t.Error("a bad line was taken")
	}
	g.mustPull(10, 2)
}

func TestQueueSurvivesRestart(t *testing.T) {
	g := newRig(t, "")
	g.submit(10)
	g.mustPull(4, 4)
	g.do("POST", "ack", g.ack(nil), 200)
	before := g.get("status", 200)
	g.stop()
	g.open("")
	if after := g.get("status", 200); !bytes.Equal(before, after) {
		t.Errorf("status %s, was %s", after, before)
	}
	g.mustPull(1000, 6)
}

func TestSecondProcessIsRefused(t *testing.T) {
	g := newRig(t, "")
	if _, err := New(g.dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := New(t.TempDir(), Options{}); err == nil {
		t.Error("an empty folder was opened")
	}
	if _, err := Init(g.dir, Params{Arc: arc}); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
}

func TestLongPoll(t *testing.T) {
	g := newRig(t, "")
	type answer struct {
		page *wire.Page
		err  error
	}
	got := make(chan answer)
	resp, err := g.request("GET", fmt.Sprintf("events?epoch=%s&after=0&wait=55", g.epoch), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// The headers came with the first heartbeat: the poll is waiting.
	want := wire.Expect{Arc: arc, Epoch: g.epoch, Head: g.head, HeadKey: g.relay.HeadKey()}
	go func() {
		page, err := wire.ReadPage(resp.Body, want)
		got <- answer{page, err}
	}()
	g.submit(1)
	if a := <-got; a.err != nil || len(a.page.Events) != 1 {
		t.Fatalf("%+v", a)
	}
}

func TestLongPollEnds(t *testing.T) {
	g := newRig(t, "")
	page, err := g.pull(10, 1)
	if err != nil || len(page.Events) != 0 {
		t.Fatalf("wait is over: %+v, %v", page, err)
	}
	resp, err := g.request("GET", fmt.Sprintf("events?epoch=%s&after=0&wait=55", g.epoch), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// Stop waits for the poll, which ends at once with a page without events.
	want := wire.Expect{Arc: arc, Epoch: g.epoch, Head: g.head, HeadKey: g.relay.HeadKey()}
	stopped := make(chan struct{})
	go func() { g.stop(); close(stopped) }()
	page, err = wire.ReadPage(resp.Body, want)
	if err != nil || len(page.Events) != 0 {
		t.Errorf("stopped: %+v, %v", page, err)
	}
	<-stopped
}

func TestEventsQuery(t *testing.T) {
	g := newRig(t, "")
	for _, q := range []string{"", "epoch=" + g.epoch, "epoch=" + g.epoch + "&after=-1", "epoch=" + g.epoch + "&after=01", "after=0",
		"epoch=" + g.epoch + "&after=0&limit=0", "epoch=" + g.epoch + "&after=0&limit=1001", "epoch=" + g.epoch + "&after=0&wait=56",
		"epoch=" + g.epoch + "&after=0&after=0", "epoch=" + g.epoch + "&after=0&other=1", "epoch=" + g.epoch + "&after=9007199254740992"} {
		if p := g.problem("GET", "events?"+q, nil); p.Status != 400 || p.Code != wire.CodeBadRequest {
			t.Errorf("%q: %v", q, p)
		}
	}
	if p := g.problem("GET", "events?after=1&epoch="+g.epoch, nil); p.Status != 409 || p.Code != wire.CodeCursorAhead {
		t.Errorf("after past the end: %v", p)
	}
	if p := g.problem("GET", "events?after=0&epoch=unknown", nil); p.Status != 409 || p.Code != wire.CodeEpochChanged {
		t.Errorf("unknown epoch: %v", p)
	}
}
