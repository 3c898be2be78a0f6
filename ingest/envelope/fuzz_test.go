package envelope

import (
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"testing"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"

	"github.com/go-json-experiment/json"
)

// Whatever is given, Open and Verify give either an *Error with one of the codes, or a message; and a message only for the one envelope that
// was sealed: HPKE base mode lets anybody seal, but nobody here holds the device's key.
func FuzzOpen(f *testing.F) {
	w := newWorld(f)
	key := newSigner(f, jws.EdDSA)
	w.add("u1", "phone", key, nil)
	envelopes := map[string]bool{}
	for _, kem := range allKEMs {
		env := w.sealed(kem, key, message("u1", "phone"))
		envelopes[string(env)] = true
		f.Add(env)
		f.Add(env[:len(env)/2])
	}
	f.Add([]byte("AMX1.e30.AAAA"))
	f.Add([]byte("AMX2.e30.AAAA"))
	codes := []Code{Malformed, UnsupportedVersion, UnsupportedSuite, WrongArchive, UnknownArchiveKey, DecryptFailed, TooLarge}
	f.Fuzz(func(t *testing.T, env []byte) {
		o, err := w.open.Open(env)
		if err != nil {
			known := false
			for _, c := range codes {
				known = known || CodeOf(err) == c
			}
			if _, ok := err.(*Error); !ok || !known {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if m, err := w.dir.Verify(o, w.here()); err != nil || !envelopes[string(env)] || m.Payload.Usr != "u1" {
			t.Fatalf("accepted %q: %v", env, err)
		}
	})
}

// A payload fails, or what was read of it, written and read again, is the same; and it was I-JSON.
func FuzzPayload(f *testing.F) {
	f.Add(mustJSON(f, fullPayload()))
	f.Add(mustJSON(f, message("u1", "phone")))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"conv":{"members":["a",{"usr":"b"},null]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePayload(b)
		if err != nil {
			if c := CodeOf(err); c != Malformed && c != UnsupportedVersion {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := ijson.Check(b); err != nil {
			t.Fatalf("not I-JSON: %v", err)
		}
		again, err := ParsePayload(mustJSON(t, p))
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		// An empty list and no list say the same.
		if a, b := mustJSON(t, p), mustJSON(t, again); string(a) != string(b) || !reflect.DeepEqual(p.sentTime, again.sentTime) {
			t.Fatalf("%s then %s", a, b)
		}
	})
}

func mustJSON(t testing.TB, v any) []byte { return must[[]byte](t)(json.Marshal(v)) }

// No directory event panics or breaks the directory: what Judge says, Apply does; a key that was there keeps its owner.
func FuzzDirEvent(f *testing.F) {
	w := newWorld(f)
	known, key := newSigner(f, jws.EdDSA), newSigner(f, jws.ES256)
	w.add("u1", "phone", known, w.enrol)
	kid := kidOf(f, known)
	f.Add(must[[]byte](f)(DeviceAdd{Arc: testArc, Usr: "u2", Dev: "d", At: noon, Key: key, By: w.enrol}.Event()))
	f.Add(must[[]byte](f)(DeviceAdd{Arc: testArc, Usr: "u1", Dev: "phone", At: noon, Key: known}.Event()))
	f.Add(must[[]byte](f)(DeviceRevokeEvent("u1", "phone", kid, noon)))
	f.Add(must[[]byte](f)(UserUpsertEvent(User{"u1", "a", "b", "c"})))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := w.dir.Clone()
		at := Position{0, w.seq + 1}
		v := d.Judge(at, data)
		if v.Accepted == (v.Code != "") || v.Accepted && v.Op == "" || !v.Accepted && v.Reason == "" {
			t.Fatalf("verdict %+v", v)
		}
		var back Verdict
		if err := stdjson.Unmarshal(must[[]byte](t)(stdjson.Marshal(v)), &back); err != nil || back != v {
			t.Fatalf("verdict %+v read back as %+v: %v", v, back, err)
		}
		if err := d.Apply(at, data, back); err != nil {
			t.Fatal(err)
		}
		dev, ok := d.Device(kid, at)
		if !ok || dev.Usr != "u1" || dev.Dev != "phone" || !v.Accepted && (dev.Revoked || dev.Assurance != Enrolled) {
			t.Fatalf("%+v after %+v", dev, v)
		}
		if v.Op != OpDeviceAdd && v.Assurance != "" {
			t.Fatalf("verdict %+v", v)
		}
	})
}

// The header's usual spelling is read without the JSON parser; it must read as the parser reads it.
func FuzzUsualHeader(f *testing.F) {
	for _, kem := range []int{0x647a, 16, 32, 17} {
		f.Add(fmt.Appendf(nil, `{"v":1,"kem":%d,"kdf":1,"aead":2,"kid":"%s","arc":"%s","mid":"%s"}`, kem, id16(1), testArc, id16(2)))
		f.Add(fmt.Appendf(nil, `{"v":1,"kem":%d,"kdf":1,"aead":2,"kid":"%s","arc":"a\"b","mid":"%s"}`, kem, id16(1), id16(2)))
		f.Add(fmt.Appendf(nil, `{"v":1,"kem":%d,"kdf":1,"aead":2,"kid":"%s","arc":"%s","mid":"%s"} `, kem, id16(1), testArc, id16(2)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var usual, parsed Header
		if !usual.readUsual(b) {
			return
		}
		if err := ijson.UnmarshalStrict(b, &parsed); err != nil || usual != parsed {
			t.Fatalf("%q read as %v, by the parser as %v: %v", b, usual, parsed, err)
		}
	})
}
