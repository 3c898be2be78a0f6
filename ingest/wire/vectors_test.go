package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"testing"

	"holdfast/internal/jws"
)

// vectors is testdata/chain.json, which was computed by another implementation.
type vectors struct {
	Seed, Public string
	Pages        []struct {
		Arc, Epoch string
		Prev       string `json:"previous_epoch"`
		PrevHead   string `json:"previous_head"`
		After      uint64
		Head       string
		Events     []Event
		Heads      []string
		Signed     string
		End        json.RawMessage
	}
}

func loadVectors(t *testing.T) (vectors, ed25519.PrivateKey) {
	t.Helper()
	b, err := os.ReadFile("testdata/chain.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v, ed25519.NewKeyFromSeed(bytesOf(t, v.Seed))
}

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := jws.DecodeB64(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	v, key := loadVectors(t)
	if got := jws.EncodeB64(key.Public().(ed25519.PublicKey)); got != v.Public {
		t.Fatalf("public key %s, want %s", got, v.Public)
	}
	for i, p := range v.Pages {
		head := Genesis(p.Arc, p.Epoch, p.Prev, Head(bytesOf(t, p.PrevHead)))
		if p.After == 0 && jws.EncodeB64(head[:]) != p.Head {
			t.Errorf("page %d: genesis %x", i, head)
		}
		head = Head(bytesOf(t, p.Head))
		for j, e := range p.Events {
			head = head.Next(e)
			if got := jws.EncodeB64(head[:]); got != p.Heads[j] {
				t.Errorf("page %d: head after %d is %s, want %s", i, e.Seq, got, p.Heads[j])
			}
		}
		parsed, err := parseLine(p.End)
		if err != nil {
			t.Fatal(err)
		}
		if got := jws.EncodeB64(parsed.end.signed(p.Arc, p.Epoch)); got != p.Signed {
			t.Errorf("page %d: signed bytes %s, want %s", i, got, p.Signed)
		}
		end := *parsed.end
		end.Sig = nil
		SignEnd(key, p.Arc, p.Epoch, &end)
		if !bytes.Equal(end.Sig, parsed.end.Sig) {
			t.Errorf("page %d: another signature", i)
		}
		var page bytes.Buffer
		if err := WritePage(&page, p.Events, *parsed.end); err != nil {
			t.Fatal(err)
		}
		want := Expect{Arc: p.Arc, Epoch: p.Epoch, After: p.After, Head: Head(bytesOf(t, p.Head)), HeadKey: key.Public().(ed25519.PublicKey)}
		got, err := ReadPage(&page, want)
		if err != nil {
			t.Fatalf("page %d: %v", i, err)
		}
		if len(got.Events) != len(p.Events) {
			t.Errorf("page %d: %d events, want %d", i, len(got.Events), len(p.Events))
		}
		for j := range got.Events {
			if got.Events[j] != p.Events[j] {
				t.Errorf("page %d: event %d is %+v", i, j, got.Events[j])
			}
		}
	}
}
