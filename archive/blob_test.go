package archive

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// withAttachment returns a signed message that names one attachment, and what
// ingest would have concluded about it.
func withAttachment(t *testing.T, relaySeq uint64, bid string, sealed []byte, status string) Entry {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(sealed)
	body, err := envelope.SignMessage(key, &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: "ward.test", Mid: bid, Usr: "u", Dev: "d", N: relaySeq, Sent: "2026-03-01T08:00:00.000Z",
		Att: []envelope.Attachment{{BID: bid, Name: "x.pdf", MIME: "application/pdf", Size: 3, Alg: envelope.AttachmentAlg,
			Key: jws.EncodeB64(make([]byte, 32)), CTSHA256: jws.EncodeB64(sum[:])}},
	})
	if err != nil {
		t.Fatal(err)
	}
	note, err := json.Marshal(MessageNote{Blobs: []BlobNote{{BID: bid, Status: status}}})
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Kind: proof.KindMessage, Class: proof.ClassGeneral, Epoch: "e1", RelaySeq: relaySeq, Note: note, Body: body}
}

// Check reads attachments: one that was changed or lost is named with its
// message's seq, and nobody is handed a changed one.
func TestCheckAttachments(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	bid := jws.EncodeB64(bytes.Repeat([]byte{7}, 16))
	sealed := []byte("ciphertext of an attachment")
	sum := sha256.Sum256(sealed)
	if err := a.PutBlob(t.Context(), bid, sum, bytes.NewReader([]byte("something else"))); !errors.Is(err, ErrInvalid) {
		t.Fatalf("another content: %v", err)
	}
	if has, err := a.HasBlob(bid, sum); has || err != nil {
		t.Fatalf("what was refused is there: %v", err)
	}
	if err := a.PutBlob(t.Context(), bid, sum, bytes.NewReader(sealed)); err != nil {
		t.Fatal(err)
	}
	pending := jws.EncodeB64(bytes.Repeat([]byte{8}, 16))
	placed := mustAppend(t, a, Batch{Cursor: &Cursor{Epoch: "e1", Seq: 2}, Entries: []Entry{
		withAttachment(t, 1, bid, sealed, BlobStored), withAttachment(t, 2, pending, sealed, BlobPending)}})
	if r := mustCheck(t, a); r.Blobs != 1 {
		t.Fatalf("%d attachments were read", r.Blobs)
	}
	path := a.blobPath(bid, sum)
	for what, change := range map[string]func() error{
		"is not what the message states": func() error { return os.WriteFile(path, []byte("rotten"), 0o600) },
		"is missing":                     func() error { return os.Remove(path) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		r, err := a.Check(t.Context(), CheckOptions{Bodies: true})
		if err != nil || r.Damage != 1 || r.Findings[0].Seq != placed[0].Seq || !strings.Contains(r.Findings[0].What, what) {
			t.Fatalf("%s: %+v, %v", what, r, err)
		}
		if _, err := a.OpenBlob(bid, sum); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBlob) {
			t.Fatalf("%s: it was handed out: %v", what, err)
		}
		if err := os.WriteFile(path, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := a.OpenBlob(bid, sum)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, sealed) {
		t.Fatalf("%q, %v", got, err)
	}
}

// Attachments leave the low-water mark alone, also when they turn out to be
// larger than anybody said.
func TestAttachmentsLeaveRoom(t *testing.T) {
	a, dir := makeArchive(t, Options{LowWater: 1 << 60})
	if err := a.PutBlob(t.Context(), "b", [32]byte{}, strings.NewReader("x")); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("a full disk: %v", err)
	}
	a.disk.lowWater = 0
	endless := io.MultiReader(strings.NewReader(strings.Repeat("x", 3*margin)), readerFunc(func([]byte) (int, error) {
		a.disk.lowWater = 1 << 60
		return 0, io.ErrNoProgress
	}))
	if err := a.PutBlob(t.Context(), "b", [32]byte{}, endless); !errors.Is(err, io.ErrNoProgress) {
		t.Fatalf("a source that fails: %v", err)
	}
	g := roomGuard{archive: a}
	if _, err := g.Write(make([]byte, margin)); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("the disk filled up on the way: %v", err)
	}
	left, err := os.ReadDir(blobTemp(dir))
	if err != nil || len(left) != 0 {
		t.Fatalf("%d unfinished files are left, %v", len(left), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
