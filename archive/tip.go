package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

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
// cursor ‖ clock), where cursor and clock are the bytes stored of the relay's
// cursor and of a suspicion of the clock, if any. A cursor is never as short as
// the other.
func (t tipRecord) marshal(cursor, clock []byte) []byte {
	b := make([]byte, 0, tipSize)
	b = binary.BigEndian.AppendUint64(b, t.size)
	b = append(b, t.last[:]...)
	b = append(b, t.root[:]...)
	h := sha256.New()
	h.Write([]byte(tipLabel))
	h.Write(b)
	h.Write(cursor)
	h.Write(clock)
	return h.Sum(b)
}

// parseTip reads a tip record that stands beside the given cursor and
// suspicion of the clock.
func parseTip(b, cursor, clock []byte) (tipRecord, error) {
	var t tipRecord
	if len(b) == tipSize {
		t.size = binary.BigEndian.Uint64(b)
		copy(t.last[:], b[8:])
		copy(t.root[:], b[40:])
	}
	if string(t.marshal(cursor, clock)) != string(b) {
		return tipRecord{}, fmt.Errorf("%w: the record of the log's end, the relay cursor, or the clock's", ErrDamaged)
	}
	return t, nil
}

// putTip states the log's end in a transaction that has cursor and clock in
// place.
func putTip(tx *bbolt.Tx, t tipRecord) error {
	meta := tx.Bucket(bucketMeta)
	return meta.Put(keyTip, t.marshal(tx.Bucket(bucketCursor).Get(keyRelay), meta.Get(keyClock)))
}

// tip reads the record of the log's end and the cursor. A log without any leaf
// has none.
func (f *logFile) tip() (t tipRecord, cursor *Cursor, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketCursor).Get(keyRelay)
			b, clock := tx.Bucket(bucketMeta).Get(keyTip), tx.Bucket(bucketMeta).Get(keyClock)
			if k, _ := tx.Bucket(bucketLeaf).Cursor().Seek(u64(0)); b == nil && v == nil && k == nil && f.number == 0 {
				return nil
			}
			if t, err = parseTip(b, v, clock); err != nil || v == nil {
				return err
			}
			c, err := parseCursor(v)
			cursor = &c
			return err
		})
	})
	return t, cursor, err
}
