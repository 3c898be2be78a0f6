package daemon

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// What a drill left that was killed goes, and its keyring is overwritten first.
// What one has that is under way stays.
func TestTidyTemp(t *testing.T) {
	data := t.TempDir()
	if err := tidyTemp(data); err != nil {
		t.Errorf("no drill left anything: %v", err)
	}
	dir := filepath.Join(data, drillTemp)
	kept := filepath.Join(dir, "keyring.recovery")
	done, err := ownTemp(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte("sealed keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tidyTemp(data); err != nil {
		t.Error(err)
	}
	f, err := os.Open(kept)
	if err != nil {
		t.Fatalf("a drill that is under way lost its keyring: %v", err)
	}
	defer f.Close()
	if err := done(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || strings.Contains(string(b), "keys") {
		t.Errorf("the keyring can still be read: %q, %v", b, err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "log"), 0o700), os.WriteFile(kept, []byte("sealed keys"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := tidyTemp(data); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// Who tidies while a drill begins takes its folder away from no drill.
func TestADrillBeginsWhileSomebodyTidies(t *testing.T) {
	data := t.TempDir()
	end := make(chan struct{})
	var tidying sync.WaitGroup
	tidying.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				if err := tidyTemp(data); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 300 {
		done, err := ownTemp(filepath.Join(data, drillTemp))
		if err = errors.Join(err, done()); err != nil {
			t.Error(err)
			break
		}
	}
	close(end)
	tidying.Wait()
}
