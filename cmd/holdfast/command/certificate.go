package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/durable"
	"holdfast/retention"
)

func newCertificate(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certificate",
		Short: "Certificates of destruction: list, show, export, verify",
		Long: `A certificate is a signed statement of what was destroyed, how, by whose decision, and which known copies
could still open it. It is complete only when none remains; until then another one follows when the
last copy is gone.`,
		Example: `  holdfast certificate list
  holdfast certificate show 520
  holdfast certificate export 520 --output 520.jws
  holdfast certificate verify 520.jws --identity identity.json`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertificateList(g), newCertificateShow(g), newCertificateExport(g), newCertificateVerify(g))
	return cmd
}

func newCertificateList(g *globals) *cobra.Command {
	var req api.CertificatesRequest
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the certificates, newest first",
		Example: "  holdfast certificate list\n  holdfast certificate list --class general --month 2019-03\n  holdfast certificate list --json | jq '.certificates[] | select(.complete | not)'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCertificateList(cmd.Context(), g, req) },
	}
	cmd.Flags().StringVar(&req.Class, "class", "", "only of this record `CLASS`")
	cmd.Flags().StringVar(&req.Month, "month", "", "only of what was received in this `MONTH`: 2019-03")
	return cmd
}

func runCertificateList(ctx context.Context, g *globals, req api.CertificatesRequest) error {
	if err := checkMonth(req.Month); err != nil {
		return err
	}
	list, err := ask(ctx, g, func(c *api.Client) (*api.CertificatesResponse, error) { return c.Certificates(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Certificates) == 0 {
		return g.say("nothing was destroyed")
	}
	rows := make([][]string, 0, len(list.Certificates))
	for i := range list.Certificates {
		c := &list.Certificates[i]
		rows = append(rows, []string{number(c.Seq), sentStamp(c.At), string(c.Kind), c.Class, c.Month, number(c.Count), number(c.Plan), yesOr(c.Complete, fmt.Sprintf("%d copies", len(c.Copies)))})
	}
	return g.writeTable([]string{"CERTIFICATE", "AT (UTC)", "KIND", "CLASS", "MONTH", "ENTRIES", "PLAN", "COMPLETE"}, rows)
}

func newCertificateShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show CERTIFICATE",
		Short:   "Show a certificate",
		Example: "  holdfast certificate show 520\n  holdfast certificate show 520 --json | jq .copies",
		Args:    exactly(1, oneCertificate),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCertificate(cmd.Context(), g, args[0], func(c *api.DispositionCertificate) error {
				if g.format == formatJSON {
					return g.writeJSON(c)
				}
				return g.writeCertificate(c)
			})
		},
	}
}

const oneCertificate = "name one certificate by its number, as `holdfast certificate list` prints it"

// runCertificate asks for the certificate of that number and hands it to then.
func runCertificate(ctx context.Context, g *globals, arg string, then func(c *api.DispositionCertificate) error) error {
	seq, err := parseNumber(arg, "a certificate")
	if err != nil {
		return err
	}
	c, err := ask(ctx, g, func(c *api.Client) (*api.DispositionCertificate, error) { return c.Certificate(ctx, seq) })
	if err != nil {
		return err
	}
	return then(c)
}

func (g *globals) writeCertificate(c *api.DispositionCertificate) error {
	fields := append([]field{{"certificate", number(c.Seq)}}, statementFields(c)...)
	if c.Continued > 0 && c.Continued != c.Seq {
		fields = append(fields, field{"continued by", "certificate " + number(c.Continued)})
	}
	if err := errors.Join(g.writeFields(fields), g.writeRemaining(c.Copies)); err != nil || c.Complete {
		return err
	}
	return g.next(remainingNext(c.Copies)...)
}

// remainingNext says how each kind of copy goes. What the archive keeps itself
// is nothing that a person could note as gone.
func remainingNext(list []api.Remaining) []string {
	var next []string
	own := func(r api.Remaining) bool { return r.What == retention.CopyRecipient }
	if slices.ContainsFunc(list, own) {
		next = append(next, "the archive destroys its recipient keys itself, by the time given")
	}
	if slices.ContainsFunc(list, func(r api.Remaining) bool { return !own(r) }) {
		next = append(next, "when a copy is destroyed: holdfast copies gone ID --reason TEXT")
	}
	return append(next, "once the last one is gone another certificate says complete")
}

// statementFields describe what a certificate states.
func statementFields(s *api.DispositionCertificate) []field {
	standing := "COMPLETE: no known copy could still open what was destroyed"
	if !s.Complete {
		standing = "NOT COMPLETE: the copies below could still open what was destroyed"
	}
	fields := []field{
		{"standing", standing},
		{"archive", s.Archive + " (" + s.Origin + ")"},
		{"at", sentStamp(s.At) + " UTC"},
		{"destroyed", fmt.Sprintf("%d entries of class %s received in %s, between entry %d and entry %d", s.Count, s.Class, s.Month, s.First, s.Last)},
		{"survivors", fmt.Sprintf("%d entries of that class and month", s.Survivors)},
		{"method", s.Method},
		{"media", s.Media},
		{"plan", fmt.Sprintf("%d (%s), request %d", s.Plan, s.Kind, s.Request)},
		{"planned by", s.Planner.String()},
		{"approved by", s.Approver.String()},
		{"run by", s.Runner.String()},
		{"intent", "entry " + number(s.Intent)},
	}
	if s.Schedule > 0 {
		fields = append(fields, field{"schedule", "of entry " + number(s.Schedule)})
	}
	if s.Of > 0 {
		fields = append(fields, field{"continues", "certificate " + number(s.Of)})
	}
	for _, k := range s.Keys {
		fields = append(fields, field{"key destroyed", k.Name + ", id " + k.ID})
	}
	return fields
}

// writeRemaining writes the copies that could still open what was destroyed.
func (g *globals) writeRemaining(list []api.Remaining) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(list))
	for _, l := range list {
		rows = append(rows, []string{l.What, l.ID, sinceStamp(l.Until, ""), l.Where})
	}
	return g.writeTable([]string{"COPY", "ID", "UNTIL", "WHERE"}, rows)
}

func newCertificateExport(g *globals) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export CERTIFICATE --output FILE",
		Short: "Write a certificate's signed form to a new file",
		Long: `Write a certificate's signed form, a JWS (RFC 7515) by the archive's identity key, to a new file, or to stdout
with -. Anybody verifies it with the archive's identity.json and nothing else.`,
		Example: "  holdfast certificate export 520 --output 520.jws\n  holdfast certificate export 520 --output - > 520.jws",
		Args:    exactly(1, oneCertificate),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCertificateExport(cmd.Context(), g, args[0], out)
		},
	}
	cmd.Flags().StringVar(&out, "output", "", "the new `FILE`, or - for stdout")
	return cmd
}

// exportedCertificate is what certificate export prints for scripts.
type exportedCertificate struct {
	File        string `json:"file"`
	Certificate uint64 `json:"certificate"`
}

func runCertificateExport(ctx context.Context, g *globals, arg, out string) error {
	if out == "" {
		return usage("say with --output where the certificate goes")
	}
	return runCertificate(ctx, g, arg, func(c *api.DispositionCertificate) error {
		if c.JWS == "" {
			return &api.Problem{Title: "the daemon gave no signed form", Code: api.CodeProtocol, Exit: api.ExitUnreachable, Hint: "compare `holdfast version` with the daemon's"}
		}
		if out == "-" {
			_, err := fmt.Fprintln(g.Out, visible(c.JWS))
			return err
		}
		// A crash before this leaves no file, after it the whole one.
		err := durable.Create(out, []byte(c.JWS+"\n"), 0o644) // #nosec G306 -- to be handed out
		switch {
		case errors.Is(err, fs.ErrExist):
			return &api.Problem{Title: out + " is there already", Code: api.CodeOutput, Exit: api.ExitCreate, Hint: "name a new file: nothing is written over"}
		case err != nil:
			return &api.Problem{Title: "the file cannot be written", Detail: err.Error(), Code: api.CodeOutput, Exit: api.ExitCreate, Hint: "check --output"}
		}
		if g.format == formatJSON {
			return g.writeJSON(exportedCertificate{out, c.Seq})
		}
		return errors.Join(g.writeFields([]field{{"file", out}, {"certificate", number(c.Seq)}}),
			g.next("verify it anywhere with: holdfast certificate verify "+shellWord(out)+" --identity identity.json"))
	})
}
