package proof

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// cosignatures is testdata/cosignatures.json, computed from the text of C2SP
// signed-note and tlog-cosignature by another implementation: a checkpoint with
// its log's signature and the lines of three witnesses.
type cosignatures struct {
	Text, Note string
	Cases      []struct {
		VKey, Line string
		Time       int64
	}
}

func readCosignatures(t testing.TB) (v cosignatures) {
	t.Helper()
	b, err := os.ReadFile("testdata/cosignatures.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil || len(v.Cases) < 3 {
		t.Fatal(err, len(v.Cases))
	}
	return v
}

func TestCosignatureVectors(t *testing.T) {
	v := readCosignatures(t)
	bare := strings.Join(strings.SplitAfter(v.Note, "\n")[:5], "")
	for _, c := range v.Cases {
		w, err := ParseWitnessKey([]byte(c.VKey + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if at, ok, err := w.Cosigned([]byte(v.Note)); err != nil || !ok || !at.Equal(time.Unix(c.Time, 0)) {
			t.Errorf("%s: %v, %v, %v", w.Name(), at, ok, err)
		}
		if _, ok, err := w.Cosigned([]byte(bare)); ok || err != nil {
			t.Errorf("%s is said to have cosigned what it did not: %v", w.Name(), err)
		}
		// Whatever bit of its signature, its time or the text is another one, it is no cosignature.
		raw, err := base64.StdEncoding.DecodeString(strings.Fields(c.Line)[2])
		if err != nil {
			t.Fatal(err)
		}
		for i := 4; i < len(raw); i++ {
			raw[i] ^= 1
			line := "— " + w.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
			if _, ok, err := w.Cosigned([]byte(bare + line)); ok || err == nil {
				t.Errorf("%s: byte %d of the cosignature was changed: %v, %v", w.Name(), i, ok, err)
			}
			raw[i] ^= 1
		}
		other := strings.Replace(bare, "\n1234\n", "\n1235\n", 1)
		if _, ok, err := w.Cosigned([]byte(other + c.Line)); ok || err == nil {
			t.Errorf("%s: it cosigned another size: %v", w.Name(), err)
		}
	}
}

// One witness's line under another's name is no cosignature of that.
func TestCosignatureOfAnother(t *testing.T) {
	v := readCosignatures(t)
	bare := strings.Join(strings.SplitAfter(v.Note, "\n")[:5], "")
	w, err := ParseWitnessKey([]byte(v.Cases[0].VKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := w.Cosigned([]byte(bare + v.Cases[1].Line)); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, _, err := w.Cosigned([]byte("no note")); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("%v", err)
	}
	if _, _, err := w.Cosigned(make([]byte, MaxCheckpoint+1)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("%v", err)
	}
}

func TestWitnessKeyIsStrict(t *testing.T) {
	good := readCosignatures(t).Cases[0].VKey
	parts := strings.Split(good, "+")
	key := strings.Join(parts[2:], "+")
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] = 1
	for name, text := range map[string]string{
		"nothing":       "",
		"no hash":       parts[0] + "+" + key,
		"another hash":  parts[0] + "+00000000+" + key,
		"another name":  "w+" + parts[1] + "+" + key,
		"cut off":       good[:len(good)-4],
		"not base64":    parts[0] + "+" + parts[1] + "+****",
		"a log's key":   parts[0] + "+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(raw),
		"hostile name":  "w\x1b[2J+" + parts[1] + "+" + key,
		"two lines":     good + "\n" + good,
		"large":         good + strings.Repeat("\n", MaxWitnessKey),
		"space at head": " " + good,
	} {
		if _, err := ParseWitnessKey([]byte(text)); !errors.Is(err, ErrWitnessKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzWitnessKey(f *testing.F) {
	f.Add([]byte("w+00000000+AAAA"))
	f.Add([]byte(readCosignatures(f).Cases[0].VKey))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseWitnessKey(b)
		if err != nil {
			return
		}
		if w.Name() == "" || strings.ContainsAny(w.Name(), "+ \n") {
			t.Errorf("%q is no name", w.Name())
		}
		if _, ok, _ := w.Cosigned(b); ok {
			t.Error("a key is a cosigned note")
		}
	})
}
