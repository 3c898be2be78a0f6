package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// readable notes each file of the configuration that the daemon's account cannot
// read. Root, who asks, could: without this the daemon would not start on a
// machine that was found to be well.
func (m *Machine) readable(f *faults) {
	uid, ok := m.daemonAccount()
	if !ok {
		return
	}
	groups := groupsOf(uid)
	keys := m.privateKeys()
	for _, path := range append(m.named(), keys...) {
		at := blocked(path, uid, groups)
		if at == "" {
			continue
		}
		if at == path {
			fix := fmt.Sprintf("chgrp %s %s; chmod g+r %s", groupText(groups), path, path)
			if slices.Contains(keys, path) {
				fix = m.keep(path) + " " + path
			}
			f.add(fmt.Sprintf("the daemon's account (user id %d) cannot read %s", uid, path), fix)
			continue
		}
		f.once(fmt.Sprintf("the daemon's account (user id %d) cannot enter %s, where a file of the configuration lies", uid, at),
			"put the configuration's files into a folder that the daemon's account can enter, as /etc/holdfast is")
	}
}

// daemonAccount is the account of the package, else the owner of the archive.
func (m *Machine) daemonAccount() (uint32, bool) {
	if m.Account != nil {
		return *m.Account, true
	}
	info, err := os.Stat(m.Config.Data)
	if err != nil {
		return 0, false
	}
	return uid(info), true
}

// privateKeys are the keys that the configuration names.
func (m *Machine) privateKeys() []string {
	var paths []string
	if r := m.Config.Relay; r != nil {
		paths = append(paths, r.Key)
	}
	if h := m.Config.HTTPS; h != nil {
		paths = append(paths, h.Key)
	}
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// keep is the command, but for the path at its end, that gives a private key to
// the daemon's account alone: its group are those who may use the daemon's
// socket. The mode comes first, so that none of them reads it in between.
func (m *Machine) keep(path string) string {
	owner := "holdfast"
	if id, ok := m.daemonAccount(); ok && m.Account == nil {
		owner = strconv.FormatUint(uint64(id), 10)
	}
	return fmt.Sprintf("chmod 0600 %s; chown %s:", path, owner)
}

// named are the files that the daemon reads because the configuration names them,
// and the configuration, but for private keys.
func (m *Machine) named() []string {
	paths := []string{m.ConfigPath}
	c := m.Config
	if r := c.Relay; r != nil {
		paths = append(paths, r.CA, r.Cert, r.HeadKey, r.EnrolKey)
	}
	if h := c.HTTPS; h != nil {
		paths = append(paths, h.Cert)
	}
	if d := c.Directory; d != nil {
		paths = append(paths, d.CA)
	}
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

func groupsOf(id uint32) []uint32 {
	u, err := user.LookupId(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return nil
	}
	names, err := u.GroupIds()
	if err != nil {
		names = []string{u.Gid}
	}
	var out []uint32
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			out = append(out, uint32(n))
		}
	}
	return out
}

func groupText(groups []uint32) string {
	if len(groups) == 0 {
		return "holdfast"
	}
	return strconv.FormatUint(uint64(groups[0]), 10)
}

// blocked returns what keeps an account from reading a file: the file itself, or
// a folder above it; empty if nothing does, or if it cannot be told by mode bits
// alone. What is missing is another check's business.
func blocked(path string, id uint32, groups []uint32) string {
	if id == 0 {
		return ""
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if !granted(dir, 1, id, groups) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if !granted(path, 4, id, groups) {
		return path
	}
	return ""
}

// granted reports whether the mode bits of a file give the account a right: 4 to
// read, 1 to enter. A file with an access control list counts as granted, as the
// bits do not tell.
func granted(path string, right fs.FileMode, id uint32, groups []uint32) bool {
	info, err := os.Stat(path)
	if err != nil {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	if n, err := unix.Getxattr(path, "system.posix_acl_access", nil); err == nil && n > 0 {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case st.Uid == id:
		return mode&(right<<6) != 0
	case slices.Contains(groups, st.Gid):
		return mode&(right<<3) != 0
	}
	return mode&right != 0
}
