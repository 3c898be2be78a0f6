package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/ijson"

	jose "github.com/go-jose/go-jose/v4"
)

const typ = "amx+jws"

func newKeys(t testing.TB) map[string]crypto.Signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{EdDSA: ed, ES256: ec}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// What we sign a peer verifies, what a peer signs we verify, and both name the key alike.
func TestAgainstGoJose(t *testing.T) {
	for alg, key := range newKeys(t) {
		compact := must[[]byte](t)(Sign(typ, key, []byte(`{"a":1}`)))
		theirs, err := jose.ParseSignedCompact(string(compact), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := theirs.Verify(key.Public()); err != nil || string(payload) != `{"a":1}` {
			t.Errorf("%s: go-jose does not verify ours: %v", alg, err)
		}
		jwk := jose.JSONWebKey{Key: key.Public()}
		sum := must[[]byte](t)(jwk.Thumbprint(crypto.SHA256))
		kid := must[string](t)(Thumbprint(key.Public()))
		if EncodeB64(sum) != kid {
			t.Errorf("%s: thumbprint differs from go-jose's", alg)
		}
		pub := must[crypto.PublicKey](t)(ParseJWK(must[[]byte](t)(jwk.MarshalJSON())))
		if !pub.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("%s: go-jose's JWK read as another key", alg)
		}

		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: key, KeyID: kid}},
			(&jose.SignerOptions{}).WithType(typ))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse([]byte(must[string](t)(signed.CompactSerialize())), typ)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if err := c.Verify(key.Public()); err != nil || string(c.Payload) != "payload" || c.Header.Kid != kid {
			t.Errorf("%s: we do not verify go-jose's: %v", alg, err)
		}
	}
}

// RFC 8037 appendix A.3.
func TestThumbprintVector(t *testing.T) {
	pub := must[crypto.PublicKey](t)(ParseJWK([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)))
	if kid := must[string](t)(Thumbprint(pub)); kid != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("thumbprint %s", kid)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestParseRefuses(t *testing.T) {
	kid := EncodeB64(make([]byte, 32))
	good := fmt.Sprintf(`{"alg":"EdDSA","kid":"%s","typ":"amx+jws"}`, kid)
	sig := EncodeB64(make([]byte, 64))
	whole := func(header string) string { return b64(header) + "." + b64("p") + "." + sig }
	if _, err := Parse([]byte(whole(good)), typ); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{
		"nothing":              "",
		"two parts":            b64(good) + "." + b64("p"),
		"four parts":           whole(good) + "." + sig,
		"no header":            "." + b64("p") + "." + sig,
		"no payload":           b64(good) + ".." + sig,
		"no signature":         b64(good) + "." + b64("p") + ".",
		"JSON serialisation":   `{"payload":"cA","protected":"e30","signature":"AA"}`,
		"alg none":             whole(strings.Replace(good, "EdDSA", "none", 1)),
		"alg HS256":            whole(strings.Replace(good, "EdDSA", "HS256", 1)),
		"alg RS256":            whole(strings.Replace(good, "EdDSA", "RS256", 1)),
		"alg in another case":  whole(strings.Replace(good, "EdDSA", "EDDSA", 1)),
		"another typ":          whole(strings.Replace(good, "amx+jws", "amx+ack", 1)),
		"typ in another case":  whole(strings.Replace(good, "amx+jws", "AMX+jws", 1)),
		"no typ":               whole(fmt.Sprintf(`{"alg":"EdDSA","kid":"%s"}`, kid)),
		"no kid":               whole(`{"alg":"EdDSA","typ":"amx+jws"}`),
		"no alg":               whole(fmt.Sprintf(`{"kid":"%s","typ":"amx+jws"}`, kid)),
		"kid of another form":  whole(strings.Replace(good, kid, "key-1", 1)),
		"kid with loose bits":  whole(strings.Replace(good, kid, kid[:42]+"B", 1)),
		"embedded jwk":         whole(good[:len(good)-1] + `,"jwk":{"kty":"OKP"}}`),
		"crit":                 whole(good[:len(good)-1] + `,"crit":["exp"],"exp":1}`),
		"cty":                  whole(good[:len(good)-1] + `,"cty":"x"}`),
		"alg twice":            whole(good[:len(good)-1] + `,"alg":"ES256"}`),
		"Alg beside alg":       whole(good[:len(good)-1] + `,"Alg":"ES256"}`),
		"Alg instead of alg":   whole(strings.Replace(good, "alg", "Alg", 1)),
		"header larger":        whole(good[:len(good)-1] + strings.Repeat(" ", MaxHeader) + "}"),
		"header not an object": whole(`["EdDSA"]`),
		"header not base64url": "!" + whole(good),
		"header padded":        b64(good) + "=." + b64("p") + "." + sig,
		"payload with LF":      b64(good) + "." + "cA\n" + "." + sig,
		"payload with CR":      b64(good) + "." + "c\rA" + "." + sig,
		"payload loose bits":   b64(good) + "." + "cB" + "." + sig,
		"payload plus":         b64(good) + "." + "c+A" + "." + sig,
		"signature with LF":    whole(good) + "\n",
		"signature loose bits": b64(good) + "." + b64("p") + "." + sig[:85] + "B",
		"white space in front": " " + whole(good),
	} {
		if _, err := Parse([]byte(s), typ); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	keys, others := newKeys(t), newKeys(t)
	for alg, key := range keys {
		compact := must[[]byte](t)(Sign(typ, key, []byte("payload")))
		c := must[*Compact](t)(Parse(compact, typ))
		if err := c.Verify(key.Public()); err != nil {
			t.Fatal(err)
		}
		for otherAlg, other := range others {
			if err := c.Verify(other.Public()); !errors.Is(err, ErrSignature) {
				t.Errorf("%s under another %s key: %v", alg, otherAlg, err)
			}
		}
		cut := *c
		cut.Signature = c.Signature[:63]
		long := *c
		long.Signature = append(slices.Clone(c.Signature), 0)
		wide := *c // the same two integers, one of them with a zero in front
		wide.Signature = slices.Insert(slices.Clone(c.Signature), 32, 0)
		zero := *c
		zero.Signature = make([]byte, 64)
		for name, x := range map[string]Compact{"short": cut, "long": long, "wide": wide, "zero": zero} {
			if err := x.Verify(key.Public()); !errors.Is(err, ErrSignature) {
				t.Errorf("%s signature %s: %v", alg, name, err)
			}
		}
		// The alg is under the signature too, but a key must not be asked to check what it is not for.
		lie := *c
		lie.Header.Alg = map[string]string{EdDSA: ES256, ES256: EdDSA}[alg]
		if err := lie.Verify(key.Public()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s key, other alg: %v", alg, err)
		}
		for _, bad := range []crypto.PublicKey{nil, []byte("x"), ed25519.PublicKey(nil), (*ecdsa.PublicKey)(nil), key} {
			if err := c.Verify(bad); !errors.Is(err, ErrKey) {
				t.Errorf("key %T: %v", bad, err)
			}
		}
	}
	p384 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	if _, err := Sign(typ, p384, nil); !errors.Is(err, ErrKey) {
		t.Errorf("P-384: %v", err)
	}
}

// Every single bit flip of a compact JWS is refused. None is free: base64url leaves no loose bits, and both algorithms sign header and payload.
func TestBitFlips(t *testing.T) {
	for alg, key := range newKeys(t) {
		compact := must[[]byte](t)(Sign(typ, key, []byte("a payload")))
		for bit := range len(compact) * 8 {
			flipped := slices.Clone(compact)
			flipped[bit/8] ^= 1 << (bit % 8)
			if c, err := Parse(flipped, typ); err == nil && c.Verify(key.Public()) == nil {
				t.Errorf("%s: bit %d does not matter", alg, bit)
			}
		}
	}
}

// Phones make ES256 signatures with a high s; the digest does not change with it.
func TestHighS(t *testing.T) {
	key := newKeys(t)[ES256]
	c := must[*Compact](t)(Parse(must[[]byte](t)(Sign(typ, key, []byte("p"))), typ))
	s := new(big.Int).SetBytes(c.Signature[32:])
	twin := *c
	twin.Signature = slices.Clone(c.Signature)
	new(big.Int).Sub(elliptic.P256().Params().N, s).FillBytes(twin.Signature[32:])
	if err := twin.Verify(key.Public()); err != nil {
		t.Errorf("the twin signature: %v", err)
	}
	if twin.Digest() != c.Digest() {
		t.Error("the digest depends on the signature")
	}
}

// The five listed y are those of the eight points whose order divides 8: checked on the curve equation, not by memory.
func TestLowOrderListIsRight(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	// d = -121665/121666
	d := mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p)))
	for i, le := range lowOrder {
		be := slices.Clone(le[:])
		slices.Reverse(be)
		y := new(big.Int).SetBytes(be)
		y2 := mod(new(big.Int).Mul(y, y))
		switch {
		case i == 0 && y.Sign() != 0, i == 1 && y.Cmp(big.NewInt(1)) != 0, i == 2 && y.Cmp(new(big.Int).Sub(p, big.NewInt(1))) != 0:
			t.Errorf("entry %d", i)
		case i > 2:
			// Doubling gives y' = (y²+x²)/(1-d·x²y²). An order-8 point doubles to y' = 0, so x² = -y², and the curve says d·y⁴+2y²-1 = 0.
			v := mod(new(big.Int).Mul(d, mod(new(big.Int).Mul(y2, y2))))
			v.Add(v, y2).Add(v, y2).Sub(v, big.NewInt(1))
			if mod(v).Sign() != 0 {
				t.Errorf("entry %d is not of order 8", i)
			}
		}
	}
}

func TestKeysRefused(t *testing.T) {
	var keys []ed25519.PublicKey
	for _, y := range lowOrder {
		minus := y
		minus[31] |= 0x80
		keys = append(keys, y[:], minus[:])
	}
	// Not reduced: p and p+1 are 0 and 1 again, p+3 is a good y under a second name.
	for _, low := range []byte{0xed, 0xee, 0xf0, 0xff} {
		k := ed25519.PublicKey(slices.Repeat([]byte{0xff}, 32))
		k[0], k[31] = low, 0x7f
		keys = append(keys, k)
	}
	c := &Compact{Header: Header{Alg: EdDSA}, SigningInput: []byte("x"), Signature: make([]byte, 64)}
	for _, k := range keys {
		if _, err := ParseJWK(fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","x":"%s"}`, EncodeB64(k))); !errors.Is(err, ErrKey) {
			t.Errorf("%x as JWK: %v", k, err)
		}
		if err := c.Verify(k); !errors.Is(err, ErrKey) {
			t.Errorf("%x verifying: %v", k, err)
		}
		if _, err := Thumbprint(k); !errors.Is(err, ErrKey) {
			t.Errorf("%x thumbprint: %v", k, err)
		}
	}
}

func TestParseJWKRefuses(t *testing.T) {
	keys := newKeys(t)
	ed := string(must[[]byte](t)(MarshalJWK(keys[EdDSA].Public())))
	ec := string(must[[]byte](t)(MarshalJWK(keys[ES256].Public())))
	with := func(s, more string) string { return s[:len(s)-1] + "," + more + "}" }
	for _, s := range []string{ed, ec, with(ed, `"use":"sig","kid":"1"`), with(ec, `"alg":"ES256","key_ops":["verify"]`)} {
		if _, err := ParseJWK([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	x := strings.Index(ec, `"x":"`) + 5
	moved := ec[:x] + EncodeB64(make([]byte, 32)) + ec[x+43:]
	point := must[[]byte](t)(keys[ES256].Public().(*ecdsa.PublicKey).Bytes())
	for name, s := range map[string]string{
		"x and y cut elsewhere": fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, EncodeB64(point[1:32]), EncodeB64(point[32:])),
		"nothing":               ``,
		"private":               with(ed, `"d":"AA"`),
		"other alg":             with(ed, `"alg":"ES256"`),
		"EC other alg":          with(ec, `"alg":"ES384"`),
		"X25519":                strings.Replace(ed, "Ed25519", "X25519", 1),
		"P-384":                 strings.Replace(ec, "P-256", "P-384", 1),
		"Ed25519 with y":        with(ed, `"y":"AA"`),
		"P-256 without":         `{"crv":"P-256","kty":"EC","x":"` + EncodeB64(make([]byte, 32)) + `"}`,
		"not on curve":          moved,
		"short x":               strings.Replace(ec, ec[x:x+43], ec[x:x+42], 1),
		"Kty":                   strings.Replace(ed, "kty", "Kty", 1),
		"x twice":               with(ed, `"x":"AA"`),
		"too large":             with(ed, `"z":"`+strings.Repeat("a", maxJWK)+`"`),
		"oct":                   `{"kty":"oct","k":"AA"}`,
	} {
		if _, err := ParseJWK([]byte(s)); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeB64(t *testing.T) {
	for s, want := range map[string]string{"": "", "AA": "\x00", "_-8": "\xff\xef"} {
		if b, err := DecodeB64(s); err != nil || string(b) != want {
			t.Errorf("%q: %q %v", s, b, err)
		}
	}
	for _, s := range []string{"A", "AB", "AA=", "AA==", "A\nA", "\r", "AA\n", "A A", "+A", "/A", "AAB", "AAAA\n"} {
		if _, err := DecodeB64(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q accepted", s)
		}
	}
}

// ValidB64 says of every string what decoding says of it.
func TestValidB64(t *testing.T) {
	const near = "AB_-+/=\n\x00é"
	check := func(s string) {
		b, err := DecodeB64(s)
		for n := range 5 {
			if want := err == nil && len(b) == n; ValidB64(s, n) != want {
				t.Errorf("ValidB64(%q, %d) = %v", s, n, !want)
			}
		}
	}
	check("")
	for i := range near {
		for c := range 256 {
			check(near[i:i+1] + string([]byte{byte(c)}))
			check("A" + near[i:i+1] + string([]byte{byte(c)}))
			check("AA" + near[i:i+1] + string([]byte{byte(c)}))
			check("AAAA" + near[i:i+1] + string([]byte{byte(c)}))
		}
	}
}

// The header's usual spelling is read without the JSON parser; it must read as the parser reads it.
func FuzzUsualHeader(f *testing.F) {
	kid := EncodeB64(make([]byte, 32))
	for _, alg := range []string{EdDSA, ES256, "none"} {
		f.Add(fmt.Appendf(nil, `{"alg":"%s","kid":"%s","typ":"amx+jws"}`, alg, kid))
		f.Add(fmt.Appendf(nil, `{"alg":"%s","kid":"%s","typ":"amx+jws" }`, alg, kid))
		f.Add(fmt.Appendf(nil, `{"alg":"%s","kid":"%s\"","typ":"amx+jws"}`, alg, kid[:41]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var usual, parsed Header
		if !usual.readUsual(b, typ) {
			return
		}
		if err := ijson.UnmarshalStrict(b, &parsed); err != nil || usual != parsed {
			t.Fatalf("%q read as %v, by the parser as %v: %v", b, usual, parsed, err)
		}
	})
}

// A parse fails, or what was parsed makes the same bytes again.
func FuzzParse(f *testing.F) {
	for _, key := range newKeys(f) {
		b, err := Sign(typ, key, []byte(`{}`))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[1:])
		f.Add(append(b, '\n'))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b, typ)
		if err != nil {
			return
		}
		if again := string(c.SigningInput) + "." + EncodeB64(c.Signature); again != string(b) {
			t.Fatalf("%q parsed as %q", b, again)
		}
		if _, payload, _ := strings.Cut(string(c.SigningInput), "."); payload != EncodeB64(c.Payload) {
			t.Fatalf("payload of %q", b)
		}
		if _, err := jose.ParseSignedCompact(string(b), []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256}); err != nil {
			t.Fatalf("go-jose, which accepts more, refuses %q: %v", b, err)
		}
	})
}
