package setup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"

	"holdfast/ingest/envelope"
	"holdfast/internal/config"
)

// MaxAnswers bounds an answers file, in bytes.
const MaxAnswers = 1 << 20

// Answers are what a first run is told, by a person or by a TOML file. A key
// that is not here is refused. Paths are absolute. There is no secret among
// them: passphrase and password are named by their files.
type Answers struct {
	// ArchiveID is the archive's name at the relay: 1 to 64 of a-z 0-9 . - Required.
	ArchiveID string `toml:"archive_id"`
	// Config is the configuration that is written. Default: /etc/holdfast/holdfastd.toml.
	Config string `toml:"config"`
	// Data is the archive's folder. Default: /var/lib/holdfast.
	Data string `toml:"data"`
	// Credentials is the folder of keys and passwords. Default: /etc/holdfast/credentials.
	Credentials string `toml:"credentials"`
	// Socket is where `holdfast` finds the daemon. Default: /run/holdfast/holdfast.sock.
	Socket string `toml:"socket"`
	// TimeZone is the site's, by its IANA name. Default: UTC.
	TimeZone string `toml:"time_zone"`
	// Units is where systemd's drop-ins go. Default: /etc/systemd/system.
	Units string `toml:"units"`
	// Start has `systemctl enable --now holdfastd` run at the end. Default: no.
	Start bool `toml:"start"`
	// Metrics is a loopback ADDRESS:PORT for Prometheus. Default: none.
	Metrics string `toml:"metrics"`

	Master        Master            `toml:"master"`
	Kit           Kit               `toml:"kit"`
	Administrator Administrator     `toml:"administrator"`
	Relay         *config.Relay     `toml:"relay"`     // as in the configuration; URL alone is enough
	Directory     *config.Directory `toml:"directory"` // likewise; roles are added to
	// DirectoryPassword is a file with the password of Directory's account. It is
	// copied into the credentials folder.
	DirectoryPassword string `toml:"directory_password_file"`
	HTTPS             *HTTPS `toml:"https"`
	Backup            Backup `toml:"backup"`
	password          []byte // of Directory's account, typed; nil: as DirectoryPassword says
	// Anchor is a file on another machine's disk to which checkpoints go. Default: none.
	Anchor string `toml:"anchor_file"`
}

// Master says how the master key is kept.
type Master struct {
	// Kind is file, sealed or passphrase. Default: file.
	Kind string `toml:"kind"`
	// Seal is what it is sealed to: auto, host, tpm2 or host+tpm2. Default: auto,
	// both where there is a TPM.
	Seal string `toml:"seal"`
	// PassphraseFile has the passphrase on its first line. Default: it is asked for.
	PassphraseFile string `toml:"passphrase_file"`
}

// Kit says how the recovery kit is split.
type Kit struct {
	// Needed of Shares open the archive. Default: 3 of 5.
	Needed int `toml:"needed"`
	Shares int `toml:"shares"`
	// Out is a new file for it. Default: standard output.
	Out string `toml:"out"`
	// Unchecked leaves out that one share is typed back.
	Unchecked bool `toml:"unchecked"`
}

// Administrator is the first one: an account of this machine, or a group of the
// directory. Without either, root and the daemon's account alone administer.
type Administrator struct {
	Account string `toml:"account"` // name or uid
	Group   string `toml:"group"`   // objectGUID, DN or sAMAccountName
	Person  string `toml:"person"`  // the account's person in the directory: UPN or objectGUID
}

// HTTPS is the API over the network.
type HTTPS struct {
	Listen string `toml:"listen"` // ADDRESS:PORT. Default: :8443
	// Name is the host name that people use. With it, key and certificate request
	// are made where Key is not there.
	Name string `toml:"name"`
	Cert string `toml:"cert"` // Default: /etc/holdfast/api.pem
	Key  string `toml:"key"`  // Default: /etc/holdfast/api.key
}

// Backup says where backups go.
type Backup struct {
	To     string `toml:"to"`
	KeysTo string `toml:"keys_to"`
}

// ParseAnswers reads an answers file. Defaults are filled in by Complete.
func ParseAnswers(text []byte) (*Answers, error) {
	if len(text) > MaxAnswers {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrAnswers, MaxAnswers)
	}
	var a Answers
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&a)
	var unknown *toml.StrictMissingError
	var syntax *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		row, _ := unknown.Errors[0].Position()
		return nil, fmt.Errorf("%w: line %d: there is no such key; `holdfastd init --help` shows an answers file", ErrAnswers, row)
	case errors.As(err, &syntax):
		row, column := syntax.Position()
		return nil, fmt.Errorf("%w: line %d, column %d: it is no TOML, or not what this key takes", ErrAnswers, row, column)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAnswers, err)
	}
	return &a, nil
}

// Complete fills in what was not answered.
func (a *Answers) Complete() {
	or := func(s *string, d string) { *s = cmp.Or(*s, d) }
	or(&a.Config, "/etc/holdfast/holdfastd.toml")
	or(&a.Data, "/var/lib/holdfast")
	etc := filepath.Dir(a.Config)
	or(&a.Credentials, filepath.Join(etc, "credentials"))
	or(&a.Socket, "/run/holdfast/holdfast.sock")
	or(&a.TimeZone, "UTC")
	or(&a.Units, "/etc/systemd/system")
	or(&a.Master.Kind, KindFile)
	a.Kit.Needed, a.Kit.Shares = cmp.Or(a.Kit.Needed, 3), cmp.Or(a.Kit.Shares, 5)
	if r := a.Relay; r != nil {
		or(&r.CA, filepath.Join(etc, "relay-ca.pem"))
		or(&r.Cert, filepath.Join(etc, "relay.pem"))
		or(&r.Key, filepath.Join(etc, "relay.key"))
		// Optional, but never left out where it was put in place: no device would be enrolled.
		if enrolment := filepath.Join(etc, "enrolment.pem"); isFile(enrolment) {
			or(&r.EnrolKey, enrolment)
		}
		or(&r.HeadKey, filepath.Join(etc, "relay-head.pem"))
	}
	if d := a.Directory; d != nil {
		or(&d.CA, filepath.Join(etc, "ad-ca.pem"))
	}
	if h := a.HTTPS; h != nil {
		or(&h.Listen, ":8443")
		or(&h.Cert, filepath.Join(etc, "api.pem"))
		or(&h.Key, filepath.Join(etc, "api.key"))
	}
}

// Check refuses what cannot be made, before anything is. It looks at the disk.
func (a *Answers) Check() error {
	if a.ArchiveID == "" {
		return fmt.Errorf("%w: archive_id is missing: the archive's name at the relay, as agreed with the vendor", ErrAnswers)
	}
	if !envelope.ValidArc(a.ArchiveID) {
		return fmt.Errorf("%w: archive_id has 1 to 64 of a-z 0-9 . -", ErrAnswers)
	}
	if err := a.checkPaths(); err != nil {
		return err
	}
	if a.Kit.Needed < 2 || a.Kit.Shares < a.Kit.Needed || a.Kit.Shares > 255 {
		return fmt.Errorf("%w: kit: %d of %d shares; give 2 ≤ needed ≤ shares ≤ 255, for instance 3 of 5", ErrAnswers, a.Kit.Needed, a.Kit.Shares)
	}
	switch a.Master.Seal {
	case "", "auto", "host", "tpm2", "host+tpm2":
	default:
		return fmt.Errorf("%w: master.seal is auto, host, tpm2 or host+tpm2", ErrAnswers)
	}
	if _, ok := masterFiles[a.Master.Kind]; !ok {
		return fmt.Errorf("%w: master.kind is file, sealed or passphrase", ErrAnswers)
	}
	if a.Administrator.Group != "" && a.Directory == nil {
		return fmt.Errorf("%w: administrator.group is a group of the directory, and there is no [directory]; name an account of this machine instead", ErrAnswers)
	}
	if a.HTTPS != nil {
		if err := checkListen(a.HTTPS.Listen); err != nil {
			return fmt.Errorf("%w: https.listen: %w", ErrAnswers, err)
		}
		if a.Directory == nil {
			return fmt.Errorf("%w: https without [directory]: nobody could log in", ErrAnswers)
		}
	}
	// What waits for a file is looked at as well: it is too late when the file has come.
	if _, err := a.configText(&writer{whole: true}); err != nil {
		return err
	}
	if err := a.checkMachine(); err != nil {
		return err
	}
	return a.checkThere()
}

// checkMachine refuses what this machine cannot do.
func (a *Answers) checkMachine() error {
	if a.Start && !CanStart() {
		return fmt.Errorf("%w: start: this machine is not run by systemd; leave it out, and start `holdfastd serve --config %s` as the machine starts other daemons", ErrAnswers, a.Config)
	}
	if _, err := exec.LookPath("systemd-creds"); err != nil && a.Master.Kind == KindSealed {
		return errNoSeal
	}
	for _, path := range []string{a.Config, filepath.Join(a.Credentials, MasterFile), a.Data} {
		if err := writable(path); err != nil {
			return err
		}
	}
	return nil
}

// writable refuses a path whose nearest folder that is there cannot be written.
func writable(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s cannot be made: %s: %w; run it as root (sudo holdfastd init), or give another place", path, dir, err)
		}
		return nil
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (a *Answers) checkPaths() error {
	paths := map[string]string{
		"config": a.Config, "data": a.Data, "credentials": a.Credentials, "socket": a.Socket, "units": a.Units,
		"backup.to": a.Backup.To, "backup.keys_to": a.Backup.KeysTo, "anchor_file": a.Anchor,
	}
	if r := a.Relay; r != nil {
		maps.Copy(paths, map[string]string{"relay.ca": r.CA, "relay.cert": r.Cert, "relay.key": r.Key, "relay.head_key": r.HeadKey, "relay.enrol_key": r.EnrolKey})
	}
	if a.Directory != nil {
		paths["directory.ca"] = a.Directory.CA
	}
	if h := a.HTTPS; h != nil {
		paths["https.cert"], paths["https.key"] = h.Cert, h.Key
	}
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		if paths[key] != "" && !filepath.IsAbs(paths[key]) {
			return fmt.Errorf("%w: %s is an absolute path: one that begins with /", ErrAnswers, key)
		}
	}
	if inside(a.Credentials, a.Data) {
		return fmt.Errorf("%w: credentials lies inside data: the key would be in every copy of what it locks; put it elsewhere", ErrAnswers)
	}
	if a.Backup.KeysTo != "" && a.Backup.To != "" && inside(a.Backup.KeysTo, a.Backup.To) {
		return fmt.Errorf("%w: backup.keys_to lies inside backup.to: keys and data belong on different media", ErrAnswers)
	}
	return nil
}

func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// checkThere refuses what would overwrite something.
func (a *Answers) checkThere() error {
	paths := []string{a.Config}
	if a.Kit.Out != "" {
		paths = append(paths, a.Kit.Out)
	}
	if a.Directory != nil && (a.DirectoryPassword != "" || a.password != nil) {
		paths = append(paths, filepath.Join(a.Credentials, DirectoryFile))
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w; if an init that was cut short left it, move it away and run init again", path, ErrThere)
		}
	}
	if err := emptyData(a.Data); err != nil {
		return err
	}
	kind, err := KindOf(a.Credentials)
	if err == nil && kind != "" && kind != KindFile {
		err = fmt.Errorf("%s: %w; it may be another archive's key: move it to a safe place first", filepath.Join(a.Credentials, masterFiles[kind]), ErrThere)
	}
	if kind == KindFile && a.Master.Kind != KindFile {
		err = fmt.Errorf("%s: %w; answer `file` to use it, or move it to a safe place first", filepath.Join(a.Credentials, MasterFile), ErrThere)
	}
	return err
}

// emptyData refuses a folder in which something is: an archive is made in a new
// or empty one.
func emptyData(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "identity.json" }):
		return fmt.Errorf("%s: %w: an archive is there", dir, ErrThere)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty and is no archive (%s): %w; give a folder in it, or a new one. If an init that was cut short left it, remove it",
			dir, entries[0].Name(), ErrThere)
	}
	return nil
}

// uid returns the account's number; false without one.
func (m Administrator) uid() (uint32, bool, error) {
	if m.Account == "" {
		return 0, false, nil
	}
	text := m.Account
	if u, err := user.Lookup(m.Account); err == nil {
		text = u.Uid
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, false, fmt.Errorf("%w: this machine has no account %q; make it first, or give a uid", ErrAnswers, m.Account)
	}
	return uint32(n), true, nil
}

func checkListen(text string) error {
	if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
		return errors.New("it is ADDRESS:PORT, for instance :8443 or 10.0.0.5:8443")
	}
	return nil
}
