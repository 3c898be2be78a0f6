package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

// vectors is testdata/vectors.json, which was computed by another
// implementation (FORMAT.md section 1 says what it holds).
type vectors struct {
	Cursor struct {
		Epoch       string
		Ordinal     uint32
		Seq         uint64
		Head, Bytes string
	}
	Tip struct {
		Size       uint64
		Last, Root string
		Without    string `json:"without_cursor"`
		With       string `json:"with_cursor"`
	}
	Record struct {
		Random     string
		Note, Body []byte
		Plaintext  string
	}
	Dedupe struct {
		Key, Device, Digest string
		DeviceMAC           string `json:"device_mac"`
		DigestMAC           string `json:"digest_mac"`
	}
	Blob struct {
		BID      string
		CTSHA256 string `json:"ct_sha256"`
		Name     string
	}
	Nodes []struct {
		Level int
		N     int64
		Key   string
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

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s is %x, not %s", what, got, want)
	}
}

func TestVectors(t *testing.T) {
	v := loadVectors(t)
	c := Cursor{Epoch: v.Cursor.Epoch, Ordinal: v.Cursor.Ordinal, Seq: v.Cursor.Seq, Head: [32]byte(unhex(t, v.Cursor.Head))}
	wantHex(t, "the cursor", c.marshal(), v.Cursor.Bytes)
	if back, err := parseCursor(c.marshal()); err != nil || back != c {
		t.Errorf("the cursor reads back as %+v, %v", back, err)
	}
	tip := tipRecord{size: v.Tip.Size, last: proof.Hash(unhex(t, v.Tip.Last)), root: proof.Hash(unhex(t, v.Tip.Root))}
	wantHex(t, "the tip", tip.marshal(nil, nil), v.Tip.Without)
	wantHex(t, "the tip beside a cursor", tip.marshal(c.marshal(), nil), v.Tip.With)
	b := Body{Random: [32]byte(unhex(t, v.Record.Random)), Note: v.Record.Note, Bytes: v.Record.Body}
	wantHex(t, "the record", b.appendTo(nil), v.Record.Plaintext)
	m := macs{unhex(t, v.Dedupe.Key)}
	device, digest := m.device(v.Dedupe.Device), [32]byte(unhex(t, v.Dedupe.Digest))
	wantHex(t, "the device's MAC", device[:], v.Dedupe.DeviceMAC)
	mac := m.digest(&digest)
	wantHex(t, "the digest's MAC", mac[:], v.Dedupe.DigestMAC)
	a := &Archive{dir: "d"}
	if got := a.blobPath(v.Blob.BID, [32]byte(unhex(t, v.Blob.CTSHA256))); got != filepath.Join("d", "blobs", v.Blob.Name[:2], v.Blob.Name) {
		t.Errorf("the attachment is at %s", got)
	}
	for _, n := range v.Nodes {
		wantHex(t, "the node's key", u64(uint64(tlog.StoredHashIndex(n.Level, n.N))), n.Key)
	}
}

// Every bit of a tip record and of the cursor beside it counts.
func TestTipEveryBit(t *testing.T) {
	v := loadVectors(t)
	tip, cursor := unhex(t, v.Tip.With), unhex(t, v.Cursor.Bytes)
	if _, err := parseTip(tip, cursor, nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{tip, cursor} {
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := parseTip(tip, cursor, nil); err == nil {
				t.Fatalf("bit %d does not count", bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
	for _, b := range [][]byte{nil, tip[:len(tip)-1], append(bytes.Clone(tip), 0)} {
		if _, err := parseTip(b, cursor, nil); err == nil {
			t.Errorf("%d bytes were a tip record", len(b))
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(unhex(f, loadVectors(f).Cursor.Bytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCursor(b); err == nil && !bytes.Equal(c.marshal(), b) {
			t.Fatalf("%x comes back as %x", b, c.marshal())
		}
	})
}

func FuzzTip(f *testing.F) {
	f.Add(unhex(f, loadVectors(f).Tip.Without), []byte(nil))
	f.Add(unhex(f, loadVectors(f).Tip.With), unhex(f, loadVectors(f).Cursor.Bytes))
	f.Fuzz(func(t *testing.T, b, cursor []byte) {
		if tip, err := parseTip(b, cursor, nil); err == nil && !bytes.Equal(tip.marshal(cursor, nil), b) {
			t.Fatalf("%x comes back as %x", b, tip.marshal(cursor, nil))
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add(unhex(f, loadVectors(f).Record.Plaintext))
	f.Fuzz(func(t *testing.T, plain []byte) {
		if b, err := parseBody(plain); err == nil && !bytes.Equal(b.appendTo(nil), plain) {
			t.Fatalf("%x comes back as %x", plain, b.appendTo(nil))
		}
	})
}
