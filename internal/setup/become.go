package setup

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Become makes the whole program go on as the account that has a folder, when
// root runs it and the folder is another account's: root makes, empties and
// removes nothing where somebody else can put links in the place of folders.
// There is no way back.
func Become(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ownerOf(dir)
	if err != nil || uid == 0 {
		return err
	}
	groups := []int{gid}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		more, err := u.GroupIds()
		if err != nil {
			return fmt.Errorf("the groups of the account %s: %w", u.Username, err)
		}
		for _, text := range more {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			groups = append(groups, n)
		}
	}
	// The groups first: afterwards nobody may change them.
	if err := errors.Join(syscall.Setgroups(groups), syscall.Setresgid(gid, gid, gid)); err != nil {
		return err
	}
	return syscall.Setresuid(uid, uid, uid)
}
