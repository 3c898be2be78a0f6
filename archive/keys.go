package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
	"holdfast/internal/jws"
	"holdfast/internal/regular"
)

// keys is the keyring in memory and its two files. Every change goes to
// keyring.recovery first: a crash between the two leaves the recovery copy
// with a key more, never with one less.
type keys struct {
	dir      string
	master   [seal.MasterSize]byte
	origin   string
	recovery []byte // recovery public key

	mu      sync.Mutex
	ring    *seal.Keyring
	changed chan struct{}   // closed by the next change; nil while nobody waits
	inCopy  map[string]bool // body files whose key is in a copy of the keyring; nil: none is asked for
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
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no keyring in %s; `holdfastd unlock --by-shares` makes one of keyring.recovery and the recovery kit", ErrKeys, dir)
	}
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
	if k.changed != nil {
		close(k.changed)
		k.changed = nil
	}
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

func (k *keys) addBodyKey(name string) error { return k.addBodyKeys([]string{name}) }

// addBodyKeys makes those keys that are not there yet, in one replacement.
func (k *keys) addBodyKeys(names []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return k.ring.Bodies[name] != nil })
	if len(names) == 0 {
		return nil
	}
	return k.change(func(r *seal.Keyring) {
		if r.Bodies == nil {
			r.Bodies = map[string][]byte{}
		}
		for _, name := range names {
			key := seal.NewKey()
			r.Bodies[name] = key[:]
		}
	})
}

// destroy takes keys of body files and of indexes out of the keyring, in one
// replacement, and returns which they were and the generation of the keyring
// from which on they are not in it. With nothing to take out it changes
// nothing.
//
// A crash between the two files leaves the recovery copy with the keys less:
// they are still to be destroyed then, for the keyring has them.
func (k *keys) destroy(bodies []string, indexes []uint64) (ids []KeyID, generation uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var gone [][]byte
	take := func(from map[string][]byte, prefix, name string) {
		if key := from[name]; key != nil {
			ids, gone = append(ids, newKeyID(prefix+name, key)), append(gone, key)
			delete(from, name)
		}
	}
	remove := func(r *seal.Keyring) {
		for _, name := range bodies {
			take(r.Bodies, "bodies/", name)
		}
		for _, n := range indexes {
			take(r.Index, "index/", indexName(n))
		}
	}
	if remove(k.ring.Clone()); len(gone) == 0 {
		return nil, k.ring.Generation, nil
	}
	ids, gone = nil, nil
	if err := k.change(remove); err != nil {
		return nil, 0, err
	}
	for _, key := range gone {
		clear(key)
	}
	return ids, k.ring.Generation, nil
}

// rewrite replaces both files by what the keyring in memory is: after a
// replacement whose outcome is not known.
func (k *keys) rewrite() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.change(func(*seal.Keyring) {})
}

// ids names the keys that destroy would take out.
func (k *keys) ids(bodies []string, indexes []uint64) (ids []KeyID) {
	ring := k.snapshot()
	for _, name := range bodies {
		if key := ring.Bodies[name]; key != nil {
			ids = append(ids, newKeyID("bodies/"+name, key))
		}
	}
	for _, n := range indexes {
		if key := ring.Index[indexName(n)]; key != nil {
			ids = append(ids, newKeyID("index/"+indexName(n), key))
		}
	}
	return ids
}

func indexName(file uint64) string { return fmt.Sprintf("%06d", file) }

// indexKey returns the key of a log file's index, making it when there is none.
func (k *keys) indexKey(file uint64) ([seal.KeySize]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := indexName(file)
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

// readLimited reads a regular file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w (run it as the archive's own user)", err)
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), limit)
	}
	return b, nil
}

// openRegular opens a file of the archive, which is ErrDamaged if it is no
// regular one: whoever opens a pipe that was put in its place, as root may with
// doctor or unlock, would wait for somebody at its other end. bbolt opens its
// files by it.
func openRegular(path string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := regular.OpenFile(path, flag, perm)
	if errors.Is(err, regular.ErrIrregular) {
		return nil, fmt.Errorf("%w: %s is no regular file; see who put it there", ErrDamaged, filepath.Base(path))
	}
	return f, err
}
