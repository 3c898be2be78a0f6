package export

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// pieces are what random strings are made of.
var pieces = []string{
	"", "a", "wound care at 14:30", `"`, `\`, "\\u0041", "\x00", "\b", "\f", "\n", "\r", "\t", "\x1b[2J", "\x7f", "\u0080", "\u009f", "é", "<&>", "\u061c",
	"\u200e", "\u202e", "\u2028", "\u2029", "\u2066", "\ufeff", "\ufffd", "\xff", "\xed\xa0\x80", "\xe2\x82", "李小龍", "👩🏽‍⚕️", "=1+1",
}

func scramble(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// fill gives everything in v that JSON shows a random value, often none.
func fill(r *rand.Rand, v reflect.Value) {
	if v.Type() == reflect.TypeFor[proof.Kind]() {
		v.SetUint(uint64(r.IntN(20)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(scramble(r))
	case reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(65))
	case reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 4))
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	default:
		panic(v.Kind())
	}
}

// What is written by hand is what encoding/json writes, for any row and proof.
func TestLinesByHand(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	for range 5000 {
		var row Row
		fill(r, reflect.ValueOf(&row).Elem())
		want, err := marshalLine(&row)
		must(t, err)
		if got := row.appendTo([]byte("before"))[6:]; !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		p := recordProof{rec: &archive.Record{Note: []byte(scramble(r)), Body: []byte(scramble(r))}, device: r.Uint64() >> r.IntN(65), body: r.IntN(2) == 0}
		p.rec.Leaf = proof.Leaf{Seq: r.Uint64N(1 << 53), Kind: proof.KindMessage, Class: "general", Epoch: "e1", RelaySeq: 1 + r.Uint64N(1<<53), Received: r.Int64N(1 << 40)}
		p.rec.Random[r.IntN(32)] = byte(r.Uint32())
		p.leaf, err = p.rec.Leaf.Marshal()
		must(t, err)
		p.path = make([]proof.Hash, r.IntN(3))
		for i := range p.path {
			p.path[i][i] = byte(r.Uint32())
		}
		fill(r, reflect.ValueOf(&p.rests).Elem())
		fill(r, reflect.ValueOf(&p.says).Elem())
		e, err := newProofEntry(asRecord, *p.rec, p.path)
		must(t, err)
		e.Device, e.Rests, e.Says = p.device, p.rests, p.says
		if p.body {
			e.Body = string(p.rec.Body)
		}
		want, err = marshalLine(e)
		must(t, err)
		if got, err := p.appendTo(nil); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}

// FuzzNote: a note that is read without the JSON parser is one that the parser
// takes, and says the same.
func FuzzNote(f *testing.F) {
	for _, n := range []archive.MessageNote{
		{}, {ID: "m1", Time: relayTime, Assurance: "enrolled", Device: "kid"},
		{ID: "m1", Class: &archive.ClassNote{Rule: "target", Schedule: 12, Directory: 999999999999999}},
		{ID: "m1", Class: &archive.ClassNote{Directory: 9999999999999999}},
		{Flags: []string{"late"}, Blobs: []archive.BlobNote{{BID: "b", Status: archive.BlobStored}}},
	} {
		b, err := json.Marshal(n)
		must(f, err)
		f.Add(b)
		f.Add(append(b, ' '))
		f.Add(bytes.ReplaceAll(b, []byte("m1"), []byte(`m\u0031`)))
		f.Add(bytes.ReplaceAll(b, []byte("12"), []byte(`012`)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		usual, ok := readUsualNote(b)
		var want archive.MessageNote
		err := ijson.Unmarshal(b, &want)
		if ok && (err != nil || !reflect.DeepEqual(usual, want)) {
			t.Errorf("%q: read as %+v; the parser says %+v, %v", b, usual, want, err)
		}
		got, gotErr := readNote(b)
		if (gotErr == nil) != (err == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", b, got, gotErr)
		}
	})
}

// What the archive writes is what is read without the parser.
func TestUsualNotes(t *testing.T) {
	for _, n := range []archive.MessageNote{
		{ID: "m1", Time: relayTime, Assurance: "enrolled", Device: "kid"},
		{ID: "m1", Class: &archive.ClassNote{Rule: "target", Schedule: 12, Directory: 1}},
	} {
		b, err := json.Marshal(n)
		must(t, err)
		if got, ok := readUsualNote(b); !ok || !reflect.DeepEqual(got, n) {
			t.Errorf("%s: %+v, %v", b, got, ok)
		}
	}
}
