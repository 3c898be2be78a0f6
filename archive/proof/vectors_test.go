package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// vectors is testdata/vectors.json, which was computed by another
// implementation (FORMAT.md section 1 says what it holds).
type vectors struct {
	IdentitySeed string `json:"identity_seed"`
	LogSigner    string `json:"log_signer"`
	Identity     string
	Origin       string
	LogKey       string `json:"log_key"`
	GenesisPrev  string `json:"genesis_prev"`
	Leaves       []struct {
		Seq      uint64
		Kind     Kind64
		Class    string
		Received int64
		Epoch    string
		RelaySeq uint64 `json:"relay_seq"`
		Envelope string
		Content  string
		Note     string
		BodyLen  uint32 `json:"body_len"`
		Prev     string
		Random   string
		Body     []byte
		NoteText []byte `json:"note_text"`
		Leaf     string
		Hash     string
	}
	Checkpoints []struct {
		Size               uint64
		Root, Text, Signed string
	}
	Inclusion []struct {
		Seq, Size uint64
		Path      []string
	}
	Consistency []struct {
		Older, Newer uint64
		Path         []string
	}
}

// Kind64 reads a kind as its number: in JSON kinds have names.
type Kind64 uint64

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

func hashOf(t testing.TB, s string) Hash {
	t.Helper()
	return Hash(unhex(t, s))
}

func hashes(t testing.TB, s []string) []Hash {
	t.Helper()
	out := make([]Hash, len(s))
	for i := range s {
		out[i] = hashOf(t, s[i])
	}
	return out
}

func TestVectorsIdentity(t *testing.T) {
	v := loadVectors(t)
	id, err := ParseIdentity([]byte(v.Identity))
	if err != nil {
		t.Fatal(err)
	}
	key, err := id.Key()
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equal(ed25519.NewKeyFromSeed(unhex(t, v.IdentitySeed)).Public()) {
		t.Error("another identity key")
	}
	if got := Origin(id.ArchiveID, key); got != v.Origin || id.Origin != v.Origin {
		t.Errorf("origin %s, %s", got, id.Origin)
	}
	if got := GenesisPrev([]byte(v.Identity)); got != hashOf(t, v.GenesisPrev) {
		t.Errorf("genesis prev %x", got)
	}
	if b, err := id.Marshal(); err != nil || string(b) != v.Identity {
		t.Errorf("marshalled as %s, %v", b, err)
	}
	for _, text := range []string{v.Identity, v.LogKey, v.LogKey + "\n"} {
		if k, err := ParseLogKey([]byte(text)); err != nil || k.Name() != v.Origin {
			t.Errorf("log key: %v", err)
		}
	}
}

func TestVectorsLeaf(t *testing.T) {
	v := loadVectors(t)
	for _, x := range v.Leaves {
		l := Leaf{
			Seq: x.Seq, Kind: Kind(x.Kind), Class: x.Class, Received: x.Received, Epoch: x.Epoch, RelaySeq: x.RelaySeq,
			Envelope: hashOf(t, x.Envelope), Content: hashOf(t, x.Content), Note: hashOf(t, x.Note), BodyLen: x.BodyLen, Prev: hashOf(t, x.Prev),
		}
		b, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, unhex(t, x.Leaf)) {
			t.Errorf("leaf %d is %x", x.Seq, b)
		}
		if LeafHash(b) != hashOf(t, x.Hash) {
			t.Errorf("leaf %d has hash %x", x.Seq, LeafHash(b))
		}
		if back, err := ParseLeaf(b); err != nil || back != l {
			t.Errorf("leaf %d reads back as %+v, %v", x.Seq, back, err)
		}
		random := [32]byte(unhex(t, x.Random))
		if ContentCommitment(&random, x.Body) != l.Content || NoteCommitment(&random, x.NoteText) != l.Note || RoundBody(len(x.Body)) != l.BodyLen {
			t.Errorf("leaf %d: another commitment or length", x.Seq)
		}
	}
}

func TestVectorsTree(t *testing.T) {
	v := loadVectors(t)
	key, err := note.NewVerifier(v.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(v.LogSigner)
	if err != nil {
		t.Fatal(err)
	}
	roots := map[uint64]Checkpoint{}
	for _, x := range v.Checkpoints {
		c, err := OpenCheckpoint([]byte(x.Signed), key)
		if err != nil {
			t.Fatal(err)
		}
		if c.Size != x.Size || c.Root != hashOf(t, x.Root) || c.Text() != x.Text {
			t.Errorf("checkpoint %+v", c)
		}
		if signed, err := SignCheckpoint(c, signer); err != nil || string(signed) != x.Signed {
			t.Errorf("signed as %s, %v", signed, err)
		}
		roots[c.Size] = c
	}
	for _, x := range v.Inclusion {
		path, leaf := hashes(t, x.Path), hashOf(t, v.Leaves[x.Seq].Hash)
		if err := CheckInclusion(path, roots[x.Size], x.Seq, leaf); err != nil {
			t.Errorf("inclusion of %d: %v", x.Seq, err)
		}
		for other := range uint64(len(v.Leaves)) {
			if other != x.Seq && CheckInclusion(path, roots[x.Size], other, leaf) == nil {
				t.Errorf("leaf %d was proven at %d", x.Seq, other)
			}
		}
	}
	for _, x := range v.Consistency {
		older, known := roots[x.Older]
		if !known {
			continue
		}
		if err := CheckConsistency(hashes(t, x.Path), older, roots[x.Newer]); err != nil {
			t.Errorf("consistency of %d: %v", x.Older, err)
		}
		older.Root[0] ^= 1
		if CheckConsistency(hashes(t, x.Path), older, roots[x.Newer]) == nil {
			t.Errorf("another log of %d entries was found consistent", x.Older)
		}
	}
}
