package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
	"holdfast/internal/daemon"
	"holdfast/internal/durable"
	"holdfast/internal/setup"
)

// kitShares and kitNeeded are the recovery kit: five shares of which any three
// open the archive's keys.
const (
	kitShares = 5
	kitNeeded = 3
)

type initOptions struct {
	data, archiveID, credentials, recoveryOut string
	answers, config                           string
	nonInteractive                            bool
}

func newInit() *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init [--answers FILE]",
		Short: "Make an archive; once",
		Long: `init makes an archive: its identity, its keys, an empty log, and its
configuration. It never overwrites anything that is there, and nothing else ever
makes an archive.

Without flags it asks for everything, with a default where there is one.
--answers FILE has the answers instead (below). With --data, --archive-id and
--credentials it makes the archive alone, and writes no configuration.

The master key opens the archive's keys when the daemon starts. It is kept as a
file that root alone reads (holdfast.master in the credentials folder), sealed
as a systemd credential to this machine, with its TPM where there is one, or
wrapped by a passphrase; then the daemon waits as locked after each start until
` + "`holdfastd unlock`" + `.

The recovery kit, so many shares of which some open the archive's keys if the
master key is lost, is written once: to standard output, or to a new file. One
share is typed back from the paper. Give the shares to different people and
delete the file. Without master key and kit nobody can read the archive again.

An answers file is TOML; every key but archive_id has a default:

  archive_id = "st-marys.example"
  time_zone  = "America/Chicago"
  start      = true                      # systemctl enable --now holdfastd
  # config, data, credentials, socket, units, metrics, anchor_file, directory_password_file: paths and addresses
  [master]
  kind = "sealed"                        # file, sealed, passphrase (with passphrase_file)
  [kit]
  needed = 3
  shares = 5
  # out = "/root/kit.txt"                # a new file instead of standard output
  # unchecked = true                     # no share is typed back
  [administrator]
  account = "jdoe"                       # of this machine; group = "..." is one of the directory
  [relay]
  url = "https://relay.vendor.example"   # the files: ca, cert, key, head_key, enrol_key
  [directory]
  urls = ["ldaps://dc1.hospital.example"]
  bind = "holdfast@hospital.example"
  base = ["OU=Staff,DC=hospital,DC=example"]
  [https]
  name = "archive.hospital.example"      # makes a key and a certificate request
  [backup]
  to = "/srv/holdfast/backup"
  keys_to = "/mnt/holdfast/keys"`,
		Example: `  holdfastd init
  holdfastd init --answers answers.toml
  holdfastd init --data ./data --archive-id demo --credentials ./cred --non-interactive --recovery-out ./kit.txt`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.data != "" || o.archiveID != "" || o.credentials != "" {
				return runInit(c, o)
			}
			return runSetup(c, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.answers, "answers", "", "file with the answers (TOML)")
	f.StringVar(&o.config, "config", "", "configuration to write (default "+defaultConfig+")")
	f.StringVar(&o.data, "data", "", "folder of the new archive; empty or not there yet")
	f.StringVar(&o.archiveID, "archive-id", "", "the archive's name at the relay: 1 to 64 of a-z 0-9 . -")
	f.StringVar(&o.credentials, "credentials", "", "folder of the master key; a key that is there is used, else one is made")
	f.StringVar(&o.recoveryOut, "recovery-out", "", "new file for the recovery kit instead of standard output")
	f.BoolVar(&o.nonInteractive, "non-interactive", false, "do not ask for a share of the recovery kit back, nor whether it was kept")
	return c
}

func runInit(c *cobra.Command, o initOptions) (err error) {
	if o.answers != "" || o.config != "" {
		return fmt.Errorf("%w: --answers and --config go without --data, --archive-id and --credentials; see `holdfastd init --help`", errUsage)
	}
	for _, need := range []struct{ flag, value string }{{"data", o.data}, {"archive-id", o.archiveID}, {"credentials", o.credentials}} {
		if need.value == "" {
			return fmt.Errorf("%w: --%s is missing; see `holdfastd init --help`", errUsage, need.flag)
		}
	}
	if !envelope.ValidArc(o.archiveID) {
		return fmt.Errorf("%w: --archive-id has 1 to 64 of a-z 0-9 . -", errUsage)
	}
	if entries, err := os.ReadDir(o.data); err == nil && len(entries) > 0 {
		if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "identity.json" }) {
			return fmt.Errorf("%s: %w", o.data, archive.ErrExists)
		}
		return fmt.Errorf("%w: %s is not empty and is no archive; give an empty or new folder", errCreate, o.data)
	}
	key, err := seal.NewRecoveryKey()
	if err != nil {
		return err
	}
	kit, err := setup.Split(key, o.archiveID, kitNeeded, kitShares)
	if err != nil {
		return err
	}
	// The kit is safe before there is anything that could need it.
	if err := keepKit(c, o, kit); err != nil {
		return err
	}
	master, made, err := daemon.EnsureMaster(o.credentials)
	if err != nil {
		return errors.Join(err, o.removeKit())
	}
	id, err := archive.Create(c.Context(), o.data, archive.CreateOptions{ArchiveID: o.archiveID, Master: master, Recovery: key.Public()})
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errCreate, err), o.removeKit())
	}
	if err := daemon.LinkCredentials(o.data, o.credentials); err != nil {
		return err
	}
	if err := setup.NoteKit(o.credentials, kit.KitSet); err != nil {
		return err
	}
	return sayNext(c.ErrOrStderr(), o, id, made)
}

// removeKit takes the kit's file away: it opens nothing.
func (o initOptions) removeKit() error {
	if o.recoveryOut == "" {
		return nil
	}
	return durable.Remove(o.recoveryOut)
}

// keepKit writes the kit where it was asked for. Unless told not to, it has a
// person at a terminal type one share back, and without a terminal waits until
// somebody says that the kit was kept.
func keepKit(c *cobra.Command, o initOptions, kit *setup.Print) error {
	if o.recoveryOut != "" {
		if err := durable.Create(o.recoveryOut, []byte(kit.Text()), 0o600); err != nil {
			return fmt.Errorf("%w %s: %w", errCreate, o.recoveryOut, err)
		}
	} else if _, err := io.WriteString(c.OutOrStdout(), kit.Text()); err != nil {
		return err
	}
	switch {
	case o.nonInteractive:
		return nil
	case setup.AtTerminal(c.InOrStdin()):
		if err := kit.TypeBack(c.Context(), &setup.Dialog{In: c.InOrStdin(), Out: c.ErrOrStderr()}); err != nil {
			return errors.Join(err, o.removeKit())
		}
		return nil
	case o.recoveryOut != "":
		return nil
	}
	if _, err := fmt.Fprint(c.ErrOrStderr(), "These shares are shown this once. Type `kept` when they are written down: "); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 64)).ReadString('\n')
	if strings.TrimSpace(line) != "kept" {
		return errors.Join(fmt.Errorf("%w: nothing was made; run init again", errUsage), ignoreEOF(err))
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func sayNext(w io.Writer, o initOptions, id *proof.Identity, madeMaster bool) error {
	if madeMaster {
		if _, err := fmt.Fprintf(w, "made the master key %s/%s\n", o.credentials, daemon.MasterFile); err != nil {
			return err
		}
	}
	if o.recoveryOut != "" {
		if _, err := fmt.Fprintf(w, "wrote the recovery kit to %s: hand its shares out and delete it\n", o.recoveryOut); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `made the archive %s in %s
origin  %s
Next: give %s/identity.json to the relay's operator and to whoever verifies
productions, write a configuration (README.md), and start `+"`holdfastd serve --config FILE`.\n", id.ArchiveID, o.data, id.Origin, o.data)
	return err
}
