package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/doctor"
	"holdfast/internal/durable"
)

// maxJournal bounds what is read of the daemon's log, in bytes.
const maxJournal = 16 << 20

type bundleOptions struct {
	config, out, log string
	show             bool
}

func newSupportBundle() *cobra.Command {
	var o bundleOptions
	c := &cobra.Command{
		Use:   "support-bundle --out FILE.tar.gz [--config FILE]",
		Short: "Collect figures for support, free of names and content, to be reviewed first",
		Long: `support-bundle writes what support needs to know into one file: doctor's
findings, versions, figures of the daemon, which keys the configuration sets,
alarms by their names, numbers and sizes of the archive's files, metrics and the
program's own sentences in the log. It is made by choosing what may go out: no
name of a person, host, folder or hospital, no message, query, key or password.

It first lists what is in it. Every file is plain text; --show writes all of it
to standard output and makes no file. Nothing is sent anywhere.`,
		Example: `  holdfastd support-bundle --show | less
  holdfastd support-bundle --out holdfast-support.tar.gz`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runBundle(c, o) },
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", defaultConfig, "configuration file (TOML)")
	f.StringVar(&o.out, "out", "", "new file to write")
	f.StringVar(&o.log, "log", "", "the daemon's log as a file (default: the journal of holdfastd.service)")
	f.BoolVar(&o.show, "show", false, "write every file's text to standard output instead")
	return c
}

func runBundle(c *cobra.Command, o bundleOptions) error {
	if (o.out == "") == !o.show {
		return fmt.Errorf("%w: give --out FILE.tar.gz, or --show to review it first", errUsage)
	}
	b, err := collect(c.Context(), o, c.ErrOrStderr())
	if err != nil {
		return err
	}
	files, err := b.Files()
	if err != nil {
		return err
	}
	if o.show {
		return showBundle(c.OutOrStdout(), files)
	}
	if _, err := c.OutOrStdout().Write(files[0].Text); err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := doctor.WriteTar(&packed, files, b.Report.At); err != nil {
		return err
	}
	if err := durable.Create(o.out, packed.Bytes(), 0o600); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w %s: it is there already, and nothing is overwritten; take another name", errCreate, o.out)
	} else if err != nil {
		return fmt.Errorf("%w %s: %w", errCreate, o.out, err)
	}
	_, err = fmt.Fprintf(c.ErrOrStderr(), "wrote %s; read it (tar -xzOf %s | less) before you give it away\n", o.out, o.out)
	return err
}

func showBundle(w io.Writer, files []doctor.File) error {
	for _, f := range files {
		if _, err := fmt.Fprintf(w, "==== %s\n%s\n", f.Name, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// collect asks everybody. What does not answer is missing in the bundle, and w
// hears of it.
func collect(ctx context.Context, o bundleOptions, w io.Writer) (*doctor.Bundle, error) {
	cfg, err := config.Load(o.config)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words, err := doctor.ReadWords(self)
	if err != nil {
		return nil, err
	}
	b := &doctor.Bundle{Report: examine(ctx, o.config), Config: cfg, Data: cfg.Data, Words: words}
	if b.Machine, err = doctor.Identify(); err != nil {
		return nil, err
	}
	var lacks error
	client := api.NewClient(cfg.Socket)
	defer client.Close()
	b.Metrics, lacks = client.Metrics(ctx)
	st, err := client.Status(ctx)
	if lacks = errors.Join(lacks, err); err == nil {
		b.Status = figuresOf(st)
	}
	alarms, err := client.Alarms(ctx, api.AlarmsRequest{All: true})
	if lacks = errors.Join(lacks, err); err == nil {
		for _, a := range alarms.Alarms {
			b.Alarms = append(b.Alarms, doctor.Alarm{Seq: a.Seq, Name: a.Name, Severity: a.Severity, Raised: a.Raised, Acked: a.Ack != nil})
		}
	}
	b.Log, err = readLog(ctx, o.log)
	if lacks = errors.Join(lacks, err); lacks != nil {
		_, err = fmt.Fprintf(w, "not everything could be had; the bundle lacks what did not answer:\n%v\n", lacks)
		return b, err
	}
	return b, nil
}

// figuresOf are the figures of a status, without its texts.
func figuresOf(s *api.Status) map[string]float64 {
	accepting, working := 0.0, 0.0
	if s.Accepting {
		accepting = 1
	}
	if s.Index.Working {
		working = 1
	}
	return map[string]float64{
		"started": float64(s.Started.Unix()), "entries": float64(s.Size), "accepting": accepting,
		"relay_seq": float64(s.Relay.Seq), "relay_acked": float64(s.Relay.Acked), "relay_high": float64(s.Relay.High),
		"index_through": float64(s.Index.Through), "index_working": working,
		"quarantined": float64(s.Quarantined), "pending_attachments": float64(s.Pending), "open_alarms": float64(s.Alarms),
	}
}

// readLog reads the daemon's log of the last week, without the host's name.
func readLog(ctx context.Context, path string) ([]byte, error) {
	var r io.ReadCloser
	var done func() error
	if path != "" {
		f, err := os.Open(path) // #nosec G304 -- the operator names it
		if err != nil {
			return nil, fmt.Errorf("the log: %w", err)
		}
		r, done = f, f.Close
	} else {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		journal := exec.CommandContext(ctx, "journalctl", "--unit=holdfastd.service", "--since=-7d", "--output=short-unix", "--no-hostname", "--no-pager", "--lines=20000")
		out, err := journal.StdoutPipe()
		if err != nil {
			return nil, fmt.Errorf("the journal: %w", err)
		}
		if err := journal.Start(); err != nil {
			return nil, fmt.Errorf("the journal: %w; give the log as a file with --log", err)
		}
		r, done = out, journal.Wait
	}
	b, err := io.ReadAll(io.LimitReader(r, maxJournal))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err = errors.Join(err, done()); err != nil {
		return nil, fmt.Errorf("the log: %w", err)
	}
	return b, nil
}
