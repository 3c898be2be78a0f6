package command

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/internal/api"
)

type verifyOptions struct {
	logKey     string
	witnesses  []string // files
	leavesOnly bool
}

func newVerify(g *globals) *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify [DIR|ZIP]",
		Short: "Check the archive, or a production without the archive",
		Long: `Without an argument: have the daemon read its whole store and compare every entry with the
hash chain, the tree and the signed checkpoints.

With a production: check it here, with no daemon and no key of the archive's, against the log
key that you bring. Without --log-key the most it can be is SELF-CONSISTENT ONLY. With the public
keys of witnesses (--witness-key, NAME+HASH+KEY as C2SP signed-note has it) it says by which of them
the checkpoint is anchored, when by their clocks, and by which not.

Exit code 65 means that something does not hold, that no log key was given, or that no row of a
production has a proof; the output says which.`,
		Example: `  holdfast verify
  holdfast verify --format json
  holdfast verify ward3 --log-key hospital.logkey
  holdfast verify ward3 --log-key hospital.logkey --witness-key state-archive.vkey --witness-key bar.vkey`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && o.leavesOnly:
				return usage("--leaves-only is for the archive, not for a production")
			case len(args) == 1:
				return runVerifyProduction(cmd.Context(), g, o, args[0])
			case o.logKey != "" || len(o.witnesses) > 0:
				return usage("--log-key and --witness-key are for a production: name its folder or zip")
			}
			return runVerify(cmd.Context(), g, o)
		},
	}
	cmd.Flags().StringVar(&o.logKey, "log-key", "", "`FILE` with the log's key, or the archive's identity.json")
	cmd.Flags().StringArrayVar(&o.witnesses, "witness-key", nil, "`FILE` with the public key of a witness of the log; may be repeated")
	cmd.Flags().BoolVar(&o.leavesOnly, "leaves-only", false, "check the log without opening the bodies")
	return cmd
}

func runVerify(ctx context.Context, g *globals, o *verifyOptions) error {
	b := g.startBar("checking", 0, progress.UnitsDefault)
	report, err := ask(ctx, g, func(c *api.Client) (*api.CheckReport, error) {
		return c.Verify(ctx, api.VerifyRequest{LeavesOnly: o.leavesOnly}, func(p api.Progress) { b.set(p.Done, p.Total) })
	})
	b.stop(err == nil)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		err = g.writeJSON(report)
	} else {
		err = g.writeReport(report)
	}
	if err == nil && !report.OK {
		err = &verdictError{api.ExitData}
	}
	return err
}

func (g *globals) writeReport(r *api.CheckReport) error {
	result := "every entry is as it was appended"
	if !r.OK {
		result = "DAMAGED: " + number(r.Damage) + " findings"
	}
	err := g.writeFields([]field{
		{"result", result},
		{"entries", number(r.Size)},
		{"root", r.Root},
		{"bodies", number(r.Bodies)},
		{"disposed of", optional(r.Disposed)},
		{"checkpoints", number(r.Checkpoints)},
	})
	if err != nil || len(r.Findings) == 0 {
		return err
	}
	rows := make([][]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		rows = append(rows, []string{number(f.Seq), f.What})
	}
	if err := g.writeTable([]string{"ENTRY", "FINDING"}, rows); err != nil {
		return err
	}
	return g.say("keep the disk as it is, and restore from a backup that verifies")
}

func runVerifyProduction(ctx context.Context, g *globals, o *verifyOptions, path string) error {
	var keys export.VerifyKeys
	if o.logKey != "" {
		key, err := wait(ctx, func() (note.Verifier, error) { return readLogKey(o.logKey) })
		if err != nil {
			return err
		}
		keys.Log = key
	}
	for _, path := range o.witnesses {
		w, err := wait(ctx, func() (*proof.Witness, error) { return readWitness(path) })
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(keys.Witness, func(k *proof.Witness) bool { return k.Name() == w.Name() && k.KeyHash() == w.KeyHash() }) {
			keys.Witness = append(keys.Witness, w)
		}
	}
	fsys, closer, err := openProduction(path)
	if err != nil {
		return err
	}
	b := g.startBar("verifying", 0, progress.UnitsDefault)
	verdict, err := export.Verify(ctx, fsys, keys, b.set)
	b.stop(err == nil)
	if err = errors.Join(err, closer.Close()); err != nil {
		return err
	}
	if g.format == formatJSON {
		err = g.writeJSON(verdict)
	} else {
		err = verdict.WriteText(g.Out)
	}
	if err == nil && !verdict.OK() {
		err = &verdictError{api.ExitData}
	}
	return err
}

func readLogKey(path string) (note.Verifier, error) {
	problem := func(err error) error {
		return &api.Problem{Title: "the log key cannot be used", Detail: err.Error(), Exit: api.ExitPermission,
			Hint: "give the file that `holdfast checkpoint --log-key` printed on the archive's own machine, not one that came with the production"}
	}
	f, err := os.Open(path) // #nosec G304 -- whoever runs the command names it
	if err != nil {
		return nil, problem(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, proof.MaxIdentity+1))
	if err != nil {
		return nil, problem(err)
	}
	key, err := proof.ParseLogKey(b)
	if err != nil {
		return nil, problem(err)
	}
	return key, nil
}

func readWitness(path string) (*proof.Witness, error) {
	problem := func(err error) error {
		return &api.Problem{Title: "the witness's key cannot be used", Detail: err.Error(), Exit: api.ExitPermission,
			Hint: "give a file with the witness's public key, NAME+HASH+KEY of cosignature/v1, as the witness itself publishes it"}
	}
	f, err := os.Open(path) // #nosec G304 -- whoever runs the command names it
	if err != nil {
		return nil, problem(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, proof.MaxWitnessKey+1))
	if err != nil {
		return nil, problem(err)
	}
	w, err := proof.ParseWitnessKey(b)
	if err != nil {
		return nil, problem(err)
	}
	return w, nil
}

// openProduction opens a folder, out of which no link leads, or a zip file.
// Anything else is refused unopened: opening a pipe would wait for ever.
func openProduction(path string) (fs.FS, io.Closer, error) {
	problem := func(err error) error {
		return &api.Problem{Title: "the production cannot be opened", Detail: err.Error(), Exit: api.ExitIO, Hint: "name the folder that export made, or a zip file of it"}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, problem(err)
	case info.IsDir():
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, nil, problem(err)
		}
		return root.FS(), root, nil
	case !info.Mode().IsRegular():
		return nil, nil, &api.Problem{Title: path + " is neither a folder nor a regular file", Code: api.CodeBadRequest, Exit: api.ExitUsage,
			Hint: "name the folder that export made, or a zip file of it"}
	}
	z, err := zip.OpenReader(path)
	var system *fs.PathError
	switch {
	case errors.As(err, &system):
		return nil, nil, problem(err)
	case err != nil && sealed(path):
		return nil, nil, &api.Problem{Title: path + " is sealed to an age key", Code: api.CodeBadRequest, Exit: api.ExitUsage,
			Hint: "open it with that key, age --decrypt --identity KEY --output FILE.zip, and verify the zip file that comes"}
	case err != nil:
		return nil, nil, &api.Problem{Title: path + " is not a whole production", Detail: err.Error(), Exit: api.ExitData,
			Hint: "it is no zip file, or was cut off or damaged on its way: fetch it again, or ask whoever made it for another copy"}
	}
	return z, z, nil
}

// sealed tells whether a file begins as those that age writes
// (age-encryption.org/v1, section "Header").
func sealed(path string) bool {
	const intro = "age-encryption.org/v1\n"
	f, err := os.Open(path) // #nosec G304 -- whoever runs the command names it
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(intro))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == intro
}
