package envelope

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jws"
)

func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	for i, alg := range algs {
		usr := fmt.Sprintf("u%d", i)
		key := newSigner(t, alg)
		w.upsert(usr, usr+"@h.example", "", "Dr. A")
		w.add(usr, "phone", key, w.enrol)
		for _, kem := range allKEMs {
			p := message(usr, "phone")
			compact := must[[]byte](t)(SignMessage(key, p))
			env := must[[]byte](t)(Seal(w.keys[kem].Public(), testArc, p.Mid, compact))
			o, err := w.open.Open(env)
			if err != nil {
				t.Fatalf("%v %s: %v", kem, alg, err)
			}
			if o.Hash != sha256.Sum256(env) || !bytes.Equal(o.Plaintext, compact) {
				t.Errorf("%v %s: hash or JWS differs", kem, alg)
			}
			m, err := w.dir.Verify(o, w.here())
			if err != nil {
				t.Fatalf("%v %s: %v", kem, alg, err)
			}
			want := sha256.Sum256(compact[:bytes.LastIndexByte(compact, '.')])
			if m.Digest != want || must[[32]byte](t)(Digest(compact)) != want {
				t.Errorf("%v %s: digest", kem, alg)
			}
			if m.Payload.Body.Text != p.Body.Text || m.Payload.Conv.Members[1].Name != "Dr. B" || !m.Payload.SentTime().Equal(noon) {
				t.Errorf("%v %s: payload %+v", kem, alg, m.Payload)
			}
			if m.Device.Usr != usr || m.Device.Assurance != Enrolled || m.Device.Revoked || len(m.Flags) != 0 || !bytes.Equal(m.JWS, compact) {
				t.Errorf("%v %s: %+v %v", kem, alg, m.Device, m.Flags)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for _, kem := range allKEMs {
		key := must[*PrivateKey](t)(GenerateKey(kem))
		again := must[*PrivateKey](t)(NewPrivateKey(kem, must[[]byte](t)(key.Bytes())))
		if again.KID() != key.KID() || !bytes.Equal(again.Public().Bytes, key.Public().Bytes) || again.KEM() != kem || !ValidID16(key.KID()) {
			t.Errorf("%v: read back as another key", kem)
		}
		if want := map[KEM]int{XWing: 1216, P256: 65, X25519: 32}[kem]; len(key.Public().Bytes) != want {
			t.Errorf("%v: public key of %d bytes", kem, len(key.Public().Bytes))
		}
		if _, err := NewPrivateKey(kem, make([]byte, 5)); err == nil {
			t.Errorf("%v: a short private key", kem)
		}
		if _, err := Seal(PublicKey{kem, make([]byte, 5)}, testArc, id16(1), []byte("a.b.c")); err == nil {
			t.Errorf("%v: sealed to a short public key", kem)
		}
	}
	if _, err := GenerateKey(0x0011); err == nil {
		t.Error("P-384")
	}
}

// rewrite seals plaintext (used as it is, without padding) under a header made from edit, so that only what the test means is wrong.
func (w *world) rewrite(kem KEM, plaintext []byte, edit func(string) string) []byte {
	w.t.Helper()
	header := edit(fmt.Sprintf(`{"v":1,"kem":%d,"kdf":1,"aead":2,"kid":"%s","arc":"%s","mid":"%s"}`, kem, w.keys[kem].KID(), testArc, id16(1)))
	key := must[hpke.PublicKey](w.t)(w.keys[kem].Public().hpkeKey())
	sealed := must[[]byte](w.t)(hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info([]byte(header)), plaintext))
	return []byte("AMX1." + jws.EncodeB64([]byte(header)) + "." + jws.EncodeB64(sealed))
}

func same(s string) string { return s }

func swap(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

// Every code has an envelope that earns it, sealed so that nothing else is wrong with it.
func TestQuarantineHeader(t *testing.T) {
	w := newWorld(t)
	key := newSigner(t, jws.EdDSA)
	w.add("u1", "phone", key, nil)
	plain := pad(must[[]byte](t)(SignMessage(key, message("u1", "phone"))))
	good := w.rewrite(P256, plain, same)
	if _, err := w.accept(good); err != nil {
		t.Fatal(err)
	}
	foreign := must[*PrivateKey](t)(GenerateKey(P256))
	dot := bytes.LastIndexByte(good, '.')
	strange := func(edit func(string) string) []byte { return w.rewrite(P256, plain, edit) }
	for _, c := range []struct {
		name string
		env  []byte
		code Code
	}{
		{"nothing", nil, Malformed},
		{"another prefix", append([]byte("XMX1."), good[5:]...), Malformed},
		{"no number", append([]byte("AMX."), good[5:]...), Malformed},
		{"lower case prefix", append([]byte("amx1."), good[5:]...), Malformed},
		{"AMX2", append([]byte("AMX2."), good[5:]...), UnsupportedVersion},
		{"AMX01", append([]byte("AMX01."), good[5:]...), UnsupportedVersion},
		{"no body", good[:dot], Malformed},
		{"empty body", good[:dot+1], Malformed},
		{"four parts", append(slices.Clone(good), ".AA"...), Malformed},
		{"LF at the end", append(slices.Clone(good), '\n'), Malformed},
		{"CR within the body", slices.Insert(slices.Clone(good), dot+9, '\r'), Malformed},
		{"LF within the header", slices.Insert(slices.Clone(good), 9, '\n'), Malformed},
		{"padded base64", append(slices.Clone(good), '='), Malformed},
		{"space in front", append([]byte(" "), good...), Malformed},
		{"body of an enc alone", []byte(string(good[:dot+1]) + jws.EncodeB64(make([]byte, 65+15))), Malformed},
		{"body cut", good[:len(good)-4], DecryptFailed},
		{"enc not a point", []byte(string(good[:dot+1]) + jws.EncodeB64(make([]byte, 65+400))), DecryptFailed},
		{"larger than 1 MiB", append(slices.Clone(good), bytes.Repeat([]byte("A"), MaxEnvelope)...), TooLarge},
		{"header larger", strange(func(s string) string { return s + strings.Repeat(" ", MaxHeader) }), TooLarge},
		{"header of v 2", strange(swap(`"v":1`, `"v":2`)), UnsupportedVersion},
		{"header of v 2 with new members", strange(swap(`"v":1`, `"v":2,"zip":1`)), UnsupportedVersion},
		{"no v", strange(swap(`"v":1,`, ``)), Malformed},
		{"v null", strange(swap(`"v":1`, `"v":null`)), Malformed},
		{"v a string", strange(swap(`"v":1`, `"v":"1"`)), Malformed},
		{"no kem", strange(swap(`"kem":16,`, ``)), Malformed},
		{"no mid", strange(swap(`,"mid":"`+id16(1)+`"`, ``)), Malformed},
		{"one more member", strange(swap(`"v":1`, `"v":1,"x":1`)), Malformed},
		{"member twice", strange(swap(`"v":1`, `"v":1,"v":1`)), Malformed},
		{"member in another case", strange(swap(`"kid"`, `"Kid"`)), Malformed},
		{"header not JSON", strange(swap(`{`, `[`)), Malformed},
		{"header a list", strange(func(string) string { return `[]` }), Malformed},
		{"bytes after the header", strange(func(s string) string { return s + "x" }), Malformed},
		{"arc of another form", strange(swap(testArc, "ST-MARY")), Malformed},
		{"mid short", strange(swap(id16(1), "AAAA")), Malformed},
		{"mid with loose bits", strange(swap(id16(1), id16(1)[:21]+"R")), Malformed},
		{"kid too long", strange(swap(`"kid":"`, `"kid":"AAAA`)), Malformed},
		{"kem P-384", strange(swap(`"kem":16`, `"kem":17`)), UnsupportedSuite},
		{"kem ML-KEM alone", strange(swap(`"kem":16`, `"kem":65`)), UnsupportedSuite},
		{"kem beyond u16", strange(swap(`"kem":16`, `"kem":65552`)), UnsupportedSuite},
		{"kdf SHA512", strange(swap(`"kdf":1`, `"kdf":3`)), UnsupportedSuite},
		{"aead AES-128", strange(swap(`"aead":2`, `"aead":1`)), UnsupportedSuite},
		{"export only", strange(swap(`"aead":2`, `"aead":65535`)), UnsupportedSuite},
		{"another archive", strange(swap(testArc, "elsewhere.example")), WrongArchive},
		{"unknown key", strange(swap(w.keys[P256].KID(), foreign.KID())), UnknownArchiveKey},
		{"key of another KEM", strange(swap(w.keys[P256].KID(), w.keys[XWing].KID())), UnknownArchiveKey},
		{"header changed after sealing", []byte("AMX1." + jws.EncodeB64([]byte(strings.Replace(headerOf(t, good), id16(1), id16(2), 1))) + string(good[dot:])), DecryptFailed},
		{"header re-spaced after sealing", []byte("AMX1." + jws.EncodeB64([]byte(headerOf(t, good)+" ")) + string(good[dot:])), DecryptFailed},
	} {
		_, err := w.accept(c.env)
		wantCode(t, c.name, err, c.code)
		if e, ok := err.(*Error); ok && e.Opened != nil {
			t.Errorf("%s: opened bytes although HPKE did not succeed", c.name)
		}
	}
	w.open.AllowX25519 = false
	_, err := w.open.Open(w.rewrite(X25519, plain, same))
	wantCode(t, "X25519 without opting in", err, UnsupportedSuite)
}

func headerOf(t *testing.T, env []byte) string {
	return string(must[[]byte](t)(jws.DecodeBytes(bytes.Split(env, []byte("."))[1])))
}

// What HPKE opened but cannot be trusted keeps its opened bytes.
func TestQuarantineOpened(t *testing.T) {
	w := newWorld(t)
	key, revoked, late := newSigner(t, jws.EdDSA), newSigner(t, jws.ES256), newSigner(t, jws.EdDSA)
	w.add("u1", "phone", key, nil)
	w.add("u1", "old", revoked, nil)
	before := w.here()
	w.add("u1", "late", late, nil)
	signed := func(edit func(string) string) []byte {
		b := must[[]byte](t)(SignMessage(key, message("u1", "phone")))
		c := must[*jws.Compact](t)(jws.Parse(b, TypMessage))
		return must[[]byte](t)(SignPayload(key, []byte(edit(string(c.Payload)))))
	}
	good := signed(same)
	part := strings.Split(string(good), ".")
	withHeader := func(edit func(string) string) []byte {
		h := edit(string(must[[]byte](t)(jws.DecodeB64(part[0]))))
		return []byte(jws.EncodeB64([]byte(h)) + "." + part[1] + "." + part[2])
	}
	other := must[[]byte](t)(SignMessage(newSigner(t, jws.EdDSA), message("u1", "phone")))
	for _, c := range []struct {
		name  string
		plain []byte
		code  Code
	}{
		{"empty plaintext", nil, Malformed},
		{"spaces alone", bytes.Repeat([]byte(" "), 256), Malformed},
		{"no padding", good, Malformed},
		{"one block too many", append(pad(good), bytes.Repeat([]byte(" "), 256)...), Malformed},
		{"padded with NUL", bytes.ReplaceAll(pad(good), []byte(" "), []byte{0}), Malformed},
		{"padded with tab", bytes.Replace(pad(good), []byte(" "), []byte("\t"), 1), Malformed},
		{"padded in front", append([]byte(" "), pad(good)[:len(pad(good))-1]...), Malformed},
		{"not a JWS", pad([]byte("hello")), Malformed},
		{"JWS with line break", pad(append(slices.Clone(good), '\n')), Malformed},
		{"JWS of two parts", pad([]byte(part[0] + "." + part[1])), Malformed},
		{"alg none", pad(withHeader(swap("EdDSA", "none"))), Malformed},
		{"alg HS256", pad(withHeader(swap("EdDSA", "HS256"))), Malformed},
		{"jwk in the header", pad(withHeader(swap(`{`, `{"jwk":{},`))), Malformed},
		{"crit", pad(withHeader(swap(`{`, `{"crit":["b64"],`))), Malformed},
		{"another typ", pad(withHeader(swap("amx+jws", "amx+ack"))), Malformed},
		{"alg of another key", pad(withHeader(swap("EdDSA", "ES256"))), BadSignature},
		{"key never added", pad(other), UnknownDeviceKey},
		{"another's signature", pad([]byte(part[0] + "." + part[1] + "." + strings.Split(string(other), ".")[2])), BadSignature},
		{"header re-spaced", pad(withHeader(func(s string) string { return s + " " })), BadSignature},
		{"signature of 63 bytes", pad([]byte(part[0] + "." + part[1] + "." + jws.EncodeB64(make([]byte, 63)))), BadSignature},
		{"payload not JSON", pad(signed(swap("{", "["))), Malformed},
		{"payload of v 2", pad(signed(swap(`"v":1`, `"v":2`))), UnsupportedVersion},
		{"payload without v", pad(signed(swap(`"v":1,`, ``))), Malformed},
		{"payload member twice", pad(signed(swap(`"v":1`, `"v":1,"V":1`))), Malformed},
		{"another archive", pad(signed(swap(testArc, "elsewhere.example"))), BindingMismatch},
		{"another mid", pad(signed(swap(id16(1), id16(2)))), BindingMismatch},
		{"another person", pad(signed(swap(`"usr":"u1"`, `"usr":"u2"`))), BindingMismatch},
		{"another device", pad(signed(swap(`"dev":"phone"`, `"dev":"old"`))), BindingMismatch},
	} {
		_, err := w.accept(w.rewrite(XWing, c.plain, same))
		wantCode(t, c.name, err, c.code)
		if e, ok := err.(*Error); ok && !bytes.Equal(e.Opened, c.plain) {
			t.Errorf("%s: the opened bytes are not kept", c.name)
		}
	}
	// The key is there now, but was not at the message's place.
	p := message("u1", "late")
	o := must[*Opened](t)(w.open.Open(w.sealed(P256, late, p)))
	if _, err := w.dir.Verify(o, w.here()); err != nil {
		t.Fatal(err)
	}
	_, err := w.dir.Verify(o, before)
	wantCode(t, "a key added later", err, UnknownDeviceKey)
	// A message after its key's revocation is kept and flagged; one before it is not flagged.
	w.revoke("u1", "old", revoked)
	o = must[*Opened](t)(w.open.Open(w.sealed(P256, revoked, message("u1", "old"))))
	m := must[*Message](t)(w.dir.Verify(o, w.here()))
	if !m.Device.Revoked || !slices.Equal(m.Flags, []string{FlagRevokedDevice}) {
		t.Errorf("after revocation: %+v %v", m.Device, m.Flags)
	}
	m = must[*Message](t)(w.dir.Verify(o, before))
	if m.Device.Revoked || len(m.Flags) != 0 {
		t.Errorf("before revocation: %+v %v", m.Device, m.Flags)
	}
}

// Every single bit of an envelope matters: flipped, it is refused. base64url leaves no loose bits, the header is HPKE's info, and the KEMs bind
// the encapsulated key, so none may be free.
func TestEveryBitMatters(t *testing.T) {
	w := newWorld(t)
	key := newSigner(t, jws.EdDSA)
	w.add("u1", "d", key, nil)
	p := message("u1", "d")
	p.Conv, p.To = nil, nil // short, since every bit costs an HPKE open
	for _, kem := range allKEMs {
		t.Run(kem.String(), func(t *testing.T) {
			t.Parallel()
			env := w.sealed(kem, key, p)
			for bit := 0; bit < len(env)*8; bit += flipStep {
				flipped := slices.Clone(env)
				flipped[bit/8] ^= 1 << (bit % 8)
				if _, err := w.accept(flipped); err == nil {
					t.Errorf("bit %d of byte %d does not matter", bit%8, bit/8)
				}
			}
		})
	}
}

// The bits of the sealed bytes themselves, below base64url: flipped, re-encoded and given again. The top bit of an X25519 key is the famous one
// that the curve arithmetic ignores. Of X-Wing's 1,088 bytes of ML-KEM a sample is taken; the test above covers them through the text.
func TestEverySealedBitMatters(t *testing.T) {
	w := newWorld(t)
	key := newSigner(t, jws.ES256)
	w.add("u1", "d", key, nil)
	for _, kem := range allKEMs {
		t.Run(kem.String(), func(t *testing.T) {
			t.Parallel()
			env := w.sealed(kem, key, message("u1", "d"))
			dot := bytes.LastIndexByte(env, '.')
			sealed := must[[]byte](t)(jws.DecodeBytes(env[dot+1:]))
			for bit := range (kem.encSize() + 64) * 8 {
				if kem == XWing && bit < 1088*8 && bit%61 != 0 || kem != P256 && bit < (kem.encSize()-1)*8 && bit%flipStep != 0 {
					continue
				}
				flipped := slices.Clone(sealed)
				flipped[bit/8] ^= 1 << (bit % 8)
				if _, err := w.accept([]byte(string(env[:dot+1]) + jws.EncodeB64(flipped))); CodeOf(err) != DecryptFailed {
					t.Errorf("bit %d of enc or ciphertext: %v", bit, err)
				}
			}
		})
	}
}

func TestPadding(t *testing.T) {
	for n, want := range map[int]int{1: 256, 255: 256, 256: 256, 257: 512, 4096: 4096, 4097: 5120, 5120: 5120, 5121: 6144} {
		if got := paddedLen(n); got != want {
			t.Errorf("paddedLen(%d) = %d, want %d", n, got, want)
		}
	}
	compact := func(n int) []byte { return []byte("a.b." + strings.Repeat("c", n-4)) }
	for _, n := range []int{5, 255, 256, 257, 512, 3841, 4095, 4096, 4097, 5119, 5120, 5121, 9000} {
		padded := pad(compact(n))
		if got, err := unpad(padded); err != nil || !bytes.Equal(got, compact(n)) {
			t.Errorf("%d: %v", n, err)
		}
		for _, more := range []int{1, 256, 1024} {
			if _, err := unpad(append(slices.Clone(padded), bytes.Repeat([]byte(" "), more)...)); err == nil {
				t.Errorf("%d: %d spaces more accepted", n, more)
			}
		}
		if padded[len(padded)-1] == ' ' {
			if _, err := unpad(padded[:len(padded)-1]); err == nil {
				t.Errorf("%d: one space less accepted", n)
			}
		}
	}
	for _, s := range []string{"a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c.", "a.b.c/", "a.b.ç"} {
		if _, err := unpad(pad([]byte(s))); err == nil {
			t.Errorf("%s accepted", s)
		}
	}
	// Above 4,096 a multiple of 256 is not enough.
	if _, err := unpad(append(compact(4097), bytes.Repeat([]byte(" "), 4352-4097)...)); err == nil {
		t.Error("4,352 accepted")
	}
}

func TestSealRefuses(t *testing.T) {
	key := must[*PrivateKey](t)(GenerateKey(P256)).Public()
	for name, f := range map[string]func() ([]byte, error){
		"arc":     func() ([]byte, error) { return Seal(key, "UPPER", id16(1), []byte("a.b.c")) },
		"mid":     func() ([]byte, error) { return Seal(key, testArc, "x", []byte("a.b.c")) },
		"message": func() ([]byte, error) { return Seal(key, testArc, id16(1), []byte("a.b.c ")) },
		"kem":     func() ([]byte, error) { return Seal(PublicKey{0x11, key.Bytes}, testArc, id16(1), []byte("a.b.c")) },
		"size": func() ([]byte, error) {
			return Seal(key, testArc, id16(1), []byte("a.b."+strings.Repeat("c", base64.RawURLEncoding.DecodedLen(MaxEnvelope))))
		},
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestForms(t *testing.T) {
	for s, want := range map[string]bool{"a": true, "st-mary.1": true, "": false, "A": false, "a_b": false, "a/b": false, "é": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false} {
		if ValidArc(s) != want {
			t.Errorf("ValidArc(%q)", s)
		}
	}
	for s, want := range map[string]bool{id16(7): true, "": false, id16(7) + "A": false, id16(7)[:21]: false, id16(7)[:21] + "x": false,
		strings.Repeat("\n", 22): false} {
		if ValidID16(s) != want {
			t.Errorf("ValidID16(%q)", s)
		}
	}
	if s := FormatTime(time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("", 3600))); s != "2026-01-02T02:04:05.678Z" {
		t.Errorf("FormatTime: %s", s)
	}
	for s, want := range map[string]bool{"2026-01-02T03:04:05.678Z": true, "2026-01-02T03:04:05Z": false, "2026-01-02T03:04:05.67Z": false,
		"2026-01-02T03:04:05.6789Z": false, "2026-01-02T03:04:05,678Z": false, "2026-01-02T03:04:05.678+00:00": false, "2026-02-30T03:04:05.678Z": false,
		"2026-01-02 03:04:05.678Z": false, "2026-01-02t03:04:05.678z": false, "2026-01-02T24:00:00.000Z": false, "2026-01-02T3:04:05.678Z": false,
		"2026-12-31T23:59:60.000Z": false, "": false, " 2026-01-02T03:04:05.678Z": false} {
		if _, err := ParseTime(s); (err == nil) != want {
			t.Errorf("ParseTime(%q): %v", s, err)
		}
	}
}
