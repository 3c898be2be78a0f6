package envelope

import (
	"bytes"
	"testing"
)

func TestKeyIDOfWhatIsNotOpened(t *testing.T) {
	key, err := GenerateKey(P256)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := Seal(key.Public(), "st-mary.example", "AAAAAAAAAAAAAAAAAAAAAA", []byte("e30.e30.AA"))
	if err != nil {
		t.Fatal(err)
	}
	if kid, ok := KeyID(sealed); !ok || kid != key.KID() {
		t.Errorf("kid %q, %v", kid, ok)
	}
	cut := sealed[:bytes.LastIndexByte(sealed, '.')+4]
	if kid, ok := KeyID(cut); !ok || kid != key.KID() {
		t.Errorf("of an envelope that was cut short: %q, %v", kid, ok)
	}
	for _, none := range []string{"", "AMX1.", "AMX1..", "AMX2." + string(sealed[5:]), "AMX1.e30.x", "AMX1.bm90IGpzb24.x", "AMX1.!.x"} {
		if kid, ok := KeyID([]byte(none)); ok {
			t.Errorf("%q has kid %q", none, kid)
		}
	}
}
