package seal

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// vectors is testdata/vectors.json, which was computed by another
// implementation (FORMAT.md section 1 says what it holds).
type vectors struct {
	Records []struct {
		Key, Plaintext, Sealed string
		FileID                 string `json:"file_id"`
		Seq                    uint64
	}
	Keyring struct{ Master, Origin, Plaintext, Wrapped string }
	Shares  struct {
		Set, Secret string
		K, N        int
		Seed        string `json:"x_wing_seed"`
		Texts       []string
	}
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fileKey(t testing.TB, key, id []byte) *FileKey {
	t.Helper()
	k, err := NewFileKey([KeySize]byte(key), [IDSize]byte(id))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectorsRecord(t *testing.T) {
	for _, x := range loadVectors(t).Records {
		k := fileKey(t, unhex(t, x.Key), unhex(t, x.FileID))
		got, err := k.Open(nil, x.Seq, unhex(t, x.Sealed))
		if err != nil || hex.EncodeToString(got) != x.Plaintext {
			t.Errorf("seq %d: %x, %v", x.Seq, got, err)
		}
	}
}

// A record opens under its own key, in its own file, at its own seq, unchanged,
// and in no other way.
func TestRecordBound(t *testing.T) {
	key, id := bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{2}, IDSize)
	k := fileKey(t, key, id)
	plain := []byte("a record")
	sealed := k.Seal(nil, 7, plain)
	if len(sealed) != len(plain)+Overhead {
		t.Errorf("sealing added %d bytes", len(sealed)-len(plain))
	}
	if bytes.Equal(sealed, k.Seal(nil, 7, plain)) {
		t.Error("a nonce was used twice")
	}
	if got, err := k.Open(nil, 7, sealed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another key":  func() ([]byte, error) { return fileKey(t, bytes.Repeat([]byte{3}, KeySize), id).Open(nil, 7, sealed) },
		"another file": func() ([]byte, error) { return fileKey(t, key, bytes.Repeat([]byte{3}, IDSize)).Open(nil, 7, sealed) },
		"another seq":  func() ([]byte, error) { return k.Open(nil, 8, sealed) },
		"nothing":      func() ([]byte, error) { return k.Open(nil, 7, nil) },
		"truncated":    func() ([]byte, error) { return k.Open(nil, 7, sealed[:len(sealed)-1]) },
	} {
		if got, err := open(); !errors.Is(err, ErrKey) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for bit := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := k.Open(nil, 7, b); !errors.Is(err, ErrKey) {
			t.Fatalf("opened with bit %d flipped", bit)
		}
	}
}

func TestVectorsKeyring(t *testing.T) {
	v := loadVectors(t).Keyring
	k, err := Unwrap(unhex(t, v.Wrapped), [MasterSize]byte(unhex(t, v.Master)), v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil || string(text) != v.Plaintext {
		t.Errorf("%s, %v", text, err)
	}
}

func TestKeyringBound(t *testing.T) {
	v := loadVectors(t).Keyring
	master := [MasterSize]byte(unhex(t, v.Master))
	k, err := parseKeyring([]byte(v.Plaintext))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := k.Wrap(master, v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Unwrap(wrapped, master, v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := mustJSON(t, k), mustJSON(t, back); !bytes.Equal(a, b) {
		t.Errorf("%s came back as %s", a, b)
	}
	other := master
	other[31] ^= 1
	if _, err := Unwrap(wrapped, other, v.Origin); !errors.Is(err, ErrKey) {
		t.Errorf("another master key: %v", err)
	}
	if _, err := Unwrap(wrapped, master, v.Origin+"x"); !errors.Is(err, ErrKey) {
		t.Errorf("another origin: %v", err)
	}
	for bit := range len(wrapped) * 8 {
		b := bytes.Clone(wrapped)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := Unwrap(b, master, v.Origin); !errors.Is(err, ErrKey) {
			t.Fatalf("opened with bit %d flipped", bit)
		}
	}
	if bytes.Contains(wrapped, k.Identity) {
		t.Error("a key lies open in the wrapped keyring")
	}
	if _, err := Unwrap(make([]byte, MaxKeyring+1), master, v.Origin); err == nil {
		t.Error("a giant was opened")
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeyringClone(t *testing.T) {
	k, err := parseKeyring([]byte(loadVectors(t).Keyring.Plaintext))
	if err != nil {
		t.Fatal(err)
	}
	before := mustJSON(t, k)
	c := k.Clone()
	c.Bodies["x"], c.Index["x"], c.Recipients[0].KID = []byte("x"), []byte("x"), "x"
	if !bytes.Equal(before, mustJSON(t, k)) {
		t.Error("changing a clone changed the keyring in use")
	}
}

func TestKeyringRefused(t *testing.T) {
	text := loadVectors(t).Keyring.Plaintext
	for name, change := range map[string][2]string{
		"a newer version":   {`"v":1`, `"v":2`},
		"an unknown member": {`"v":1`, `"v":1,"w":1`},
		"a duplicate":       {`"v":1`, `"v":1,"v":1`},
		"a short key":       {`"dedupe":"`, `"dedupe":"AAAA","w":"`},
		"a short body key":  {`"2026-01.general.g1":"`, `"2026-01.general.g2":"AAAA","2026-01.general.g1":"`},
	} {
		bad := strings.Replace(text, change[0], change[1], 1)
		if _, err := parseKeyring([]byte(bad)); bad == text || err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestVectorsShares(t *testing.T) {
	v := loadVectors(t).Shares
	want, err := hpke.MLKEM768X25519().NewPrivateKey(unhex(t, v.Seed))
	if err != nil {
		t.Fatal(err)
	}
	for _, texts := range subsets(v.Texts, v.K) {
		key, err := Combine(texts)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(key.Public(), want.PublicKey().Bytes()) {
			t.Fatalf("shares %v give another key", texts)
		}
	}
}

// subsets returns every choice of k of the texts.
func subsets(texts []string, k int) (out [][]string) {
	for set := range 1 << len(texts) {
		var choice []string
		for i, text := range texts {
			if set>>i&1 == 1 {
				choice = append(choice, text)
			}
		}
		if len(choice) == k {
			out = append(out, choice)
		}
	}
	return out
}

func TestRecovery(t *testing.T) {
	ring, err := parseKeyring([]byte(loadVectors(t).Keyring.Plaintext))
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ring.SealForRecovery(key.Public(), "origin")
	if err != nil {
		t.Fatal(err)
	}
	shares, err := key.Split(3, 5)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 5; n++ {
		for _, texts := range subsets(shares, n) {
			got, err := Combine(texts)
			if n < 3 {
				if !errors.Is(err, ErrShare) {
					t.Fatalf("%d of 3 shares: %v", n, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			back, err := Recover(sealed, got, "origin")
			if err != nil || !bytes.Equal(mustJSON(t, back), mustJSON(t, ring)) {
				t.Fatalf("recovered %+v, %v", back, err)
			}
		}
	}
	if _, err := Combine([]string{shares[0], shares[0], shares[0], shares[1]}); !errors.Is(err, ErrShare) {
		t.Errorf("two shares, one of them given three times: %v", err)
	}
	if _, err := Recover(sealed, key, "another"); !errors.Is(err, ErrKey) {
		t.Errorf("another origin: %v", err)
	}
	other, err := NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(sealed, other, "origin"); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	for i := 0; i < len(sealed)*8; i += 97 {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if _, err := Recover(b, key, "origin"); err == nil {
			t.Fatalf("opened with bit %d flipped", i)
		}
	}
	strangers, err := other.Split(3, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Combine([]string{shares[0], shares[1], strangers[2]}); !errors.Is(err, ErrShare) {
		t.Errorf("shares of two kits: %v", err)
	}
	again, err := key.Split(3, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Combine([]string{shares[0], shares[1], again[2]}); !errors.Is(err, ErrShare) {
		t.Errorf("shares of two printings: %v", err)
	}
	for _, kn := range [][2]int{{1, 3}, {0, 0}, {4, 3}, {2, 256}} {
		if _, err := key.Split(kn[0], kn[1]); err == nil {
			t.Errorf("%d of %d shares were made", kn[0], kn[1])
		}
	}
}

// Every mistyped letter is noticed, and so are two letters changed about; case,
// blanks and dashes do not matter.
func TestShareMistyped(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	text := strings.ReplaceAll(loadVectors(t).Shares.Texts[0], "-", "")
	for i := range text {
		for _, c := range letters {
			if byte(c) == text[i] {
				continue
			}
			if _, err := parseShare(text[:i] + string(c) + text[i+1:]); !errors.Is(err, ErrShare) {
				t.Fatalf("%c instead of %c was not noticed", c, text[i])
			}
		}
		if i > 0 && text[i] != text[i-1] {
			if _, err := parseShare(text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:]); !errors.Is(err, ErrShare) {
				t.Fatalf("letters %d and %d changed about were not noticed", i-1, i)
			}
		}
		if _, err := parseShare(text[:i]); !errors.Is(err, ErrShare) {
			t.Fatalf("the first %d letters were a share", i)
		}
	}
	for _, same := range []string{strings.ToLower(text), " " + text[:9] + "\t" + text[9:] + "\r\n", loadVectors(t).Shares.Texts[0]} {
		if _, err := parseShare(same); err != nil {
			t.Errorf("%q: %v", same, err)
		}
	}
	for _, bad := range []string{text + "A", strings.ReplaceAll(text, text[:1], "0"), strings.Repeat("A", 1<<20), ""} {
		if _, err := parseShare(bad); !errors.Is(err, ErrShare) {
			t.Errorf("%.20q was a share", bad)
		}
	}
}

// What parseShare accepts is one share however it was typed: its bytes written
// again are read as the same.
func FuzzShare(f *testing.F) {
	for _, text := range loadVectors(f).Shares.Texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseShare(text)
		if err != nil {
			return
		}
		back, err := parseShare(groups(b))
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%q comes back as %x, %v", text, back, err)
		}
		clean := strings.NewReplacer("-", "", " ", "", "\t", "", "\r", "", "\n", "").Replace(text)
		if strings.ToUpper(clean) != strings.ReplaceAll(groups(b), "-", "") {
			t.Fatalf("%q was read as %s", text, groups(b))
		}
	})
}

// A keyring fails to parse, or its JSON stays the same from then on.
func FuzzKeyring(f *testing.F) {
	f.Add([]byte(loadVectors(f).Keyring.Plaintext))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKeyring(b)
		if err != nil {
			return
		}
		text, err := json.Marshal(k)
		if err != nil {
			return // a not_after that no RFC 3339 time can state
		}
		back, err := parseKeyring(text)
		if err != nil || !bytes.Equal(mustJSON(t, back), text) {
			t.Fatalf("%s comes back as %+v, %v", text, back, err)
		}
	})
}
