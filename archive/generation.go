package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/crypto/cryptobyte"

	"holdfast/archive/proof"
)

// ClassMonth names the entries of one record class that were received in one
// month (UTC), whose bodies lie in one file.
type ClassMonth struct {
	Class string `json:"class"`
	Month string `json:"month"` // YYYY-MM
}

// String returns, for example, "general 2026-01".
func (cm ClassMonth) String() string { return cm.Class + " " + cm.Month }

var monthText = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}$`)

// check refuses what can name no class-month.
func (cm ClassMonth) check() error {
	if _, _, err := monthBounds(cm.Month); err != nil || !proof.ValidClass(cm.Class) {
		return fmt.Errorf("%w: %q is no class and month", ErrInvalid, cm.String())
	}
	return nil
}

// monthBounds returns the month's milliseconds, from inclusive, to exclusive.
func monthBounds(month string) (from, to int64, err error) {
	t, err := time.Parse("2006-01", month)
	if err != nil || !monthText.MatchString(month) {
		return 0, 0, fmt.Errorf("%w: %q is no month; write it as 2026-01", ErrInvalid, month)
	}
	return t.UnixMilli(), t.AddDate(0, 1, 0).UnixMilli(), nil
}

// Generation says which of a class-month's body files counts.
type Generation struct {
	ClassMonth
	Live     uint32 `json:"live"`     // of the file that is read and appended to
	Highest  uint32 `json:"highest"`  // the highest number that was ever used
	Switched uint64 `json:"switched"` // seq of the last switch's first entry, 0: never
	Pending  bool   `json:"pending"`  // switched, and the old key is not destroyed yet: SwitchBack is possible
	Bytes    int64  `json:"bytes"`    // what the live file takes on disk
}

// KeyID names a key and tells which it was, without telling the key.
type KeyID struct {
	Name string `json:"name"` // "bodies/2026-01.general.g1", "index/000000"
	ID   string `json:"id"`   // hex of the first 16 bytes of SHA-256("holdfast key id v1\0" ‖ key)
}

func newKeyID(name string, key []byte) KeyID {
	h := sha256.New()
	h.Write([]byte("holdfast key id v1\x00"))
	h.Write(key)
	return KeyID{Name: name, ID: hex.EncodeToString(h.Sum(nil)[:keyIDSize])}
}

const keyIDSize = 16

// The states of a class-month's last disposition.
const (
	stateUndone     = 0 // switched back: the former file is live again
	stateSwitched   = 1 // the new file is live; the former one and its key are still there
	stateDestroying = 2 // what is to be destroyed is written down; the keyring may have lost it already
	stateDestroyed  = 3
)

// bucketGeneration of a log file holds, for each class-month whose file was
// ever switched while the log file was the newest, a generation. The entry in
// the newest log file that has one counts.
var bucketGeneration = []byte("generation")

// generation is what the log says of a class-month's body files
// (archive/FORMAT.md section 9).
type generation struct {
	state         uint8
	live, highest uint32
	former        uint32     // live before the last switch
	intent        uint64     // seq of the last switch's first entry
	through       uint64     // of a switched file: an entry from here on has its record in it
	gone          proof.Hash // sum of the live file's ranges of disposed entries; zero for generation 1
	formerGone    proof.Hash // likewise of the former file
	index         []uint64   // numbers of the indexes that cover entries which the last switch left behind
	done          Destruction
}

const generationVersion = 1

func (cm ClassMonth) key() []byte { return []byte(cm.Class + "\x00" + cm.Month) }

func parseClassMonth(key []byte) (ClassMonth, error) {
	class, month, _ := strings.Cut(string(key), "\x00")
	cm := ClassMonth{Class: class, Month: month}
	return cm, cm.check()
}

func generationSum(key, value []byte) []byte {
	h := sha256.New()
	h.Write([]byte("holdfast generation v1\x00"))
	h.Write(key)
	h.Write([]byte{0})
	h.Write(value)
	return h.Sum(nil)
}

// marshal returns the value that stands under key.
func (g *generation) marshal(key []byte) ([]byte, error) {
	w := cryptobyte.NewBuilder(nil)
	w.AddUint8(generationVersion)
	w.AddUint8(g.state)
	w.AddUint32(g.live)
	w.AddUint32(g.highest)
	w.AddUint32(g.former)
	w.AddUint64(g.intent)
	w.AddUint64(g.through)
	w.AddBytes(g.gone[:])
	w.AddBytes(g.formerGone[:])
	addNumbers := func(list []uint64) {
		w.AddUint32(uint32(len(list))) // #nosec G115 -- log files
		for _, n := range list {
			w.AddUint64(n)
		}
	}
	addNumbers(g.index)
	w.AddUint32(uint32(len(g.done.Keys))) // #nosec G115 -- a file's and its indexes' keys
	for _, k := range g.done.Keys {
		id, err := hex.DecodeString(k.ID)
		if err != nil || len(id) != keyIDSize {
			return nil, fmt.Errorf("%w: a key id", ErrInvalid)
		}
		w.AddUint8LengthPrefixed(func(w *cryptobyte.Builder) { w.AddBytes([]byte(k.Name)) })
		w.AddBytes(id)
	}
	w.AddUint64(g.done.Files)
	w.AddUint64(g.done.Blobs)
	w.AddUint64(uint64(g.done.Bytes)) // #nosec G115 -- sizes of files
	w.AddUint64(g.done.Keyring)
	b, err := w.Bytes()
	if err != nil {
		return nil, err
	}
	return append(b, generationSum(key, b)...), nil
}

// parseGeneration reads what marshal wrote under the same key.
func parseGeneration(key, value []byte) (*generation, error) {
	bad := fmt.Errorf("%w: which body file of a class and month counts", ErrDamaged)
	if len(value) < sha256.Size {
		return nil, bad
	}
	body, sum := value[:len(value)-sha256.Size], value[len(value)-sha256.Size:]
	if !bytes.Equal(generationSum(key, body), sum) {
		return nil, bad
	}
	var g generation
	var version uint8
	s := cryptobyte.String(body)
	if !s.ReadUint8(&version) || version != generationVersion || !s.ReadUint8(&g.state) || g.state > stateDestroyed ||
		!s.ReadUint32(&g.live) || !s.ReadUint32(&g.highest) || !s.ReadUint32(&g.former) || g.live == 0 || g.highest < g.live ||
		!s.ReadUint64(&g.intent) || !s.ReadUint64(&g.through) || !s.CopyBytes(g.gone[:]) || !s.CopyBytes(g.formerGone[:]) {
		return nil, bad
	}
	var n uint32
	if !s.ReadUint32(&n) || uint64(n)*8 > uint64(len(s)) {
		return nil, bad
	}
	for range n {
		var file uint64
		if !s.ReadUint64(&file) {
			return nil, bad
		}
		g.index = append(g.index, file)
	}
	if !s.ReadUint32(&n) || uint64(n)*keyIDSize > uint64(len(s)) {
		return nil, bad
	}
	for range n {
		var name cryptobyte.String
		var id []byte
		if !s.ReadUint8LengthPrefixed(&name) || !s.ReadBytes(&id, keyIDSize) {
			return nil, bad
		}
		g.done.Keys = append(g.done.Keys, KeyID{Name: string(name), ID: hex.EncodeToString(id)})
	}
	var size uint64
	if !s.ReadUint64(&g.done.Files) || !s.ReadUint64(&g.done.Blobs) || !s.ReadUint64(&size) || size > 1<<62 || !s.ReadUint64(&g.done.Keyring) || !s.Empty() {
		return nil, bad
	}
	g.done.Bytes = int64(size) // #nosec G115 -- at most 2^62
	return &g, nil
}

// unfinished reports whether a switch waits for Destroy or SwitchBack.
func (g *generation) unfinished() bool {
	return g != nil && (g.state == stateSwitched || g.state == stateDestroying)
}

// generations is the union over the log's files; a class-month that is not in
// it has the one file of generation 1.
type generations map[ClassMonth]*generation

func (gs generations) live(cm ClassMonth) uint32 {
	if g := gs[cm]; g != nil {
		return g.live
	}
	return 1
}

// with returns a copy in which some class-months stand anew: readers may have
// the old one.
func (gs generations) with(changed generations) generations {
	out := maps.Clone(gs)
	if out == nil {
		out = generations{}
	}
	maps.Copy(out, changed)
	return out
}

// sorted returns the class-months by month, then class.
func (gs generations) sorted() []ClassMonth {
	return slices.SortedFunc(maps.Keys(gs), compareClassMonths)
}

func compareClassMonths(a, b ClassMonth) int {
	if a.Month != b.Month {
		return strings.Compare(a.Month, b.Month)
	}
	return strings.Compare(a.Class, b.Class)
}

// loadGenerations reads what the log's files say, oldest first. An archive that
// is only read does without a value that has decayed; Check names it.
func loadGenerations(logs []*logFile, lenient bool) (gs generations, damaged []string, err error) {
	gs = generations{}
	for _, f := range logs {
		err := guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketGeneration)
				if b == nil {
					return nil // made with the first switch
				}
				return b.ForEach(func(k, v []byte) error {
					cm, err := parseClassMonth(k)
					var g *generation
					if err == nil {
						g, err = parseGeneration(k, v)
					}
					if err != nil && lenient {
						damaged = append(damaged, fmt.Sprintf("which body file of %q counts cannot be read", cm.String()))
						return nil
					}
					if err != nil {
						return fmt.Errorf("log file %06d.db: %w", f.number, err)
					}
					gs[cm] = g
					return nil
				})
			})
		})
		if err != nil && lenient {
			damaged, err = append(damaged, fmt.Sprintf("which body files count, in log file %06d.db: %v", f.number, err)), nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return gs, damaged, nil
}

// putGenerations writes down which body files count from this transaction on.
func putGenerations(tx *bbolt.Tx, gs generations) error {
	if len(gs) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(bucketGeneration)
	if err != nil {
		return err
	}
	for cm, g := range gs {
		key := cm.key()
		value, err := g.marshal(key)
		if err != nil {
			return err
		}
		if err := b.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}
