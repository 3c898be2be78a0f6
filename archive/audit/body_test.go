package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// The bodies are a format: these bytes are what FORMAT.md says.
func TestBodies(t *testing.T) {
	m := &memoryLog{}
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	over := Principal{Name: "jdoe", Person: "g-1", Via: role.ViaHTTPS, Address: "192.0.2.7"}
	for _, a := range []Access{
		{Action: ActionLogin, Principal: over, Step: 58_000_000, At: at},
		{Action: ActionLogin, Principal: over, Code: "52e", Count: 17, At: at},
		{Action: ActionDecide, Principal: over, Target: "42", At: at},
	} {
		if _, err := Begin(t.Context(), m, a); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []Outcome{
		{Of: 0, Result: ResultShown, Shown: 2, Custodians: []string{"u2", "u1", "u2"}, Own: true, Colleagues: 1},
		{Of: 0, Result: ResultShown, Custodians: []string{}},
		{Of: 0, Result: ResultFailed, Code: "busy", Custodians: make([]string, MaxCustodians)},
	} {
		if err := Finish(t.Context(), m, o); err != nil {
			t.Fatal(err)
		}
	}
	who := `"principal":{"name":"jdoe","person":"g-1","via":"https","address":"192.0.2.7"}`
	golden := []string{
		`{"v":1,"action":"login",` + who + `,"step":58000000,"at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"action":"login",` + who + `,"code":"52e","count":17,"at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"action":"decide",` + who + `,"target":"42","at":"2026-03-01T08:00:00Z"}`,
		`{"v":1,"of":0,"result":"shown","total":0,"shown":2,"through_seq":0,"custodians":["u1","u2"],"own":true,"colleagues":1}`,
		`{"v":1,"of":0,"result":"shown","total":0,"shown":0,"through_seq":0,"custodians":[]}`,
		`{"v":1,"of":0,"result":"failed","code":"busy","total":0,"shown":0,"through_seq":0,"custodians":[""]}`,
	}
	for i, want := range golden {
		if got := string(m.records[i].Body); got != want {
			t.Errorf("body %d\n%s\nwant\n%s", i, got, want)
		}
	}
}

// An outcome names a bounded number of custodians, and says when there were more.
func TestManyCustodians(t *testing.T) {
	m := &memoryLog{}
	var usrs []string
	for i := range MaxCustodians + 1 {
		usrs = append(usrs, fmt.Sprint("u", i))
	}
	for n := range 2 {
		given := slices.Clone(usrs[n:])
		if err := Finish(t.Context(), m, Outcome{Result: ResultShown, Custodians: given}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(given, usrs[n:]) {
			t.Error("Finish sorted its caller's list")
		}
		var o Outcome
		if err := ijson.Unmarshal(m.records[n].Body, &o); err != nil {
			t.Fatal(err)
		}
		if many := n == 0; o.Many != many || (o.Custodians == nil) != many {
			t.Errorf("of %d: many %v, %d named", len(usrs)-n, o.Many, len(o.Custodians))
		}
	}
}

func TestBeginRefusesLongWords(t *testing.T) {
	long := strings.Repeat("x", maxWord+1)
	for name, change := range map[string]func(*Access){
		"code":    func(a *Access) { a.Code = long },
		"target":  func(a *Access) { a.Target = strings.Repeat("x", MaxTarget+1) },
		"person":  func(a *Access) { a.Principal.Person = long },
		"via":     func(a *Access) { a.Principal.Via = long },
		"address": func(a *Access) { a.Principal.Address = long },
	} {
		m := &memoryLog{}
		a := access(ActionLogin, "jdoe")
		change(&a)
		if _, err := Begin(t.Context(), m, a); err == nil || len(m.records) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestActions(t *testing.T) {
	reads := []Action{ActionSearch, ActionShow, ActionExport}
	looks := append([]Action{ActionAudit, ActionReport, ActionDirectory, ActionDevice, ActionRequest, ActionDecide,
		ActionHold, ActionMatter, ActionSchedule, ActionDisposition, ActionCertificate, ActionClock, ActionCopy,
		ActionTag, ActionProduction, ActionDisclosure, ActionClawback, ActionSaved,
		ActionIngest, ActionBackup, ActionRestore, ActionAnchor}, reads...)
	if len(Actions()) != 31 {
		t.Errorf("%d actions", len(Actions()))
	}
	for _, a := range Actions() {
		if !a.Valid() || a.Reads() != slices.Contains(reads, a) || a.Looks() != slices.Contains(looks, a) {
			t.Errorf("%s", a)
		}
		without := Access{Action: a}
		if err := without.check(); (err != nil) != a.Reads() {
			t.Errorf("%s without a reason: %v", a, err)
		}
	}
}

// FuzzBodies: whatever bytes an access and its outcome have, a list of them is
// an error or reads back what was written, and flags and reports do not break.
func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"v":1,"action":"search","principal":{"uid":1000,"name":"jdoe"},"reason":"r","seqs":[4,5],"at":"2026-03-01T07:00:00.123Z"}`),
		[]byte(`{"v":1,"of":0,"result":"shown","total":9,"shown":2,"through_seq":4}`))
	f.Add([]byte(`{"v":1,"action":"login","principal":{"name":"j","person":"g","via":"https","address":"::1"},"code":"52e","count":3,"step":1,"target":"t","at":"2026-03-01T07:00:00Z"}`),
		[]byte(`{"v":1,"of":0,"result":"failed","custodians":["a","b"],"many":true,"own":true,"colleagues":7}`))
	f.Add([]byte(`{"action":null}`), []byte(`{"of":0,"custodians":null}`))
	f.Fuzz(func(t *testing.T, access, outcome []byte) {
		m := &memoryLog{records: []archive.Record{
			{Leaf: proof.Leaf{Seq: 0, Kind: proof.KindAccess, Class: proof.ClassAudit}, Body: access},
			{Leaf: proof.Leaf{Seq: 1, Kind: proof.KindOutcome, Class: proof.ClassAudit}, Body: outcome},
		}}
		items, err := List(t.Context(), m, Filter{Watch: &Watch{Volume: 1}})
		if err != nil {
			return
		}
		i := items[0]
		if i.Outcome != nil && i.Outcome.Of != 0 {
			t.Errorf("the outcome of %d", i.Outcome.Of)
		}
		b, err := json.Marshal(i.Access)
		if err != nil {
			return // a year beyond what JSON's times have
		}
		var again Access
		if err := ijson.Unmarshal(b, &again); err != nil || !again.At.Equal(i.Access.At) {
			t.Errorf("%s does not read back: %v", b, err)
		}
		again.At = i.Access.At
		if len(again.Seqs) == 0 {
			again.Seqs = i.Access.Seqs
		}
		if !reflect.DeepEqual(again, i.Access) {
			t.Errorf("%+v\nreads back as\n%+v", i.Access, again)
		}
		if _, err := ReportOfficer(t.Context(), m, Filter{Person: "g", Watch: &Watch{}}); err != nil {
			t.Error(err)
		}
		if _, err := ReportCustodian(t.Context(), m, Filter{Custodians: []string{"a"}}); err != nil {
			t.Error(err)
		}
	})
}
