package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/archive"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/durable"
	"holdfast/internal/setup"
)

type kitOptions struct {
	config, shares, out string
	needed, of          int
	unchecked           bool
}

func newKit() *cobra.Command {
	c := &cobra.Command{
		Use:   "kit",
		Short: "Check the recovery kit, or print it anew for other holders",
		Example: `  sudo holdfastd kit check
  sudo holdfastd kit rotate --needed 3 --of 5`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKitRotate(), newKitCheck())
	return c
}

func newKitRotate() *cobra.Command {
	var o kitOptions
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Print a new set of shares, when a holder leaves",
		Long: `rotate takes as many shares of the present set as are needed, and prints a new
set of the same recovery key: other shares, which do not fit the former ones.

The recovery key itself stays, because it stands in the archive's identity: as many
shares of the former set as it needs still open the archive. Collect them and
destroy them; once fewer than that are left, nobody can use them any more.

The daemon, where it runs, notes in the log that this was done and by whom.`,
		Example: `  sudo holdfastd kit rotate
  sudo holdfastd kit rotate --needed 2 --of 4`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return asRoot(runKitRotate(c, o), os.Geteuid(), c.CommandPath())
		},
	}
	o.flags(c)
	f := c.Flags()
	f.IntVar(&o.needed, "needed", kitNeeded, "shares that open the archive")
	f.IntVar(&o.of, "of", kitShares, "shares that are printed")
	f.StringVar(&o.out, "out", "", "new file for the kit instead of standard output")
	f.BoolVar(&o.unchecked, "unchecked", false, "do not ask for a share back")
	return c
}

func newKitCheck() *cobra.Command {
	var o kitOptions
	c := &cobra.Command{
		Use:   "check",
		Short: "Say which set shares are of, and whether they open this archive",
		Long: `check takes shares of the recovery kit. One share alone shows whether it was
written down rightly, and of which printed set it is; as many as are needed show
whether they open this archive's keys. Holders type theirs one after the other; an
empty line ends it before. It changes nothing.`,
		Example: `  sudo holdfastd kit check
  sudo holdfastd kit check --shares shares.txt`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return asRoot(runKitCheck(c, o), os.Geteuid(), c.CommandPath())
		},
	}
	o.flags(c)
	return c
}

func (o *kitOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.config, "config", defaultConfig, "the daemon's configuration")
	c.Flags().StringVar(&o.shares, "shares", "", "file with shares, a line each, instead of asking")
}

// maxKit is how many shares a set has at most.
const maxKit = 255

func runKitRotate(c *cobra.Command, o kitOptions) error {
	if o.needed < 2 || o.of < o.needed || o.of > maxKit {
		return fmt.Errorf("%w: --needed %d --of %d: needed is 2 or more, and of is as many or more, %d at most; for instance --needed 3 --of 5", errUsage, o.needed, o.of, maxKit)
	}
	cfg, credentials, err := o.archive()
	if err != nil {
		return err
	}
	id, err := archive.ReadIdentity(cfg.Data)
	if err != nil {
		return err
	}
	d := kitDialog(c)
	recovery, err := askKit(c.Context(), d, o.shares)
	if err != nil {
		return err
	}
	if err := archive.CheckKit(cfg.Data, recovery); err != nil {
		return err
	}
	kit, err := setup.Split(recovery, id.ArchiveID, o.needed, o.of)
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := durable.Create(o.out, []byte(kit.Text()), 0o600); err != nil {
			return fmt.Errorf("%w %s: %w", errCreate, o.out, err)
		}
	} else if _, err := io.WriteString(c.OutOrStdout(), kit.Text()); err != nil {
		return err
	}
	if !o.unchecked {
		if err := kit.TypeBack(c.Context(), d); err != nil {
			return fmt.Errorf("%w; the former set is as good as before: destroy what was printed now", err)
		}
	}
	if err := setup.NoteKit(credentials, kit.KitSet); err != nil {
		return err
	}
	if err := d.Say("set %s is printed. The former shares still open the archive if enough of them come together: collect and destroy them.", kit.Set); err != nil {
		return err
	}
	return noteKit(c.Context(), cfg, d, kit.KitSet)
}

// noteKit has the daemon note it in the log.
func noteKit(ctx context.Context, cfg *config.Config, d *setup.Dialog, set setup.KitSet) error {
	client := api.NewClient(cfg.Socket)
	defer client.Close()
	_, err := client.NoteKit(ctx, api.NoteKitRequest{Set: set.Set, Needed: set.Needed, Shares: set.Shares})
	var p *api.Problem
	if errors.As(err, &p) && (p.Code == api.CodeUnreachable || p.Code == api.CodeLocked) {
		return d.Say("No daemon that could note it in the log is running: the new set is good all the same.")
	}
	if err != nil {
		return fmt.Errorf("the new set is good, but it was not noted in the log: %w", err)
	}
	return d.Say("It is noted in the log.")
}

func (o *kitOptions) archive() (*config.Config, string, error) {
	cfg, err := config.Load(o.config)
	if err != nil {
		return nil, "", err
	}
	credentials, err := credentialsOf(cfg)
	return cfg, credentials, err
}

func runKitCheck(c *cobra.Command, o kitOptions) error {
	cfg, credentials, err := o.archive()
	if err != nil {
		return err
	}
	sets, err := setup.KitSets(credentials)
	if err != nil {
		return err
	}
	shares, err := o.given(c)
	if err != nil {
		return err
	}
	for _, share := range shares {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "share %d of set %s: written down rightly; %d are needed; %s\n", share.Index, share.Set, share.Needed, standing(sets, share.Set)); err != nil {
			return err
		}
	}
	if err := oneSet(shares); err != nil {
		return err
	}
	if n := different(shares); n < shares[0].Needed {
		_, err = fmt.Fprintf(c.OutOrStdout(), "whether they open the archive cannot be seen: %d different shares were given, %d are needed\n", n, shares[0].Needed)
		return err
	}
	recovery, err := setup.Combine(shares)
	if err != nil {
		return err
	}
	if err := archive.CheckKit(cfg.Data, recovery); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), "OK: together they open this archive's keys")
	return err
}

// oneSet refuses shares that were not printed together: however many there are,
// they open nothing.
func oneSet(shares []seal.Share) error {
	var sets []string
	for _, s := range shares {
		if !slices.Contains(sets, s.Set) {
			sets = append(sets, s.Set)
		}
	}
	if len(sets) < 2 {
		return nil
	}
	return fmt.Errorf("%w: they are of the sets %s, and shares of different sets do not fit together; take shares of one set", seal.ErrShare, strings.Join(sets, ", "))
}

func different(shares []seal.Share) int {
	seen := map[int]bool{}
	for _, s := range shares {
		seen[s.Index] = true
	}
	return len(seen)
}

// given returns the shares of a file, or those that people type: one is enough to
// see whether the paper is right, without its other holders.
func (o *kitOptions) given(c *cobra.Command) ([]seal.Share, error) {
	if o.shares != "" {
		return sharesIn(o.shares)
	}
	return setup.AskSomeShares(c.Context(), kitDialog(c))
}

// standing says which printed set it is.
func standing(sets []setup.KitSet, set string) string {
	i := slices.IndexFunc(sets, func(s setup.KitSet) bool { return s.Set == set })
	switch {
	case i < 0:
		return "no set of that id was printed for this archive on this machine"
	case i == len(sets)-1:
		return "the newest set, printed " + sets[i].Made[:10]
	}
	return "a former set, printed " + sets[i].Made[:10] + "; newer: " + sets[len(sets)-1].Set
}
