package archive

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// Delivered returns the seq of the first message of a device with the number n
// in the device's stream; false when none was appended. It knows messages that
// were disposed of, too: their numbers stay for ever.
func (a *Archive) Delivered(device string, n uint64) (seq uint64, ok bool, err error) {
	mac := macs{a.keys.snapshot().Dedupe}
	id := mac.device(device)
	err = a.view(func(s *store) error {
		number, known, err := s.deviceNumber(id)
		if err != nil || !known {
			return err
		}
		var key dedupeKey
		binary.BigEndian.PutUint32(key[:], number)
		binary.BigEndian.PutUint64(key[4:], n)
		seq, ok, err = s.delivered(key)
		return err
	})
	return seq, ok, err
}

// deviceNumber finds a device's number in the log's files.
func (s *store) deviceNumber(mac deviceMAC) (number uint32, known bool, err error) {
	err = s.newestFirst(bucketDevice, mac[:], func(v []byte) error {
		if len(v) != 4 {
			return fmt.Errorf("%w: a device number", ErrDamaged)
		}
		number, known = binary.BigEndian.Uint32(v), true
		return nil
	})
	return number, known, err
}

// delivered finds the first message under a dedupe key.
func (s *store) delivered(key dedupeKey) (seq uint64, ok bool, err error) {
	err = s.newestFirst(bucketDedupe, key[:], func(v []byte) error {
		if len(v) != len(dedupeValue{}) {
			return fmt.Errorf("%w: a dedupe value", ErrDamaged)
		}
		seq, ok = binary.BigEndian.Uint64(v), true
		return nil
	})
	return seq, ok, err
}

// newestFirst calls found with the value of the key in the newest log file that
// has it.
func (s *store) newestFirst(bucket, key []byte, found func(value []byte) error) error {
	done := false
	for i := len(s.logs) - 1; i >= 0 && !done; i-- {
		err := guard(func() error {
			return s.logs[i].db.View(func(tx *bbolt.Tx) error {
				v := tx.Bucket(bucket).Get(key)
				if v == nil {
					return nil
				}
				done = true
				return found(v)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
