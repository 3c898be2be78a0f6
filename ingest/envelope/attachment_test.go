package envelope

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

var attKey = [32]byte{1, 2, 3}

func sealAttachment(t testing.TB, plain []byte) []byte {
	var out bytes.Buffer
	// One byte at a time, so that a chunk is what the format says and not what a read gives.
	var src io.Reader = bytes.NewReader(plain)
	if len(plain) < 1000 {
		src = iotest.OneByteReader(src)
	}
	sum, size, err := SealAttachment(&out, src, attKey)
	if err != nil {
		t.Fatal(err)
	}
	if sum != sha256.Sum256(out.Bytes()) || size != int64(len(plain)) || int64(out.Len()) != SealedSize(size) {
		t.Fatalf("sum, size %d or %d sealed bytes are wrong for %d", size, out.Len(), len(plain))
	}
	return out.Bytes()
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func openAttachment(sealed []byte, size int) ([]byte, error) {
	var out bytes.Buffer
	err := OpenAttachment(&out, bytes.NewReader(sealed), attKey, int64(size))
	return out.Bytes(), err
}

func TestAttachmentRoundTrip(t *testing.T) {
	for n, chunks := range map[int]int{0: 1, 1: 1, 500: 1, ChunkSize - 1: 1, ChunkSize: 1, ChunkSize + 1: 2, 2 * ChunkSize: 2, 3*ChunkSize + 7: 4} {
		sealed := sealAttachment(t, content(n))
		if len(sealed) != n+16*chunks {
			t.Errorf("%d bytes sealed to %d", n, len(sealed))
		}
		got, err := openAttachment(sealed, n)
		if err != nil || !bytes.Equal(got, content(n)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// The layout written a second time, from the specification: 11-byte counter, last flag, no empty last chunk.
func TestAttachmentLayout(t *testing.T) {
	plain := content(2 * ChunkSize)
	aead, err := attachmentAEAD(attKey)
	if err != nil {
		t.Fatal(err)
	}
	want := aead.Seal(nil, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, plain[:ChunkSize], nil)
	want = aead.Seal(want, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, plain[ChunkSize:], nil)
	if !bytes.Equal(sealAttachment(t, plain), want) {
		t.Error("two chunks differ from the specification")
	}
	if !bytes.Equal(sealAttachment(t, nil), aead.Seal(nil, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, nil, nil)) {
		t.Error("the empty file differs from the specification")
	}
}

// Cut, longer, reordered, doubled, altered, or under another key: refused, and of a chunk that does not hold nothing is given out.
func TestAttachmentRefused(t *testing.T) {
	const chunk = ChunkSize + gcmTag
	n := 2*ChunkSize + 100
	plain := content(n)
	good := sealAttachment(t, plain)
	a, b, c := good[:chunk], good[chunk:2*chunk], good[2*chunk:]
	whole := sealAttachment(t, plain[:2*ChunkSize])
	short := sealAttachment(t, plain[:ChunkSize])
	flip := func(at int) []byte { x := slices.Clone(good); x[at] ^= 1; return x }
	for _, x := range []struct {
		name   string
		sealed []byte
		size   int
		intact int // chunks that may have come out
	}{
		{"nothing", nil, n, 0},
		{"nothing, of an empty file", nil, 0, 0},
		{"cut within the tag", good[:len(good)-1], n, 2},
		{"cut after two chunks", good[:2*chunk], n, 2},
		{"cut within a chunk", good[:chunk+5], n, 1},
		{"cut after a chunk, size fitted", good[:chunk], ChunkSize, 0},
		{"cut after two chunks, size fitted", good[:2*chunk], 2 * ChunkSize, 1},
		{"one byte more", append(slices.Clone(good), 0), n, 3},
		{"its last chunk twice", slices.Concat(good, c), n, 3},
		{"an empty chunk more", slices.Concat(whole, sealAttachment(t, nil)), 2 * ChunkSize, 2},
		{"another file behind", slices.Concat(short, short), 2 * ChunkSize, 0},
		{"first two swapped", slices.Concat(b, a, c), n, 0},
		{"last two swapped", slices.Concat(a, c, b), n, 1},
		{"first doubled", slices.Concat(a, a, c), n, 1},
		{"middle left out", slices.Concat(a, c), ChunkSize + 100, 1},
		{"first bit", flip(0), n, 0},
		{"bit of the second chunk", flip(chunk + 9), n, 1},
		{"bit of the last tag", flip(len(good) - 1), n, 2},
		{"size too small", good, n - 1, 2},
		{"size too large", good, n + 1, 2},
		{"size of fewer chunks", good, ChunkSize, 0},
		{"size of more chunks", good, 5 * ChunkSize, 2},
		{"negative size", good, -1, 0},
	} {
		got, err := openAttachment(x.sealed, x.size)
		wantCode(t, x.name, err, BlobCorrupt)
		if len(got) > x.intact*ChunkSize || !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: %d bytes came out, at most %d chunks are authentic", x.name, len(got), x.intact)
		}
	}
	key := attKey
	key[0] ^= 1
	wantCode(t, "another key", OpenAttachment(io.Discard, bytes.NewReader(good), key, int64(n)), BlobCorrupt)
}

func TestAttachmentEveryCutAndBit(t *testing.T) {
	plain := content(70)
	good := sealAttachment(t, plain)
	for cut := range good {
		if _, err := openAttachment(good[:cut], 70); err == nil {
			t.Errorf("cut to %d bytes: accepted", cut)
		}
		if _, err := openAttachment(good[:cut], max(0, cut-16)); err == nil {
			t.Errorf("cut to %d bytes, size fitted: accepted", cut)
		}
	}
	for bit := range len(good) * 8 {
		x := slices.Clone(good)
		x[bit/8] ^= 1 << (bit % 8)
		if out, err := openAttachment(x, 70); err == nil || len(out) > 0 {
			t.Errorf("bit %d does not matter", bit)
		}
	}
}

// A failing disk or wire is not a corrupt blob: it is tried again.
func TestAttachmentIOErrors(t *testing.T) {
	broken := errors.New("wire broken")
	good := sealAttachment(t, content(ChunkSize+9))
	for _, at := range []int{0, 5, ChunkSize + 16, len(good) - 1, len(good)} {
		src := io.MultiReader(bytes.NewReader(good[:at]), iotest.ErrReader(broken))
		if err := OpenAttachment(io.Discard, src, attKey, ChunkSize+9); !errors.Is(err, broken) || errors.As(err, new(*Error)) {
			t.Errorf("open, wire broken at %d: %v", at, err)
		}
	}
	for _, at := range []int{0, 5, ChunkSize, ChunkSize + 5} {
		src := io.MultiReader(bytes.NewReader(content(at)), iotest.ErrReader(broken))
		if _, _, err := SealAttachment(io.Discard, src, attKey); !errors.Is(err, broken) {
			t.Errorf("seal, wire broken at %d: %v", at, err)
		}
	}
	full := writerFunc(func([]byte) (int, error) { return 0, broken })
	if _, _, err := SealAttachment(full, bytes.NewReader(content(9)), attKey); !errors.Is(err, broken) {
		t.Errorf("seal to a full disk: %v", err)
	}
	if err := OpenAttachment(full, bytes.NewReader(good), attKey, ChunkSize+9); !errors.Is(err, broken) {
		t.Errorf("open to a full disk: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzAttachment(f *testing.F) {
	f.Add([]byte("hello"), uint(0), byte(0))
	f.Add([]byte{}, uint(3), byte(1))
	f.Add(content(ChunkSize), uint(70000), byte(9))
	f.Fuzz(func(t *testing.T, plain []byte, at uint, mask byte) {
		sealed := sealAttachment(t, plain)
		sealed[at%uint(len(sealed))] ^= mask
		out, err := openAttachment(sealed, len(plain))
		if (err == nil) != (mask == 0) || err == nil && !bytes.Equal(out, plain) {
			t.Fatal(fmt.Errorf("mask %x: %w", mask, err))
		}
	})
}
