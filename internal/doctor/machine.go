package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/internal/config"
)

// Machine judges what can be seen without the daemon.
type Machine struct {
	ConfigPath string
	Config     *config.Config
	// Files is what reading every file that the configuration names came to.
	Files error
	// Credentials is the folder with the master key and the passwords.
	Credentials string
	// Account is the user id that the daemon runs under; nil: not known.
	Account *uint32
	// Running says that the daemon answers: it holds the store, and tells about
	// disk and chain itself.
	Running bool
	Now     time.Time
	// Sync asks the kernel how the clock stands; nil: adjtimex(2).
	Sync func() (TimeSync, error)
}

// Findings judges all of it. Every check has a finding, in a fixed order.
func (m *Machine) Findings(ctx context.Context) []Finding {
	out := []Finding{m.files(), m.permissions(), m.keys(), m.roles(), m.backupFolders()}
	out = append(out, m.certificates()...)
	out = append(out, timeSync(m.Sync))
	if !m.Running {
		out = append(out, m.store(ctx)...)
	}
	return out
}

// files judges whether what the configuration names can be read.
func (m *Machine) files() Finding {
	switch {
	case m.Files == nil:
		return fine("config", "the configuration and every file that it names can be read")
	case denied(m.Files):
		return unseen("config", "some of what the configuration names ("+strings.ReplaceAll(m.Files.Error(), "\n", "; ")+")")
	}
	return Config(m.ConfigPath, m.Files)
}

// denied reports whether none of the errors that are joined in err says more than
// that this account has not the right.
func denied(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !errors.Is(err, fs.ErrPermission) })
	}
	return errors.Is(err, fs.ErrPermission)
}

// Config judges a configuration that could not be loaded, or one that names files
// which cannot be read.
func Config(path string, err error) Finding {
	fix := "Correct what is named; `holdfastd check-config --config " + path + "` tries it. holdfastd.toml.example lists every key."
	switch {
	case missingItself(path, err):
		fix = "Run `holdfastd init`, which asks what it needs to know and writes a commented configuration; or name another file with --config."
	case errors.Is(err, fs.ErrPermission):
		fix = "Run this as root."
	}
	return fatal("config", strings.ReplaceAll(err.Error(), "\n", "; "), fix)
}

// missingItself reports whether it is the configuration that is missing, and not
// a file that it names.
func missingItself(path string, err error) bool {
	_, statErr := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) && errors.Is(statErr, fs.ErrNotExist)
}

// maxNamed is how many files a finding names.
const maxNamed = 3

// faults are files of which something is wrong, and what mends it.
type faults struct {
	said, fixes []string
	hidden      int // of them may only not be looked at
}

func (f *faults) add(said, fix string) {
	f.said = append(f.said, said)
	for _, known := range f.fixes {
		if known == fix {
			return
		}
	}
	f.fixes = append(f.fixes, fix)
}

// hide notes what may not be looked at.
func (f *faults) hide(said string) {
	f.add(said+" cannot be looked at from this account", "run `holdfastd doctor` as root")
	f.hidden++
}

// once notes a fault that several files share.
func (f *faults) once(said, fix string) {
	if !slices.Contains(f.said, said) {
		f.add(said, fix)
	}
}

func (f *faults) text() string {
	if n := len(f.said) - maxNamed; n > 0 {
		return strings.Join(f.said[:maxNamed], "; ") + fmt.Sprintf("; and %d more", n)
	}
	return strings.Join(f.said, "; ")
}

// permissions judges who may read and write the archive's files.
func (m *Machine) permissions() Finding {
	var f faults
	c := m.Config
	m.readable(&f)
	m.reach(&f, m.ConfigPath, 0o022, "others may change the configuration", "chmod go-w")
	m.tree(&f, c.Data)
	m.reach(&f, m.Credentials, 0o077, "others may look into the credentials", "chmod 0700")
	if names, err := os.ReadDir(m.Credentials); err == nil {
		for _, n := range names {
			m.reach(&f, filepath.Join(m.Credentials, n.Name()), 0o077, "others may read a credential", "chmod 0600")
		}
	}
	if c.Relay != nil {
		m.reach(&f, c.Relay.Key, 0o037, "others may read the relay's client key", m.keep(c.Relay.Key))
	}
	if c.HTTPS != nil {
		m.reach(&f, c.HTTPS.Key, 0o037, "others may read the key of the API's certificate", m.keep(c.HTTPS.Key))
	}
	if len(f.said) > 0 && f.hidden == len(f.said) {
		return warn("permissions", f.text(), "Run `holdfastd doctor` as root.").with("files", float64(len(f.said)))
	}
	if len(f.said) > 0 {
		return fatal("permissions", f.text(), "Run as root: "+strings.Join(f.fixes, "; ")).with("files", float64(len(f.said)))
	}
	return fine("permissions", "nobody else can read or change the archive's files").with("files", 0)
}

// reach notes a file whose mode has any bit of mask. What is missing is another
// check's business.
func (m *Machine) reach(f *faults, path string, mask fs.FileMode, said, fix string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.hide(path)
	case err == nil && info.Mode().Perm()&mask != 0:
		f.add(fmt.Sprintf("%s (%s has mode %04o)", said, path, info.Mode().Perm()), fix+" "+path)
	}
}

// public is the one file of the archive that holds nothing secret.
const public = "identity.json"

// tree looks at every file of the archive's folder.
func (m *Machine) tree(f *faults, data string) {
	root, err := os.Stat(data)
	if errors.Is(err, fs.ErrPermission) {
		f.hide(data)
	}
	if err != nil {
		return // the store's check says so
	}
	m.reach(f, data, 0o077, "others may look into the archive", "chmod 0700")
	owner := uid(root)
	if m.Account != nil && owner != *m.Account {
		f.add(fmt.Sprintf("%s belongs to user id %d, and the daemon runs as %d", data, owner, *m.Account), fmt.Sprintf("chown -R %d:%d %s", *m.Account, *m.Account, data))
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return missing(err)
		}
		info, err := d.Info()
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return missing(err)
		}
		if mode := info.Mode().Perm(); !d.IsDir() && d.Name() != public && mode&0o077 != 0 {
			f.add(fmt.Sprintf("others may read %s (mode %04o)", path, mode), "chmod -R go-rwx "+data)
		}
		if uid(info) != owner {
			f.add(fmt.Sprintf("%s belongs to user id %d, its folder to %d", path, uid(info), owner), fmt.Sprintf("chown -R %d %s", owner, data))
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.hide("all of " + data)
	case err != nil:
		f.add("not all of "+data+" could be looked at", "check the disk (dmesg, smartctl)")
	}
}

func uid(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

// noArchive is what to do where no archive is found. A volume that is not mounted
// comes first: who ran init then would begin a second archive on the mount point.
const noArchive = "Mount the archive's volume if it has one of its own, or correct `data` in the configuration. Only where there never was an archive: `holdfastd init`."

// lostKeys are the fixes for the keyring and for its recovery copy.
var lostKeys = map[string]string{
	"keyring": "Do not run init. With the daemon stopped, `holdfastd unlock --by-shares` makes it anew from keyring.recovery and shares of the recovery kit; then start the daemon.",
	"keyring.recovery": "Do not run init. Copy the newest one back: in the folder of [backup] keys_to it is */keyring.recovery-N with the highest N; it becomes keyring.recovery in the archive's folder, " +
		"owned by the daemon's account, mode 0600.",
}

// keys judges whether the keyring and its recovery copy are there.
func (m *Machine) keys() Finding {
	for _, name := range []string{"keyring", "keyring.recovery"} {
		path := filepath.Join(m.Config.Data, name)
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist) && m.noStore():
			return fatal("keys", "there is no archive at "+m.Config.Data, noArchive)
		case errors.Is(err, fs.ErrPermission):
			return unseen("keys", path)
		case err != nil || info.Size() == 0:
			return fatal("keys", path+" is missing or empty: without it nobody can open the archive", lostKeys[name])
		}
	}
	for _, name := range masterFiles {
		if info, err := os.Stat(filepath.Join(m.Credentials, name)); err == nil && info.Size() > 0 {
			return fine("keys", "the keyring, its recovery copy and a master key are there")
		} else if errors.Is(err, fs.ErrPermission) {
			return unseen("keys", m.Credentials)
		}
	}
	return fatal("keys", "there is no master key in "+m.Credentials+": without one the daemon waits as locked",
		"If the key lies elsewhere, set `credentials` in the configuration. If it is lost, `holdfastd unlock` takes shares of the recovery kit and puts a new one there.")
}

// masterFiles are the forms in which a master key may lie in the credentials
// folder: plain, sealed to the machine, or wrapped by a passphrase.
var masterFiles = []string{"holdfast.master", "holdfast.master.sealed", "holdfast.master.passphrase"}

// roles judges whether anybody was said to have a role.
func (m *Machine) roles() Finding {
	if m.Config.Directory == nil && len(m.Config.Accounts) == 0 {
		return warn("roles", "nobody has said who may do what: root and the daemon's own account hold every role, and read every message",
			"Before messages of patients come in, add an [[account]] or [directory] to the configuration (`holdfast roles` lists the roles), then `systemctl restart holdfastd`. From then on root is an administrator, who reads no message.")
	}
	return fine("roles", "the configuration says who may do what")
}

// backupFolders judges whether the folders of the backups are there: one that is
// not mounted is found out before the night's backup fails.
func (m *Machine) backupFolders() Finding {
	b := m.Config.Backup
	var away, hidden []string
	for _, folder := range []struct{ key, path string }{{"backup.to", b.To}, {"backup.keys_to", b.KeysTo}} {
		if folder.path == "" {
			continue
		}
		switch info, err := os.Stat(folder.path); {
		case errors.Is(err, fs.ErrPermission):
			hidden = append(hidden, folder.path)
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
			away = append(away, folder.key+": "+folder.path+" is not there")
		}
	}
	if len(away) > 0 {
		return warn("backup-folders", strings.Join(away, "; "), "Mount it, or correct [backup] in the configuration. Without backup.keys_to nothing is taken from the relay once a new key is needed.")
	}
	if len(hidden) > 0 {
		return unseen("backup-folders", strings.Join(hidden, ", "))
	}
	if b.To == "" && b.KeysTo == "" {
		return fine("backup-folders", "no folder for backups is configured")
	}
	return fine("backup-folders", "the folders of the backups are there")
}

func (m *Machine) noStore() bool {
	_, err := os.Stat(filepath.Join(m.Config.Data, "identity.json"))
	return errors.Is(err, fs.ErrNotExist)
}
