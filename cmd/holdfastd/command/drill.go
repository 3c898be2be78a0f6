package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
	"holdfast/internal/setup"
	"holdfast/retention"
)

type drillOptions struct {
	config, from, keys, id, shares, temp string
	json                                 bool
}

func newDrill() *cobra.Command {
	var o drillOptions
	c := &cobra.Command{
		Use:   "drill [--config FILE]",
		Short: "Try the newest backup: put it back beside the archive, check it, remove it",
		Long: `drill puts the newest backup back into a temporary folder and checks it: every
file by its hash, the chain, the tree, the checkpoints and the last anchor, a
sample of bodies (backup.drill_sample), and that the keyring's own backup has
every key. Bodies are opened with the archive's own keyring, which is only read;
with --shares with the keyring's own backup, as a restore would. Then the folder
is removed, and the daemon notes what it came to; but not where a folder, an id or
shares that were given cannot be used, for nothing was tried then.

Where the master key is kept by a passphrase it is in the daemon's memory alone,
and the daemon makes the drill itself; it has to be running and unlocked.

Root reads the keys, and then goes on as the account that the archive's folder
belongs to: that account has to be able to read the backup.

It needs as much room as the log and the bodies take; attachments are read and
compared where they are.`,
		Example: `  holdfastd drill
  holdfastd drill --shares shares.txt --temp /srv/scratch/drill --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return asRoot(runDrill(c, o), os.Geteuid(), c.CommandPath())
		},
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", defaultConfig, "configuration file (TOML)")
	f.StringVar(&o.from, "from", "", "folder of the data backup (default: backup.to of the configuration)")
	f.StringVar(&o.keys, "keys-from", "", "folder of the keyring's own backup (default: backup.keys_to)")
	f.StringVar(&o.id, "backup", "", "which backup (default: the newest)")
	f.StringVar(&o.shares, "shares", "", "file with the recovery kit's shares, one a line")
	f.StringVar(&o.temp, "temp", "", "an empty `FOLDER` to put it back into (default: drill in the archive's folder)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// drilled is the result of drill as JSON.
type drilled struct {
	api.Drill
	Error string `json:"error,omitempty"`
}

func runDrill(c *cobra.Command, o drillOptions) error {
	cfg, err := config.Load(o.config)
	if err != nil {
		return err
	}
	req := api.DrillRequest{Backup: o.id}
	for into, from := range map[*string]string{&req.From: o.from, &req.KeysFrom: o.keys, &req.Temp: o.temp} {
		if from == "" {
			continue
		}
		if *into, err = filepath.Abs(from); err != nil {
			return err
		}
	}
	client := api.NewClient(cfg.Socket)
	defer client.Close()
	began := time.Now()
	out, trouble := drill(c, o, cfg, client, req)
	if c.Context().Err() != nil {
		return c.Context().Err()
	}
	if errors.Is(trouble, api.ErrBackupFolders) {
		return fmt.Errorf("%w: %w", errUsage, errDrillFolders)
	}
	if errors.Is(trouble, api.ErrDrillRunning) {
		return trouble // the other one says what it comes to
	}
	var told error
	if !out.noted {
		out.OK, out.MS = trouble == nil, time.Since(began).Milliseconds()
		if trouble != nil {
			out.ErrorClass = daemon.DrillClass(trouble)
		}
	}
	if !out.noted && (trouble == nil || !daemon.NoDrillVerdict(cfg, req, o.shares != "", trouble)) {
		if _, told = client.Drilled(c.Context(), out.Drilled); told != nil {
			told = fmt.Errorf("the daemon did not note the drill, and its age is not known to the alarms: %w", told)
		}
	}
	if o.json {
		said := drilled{Drill: out.Drill}
		if trouble != nil {
			said.Error = trouble.Error()
		}
		err = json.NewEncoder(c.OutOrStdout()).Encode(said)
	} else if trouble == nil {
		_, err = fmt.Fprintf(c.OutOrStdout(), "the backup %s can be put back: %d entries, %s read, %s, in %s\n",
			out.ID, out.Size, bytesText(out.Bytes), sampleText(out.Drill), (time.Duration(out.MS) * time.Millisecond).Round(time.Second/10))
	}
	return errors.Join(trouble, told, err)
}

// sampleText says how many bodies were opened, each of them once.
func sampleText(d api.Drill) string {
	text := fmt.Sprintf("%d bodies opened", d.Bodies)
	if d.Bodies == 1 {
		text = "1 body opened"
	}
	if d.Disposed > 0 {
		text += fmt.Sprintf(" (%d of the sample were disposed of)", d.Disposed)
	}
	return text
}

var errDrillFolders = errors.New("a drill needs the two folders of the backups: set [backup] to and keys_to, or give --from and --keys-from")

// tried is what a drill came to, and whether the daemon has noted it already.
type tried struct {
	api.Drill
	noted bool
}

func drill(c *cobra.Command, o drillOptions, cfg *config.Config, client *api.Client, req api.DrillRequest) (out tried, err error) {
	var master [seal.MasterSize]byte
	var kit *seal.RecoveryKey
	if o.shares != "" {
		kit, err = askKit(c.Context(), kitDialog(c), o.shares)
	} else if master, err = daemon.ReadMaster(daemon.CredentialsDir(cfg.Credentials, cfg.Data)); errors.Is(err, daemon.ErrNoMaster) {
		return drillThere(c, client, req)
	} else if err != nil {
		err = fmt.Errorf("%w; a drill without the master key takes --shares", err)
	}
	if err != nil {
		return out, err
	}
	id, err := archive.ReadIdentity(cfg.Data)
	if err != nil {
		return out, err
	}
	// The keys are here: what is made and removed in the archive's folder is made and removed as its account.
	if err := setup.Become(cfg.Data); err != nil {
		return out, err
	}
	options, done, err := daemon.PrepareDrill(cfg, req)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	options.Live, options.Master, options.Recovery, options.Progress = cfg.Data, master, kit, restoreProgress(c.ErrOrStderr())
	options.Destroyed = destroyedBy(c.Context(), client, id)
	made, err := backup.Drill(c.Context(), options)
	if made != nil {
		out.ID, out.Size, out.Root, out.Bytes, out.Bodies, out.Disposed = made.Manifest.ID, made.Manifest.Size, made.Manifest.Root, made.Bytes, made.Bodies, made.Disposed
	}
	return out, err
}

// drillThere has the daemon make the drill: where the master key is kept by a
// passphrase, or comes by another way than a file, only the daemon has it.
func drillThere(c *cobra.Command, client *api.Client, req api.DrillRequest) (tried, error) {
	if _, _, err := backup.ParseID(req.Backup); req.Backup != "" && err != nil {
		return tried{noted: true}, fmt.Errorf("%w: --backup: no backup has such an id; `holdfastd backup list` names them", errUsage)
	}
	tell := restoreProgress(c.ErrOrStderr())
	before, _ := lastDrill(c.Context(), client)
	made, err := client.Drill(c.Context(), req, func(p api.Progress) {
		if tell != nil {
			tell(p.Step, int64(p.Done), int64(p.Total)) // #nosec G115 -- bytes of a backup
		}
	})
	var p *api.Problem
	switch {
	case err == nil:
		return tried{Drill: *made, noted: true}, nil
	case errors.As(err, &p) && p.Code == api.CodeBackup && p.Exit == api.ExitTemporary:
		return tried{noted: true}, err
	case errors.As(err, &p) && p.Code == api.CodeBackup:
		out := tried{noted: true}
		if seq, last := lastDrill(c.Context(), client); seq != before {
			out.Drill = last // else it was never begun, and nothing was noted
		}
		return out, err
	}
	return tried{}, fmt.Errorf("the master key is in no file, so that the daemon has to make the drill; start it and give it the key with `holdfastd unlock`, or give the kit's shares with --shares: %w", err)
}

// lastDrill is what the daemon noted of the last drill, and in which entry.
func lastDrill(ctx context.Context, client *api.Client) (seq uint64, out api.Drill) {
	noted, err := client.Backups(ctx)
	if err != nil {
		return 0, out
	}
	for _, b := range noted.Backups { // the newest first
		if b.What == "drill" {
			out.Drilled = api.Drilled{ID: b.ID, Size: b.Size, Root: b.Root, OK: b.OK, ErrorClass: b.ErrorClass, Bytes: b.Bytes, MS: b.MS}
			return b.Seq, out
		}
	}
	return 0, out
}

// destroyedBy asks the daemon for the certificates of disposition, at the first
// key that is missing; without the daemon there is none.
func destroyedBy(ctx context.Context, client *api.Client, id *proof.Identity) func(archive.KeyID) bool {
	var known map[archive.KeyID]bool
	return func(key archive.KeyID) bool {
		if known == nil {
			known = certified(ctx, client, id)
		}
		return known[key]
	}
}

// certified returns the keys that certificates have as destroyed.
func certified(ctx context.Context, client *api.Client, id *proof.Identity) map[archive.KeyID]bool {
	out := map[archive.KeyID]bool{}
	list, err := client.Certificates(ctx, api.CertificatesRequest{})
	if err != nil {
		return out
	}
	for i := range list.Certificates {
		shown, err := client.Certificate(ctx, list.Certificates[i].Seq)
		if err != nil {
			return out
		}
		s, err := retention.VerifyCertificate([]byte(shown.JWS), id)
		if err != nil {
			continue // another version's; then what it is about counts as damaged
		}
		for _, k := range s.Keys {
			out[k] = true
		}
	}
	return out
}
