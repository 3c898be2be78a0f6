package command

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"holdfast/ingest/envelope"
	"holdfast/internal/relay"
)

type initOptions struct {
	dir, arc, identity, listen string
}

func newInit() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init --dir DIR --archive-id ID [--identity FILE] [--listen HOST:PORT]",
		Short: "Make a relay: certificates, keys and an empty queue",
		Long: "Makes a development CA, certificates for the relay, the archive and the loader, the relay's head key and a hospital's enrolment\n" +
			"key, and an empty queue. Prints the [relay] table of holdfastd's configuration.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(o, cmd.OutOrStdout(), cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVar(&o.dir, "dir", "", "new folder for the relay")
	cmd.Flags().StringVar(&o.arc, "archive-id", "", "id of the archive that the relay serves")
	cmd.Flags().StringVar(&o.identity, "identity", "", "the archive's identity.json, whose key is pinned (or later: holdfast-relay pin)")
	cmd.Flags().StringVar(&o.listen, "listen", relay.DefaultListen, "address to listen at; port 0 takes a free one now")
	return cmd
}

func runInit(o initOptions, out, notes io.Writer) error {
	if err := errors.Join(required("dir", o.dir), required("archive-id", o.arc)); err != nil {
		return err
	}
	if !envelope.ValidArc(o.arc) {
		return usageError{errors.New("--archive-id must be 1 to 64 of a-z, 0-9, full stop and hyphen")}
	}
	var identity ed25519.PublicKey
	if o.identity != "" {
		var err error
		if identity, err = relay.ReadIdentity(o.identity, o.arc); err != nil {
			return err
		}
	}
	cfg, err := relay.Init(o.dir, relay.Params{Arc: o.arc, Listen: o.listen, Identity: identity})
	if err != nil {
		return err
	}
	block, err := relay.ConfigBlock(o.dir, cfg)
	if err != nil {
		return err
	}
	p := &printer{w: notes}
	p.printf("made a relay for %s in %s; put this into holdfastd's configuration:\n", cfg.ArchiveID, o.dir)
	if identity == nil {
		p.printf("no identity key is pinned yet: holdfast-relay pin --dir %s --identity FILE\n", o.dir)
	}
	if p.err != nil {
		return p.err
	}
	_, err = io.WriteString(out, block)
	return err
}

func newPin() *cobra.Command {
	var dir, identity string
	cmd := &cobra.Command{
		Use:   "pin --dir DIR --identity FILE",
		Short: "Pin the archive's identity key, which acks and keysets are verified by",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(required("dir", dir), required("identity", identity)); err != nil {
				return err
			}
			return pinIdentity(dir, identity)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the relay's folder")
	cmd.Flags().StringVar(&identity, "identity", "", "the archive's identity.json")
	return cmd
}

func pinIdentity(dir, path string) error {
	cfg, err := relay.ReadConfig(dir)
	if err != nil {
		return err
	}
	key, err := relay.ReadIdentity(path, cfg.ArchiveID)
	if err != nil {
		return err
	}
	return relay.Pin(dir, key)
}

func newEpoch() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "new --dir DIR",
		Short: "End the current epoch and begin another (the relay must be stopped)",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := required("dir", dir); err != nil {
				return err
			}
			r, err := relay.New(dir, relay.Options{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.Close()) }()
			s, err := r.NewEpoch()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "epoch %s follows %s\n", s.Epoch, s.PreviousEpoch)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the relay's folder ("+filepath.Join("DIR", "relay.toml")+")")
	return cmd
}
