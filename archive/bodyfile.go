package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// MaxBody bounds an entry's body and note together, in bytes: the largest
// relay page's single event, which quarantine must be able to keep whole.
const MaxBody = 16 << 20

// maxRecord bounds a sealed record, in bytes: what a damaged page states is
// not believed beyond it.
const maxRecord = MaxBody + recordHeader + seal.Overhead

// recordHeader is the random bytes and the note's length.
const recordHeader = 32 + 4

var (
	bucketRecord = []byte("record") // seq → sealed record
	keyFileID    = []byte("id")
)

// bodyName names the body file of a month and class. Disposition writes the
// survivors of one generation into the next.
func bodyName(month, class string, generation uint32) string {
	return fmt.Sprintf("%s.%s.g%d", month, class, generation)
}

// bodyNamer finds the body file's name of one leaf after the other: most have
// the month and class of the leaf before.
type bodyNamer struct {
	store    *store
	class    string
	from, to int64 // the month's milliseconds, from inclusive, to exclusive
	name     string
}

func (n *bodyNamer) of(l *proof.Leaf) string {
	if l.Class == n.class && n.from <= l.Received && l.Received < n.to {
		return n.name
	}
	t := l.ReceivedTime()
	month := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	n.class, n.from, n.to = l.Class, month.UnixMilli(), month.AddDate(0, 1, 0).UnixMilli()
	n.name = n.store.bodyName(ClassMonth{l.Class, l.Month()})
	return n.name
}

// bodyFile is one file of sealed bodies. Bodies are read only by way of their
// leaf: a record without one is an orphan and does not count.
type bodyFile struct {
	name string
	key  *seal.FileKey
	shared
}

// bodyFiles opens body files when they are first needed.
type bodyFiles struct {
	dir      string
	readOnly bool
	keys     *keys
	gone     func(name string) (sum proof.Hash, known bool) // of a resealed file: what its ranges of disposed entries sum to

	mu   sync.Mutex
	open map[string]*bodyFile
}

func bodyPath(dir, name string) string { return filepath.Join(dir, "bodies", name+".db") }

// get returns the named file, which must exist: os.ErrNotExist if it does not.
func (b *bodyFiles) get(name string) (*bodyFile, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.open[name]; f != nil {
		return f, nil
	}
	f, err := b.openFile(name)
	if err != nil {
		return nil, err
	}
	b.open[name] = f
	return f, nil
}

func (b *bodyFiles) openFile(name string) (*bodyFile, error) {
	mode := forWriting
	if b.readOnly {
		mode = forChecking
	}
	db, err := openBolt(bodyPath(b.dir, name), mode)
	if err != nil {
		return nil, err
	}
	f := &bodyFile{name: name, shared: shared{db: db}}
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			id := tx.Bucket(bucketMeta).Get(keyFileID)
			if len(id) != seal.IDSize || tx.Bucket(bucketRecord) == nil {
				return fmt.Errorf("%w: body file %s", ErrDamaged, name)
			}
			if f.key, err = b.keys.bodyKey(name, [seal.IDSize]byte(id)); err != nil {
				return err
			}
			return b.checkGone(tx, name)
		})
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return f, nil
}

// ensure returns the named file, making it when it is not there. Its key goes
// into the keyring, and is durable there, before the file exists: a crash
// between the two leaves a key without a file, which the next try uses.
func (b *bodyFiles) ensure(name string) (*bodyFile, error) {
	f, err := b.get(name)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if _, resealed := b.gone(name); resealed {
		return nil, fmt.Errorf("%w: body file %s is missing; put it back from a backup", ErrDamaged, name)
	}
	if err := b.keys.addBodyKey(name); err != nil {
		return nil, err
	}
	err = createBolt(bodyPath(b.dir, name), func(tx *bbolt.Tx) error {
		meta, err := putFormat(tx)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(bucketRecord); err != nil {
			return err
		}
		id := seal.NewKey()
		return meta.Put(keyFileID, id[:seal.IDSize])
	})
	if err != nil {
		return nil, err
	}
	return b.get(name)
}

func (b *bodyFiles) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, f := range b.open {
		errs = append(errs, f.close())
	}
	b.open = map[string]*bodyFile{}
	return errors.Join(errs...)
}

// Body is what a body file holds for one entry.
type Body struct {
	Random [32]byte // goes into both commitments
	Note   []byte   // what the archive concluded at append; may be empty
	Bytes  []byte   // the body itself, unpadded
}

// appendTo appends the record's plaintext: random ‖ length of the note (u32) ‖
// note ‖ body.
func (b *Body) appendTo(dst []byte) []byte {
	dst = append(dst, b.Random[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b.Note))) // #nosec G115 -- at most MaxBody
	dst = append(dst, b.Note...)
	return append(dst, b.Bytes...)
}

// parseBody reads a record's plaintext; the result shares its memory.
func parseBody(plain []byte) (Body, error) {
	var b Body
	if len(plain) < recordHeader {
		return b, ErrDamaged
	}
	n := binary.BigEndian.Uint32(plain[32:])
	if uint64(n) > uint64(len(plain)-recordHeader) {
		return b, ErrDamaged
	}
	copy(b.Random[:], plain)
	rest := plain[recordHeader:]
	b.Note, b.Bytes = rest[:n:n], rest[n:]
	return b, nil
}

// openRecord opens a sealed record into dst and checks it against its leaf's
// commitments: what it returns is what was appended.
func (f *bodyFile) openRecord(dst []byte, leaf *proof.Leaf, sealed []byte) (Body, error) {
	if len(sealed) > maxRecord {
		return Body{}, fmt.Errorf("%w: its record is too long", ErrDamaged)
	}
	plain, err := f.key.Open(dst, leaf.Seq, sealed)
	if err != nil {
		return Body{}, fmt.Errorf("%w: its record does not open: %w", ErrDamaged, err)
	}
	b, err := parseBody(plain)
	if err != nil {
		return Body{}, err
	}
	if proof.ContentCommitment(&b.Random, b.Bytes) != leaf.Content {
		return Body{}, fmt.Errorf("%w: its body is not the one that its leaf commits to", ErrDamaged)
	}
	if proof.NoteCommitment(&b.Random, b.Note) != leaf.Note {
		return Body{}, fmt.Errorf("%w: its note is not the one that its leaf commits to", ErrDamaged)
	}
	if proof.RoundBody(len(b.Bytes)) != leaf.BodyLen {
		return Body{}, fmt.Errorf("%w: its body has not the length that its leaf states", ErrDamaged)
	}
	return b, nil
}
