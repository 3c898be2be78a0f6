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
	"holdfast/internal/anchor"
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
		Use:   "drill --config FILE",
		Short: "Try the newest backup: put it back beside the archive, check it, remove it",
		Long: `drill puts the newest backup back into a temporary folder and checks it: every
file by its hash, the chain, the tree, the checkpoints and the last anchor, a
sample of bodies (backup.drill_sample), and that the keyring's own backup has
every key. Bodies are opened with the archive's own keyring, which is only read;
with --shares with the keyring's own backup, as a restore would. Then the folder
is removed, and the daemon notes what it came to.

It needs as much room as the log and the bodies take; attachments are read and
compared where they are.`,
		Example: `  holdfastd drill --config /etc/holdfast/holdfastd.toml
  holdfastd drill --config /etc/holdfast/holdfastd.toml --shares shares.txt --temp /srv/scratch/drill --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDrill(c, o) },
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", "", "configuration file (TOML)")
	f.StringVar(&o.from, "from", "", "folder of the data backup (default: backup.to of the configuration)")
	f.StringVar(&o.keys, "keys-from", "", "folder of the keyring's own backup (default: backup.keys_to)")
	f.StringVar(&o.id, "backup", "", "which backup (default: the newest)")
	f.StringVar(&o.shares, "shares", "", "file with the recovery kit's shares, one a line")
	f.StringVar(&o.temp, "temp", "", "an empty folder to put it back into (default: `drill` in the archive's folder)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// drilled is the result of drill as JSON.
type drilled struct {
	api.Drilled
	Bodies   uint64 `json:"bodies"`   // of the sample, opened
	Disposed uint64 `json:"disposed"` // of the sample, by certificates
	Error    string `json:"error,omitempty"`
}

func runDrill(c *cobra.Command, o drillOptions) error {
	cfg, err := loadConfig(o.config, "drill")
	if err != nil {
		return err
	}
	for folder, from := range map[*string]string{&o.from: cfg.Backup.To, &o.keys: cfg.Backup.KeysTo} {
		if *folder == "" {
			*folder = from
		}
		if *folder == "" {
			return fmt.Errorf("%w: a drill needs the two folders of the backups: set [backup] to and keys_to, or give --from and --keys-from", errUsage)
		}
	}
	client := api.NewClient(cfg.Socket)
	defer client.Close()
	began := time.Now()
	made, trouble := drill(c, o, cfg, client)
	if c.Context().Err() != nil {
		return c.Context().Err()
	}
	out := drilled{Drilled: api.Drilled{OK: trouble == nil, MS: time.Since(began).Milliseconds()}}
	if trouble != nil {
		out.ErrorClass, out.Error = drillClass(trouble), trouble.Error()
	}
	if made != nil {
		out.ID, out.Size, out.Root, out.Bytes, out.Bodies, out.Disposed = made.Manifest.ID, made.Manifest.Size, made.Manifest.Root, made.Bytes, made.Bodies, made.Disposed
	}
	_, told := client.Drilled(c.Context(), out.Drilled)
	if o.json {
		err = json.NewEncoder(c.OutOrStdout()).Encode(out)
	} else if trouble == nil {
		_, err = fmt.Fprintf(c.OutOrStdout(), "the backup %s can be put back: %d entries, %s read, %d bodies opened, in %s\n",
			out.ID, out.Size, bytesText(out.Bytes), out.Bodies, (time.Duration(out.MS) * time.Millisecond).Round(time.Second/10))
	}
	if told != nil {
		told = fmt.Errorf("the daemon did not note the drill, and its age is not known to the alarms: %w", told)
	}
	return errors.Join(trouble, told, err)
}

// drillClass names for the log what went wrong, free of content.
func drillClass(err error) string {
	switch {
	case errors.Is(err, backup.ErrLostKeys), errors.Is(err, backup.ErrNoKeys):
		return "keys"
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, archive.ErrDamaged), errors.Is(err, archive.ErrAnchor), errors.Is(err, backup.ErrManifest):
		return "damaged"
	case errors.Is(err, backup.ErrNoBackup):
		return "none"
	}
	return "failed"
}

func drill(c *cobra.Command, o drillOptions, cfg *config.Config, client *api.Client) (_ *backup.Drilled, err error) {
	options := backup.DrillOptions{From: o.from, Keys: o.keys, Backup: o.id, Temp: o.temp, Live: cfg.Data, Sample: cfg.Backup.DrillSample, Progress: restoreProgress(c.ErrOrStderr())}
	if o.temp == "" {
		options.Temp = filepath.Join(cfg.Data, "drill")
		// What a drill left that was killed.
		if err := os.RemoveAll(options.Temp); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(options.Temp)) }()
	}
	if o.shares != "" {
		if options.Recovery, err = askKit(c.Context(), &setup.Dialog{In: c.InOrStdin(), Out: c.ErrOrStderr()}, o.shares); err != nil {
			return nil, err
		}
	} else if options.Master, err = daemon.ReadMaster(daemon.CredentialsDir(cfg.Credentials, cfg.Data)); err != nil {
		return nil, fmt.Errorf("%w; a drill without the master key takes --shares", err)
	}
	_, id, err := backup.Chosen(o.from, o.id)
	if err != nil {
		return nil, err
	}
	if own, err := archive.ReadIdentity(cfg.Data); err != nil || own.Origin != id.Origin {
		return nil, errors.Join(backup.ErrForeign, err)
	}
	if cfg.Anchor.File != "" {
		if line, err := anchor.Last(cfg.Anchor.File); err == nil {
			options.Anchor = []byte(line.Checkpoint)
		}
	}
	options.Destroyed = destroyedBy(c.Context(), client, id)
	return backup.Drill(c.Context(), options)
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
