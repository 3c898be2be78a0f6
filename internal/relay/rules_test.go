package relay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// In TLS 1.3 a refused client learns of it on its first read, so a whole request is made.
func TestTLS(t *testing.T) {
	g := newRig(t, "")
	good, err := ArchiveTLS(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	other := newRig(t, "")
	stranger, err := ArchiveTLS(other.dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *tls.Config){
		"TLS 1.2":            func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no certificate":     func(c *tls.Config) { c.Certificates = nil },
		"another CA's":       func(c *tls.Config) { c.Certificates = stranger.Certificates },
		"server not trusted": func(c *tls.Config) { c.RootCAs = stranger.RootCAs },
	} {
		config := good.Clone()
		change(config)
		client := clientOf(config)
		resp, err := client.Get(g.running.URL + "/amx/v1/" + arc + "/status")
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %d", name, resp.StatusCode)
		}
		client.CloseIdleConnections()
	}
	g.get("status", 200)
}

func TestWrongArchive(t *testing.T) {
	g := newRig(t, "")
	vendor, err := clientTLS(g.dir, roleVendor)
	if err != nil {
		t.Fatal(err)
	}
	vendorClient := clientOf(vendor)
	defer vendorClient.CloseIdleConnections()
	for _, tt := range []struct {
		client *http.Client
		path   string
		status int
		code   string
	}{
		{g.client, "/amx/v1/other.example/status", 403, wire.CodeWrongArchive},
		{vendorClient, "/vendor/v1/other.example/status", 403, wire.CodeWrongArchive},
		{g.client, "/vendor/v1/" + arc + "/status", 401, wire.CodeUnauthorized},
		{vendorClient, "/amx/v1/" + arc + "/status", 401, wire.CodeUnauthorized},
		{vendorClient, "/amx/v1/" + arc + "/events?after=0&epoch=" + g.epoch, 401, wire.CodeUnauthorized},
	} {
		resp, err := tt.client.Get(g.running.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := wire.ReadProblem(resp).(*wire.Problem)
		resp.Body.Close()
		if !ok || p.Status != tt.status || p.Code != tt.code {
			t.Errorf("%s: %v, want %d %s", tt.path, p, tt.status, tt.code)
		}
	}
}

// A certificate of the same CA for another archive is refused on every path of this one.
func TestCertificateOfAnotherArchive(t *testing.T) {
	g := newRig(t, "")
	req, err := http.NewRequest("GET", "/amx/v1/"+arc+"/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := g.relay.admit(roleArchive, req).(*wire.Problem); !ok || p.Status != 401 {
		t.Errorf("without TLS: %v", p)
	}
	config, err := ArchiveTLS(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	cert := *config.Certificates[0].Leaf
	cert.Subject.CommonName = "other.example"
	req.SetPathValue("arc", arc)
	req.TLS = &tls.ConnectionState{}
	if p, ok := g.relay.admit(roleArchive, req).(*wire.Problem); !ok || p.Status != 401 {
		t.Errorf("without a certificate: %v", p)
	}
	req.TLS.PeerCertificates = append(req.TLS.PeerCertificates, &cert)
	req.TLS.VerifiedChains = append(req.TLS.VerifiedChains, req.TLS.PeerCertificates)
	if p, ok := g.relay.admit(roleArchive, req).(*wire.Problem); !ok || p.Status != 403 || p.Code != wire.CodeWrongArchive {
		t.Errorf("of another archive: %v", p)
	}
}

func TestAck(t *testing.T) {
	g := newRig(t, "")
	g.do("POST", "ack", g.ack(nil), 200) // seq 0: nothing yet
	g.submit(6)
	g.mustPull(4, 4)
	for name, tt := range map[string]struct {
		change func(a *wire.Ack)
		status int
		code   string
	}{
		"head":    {func(a *wire.Ack) { a.Head[0] ^= 1 }, 409, wire.CodeHeadMismatch},
		"seq":     {func(a *wire.Ack) { a.Seq-- }, 409, wire.CodeHeadMismatch},
		"ahead":   {func(a *wire.Ack) { a.Seq = 7 }, 409, wire.CodeAckAhead},
		"epoch":   {func(a *wire.Ack) { a.Epoch = "e" }, 409, wire.CodeEpochChanged},
		"archive": {func(a *wire.Ack) { a.Arc = "other.example" }, 403, wire.CodeWrongArchive},
		"backup":  {func(a *wire.Ack) { a.BackedUp = 5 }, 400, wire.CodeBadRequest},
	} {
		if p := g.problem("POST", "ack", g.ack(tt.change)); p.Status != tt.status || p.Code != tt.code {
			t.Errorf("%s: %v", name, p)
		}
	}
	forged, err := (&wire.Ack{Arc: arc, Epoch: g.epoch, Seq: 4, Head: g.head}).Sign(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	if p := g.problem("POST", "ack", forged); p.Status != 403 || p.Code != wire.CodeBadSignature {
		t.Errorf("forged: %v", p)
	}
	if p := g.problem("POST", "ack", []byte("x")); p.Status != 400 {
		t.Errorf("not a JWS: %v", p)
	}
	if p := g.problem("POST", "ack", make([]byte, wire.MaxEnvelope+1)); p.Status != 413 || p.Code != wire.CodeTooLarge {
		t.Errorf("huge: %v", p)
	}
	early := g.ack(nil)
	for range 2 {
		if got := string(g.do("POST", "ack", early, 200)); got != `{"acked":4}` {
			t.Error(got)
		}
	}
	g.mustPull(4, 2)
	g.do("POST", "ack", g.ack(nil), 200)
	if got := string(g.do("POST", "ack", early, 200)); got != `{"acked":6}` {
		t.Errorf("an older ack: %s", got)
	}
}

func TestDeletion(t *testing.T) {
	g := newRig(t, "")
	g.submit(6)
	g.mustPull(4, 4)
	g.do("POST", "ack", g.ack(nil), 200)
	oldest := func() uint64 {
		s, err := g.relay.Status()
		if err != nil {
			t.Fatal(err)
		}
		return s.Oldest
	}
	if err := g.relay.queue.sweep(time.Now().Add(keepAfterAck - time.Minute)); err != nil || oldest() != 1 {
		t.Fatalf("acked, not backed up, not yet 30 days: oldest %d, %v", oldest(), err)
	}
	g.do("POST", "ack", g.ack(func(a *wire.Ack) { a.BackedUp = 2 }), 200)
	if oldest() != 3 {
		t.Fatalf("backed up to 2: oldest %d", oldest())
	}
	if err := g.relay.queue.sweep(time.Now().Add(keepAfterAck + time.Minute)); err != nil || oldest() != 5 {
		t.Fatalf("30 days after the ack of 4: oldest %d, %v", oldest(), err)
	}
	if p := g.problem("GET", "events?after=3&epoch="+g.epoch, nil); p.Status != 410 || p.Code != wire.CodeCursorExpired {
		t.Errorf("a deleted event: %v", p)
	}
	page := g.mustPull(10, 2)
	if page.End.Oldest != 5 {
		t.Errorf("oldest %d", page.End.Oldest)
	}
	// The heads stay: an old ack still counts as what it is.
	g.do("POST", "ack", g.ack(nil), 200)
	g.stop()
	g.open("")
	g.mustPull(10, 0)
}

func TestEpochs(t *testing.T) {
	g := newRig(t, "")
	g.submit(3)
	g.mustPull(2, 2)
	first := g.epoch
	s, err := g.relay.NewEpoch()
	if err != nil || s.PreviousEpoch != first || s.High != 0 || s.Epoch == first {
		t.Fatalf("%+v, %v", s, err)
	}
	g.submit(2)
	g.mustPull(10, 1) // the rest of the first epoch is not lost
	g.do("POST", "ack", g.ack(nil), 200)
	if p := g.problem("GET", fmt.Sprintf("events?after=3&epoch=%s", first), nil); p.Status != 409 || p.Code != wire.CodeEpochChanged {
		t.Errorf("past the end of an ended epoch: %v", p)
	}
	g.begin()
	g.mustPull(10, 2)
	g.do("POST", "ack", g.ack(nil), 200)
}

func (g *rig) keyset(version uint64, change func(k *wire.Keyset)) []byte {
	g.t.Helper()
	key, err := envelope.GenerateKey(envelope.P256)
	if err != nil {
		g.t.Fatal(err)
	}
	pub, now := key.Public(), time.Now()
	k := &wire.Keyset{Arc: arc, Version: version, Time: now, Expires: now.Add(24 * time.Hour),
		Keys: []wire.KeysetKey{{Kid: pub.KID(), KEM: uint16(pub.KEM), PK: pub.Bytes, NotAfter: now.Add(time.Hour)}}}
	if change != nil {
		change(k)
	}
	compact, err := k.Sign(identity)
	if err != nil {
		g.t.Fatal(err)
	}
	return compact
}

func TestKeyset(t *testing.T) {
	g := newRig(t, "")
	if p := g.problem("GET", "keyset", nil); p.Status != 404 {
		t.Errorf("before the first: %v", p)
	}
	first := g.keyset(2, nil)
	g.do("PUT", "keyset", first, 200)
	g.do("PUT", "keyset", first, 200)
	for name, compact := range map[string][]byte{
		"same version": g.keyset(2, nil),
		"lower":        g.keyset(1, nil),
		"expired":      g.keyset(3, func(k *wire.Keyset) { k.Time, k.Expires = k.Time.Add(-2*time.Hour), k.Time.Add(-time.Hour) }),
		"far future":   g.keyset(3, func(k *wire.Keyset) { k.Time, k.Expires = k.Time.Add(time.Hour), k.Time.Add(169*time.Hour) }),
		"archive":      g.keyset(3, func(k *wire.Keyset) { k.Arc = "other.example" }),
		"kid":          g.keyset(3, func(k *wire.Keyset) { k.Keys[0].Kid = "AAAAAAAAAAAAAAAAAAAAAA" }),
	} {
		g.problem("PUT", "keyset", compact)
		if got := g.get("keyset", 200); !bytes.Equal(got, first) {
			t.Fatalf("%s replaced the keyset", name)
		}
	}
	second := g.keyset(3, nil)
	g.do("PUT", "keyset", second, 200)
	g.stop()
	g.open("")
	if got := g.get("keyset", 200); !bytes.Equal(got, second) {
		t.Error("the keyset did not survive")
	}
}

func TestSubmitOverHTTP(t *testing.T) {
	g := newRig(t, "")
	client, err := NewClient(g.dir, g.running.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	key, err := envelope.GenerateKey(envelope.P256)
	if err != nil {
		t.Fatal(err)
	}
	env := func(arc string) Submission {
		raw := make([]byte, 16)
		rand.Read(raw)
		mid := jws.EncodeB64(raw)
		data, err := envelope.Seal(key.Public(), arc, mid, []byte("a.b.c"))
		if err != nil {
			t.Fatal(err)
		}
		return Submission{ID: mid, Kind: wire.KindEnv, Data: string(data)}
	}
	ctx := context.Background()
	refused := func(name, code string, batch ...Submission) {
		t.Helper()
		_, err := client.Submit(ctx, batch)
		if p, ok := err.(*wire.Problem); !ok || p.Code != code {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
	good := env(arc)
	if rec, err := client.Submit(ctx, []Submission{good}); err != nil || rec.Accepted != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
	other := env(arc)
	refused("another mid", wire.CodeBadRequest, Submission{ID: good.ID, Kind: wire.KindEnv, Data: other.Data})
	refused("another archive", wire.CodeBadRequest, env("other.example"))
	refused("no envelope", wire.CodeBadRequest, Submission{ID: good.ID, Kind: wire.KindEnv, Data: "AMX1.e30"})
	refused("unknown kind", wire.CodeBadRequest, Submission{ID: "x", Kind: "other", Data: "{}"})
	refused("1,001 lines", wire.CodeTooLarge, slices.Repeat([]Submission{{ID: "x", Kind: wire.KindDir, Data: "{}"}}, 1001)...)
	refused("oversized", wire.CodeTooLarge, Submission{ID: good.ID, Kind: wire.KindEnv, Data: good.Data + strings.Repeat("A", wire.MaxEnvelope)})
	past := time.Now().Add(-time.Minute)
	g.do("PUT", "keyset", g.keyset(1, func(k *wire.Keyset) {
		pub := key.Public()
		k.Keys = []wire.KeysetKey{{Kid: pub.KID(), KEM: uint16(pub.KEM), PK: pub.Bytes, NotAfter: past}}
	}), 200)
	refused("key past its not_after", wire.CodeKeyExpired, env(arc))
	if s, err := client.Status(ctx); err != nil || s.High != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestBlobs(t *testing.T) {
	g := newRig(t, "")
	client, err := NewClient(g.dir, g.running.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	bid, content := "AAAAAAAAAAAAAAAAAAAAAA", bytes.Repeat([]byte("0123456789"), 20000)
	ctx := context.Background()
	if p := g.problem("GET", "blobs/"+bid, nil); p.Status != 404 {
		t.Errorf("before it is there: %v", p)
	}
	for range 2 {
		if err := client.PutBlob(ctx, bid, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.PutBlob(ctx, bid, []byte("other")); err == nil {
		t.Error("other bytes replaced a blob")
	}
	if err := client.PutBlob(ctx, "short", []byte("x")); err == nil {
		t.Error("a bid that is no bid was taken")
	}
	if !bytes.Equal(g.get("blobs/"+bid, 200), content) {
		t.Error("another blob came back")
	}
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	for _, tt := range []struct {
		ifRange string
		status  int
		want    []byte
	}{{etag, 206, content[150000:]}, {`"other"`, 200, content}, {`W/` + etag, 200, content}} {
		req, err := http.NewRequest("GET", g.running.URL+"/amx/v1/"+arc+"/blobs/"+bid, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=150000-")
		req.Header.Set("If-Range", tt.ifRange)
		resp, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !bytes.Equal(b, tt.want) || resp.Header.Get("ETag") != etag {
			t.Errorf("If-Range %s: %d, %d bytes, ETag %s, %v", tt.ifRange, resp.StatusCode, len(b), resp.Header.Get("ETag"), err)
		}
	}
	g.stop()
	g.open("")
	if !bytes.Equal(g.get("blobs/"+bid, 200), content) {
		t.Error("the blob did not survive")
	}
}
