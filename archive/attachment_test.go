package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"testing"

	"holdfast/ingest/envelope"
)

// An attachment's plaintext is what was sealed, for every length that a chunk
// can end on, and nothing of one whose last chunk fails is given out.
func TestOpenAttachment(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	key := [32]byte{1, 2, 3}
	for _, size := range []int{0, 1, envelope.ChunkSize - 1, envelope.ChunkSize, envelope.ChunkSize + 1, 3 * envelope.ChunkSize} {
		plain := bytes.Repeat([]byte("ward round "), size/11+1)[:size]
		var sealed bytes.Buffer
		sum, _, err := envelope.SealAttachment(&sealed, bytes.NewReader(plain), key)
		if err == nil {
			err = a.PutBlob(t.Context(), "b", sum, &sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
		at, err := a.OpenAttachment("b", sum, key)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := io.ReadAll(at)
		if err = errors.Join(err, at.Close()); err != nil || !bytes.Equal(got, plain) || at.Size != int64(size) {
			t.Fatalf("%d bytes: %d came out, %v", size, len(got), err)
		}
		if _, err := a.OpenAttachment("b", sum, [32]byte{9}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes, another key: %v", size, err)
		}
	}
	if _, err := a.OpenAttachment("c", [32]byte{}, key); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("none: %v", err)
	}
}

// What its sender sealed badly has the hash that its message states, and is
// refused before its first byte all the same.
func TestOpenAttachmentSealedBadly(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	key := [32]byte{1}
	var sealed bytes.Buffer
	if _, _, err := envelope.SealAttachment(&sealed, bytes.NewReader(make([]byte, 2*envelope.ChunkSize)), key); err != nil {
		t.Fatal(err)
	}
	whole := sealed.Bytes()
	for what, b := range map[string][]byte{
		"nothing":            nil,
		"less than a tag":    whole[:15],
		"cut to a chunk":     whole[:envelope.ChunkSize+16],
		"a last tag altered": append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
		"a byte more":        append(bytes.Clone(whole), 0),
	} {
		sum := sha256.Sum256(b)
		if err := a.PutBlob(t.Context(), "b", sum, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.OpenAttachment("b", sum, key); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sum := sha256.Sum256(whole)
	if err := a.PutBlob(t.Context(), "b", sum, bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.blobPath("b", sum), whole[:envelope.ChunkSize], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.OpenAttachment("b", sum, key); !errors.Is(err, ErrDamaged) {
		t.Errorf("rotten: %v", err)
	}
}
