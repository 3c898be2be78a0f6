package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A database that a limit on address space keeps from being opened is whole: who
// is told otherwise puts an older one in its place.
func TestNoAddressSpaceIsNoDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(ramDir(t), "db")
	err := createBolt(path, func(tx *bbolt.Tx) error {
		_, err := putFormat(tx)
		return err
	})
	if err == nil {
		err = os.Truncate(path, 250<<40) // more than a process can have, and less than bbolt refuses
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []openMode{forWriting, forReading} {
		if db, err := openBolt(path, mode); errors.Is(err, ErrDamaged) || !errors.Is(err, unix.ENOMEM) {
			t.Errorf("mode %d: %v, %v", mode, db, err)
		}
	}
}
