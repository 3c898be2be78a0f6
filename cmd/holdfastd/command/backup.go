package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"holdfast/internal/api"
	"holdfast/internal/config"
)

type backupOptions struct {
	config, to, keysTo string
	json               bool
}

func newBackup() *cobra.Command {
	var o backupOptions
	c := &cobra.Command{
		Use:   "backup [--to DIR] [--keys-to DIR]",
		Short: "Make a backup of the running archive",
		Long: `backup has the running daemon make a backup: the data, without any key, into one
folder, and the keyring, sealed to the recovery kit, into another. Both folders
must exist and belong to the daemon's account; by default they are those of
[backup] in the configuration.

It is incremental: what is finished is copied once. It is consistent: the log as
of one entry, and exactly what belongs to it, while messages go on coming in.
It counts once it has been read back and its signed manifest is written, last;
whatever goes wrong before leaves the backups that were there as they were.
A failure is on record and raises an alarm; but not one of another folder than the
configuration's that takes no backup, for nothing was begun then.

What is in the two folders together with the recovery kit is all that
` + "`holdfastd restore`" + ` needs. Keep them on different media.`,
		Example: `  holdfastd backup
  holdfastd backup --to /mnt/nas/holdfast --keys-to /mnt/usb/holdfast-keys --json
  holdfastd backup list`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runBackup(c, o) },
	}
	c.PersistentFlags().StringVar(&o.config, "config", defaultConfig, "configuration file (TOML) that says where the daemon's socket is")
	c.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().StringVar(&o.to, "to", "", "folder of the data backup (default: backup.to of the configuration)")
	c.Flags().StringVar(&o.keysTo, "keys-to", "", "folder of the keyring's own backup (default: backup.keys_to)")
	list := &cobra.Command{
		Use:     "list",
		Short:   "Show which backups and restore drills there were",
		Long:    "list shows the last backups and restore drills as the archive's log has them, the newest first, whether they came off or not.",
		Example: `  holdfastd backup list --json`,
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return runBackupList(c, o) },
	}
	c.AddCommand(list)
	return c
}

func runBackup(c *cobra.Command, o backupOptions) error {
	cfg, err := config.Load(o.config)
	if err != nil {
		return err
	}
	req := api.BackupRequest{}
	for _, folder := range []struct {
		from string
		into *string
	}{{o.to, &req.To}, {o.keysTo, &req.KeysTo}} {
		if folder.from == "" {
			continue
		}
		if *folder.into, err = filepath.Abs(folder.from); err != nil {
			return err
		}
	}
	made, err := api.NewClient(cfg.Socket).Backup(c.Context(), req, backupProgress(c.ErrOrStderr()))
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(made)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "backup %s: %d entries in %d files of %s, %s of it new, in %s\n",
		made.ID, made.Size, made.Files, bytesText(made.Bytes), bytesText(made.Written), (time.Duration(made.MS) * time.Millisecond).Round(time.Second/10))
	if err == nil && made.Damaged > 0 {
		_, err = fmt.Fprintf(c.ErrOrStderr(), "holdfastd: %d entries do not open in the archive itself; run `holdfast verify`, which names them\n", made.Damaged)
	}
	return err
}

// backupProgress tells a terminal how far the backup is, on one line.
func backupProgress(w io.Writer) func(api.Progress) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) { // #nosec G115 -- a descriptor
		return nil
	}
	return func(p api.Progress) {
		text := p.Step
		if p.Total > 0 {
			text = fmt.Sprintf("%s: %d of %d MB", p.Step, p.Done>>20, p.Total>>20)
		}
		if _, err := fmt.Fprintf(f, "\r\x1b[K%s", text); err != nil {
			return // the terminal is gone; the backup goes on
		}
	}
}

func bytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n)/unit, []string{"kB", "MB", "GB", "TB", "PB"}
	i := 0
	for ; value >= unit && i < len(names)-1; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %s", value, names[i])
}

func runBackupList(c *cobra.Command, o backupOptions) error {
	cfg, err := config.Load(o.config)
	if err != nil {
		return err
	}
	out, err := api.NewClient(cfg.Socket).Backups(c.Context())
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(out)
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"at", "what", "id", "entries", "size", "to", "came off"})
	for _, b := range out.Backups {
		ok := "yes"
		if !b.OK {
			ok = "no: " + b.ErrorClass
		}
		t.AppendRow(table.Row{b.At.UTC().Format(time.RFC3339), b.What, b.ID, b.Size, bytesText(b.Bytes), b.To, ok})
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), t.Render())
	return err
}
