package daemon

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"holdfast/archive/seal"
	"holdfast/internal/durable"
	"holdfast/internal/regular"
	"holdfast/internal/setup"
)

// MasterFile is the name of the master key's file in a credentials folder: 64
// hexadecimal digits and a line feed.
const MasterFile = setup.MasterFile

// credentialsLink is what init leaves in the data directory so that the
// daemon finds the folder it was given: a symbolic link, no secret.
const credentialsLink = setup.CredentialsLink

// ErrCredential is returned when a key file is missing or not one.
var ErrCredential = errors.New("credential")

// CredentialsDir returns where the master key of the archive in data lies: the
// configured folder, else systemd's, else the one that init was given.
func CredentialsDir(configured, data string) string {
	if configured != "" {
		return configured
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		return dir
	}
	return filepath.Join(data, credentialsLink)
}

// credentialAbsent is what the packaged unit hands over in place of a
// credential file that is not there (systemd.exec(5), SetCredential=): without
// it a missing file would keep the daemon from being started at all.
const credentialAbsent = "holdfast-credential-absent" // #nosec G101 -- the word for none

// errAbsent is what a credential is that is not there.
var errAbsent = fmt.Errorf("it is not there: %w", fs.ErrNotExist)

// ReadCredential reads a credential of at most limit bytes. One that is not
// there, is empty, or stands for one that is not there is fs.ErrNotExist: a
// sealed one that could not be opened arrives empty.
func ReadCredential(dir, name string, limit int64) ([]byte, error) {
	text, err := regular.Read(filepath.Join(dir, name), limit)
	if err != nil {
		return nil, err
	}
	if word := strings.TrimSpace(string(text)); word == "" || word == credentialAbsent {
		return nil, errAbsent
	}
	return text, nil
}

// ErrNoMaster is the ErrCredential of a master key that is not there.
var ErrNoMaster = fmt.Errorf("%w: there is no master key", ErrCredential)

// ReadMaster reads the master key from a credentials folder: ErrNoMaster if
// there is none.
func ReadMaster(dir string) ([seal.MasterSize]byte, error) {
	var key [seal.MasterSize]byte
	path := filepath.Join(dir, MasterFile)
	text, err := ReadCredential(dir, MasterFile, 256)
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("%w at %s: set `credentials` in the configuration, or start with systemd's LoadCredential=%s", ErrNoMaster, path, MasterFile)
	}
	if err != nil {
		return key, fmt.Errorf("%w: %w", ErrCredential, err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("%w: %s does not hold a master key: it has to be %d hexadecimal digits", ErrCredential, path, 2*len(key))
	}
	return [seal.MasterSize]byte(b), nil
}

// EnsureMaster reads the master key, making one in the folder if there is none.
func EnsureMaster(dir string) (key [seal.MasterSize]byte, made bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return key, false, fmt.Errorf("%w: %w", ErrCredential, err)
	}
	path := filepath.Join(dir, MasterFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		key, err = ReadMaster(dir)
		return key, false, err
	}
	key = seal.NewKey()
	return key, true, durable.Create(path, []byte(hex.EncodeToString(key[:])+"\n"), 0o600)
}

// LinkCredentials notes in the data directory where init put the master key.
func LinkCredentials(data, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return durable.Symlink(abs, filepath.Join(data, credentialsLink))
}

// readPublicKey reads an Ed25519 public key from a PEM file.
func readPublicKey(path string) (ed25519.PublicKey, error) {
	text, err := regular.Read(path, 64<<10)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%s holds no PEM public key", path)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key", path)
	}
	return public, nil
}
