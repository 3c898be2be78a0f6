//go:build boot

package boot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// dirEnv names the folder that the machine is in.
const dirEnv = "HOLDFAST_BOOT_DIR"

// treeEnv names the folder in which the tree is kept from one run to the next.
const treeEnv = "HOLDFAST_TREE"

const (
	suite = "bookworm" // Debian 12
	// installed is what the tree has beside Debian's minimum; rpm runs the rpm's scriptlets.
	installed = "systemd,systemd-sysv,dbus,rpm,ca-certificates"
)

// top is the project's top as seen from this package.
const top = "../.."

// treePath is where the tree lies as a tar file: another suite or another list
// of packages is another file.
func treePath() string {
	dir := os.Getenv(treeEnv)
	if dir == "" {
		dir = filepath.Join(top, "bin")
	}
	sum := sha256.Sum256([]byte(suite + " " + installed))
	return filepath.Join(dir, fmt.Sprintf("tree-%s-%x.tar", suite, sum[:4]))
}

// prepare makes the tree unless it is there.
func prepare() error {
	path := treePath()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	began := now()
	// Renamed when it is whole: what was interrupted is made again.
	half := path + ".half"
	c := exec.Command("mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar", "--aptopt=APT::Sandbox::User \"root\"",
		"--include="+installed, suite, half)
	text, err := c.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("mmdebstrap: %w\n%s", err, text), remove(half))
	}
	fmt.Printf("boot: made the tree of %s with %s in %.0f s\n", suite, strings.ReplaceAll(installed, ",", " "), since(began))
	return os.Rename(half, path)
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
