package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"holdfast/archive/seal"
	"holdfast/internal/durable"
)

var keyTried = []byte("tried")

// step is a migration of the newest log file that counts how often it ran, and
// fails as long as *broken is not nil.
func step(to uint32, broken *error) migration {
	return migration{
		to:      to,
		changes: func(string) ([]string, error) { return []string{filepath.Join("log", "000000.db")}, nil },
		do: func(_ string, newest *logFile) error {
			err := newest.db.Update(func(tx *bbolt.Tx) error {
				meta := tx.Bucket(bucketMeta)
				return meta.Put(keyTried, append(bytes.Clone(meta.Get(keyTried)), byte(to)))
			})
			return errors.Join(err, *broken)
		},
	}
}

// stopped makes an archive that nobody has open, and returns its folder and
// origin.
func stopped(t *testing.T) (dir, origin string) {
	t.Helper()
	dir = t.TempDir()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	id, err := Create(t.Context(), dir, CreateOptions{ArchiveID: "ward.test", Master: seal.NewKey(), Recovery: recovery.Public()})
	if err != nil {
		t.Fatal(err)
	}
	return dir, id.Origin
}

func tried(t *testing.T, dir, origin string) []byte {
	t.Helper()
	f, err := openNewest(dir, origin, forReading)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	if err := f.db.View(func(tx *bbolt.Tx) error { out = bytes.Clone(tx.Bucket(bucketMeta).Get(keyTried)); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Each migration is done once, in order, behind a copy of what it changes; a
// program that knows fewer refuses the store and names the copy.
func TestMigrate(t *testing.T) {
	dir, origin := stopped(t)
	before, err := os.ReadFile(logPath(dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	var fine error
	all := []migration{step(2, &fine), step(3, &fine)}
	for range 2 {
		if err := migrate(dir, origin, all, 3, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := tried(t, dir, origin); !slices.Equal(got, []byte{2, 3}) {
		t.Errorf("tried %v", got)
	}
	saved, err := os.ReadFile(filepath.Join(dir, "before-schema-2", "log", "000000.db"))
	if err != nil || !bytes.Equal(saved, before) {
		t.Errorf("the copy before schema 2 is not what was there: %v", err)
	}
	for _, open := range []func() error{
		func() error { return migrate(dir, origin, all[:1], 2, nil) },
		func() error { _, err := openStore(dir, origin, nil, true, true); return err },
		func() error { _, err := SchemaOf(dir); return err },
	} {
		if err := open(); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), filepath.Join(dir, "before-schema-3")) || !strings.Contains(err.Error(), "schema 3") {
			t.Errorf("an older program: %v", err)
		}
	}
}

// A migration that is cut short goes on behind the copy that it made, which is
// of the store before and is not made again.
func TestMigrateInterrupted(t *testing.T) {
	dir, origin := stopped(t)
	before, err := os.ReadFile(logPath(dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	// A copy that was not finished is no copy.
	if err := durable.Mkdir(filepath.Join(dir, "before-schema-2.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut short")
	broken := cut
	all := []migration{step(2, &broken)}
	for range 2 {
		if err := migrate(dir, origin, all, 2, nil); !errors.Is(err, cut) {
			t.Fatal(err)
		}
	}
	broken = nil
	if err := migrate(dir, origin, all, 2, nil); err != nil {
		t.Fatal(err)
	}
	if got := tried(t, dir, origin); !slices.Equal(got, []byte{2, 2, 2}) {
		t.Errorf("tried %v", got)
	}
	saved, err := os.ReadFile(filepath.Join(dir, "before-schema-2", "log", "000000.db"))
	if err != nil || !bytes.Equal(saved, before) {
		t.Errorf("the copy is not of the store before: %v", err)
	}
}

// Where there is no room for the copy nothing is changed.
func TestMigrateWithoutRoom(t *testing.T) {
	dir, origin := stopped(t)
	var fine error
	m := step(2, &fine)
	m.changes = func(string) ([]string, error) {
		big := filepath.Join(dir, "big")
		if err := os.WriteFile(big, nil, 0o600); err != nil {
			return nil, err
		}
		return []string{"big"}, os.Truncate(big, 1<<43) // a hole, as large as no disk of a test
	}
	if err := migrate(dir, origin, []migration{m}, 2, nil); !errors.Is(err, ErrDiskFull) {
		t.Errorf("%v", err)
	}
	if got := tried(t, dir, origin); got != nil {
		t.Errorf("tried %v", got)
	}
}
