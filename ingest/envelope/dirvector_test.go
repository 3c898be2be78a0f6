package envelope

import (
	"crypto"
	"encoding/json"
	"os"
	"testing"
	"time"

	"holdfast/internal/jws"
)

// A dirVector is a row of directory events and approvals, and what each comes to; testdata/README.md says how another implementation checks it.
type dirVector struct {
	Arc   string          `json:"arc"`
	Enrol json.RawMessage `json:"enrolment_public_jwk"`
	Steps []dirStep       `json:"steps"`
}

// A dirStep is an event at the next place, or an approval that was given when the log held everything up to the last one.
type dirStep struct {
	What      string    `json:"what"`
	Event     string    `json:"event,omitempty"`
	Approve   string    `json:"approve,omitempty"` // kid
	When      string    `json:"when,omitempty"`    // of an approval
	Accepted  bool      `json:"accepted"`
	Assurance Assurance `json:"assurance,omitempty"` // of the device, after a device.add or an approval
}

const directoryFile = "testdata/directory.json"

func TestDirectoryVector(t *testing.T) {
	if *update {
		writeJSON(t, directoryFile, makeDirVector(t))
	}
	var v dirVector
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile(directoryFile)), &v); err != nil {
		t.Fatal(err)
	}
	dir := NewDirectory(v.Arc, Pins{Enrol: must[crypto.PublicKey](t)(jws.ParseJWK(v.Enrol))})
	at := Position{}
	for i, s := range v.Steps {
		if s.Approve != "" {
			from, ok := dir.Approve(Approval{Kid: s.Approve, At: at, When: must[time.Time](t)(ParseTime(s.When))})
			d, _ := dir.Device(s.Approve, from)
			if ok != s.Accepted || ok && d.Assurance != s.Assurance {
				t.Errorf("step %d, %s: %v, %s", i+1, s.What, ok, d.Assurance)
			}
			continue
		}
		at.Seq++
		verdict := dir.Judge(at, []byte(s.Event))
		if verdict.Accepted != s.Accepted || verdict.Assurance != s.Assurance {
			t.Errorf("step %d, %s: %+v, want %v %s", i+1, s.What, verdict, s.Accepted, s.Assurance)
		}
		if err := dir.Apply(at, []byte(s.Event), verdict); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.Steps) < 12 {
		t.Errorf("%d steps", len(v.Steps))
	}
}

func makeDirVector(t *testing.T) *dirVector {
	enrol, anna, chief, tablet := newSigner(t, jws.EdDSA), newSigner(t, jws.EdDSA), newSigner(t, jws.ES256), newSigner(t, jws.EdDSA)
	v := &dirVector{Arc: testArc, Enrol: must[[]byte](t)(jws.MarshalJWK(enrol.Public()))}
	upsert := func(what, name string) {
		data := must[[]byte](t)(UserUpsertEvent(User{"u-17", name + "@h.example", name + "@h.example", name}))
		v.Steps = append(v.Steps, dirStep{What: what, Event: string(data), Accepted: true})
	}
	add := func(what, dev string, key, by crypto.Signer, at time.Time, want Assurance) {
		data := must[[]byte](t)(DeviceAdd{Arc: testArc, Usr: "u-17", Dev: dev, At: at, Key: key, By: by}.Event())
		v.Steps = append(v.Steps, dirStep{What: what, Event: string(data), Accepted: true, Assurance: want})
	}
	approve := func(what string, key crypto.Signer, when time.Time) {
		v.Steps = append(v.Steps, dirStep{What: what, Approve: kidOf(t, key), When: FormatTime(when), Accepted: true, Assurance: Enrolled})
	}
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	upsert("the usr is Ana's", "ana")
	add("by the enrolment key", "d-1", newSigner(t, jws.EdDSA), enrol, noon, Enrolled)
	upsert("the same again changes nothing", "ana")
	upsert("the usr becomes the chief's", "chief")
	add("a by that the relay held back", "d-2", anna, enrol, noon, RelayAsserted)
	add("the chief's device, with a by", "d-3", chief, enrol, hour(1), RelayAsserted)
	approve("a person compares the fingerprint of d-3", chief, hour(2))
	add("the by that the relay held back, again", "d-2", anna, enrol, noon, RelayAsserted)
	add("a by of the approved device, signed before", "d-4", tablet, chief, hour(2), RelayAsserted)
	add("a by of the approved device, signed since", "d-4", tablet, chief, hour(3), Enrolled)
	upsert("the usr becomes somebody else's", "dean")
	add("a by of the approved device, now that its person changed", "d-5", newSigner(t, jws.EdDSA), chief, hour(4), RelayAsserted)
	approve("a person approves Ana's own device for the dean", anna, hour(5))
	v.Steps = append(v.Steps, dirStep{What: "a device that nobody added", Approve: kidOf(t, newSigner(t, jws.EdDSA)), When: FormatTime(hour(6))})
	return v
}
