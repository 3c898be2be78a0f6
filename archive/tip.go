package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// A tipRecord states the log's end. It is written in the transaction that
// makes it so, and tells damage that no hash above could: to the last leaf, to
// the tree's frontier, on which every later root rests, and to the cursor. It
// is a check against decay, not against root, who could write another.
type tipRecord struct {
	size uint64
	last proof.Hash // leaf hash of the last leaf
	root proof.Hash // tree hash of the log
}

const (
	tipLabel = "holdfast tip v1\x00"
	tipSize  = 8 + 32 + 32 + 32
)

var keyTip = []byte("tip")

func (t *tip) record() tipRecord { return tipRecord{size: t.size, last: t.last, root: t.root()} }

// marshal returns size ‖ last ‖ root ‖ SHA-256(label ‖ size ‖ last ‖ root ‖
// cursor ‖ beside), where cursor is the bytes stored of the relay's cursor, and
// beside those of a suspicion of the clock and of the record of restores, if any.
// The lengths tell them apart: a cursor has more than 8 bytes, a suspicion 8.
func (t tipRecord) marshal(cursor, beside []byte) []byte {
	b := make([]byte, 0, tipSize)
	b = binary.BigEndian.AppendUint64(b, t.size)
	b = append(b, t.last[:]...)
	b = append(b, t.root[:]...)
	h := sha256.New()
	h.Write([]byte(tipLabel))
	h.Write(b)
	h.Write(cursor)
	h.Write(beside)
	return h.Sum(b)
}

// parseTip reads a tip record that stands beside the given cursor and what
// else it covers.
func parseTip(b, cursor, beside []byte) (tipRecord, error) {
	var t tipRecord
	if len(b) == tipSize {
		t.size = binary.BigEndian.Uint64(b)
		copy(t.last[:], b[8:])
		copy(t.root[:], b[40:])
	}
	if string(t.marshal(cursor, beside)) != string(b) {
		return tipRecord{}, fmt.Errorf("%w: the record of the log's end, the relay cursor, the clock's, or that of restores", ErrDamaged)
	}
	return t, nil
}

// besideTip returns what the sum of the log's end covers besides the cursor: the
// suspicion of the clock, then the record of restores.
func besideTip(tx *bbolt.Tx) []byte {
	meta := tx.Bucket(bucketMeta)
	return slices.Concat(meta.Get(keyClock), meta.Get(keyRestored))
}

// putTip states the log's end in a transaction that has everything in place
// that its sum covers.
func putTip(tx *bbolt.Tx, t tipRecord) error {
	return tx.Bucket(bucketMeta).Put(keyTip, t.marshal(tx.Bucket(bucketCursor).Get(keyRelay), besideTip(tx)))
}

// tip reads the record of the log's end and the cursor. A log without any leaf
// has none.
func (f *logFile) tip() (t tipRecord, cursor *Cursor, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketCursor).Get(keyRelay)
			b := tx.Bucket(bucketMeta).Get(keyTip)
			if k, _ := tx.Bucket(bucketLeaf).Cursor().Seek(u64(0)); b == nil && v == nil && k == nil && f.number == 0 {
				return nil
			}
			if t, err = parseTip(b, v, besideTip(tx)); err != nil || v == nil {
				return err
			}
			c, err := parseCursor(v)
			cursor = &c
			return err
		})
	})
	return t, cursor, err
}
