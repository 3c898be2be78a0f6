package setup

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive/seal"
	"holdfast/internal/durable"
	"holdfast/internal/regular"
)

// The files of a credentials folder that may hold the master key.
const (
	MasterFile     = "holdfast.master"            // as it is: 64 hexadecimal digits and a line feed
	SealedFile     = "holdfast.master.sealed"     // sealed by systemd-creds to this machine
	PassphraseFile = "holdfast.master.passphrase" // wrapped by a passphrase (archive/FORMAT.md section 8)

	// DirectoryFile is the file with the password for the directory.
	DirectoryFile = "holdfast.directory"
)

// The ways in which a master key may be kept, in Master.Kind.
const (
	KindFile       = "file"
	KindSealed     = "sealed"
	KindPassphrase = "passphrase"
)

// masterFiles are the files of the ways.
var masterFiles = map[string]string{KindFile: MasterFile, KindSealed: SealedFile, KindPassphrase: PassphraseFile}

// MinPassphrase is how many characters a passphrase has at least.
const MinPassphrase = 16

// Keeper keeps a master key.
type Keeper struct {
	Kind       string // one of the Kind constants
	Seal       string // of KindSealed: systemd-creds' --with-key; "" is auto
	Passphrase []byte // of KindPassphrase
}

// KindOf returns how the master key is kept in a credentials folder; "" where
// there is none.
func KindOf(credentials string) (string, error) {
	for _, kind := range []string{KindPassphrase, KindSealed, KindFile} {
		_, err := os.Lstat(filepath.Join(credentials, masterFiles[kind]))
		if err == nil {
			return kind, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

// CanSeal reports whether systemd-creds is there, and whether a TPM is.
func CanSeal(ctx context.Context) (can, tpm bool) {
	path, err := exec.LookPath("systemd-creds")
	if err != nil {
		return false, false
	}
	return true, exec.CommandContext(ctx, path, "has-tpm2", "--quiet").Run() == nil // #nosec G204 -- systemd's own program
}

// Keep puts the master key into its file, which must not be there, durable once
// it returns, and opens it again. It returns the file.
func (k Keeper) Keep(ctx context.Context, credentials string, master [seal.MasterSize]byte) (string, error) {
	text := []byte(hex.EncodeToString(master[:]) + "\n")
	path := filepath.Join(credentials, masterFiles[k.Kind])
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("%s: %w; it may be another archive's key: move it to a safe place first", path, ErrThere)
	}
	var err error
	switch k.Kind {
	case KindFile:
	case KindSealed:
		text, err = k.sealed(ctx, text)
	case KindPassphrase:
		text, err = seal.WrapPassphrase(master, k.Passphrase)
	default:
		err = fmt.Errorf("%w: a master key is kept as file, sealed or passphrase", ErrGiven)
	}
	if err != nil {
		return "", err
	}
	return path, durable.Create(path, text, 0o600)
}

// sealed has systemd-creds seal the key, and unseal it again.
func (k Keeper) sealed(ctx context.Context, text []byte) ([]byte, error) {
	with := k.Seal
	if with == "" {
		with = "auto"
	}
	out, err := systemdCreds(ctx, text, "encrypt", "--name="+MasterFile, "--with-key="+with, "-", "-")
	if err != nil {
		return nil, fmt.Errorf("%w; keep the key as a file, or by a passphrase, where the machine cannot seal it", err)
	}
	back, err := systemdCreds(ctx, out, "decrypt", "--name="+MasterFile, "-", "-")
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(back, text) != 1 {
		return nil, errors.New("systemd-creds unsealed something else than it sealed; nothing was kept")
	}
	return out, nil
}

// Unseal has systemd-creds open the sealed master key.
func Unseal(ctx context.Context, credentials string) (key [seal.MasterSize]byte, err error) {
	text, err := regular.Read(filepath.Join(credentials, SealedFile), 1<<20)
	if err != nil {
		return key, err
	}
	back, err := systemdCreds(ctx, text, "decrypt", "--name="+MasterFile, "-", "-")
	if err != nil {
		return key, err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(back)))
	if err != nil || len(b) != len(key) {
		return key, errors.New("what systemd-creds unsealed is no master key")
	}
	return [seal.MasterSize]byte(b), nil
}

var errNoSeal = fmt.Errorf("%w: there is no systemd-creds on this machine (systemd 250 or later has it), so that it can seal no key; keep the master key as a file, or by a passphrase", ErrGiven)

// systemdCreds runs it; secrets go through pipes alone.
func systemdCreds(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	path, err := exec.LookPath("systemd-creds")
	if err != nil {
		return nil, errNoSeal
	}
	c := exec.CommandContext(ctx, path, args...) // #nosec G204 -- systemd's own program; the arguments are ours
	c.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("systemd-creds %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// formerMark is between the name of a master key's file and the time at which it
// was set aside.
const formerMark = ".former-"

// SetAside renames the file in which the master key was kept: it opens the
// archive no more, and is not destroyed either. It returns the new name, "" if
// there was none.
func SetAside(credentials, kind string) (string, error) {
	path := filepath.Join(credentials, masterFiles[kind])
	aside := path + formerMark + time.Now().UTC().Format("20060102T150405Z")
	err := durable.Publish(path, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return aside, nil
}

// PutBack undoes SetAside.
func PutBack(aside string) error {
	if aside == "" {
		return nil
	}
	path, _, _ := strings.Cut(aside, formerMark)
	return durable.Publish(aside, path)
}

// CheckPassphrase refuses one that is guessed too soon.
func CheckPassphrase(p []byte) error {
	switch {
	case !utf8.Valid(p):
		return fmt.Errorf("%w: a passphrase is UTF-8", ErrGiven)
	case utf8.RuneCount(p) < MinPassphrase || len(p) > seal.MaxPassphrase:
		return fmt.Errorf("%w: a passphrase has %d characters or more: five or six words that have nothing to do with each other", ErrGiven, MinPassphrase)
	case bytes.Count(p, p[:1]) == len(p):
		return fmt.Errorf("%w: that is one character again and again", ErrGiven)
	}
	return nil
}

// AskNewPassphrase asks for one, twice.
func AskNewPassphrase(ctx context.Context, d *Dialog) ([]byte, error) {
	for {
		first, err := d.Secret(ctx, "the passphrase", "new passphrase")
		if err != nil {
			return nil, err
		}
		if err := CheckPassphrase(first); err != nil {
			if err := d.Say("  %v", err); err != nil {
				return nil, err
			}
			continue
		}
		again, err := d.Secret(ctx, "the passphrase", "the same again")
		if err != nil {
			return nil, err
		}
		if subtle.ConstantTimeCompare(first, again) == 1 {
			return first, nil
		}
		if err := d.Say("  The two are not the same."); err != nil {
			return nil, err
		}
	}
}
