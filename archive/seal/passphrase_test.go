package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// passphraseVector was computed by another implementation (the argon2 command
// 0~20190702 and Python's cryptography 48): passphrase "correct horse battery staple", master
// key 00 01 … 1f, one pass, 8 MiB, one lane, salt 16 times aa, nonce 12 times bb.
const passphraseVector = "Holdfast master key, wrapped by a passphrase, version 1\n" +
	"AAAAAQAAIAABqqqqqqqqqqqqqqqqqqqqqru7u7u7u7u7u7u7u95r2MwgKciv07qap5+IhskZHbJqbeFXNGU7rh387xLbuKptffMTAKoNH7hkBZIvgQ==\n"

func TestVectorPassphrase(t *testing.T) {
	var want [MasterSize]byte
	for i := range want {
		want[i] = byte(i)
	}
	got, err := UnwrapPassphrase([]byte(passphraseVector), []byte("correct horse battery staple"))
	if err != nil || got != want {
		t.Fatalf("%x, %v", got, err)
	}
}

func TestPassphrase(t *testing.T) {
	master := NewKey()
	composed := norm.NFC.String("fünf Wörter, die niemand rät")
	file, err := wrapPassphrase(master, []byte(composed), 1, minArgonMemory, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(file) != PassphraseFileSize || bytes.Contains(file, master[:]) {
		t.Fatalf("%d bytes: %q", len(file), file)
	}
	// Another keyboard may send the same letters as other characters.
	for _, same := range []string{composed, norm.NFD.String(composed)} {
		if got, err := UnwrapPassphrase(file, []byte(same)); err != nil || got != master {
			t.Fatalf("%q: %v", same, err)
		}
	}
	if _, err := UnwrapPassphrase(file, []byte("another passphrase")); !errors.Is(err, ErrKey) {
		t.Errorf("another passphrase: %v", err)
	}
	for name, p := range map[string]string{"none": "", "a giant": strings.Repeat("x", MaxPassphrase+1)} {
		if _, err := WrapPassphrase(master, []byte(p)); err == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := UnwrapPassphrase(file, []byte(p)); err == nil || errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is made costs whoever guesses what it should.
func TestPassphraseCosts(t *testing.T) {
	master := NewKey()
	file, err := WrapPassphrase(master, []byte("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := parsePassphrase(file)
	if err != nil {
		t.Fatal(err)
	}
	if passes, memory, lanes := argonParams(blob); passes != 3 || memory != 64<<10 || lanes != 4 {
		t.Errorf("%d passes over %d KiB in %d lanes", passes, memory, lanes)
	}
}

// Whatever is changed in the file, it does not open: what costs are is
// authenticated as well.
func TestPassphraseBound(t *testing.T) {
	blob, err := parsePassphrase([]byte(passphraseVector))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(blob); i += 3 { // each field several times
		changed := bytes.Clone(blob)
		changed[i] ^= 2
		file := passphraseHeader + base64.StdEncoding.EncodeToString(changed) + "\n"
		if _, err := UnwrapPassphrase([]byte(file), []byte("correct horse battery staple")); err == nil {
			t.Fatalf("opened with byte %d changed", i)
		}
	}
}

func TestPassphraseRefused(t *testing.T) {
	blob, err := parsePassphrase([]byte(passphraseVector))
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, value uint32) string {
		b := bytes.Clone(blob)
		binary.BigEndian.PutUint32(b[at:], value)
		return passphraseHeader + base64.StdEncoding.EncodeToString(b) + "\n"
	}
	lanes := bytes.Clone(blob)
	lanes[8] = maxArgonLanes + 1
	for name, file := range map[string]string{
		"empty":              "",
		"cut short":          passphraseVector[:len(passphraseVector)-1],
		"longer":             passphraseVector + "\n",
		"another first line": strings.Replace(passphraseVector, "version 1", "version 2", 1),
		"another alphabet":   strings.Replace(passphraseVector, "A", "-", 1),
		"no line feed":       passphraseVector[:len(passphraseVector)-1] + "A",
		"no pass":            with(0, 0),
		"all the time":       with(0, maxArgonPasses+1),
		"no memory":          with(4, minArgonMemory-1),
		"all memory":         with(4, maxArgonMemory+1),
		"too many lanes":     passphraseHeader + base64.StdEncoding.EncodeToString(lanes) + "\n",
	} {
		if _, err := UnwrapPassphrase([]byte(file), []byte("correct horse battery staple")); !errors.Is(err, ErrPassphraseFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A passphrase file fails to parse, or is the only way to write what it says.
func FuzzPassphrase(f *testing.F) {
	f.Add([]byte(passphraseVector))
	f.Add([]byte(strings.ReplaceAll(passphraseVector, "=", "A")))
	f.Fuzz(func(t *testing.T, file []byte) {
		blob, err := parsePassphrase(file)
		if err != nil {
			return
		}
		if back := passphraseHeader + base64.StdEncoding.EncodeToString(blob) + "\n"; back != string(file) {
			t.Fatalf("%q comes back as %q", file, back)
		}
		if _, memory, _ := argonParams(blob); memory > maxArgonMemory {
			t.Fatalf("%d KiB would be taken", memory)
		}
	})
}

func TestReadShare(t *testing.T) {
	key, err := NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := key.Split(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	first, err := ReadShare(texts[0])
	if err != nil || first.Needed != 2 || first.Index != 1 || len(first.Set) != 8 || first.String() != texts[0] {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := ReadShare(strings.ToLower(strings.ReplaceAll(texts[0], "-", " ")))
	if err != nil || !first.Equal(again) {
		t.Errorf("the same share typed otherwise: %v", err)
	}
	second, err := ReadShare(texts[1])
	if err != nil || first.Equal(second) || first.Set != second.Set {
		t.Errorf("another share: %+v, %v", second, err)
	}
	if _, err := ReadShare("share 1 of 3"); !errors.Is(err, ErrShare) {
		t.Error(err)
	}
}
