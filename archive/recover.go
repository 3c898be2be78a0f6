package archive

import (
	"bytes"
	"crypto/ed25519"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
	"holdfast/internal/jws"
)

// ErrKit means that a recovery kit is another archive's.
var ErrKit = errors.New("these shares are not of this archive's recovery kit; the archive's id stands on every kit's first line")

// ReadIdentity reads who the archive in dir is, without any key and without
// holding it.
func ReadIdentity(dir string) (*proof.Identity, error) {
	_, id, err := readIdentity(dir)
	return id, err
}

// OpensWith reports whether the archive's keyring opens with the master key:
// ErrKeys if it does not. It changes nothing, and a daemon may run.
func OpensWith(dir string, master [seal.MasterSize]byte) error {
	_, id, err := readIdentity(dir)
	if err != nil {
		return err
	}
	_, err = openKeys(dir, master, id, true)
	return err
}

// CheckKit reports whether key is the recovery key of the archive in dir and
// opens its keyring.recovery: ErrKit if it is another archive's. It changes
// nothing, and a daemon may run.
func CheckKit(dir string, key *seal.RecoveryKey) error {
	_, _, err := openRecovery(dir, key)
	return err
}

// Recover opens keyring.recovery with the recovery key and writes `keyring`
// anew, under a new master key; the former one opens nothing from then on. No
// process may hold the archive: ErrLocked. A folder without a `keyring`, as a
// restored one is, gets one.
//
// A crash leaves the former keyring or the new one, never a mixture.
func Recover(dir string, key *seal.RecoveryKey, master [seal.MasterSize]byte) (err error) {
	if _, _, err := openRecovery(dir, key); err != nil {
		return err // before the file `lock` is made in what is no archive of this kit
	}
	held, err := lock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	if err := durable.FinishErasing(recoveryPath(dir)); err != nil {
		return err
	}
	// Read again: another process may have replaced it until it let go of the lock.
	id, ring, err := openRecovery(dir, key)
	if err != nil {
		return err
	}
	wrapped, err := ring.Wrap(master, id.Origin)
	if err != nil {
		return err
	}
	path := keyringPath(dir)
	if _, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		// A crash here leaves a folder without a keyring, as it was.
		err = durable.Replace(path, wrapped, 0o600)
	} else if err == nil {
		// A crash here leaves the former keyring, or both names of it: the next start erases what is left.
		err = durable.ReplaceErasing(path, wrapped, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return nil
}

// openRecovery opens keyring.recovery and checks that what is in it belongs to
// the archive.
func openRecovery(dir string, key *seal.RecoveryKey) (*proof.Identity, *seal.Keyring, error) {
	_, id, err := readIdentity(dir)
	if err != nil {
		return nil, nil, err
	}
	public, err := jws.DecodeB64(id.RecoveryKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: recovery_key", proof.ErrIdentity)
	}
	if !bytes.Equal(public, key.Public()) {
		return nil, nil, ErrKit
	}
	sealed, err := readLimited(recoveryPath(dir), seal.MaxKeyring)
	if err != nil {
		return nil, nil, fmt.Errorf("keyring.recovery: %w", err)
	}
	ring, err := seal.Recover(sealed, key, id.Origin)
	if err != nil {
		return nil, nil, fmt.Errorf("keyring.recovery: %w", err)
	}
	identity, err := jws.DecodeB64(id.IdentityKey)
	own, ok := ring.IdentityKey().Public().(ed25519.PublicKey)
	if err != nil || !ok || subtle.ConstantTimeCompare(identity, own) != 1 {
		return nil, nil, fmt.Errorf("keyring.recovery: %w", ErrForeign)
	}
	return id, ring, nil
}

// The acts of a KindKey entry that are about the master key and the recovery
// kit, in KeeperBody.Op.
const (
	KeyUnlocked = "unlocked" // a locked daemon was given its master key
	KeySplit    = "split"    // the recovery key was split into another set of shares
)

// KeeperBody is the body of a KindKey entry about the master key or the
// recovery kit. It holds no secret.
type KeeperBody struct {
	Version int    `json:"v"` // 1
	Op      string `json:"op"`
	By      uint32 `json:"by"`               // the account, by its uid on the archive's machine
	Way     string `json:"way,omitempty"`    // unlocked: "passphrase", "shares" or "key"
	Set     string `json:"set,omitempty"`    // split: the new set's id
	Needed  int    `json:"needed,omitempty"` // split: so many shares of it recover the key
	Shares  int    `json:"shares,omitempty"` // split: of so many
}
