package envelope

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jws"
)

const testArc = "st-mary.example"

var (
	allKEMs = []KEM{XWing, P256, X25519}
	algs    = []string{jws.EdDSA, jws.ES256}
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newSigner(t testing.TB, alg string) crypto.Signer {
	if alg == jws.ES256 {
		return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func kidOf(t testing.TB, key crypto.Signer) string {
	return must[string](t)(jws.Thumbprint(key.Public()))
}

func id16(fill byte) string { return jws.EncodeB64(bytes.Repeat([]byte{fill}, 16)) }

func digest32(fill byte) string { return jws.EncodeB64(bytes.Repeat([]byte{fill}, 32)) }

// A world is an archive with one key per KEM, an enrolment key, and a directory that grows by one relay seq per event.
type world struct {
	t     testing.TB
	keys  map[KEM]*PrivateKey
	enrol crypto.Signer
	dir   *Directory
	seq   uint64
	open  *Opener
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, keys: map[KEM]*PrivateKey{}, enrol: newSigner(t, jws.ES256)}
	for _, kem := range allKEMs {
		w.keys[kem] = must[*PrivateKey](t)(GenerateKey(kem))
	}
	w.dir = NewDirectory(testArc, Pins{Enrol: w.enrol.Public()})
	w.open = &Opener{Arc: testArc, AllowX25519: true, Key: func(kid string) (*PrivateKey, bool) {
		for _, k := range w.keys {
			if k.KID() == kid {
				return k, true
			}
		}
		return nil, false
	}}
	return w
}

func (w *world) here() Position { return Position{0, w.seq} }

// event judges and applies data at the next place.
func (w *world) event(data []byte) Verdict {
	w.t.Helper()
	w.seq++
	v := w.dir.Judge(w.here(), data)
	if err := w.dir.Apply(w.here(), data, v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) upsert(usr, upn, mail, name string) Verdict {
	w.t.Helper()
	return w.event(must[[]byte](w.t)(UserUpsertEvent(User{usr, upn, mail, name})))
}

func (w *world) add(usr, dev string, key, by crypto.Signer) Verdict {
	w.t.Helper()
	return w.event(must[[]byte](w.t)(DeviceAdd{Arc: testArc, Usr: usr, Dev: dev, At: noon, Key: key, By: by}.Event()))
}

func (w *world) revoke(usr, dev string, key crypto.Signer) Verdict {
	w.t.Helper()
	return w.event(must[[]byte](w.t)(DeviceRevokeEvent(usr, dev, kidOf(w.t, key), noon)))
}

func (w *world) assurance(key crypto.Signer, at Position) Assurance {
	w.t.Helper()
	d, ok := w.dir.Device(kidOf(w.t, key), at)
	if !ok {
		return ""
	}
	return d.Assurance
}

func message(usr, dev string) *Payload {
	return &Payload{V: 1, Typ: TypMsg, Arc: testArc, Mid: id16(1), Usr: usr, Dev: dev, N: 1, Sent: FormatTime(noon),
		Conv: &Conv{ID: "c1", Kind: "group", Name: "Ward 3", Members: Members{{Usr: "u1"}, {Usr: "u2", Name: "Dr. B"}}},
		To:   []Party{{Usr: "u2"}}, Body: &Body{Text: "BP 90/60, please come"}}
}

func (w *world) sealed(kem KEM, key crypto.Signer, p *Payload) []byte {
	w.t.Helper()
	return must[[]byte](w.t)(Seal(w.keys[kem].Public(), testArc, p.Mid, must[[]byte](w.t)(SignMessage(key, p))))
}

func (w *world) accept(envelope []byte) (*Message, error) {
	o, err := w.open.Open(envelope)
	if err != nil {
		return nil, err
	}
	return w.dir.Verify(o, w.here())
}

func wantCode(t *testing.T, what string, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
	if err != nil && (strings.Contains(err.Error(), "BP 90/60") || strings.Contains(err.Error(), "Ward")) {
		t.Errorf("%s: the error tells content: %v", what, err)
	}
}
