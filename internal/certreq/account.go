package certreq

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"holdfast/internal/regular"
)

// Account is the daemon's own account, made by the package (sysusers). Its group
// are those who may use the daemon's socket: they read no key.
const Account = "holdfast"

// Holder is an account that files are given to.
type Holder struct{ UID, GID int }

// Daemon returns the daemon's account; nil where the machine has none.
func Daemon() (*Holder, error) {
	u, err := user.Lookup(Account)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return &Holder{UID: uid, GID: gid}, errors.Join(err1, err2)
}

// Give gives a private key's file to the account, which alone reads it from then
// on (0600). It reports false, and leaves the file as it is, where others
// than its owner read it too: another program may need it. A crash leaves a
// file that the account cannot read yet: it may be called again.
func (h Holder) Give(path string) (given bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // #nosec G304 -- the operator names it
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, owner, err := standing(f)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 && int(owner.Gid) != h.GID {
		return false, nil
	}
	// The mode first: nobody of the group reads it in between.
	if err := f.Chmod(0o600); err != nil {
		return false, err
	}
	return true, f.Chown(h.UID, h.GID)
}

// Show lets the account's group read a file without secrets, or look into a
// folder, that others may not; its owner stays.
func (h Holder) Show(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // #nosec G304 -- the operator names it
	if err != nil {
		return err
	}
	defer f.Close()
	info, _, err := standing(f)
	if err != nil {
		return err
	}
	need := os.FileMode(0o040)
	switch {
	case info.IsDir():
		need = 0o050
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s %w", path, regular.ErrIrregular)
	}
	if info.Mode().Perm()&(need>>3) == need>>3 {
		return nil // everybody may
	}
	if err := f.Chown(-1, h.GID); err != nil {
		return err
	}
	return f.Chmod(info.Mode().Perm() | need)
}

func standing(f *os.File) (os.FileInfo, *syscall.Stat_t, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil, errors.New("who owns " + f.Name() + " is not known")
	}
	return info, owner, nil
}
