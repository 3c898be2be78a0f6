package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jws"
)

var wipeRequest = Provision{
	Arc: arc, ID: "r-1", Op: OpDeviceWipe, Usr: "u-1", Dev: "phone", Kid: jws.EncodeB64(make([]byte, 32)),
	Time: time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC),
}

func TestProvision(t *testing.T) {
	compact, err := wipeRequest.Sign(identity)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseProvision(compact, identPub)
	if err != nil || *got != wipeRequest {
		t.Fatalf("%+v, %v", got, err)
	}
	other := ed25519.NewKeyFromSeed(make([]byte, 32))
	if _, err := ParseProvision(compact, other.Public()); !errors.Is(err, ErrIdentity) {
		t.Errorf("by another key: %v", err)
	}
	if _, err := ParseAck(compact, identPub); !errors.Is(err, ErrMalformed) {
		t.Errorf("a provision request for an ack: %v", err)
	}
	if _, err := ParseProvision(bytes.Repeat([]byte("A"), MaxProvision+1), identPub); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a huge one: %v", err)
	}
	for i := range compact {
		flipped := bytes.Clone(compact)
		flipped[i] ^= 1
		if _, err := ParseProvision(flipped, identPub); err == nil {
			t.Fatalf("a flip at %d passed", i)
		}
	}
	later := wipeRequest
	later.Time = later.Time.Add(time.Hour)
	if !later.Same(&wipeRequest) {
		t.Error("signed anew it is another request")
	}
	for name, change := range map[string]func(p *Provision){
		"arc": func(p *Provision) { p.Arc = "x" }, "id": func(p *Provision) { p.ID = "x" }, "op": func(p *Provision) { p.Op = "x" },
		"usr": func(p *Provision) { p.Usr = "x" }, "dev": func(p *Provision) { p.Dev = "x" }, "kid": func(p *Provision) { p.Kid = "x" },
	} {
		changed := wipeRequest
		change(&changed)
		if changed.Same(&wipeRequest) {
			t.Errorf("with another %s it is the same request", name)
		}
	}
}

func TestProvisionIsChecked(t *testing.T) {
	for name, change := range map[string]func(p *Provision){
		"no id": func(p *Provision) { p.ID = "" }, "id too long": func(p *Provision) { p.ID = strings.Repeat("x", MaxID+1) },
		"no op": func(p *Provision) { p.Op = "" }, "another op": func(p *Provision) { p.Op = "user.delete" },
		"no usr": func(p *Provision) { p.Usr = "" }, "usr too long": func(p *Provision) { p.Usr = strings.Repeat("x", 257) },
		"dev too long": func(p *Provision) { p.Dev = strings.Repeat("x", 257) }, "a wipe without dev": func(p *Provision) { p.Dev = "" },
		"a wipe without kid": func(p *Provision) { p.Kid = "" }, "kid too short": func(p *Provision) { p.Kid = "AAAA" },
		"kid's form":           func(p *Provision) { p.Kid = strings.Repeat("=", 43) },
		"a revocation of none": func(p *Provision) { p.Op, p.Dev = OpDeviceRevoke, "" },
		"a user's with dev":    func(p *Provision) { p.Op, p.Kid = OpUserDisable, "" },
		"a user's with kid":    func(p *Provision) { p.Op, p.Dev = OpUserDisable, "" },
	} {
		p := wipeRequest
		change(&p)
		if _, err := p.Sign(identity); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: signed, %v", name, err)
		}
		payload, err := json.Marshal(provisionClaims{p.Arc, p.ID, p.Op, p.Usr, p.Dev, p.Kid, formatTime(p.Time)})
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jws.Sign(TypProvision, identity, payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseProvision(compact, identPub); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: parsed, %v", name, err)
		}
	}
	for name, payload := range map[string]string{
		"no time": `{"arc":"a","id":"i","op":"user.disable","usr":"u"}`, "odd time": `{"arc":"a","id":"i","op":"user.disable","usr":"u","time":"now"}`,
		"one more member": `{"arc":"a","id":"i","op":"user.disable","usr":"u","time":"2026-03-01T12:00:00.000Z","unless":"x"}`, "no JSON": `{`,
	} {
		compact, err := jws.Sign(TypProvision, identity, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseProvision(compact, identPub); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAccepted(t *testing.T) {
	b, err := AppendAccepted(nil, `i"d`)
	if err != nil || CheckAccepted(b, `i"d`) != nil {
		t.Fatalf("%s, %v", b, err)
	}
	for _, odd := range []string{"", "{}", `{"accepted":"other"}`, `{"accepted":1}`, "<html>", string(b) + "x"} {
		if err := CheckAccepted([]byte(odd), `i"d`); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", odd, err)
		}
	}
}

// Whatever parses is signed again to a request that says the same.
func FuzzProvision(f *testing.F) {
	f.Add([]byte(`{"arc":"a","id":"i","op":"user.disable","usr":"u","time":"2026-03-01T12:00:00.000Z"}`))
	f.Add([]byte(`{"arc":"a","id":"i","op":"device.wipe","usr":"u","dev":"d","kid":"` + wipeRequest.Kid + `","time":"2026-03-01T12:00:00.000Z"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		compact, err := jws.Sign(TypProvision, identity, payload)
		if err != nil {
			return
		}
		p, err := ParseProvision(compact, identPub)
		if err != nil {
			return
		}
		again, err := p.Sign(identity)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if q, err := ParseProvision(again, identPub); err != nil || *q != *p {
			t.Fatalf("%+v read back as %+v: %v", p, q, err)
		}
	})
}

var update = flag.Bool("update", false, "make testdata/provision.json anew")

// provisionVectors is testdata/provision.json. Ed25519 signs the same bytes the same way, so that the archive's requests are there to the byte.
type provisionVectors struct {
	Seed     string                 `json:"seed"`
	Public   string                 `json:"public"`
	Requests []provisionVectorEntry `json:"requests"`
}

type provisionVectorEntry struct {
	Payload string `json:"payload"`
	JWS     string `json:"jws"`
	Answer  string `json:"answer"`
}

func TestProvisionVectors(t *testing.T) {
	const file = "testdata/provision.json"
	want := provisionVectors{Seed: jws.EncodeB64(identity.Seed()), Public: jws.EncodeB64(identPub.(ed25519.PublicKey))}
	for i, op := range []string{OpUserDisable, OpDeviceRevoke, OpDeviceWipe} {
		p := wipeRequest
		p.ID, p.Op = string(rune('a'+i)), op
		if op == OpUserDisable {
			p.Dev, p.Kid = "", ""
		}
		compact, err := p.Sign(identity)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := AppendAccepted(nil, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := jws.DecodeB64(strings.Split(string(compact), ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		want.Requests = append(want.Requests, provisionVectorEntry{string(payload), string(compact), string(answer)})
	}
	if *update {
		b, err := json.MarshalIndent(want, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got provisionVectors
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: the vectors are not what the archive signs", err)
	}
	for _, r := range got.Requests {
		if _, err := ParseProvision([]byte(r.JWS), identPub); err != nil {
			t.Errorf("%s: %v", r.Payload, err)
		}
	}
}
