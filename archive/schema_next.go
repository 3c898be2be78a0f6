//go:build holdfast_next

package archive

import (
	"path/filepath"

	"go.etcd.io/bbolt"
)

// With the build tag holdfast_next this is the release after this one, as far as
// the tests of upgrades and downgrades need it: its schema is one further, and
// differs in a mark that nobody reads.
const Schema = 2

var migrations = []migration{{
	to: Schema,
	changes: func(dir string) ([]string, error) {
		names, err := filepath.Glob(filepath.Join(dir, "log", "[0-9][0-9][0-9][0-9][0-9][0-9].db"))
		if err != nil {
			return nil, err
		}
		return []string{filepath.Join("log", filepath.Base(names[len(names)-1]))}, nil
	},
	do: func(_ string, newest *logFile) error {
		return newest.db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketMeta).Put([]byte("next"), []byte{1})
		})
	},
}}
