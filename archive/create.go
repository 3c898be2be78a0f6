package archive

import (
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
	"holdfast/internal/durable"
	"holdfast/internal/jws"
)

// CreateOptions says what a new archive is to be.
type CreateOptions struct {
	ArchiveID string                // AMX/1's arc: [a-z0-9.-]{1,64}
	Master    [seal.MasterSize]byte // wraps the keyring
	Recovery  []byte                // recovery public key (seal.RecoveryKey.Public)
	KEMs      []envelope.KEM        // suites that senders may use; nil: X-Wing and P-256
}

// Create makes an archive in dir, which must be empty or not exist. The folder
// appears whole: a crash leaves no identity.json, and Create may be called
// again after the rest was removed.
func Create(ctx context.Context, dir string, o CreateOptions) (*proof.Identity, error) {
	if !envelope.ValidArc(o.ArchiveID) {
		return nil, fmt.Errorf("%w: an archive id is 1 to 64 of a-z 0-9 . -", ErrInvalid)
	}
	if err := emptyDir(dir); err != nil {
		return nil, err
	}
	ring, id, err := newKeyring(o)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"log", "bodies", "blobs", "blobs/tmp", "index"} {
		if err := durable.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	k := &keys{dir: dir, master: o.Master, origin: id.Origin, recovery: o.Recovery, ring: ring}
	wrapped, err := ring.Wrap(o.Master, id.Origin)
	if err != nil {
		return nil, err
	}
	sealed, err := ring.SealForRecovery(o.Recovery, id.Origin)
	if err != nil {
		return nil, err
	}
	if err := durable.Create(recoveryPath(dir), sealed, 0o600); err != nil {
		return nil, err
	}
	if err := durable.Create(keyringPath(dir), wrapped, 0o600); err != nil {
		return nil, err
	}
	if err := createLogFile(dir, 0, 0, id.Origin, nil); err != nil {
		return nil, err
	}
	text, err := id.Marshal()
	if err != nil {
		return nil, err
	}
	if err := appendGenesis(ctx, dir, k, id, text); err != nil {
		return nil, err
	}
	// identity.json comes last: without it the folder is no archive.
	return id, durable.Create(filepath.Join(dir, "identity.json"), text, 0o644)
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "identity.json" {
			return fmt.Errorf("%s: %w", dir, ErrExists)
		}
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty and is no archive: %w", dir, ErrExists)
	}
	return nil
}

func newKeyring(o CreateOptions) (*seal.Keyring, *proof.Identity, error) {
	if _, err := hpke.MLKEM768X25519().NewPublicKey(o.Recovery); err != nil {
		return nil, nil, fmt.Errorf("recovery key: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	origin := proof.Origin(o.ArchiveID, public)
	logSigner, logVerifier, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, nil, err
	}
	dedupe, state := seal.NewKey(), seal.NewKey()
	ring := &seal.Keyring{Version: 1, Generation: 1, Identity: private.Seed(), Log: logSigner, Dedupe: dedupe[:], State: state[:]}
	kems := o.KEMs
	if kems == nil {
		kems = []envelope.KEM{envelope.XWing, envelope.P256}
	}
	now := time.Now().UTC().Truncate(time.Second)
	for _, kem := range kems {
		key, err := envelope.GenerateKey(kem)
		if err != nil {
			return nil, nil, err
		}
		b, err := key.Bytes()
		if err != nil {
			return nil, nil, err
		}
		ring.Recipients = append(ring.Recipients, seal.Recipient{KID: key.KID(), KEM: uint16(kem), Private: b, NotAfter: now.Add(RecipientLife)})
	}
	return ring, &proof.Identity{
		Version: 1, ArchiveID: o.ArchiveID, Origin: origin, IdentityKey: jws.EncodeB64(public), LogKey: logVerifier,
		RecoveryKey: jws.EncodeB64(o.Recovery), Created: now.Format(time.RFC3339),
	}, nil
}

// appendGenesis writes leaf 0, whose body is identity.json.
func appendGenesis(ctx context.Context, dir string, k *keys, id *proof.Identity, text []byte) (err error) {
	a, err := start(dir, Options{Master: k.master}, k, id, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	_, err = a.Append(ctx, Batch{Entries: []Entry{{Kind: proof.KindGenesis, Class: proof.ClassControl, Body: text}}})
	return err
}
