package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"holdfast/archive"
	"holdfast/internal/daemon"
)

type verifyOptions struct{ data, credentials, format string }

func newVerify() *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify --data DIR",
		Short: "Check a stopped archive, or a copy of one, and name every entry at fault",
		Long: `verify reads the whole log of a stopped archive or of a copy: each leaf against
the chain, the chain against the tree, the tree against every signed
checkpoint, and, when it finds the master key, each body against its leaf. It
changes nothing. Exit code 65 says that something is wrong.

For a running archive use ` + "`holdfast verify`" + `.`,
		Example: `  holdfastd verify --data /var/lib/holdfast
  holdfastd verify --data /mnt/copy --credentials /etc/holdfast/credentials --format json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runVerify(c, o) },
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "folder of the archive")
	f.StringVar(&o.credentials, "credentials", "", "folder of the master key (default: the one that init was given)")
	f.StringVar(&o.format, "format", "table", "table or json")
	return c
}

// verdict is the result of verify as JSON.
type verdict struct {
	OK bool `json:"ok"`
	archive.Report
	BodiesChecked bool   `json:"bodies_checked"`  // false: without the master key the chain alone was checked
	Error         string `json:"error,omitempty"` // why the check could not go on
}

func runVerify(c *cobra.Command, o verifyOptions) error {
	if o.data == "" {
		return fmt.Errorf("%w: --data is missing; see `holdfastd verify --help`", errUsage)
	}
	if o.format != "table" && o.format != "json" {
		return fmt.Errorf("%w: --format is table or json", errUsage)
	}
	options := archive.Options{ReadOnly: true}
	var err error
	if options.Master, err = daemon.ReadMaster(daemon.CredentialsDir(o.credentials, o.data)); err != nil {
		if o.credentials != "" {
			return err
		}
		options.Keyless = true
	}
	v, err := check(c, o.data, options)
	if err != nil {
		return err
	}
	return report(c.OutOrStdout(), o.format, v)
}

// check runs the check. Damage that keeps it from going on is a verdict too.
func check(c *cobra.Command, data string, options archive.Options) (v *verdict, err error) {
	v = &verdict{BodiesChecked: !options.Keyless}
	a, err := archive.Open(c.Context(), data, options)
	if err == nil {
		defer func() { err = errors.Join(err, a.Close()) }()
		show, done := progressBar(c.ErrOrStderr())
		var r *archive.Report
		r, err = a.Check(c.Context(), archive.CheckOptions{Bodies: v.BodiesChecked, Progress: show})
		done()
		if err == nil {
			v.OK, v.Report = r.OK(), *r
			return v, nil
		}
	}
	if !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrForeign) {
		return nil, err
	}
	v.Error, v.Damage, v.Findings = err.Error(), 1, []archive.Finding{}
	var at *archive.SeqError
	if errors.As(err, &at) {
		v.Findings = append(v.Findings, archive.Finding{Seq: at.Seq, What: at.Err.Error()})
	}
	return v, nil
}

func report(w io.Writer, format string, v *verdict) error {
	if format == "json" {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			return err
		}
	} else if err := reportTable(w, v); err != nil {
		return err
	}
	if !v.OK {
		return errDamage
	}
	return nil
}

func reportTable(w io.Writer, v *verdict) error {
	bodies := fmt.Sprint(v.Bodies)
	if !v.BodiesChecked {
		bodies = "not opened: no master key (give --credentials DIR)"
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendRows([]table.Row{{"entries", v.Size}, {"root hash", v.Root}, {"bodies", bodies}, {"checkpoints", v.Checkpoints}, {"findings", v.Damage}})
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return err
	}
	for _, f := range v.Findings {
		if _, err := fmt.Fprintf(w, "entry %d: %s\n", f.Seq, f.What); err != nil {
			return err
		}
	}
	last := "OK: every entry is as it was appended"
	switch {
	case v.Error != "":
		last = "DAMAGED: " + v.Error
	case !v.OK:
		last = "DAMAGED: keep the disk as it is and restore from a backup"
	}
	_, err := fmt.Fprintln(w, last)
	return err
}

// progressBar draws on stderr when it is a terminal.
func progressBar(w io.Writer) (show func(done, total uint64), done func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) { // #nosec G115 -- a descriptor
		return nil, func() {}
	}
	pw := progress.NewWriter()
	pw.SetOutputWriter(f)
	pw.SetStyle(progress.StyleBlocks)
	tracker := &progress.Tracker{Message: "checking entries"}
	pw.AppendTracker(tracker)
	go pw.Render()
	show = func(done, total uint64) {
		tracker.UpdateTotal(int64(total)) // #nosec G115 -- entries of one log
		tracker.SetValue(int64(done))     // #nosec G115 -- likewise
	}
	return show, func() {
		tracker.MarkAsDone()
		pw.Stop()
	}
}
