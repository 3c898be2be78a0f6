package regular

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	socket, err := net.Listen("unix", at("socket"))
	if err = errors.Join(err, os.WriteFile(at("file"), []byte("text"), 0o600), os.Symlink(at("file"), at("link")), os.Mkdir(at("folder"), 0o700), unix.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, name := range []string{"file", "link"} {
		if b, err := Read(at(name), 4); err != nil || string(b) != "text" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if b, err := Read(at("file"), 3); b != nil || err == nil || !strings.Contains(err.Error(), at("file")+" is larger than 3 bytes") {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Read(at("nowhere"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, path := range []string{at("folder"), at("pipe"), at("socket"), "/dev/zero"} {
		if b, err := Read(path, 4); b != nil || !errors.Is(err, ErrIrregular) || !strings.HasPrefix(err.Error(), path+" is no regular file") {
			t.Errorf("%s: %q, %v", path, b, err)
		}
		if f, err := OpenFile(path, os.O_WRONLY, 0); f != nil || !errors.Is(err, ErrIrregular) {
			t.Errorf("%s to write: %v", path, err)
		}
	}
}
