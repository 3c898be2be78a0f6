package load

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
	"holdfast/internal/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const arc = "ward.example"

var identity = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

// ward is the set that the demo loads.
const ward = "../../../cmd/holdfast-relay/testdata/ward.jsonl"

// rig is a relay that serves, and an archive that publishes its keys and reads everything back.
type rig struct {
	t       *testing.T
	dir     string
	relay   *relay.Relay
	running *relay.Running
	archive *http.Client
	client  *relay.Client
	keys    map[string]*envelope.PrivateKey
	version uint64
	dirs    *envelope.Directory
	n       map[string]uint64
	prev    map[string]string
	head    wire.Head
	seq     uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{t: t, dir: filepath.Join(t.TempDir(), "relay"), keys: map[string]*envelope.PrivateKey{}, n: map[string]uint64{}, prev: map[string]string{}}
	if _, err := relay.Init(g.dir, relay.Params{Arc: arc, Listen: "127.0.0.1:0", Identity: identity.Public().(ed25519.PublicKey)}); err != nil {
		t.Fatal(err)
	}
	enrol, err := relay.EnrolmentKey(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	g.dirs = envelope.NewDirectory(arc, envelope.Pins{Enrol: enrol.Public()})
	if g.relay, err = relay.New(g.dir, relay.Options{}); err != nil {
		t.Fatal(err)
	}
	if g.running, err = g.relay.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	config, err := relay.ArchiveTLS(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	g.archive = &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	if g.client, err = relay.NewClient(g.dir, g.running.URL); err != nil {
		t.Fatal(err)
	}
	s, err := g.relay.Status()
	if err != nil {
		t.Fatal(err)
	}
	g.head = wire.Genesis(arc, s.Epoch, "", wire.Head{})
	t.Cleanup(func() {
		g.archive.CloseIdleConnections()
		g.client.Close()
		if err := errors.Join(g.running.Stop(context.Background()), g.relay.Close()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// publish puts a keyset with one new key of each suite, good until notAfter.
func (g *rig) publish(notAfter time.Time) {
	g.t.Helper()
	now := time.Now()
	g.version++
	k := &wire.Keyset{Arc: arc, Version: g.version, Time: now, Expires: now.Add(time.Hour)}
	for _, kem := range []envelope.KEM{envelope.XWing, envelope.P256} {
		key, err := envelope.GenerateKey(kem)
		if err != nil {
			g.t.Fatal(err)
		}
		g.keys[key.KID()] = key
		k.Keys = append(k.Keys, wire.KeysetKey{Kid: key.KID(), KEM: uint16(kem), PK: key.Public().Bytes, NotAfter: notAfter})
	}
	compact, err := k.Sign(identity)
	if err != nil {
		g.t.Fatal(err)
	}
	req, err := http.NewRequest("PUT", g.running.URL+"/amx/v1/"+arc+"/keyset", bytes.NewReader(compact))
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := g.archive.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		g.t.Fatal(wire.ReadProblem(resp))
	}
}

func (g *rig) options() Options {
	enrol, err := relay.EnrolmentKey(g.dir)
	if err != nil {
		g.t.Fatal(err)
	}
	return Options{Dir: g.dir, Client: g.client, Identity: identity.Public().(ed25519.PublicKey), Enrol: enrol}
}

func (g *rig) load(opts Options, paths ...string) Summary {
	g.t.Helper()
	sum, err := Run(context.Background(), opts, paths...)
	if err != nil {
		g.t.Fatal(err)
	}
	return sum
}

// read pulls everything new as an archive would, verifies it, and returns the messages. Every device's counter and prev must be whole.
func (g *rig) read() []*envelope.Message {
	g.t.Helper()
	s, err := g.relay.Status()
	if err != nil {
		g.t.Fatal(err)
	}
	opener := &envelope.Opener{Arc: arc, Key: func(kid string) (*envelope.PrivateKey, bool) { k, ok := g.keys[kid]; return k, ok }}
	var all []*envelope.Message
	for g.seq < s.High {
		resp, err := g.archive.Get(fmt.Sprintf("%s/amx/v1/%s/events?epoch=%s&after=%d", g.running.URL, arc, s.Epoch, g.seq))
		if err != nil {
			g.t.Fatal(err)
		}
		page, err := wire.ReadPage(resp.Body, wire.Expect{Arc: arc, Epoch: s.Epoch, After: g.seq, Head: g.head, HeadKey: g.relay.HeadKey()})
		resp.Body.Close()
		if err != nil {
			g.t.Fatal(err)
		}
		for _, e := range page.Events {
			if m := g.event(opener, e); m != nil {
				all = append(all, m)
			}
		}
		g.seq, g.head = page.End.Next, page.End.Head
	}
	return all
}

func (g *rig) event(opener *envelope.Opener, e wire.Event) *envelope.Message {
	g.t.Helper()
	at := envelope.Position{Seq: e.Seq}
	if e.Kind == wire.KindDir {
		v := g.dirs.Judge(at, []byte(e.Data))
		if !v.Accepted {
			g.t.Fatalf("event %d: %+v", e.Seq, v)
		}
		if err := g.dirs.Apply(at, []byte(e.Data), v); err != nil {
			g.t.Fatal(err)
		}
		return nil
	}
	o, err := opener.Open([]byte(e.Data))
	if err != nil {
		g.t.Fatalf("event %d: %v", e.Seq, err)
	}
	m, err := g.dirs.Verify(o, at)
	if err != nil {
		g.t.Fatalf("event %d: %v", e.Seq, err)
	}
	dev := m.Payload.Dev
	if m.Payload.N != g.n[dev]+1 || m.Payload.Prev != g.prev[dev] || m.Payload.Mid != e.ID {
		g.t.Fatalf("event %d: n %d after %d, prev %q after %q", e.Seq, m.Payload.N, g.n[dev], m.Payload.Prev, g.prev[dev])
	}
	g.n[dev], g.prev[dev] = m.Payload.N, jws.EncodeB64(m.Digest[:])
	return m
}

func TestWard(t *testing.T) {
	for _, kem := range []envelope.KEM{envelope.XWing, envelope.P256} {
		t.Run(kem.String(), func(t *testing.T) {
			g := newRig(t)
			g.publish(time.Now().Add(time.Hour))
			opts := g.options()
			opts.KEM = kem
			sum := g.load(opts, ward)
			all := g.read()
			want := Summary{Envelopes: 269 + 25, Messages: 269, Checkpoints: 25, Attachments: 3, Devices: 25, People: 24, Events: 269 + 25 + 25 + 24}
			if sum != want || len(all) != sum.Envelopes {
				t.Errorf("%+v, %d read; want %+v", sum, len(all), want)
			}
			g.checkWard(all, kem)
		})
	}
}

func (g *rig) checkWard(all []*envelope.Message, kem envelope.KEM) {
	g.t.Helper()
	seen := map[string]int{}
	byMid := map[string]*envelope.Message{}
	for _, m := range all {
		p := m.Payload
		byMid[p.Mid] = m
		seen[p.Typ]++
		seen[string(m.Device.Assurance)]++
		for _, f := range m.Flags {
			seen[f]++
		}
		if p.Body != nil {
			seen["lang="+p.Body.Lang]++
		}
		seen["prio="+p.Prio]++
		if p.Subject != nil {
			seen["mrn"]++
		}
		if p.Ref != nil {
			target := byMid[p.Ref.Mid]
			if target == nil || target.Payload.Dev != p.Ref.Dev || jws.EncodeB64(target.Digest[:]) != p.Ref.Digest {
				g.t.Errorf("a ref of %s is wrong", p.Typ)
			}
		}
		for _, a := range p.Att {
			g.checkAttachment(a)
		}
	}
	for _, name := range []string{"msg", "edit", "recall", "receipt", "reaction", "member", "call", "close", "expiry", "checkpoint",
		"enrolled", "relay-asserted", "lang=es", "lang=zh", "prio=stat", "prio=urgent", "mrn"} {
		if seen[name] == 0 {
			g.t.Errorf("the ward set has no %s", name)
		}
	}
	algs := map[string]int{}
	for d := range g.dirs.Devices() {
		algs[fmt.Sprintf("%T", d.Key)]++
	}
	if len(algs) != 2 {
		g.t.Errorf("devices' keys are %v", algs)
	}
}

func (g *rig) checkAttachment(a envelope.Attachment) {
	g.t.Helper()
	resp, err := g.archive.Get(g.running.URL + "/amx/v1/" + arc + "/blobs/" + a.BID)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	var sealed, plain bytes.Buffer
	if _, err := sealed.ReadFrom(resp.Body); err != nil || resp.StatusCode != 200 {
		g.t.Fatalf("blob: %d, %v", resp.StatusCode, err)
	}
	key, err1 := a.Secret()
	sum, err2 := a.Sum()
	if err := errors.Join(err1, err2); err != nil || sha256.Sum256(sealed.Bytes()) != sum {
		g.t.Fatalf("blob is not what the message says, %v", err)
	}
	if err := envelope.OpenAttachment(&plain, &sealed, key, a.Size); err != nil {
		g.t.Fatal(err)
	}
}

// The second file goes on where the first ended, and knows the first one's people, devices and lines.
func TestSecondFile(t *testing.T) {
	g := newRig(t)
	g.publish(time.Now().Add(time.Hour))
	first := g.file(`{"user":"a","name":"Ana"}
{"user":"b","name":"Ben"}
{"conv":"c","kind":"direct","members":["a","b"]}
{"id":"1","time":"2026-03-02T07:00:00.000Z","from":"a","in":"c","text":"one"}`)
	second := g.file(`{"conv":"c","kind":"direct","members":["a","b"]}
{"user":"a","name":"Ana Maria"}
{"id":"2","time":"2026-03-02T07:01:00.000Z","from":"b","in":"c","typ":"receipt","ref":"1","status":"read"}
{"id":"3","time":"2026-03-02T07:02:00.000Z","from":"a","in":"c","text":""}`)
	if sum := g.load(g.options(), first); sum.People != 2 || sum.Devices != 1 || sum.Envelopes != 2 {
		t.Errorf("first: %+v", sum)
	}
	if sum := g.load(g.options(), second); sum.People != 1 || sum.Devices != 1 || sum.Envelopes != 4 {
		t.Errorf("second: %+v", sum)
	}
	if all := g.read(); len(all) != 6 || g.n["a-phone"] != 4 || g.n["b-phone"] != 2 {
		t.Errorf("%d messages, n %v", len(all), g.n)
	}
	// Names alone changed, so nobody's assurance did.
	if u, ok := g.dirs.User("a", envelope.Position{Seq: g.seq}); !ok || u.Name != "Ana Maria" {
		t.Errorf("%+v", u)
	}
}

func (g *rig) file(text string) string {
	g.t.Helper()
	f, err := os.CreateTemp(g.t.TempDir(), "*.jsonl")
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		g.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		g.t.Fatal(err)
	}
	return f.Name()
}

// A run that dies after its batch became durable, whether or not the relay has it, leaves no gap and no double.
func TestInterrupted(t *testing.T) {
	for _, submitted := range []bool{false, true} {
		g := newRig(t)
		g.publish(time.Now().Add(time.Hour))
		st, err := openState(g.dir)
		if err != nil {
			t.Fatal(err)
		}
		l := &loader{opts: g.options(), arc: arc, state: st}
		l.opts.KEM = envelope.XWing
		if err := l.fetchKey(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		c := newComposer(l)
		path := g.file(`{"conv":"c","kind":"direct","members":["a","b"]}
{"id":"1","time":"2026-03-02T07:00:00.000Z","from":"a","in":"c","text":"one"}`)
		batches := make(chan *batch, 2)
		if err := c.compose(context.Background(), []string{path}, batches); err != nil {
			t.Fatal(err)
		}
		b := <-batches
		if err := st.commit(b); err != nil {
			t.Fatal(err)
		}
		if submitted {
			if err := l.submit(context.Background(), b.out); err != nil {
				t.Fatal(err)
			}
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
		g.load(g.options(), g.file(`{"conv":"c","kind":"direct","members":["a","b"]}
{"id":"2","time":"2026-03-02T07:01:00.000Z","from":"a","in":"c","text":"two"}`))
		if all := g.read(); len(all) != 4 {
			t.Errorf("submitted %t: %d messages, want 2 and 2 checkpoints", submitted, len(all))
		}
	}
}

func TestKeysetRules(t *testing.T) {
	g := newRig(t)
	path := g.file(`{"conv":"c","kind":"direct","members":["a","b"]}`)
	fails := func(name string, opts Options) {
		t.Helper()
		if _, err := Run(context.Background(), opts, path); !errors.Is(err, ErrKeyset) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fails("none published", g.options())
	g.version = 4
	g.publish(time.Now().Add(-time.Minute))
	fails("every key past its not_after", g.options())
	g.publish(time.Now().Add(time.Hour))
	other := g.options()
	other.Identity = ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	fails("another identity key", other)
	g.load(g.options(), path)
	st, err := openState(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.seenKeyset(7); err != nil {
		t.Fatal(err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	fails("a lower version than seen", g.options())
}

// The keyset is waited for, and a key that comes to its end while loading makes the same messages be sealed again.
func TestWaitAndSealAgain(t *testing.T) {
	g := newRig(t)
	opts := g.options()
	opts.Wait = 30 * time.Second
	opts.Waiting = func() { g.publish(time.Now().Add(time.Hour)) }
	g.load(opts, g.file(`{"conv":"c","kind":"direct","members":["a","b"]}`))
	st, err := openState(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.close(); err != nil {
			t.Error(err)
		}
	}()
	l := &loader{opts: g.options(), arc: arc, state: st}
	l.opts.KEM = envelope.P256
	if err := l.fetchKey(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	// The key that l holds ends now, and another takes its place.
	old := g.keys
	g.keys = map[string]*envelope.PrivateKey{}
	g.publish(time.Now().Add(time.Hour))
	now := time.Now()
	ended := &wire.Keyset{Arc: arc, Version: g.version + 1, Time: now, Expires: now.Add(time.Hour)}
	for _, set := range []map[string]*envelope.PrivateKey{old, g.keys} {
		for kid, key := range set {
			notAfter := now.Add(time.Hour)
			if _, isOld := old[kid]; isOld {
				notAfter = now.Add(-time.Second)
			}
			ended.Keys = append(ended.Keys, wire.KeysetKey{Kid: kid, KEM: uint16(key.KEM()), PK: key.Public().Bytes, NotAfter: notAfter})
		}
	}
	compact, err := ended.Sign(identity)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("PUT", g.running.URL+"/amx/v1/"+arc+"/keyset", bytes.NewReader(compact))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.archive.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	before := l.key.KID()
	if err := l.submit(context.Background(), []outgoing{{ID: newID(), Kind: wire.KindEnv, Data: "a.b.c"}}); err != nil {
		t.Fatal(err)
	}
	if l.key.KID() == before {
		t.Error("still sealing to the key that has ended")
	}
}

func TestBadLines(t *testing.T) {
	g := newRig(t)
	g.publish(time.Now().Add(time.Hour))
	conv := `{"conv":"c","kind":"direct","members":["a","b"]}` + "\n"
	for name, text := range map[string]string{
		"not JSON":          "hello SECRETWORD",
		"unknown member":    `{"user":"a","nmae":"SECRETWORD"}`,
		"neither":           `{"text":"SECRETWORD"}`,
		"no conversation":   `{"id":"1","time":"2026-03-02T07:00:00.000Z","from":"a","in":"SECRETWORD","text":""}`,
		"bad time":          conv + `{"id":"1","time":"SECRETWORD","from":"a","in":"c","text":""}`,
		"ref to nothing":    conv + `{"id":"1","time":"2026-03-02T07:00:00.000Z","from":"a","in":"c","typ":"recall","ref":"SECRETWORD"}`,
		"turn out of range": `{"conversation":"1","section":"SECRETWORD","turn":-1,"speaker":"","text":""}`,
	} {
		_, err := Run(context.Background(), g.options(), g.file(text))
		if !errors.Is(err, ErrLine) || strings.Contains(err.Error(), "SECRETWORD") || !strings.Contains(err.Error(), ".jsonl:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Lines of the corpora: one message each, the text byte for byte.
func TestCorpusShapes(t *testing.T) {
	g := newRig(t)
	g.publish(time.Now().Add(time.Hour))
	texts := []string{"Bugis oso near wat...", "  spaces kept  ", "", "tab\tand \\u0000? \u2028 <&> é 陈 😀", "last"}
	path := g.file(`{"id": "10120", "from": "51", "to": "unknown", "country": "SG", "time": "unknown", "collected": "2003/4", "text": "Bugis oso near wat..."}
{"id": "2", "from": "51", "to": "7", "country": "SG", "time": "2011.03.02 21:49:05", "collected": "2011/3", "text": "  spaces kept  "}
{"id": "x", "from": "7", "to": "51", "country": "", "time": "13/2/2011 9:05:01 PM", "collected": "", "text": ""}
{"conversation": "0", "section": "GENHX", "turn": 0, "speaker": "Doctor", "text": "tab\tand \\u0000? \u2028 <&> é 陈 😀"}
{"conversation": "0", "section": "GENHX", "turn": 1, "speaker": "", "text": "last"}`)
	if sum := g.load(g.options(), path); sum.Messages != len(texts) || sum.Checkpoints != 4 {
		t.Errorf("%+v", sum)
	}
	var got, at []string
	var convs []string
	for _, m := range g.read() {
		if m.Payload.Typ == envelope.TypMsg {
			got, at = append(got, m.Payload.Body.Text), append(at, m.Payload.Sent)
			convs = append(convs, m.Payload.Conv.ID)
		}
	}
	if !slices.Equal(got, texts) {
		t.Errorf("%q, want %q", got, texts)
	}
	want := []string{"2003-04-08T00:40:00.000Z", "2011-03-02T21:49:05.000Z", "2011-02-13T21:05:01.000Z", "2023-01-02T08:00:00.000Z", "2023-01-02T08:01:00.000Z"}
	if !slices.Equal(at, want) {
		t.Errorf("%q, want %q", at, want)
	}
	if convs[1] != convs[2] || convs[0] == convs[1] {
		t.Errorf("conversations %q", convs)
	}
}

func FuzzParseLine(f *testing.F) {
	b, err := os.ReadFile(ward)
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if len(line) < 200 {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseLine(b); (v == nil) == (err == nil) {
			t.Fatalf("%v, %v", v, err)
		}
	})
}
