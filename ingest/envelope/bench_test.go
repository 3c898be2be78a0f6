package envelope

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"math/big"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jws"
)

// BenchmarkAccept measures Open and Verify of a 200-byte text with the payload read. x-bare is the share of it that the bare HPKE open and
// signature check of the same envelope take, measured in the same run: 1 would mean that parsing and lookups cost nothing.
func BenchmarkAccept(b *testing.B) {
	for _, kem := range allKEMs {
		for _, alg := range algs {
			b.Run(kem.String()+"/"+alg, func(b *testing.B) {
				w := newWorld(b)
				key := newSigner(b, alg)
				w.add("u1", "phone", key, w.enrol)
				p := message("u1", "phone")
				p.Body.Text = strings.Repeat("ward ", 40)
				env := w.sealed(kem, key, p)
				bare := bareAccept(b, w, kem, env)
				// The two are taken in turn, so that another's load on the machine falls on both.
				// The fastest of each counts: what slows one down is somebody else.
				whole, naked := time.Hour, time.Hour
				for b.Loop() {
					start := time.Now()
					if _, err := w.accept(env); err != nil {
						b.Fatal(err)
					}
					middle := time.Now()
					bare()
					whole, naked = min(whole, middle.Sub(start)), min(naked, time.Since(middle))
				}
				b.ReportMetric(float64(whole.Nanoseconds()), "ns/fastest-accept")
				b.ReportMetric(float64(naked)/float64(whole), "x-bare")
			})
		}
	}
}

// bareAccept returns a function that does nothing but HPKE and the signature on bytes that were decoded beforehand.
func bareAccept(b *testing.B, w *world, kem KEM, env []byte) func() {
	parts := strings.Split(string(env), ".")
	header, sealed := must[[]byte](b)(jws.DecodeB64(parts[1])), must[[]byte](b)(jws.DecodeB64(parts[2]))
	m := must[*Message](b)(w.accept(env))
	c := must[*jws.Compact](b)(jws.Parse(m.JWS, TypMessage))
	kdf, aead, in := hpke.HKDFSHA256(), hpke.AES256GCM(), info(header)
	r, s := new(big.Int).SetBytes(c.Signature[:32]), new(big.Int).SetBytes(c.Signature[32:])
	return func() {
		if _, err := hpke.Open(w.keys[kem].key, kdf, aead, in, sealed); err != nil {
			b.Fatal(err)
		}
		ok := false
		switch pub := m.Device.Key.(type) {
		case ed25519.PublicKey:
			ok = ed25519.Verify(pub, c.SigningInput, c.Signature)
		case *ecdsa.PublicKey:
			digest := sha256.Sum256(c.SigningInput)
			ok = ecdsa.Verify(pub, digest[:], r, s)
		}
		if !ok {
			b.Fatal("the bare check fails")
		}
	}
}

// BenchmarkClone is what a page with directory events costs before its first event, at 20,000 people.
func BenchmarkClone(b *testing.B) {
	d := NewDirectory(testArc, Pins{})
	for i := range uint64(20000) {
		data := must[[]byte](b)(UserUpsertEvent(User{Usr: strings.Repeat("u", 8) + string(rune('a'+i%26)) + FormatTime(noon.Add(time.Duration(i)*time.Second))}))
		if err := d.Apply(Position{0, i + 1}, data, Verdict{Op: OpUserUpsert, Accepted: true}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		d.Clone()
	}
}
