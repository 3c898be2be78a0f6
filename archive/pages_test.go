package archive

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// A disk that lost the last commit's pages, but not the page that leads to
// them, can have a page at the end of a tree that leads back: bbolt would
// follow it until its stack is full, which nothing can catch.
func TestALastPageThatLeadsBackIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	err := createBolt(path, func(tx *bbolt.Tx) error {
		if _, err := putFormat(tx); err != nil {
			return err
		}
		b, err := tx.CreateBucket(bucketRecord)
		if err != nil {
			return err
		}
		for seq := range uint64(200) {
			if err := b.Put(u64(seq), make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for at := 0; at+pageHeader <= len(text); at += pageSize {
		if binary.LittleEndian.Uint16(text[at+8:]) == leafPage && binary.LittleEndian.Uint16(text[at+10:]) > 2 {
			last = at // the records' last leaf page: the keys rise
		}
	}
	if err := checkPages(path, false); err != nil {
		t.Fatal(err)
	}
	back := text[last:]
	binary.LittleEndian.PutUint16(back[8:], branchPage)
	binary.LittleEndian.PutUint16(back[10:], 1)
	binary.LittleEndian.PutUint64(back[pageHeader+8:], binary.LittleEndian.Uint64(back)) // its one child is itself
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []openMode{forWriting, forChecking} {
		db, err := openBolt(path, mode)
		if db != nil {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}
