package adtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// packages are what a DC needs of Debian.
const packages = "samba samba-ad-provision samba-dsdb-modules ldb-tools ldap-utils"

// The programs are called by their whole names: the python of a developer's
// PATH is often not the one that Samba's modules are built for.
const (
	pythonPath = "/usr/bin/python3"
	sambaPath  = "/usr/sbin/samba"
)

const adminPassword = "Adm1n-0f-This-D0main"

//go:embed seed.py
var seedScript []byte

// startError says why there is no domain controller and what to do.
func startError(err error) error {
	return fmt.Errorf("the Samba domain controller of the tests cannot start (Debian packages: apt-get install --no-install-recommends %s): %w", packages, err)
}

// template returns the folder of a provisioned and seeded domain. The first
// that asks builds it, in about 20 s; others wait for it. Its name holds what
// it was built from, so that a new version of Samba or of the seed is built
// anew.
func template(ctx context.Context) (string, error) {
	for _, p := range []string{pythonPath, sambaPath} {
		if _, err := os.Stat(p); err != nil {
			return "", err
		}
	}
	version, err := exec.CommandContext(ctx, sambaPath, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", sambaPath, err)
	}
	// dpkg names the revision as well; where there is none, Samba's own version must do.
	revision, err := exec.CommandContext(ctx, "dpkg-query", "-W", "samba", "samba-ad-provision", "samba-dsdb-modules", "samba-libs").Output()
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("dpkg-query does not know all packages: %w", err)
	}
	key := sha256.Sum256(bytes.Join([][]byte{version, revision, seedScript, []byte(adminPassword + BindPassword + Password)}, []byte{0}))
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	name := filepath.Join(cache, hex.EncodeToString(key[:8]))
	unlock, err := lock(name+".lock", 0)
	if err != nil {
		return "", err
	}
	defer unlock()
	complete := filepath.Join(name, "complete")
	if _, err := os.Stat(complete); err == nil {
		return name, nil
	}
	if err := os.RemoveAll(name); err != nil { // what an interrupted build has left
		return "", err
	}
	if err := build(ctx, name); err != nil {
		return "", errors.Join(err, os.RemoveAll(name))
	}
	return name, put(complete, nil, 0o600)
}

// build runs the seeding script.
func build(ctx context.Context, name string) error {
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	script := filepath.Join(name, "seed.py")
	if err := put(script, seedScript, 0o600); err != nil {
		return err
	}
	c := exec.CommandContext(ctx, pythonPath, "-B", script, name, adminPassword, BindPassword, Password) // #nosec G204 -- our own script, our own constants
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=" + name}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	if err := c.Run(); err != nil {
		return fmt.Errorf("provision a domain: %w\n%s", err, tail(out.Bytes()))
	}
	return nil
}

// cacheFolder is a folder that nobody else may write, since what lies in it is
// run.
func cacheFolder() (string, error) {
	name := filepath.Join(os.TempDir(), "holdfast-adtest-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return "", err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(s.Uid) != os.Getuid() || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not a private folder of this account: remove it", name)
	}
	return name, nil
}

// runFolder makes a folder for one DC, and removes those whose process was
// killed before it could. The folder is in use until release is called.
func runFolder() (dir string, release func(), err error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", nil, err
	}
	unlock, err := lock(filepath.Join(cache, "runs.lock"), 0)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	left, err := filepath.Glob(filepath.Join(cache, "run-*"))
	if err != nil {
		return "", nil, err
	}
	for _, old := range left {
		if free, err := lock(filepath.Join(old, "alive"), syscall.LOCK_NB); err == nil {
			err = os.RemoveAll(old)
			free()
			if err != nil {
				return "", nil, err
			}
		}
	}
	if dir, err = os.MkdirTemp(cache, "run-"); err != nil {
		return "", nil, err
	}
	release, err = lock(filepath.Join(dir, "alive"), 0)
	return dir, release, err
}

// lock waits for an exclusive lock that ends with the process, or does not wait
// if how is LOCK_NB.
func lock(name string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Clean(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|how); err != nil { // #nosec G115 -- a file descriptor fits
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// tail is the end of a program's output.
func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }
