package setup

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/certreq"
	"holdfast/internal/durable"
	"holdfast/internal/regular"
)

// CredentialsLink is what a first run leaves in the archive's folder so that
// every command finds the credentials folder: a symbolic link, no secret.
const CredentialsLink = "credentials"

// Made is what a first run made.
type Made struct {
	*proof.Identity
	Master  string   // file of the master key
	NewKey  bool     // it was made now
	Request string   // certificate request for HTTPS; "" without
	Waits   []string // files without which a section of the configuration stands behind a #
	Owned
	Started bool
}

// maker makes an archive. What it made so far is taken away when a step fails.
type maker struct {
	*Answers
	dialog *Dialog
	out    io.Writer // for the kit, unless a file was asked for
	made   *Made
	undo   []func() error
}

// Make makes an archive by complete and checked answers. The kit goes to out
// and is safe before there is anything that could need it; the archive itself
// comes last but for ownership and start: where it is, everything is.
func Make(ctx context.Context, a *Answers, d *Dialog, out io.Writer) (_ *Made, err error) {
	m := &maker{Answers: a, dialog: d, out: out, made: &Made{}}
	taken, err := Take(a.Data)
	defer func() { err = errors.Join(err, taken.Back()) }()
	if err != nil {
		return nil, err
	}
	if err := m.all(ctx); err != nil {
		slices.Reverse(m.undo)
		for _, undo := range m.undo {
			err = errors.Join(err, undo())
		}
		return nil, err
	}
	// The archive is there and everything that it needs: from here on nothing is taken away.
	if m.made.Owned, err = Own(a.owned()); err != nil {
		return m.made, fmt.Errorf("the archive is made, but its files cannot be given to the account %s: %w", Account, err)
	}
	if a.Start {
		if err := start(ctx); err != nil {
			return m.made, fmt.Errorf("the archive is made, but the daemon does not start: %w; see `journalctl -u holdfastd`", err)
		}
		m.made.Started = true
	}
	return m.made, nil
}

func (m *maker) all(ctx context.Context) error {
	keeper, err := m.keeper(ctx)
	if err != nil {
		return err
	}
	master, err := m.master()
	if err != nil {
		return err
	}
	key, err := seal.NewRecoveryKey()
	if err != nil {
		return err
	}
	kit, err := Split(key, m.ArchiveID, m.Kit.Needed, m.Kit.Shares)
	if err != nil {
		return err
	}
	if err := m.print(ctx, kit); err != nil {
		return err
	}
	if err := m.folders(); err != nil {
		return err
	}
	if err := m.keep(ctx, keeper, master); err != nil {
		return err
	}
	if err := m.links(); err != nil {
		return err
	}
	if err := m.config(); err != nil {
		return err
	}
	// A crash up to here leaves files that the next run names and does not overwrite, and no archive.
	if m.made.Identity, err = archive.Create(ctx, m.Data, archive.CreateOptions{ArchiveID: m.ArchiveID, Master: master, Recovery: key.Public()}); err != nil {
		return fmt.Errorf("%w: remove what is in %s before you run it again", err, m.Data)
	}
	if err := durable.Symlink(m.Credentials, filepath.Join(m.Data, CredentialsLink)); err != nil {
		return m.late(err)
	}
	if err := NoteKit(m.Credentials, kit.KitSet); err != nil {
		return m.late(err)
	}
	return nil
}

// late is an error after the archive was made: what it needs stays.
func (m *maker) late(err error) error {
	m.undo = nil
	return fmt.Errorf("the archive in %s is made, but not all that belongs to it: %w", m.Data, err)
}

// keeper gets the passphrase, where one is to be, before anything is made.
func (m *maker) keeper(ctx context.Context) (k Keeper, err error) {
	k = Keeper{Kind: m.Master.Kind, Seal: m.Master.Seal}
	if k.Kind != KindPassphrase {
		return k, nil
	}
	if m.Master.PassphraseFile == "" {
		k.Passphrase, err = AskNewPassphrase(ctx, m.dialog)
		return k, err
	}
	if k.Passphrase, err = m.secretIn(m.Master.PassphraseFile); err != nil {
		return k, err
	}
	return k, CheckPassphrase(k.Passphrase)
}

// secretIn reads a secret from a file, and says so if others may have read it.
func (m *maker) secretIn(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		if err := m.dialog.Say("others than its owner may read %s (mode %04o): delete it afterwards, and take another secret if somebody did", path, info.Mode().Perm()); err != nil {
			return nil, err
		}
	}
	return FirstLine(path)
}

// FirstLine reads a secret from a file's first line.
func FirstLine(path string) ([]byte, error) {
	text, err := regular.Read(path, maxLine)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; give a file that has the secret on its first line", ErrGiven, err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return nil, fmt.Errorf("%w: the first line of %s is empty", ErrGiven, path)
	}
	return line, nil
}

// master returns the key that is there, or a new one.
func (m *maker) master() (key [seal.MasterSize]byte, err error) {
	path := filepath.Join(m.Credentials, MasterFile)
	text, err := regular.Read(path, 256)
	if errors.Is(err, os.ErrNotExist) {
		m.made.NewKey = true
		return seal.NewKey(), nil
	}
	if err != nil {
		return key, err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("%s: %w, and it is no master key (64 hexadecimal digits)", path, ErrThere)
	}
	m.made.Master = path
	return [seal.MasterSize]byte(b), nil
}

func (m *maker) print(ctx context.Context, kit *Print) error {
	if m.Kit.Out != "" {
		if err := m.create(m.Kit.Out, []byte(kit.Text()), 0o600); err != nil {
			return err
		}
	} else if _, err := io.WriteString(m.out, kit.Text()); err != nil {
		return err
	}
	if m.Kit.Unchecked {
		return nil
	}
	return kit.TypeBack(ctx, m.dialog)
}

// create makes a file that is taken away again when a later step fails.
func (m *maker) create(path string, text []byte, perm os.FileMode) error {
	if err := durable.Create(path, text, perm); err != nil {
		return err
	}
	m.undo = append(m.undo, func() error { return durable.Remove(path) })
	return nil
}

func (m *maker) folders() error {
	for path, perm := range map[string]os.FileMode{filepath.Dir(m.Config): 0o750, m.Credentials: 0o700} {
		if err := os.MkdirAll(path, perm); err != nil {
			return err
		}
	}
	return durable.SyncDir(filepath.Dir(m.Credentials))
}

func (m *maker) keep(ctx context.Context, k Keeper, master [seal.MasterSize]byte) error {
	if m.made.NewKey {
		path, err := k.Keep(ctx, m.Credentials, master)
		if err != nil {
			return err
		}
		m.made.Master = path
		m.undo = append(m.undo, func() error { return durable.Remove(path) })
	}
	password := m.password
	if m.Directory == nil || m.DirectoryPassword == "" && password == nil {
		return nil
	}
	if password == nil {
		var err error
		if password, err = m.secretIn(m.DirectoryPassword); err != nil {
			return err
		}
	}
	return m.create(filepath.Join(m.Credentials, DirectoryFile), append(password, '\n'), 0o600)
}

// links makes what the outside world needs: the request for HTTPS, and the
// drop-ins by which systemd gets a sealed key.
func (m *maker) links() error {
	if h := m.HTTPS; h != nil && h.Name != "" && len(missing(true, h.Key)) > 0 {
		m.made.Request = strings.TrimSuffix(h.Key, filepath.Ext(h.Key)) + ".csr"
		if err := certreq.Make(h.Key, m.made.Request, h.Name, []string{h.Name}); err != nil {
			return err
		}
		for _, path := range []string{h.Key, m.made.Request} {
			m.undo = append(m.undo, func() error { return durable.Remove(path) })
		}
	}
	if m.Master.Kind != KindSealed {
		return nil
	}
	paths, err := DropIns(m.Units)
	for _, path := range paths {
		m.undo = append(m.undo, func() error { return durable.Remove(path) })
	}
	return err
}

func (m *maker) config() error {
	text, err := m.ConfigText()
	if err != nil {
		return err
	}
	if r := m.Relay; r != nil {
		m.made.Waits = missing(true, r.CA, r.Cert, r.Key, r.HeadKey, r.EnrolKey)
	}
	if m.Directory != nil {
		m.made.Waits = append(m.made.Waits, missing(true, m.Directory.CA)...)
	}
	if m.HTTPS != nil {
		m.made.Waits = append(m.made.Waits, missing(true, m.HTTPS.Cert)...)
	}
	return m.create(m.Config, []byte(text), 0o640)
}

// owned are what the service account has to have.
func (a *Answers) owned() Ownership {
	o := Ownership{Data: a.Data, Read: []string{filepath.Dir(a.Config), a.Config}}
	if r := a.Relay; r != nil {
		o.Keys, o.Read = append(o.Keys, r.Key), append(o.Read, r.CA, r.Cert, r.HeadKey)
		if r.EnrolKey != "" {
			o.Read = append(o.Read, r.EnrolKey)
		}
	}
	if d := a.Directory; d != nil {
		o.Read = append(o.Read, d.CA)
	}
	if h := a.HTTPS; h != nil {
		o.Keys, o.Read = append(o.Keys, h.Key), append(o.Read, h.Cert)
	}
	return o
}
