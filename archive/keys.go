package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
	"holdfast/internal/jws"
)

// keys is the keyring in memory and its two files. Every change goes to
// keyring.recovery first: a crash between the two leaves the recovery copy
// with a key more, never with one less.
type keys struct {
	dir      string
	master   [seal.MasterSize]byte
	origin   string
	recovery []byte // recovery public key

	mu   sync.Mutex
	ring *seal.Keyring
}

func keyringPath(dir string) string  { return filepath.Join(dir, "keyring") }
func recoveryPath(dir string) string { return filepath.Join(dir, "keyring.recovery") }

// openKeys reads the keyring with the master key.
func openKeys(dir string, master [seal.MasterSize]byte, id *proof.Identity, readOnly bool) (*keys, error) {
	if !readOnly {
		for _, path := range []string{recoveryPath(dir), keyringPath(dir)} {
			if err := durable.FinishErasing(path); err != nil {
				return nil, err
			}
		}
	}
	wrapped, err := readLimited(keyringPath(dir), seal.MaxKeyring)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	ring, err := seal.Unwrap(wrapped, master, id.Origin)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	recovery, err := jws.DecodeB64(id.RecoveryKey)
	if err != nil {
		return nil, fmt.Errorf("%w: recovery_key", proof.ErrIdentity)
	}
	return &keys{dir: dir, master: master, origin: id.Origin, recovery: recovery, ring: ring}, nil
}

// change replaces the keyring by what f makes of a copy of it, durable once it
// returns.
func (k *keys) change(f func(*seal.Keyring)) error {
	next := k.ring.Clone()
	f(next)
	next.Generation++
	sealed, err := next.SealForRecovery(k.recovery, k.origin)
	if err != nil {
		return err
	}
	wrapped, err := next.Wrap(k.master, k.origin)
	if err != nil {
		return err
	}
	if err := durable.ReplaceErasing(recoveryPath(k.dir), sealed, 0o600); err != nil {
		return fmt.Errorf("keyring.recovery: %w", err)
	}
	// A crash here leaves a recovery copy with a key that nothing uses yet.
	if err := durable.ReplaceErasing(keyringPath(k.dir), wrapped, 0o600); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	k.ring = next
	return nil
}

func (k *keys) bodyKey(name string, id [seal.IDSize]byte) (*seal.FileKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.ring.Bodies[name]
	if key == nil {
		return nil, fmt.Errorf("%w: the keyring has no key for body file %s", ErrNoBody, name)
	}
	return seal.NewFileKey([seal.KeySize]byte(key), id)
}

func (k *keys) addBodyKey(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring.Bodies[name] != nil {
		return nil
	}
	return k.change(func(r *seal.Keyring) {
		if r.Bodies == nil {
			r.Bodies = map[string][]byte{}
		}
		key := seal.NewKey()
		r.Bodies[name] = key[:]
	})
}

// indexKey returns the key of a log file's index, making it when there is none.
func (k *keys) indexKey(file uint64) ([seal.KeySize]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := fmt.Sprintf("%06d", file)
	if k.ring.Index[name] == nil {
		err := k.change(func(r *seal.Keyring) {
			if r.Index == nil {
				r.Index = map[string][]byte{}
			}
			key := seal.NewKey()
			r.Index[name] = key[:]
		})
		if err != nil {
			return [seal.KeySize]byte{}, err
		}
	}
	return [seal.KeySize]byte(k.ring.Index[name]), nil
}

func (k *keys) snapshot() *seal.Keyring {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ring
}

// readLimited reads a file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), limit)
	}
	b, err := os.ReadFile(path) // #nosec G304 -- a name of ours in the data directory
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w (run it as the archive's own user)", err)
	}
	return b, err
}
