package envelope

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/jws"
)

func TestPositionOrder(t *testing.T) {
	ordered := []Position{{0, 0}, {0, 1}, {0, 1 << 40}, {1, 0}, {1, 5}, {2, 1}}
	for i, p := range ordered {
		for j, q := range ordered {
			if p.Before(q) != (i < j) {
				t.Errorf("%v before %v", p, q)
			}
		}
	}
}

func TestUserAsOf(t *testing.T) {
	w := newWorld(t)
	if _, ok := w.dir.User("u1", Position{9, 9}); ok {
		t.Error("a person that nobody told of")
	}
	w.upsert("u1", "a@h", "a@h", "A")        // 1
	w.upsert("u2", "b@h", "b@h", "B")        // 2
	w.upsert("u1", "a@h", "a@h", "A Newton") // 3
	w.upsert("u1", "z@h", "a@h", "A Newton") // 4
	for seq, want := range map[uint64]string{0: "", 1: "a@h A", 2: "a@h A", 3: "a@h A Newton", 4: "z@h A Newton", 99: "z@h A Newton"} {
		u, ok := w.dir.User("u1", Position{0, seq})
		if got := strings.TrimSpace(u.UPN + " " + u.Name); got != want || ok != (want != "") {
			t.Errorf("at %d: %q, want %q", seq, got, want)
		}
	}
	var names []string
	for u := range w.dir.Users() {
		names = append(names, u.Usr+" "+u.UPN)
	}
	if !slices.Equal(names, []string{"u1 z@h", "u2 b@h"}) {
		t.Errorf("listing: %v", names)
	}
}

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
	check("a new device of the changed person, by the enrolment key", w.add("u1", "new", newSigner(t, jws.EdDSA), w.enrol), Enrolled)
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

func TestApplyRefusesDisorder(t *testing.T) {
	w := newWorld(t)
	up := must[[]byte](t)(UserUpsertEvent(User{Usr: "u1"}))
	ok := Verdict{Op: OpUserUpsert, Accepted: true}
	for _, at := range []Position{{0, 5}, {1, 1}} {
		if err := w.dir.Apply(at, up, ok); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []Position{{1, 1}, {1, 0}, {0, 9}} {
		if err := w.dir.Apply(at, up, ok); !errors.Is(err, ErrOutOfOrder) {
			t.Errorf("%v after {1 1}: %v", at, err)
		}
	}
	key := newSigner(t, jws.EdDSA)
	add := must[[]byte](t)(DeviceAdd{Arc: testArc, Usr: "u1", Dev: "d", At: noon, Key: key}.Event())
	for name, c := range map[string]struct {
		data []byte
		v    Verdict
	}{
		"another operation":   {up, Verdict{Op: OpDeviceAdd, Accepted: true, Assurance: Enrolled}},
		"no assurance":        {add, Verdict{Op: OpDeviceAdd, Accepted: true}},
		"revoking a stranger": {must[[]byte](t)(DeviceRevokeEvent("u1", "d", "x", noon)), Verdict{Op: OpDeviceRevoke, Accepted: true}},
	} {
		if err := w.dir.Apply(Position{2, 1}, c.data, c.v); !errors.Is(err, ErrVerdict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if at, _ := w.dir.Last(); at != (Position{1, 1}) {
		t.Errorf("a failed Apply moved the place to %v", at)
	}
}

// model is the directory written a second time: every state kept whole, nothing clever.
type model struct {
	users   map[string]User
	devices map[string]Device
}

func (m model) copy() model {
	n := model{map[string]User{}, map[string]Device{}}
	for k, v := range m.users {
		n.users[k] = v
	}
	for k, v := range m.devices {
		v.Key = nil
		n.devices[k] = v
	}
	return n
}

func snapshot(d *Directory, usrs, kids []string, at Position) model {
	m := model{map[string]User{}, map[string]Device{}}
	for _, u := range usrs {
		if v, ok := d.User(u, at); ok {
			m.users[u] = v
		}
	}
	for _, k := range kids {
		if v, ok := d.Device(k, at); ok {
			v.Key = nil
			m.devices[k] = v
		}
	}
	return m
}

// Random events on clones, some thrown away: each place reads later exactly as it did when it was the newest, whatever came after; a replay
// with the recorded verdicts, through JSON and without any pin, gives the same; a thrown-away clone leaves no trace.
func TestHistoryIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t)
	var usrs, kids []string
	var keys []crypto.Signer
	for i := range 4 {
		usrs = append(usrs, fmt.Sprintf("u%d", i))
	}
	for range 12 {
		k := newSigner(t, jws.EdDSA)
		keys, kids = append(keys, k), append(kids, kidOf(t, k))
	}
	random := func() []byte {
		usr, i := usrs[r.IntN(4)], r.IntN(12)
		dev := fmt.Sprintf("d%d", i%3)
		switch x := r.IntN(10); {
		case x < 2:
			return must[[]byte](t)(UserUpsertEvent(User{usr, fmt.Sprint(r.IntN(2)), "", fmt.Sprint(r.IntN(9))}))
		case x == 2:
			return must[[]byte](t)(DeviceRevokeEvent(usr, dev, kids[i], noon))
		default:
			by := []crypto.Signer{nil, w.enrol, keys[r.IntN(12)]}[r.IntN(3)]
			return must[[]byte](t)(DeviceAdd{Arc: testArc, Usr: usr, Dev: dev, At: noon, Key: keys[i], By: by}.Event())
		}
	}
	type step struct {
		data    []byte
		verdict []byte
		after   model
	}
	var log []step
	for range 60 {
		page, keep := w.dir.Clone(), r.IntN(3) > 0
		seq, steps := w.seq, []step(nil)
		for range 1 + r.IntN(8) {
			seq++
			data := random()
			v := page.Judge(Position{0, seq}, data)
			if err := page.Apply(Position{0, seq}, data, v); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, step{data, must[[]byte](t)(json.Marshal(v)), snapshot(page, usrs, kids, Position{0, seq})})
		}
		if keep {
			w.dir, w.seq, log = page, seq, append(log, steps...)
		}
	}
	replay := NewDirectory(testArc, Pins{})
	for i, s := range log {
		var v Verdict
		if err := json.Unmarshal(s.verdict, &v); err != nil {
			t.Fatal(err)
		}
		if err := replay.Apply(Position{0, uint64(i + 1)}, s.data, v); err != nil {
			t.Fatal(err)
		}
	}
	accepted := 0
	for i, s := range log {
		at := Position{0, uint64(i + 1)}
		for name, d := range map[string]*Directory{"kept": w.dir, "replayed": replay} {
			if got := snapshot(d, usrs, kids, at); !reflect.DeepEqual(got, s.after.copy()) {
				t.Fatalf("%s directory at %d: %+v, was %+v", name, i+1, got, s.after)
			}
		}
		if strings.Contains(string(s.verdict), `"accepted":true`) {
			accepted++
		}
	}
	if accepted < len(log)/4 || accepted == len(log) {
		t.Errorf("%d of %d accepted: the events are not varied", accepted, len(log))
	}
}

// Clones of a large directory, past the point where the tables are merged.
func TestCloneMerges(t *testing.T) {
	d := NewDirectory(testArc, Pins{})
	seq := uint64(0)
	for range 20 {
		for range 100 {
			seq++
			data := must[[]byte](t)(UserUpsertEvent(User{Usr: fmt.Sprintf("u%d", seq%700), Name: fmt.Sprint(seq)}))
			if err := d.Apply(Position{0, seq}, data, Verdict{Op: OpUserUpsert, Accepted: true}); err != nil {
				t.Fatal(err)
			}
		}
		old := d
		d = d.Clone()
		if changed := len(d.over.people); changed > 256+len(d.base.people)/8 {
			t.Fatalf("%d changed records are copied for each clone", changed)
		}
		seq++
		name := fmt.Sprint("clone ", seq)
		data := must[[]byte](t)(UserUpsertEvent(User{Usr: "u1", Name: name}))
		if err := d.Apply(Position{0, seq}, data, Verdict{Op: OpUserUpsert, Accepted: true}); err != nil {
			t.Fatal(err)
		}
		if u, _ := old.User("u1", Position{0, seq}); u.Name == name {
			t.Fatal("the original sees its clone's change")
		}
		if u, _ := d.User("u1", Position{0, seq}); u.Name != name {
			t.Fatal("the clone does not see its own change")
		}
	}
	n := 0
	for range d.Users() {
		n++
	}
	if n != 700 || len(d.base.people) == 0 {
		t.Errorf("%d people, %d in the shared table", n, len(d.base.people))
	}
}

// Two clones of one directory, both used: neither sees what the other appended to a history that they share.
func TestSiblings(t *testing.T) {
	w := newWorld(t)
	key := newSigner(t, jws.EdDSA)
	w.add("u1", "d", key, nil)
	w.add("u1", "d", key, w.enrol)
	for i := range 9 {
		w.upsert("u1", "", "", fmt.Sprint(i)) // a history with room to grow in place, whatever the growth is
		a, b := w.dir.Clone(), w.dir.Clone()
		at := Position{0, w.seq + 1}
		for name, d := range map[string]*Directory{"a": a, "b": b} {
			data := must[[]byte](t)(UserUpsertEvent(User{Usr: "u1", Name: name}))
			if err := d.Apply(at, data, Verdict{Op: OpUserUpsert, Accepted: true}); err != nil {
				t.Fatal(err)
			}
		}
		ua, _ := a.User("u1", at)
		ub, _ := b.User("u1", at)
		if now, _ := w.dir.User("u1", at); ua.Name != "a" || ub.Name != "b" || now.Name != fmt.Sprint(i) {
			t.Errorf("a reads %q, b reads %q, their origin %q", ua.Name, ub.Name, now.Name)
		}
	}
}

// Reading while one writes: for the race detector.
func TestReadWhileApplying(t *testing.T) {
	w := newWorld(t)
	key := newSigner(t, jws.EdDSA)
	w.add("u1", "d", key, w.enrol)
	o := must[*Opened](t)(w.open.Open(w.sealed(P256, key, message("u1", "d"))))
	at := w.here()
	done := make(chan error)
	for range 4 {
		go func() {
			for range 50 {
				if m, err := w.dir.Verify(o, at); err != nil || m.Device.Assurance != Enrolled {
					done <- fmt.Errorf("verify: %+v, %w", m, err)
					return
				}
				for range w.dir.Devices() {
				}
			}
			done <- nil
		}()
	}
	for i := range 200 {
		w.upsert("u1", fmt.Sprint(i), "", "")
		if i%50 == 0 {
			w.dir.Clone()
		}
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestEditAndRecallByOther(t *testing.T) {
	w := newWorld(t)
	phone, tablet, other := newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA)
	w.add("u1", "phone", phone, nil)
	before := w.here()
	w.add("u1", "tablet", tablet, nil)
	w.add("u2", "other", other, nil)
	for _, c := range []struct {
		typ, dev string
		at       Position
		flags    []string
	}{
		{TypEdit, "phone", w.here(), nil},
		{TypEdit, "tablet", w.here(), nil},
		{TypEdit, "tablet", before, []string{FlagEditByOther}},
		{TypEdit, "other", w.here(), []string{FlagEditByOther}},
		{TypRecall, "phone", w.here(), nil},
		{TypRecall, "other", w.here(), []string{FlagRecallByOther}},
		{TypReaction, "other", w.here(), nil},
		{TypReceipt, "other", w.here(), nil},
	} {
		p := message("u1", "phone")
		p.Typ, p.Ref, p.Status = c.typ, &Ref{Dev: c.dev, Mid: id16(3), Digest: digest32(3)}, "read"
		o := must[*Opened](t)(w.open.Open(w.sealed(P256, phone, p)))
		if m := must[*Message](t)(w.dir.Verify(o, c.at)); !slices.Equal(m.Flags, c.flags) {
			t.Errorf("%s of a message by %s: %v", c.typ, c.dev, m.Flags)
		}
	}
}
