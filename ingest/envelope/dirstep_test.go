package envelope

import (
	"crypto"
	"encoding/json"
	"strings"
	"testing"

	"holdfast/internal/jws"
)

// Each line is one way of a device to its assurance.
func TestAssurance(t *testing.T) {
	w := newWorld(t)
	phone, tablet, watch, desk, mallory := newSigner(t, jws.EdDSA), newSigner(t, jws.ES256), newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA)
	w.upsert("u1", "a@h", "a@h", "A")
	w.upsert("u2", "b@h", "b@h", "B")
	check := func(what string, v Verdict, want Assurance) {
		t.Helper()
		if !v.Accepted || v.Assurance != want || (want == RelayAsserted) != (v.Reason != "") {
			t.Errorf("%s: %+v, want %s", what, v, want)
		}
	}
	check("without by", w.add("u2", "m", mallory, nil), RelayAsserted)
	check("by the enrolment key", w.add("u1", "phone", phone, w.enrol), Enrolled)
	check("by an enrolled device of the same person", w.add("u1", "tablet", tablet, phone), Enrolled)
	check("by an enrolled device of another person", w.add("u2", "x", newSigner(t, jws.EdDSA), phone), RelayAsserted)
	check("by a device that is not enrolled", w.add("u2", "y", newSigner(t, jws.EdDSA), mallory), RelayAsserted)
	check("by a key that nobody knows", w.add("u2", "z", newSigner(t, jws.EdDSA), newSigner(t, jws.ES256)), RelayAsserted)
	self := newSigner(t, jws.EdDSA)
	check("by itself", w.add("u1", "self", self, self), RelayAsserted)
	check("by itself, once more", w.add("u1", "self", self, self), RelayAsserted)
	w.revoke("u1", "phone", phone)
	check("by a revoked device", w.add("u1", "watch", watch, phone), RelayAsserted)
	check("enrolled later, no change between", w.add("u1", "watch", watch, w.enrol), Enrolled)
	beforeChange := w.here()
	w.upsert("u1", "a@h", "a@h", "A. Married-Name") // the name alone changes nothing
	if w.assurance(tablet, w.here()) != Enrolled {
		t.Error("a change of the name took the assurance away")
	}
	v := w.upsert("u1", "a@h", "other@h", "A. Married-Name")
	if !v.Accepted || v.Reason == "" {
		t.Errorf("change of mail: %+v", v)
	}
	for name, key := range map[string]crypto.Signer{"tablet": tablet, "watch": watch, "self": self} {
		if w.assurance(key, w.here()) != RelayAsserted {
			t.Errorf("%s is enrolled after its person's mail changed", name)
		}
	}
	if w.assurance(tablet, beforeChange) != Enrolled {
		t.Error("the change reaches back")
	}
	check("by a device of a changed person", w.add("u1", "desk", desk, tablet), RelayAsserted)
	check("the old event again", w.add("u1", "tablet", tablet, w.enrol), RelayAsserted)
	check("a new device of the changed person, by the enrolment key", w.add("u1", "new", newSigner(t, jws.EdDSA), w.enrol), RelayAsserted)
	// A device first and its person's name later is a change too: the relay could else choose whose device was enrolled.
	early := newSigner(t, jws.EdDSA)
	check("before its person", w.add("u9", "e", early, w.enrol), Enrolled)
	w.upsert("u9", "chief@h", "chief@h", "Chief")
	if w.assurance(early, w.here()) != RelayAsserted {
		t.Error("a person named after the enrolment")
	}
	second := newSigner(t, jws.EdDSA)
	w.add("u9", "f", second, w.enrol)
	w.upsert("u9", "other@h", "chief@h", "Chief")
	if w.assurance(second, w.here()) != RelayAsserted {
		t.Error("a change of the upn alone")
	}
	// Without a pinned key nobody is enrolled by it.
	w.dir = NewDirectory(testArc, Pins{})
	check("no pin", w.add("u1", "p", newSigner(t, jws.EdDSA), w.enrol), RelayAsserted)
}

func TestPins(t *testing.T) {
	w := newWorld(t)
	if (Pins{}).Check() != nil || (Pins{Enrol: w.enrol.Public()}).Check() != nil || (Pins{Enrol: "x"}).Check() == nil {
		t.Error("Pins.Check")
	}
}

// edited returns a device.add event with one thing changed after signing.
func edited(t *testing.T, data []byte, edit func(map[string]any)) []byte {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	edit(m)
	return must[[]byte](t)(json.Marshal(m))
}

func TestDirRefused(t *testing.T) {
	w := newWorld(t)
	known, gone, key := newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA)
	w.add("u1", "phone", known, nil)
	w.add("u1", "gone", gone, nil)
	w.revoke("u1", "gone", gone)
	event := func(a DeviceAdd) []byte { a.Arc, a.At = testArc, noon; return must[[]byte](t)(a.Event()) }
	add := event(DeviceAdd{Usr: "u2", Dev: "d", Key: key})
	other := event(DeviceAdd{Usr: "u2", Dev: "d", Key: newSigner(t, jws.EdDSA)})
	set := func(k string, v any) []byte { return edited(t, add, func(m map[string]any) { m[k] = v }) }
	var o struct{ Proof, JWK any }
	if err := json.Unmarshal(other, &o); err != nil {
		t.Fatal(err)
	}
	enrolTyp := must[[]byte](t)(jws.Sign(TypEnrol, key, payloadOf(t, add)))
	wider := append(payloadOf(t, add)[:len(payloadOf(t, add))-1], `,"x":1}`...)
	for _, c := range []struct {
		name string
		data []byte
		code Code
	}{
		{"nothing", nil, Malformed},
		{"not JSON", []byte(`{`), Malformed},
		{"no op", []byte(`{}`), Malformed},
		{"another op", []byte(`{"op":"user.delete","usr":"u1"}`), Malformed},
		{"Op", []byte(`{"Op":"user.upsert","usr":"u1"}`), Malformed},
		{"usr twice", []byte(`{"op":"user.upsert","usr":"u1","usr":"u2"}`), Malformed},
		{"no usr", []byte(`{"op":"user.upsert","upn":"a"}`), Malformed},
		{"usr too long", []byte(`{"op":"user.upsert","usr":"` + strings.Repeat("u", MaxName+1) + `"}`), Malformed},
		{"too large", []byte(`{"op":"user.upsert","usr":"u1","x":"` + strings.Repeat("u", MaxDirEvent) + `"}`), TooLarge},
		{"no dev", set("dev", ""), Malformed},
		{"at not a time", set("at", "yesterday"), Malformed},
		{"no jwk", edited(t, add, func(m map[string]any) { delete(m, "jwk") }), Malformed},
		{"jwk a string", set("jwk", "x"), Malformed},
		{"jwk of low order", set("jwk", map[string]any{"kty": "OKP", "crv": "Ed25519", "x": jws.EncodeB64(make([]byte, 32))}), Malformed},
		{"no proof", edited(t, add, func(m map[string]any) { delete(m, "proof") }), BadSignature},
		{"proof not a JWS", set("proof", "x"), Malformed},
		{"proof of another typ", set("proof", string(enrolTyp)), Malformed},
		{"proof by another key", set("proof", o.Proof), BindingMismatch},
		{"another key than the proof's", set("jwk", o.JWK), BindingMismatch},
		{"proof altered", edited(t, add, func(m map[string]any) { s := m["proof"].(string); m["proof"] = s[:len(s)-8] + "AAAAAAAA" }), BadSignature},
		{"another usr than proven", set("usr", "u3"), BindingMismatch},
		{"another dev than proven", set("dev", "e"), BindingMismatch},
		{"another at than proven", set("at", "2026-03-01T12:00:00.006Z"), BindingMismatch},
		{"proof with one more member", set("proof", string(must[[]byte](t)(jws.Sign(TypDevice, key, wider)))), BindingMismatch},
		{"proof for another archive", must[[]byte](t)(DeviceAdd{Arc: "elsewhere", Usr: "u2", Dev: "d", At: noon, Key: key}.Event()), BindingMismatch},
		{"the key of another person's device", event(DeviceAdd{Usr: "u2", Dev: "phone", Key: known, By: w.enrol}), BindingMismatch},
		{"the key of another device", event(DeviceAdd{Usr: "u1", Dev: "tablet", Key: known, By: w.enrol}), BindingMismatch},
		{"a revoked key again", event(DeviceAdd{Usr: "u1", Dev: "gone", Key: gone, By: w.enrol}), BindingMismatch},
		{"revoke an unknown key", must[[]byte](t)(DeviceRevokeEvent("u1", "phone", kidOf(t, key), noon)), UnknownDeviceKey},
		{"revoke as another person", must[[]byte](t)(DeviceRevokeEvent("u2", "phone", kidOf(t, known), noon)), BindingMismatch},
		{"revoke another device", must[[]byte](t)(DeviceRevokeEvent("u1", "gone", kidOf(t, known), noon)), BindingMismatch},
	} {
		v := w.event(c.data)
		if v.Accepted || v.Code != c.code || v.Reason == "" {
			t.Errorf("%s: %+v, want %s", c.name, v, c.code)
		}
	}
	if v := w.event(add); !v.Accepted {
		t.Errorf("the good event: %+v", v)
	}
	if _, ok := w.dir.Device(kidOf(t, known), w.here()); !ok {
		t.Error("a refused event took a device away")
	}
	if d, _ := w.dir.Device(kidOf(t, known), w.here()); d.Usr != "u1" || d.Dev != "phone" || d.Revoked || d.Assurance != RelayAsserted {
		t.Errorf("a refused event changed a device: %+v", d)
	}
}

func payloadOf(t *testing.T, data []byte) []byte {
	var e struct{ Proof string }
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return must[*jws.Compact](t)(jws.Parse([]byte(e.Proof), TypDevice)).Payload
}

// A by that does not hold leaves the device relay-asserted.
func TestByRefused(t *testing.T) {
	w := newWorld(t)
	a := DeviceAdd{Arc: testArc, Usr: "u1", Dev: "d", At: noon, Key: newSigner(t, jws.EdDSA), By: w.enrol}
	for name, by := range map[string]string{
		"not a JWS":           "x",
		"typ of the proof":    string(must[[]byte](t)(jws.Sign(TypDevice, w.enrol, []byte(`{}`)))),
		"for other claims":    string(must[[]byte](t)(jws.Sign(TypEnrol, w.enrol, []byte(`{}`)))),
		"for another device":  byOf(t, DeviceAdd{Arc: testArc, Usr: "u1", Dev: "e", At: noon, Key: a.Key, By: w.enrol}),
		"for another archive": byOf(t, DeviceAdd{Arc: "elsewhere", Usr: "u1", Dev: "d", At: noon, Key: a.Key, By: w.enrol}),
		"for another key":     byOf(t, DeviceAdd{Arc: testArc, Usr: "u1", Dev: "d", At: noon, Key: newSigner(t, jws.EdDSA), By: w.enrol}),
		"altered":             func() string { s := byOf(t, a); return s[:len(s)-8] + "AAAAAAAA" }(),
	} {
		v := w.dir.Judge(Position{0, 1}, edited(t, must[[]byte](t)(a.Event()), func(m map[string]any) { m["by"] = by }))
		if !v.Accepted || v.Assurance != RelayAsserted || v.Reason == "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if v := w.dir.Judge(Position{0, 1}, must[[]byte](t)(a.Event())); v.Assurance != Enrolled {
		t.Errorf("the good one: %+v", v)
	}
}

func byOf(t *testing.T, a DeviceAdd) string {
	var e struct{ By string }
	if err := json.Unmarshal(must[[]byte](t)(a.Event()), &e); err != nil {
		t.Fatal(err)
	}
	return e.By
}
