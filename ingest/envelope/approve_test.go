package envelope

import (
	"crypto"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jws"
)

// approve takes in a person's approval of key, given when the log held everything up to here.
func (w *world) approve(key crypto.Signer, when time.Time) (Position, bool) {
	return w.dir.Approve(Approval{Kid: kidOf(w.t, key), At: w.here(), When: when})
}

func (w *world) addAt(usr, dev string, key, by crypto.Signer, at time.Time) Verdict {
	w.t.Helper()
	return w.event(must[[]byte](w.t)(DeviceAdd{Arc: testArc, Usr: usr, Dev: dev, At: at, Key: key, By: by}.Event()))
}

// A relay that holds a by back, gives the usr another name and then adds the device must not get it enrolled under that name.
func TestAWithheldByEnrolsNobodyUnderAnotherName(t *testing.T) {
	w := newWorld(t)
	anna, bert, more := newSigner(t, jws.EdDSA), newSigner(t, jws.ES256), newSigner(t, jws.EdDSA)
	want := func(what string, v Verdict, a Assurance) {
		t.Helper()
		if !v.Accepted || v.Assurance != a || (a == RelayAsserted) != (v.Reason != "") {
			t.Errorf("%s: %+v, want %s", what, v, a)
		}
	}
	w.upsert("u1", "anna@h", "anna@h", "Anna")
	w.upsert("u1", "chief@h", "chief@h", "The Chief") // the by for Anna's device, signed at noon, is held back until here
	want("the withheld by", w.add("u1", "phone", anna, w.enrol), RelayAsserted)
	want("and once more", w.add("u1", "phone", anna, w.enrol), RelayAsserted)
	if !w.dir.Tainted("u1") || w.dir.Tainted("u2") {
		t.Error("who is tainted")
	}
	// The chief's own device is approved by a person. That does not make Anna's the chief's.
	want("the chief's own", w.add("u1", "tablet", bert, w.enrol), RelayAsserted)
	approved := noon.Add(time.Hour)
	if _, ok := w.approve(bert, approved); !ok || w.dir.Tainted("u1") {
		t.Fatal("the approval")
	}
	w.seq++
	if w.assurance(bert, w.here()) != Enrolled || w.assurance(anna, w.here()) != RelayAsserted {
		t.Error("another device than the approved one is enrolled")
	}
	want("the withheld by, after the approval", w.add("u1", "phone", anna, w.enrol), RelayAsserted)
	want("another by that was withheld", w.add("u1", "watch", more, w.enrol), RelayAsserted)
	want("one signed at the very time", w.addAt("u1", "watch", more, w.enrol, approved), RelayAsserted)
	want("one by the approved device, signed before", w.add("u1", "watch", more, bert), RelayAsserted)
	want("one signed since by the approved device", w.addAt("u1", "watch", more, bert, approved.Add(time.Millisecond)), Enrolled)
	want("one signed since by the enrolment key", w.addAt("u1", "desk", newSigner(t, jws.EdDSA), w.enrol, approved.Add(time.Hour)), Enrolled)
	// A further change begins it anew.
	w.upsert("u1", "dean@h", "dean@h", "The Dean")
	for name, key := range map[string]crypto.Signer{"approved": bert, "vouched": more} {
		if w.assurance(key, w.here()) != RelayAsserted {
			t.Errorf("%s is enrolled after another change", name)
		}
	}
	want("a fresh by after another change", w.addAt("u1", "new", newSigner(t, jws.EdDSA), w.enrol, approved.Add(2*time.Hour)), RelayAsserted)
}

// Logs from before the rule have devices that were enrolled after a change: their verdicts stand.
func TestRecordedVerdictsStand(t *testing.T) {
	w := newWorld(t)
	key, next := newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA)
	w.upsert("u1", "a@h", "a@h", "A")
	w.upsert("u1", "b@h", "b@h", "B")
	w.seq++
	data := must[[]byte](t)(DeviceAdd{Arc: testArc, Usr: "u1", Dev: "phone", At: noon, Key: key, By: w.enrol}.Event())
	if err := w.dir.Apply(w.here(), data, Verdict{Op: OpDeviceAdd, Accepted: true, Assurance: Enrolled}); err != nil {
		t.Fatal(err)
	}
	if w.assurance(key, w.here()) != Enrolled {
		t.Error("a recorded verdict does not stand")
	}
	if v := w.add("u1", "tablet", next, key); v.Assurance != RelayAsserted {
		t.Errorf("a device of a changed person vouches: %+v", v)
	}
	if _, ok := w.approve(key, noon); !ok || w.dir.Tainted("u1") {
		t.Error("an enrolled device of a changed person cannot be approved")
	}
}

func TestApprove(t *testing.T) {
	w := newWorld(t)
	phone, other, gone := newSigner(t, jws.EdDSA), newSigner(t, jws.ES256), newSigner(t, jws.EdDSA)
	if _, ok := w.approve(phone, noon); ok {
		t.Error("a device that nobody knows was approved")
	}
	w.upsert("u1", "a@h", "a@h", "A")
	w.add("u1", "phone", phone, nil)
	w.add("u1", "other", other, nil)
	w.add("u1", "gone", gone, nil)
	w.revoke("u1", "gone", gone)
	before := w.here()
	snapshot := w.dir.Clone()
	from, ok := w.approve(phone, noon)
	if !ok || from != (Position{0, before.Seq + 1}) {
		t.Fatalf("Approve = %v, %v", from, ok)
	}
	if w.assurance(phone, before) != RelayAsserted || w.assurance(phone, from) != Enrolled || w.assurance(other, from) != RelayAsserted {
		t.Error("the approval counts from elsewhere, or for another device")
	}
	if d, _ := snapshot.NewestDevice(kidOf(t, phone)); d.Assurance != RelayAsserted {
		t.Error("the approval reached a clone")
	}
	if d, _ := w.dir.NewestDevice(kidOf(t, phone)); d.Assurance != Enrolled {
		t.Error("NewestDevice does not see the approval")
	}
	again := w.dir.Clone()
	if at, ok := again.Approve(Approval{Kid: kidOf(t, phone), At: before, When: noon}); !ok || at != from {
		t.Errorf("once more: %v, %v", at, ok)
	}
	if !reflect.DeepEqual(again.device(kidOf(t, phone)), w.dir.device(kidOf(t, phone))) || !reflect.DeepEqual(again.person("u1"), w.dir.person("u1")) {
		t.Error("an approval taken in twice is not the same as once")
	}
	w.approve(gone, noon)
	if d, _ := w.dir.NewestDevice(kidOf(t, gone)); !d.Revoked {
		t.Error("an approval undid a revocation")
	}
	// An approved device vouches for the person's next one, also with a by from before: the person never changed.
	if v := w.add("u1", "next", newSigner(t, jws.EdDSA), phone); v.Assurance != Enrolled {
		t.Errorf("vouched for by an approved device: %+v", v)
	}
}

// The archive's directory runs ahead of the log. Whatever was under way when an approval was given, both come to the same.
func TestAnApprovalWhileEventsAreUnderWay(t *testing.T) {
	rename := func(mail string) []byte {
		return must[[]byte](t)(UserUpsertEvent(User{"u1", mail, mail, "A"}))
	}
	for name, underWay := range map[string][][]byte{
		"nothing":         nil,
		"another person":  {must[[]byte](t)(UserUpsertEvent(User{"u2", "b@h", "b@h", "B"}))},
		"a change":        {rename("other@h")},
		"there and back":  {rename("other@h"), rename("a@h")},
		"the same again":  {rename("a@h")},
		"only the a name": {must[[]byte](t)(UserUpsertEvent(User{"u1", "a@h", "a@h", "Dr. A"}))},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := newSigner(t, jws.EdDSA)
			w.upsert("u1", "a@h", "a@h", "A")
			w.add("u1", "phone", key, nil)
			given := Approval{Kid: kidOf(t, key), At: w.here(), When: noon}
			committed := w.dir.Clone()
			committed.Approve(given)
			var verdicts []Verdict
			for _, data := range underWay {
				verdicts = append(verdicts, w.event(data))
			}
			w.dir.Approve(given) // the one ahead hears of it only now
			for i, data := range underWay {
				if err := committed.Apply(Position{0, given.At.Seq + uint64(i) + 1}, data, verdicts[i]); err != nil {
					t.Fatal(err)
				}
			}
			w.seq++
			a, _ := w.dir.Device(given.Kid, w.here())
			b, _ := committed.Device(given.Kid, w.here())
			changed := strings.Contains(name, "change") || strings.Contains(name, "back")
			if a.Assurance != b.Assurance || w.dir.Tainted("u1") != committed.Tainted("u1") || (a.Assurance == Enrolled) == changed || committed.Tainted("u1") != changed {
				t.Errorf("ahead %s, tainted %v; as committed %s, tainted %v", a.Assurance, w.dir.Tainted("u1"), b.Assurance, committed.Tainted("u1"))
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	kid := kidOf(t, newSigner(t, jws.EdDSA))
	shown := Fingerprint(kid)
	if groups := strings.Split(shown, " "); len(groups) != 11 || slices.ContainsFunc(groups[:10], func(g string) bool { return len(g) != 4 }) {
		t.Errorf("%q", shown)
	}
	for typed, same := range map[string]bool{
		shown: true, kid: true, "\t" + strings.ReplaceAll(shown, " ", "  ") + "\n": true, "": false, shown[1:]: false, shown + "A": false,
		strings.ToUpper(shown): false,
	} {
		if SameFingerprint(kid, typed) != same {
			t.Errorf("%q", typed)
		}
	}
	if SameFingerprint("", "") {
		t.Error("nothing is the fingerprint of nothing")
	}
}

func approvalNote(t testing.TB) ApprovalNote {
	return ApprovalNote{V: 1, Kid: kidOf(t, newSigner(t, jws.EdDSA)), Usr: "u1", Dev: "phone", Added: 4, Epoch: "e1", RelaySeq: 7}
}

func TestParseApprovalNote(t *testing.T) {
	good := approvalNote(t)
	if n, err := ParseApprovalNote(mustJSON(t, good)); err != nil || n != good {
		t.Fatalf("%+v, %v", n, err)
	}
	for name, change := range map[string]func(*ApprovalNote){
		"version": func(n *ApprovalNote) { n.V = 2 }, "kid": func(n *ApprovalNote) { n.Kid = "AAAA" }, "kid's form": func(n *ApprovalNote) { n.Kid += "=" },
		"usr": func(n *ApprovalNote) { n.Usr = "" }, "dev": func(n *ApprovalNote) { n.Dev = strings.Repeat("d", MaxName+1) },
		"added": func(n *ApprovalNote) { n.Added = 0 }, "epoch": func(n *ApprovalNote) { n.Epoch = "" },
	} {
		n := good
		change(&n)
		if _, err := ParseApprovalNote(mustJSON(t, n)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseApprovalNote(f *testing.F) {
	f.Add(mustJSON(f, approvalNote(f)))
	f.Add([]byte(`{"v":1,"KID":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseApprovalNote(b)
		if err != nil {
			return
		}
		again, err := ParseApprovalNote(must[[]byte](t)(json.Marshal(n)))
		if err != nil || again != n {
			t.Fatalf("%+v read back as %+v: %v", n, again, err)
		}
	})
}
