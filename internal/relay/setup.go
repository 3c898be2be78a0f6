package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"holdfast/ingest/envelope"
	"holdfast/internal/durable"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// DefaultListen is where a relay listens if nothing else is said.
const DefaultListen = "127.0.0.1:7443"

const configFile = "relay.toml"

// ErrExists says that there is a relay already.
var ErrExists = errors.New("there is a relay already")

// ErrIdentity says that a file is not an archive's identity, or not the right one's.
var ErrIdentity = errors.New("not this archive's identity")

// Config is relay.toml. Unknown keys are refused.
type Config struct {
	ArchiveID string `toml:"archive_id"` // the one archive that this relay serves
	Listen    string `toml:"listen"`     // HOST:PORT
}

// ReadConfig reads relay.toml.
func ReadConfig(dir string) (Config, error) {
	var c Config
	b, err := os.ReadFile(filepath.Join(dir, configFile)) // #nosec G304 -- the relay's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is not a relay's folder; make one with holdfast-relay init: %w", dir, err)
	}
	if err != nil {
		return c, err
	}
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", configFile, err)
	}
	if !envelope.ValidArc(c.ArchiveID) {
		return c, fmt.Errorf("%s: archive_id does not match [a-z0-9.-]{1,64}", configFile)
	}
	return c, nil
}

// Params are what Init needs to know.
type Params struct {
	Arc      string            // the archive's id
	Listen   string            // HOST:PORT; "" stands for DefaultListen. With port 0 a free one is taken and written down
	Identity ed25519.PublicKey // the archive's identity key; nil to pin it later
}

// Init makes a relay in dir: certificates, keys, an empty queue, and last relay.toml. A crash before the last step leaves a folder that
// neither New nor Init accepts; remove it and begin again.
func Init(dir string, p Params) (Config, error) {
	if !envelope.ValidArc(p.Arc) {
		return Config{}, errors.New("the archive id must be 1 to 64 of a-z, 0-9, full stop and hyphen")
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Config{}, err
	}
	if len(entries) > 0 {
		return Config{}, fmt.Errorf("%w, or something else, in %s; name an empty or new folder", ErrExists, dir)
	}
	listen, host, err := settle(p.Listen)
	if err != nil {
		return Config{}, err
	}
	for _, d := range []string{dir, filepath.Join(dir, pkiDir), filepath.Join(dir, blobDir)} {
		if err := durable.Mkdir(d, 0o700); err != nil {
			return Config{}, err
		}
	}
	if err := makePKI(dir, p.Arc, host); err != nil {
		return Config{}, err
	}
	if p.Identity != nil {
		if err := pin(dir, p.Identity); err != nil {
			return Config{}, err
		}
	}
	if err := createQueue(dir, p.Arc); err != nil {
		return Config{}, err
	}
	c := Config{ArchiveID: p.Arc, Listen: listen}
	b, err := toml.Marshal(c)
	if err != nil {
		return Config{}, err
	}
	return c, durable.Create(filepath.Join(dir, configFile), b, 0o644)
}

// settle fills in the address to listen at, and returns its host too.
func settle(listen string) (address, host string, err error) {
	if listen == "" {
		listen = DefaultListen
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", "", fmt.Errorf("listen address: %w", err)
	}
	if port != "0" {
		return listen, host, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), host, l.Close()
}

// ParseIdentity reads an archive's identity.json as far as a relay and a sender's client need it.
func ParseIdentity(b []byte) (arc string, key ed25519.PublicKey, err error) {
	var id struct {
		ArchiveID   string `json:"archive_id"`
		IdentityKey string `json:"identity_key"`
	}
	if len(b) > 64<<10 {
		return "", nil, fmt.Errorf("%w: larger than 64 KiB", ErrIdentity)
	}
	if err := ijson.Unmarshal(b, &id); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	raw, err := jws.DecodeB64(id.IdentityKey)
	if err != nil || len(raw) != ed25519.PublicKeySize || !envelope.ValidArc(id.ArchiveID) {
		return "", nil, fmt.Errorf("%w: archive_id or identity_key has not its form", ErrIdentity)
	}
	return id.ArchiveID, raw, nil
}

// ReadIdentity reads identity.json and makes sure that it is of the archive arc.
func ReadIdentity(path, arc string) (ed25519.PublicKey, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, err
	}
	found, key, err := ParseIdentity(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if found != arc {
		return nil, fmt.Errorf("%s: %w: it is of %q, this relay serves %q", path, ErrIdentity, found, arc)
	}
	return key, nil
}

// Pin pins the archive's identity key, which acks and keysets are verified by. Another key than before is refused.
func Pin(dir string, key ed25519.PublicKey) error {
	if _, err := ReadConfig(dir); err != nil {
		return err
	}
	old, err := PinnedIdentity(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return pin(dir, key)
	}
	if err != nil {
		return err
	}
	if !old.Equal(key) {
		return fmt.Errorf("%w: another key is pinned in %s; remove that file if the archive was made anew",
			ErrIdentity, filepath.Join(dir, pkiDir, identityFile))
	}
	return nil
}

func pin(dir string, key ed25519.PublicKey) error { return writePublicKey(dir, identityFile, key) }

// PinnedIdentity returns the pinned identity key; the error is fs.ErrNotExist where none is.
func PinnedIdentity(dir string) (ed25519.PublicKey, error) {
	return readPublicKey(filepath.Join(dir, pkiDir, identityFile))
}

// ConfigBlock returns the [relay] table of the archive's configuration, with absolute paths.
func ConfigBlock(dir string, c Config) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path := func(name string) string { return filepath.Join(dir, pkiDir, name) }
	b, err := toml.Marshal(struct {
		Relay any `toml:"relay"`
	}{struct {
		URL      string `toml:"url"`
		CA       string `toml:"ca"`
		Cert     string `toml:"cert"`
		Key      string `toml:"key"`
		HeadKey  string `toml:"head_key"`
		EnrolKey string `toml:"enrol_key"`
	}{"https://" + c.Listen, path(caFile), path(roleArchive + ".pem"), path(roleArchive + ".key"), path(headPubFile), path(enrolPubFile)}})
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)) + "\n", nil
}

// addrFile names the running relay's address for the commands that call it.
const addrFile = "addr"

// Announce writes the running relay's HOST:PORT where load and status look for it. A crash leaves a stale one, which the next start replaces.
func Announce(dir, address string) error {
	return durable.Replace(filepath.Join(dir, addrFile), []byte(address+"\n"), 0o644)
}

// Withdraw removes what Announce wrote.
func Withdraw(dir string) error { return durable.Remove(filepath.Join(dir, addrFile)) }

// announced returns the address of the running relay, or the configured one.
func announced(dir string, c Config) string {
	b, err := os.ReadFile(filepath.Join(dir, addrFile)) // #nosec G304 -- the relay's own folder
	address := strings.TrimSpace(string(b))
	if _, _, split := net.SplitHostPort(address); err != nil || split != nil {
		return c.Listen
	}
	return address
}
