package setup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/certreq"
)

// someone is an account to give files to: root may give them to anybody, others
// to themselves.
func someone() certreq.Holder {
	if os.Geteuid() == 0 {
		return certreq.Holder{UID: 54321, GID: 54322}
	}
	return certreq.Holder{UID: os.Geteuid(), GID: os.Getegid()}
}

func stat(t *testing.T, path string) (mode os.FileMode, uid, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	return info.Mode().Perm(), int(s.Uid), int(s.Gid)
}

// The daemon gets its data and keys for itself, and reads what root configures;
// nothing that a link points at changes hands.
func TestGive(t *testing.T) {
	a, h := everything(t), someone()
	secret := put(t, filepath.Join(a.Credentials, MasterFile), "key")
	put(t, filepath.Join(a.Data, "log/000000.db"), "log")
	put(t, a.Config, "configuration")
	if err := os.Symlink(a.Credentials, filepath.Join(a.Data, CredentialsLink)); err != nil {
		t.Fatal(err)
	}
	shared := a.HTTPS.Key
	if err := os.Chmod(shared, 0o644); err != nil {
		t.Fatal(err)
	}
	a.Relay.EnrolKey = filepath.Join(a.Data, "../none")
	left, err := a.owned().give(h)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && !slices.Equal(left, []string{shared}) { // else its group is the account's
		t.Errorf("left: %q", left)
	}
	for _, path := range []string{a.Data, filepath.Join(a.Data, "log"), filepath.Join(a.Data, "log/000000.db"), filepath.Join(a.Data, CredentialsLink), a.Relay.Key} {
		if _, uid, gid := stat(t, path); uid != h.UID || gid != h.GID {
			t.Errorf("%s is %d:%d", path, uid, gid)
		}
	}
	if mode, _, _ := stat(t, a.Relay.Key); mode != 0o600 {
		t.Errorf("the key has mode %o", mode)
	}
	for _, path := range []string{a.Config, a.Relay.CA, a.Relay.Cert, a.Relay.HeadKey, a.Directory.CA, a.HTTPS.Cert} {
		if mode, uid, gid := stat(t, path); mode != 0o640 || uid != os.Geteuid() || gid != h.GID {
			t.Errorf("%s is %o %d:%d", path, mode, uid, gid)
		}
	}
	if mode, uid, _ := stat(t, filepath.Dir(a.Config)); mode&0o050 != 0o050 || uid != os.Geteuid() {
		t.Errorf("the configuration's folder is %o", mode)
	}
	if mode, uid, _ := stat(t, secret); mode != 0o600 || uid != os.Geteuid() {
		t.Errorf("the master key is %o %d", mode, uid)
	}
}

// On this machine: with the account root gives, else nothing changes hands.
func TestOwn(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "data/file"), "")
	h, err := certreq.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	owned, err := Own(Ownership{Data: filepath.Join(dir, "data")})
	if err != nil || owned.Account != (os.Geteuid() == 0 && h != nil) {
		t.Errorf("%+v, %v", owned, err)
	}
	if _, uid, _ := stat(t, filepath.Join(dir, "data/file")); !owned.Account && uid != os.Geteuid() {
		t.Errorf("it belongs to %d", uid)
	}
}

func TestOwnAs(t *testing.T) {
	dir, h := t.TempDir(), someone()
	put(t, filepath.Join(dir, "keyring"), "")
	if err := os.Chown(dir, h.UID, h.GID); err != nil {
		t.Fatal(err)
	}
	if err := OwnAs(dir, "keyring", "lock"); err != nil {
		t.Fatal(err)
	}
	if _, uid, gid := stat(t, filepath.Join(dir, "keyring")); uid != h.UID || gid != h.GID {
		t.Errorf("%d:%d", uid, gid)
	}
}

// A drop-in of the site's own stays, and is not taken away either.
func TestDropIns(t *testing.T) {
	dir := t.TempDir()
	own := put(t, filepath.Join(dir, "holdfastd.service.d/50-holdfast-master.conf"), "the site's")
	made, err := DropIns(dir)
	if err != nil || len(made) != 1 || !strings.Contains(made[0], "holdfastd-drill.service.d") {
		t.Fatalf("%q, %v", made, err)
	}
	text, err := os.ReadFile(made[0])
	if err != nil || !strings.Contains(string(text), "\nLoadCredential="+MasterFile+":/run/holdfast-master.sock\n") {
		t.Errorf("%s, %v", text, err)
	}
	if again, err := DropIns(dir); err != nil || len(again) != 0 {
		t.Errorf("again: %q, %v", again, err)
	}
	if _, err := DropOut(dir); !errors.Is(err, ErrThere) {
		t.Errorf("the site's own: %v", err)
	}
	if text, err := os.ReadFile(own); err != nil || string(text) != "the site's" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{made, nil} {
		if gone, err := DropOut(dir); err != nil || !slices.Equal(gone, want) {
			t.Errorf("taken away: %q, %v", gone, err)
		}
	}
	if _, err := os.Lstat(made[0]); err == nil {
		t.Error("it is still there")
	}
}
