package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"holdfast/internal/certreq"
	"holdfast/internal/durable"
	"holdfast/internal/regular"
)

// Account is the daemon's own account.
const Account = certreq.Account

// Ownership is what the daemon's account has to have. What is not there is
// passed over.
type Ownership struct {
	Data string   // a folder that becomes its own, with all that is in it
	Keys []string // files that become its own, for nobody else to read
	Read []string // files and folders of root that its group may read
}

// Owned is what became of it.
type Owned struct {
	Account bool     // the account exists, and root gave it what it needs
	Left    []string // keys that others read as well, and that were left as they are
}

// Own gives the daemon's account what it needs, when root runs it and the
// account exists. A crash leaves files that the daemon cannot read: calling it
// again puts that right.
func Own(o Ownership) (Owned, error) {
	if os.Geteuid() != 0 {
		return Owned{}, nil
	}
	h, err := certreq.Daemon()
	if err != nil || h == nil {
		return Owned{}, err
	}
	left, err := o.give(*h)
	return Owned{Account: true, Left: left}, err
}

func (o Ownership) give(h certreq.Holder) (left []string, err error) {
	if o.Data != "" {
		if err := chown(o.Data, h.UID, h.GID); err != nil {
			return nil, err
		}
	}
	for _, path := range o.Keys {
		given, err := h.Give(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return left, err
		}
		if err == nil && !given {
			left = append(left, path)
		}
	}
	for _, path := range o.Read {
		if err := h.Show(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return left, err
		}
	}
	return left, nil
}

// chown gives a folder and all in it to an account; links themselves, not what
// they point at. What is in a folder comes before the folder: whoever has a
// folder can put anything in the place of what is in it, and a file of root's
// with a second name there could be any file of root's.
func chown(dir string, uid, gid int) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return each(root, ".", uid, func(name string) error { return root.Lchown(name, uid, gid) })
}

// each calls give for what is in a folder, and then for the folder.
func each(root *os.Root, name string, uid int, give func(name string) error) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := fs.ReadDir(root.FS(), name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := each(root, path.Join(name, e.Name()), uid, give); err != nil {
				return err
			}
		}
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || info.Mode().IsRegular() && s.Nlink > 1 && s.Uid != uint32(uid) { // #nosec G115 -- a uid
		return fmt.Errorf("%s has a second name somewhere: remove it, it is none of the archive's", filepath.Join(root.Name(), name))
	}
	return give(name)
}

// Taken is a folder that root took from the account that had it.
type Taken struct {
	dir      string // "" when nothing was taken
	uid, gid int
}

// Take makes an existing folder root's own while root fills it, when root runs
// it: the account that has it can put links in the place of what root makes. A
// crash leaves the folder root's, and empty or not an archive yet.
func Take(dir string) (Taken, error) {
	if os.Geteuid() != 0 {
		return Taken{}, nil
	}
	return take(dir)
}

func take(dir string) (Taken, error) {
	uid, gid, err := ownerOf(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && uid == os.Geteuid() {
		return Taken{}, nil
	}
	if err != nil {
		return Taken{}, err
	}
	return Taken{dir, uid, gid}, errors.Join(os.Chown(dir, os.Geteuid(), os.Getegid()), os.Chmod(dir, 0o700)) // #nosec G302 -- a folder
}

// Back gives the folder back, if nobody else was given it meanwhile.
func (t Taken) Back() error {
	if t.dir == "" {
		return nil
	}
	uid, _, err := ownerOf(t.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && uid != os.Geteuid() {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chown(t.dir, t.uid, t.gid)
}

// OwnAs gives files in dir to whoever owns dir, after root wrote them. A crash
// before it leaves files that the daemon cannot read: it may be called again.
func OwnAs(dir string, names ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ownerOf(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Lchown(filepath.Join(dir, name), uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dropIn hands the sealed master key over through a socket: a credential that
// systemd cannot unseal would keep the daemon from being started (systemd.exec(5)),
// behind the socket it arrives empty, and the daemon waits as locked.
const dropIn = `# Written by holdfastd: the master key is sealed, and unsealed by holdfast-master@.service.
[Unit]
Wants=holdfast-master.socket
After=holdfast-master.socket

[Service]
LoadCredential=holdfast.master:/run/holdfast-master.sock
`

// dropInUnits are those that read the master key.
var dropInUnits = []string{"holdfastd.service", "holdfastd-drill.service"}

// DropIns makes the drop-ins of a sealed master key where they are not there,
// and returns those that it made, also with an error.
func DropIns(units string) (made []string, err error) {
	for _, unit := range dropInUnits {
		path := dropInPath(units, unit)
		if _, err := os.Lstat(path); err == nil {
			continue // of an earlier run, or the site's own
		}
		err := os.MkdirAll(filepath.Dir(path), 0o755) // #nosec G301 -- systemd's folders are for everybody to read
		if err != nil {
			return made, err
		}
		if err := durable.Create(path, []byte(dropIn), 0o644); err != nil {
			return made, err
		}
		made = append(made, path)
	}
	return made, nil
}

// DropOut removes the drop-ins of a sealed master key, when the key is sealed no
// more, and returns those that it removed. One that the site changed stays.
func DropOut(units string) (removed []string, err error) {
	for _, unit := range dropInUnits {
		path := dropInPath(units, unit)
		text, err := regular.Read(path, int64(len(dropIn)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || string(text) != dropIn {
			return removed, fmt.Errorf("%s is not as holdfastd wrote it: %w; take its LoadCredential=%s away by hand, then: systemctl daemon-reload", path, ErrThere, MasterFile)
		}
		if err := durable.Remove(path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	return removed, nil
}

func dropInPath(units, unit string) string {
	return filepath.Join(units, unit+".d", "50-holdfast-master.conf")
}

// CanStart reports whether this machine is run by systemd.
func CanStart() bool {
	_, err := exec.LookPath("systemctl")
	_, booted := os.Stat("/run/systemd/system") // sd_booted(3)
	return err == nil && booted == nil
}

// Reload has systemd read its units again; nothing where it does not run.
func Reload(ctx context.Context) error {
	if !CanStart() {
		return nil
	}
	return systemctl(ctx, "daemon-reload")
}

func start(ctx context.Context) error {
	if err := systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	return systemctl(ctx, "enable", "--now", "holdfastd.service")
}

func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput() // #nosec G204 -- the arguments are ours
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

// ErrOthers is returned for a folder that others than root can put things into,
// or into one that it lies in.
var ErrOthers = errors.New("others than root can change what is in it")

// OnlyRoots reports, when root runs it, whether nobody but root can say what is
// in a folder: ErrOthers. Keys are kept and looked for there because a link in
// the archive's own folder says so, and the daemon's account can change that.
func OnlyRoots(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return onlyOf(dir, 0)
}

func onlyOf(dir string, uid int) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		// In a folder with the sticky bit others can add, and not replace.
		open := info.Mode().Perm()&0o022 != 0 && (info.Mode()&os.ModeSticky == 0 || at == filepath.Clean(dir))
		if !ok || !info.IsDir() || int(s.Uid) != uid && s.Uid != 0 || open {
			return fmt.Errorf("%s: %w", at, ErrOthers)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func ownerOf(dir string) (uid, gid int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, 0, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("who owns %s is not known", dir)
	}
	return int(s.Uid), int(s.Gid), nil
}
