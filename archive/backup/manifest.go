package backup

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// ManifestType is the typ of a backup's JWS.
const ManifestType = "holdfast+backup"

// Limits of a manifest.
const (
	MaxManifest = 64 << 20 // bytes of the compact JWS
	maxFiles    = 1 << 16
	maxLists    = 1 << 12
	maxKeys     = 1 << 16
	maxPath     = 128
	maxSize     = 1 << 50 // bytes of one file
)

// ErrManifest is returned for what is not the manifest of a backup.
var ErrManifest = errors.New("not the manifest of a backup")

// Manifest says what one backup is: the log as of Size entries, and every file
// that a store of exactly that log needs but for its keys.
type Manifest struct {
	V         int    `json:"v"`  // 1
	ID        string `json:"id"` // YYYYMMDDTHHMMSSZ-SIZE, as its file is named
	ArchiveID string `json:"archive_id"`
	Origin    string `json:"origin"`
	Version   string `json:"version"` // of the program that made it
	Schema    uint32 `json:"schema"`  // of the store's files
	Created   string `json:"created"` // RFC 3339, UTC, whole seconds

	Size       uint64  `json:"size"`       // entries of the log; no file holds a later one
	Root       string  `json:"root"`       // tree hash, hex
	Last       string  `json:"last"`       // leaf hash of entry Size-1, hex
	Checkpoint string  `json:"checkpoint"` // signed note of exactly Size and Root
	Cursor     *Cursor `json:"cursor,omitempty"`

	Keyring  uint64          `json:"keyring_generation"` // a copy of the keyring of this generation or later, with all of Keys, opens the backup
	Keys     []archive.KeyID `json:"keys"`               // of the body files, by name
	Identity string          `json:"identity"`           // SHA-256 of identity.json, hex
	Files    []File          `json:"files"`              // identity.json, log, bodies; by path
	Lists    []List          `json:"lists"`              // of attachments; by folder
}

// Cursor is how far the relay's stream is in the backup.
type Cursor struct {
	Epoch   string `json:"epoch"`
	Ordinal uint32 `json:"ordinal"`
	Seq     uint64 `json:"seq"`
	Head    string `json:"head"` // hex
}

// File is one file of the store. Its content is the object named SHA256.
type File struct {
	Path     string `json:"path"` // below the data directory, with slashes
	Size     int64  `json:"size"` // bytes
	SHA256   string `json:"sha256"`
	Finished bool   `json:"finished"` // nothing is ever written to it again: a later backup takes it from here
	Records  uint64 `json:"records"`  // leaves or bodies in it; 0 for other files
}

// List is the attachments of one folder. They are too many to stand in the
// manifest; the list itself is the object named SHA256 (ParseList).
type List struct {
	Folder string `json:"folder"` // two hex digits
	SHA256 string `json:"sha256"`
	Files  uint64 `json:"files"`
	Bytes  int64  `json:"bytes"` // of the files together
}

var (
	idText     = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}Z)-([1-9][0-9]{0,18})$`)
	hashText   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	folderText = regexp.MustCompile(`^[0-9a-f]{2}$`)
	filePath   = regexp.MustCompile(`^(identity\.json|log/[0-9]{6}\.db|bodies/[0-9]{4}-[0-9]{2}\.[a-z0-9-]{1,32}\.g[1-9][0-9]{0,5}\.db)$`)
	blobPath   = regexp.MustCompile(`^blobs/([0-9a-f]{2})/([0-9a-f]{64})$`)
	keyName    = regexp.MustCompile(`^(bodies/[0-9]{4}-[0-9]{2}\.[a-z0-9-]{1,32}\.g[1-9][0-9]{0,5}|index/[0-9]{6,20}|recipients/[A-Za-z0-9._-]{1,64})$`)
	keyDigest  = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

const idTime = "20060102T150405Z"

// NewID names a backup of so many entries made at a time.
func NewID(at time.Time, size uint64) string {
	return at.UTC().Format(idTime) + "-" + strconv.FormatUint(size, 10)
}

// ParseID reads a backup's name: when it was made, and of how many entries.
func ParseID(id string) (at time.Time, size uint64, err error) {
	m := idText.FindStringSubmatch(id)
	if m == nil {
		return at, 0, fmt.Errorf("%w: its id is no YYYYMMDDTHHMMSSZ-SIZE", ErrManifest)
	}
	if at, err = time.Parse(idTime, m[1]); err == nil {
		size, err = strconv.ParseUint(m[2], 10, 63)
	}
	if err != nil || NewID(at, size) != id {
		return at, 0, fmt.Errorf("%w: its id is no YYYYMMDDTHHMMSSZ-SIZE", ErrManifest)
	}
	return at, size, nil
}

// Sign returns the manifest's file: a compact JWS by the archive's identity
// key.
func (m *Manifest) Sign(key crypto.Signer) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	compact, err := jws.Sign(ManifestType, key, payload)
	if err == nil && len(compact) >= MaxManifest {
		err = fmt.Errorf("%w: larger than %d bytes", ErrManifest, MaxManifest)
	}
	return compact, err
}

// ParseManifest reads a manifest, strictly, without looking at its signature.
// One line feed may end it.
func ParseManifest(compact []byte) (*Manifest, error) {
	m, _, err := parseManifest(compact)
	return m, err
}

func parseManifest(compact []byte) (*Manifest, *jws.Compact, error) {
	if len(compact) > MaxManifest {
		return nil, nil, fmt.Errorf("%w: larger than %d bytes", ErrManifest, MaxManifest)
	}
	c, err := jws.Parse(bytes.TrimSuffix(compact, []byte("\n")), ManifestType)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	var m Manifest
	if err := ijson.UnmarshalStrict(c.Payload, &m); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return &m, c, m.check()
}

// VerifyManifest reads a manifest and checks it against an archive's identity:
// signature, archive and origin, and that the checkpoint is the log's own and
// states the manifest's size and root.
func VerifyManifest(compact []byte, id *proof.Identity) (*Manifest, error) {
	m, c, err := parseManifest(compact)
	if err != nil {
		return nil, err
	}
	if err := signedBy(c, id, m.ArchiveID, m.Origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	log, err := id.LogVerifier()
	if err != nil {
		return nil, err
	}
	cp, err := proof.OpenCheckpoint([]byte(m.Checkpoint), log)
	if err != nil {
		return nil, fmt.Errorf("%w: its checkpoint: %w", ErrManifest, err)
	}
	if cp.Size != m.Size || hex.EncodeToString(cp.Root[:]) != m.Root {
		return nil, fmt.Errorf("%w: its checkpoint states another log", ErrManifest)
	}
	return m, nil
}

// signedBy checks a JWS against the identity that is said to have made it.
func signedBy(c *jws.Compact, id *proof.Identity, archiveID, origin string) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	kid, err := jws.Thumbprint(key)
	if err != nil {
		return err
	}
	if c.Header.Kid != kid || archiveID != id.ArchiveID || origin != id.Origin {
		return errors.New("it was made by another archive")
	}
	return c.Verify(key)
}

// check refuses a manifest whose parts are malformed, out of order or
// contradict one another.
func (m *Manifest) check() error {
	_, size, err := ParseID(m.ID)
	if err != nil {
		return err
	}
	created, err := time.Parse(time.RFC3339, m.Created)
	fault := ""
	switch {
	case m.V != 1:
		return fmt.Errorf("%w: version %d; this program knows version 1", ErrManifest, m.V)
	case err != nil || created.UTC().Format("2006-01-02T15:04:05Z") != m.Created || NewID(created, m.Size) != m.ID:
		fault = "its time is not that of its id"
	case size != m.Size || m.Keyring == 0 || m.Schema == 0:
		fault = "its size, keyring or schema"
	case len(m.Version) > maxPath || m.Version == "":
		fault = "its version"
	case !hashText.MatchString(m.Root) || !hashText.MatchString(m.Last) || !hashText.MatchString(m.Identity):
		fault = "a hash"
	case len(m.Checkpoint) > proof.MaxCheckpoint:
		fault = "its checkpoint"
	case m.Cursor != nil && (len(m.Cursor.Epoch) > proof.MaxEpoch || m.Cursor.Epoch == "" || !hashText.MatchString(m.Cursor.Head)):
		fault = "its cursor"
	case len(m.Files) > maxFiles || len(m.Lists) > maxLists || len(m.Keys) > maxKeys:
		fault = "too long"
	}
	if fault != "" {
		return fmt.Errorf("%w: %s", ErrManifest, fault)
	}
	if err := m.checkFiles(); err != nil {
		return err
	}
	return checkKeys(m.Keys)
}

// checkFiles looks at the files and lists. Every body file has its key, and
// the log its files without a gap.
func (m *Manifest) checkFiles() error {
	before, logs, identity := "", 0, false
	have := map[string]bool{}
	for _, k := range m.Keys {
		have[k.Name] = true
	}
	for _, f := range m.Files {
		if !filePath.MatchString(f.Path) || f.Path <= before || f.Size <= 0 || f.Size > maxSize || !hashText.MatchString(f.SHA256) || f.Records > m.Size {
			return fmt.Errorf("%w: a file of it", ErrManifest)
		}
		before = f.Path
		switch dir, base := path.Split(f.Path); dir {
		case "":
			identity = f.SHA256 == m.Identity && f.Size <= proof.MaxIdentity
		case "log/":
			if base != fmt.Sprintf("%06d.db", logs) {
				return fmt.Errorf("%w: a file of the log is missing in it", ErrManifest)
			}
			logs++
		case "bodies/":
			if !have[strings.TrimSuffix(f.Path, ".db")] {
				return fmt.Errorf("%w: it does not name the key of a body file", ErrManifest)
			}
		}
	}
	if !identity || logs == 0 {
		return fmt.Errorf("%w: it has no identity or no log", ErrManifest)
	}
	before = ""
	for _, l := range m.Lists {
		if !folderText.MatchString(l.Folder) || l.Folder <= before || !hashText.MatchString(l.SHA256) || l.Files == 0 || l.Bytes < 0 || l.Bytes > maxSize {
			return fmt.Errorf("%w: a list of it", ErrManifest)
		}
		before = l.Folder
	}
	return nil
}

func checkKeys(keys []archive.KeyID) error {
	before := ""
	for _, k := range keys {
		if !keyName.MatchString(k.Name) || k.Name <= before || !keyDigest.MatchString(k.ID) {
			return fmt.Errorf("%w: a key's name", ErrManifest)
		}
		before = k.Name
	}
	return nil
}

// Finished returns the files by path that a later backup takes over.
func (m *Manifest) Finished() map[string]File {
	out := map[string]File{}
	for _, f := range m.Files {
		if f.Finished {
			out[f.Path] = f
		}
	}
	return out
}
