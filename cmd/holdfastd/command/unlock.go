package command

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"holdfast/archive"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
	"holdfast/internal/regular"
	"holdfast/internal/setup"
)

type unlockOptions struct {
	config, passphraseFile, shares, keep, units string
	byShares                                    bool
}

func newUnlock() *cobra.Command {
	var o unlockOptions
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Give a locked daemon its master key: by passphrase, or by shares of the recovery kit",
		Long: `unlock opens an archive whose daemon waits as locked: it was started without its
master key, or with one that does not fit.

Where the master key is wrapped by a passphrase, it asks for that. Else, or with
--by-shares, it asks for shares of the recovery kit, makes a new master key, puts
the archive's keys under it, and keeps it where the former one was; a former file
is set aside beside it. A new sealed key is sealed to the machine as it is now: that is
how an archive is opened after its TPM was reset.

Run it as root. Neither passphrase nor shares are shown, logged, or kept.`,
		Example: `  sudo holdfastd unlock
  sudo holdfastd unlock --by-shares
  sudo holdfastd unlock --by-shares --keep file`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return asRoot(runUnlock(c, o), os.Geteuid(), c.CommandPath())
		},
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", defaultConfig, "the daemon's configuration")
	f.StringVar(&o.passphraseFile, "passphrase-file", "", "file whose first line is the passphrase, instead of asking")
	f.BoolVar(&o.byShares, "by-shares", false, "by the recovery kit, also where there is a passphrase")
	f.StringVar(&o.shares, "shares", "", "file with shares, a line each, instead of asking; implies --by-shares")
	f.StringVar(&o.keep, "keep", "", "keep the new master key as file, sealed or passphrase (default: as the former one)")
	f.StringVar(&o.units, "units", "/etc/systemd/system", "folder of systemd's drop-ins, by which a sealed key comes to the daemon")
	return c
}

// asRoot adds to an error of who is not root and may not read or write something
// that root may.
func asRoot(err error, uid int, command string) error {
	if uid == 0 || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w\nrun it as root: sudo %s", err, command)
}

// lockedArchive is an archive that is to be unlocked.
type lockedArchive struct {
	unlockOptions
	cfg         *config.Config
	credentials string
	kind        string // how its master key was kept; "" where there is none
	dialog      *setup.Dialog
}

func runUnlock(c *cobra.Command, o unlockOptions) error {
	switch o.keep {
	case "", setup.KindFile, setup.KindSealed, setup.KindPassphrase:
	default:
		return fmt.Errorf("%w: --keep is file, sealed or passphrase", errUsage)
	}
	cfg, err := config.Load(o.config)
	if err != nil {
		return err
	}
	if _, err := archive.ReadIdentity(cfg.Data); err != nil {
		return err
	}
	l := &lockedArchive{unlockOptions: o, cfg: cfg, dialog: kitDialog(c)}
	if l.credentials, err = credentialsOf(cfg); err != nil {
		return err
	}
	if l.kind, err = setup.KindOf(l.credentials); err != nil {
		return err
	}
	l.byShares = l.byShares || l.shares != ""
	var key [seal.MasterSize]byte
	way := api.WayKey
	switch present, err := l.present(c.Context()); {
	case err == nil && l.byShares:
		return fmt.Errorf("%w: the master key in %s opens the archive: nothing is lost. Unlock without --by-shares", errUsage, l.credentials)
	case err == nil:
		key = present
	case l.kind == setup.KindPassphrase && !l.byShares:
		way = api.WayPassphrase
		if key, err = l.passphrase(c.Context()); err != nil {
			return err
		}
	default:
		way = api.WayShares
		if err := l.dialog.Say("%s", l.whyShares(err)); err != nil {
			return err
		}
		if key, err = l.recover(c.Context()); err != nil {
			return err
		}
	}
	return l.handOver(c.Context(), key, way)
}

// whyShares says why shares of the recovery kit are asked for. err is what became
// of the master key that is there.
func (l *lockedArchive) whyShares(err error) string {
	if l.kind == setup.KindPassphrase {
		return "By shares of the recovery kit the archive gets a new master key; the one that its passphrase wraps is left aside."
	}
	return fmt.Sprintf("The archive does not open with a master key from %s, so that shares of the recovery kit are needed to make a new one. The cause: %v.", l.credentials, err)
}

// credentialsOf returns the credentials folder of an archive: never systemd's,
// which holds copies.
func credentialsOf(cfg *config.Config) (string, error) {
	if cfg.Credentials != "" {
		return cfg.Credentials, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(cfg.Data, setup.CredentialsLink))
	if err != nil {
		return "", fmt.Errorf("%w: where the master key is kept is not known: %w; set `credentials` in the configuration", daemon.ErrCredential, err)
	}
	if err := setup.OnlyRoots(dir); err != nil {
		return "", fmt.Errorf("%w: the link %s leads to a folder that keys are not kept in: %w; see who changed it, and put it right", daemon.ErrCredential, filepath.Join(cfg.Data, setup.CredentialsLink), err)
	}
	return dir, nil
}

// present returns the master key where it lies in the open, or sealed, and opens
// the archive.
func (l *lockedArchive) present(ctx context.Context) (key [seal.MasterSize]byte, err error) {
	if l.kind == setup.KindSealed {
		key, err = setup.Unseal(ctx, l.credentials)
	} else {
		key, err = daemon.ReadMaster(l.credentials)
	}
	if err == nil {
		err = archive.OpensWith(l.cfg.Data, key)
	}
	return key, err
}

func (l *lockedArchive) passphrase(ctx context.Context) (key [seal.MasterSize]byte, err error) {
	file, err := regular.Read(filepath.Join(l.credentials, setup.PassphraseFile), 64<<10)
	if err != nil {
		return key, err
	}
	var text []byte
	if l.passphraseFile != "" {
		text, err = setup.FirstLine(l.passphraseFile)
	} else {
		text, err = l.dialog.Secret(ctx, "the passphrase", "passphrase")
	}
	if err != nil {
		return key, err
	}
	defer clear(text)
	key, err = seal.UnwrapPassphrase(file, text)
	switch {
	case errors.Is(err, seal.ErrKey):
		return key, fmt.Errorf("%w: that is not the passphrase; try again, or unlock by the recovery kit: holdfastd unlock --by-shares", daemon.ErrCredential)
	case err != nil:
		return key, err
	}
	return key, archive.OpensWith(l.cfg.Data, key)
}

// recover makes a new master key by the recovery kit.
func (l *lockedArchive) recover(ctx context.Context) (key [seal.MasterSize]byte, err error) {
	recovery, err := askKit(ctx, l.dialog, l.shares)
	if err != nil {
		return key, err
	}
	if err := archive.CheckKit(l.cfg.Data, recovery); err != nil {
		return key, err
	}
	keeper := setup.Keeper{Kind: l.keep}
	if keeper.Kind == "" {
		keeper.Kind = l.kind
	}
	if keeper.Kind == "" {
		keeper.Kind = setup.KindFile
	}
	if keeper.Kind == setup.KindPassphrase {
		if keeper.Passphrase, err = l.newPassphrase(ctx); err != nil {
			return key, err
		}
	}
	aside, err := setup.SetAside(l.credentials, keeper.Kind)
	if err != nil {
		return key, err
	}
	key = seal.NewKey()
	path, err := keeper.Keep(ctx, l.credentials, key)
	if err != nil {
		return key, errors.Join(err, setup.PutBack(aside))
	}
	// A crash here leaves a master key that does not fit yet: unlocking by shares again sets it aside.
	if err := archive.Recover(l.cfg.Data, recovery, key); err != nil {
		return key, err
	}
	if err := setup.OwnAs(l.cfg.Data, "keyring", "lock"); err != nil {
		return key, err
	}
	if err := l.change(ctx, keeper.Kind, &aside); err != nil {
		return key, fmt.Errorf("the archive's keys are under a new master key, kept in %s, but the daemon may not get it when it starts: %w", path, err)
	}
	if aside != "" {
		if err := l.dialog.Say("the former master key's file is %s; it opens the archive no more", aside); err != nil {
			return key, err
		}
	}
	return key, l.dialog.Say("the archive's keys are under a new master key, kept in %s", path)
}

// change has the daemon get the key in the way in which it is kept now. A crash
// before it leaves two files, of which one opens the archive: unlocking again by
// shares sets the other aside.
func (l *lockedArchive) change(ctx context.Context, kind string, aside *string) (err error) {
	if l.kind != "" && l.kind != kind {
		if *aside, err = setup.SetAside(l.credentials, l.kind); err != nil {
			return err
		}
	}
	var changed []string
	if kind == setup.KindSealed {
		changed, err = setup.DropIns(l.units)
	} else {
		changed, err = setup.DropOut(l.units)
	}
	if err != nil || len(changed) == 0 {
		return err
	}
	return setup.Reload(ctx)
}

func (l *lockedArchive) newPassphrase(ctx context.Context) ([]byte, error) {
	if l.passphraseFile == "" {
		return setup.AskNewPassphrase(ctx, l.dialog)
	}
	p, err := setup.FirstLine(l.passphraseFile)
	if err != nil {
		return nil, err
	}
	return p, setup.CheckPassphrase(p)
}

// handOver gives the key to the daemon, if one waits for it.
func (l *lockedArchive) handOver(ctx context.Context, key [seal.MasterSize]byte, way string) error {
	client := api.NewClient(l.cfg.Socket)
	defer client.Close()
	_, err := client.Unlock(ctx, api.UnlockRequest{Master: hex.EncodeToString(key[:]), Way: way})
	var p *api.Problem
	switch {
	case err == nil:
		return l.dialog.Say("unlocked: the daemon opens the archive; `holdfast status` shows it")
	case !errors.As(err, &p):
		return err
	case p.Code == api.CodeNotFound:
		return l.dialog.Say("the daemon is not locked: `holdfast status`")
	case p.Code == api.CodeUnreachable:
		return l.dialog.Say("the key opens the archive, but no daemon runs: systemctl start holdfastd%s", l.afterStart())
	}
	return err
}

// afterStart is what else is to be done where the key is kept nowhere.
func (l *lockedArchive) afterStart() string {
	if kind, err := setup.KindOf(l.credentials); err == nil && kind == setup.KindPassphrase {
		return ", then unlock again"
	}
	return ""
}

// maxShares bounds a file with shares, in bytes.
const maxShares = 256 << 10

// kitDialog asks for shares and passphrases, by the flags that tell them without
// a person.
func kitDialog(c *cobra.Command) *setup.Dialog {
	return &setup.Dialog{In: c.InOrStdin(), Out: c.ErrOrStderr(), Flags: map[string]string{"a share": "--shares FILE", "the passphrase": "--passphrase-file FILE"}}
}

// askKit gets the recovery key's shares from a file, or from a person.
func askKit(ctx context.Context, d *setup.Dialog, path string) (*seal.RecoveryKey, error) {
	shares, err := sharesIn(path)
	if path == "" {
		shares, err = setup.AskShares(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return setup.Combine(shares)
}

// sharesIn reads shares from a file; none without one.
func sharesIn(path string) ([]seal.Share, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("%w: %w; --shares is a file with shares of the recovery kit, a line each", setup.ErrGiven, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxShares+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w; --shares is a file with shares of the recovery kit, a line each", setup.ErrGiven, err)
	}
	if len(text) > maxShares {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes; --shares is a file with shares of the recovery kit, a line each", setup.ErrGiven, path, maxShares)
	}
	shares, err := setup.Shares(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return shares, nil
}
