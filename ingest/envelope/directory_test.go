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
