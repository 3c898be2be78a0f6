package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// Errors of a backup's folders.
var (
	ErrNoBackup = errors.New("there is no backup in this folder; name the folder that `holdfastd backup --to` was given, and see that it is mounted")
	ErrForeign  = errors.New("this folder holds the backups of another archive")
	ErrDamaged  = errors.New("the backup is damaged")
)

// Marker is the content of holdfast-backup.json: whose backups a folder holds.
type Marker struct {
	V         int    `json:"v"` // 1
	ArchiveID string `json:"archive_id"`
	Origin    string `json:"origin"`
}

// The names in the folder of the data backup.
const (
	markerName   = "holdfast-backup.json"
	objectsName  = "objects"
	backupsName  = "backups"
	tempName     = "tmp"
	lockName     = "lock"
	backupSuffix = ".backup"
)

const maxMarker = 4096

// ReadMarker reads whose backups the folder to holds: ErrNoBackup when there is
// no marker.
func ReadMarker(to string) (*Marker, error) {
	b, err := readSmall(filepath.Join(to, markerName), maxMarker)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", to, ErrNoBackup)
	}
	if err != nil {
		return nil, err
	}
	return parseMarker(b)
}

func parseMarker(b []byte) (*Marker, error) {
	var m Marker
	if err := ijson.UnmarshalStrict(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, markerName, err)
	}
	if m.V != 1 || m.ArchiveID == "" || m.Origin == "" {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, markerName)
	}
	return &m, nil
}

func (m *Marker) marshal() ([]byte, error) {
	b, err := json.Marshal(m)
	return append(b, '\n'), err
}

// ObjectPath is the path of the object whose content has the SHA-256 sum, hex,
// in the folder to.
func ObjectPath(to, sum string) string { return filepath.Join(to, objectsName, sum[:2], sum) }

// ManifestPath is the path of a backup's manifest in the folder to.
func ManifestPath(to, id string) string { return filepath.Join(to, backupsName, id+backupSuffix) }

// IDs lists the backups in the folder to by their names, the newest last.
func IDs(to string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(to, backupsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), backupSuffix)
		if _, _, err := ParseID(id); ok && err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Open reads a backup's manifest, and verifies it with the identity that the
// backup itself has: whether that is the identity of the archive that is meant
// is for the caller to say, by its Origin. It returns identity.json's bytes too.
func Open(to, id string) (*Manifest, *proof.Identity, []byte, error) {
	if _, _, err := ParseID(id); err != nil {
		return nil, nil, nil, err
	}
	compact, err := readSmall(ManifestPath(to, id), MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, fmt.Errorf("backup %s: %w", id, ErrNoBackup)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := ParseManifest(compact)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: backup %s: %w", ErrDamaged, id, err)
	}
	text, err := ReadObject(to, m.Identity, proof.MaxIdentity)
	if err != nil {
		return nil, nil, nil, err
	}
	identity, err := proof.ParseIdentity(text)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: backup %s: %w", ErrDamaged, id, err)
	}
	if m, err = VerifyManifest(compact, identity); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: backup %s: %w", ErrDamaged, id, err)
	}
	if m.ID != id {
		return nil, nil, nil, fmt.Errorf("%w: the manifest of %s stands under the name of %s", ErrDamaged, m.ID, id)
	}
	return m, identity, text, nil
}

// ReadObject returns a small object's content, compared with its name.
func ReadObject(to, sum string, limit int64) ([]byte, error) {
	if !hashText.MatchString(sum) {
		return nil, fmt.Errorf("%w: an object's name", ErrManifest)
	}
	b, err := readSmall(ObjectPath(to, sum), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: object %s is missing", ErrDamaged, sum)
	}
	if err != nil {
		return nil, err
	}
	if have := sha256.Sum256(b); hex.EncodeToString(have[:]) != sum {
		return nil, fmt.Errorf("%w: object %s has another content than its name says", ErrDamaged, sum)
	}
	return b, nil
}

// CopyObject writes the content of f's object to w and compares size and hash
// with what the manifest says. On an error w has bytes that must not be used.
func CopyObject(ctx context.Context, to string, f File, w io.Writer) (err error) {
	if !hashText.MatchString(f.SHA256) {
		return fmt.Errorf("%w: an object's name", ErrManifest)
	}
	in, err := openObject(ObjectPath(to, f.SHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: object %s, which is %s, is missing", ErrDamaged, f.SHA256, f.Path)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	h := newSideHash()
	n, err := io.Copy(io.MultiWriter(h, w), io.LimitReader(contextReader{ctx, in}, f.Size+1))
	sum := hex.EncodeToString(h.sum())
	if err != nil {
		return fmt.Errorf("object %s, which is %s: %w", f.SHA256, f.Path, err)
	}
	if n != f.Size || sum != f.SHA256 {
		return fmt.Errorf("%w: object %s, which is %s, has another content than its name says", ErrDamaged, f.SHA256, f.Path)
	}
	return nil
}

// AllFiles yields every file of the backup, those of its lists included: first
// identity.json, log and bodies, then the attachments, by path each.
func (m *Manifest) AllFiles(ctx context.Context, to string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for _, f := range m.Files {
			if !yield(f, nil) {
				return
			}
		}
		for _, l := range m.Lists {
			files, err := l.read(ctx, to)
			if err != nil {
				yield(File{}, err)
				return
			}
			for _, f := range files {
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}

// read returns a list's files.
func (l *List) read(ctx context.Context, to string) ([]File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, err := ReadObject(to, l.SHA256, MaxList)
	if err != nil {
		return nil, err
	}
	files, err := ParseList(text, l.Folder)
	if err != nil {
		return nil, fmt.Errorf("%w: object %s: %w", ErrDamaged, l.SHA256, err)
	}
	var bytes int64
	for _, f := range files {
		bytes += f.Size
	}
	if uint64(len(files)) != l.Files || bytes != l.Bytes {
		return nil, fmt.Errorf("%w: object %s lists other files than its manifest says", ErrDamaged, l.SHA256)
	}
	return files, nil
}

// KeysDir is the folder of an archive's keyring copies in the folder keys: its
// name is lower-case hex of the first 16 bytes of SHA-256("holdfast keys v1\0" ‖
// origin).
func KeysDir(keys, origin string) string {
	h := sha256.Sum256([]byte("holdfast keys v1\x00" + origin))
	return filepath.Join(keys, hex.EncodeToString(h[:16]))
}

const (
	keyCopyPrefix = "keyring.recovery-"
	sidecarSuffix = ".json"
)

// KeyCopyPath is the path of the keyring copy of a generation in a folder that
// KeysDir named, and SidecarPath that of what is said about it.
func KeyCopyPath(dir string, generation uint64) string {
	return filepath.Join(dir, keyCopyPrefix+strconv.FormatUint(generation, 10))
}

// SidecarPath is the path of the sidecar of a keyring copy.
func SidecarPath(dir string, generation uint64) string {
	return KeyCopyPath(dir, generation) + sidecarSuffix
}

// Generations lists the keyring copies in a folder that KeysDir named, the
// newest last. A copy whose sidecar is missing was never finished and is left
// out.
func Generations(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), keyCopyPrefix)
		name, sidecar := strings.CutSuffix(name, sidecarSuffix)
		n, err := strconv.ParseUint(name, 10, 64)
		if ok && sidecar && err == nil && strconv.FormatUint(n, 10) == name {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// readSmall reads a regular file of at most limit bytes.
func readSmall(path string, limit int64) (b []byte, err error) {
	f, err := openObject(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrDamaged, filepath.Base(path), limit)
	}
	b = make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return b, nil
}

// openObject opens a regular file for reading: no link, no pipe.
func openObject(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // #nosec G304 -- names of ours in the folder that was given
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no file", ErrDamaged, filepath.Base(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// contextReader reads until ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
