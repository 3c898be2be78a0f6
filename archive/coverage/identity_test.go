package coverage

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
	"holdfast/internal/jws"
)

// logKeys are the checkpoint keys of the archives of this test, by origin.
var logKeys = map[string]note.Signer{}

// identity makes the identity of an archive with the given key.
func identity(t testing.TB, key ed25519.PrivateKey) ([]byte, *proof.Identity) {
	t.Helper()
	public := key.Public().(ed25519.PublicKey)
	origin := proof.Origin("a.example", public)
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	if logKeys[origin], err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(proof.Identity{
		Version: 1, ArchiveID: "a.example", Origin: origin, IdentityKey: jws.EncodeB64(public), LogKey: vkey,
		RecoveryKey: jws.EncodeB64(make([]byte, 1216)), Created: "2026-03-01T00:00:00Z",
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := proof.ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	return text, id
}

// Checkpoint implements Log: the root is made up, which nothing here looks at.
func (l *ledger) Checkpoint(context.Context) ([]byte, error) {
	return proof.SignCheckpoint(proof.Checkpoint{Origin: l.id.Origin, Size: l.Size()}, logKeys[l.id.Origin])
}
