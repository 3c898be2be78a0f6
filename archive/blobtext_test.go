package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// An attachment's text lies beside it under a key of its own, is there for who
// has the attachment's key alone, and is replaced whole.
func TestBlobText(t *testing.T) {
	a, dir := makeArchive(t, Options{})
	sealed := []byte("ciphertext")
	sum, key := sha256.Sum256(sealed), [32]byte{7}
	if err := a.PutBlobText(t.Context(), "b", sum, key, BlobText{Status: "text"}); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("a text without its attachment: %v", err)
	}
	if left, err := os.ReadDir(blobTemp(dir)); err != nil || len(left) != 0 {
		t.Fatalf("%d unfinished files are left, %v", len(left), err)
	}
	if err := a.PutBlob(t.Context(), "b", sum, bytes.NewReader(sealed)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.BlobText("b", sum, key); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("before: %v", err)
	}
	for _, text := range []BlobText{
		{Status: "text", Text: "troponin of María", Tool: "tool 1"}, {Status: "none"}, {},
		{Status: strings.Repeat("s", 64), Tool: strings.Repeat("t", 64), Text: strings.Repeat("x", MaxBlobText)},
	} {
		if err := a.PutBlobText(t.Context(), "b", sum, key, text); err != nil {
			t.Fatal(err)
		}
		got, err := a.BlobText("b", sum, key)
		if err != nil || got != text {
			t.Fatalf("%s, %d bytes, %v", got.Status, len(got.Text), err)
		}
		if _, err := a.BlobText("b", sum, [32]byte{8}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("another key: %v", err)
		}
	}
	for _, text := range []BlobText{{Status: strings.Repeat("s", 65)}, {Tool: strings.Repeat("t", 65)}, {Text: strings.Repeat("x", MaxBlobText+1)}} {
		if err := a.PutBlobText(t.Context(), "b", sum, key, text); !errors.Is(err, ErrInvalid) {
			t.Fatalf("too long: %v", err)
		}
	}
	if r := mustCheck(t, a); r.Damage != 0 {
		t.Fatalf("%+v", r)
	}
}

// What became of the file is no text: it is read anew from the attachment.
func TestBlobTextDamaged(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	sealed := []byte("ciphertext")
	sum, key := sha256.Sum256(sealed), [32]byte{7}
	put := func(bid string) string {
		if err := a.PutBlob(t.Context(), bid, sum, bytes.NewReader(sealed)); err != nil {
			t.Fatal(err)
		}
		if err := a.PutBlobText(t.Context(), bid, sum, key, BlobText{Status: "text", Text: bid}); err != nil {
			t.Fatal(err)
		}
		return newBlobName(bid, sum).textPath(a.dir)
	}
	path, other := put("b"), put("c")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	another, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"empty": nil, "cut short": whole[:len(whole)-1], "a bit": append([]byte{whole[0] ^ 1}, whole[1:]...), "another's": another,
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := a.BlobText("b", sum, key); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if err := os.Truncate(path, mostSealedText+1); err != nil {
		t.Fatal(err)
	}
	if got, err := a.BlobText("b", sum, key); err == nil {
		t.Errorf("too long: %+v", got)
	}
}

// The text goes with the attachment, and comes not back when somebody who was
// reading it is done only then.
func TestBlobTextUnlinked(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	sealed := []byte("ciphertext")
	sum, key := sha256.Sum256(sealed), [32]byte{7}
	if err := a.PutBlob(t.Context(), "b", sum, bytes.NewReader(sealed)); err != nil {
		t.Fatal(err)
	}
	if err := a.PutBlobText(t.Context(), "b", sum, key, BlobText{Status: "text", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	name := newBlobName("b", sum)
	never := func() error { return nil }
	if err := a.claims.unlink(name, a.dir, never); err != nil {
		t.Fatal(err)
	}
	if _, err := a.BlobText("b", sum, key); err != nil {
		t.Fatalf("one that is claimed went: %v", err)
	}
	a.claims.at[name] = time.Now().Add(-2 * claimLife)
	if err := a.claims.unlink(name, a.dir, never); err != nil {
		t.Fatal(err)
	}
	if _, err := a.BlobText("b", sum, key); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("it stayed: %v", err)
	}
	if err := a.PutBlobText(t.Context(), "b", sum, key, BlobText{Status: "text", Text: "x"}); !errors.Is(err, ErrNoBlob) {
		t.Fatalf("it came back: %v", err)
	}
}

func FuzzBlobText(f *testing.F) {
	f.Add((&BlobText{Status: "text", Tool: "t", Text: "x"}).bytes())
	f.Add([]byte{1, 64, 64})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseBlobText(b)
		if err == nil && !bytes.Equal(got.bytes(), b) {
			t.Fatalf("%q is read as %+v", b, got)
		}
	})
}
