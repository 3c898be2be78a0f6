package people

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The bytes of the directory and the text that its tools show for them.
// 8f04793f… is made as MS-DTYP 2.3.4.2 says; bf9679e7 is the schemaIDGUID
// of objectGUID itself (MS-ADA3), the others are published in documentation of
// directory tools.
var guidVectors = []struct{ raw, text string }{
	{"8f04793fcd42774c8426835cd9f8a3ad", "3f79048f-42cd-4c77-8426-835cd9f8a3ad"},
	{"e77996bfe60dd011a28500aa003049e2", "bf9679e7-0de6-11d0-a285-00aa003049e2"},
	{"bb85433e437ceb4f8ea297c65cc06abf", "3e4385bb-7c43-4feb-8ea2-97c65cc06abf"},
	{"6797e1e5ecb5154f960f865c28c015fa", "e5e19767-b5ec-4f15-960f-865c28c015fa"},
	{"000102030405060708090a0b0c0d0e0f", "03020100-0504-0706-0809-0a0b0c0d0e0f"},
}

func TestGUIDIsMixedEndian(t *testing.T) {
	for _, v := range guidVectors {
		raw, err := hex.DecodeString(v.raw)
		if err != nil {
			t.Fatal(err)
		}
		g := GUIDOf([16]byte(raw))
		if string(g) != v.text {
			t.Errorf("GUIDOf(%s) = %s, want %s", v.raw, g, v.text)
		}
		back, err := g.Bytes()
		if err != nil || back != [16]byte(raw) {
			t.Errorf("Bytes of %s = %x, %v", g, back, err)
		}
	}
}

func TestParseGUID(t *testing.T) {
	const want = "3e4385bb-7c43-4feb-8ea2-97c65cc06abf"
	for _, s := range []string{want, strings.ToUpper(want), "{" + want + "}", "{3E4385BB-7c43-4feb-8ea2-97c65cc06abf}"} {
		if g, err := ParseGUID(s); err != nil || g != want {
			t.Errorf("ParseGUID(%q) = %q, %v", s, g, err)
		}
	}
	for _, s := range []string{"", want[1:], want + "0", "{" + want, want + "}", "g" + want[1:], strings.ReplaceAll(want, "-", ""),
		"3e4385bb7-c43-4feb-8ea2-97c65cc06abf", "00000000-0000-0000-0000-000000000000", " " + want} {
		if g, err := ParseGUID(s); err == nil {
			t.Errorf("ParseGUID(%q) = %q", s, g)
		}
	}
	if _, err := GUID("3E4385BB-7C43-4FEB-8EA2-97C65CC06ABF").Bytes(); err == nil {
		t.Error("Bytes of a GUID that is not canonical")
	}
}

func FuzzParseGUID(f *testing.F) {
	for _, v := range guidVectors {
		f.Add(v.text)
		f.Add("{" + strings.ToUpper(v.text) + "}")
	}
	f.Add("K0000000-0000-0000-0000-000000000000")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := ParseGUID(s)
		if err != nil {
			return
		}
		if !strings.EqualFold(strings.Trim(s, "{}"), string(g)) {
			t.Fatalf("ParseGUID(%q) = %q", s, g)
		}
		raw, err := g.Bytes()
		if err != nil || GUIDOf(raw) != g {
			t.Fatalf("%q does not survive its bytes: %v", g, err)
		}
		if again, err := ParseGUID(string(g)); err != nil || again != g {
			t.Fatalf("%q is not canonical", g)
		}
	})
}
