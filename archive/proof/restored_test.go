package proof

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// A checkpoint of a restored log is one of the same log's key, says so in its
// first line, and is no checkpoint of a key whose name is that line.
func TestCheckpointOfARestoredLog(t *testing.T) {
	v := loadVectors(t)
	signer, err := note.NewSigner(v.LogSigner)
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(v.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range map[uint32]string{0: v.Origin, 1: v.Origin + "/r1", 12: v.Origin + "/r12", MaxRestored: v.Origin + "/r999"} {
		want := Checkpoint{Origin: v.Origin, Restored: n, Size: 7, Root: Hash{1}}
		if want.Line() != line || !strings.HasPrefix(want.Text(), line+"\n7\n") {
			t.Errorf("restore %d: %q", n, want.Text())
		}
		signed, err := SignCheckpoint(want, signer)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenCheckpoint(signed, key); err != nil || got != want {
			t.Errorf("restore %d comes back as %+v, %v", n, got, err)
		}
	}
	// Two keys, of which one bears the other's name with a suffix.
	skey, vkey, err := note.GenerateKey(nil, v.Origin+"/r1")
	if err != nil {
		t.Fatal(err)
	}
	other, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignCheckpoint(Checkpoint{Origin: v.Origin + "/r1", Size: 7}, other)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := OpenCheckpoint(signed, key); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("another key's checkpoint was opened: %+v", c)
	}
	otherKey, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := OpenCheckpoint(signed, otherKey); err != nil || c.Restored != 0 {
		t.Errorf("a key whose name ends like a suffix: %+v, %v", c, err)
	}
}
