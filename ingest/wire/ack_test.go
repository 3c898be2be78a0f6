package wire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/internal/jws"
)

var (
	identity = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	identPub = identity.Public()
)

func TestAck(t *testing.T) {
	want := &Ack{Arc: arc, Epoch: epoch, Seq: 12, Head: Head{1, 2}, BackedUp: 3,
		Quarantined: []Quarantined{{Seq: 4, Code: "malformed"}}, Checkpoint: "a\nnote\n"}
	compact, err := want.Sign(identity)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseAck(compact, identPub)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	other := ed25519.NewKeyFromSeed(make([]byte, 32))
	if _, err := ParseAck(compact, other.Public()); !errors.Is(err, ErrIdentity) {
		t.Errorf("by another key: %v", err)
	}
	if _, err := ParseKeyset(compact, identPub); !errors.Is(err, ErrMalformed) {
		t.Errorf("an ack for a keyset: %v", err)
	}
	if _, err := ParseAck(bytes.Repeat([]byte("A"), MaxEnvelope+1), identPub); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a huge ack: %v", err)
	}
	for i := range compact {
		flipped := bytes.Clone(compact)
		flipped[i] ^= 1
		if _, err := ParseAck(flipped, identPub); err == nil {
			t.Fatalf("a flip at %d passed", i)
		}
	}
}

// A key that borrows the identity key's name in the header gains nothing.
func TestAckForgedKid(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p256, ed25519.NewKeyFromSeed(make([]byte, 32))} {
		compact, err := (&Ack{Arc: arc}).Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseAck(compact, identPub); !errors.Is(err, ErrIdentity) {
			t.Errorf("%T: %v", key, err)
		}
	}
}

func TestAckMissingMember(t *testing.T) {
	full := `{"arc":"a","epoch":"e","seq":1,"head":"` + jws.EncodeB64(make([]byte, 32)) + `","backed_up":0,"quarantined":[],"checkpoint":""}`
	parse := func(payload string) error {
		compact, err := jws.Sign(TypAck, identity, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseAck(compact, identPub)
		return err
	}
	if err := parse(full); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"arc", "epoch", "seq", "head", "backed_up", "quarantined", "checkpoint"} {
		if err := parse(strings.Replace(full, `"`+name+`"`, `"x"`, 1)); !errors.Is(err, ErrMalformed) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestKeyset(t *testing.T) {
	at := time.Date(2026, 3, 1, 6, 0, 0, int(123*time.Millisecond), time.UTC)
	want := &Keyset{Arc: arc, Version: 2, Expires: at.Add(MaxKeysetLife), Time: at,
		Keys: []KeysetKey{{Kid: "k", KEM: 0x647a, PK: []byte{1, 2, 3}, NotAfter: at.AddDate(0, 1, 0)}}}
	compact, err := want.Sign(identity)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseKeyset(compact, identPub)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, change := range map[string]func(k *Keyset){
		"lives too long":    func(k *Keyset) { k.Expires = at.Add(MaxKeysetLife + time.Millisecond) },
		"expires before it": func(k *Keyset) { k.Expires = at },
		"too many keys":     func(k *Keyset) { k.Keys = make([]KeysetKey, maxKeys+1) },
	} {
		k := *want
		change(&k)
		compact, err := k.Sign(identity)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseKeyset(compact, identPub); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatus(t *testing.T) {
	full := `{"epoch":"e2","previous_epoch":"","oldest":1,"high":7,"acked":3}`
	got, err := ParseStatus([]byte(full))
	if want := (Status{"e2", "", 1, 7, 3}); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{``, `{}`, strings.Replace(full, "acked", "Acked", 1), strings.Replace(full, `"e2"`, `""`, 1),
		strings.Replace(full, "e2", strings.Repeat("e", MaxID+1), 1), strings.Replace(full, "7", "-7", 1)} {
		if _, err := ParseStatus([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestProblem(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Retry-After", "7")
	WriteProblem(rec, http.StatusServiceUnavailable, CodeUnavailable, "busy")
	var p *Problem
	if err := ReadProblem(rec.Result()); !errors.As(err, &p) {
		t.Fatal(err)
	}
	want := Problem{"about:blank", "Service Unavailable", 503, "busy", CodeUnavailable, 7 * time.Second}
	if *p != want {
		t.Errorf("%+v", p)
	}
	for name, body := range map[string]string{
		"lies about the status": `{"status":200,"code":"gone"}`,
		"duplicate member":      `{"code":"gone","code":"gone"}`,
		"not JSON":              `<html>`,
		"endless":               strings.Repeat("x", maxProblem*2),
	} {
		rec := httptest.NewRecorder()
		rec.Header().Set("Content-Type", problemType+"; charset=utf-8")
		rec.WriteHeader(http.StatusGone)
		rec.WriteString(body)
		if err := ReadProblem(rec.Result()); !errors.As(err, &p) || p.Status != http.StatusGone {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, "-5": 0, "999999999": 24 * time.Hour, "99999999999999999999": 0, "soon": 0,
		"Sun, 06 Nov 1994 08:49:37 GMT": 0, "Sun, 06 Nov 2394 08:49:37 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}
