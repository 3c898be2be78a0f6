package proof

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestLeafRefused(t *testing.T) {
	good := Leaf{Kind: KindMessage, Class: "general", Epoch: "e", RelaySeq: 1, BodyLen: 256}
	for name, change := range map[string]func(*Leaf){
		"no kind":                 func(l *Leaf) { l.Kind = 0 },
		"unknown kind":            func(l *Leaf) { l.Kind = 200 },
		"no class":                func(l *Leaf) { l.Class = "" },
		"class with a capital":    func(l *Leaf) { l.Class = "General" },
		"class that leaves home":  func(l *Leaf) { l.Class = "../x" },
		"long class":              func(l *Leaf) { l.Class = strings.Repeat("a", MaxClass+1) },
		"long epoch":              func(l *Leaf) { l.Epoch = strings.Repeat("a", MaxEpoch+1) },
		"relay seq without epoch": func(l *Leaf) { l.Epoch = "" },
		"epoch without relay seq": func(l *Leaf) { l.RelaySeq = 0 },
		"before 1970":             func(l *Leaf) { l.Received = -1 },
		"exact body length":       func(l *Leaf) { l.BodyLen = 255 },
	} {
		l := good
		change(&l)
		if _, err := l.Marshal(); !errors.Is(err, ErrLeaf) {
			t.Errorf("%s: marshalled, %v", name, err)
		}
		if _, err := ParseLeaf(l.AppendTo(nil)); !errors.Is(err, ErrLeaf) {
			t.Errorf("%s: parsed, %v", name, err)
		}
	}
	b, err := good.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := ParseLeaf(b[:n]); !errors.Is(err, ErrLeaf) {
			t.Errorf("the first %d bytes were a leaf", n)
		}
	}
	if _, err := ParseLeaf(append(b, 0)); !errors.Is(err, ErrLeaf) {
		t.Error("a byte after a leaf was accepted")
	}
	if MinLeaf != len(good.AppendTo(nil))-len(good.Class)-len(good.Epoch)+1 {
		t.Error("MinLeaf")
	}
}

// Every single bit of a leaf counts: its hash, and so the chain, changes.
func TestLeafEveryBit(t *testing.T) {
	for _, x := range loadVectors(t).Leaves {
		b := unhex(t, x.Leaf)
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			if LeafHash(b) == hashOf(t, x.Hash) {
				t.Fatalf("bit %d does not count", bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestCheckpointRefused(t *testing.T) {
	v := loadVectors(t)
	key, err := note.NewVerifier(v.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(v.LogSigner)
	if err != nil {
		t.Fatal(err)
	}
	text := v.Checkpoints[0].Text
	suffix := func(s string) string { return strings.Replace(text, "\n", s+"\n", 1) }
	for name, bad := range map[string]string{
		"another origin":   "x" + text,
		"restore zero":     suffix("/r0"),
		"a padded restore": suffix("/r01"),
		"a signed restore": suffix("/r+1"),
		"an empty restore": suffix("/r"),
		"a restore of one": suffix("/r1/r2"),
		"too many":         suffix("/r1000"),
		"far too many":     suffix("/r4294967297"),
		"another suffix":   suffix("/s1"),
		"leading zero":     strings.Replace(text, "\n4\n", "\n04\n", 1),
		"plus sign":        strings.Replace(text, "\n4\n", "\n+4\n", 1),
		"negative":         strings.Replace(text, "\n4\n", "\n-4\n", 1),
		"too large":        strings.Replace(text, "\n4\n", "\n9223372036854775808\n", 1),
		"short root":       strings.TrimSuffix(text, "\n")[:len(text)-5] + "\n",
		"an extension":     text + "more\n",
		"unpadded base64":  strings.Replace(text, "=\n", "\n", 1),
		"an older version": "go.sum database tree\n4\n" + strings.SplitAfter(text, "\n")[2],
	} {
		signed, err := note.Sign(&note.Note{Text: bad}, signer)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := OpenCheckpoint(signed, key); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: accepted, %v", name, err)
		}
	}
	good := []byte(v.Checkpoints[0].Signed)
	for bit := range len(good) * 8 {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if c, err := OpenCheckpoint(b, key); err == nil {
			t.Fatalf("accepted with bit %d flipped: %+v", bit, c)
		}
	}
	if _, err := OpenCheckpoint(bytes.Repeat([]byte("x"), MaxCheckpoint+1), key); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a giant: %v", err)
	}
}

func TestIdentityRefused(t *testing.T) {
	text := loadVectors(t).Identity
	for name, change := range map[string][2]string{
		"another archive id":  {`"archive_id": "ward.example"`, `"archive_id": "ward.exampla"`},
		"a newer version":     {`"v": 1`, `"v": 2`},
		"another key":         {`"identity_key": "A`, `"identity_key": "B`},
		"an unknown member":   {`"v": 1`, `"v": 1, "w": 1`},
		"another log's key":   {`"log_key": "holdfast.invalid/ward`, `"log_key": "holdfast.invalid/wart`},
		"a duplicate":         {`"v": 1`, `"v": 1, "v": 1`},
		"a case variant":      {`"v": 1`, `"V": 1`},
		"something behind it": {"}\n", "}\n{}"},
	} {
		bad := strings.Replace(text, change[0], change[1], 1)
		if bad == text {
			t.Fatalf("%s: the change did nothing", name)
		}
		if _, err := ParseIdentity([]byte(bad)); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: accepted, %v", name, err)
		}
	}
	if _, err := ParseIdentity(bytes.Repeat([]byte(" "), MaxIdentity+1)); !errors.Is(err, ErrIdentity) {
		t.Errorf("a giant: %v", err)
	}
	if _, err := ParseLogKey([]byte("nonsense")); err == nil {
		t.Error("nonsense was a log key")
	}
}

func TestKindNames(t *testing.T) {
	for k := range Kind(255) {
		if !k.Valid() {
			continue
		}
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Kind
		if err := back.UnmarshalText(text); err != nil || back != k {
			t.Errorf("%s reads back as %v, %v", text, back, err)
		}
	}
	var k Kind
	if k.UnmarshalText(nil) == nil || k.UnmarshalText([]byte("kind(0)")) == nil {
		t.Error("no kind at all was one")
	}
}

// What ParseLeaf accepts, Marshal returns to the byte.
func FuzzParseLeaf(f *testing.F) {
	for _, x := range loadVectors(f).Leaves {
		f.Add(unhex(f, x.Leaf))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLeaf(b)
		if err != nil {
			return
		}
		back, err := l.Marshal()
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x comes back as %x, %v", b, back, err)
		}
		if len(b) < MinLeaf || len(b) > MaxLeaf {
			t.Fatalf("a leaf of %d bytes", len(b))
		}
	})
}

// What is a checkpoint's text, Text returns to the byte.
func FuzzCheckpoint(f *testing.F) {
	v := loadVectors(f)
	for _, x := range v.Checkpoints {
		f.Add(x.Text)
		f.Add(strings.Replace(x.Text, "\n", "/r1\n", 1))
		f.Add(strings.Replace(x.Text, "\n", "/r01\n", 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseCheckpoint(text, v.Origin); err == nil && c.Text() != text {
			t.Fatalf("%q comes back as %q", text, c.Text())
		}
	})
}

// What ParseIdentity accepts is the same identity after Marshal, and its parts
// belong together. (Its bytes need not come back: white space is free in JSON,
// and the genesis leaf commits to the bytes.)
func FuzzIdentity(f *testing.F) {
	f.Add([]byte(loadVectors(f).Identity))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := ParseIdentity(b)
		if err != nil {
			return
		}
		text, err := id.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseIdentity(text)
		if err != nil || *back != *id {
			t.Fatalf("%+v comes back as %+v, %v", id, back, err)
		}
	})
}
