package command

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type disclosuresOptions struct {
	req  api.DisclosuresRequest
	file string
}

func newDisclosures(g *globals) *cobra.Command {
	o := &disclosuresOptions{}
	cmd := &cobra.Command{
		Use:   "disclosures --mrn NUMBER --reason TEXT",
		Short: "The accounting of disclosures of a patient, 45 CFR 164.528",
		Long: `Print what was disclosed of a patient: date, recipient with address, description and purpose of every
production that was completed in the last six years and has a message with that medical record
number. The number counts exactly, but for the space around it and its case. What the law lets an
accounting leave out (treatment, payment, operations, the patient's own access and authorizations) is
left out and counted, unless --all is given.

A number on a command line stands in a shell's history and in ps: --mrn-file keeps it out of both.`,
		Example: `  holdfast disclosures --mrn 0815-4711 --reason 'request of the patient, 3 March'
  holdfast disclosures --mrn-file - --since 6y --all --reason 'request of the patient' < number.txt`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDisclosures(cmd.Context(), g, o) },
	}
	cmd.Flags().StringVar(&o.req.MRN, "mrn", "", "the medical record `NUMBER`")
	cmd.Flags().StringVar(&o.file, "mrn-file", "", "read it from `FILE`, or from stdin with -")
	cmd.Flags().StringVar(&o.req.Since, "since", "6y", "how far back: `TIME`, 6y, 18m, 90d, or a date")
	cmd.Flags().BoolVar(&o.req.All, "all", false, "what an accounting may leave out as well")
	cmd.Flags().StringVar(&o.req.Reason, "reason", "", "who asks for it, kept in the log: `TEXT`")
	return cmd
}

// ago is how far back is written here: it is always back.
var ago = regexp.MustCompile(`^[0-9]{1,4}[dwmy]$`)

// maxNumberFile bounds a file with a medical record number, in bytes.
const maxNumberFile = 1 << 10

func runDisclosures(ctx context.Context, g *globals, o *disclosuresOptions) error {
	if (o.req.MRN == "") == (o.file == "") {
		return usage("give the medical record number with --mrn, or --mrn-file, and not both")
	}
	req := o.req
	if o.file != "" {
		text, err := g.readInput(ctx, o.file, "the medical record number", maxNumberFile)
		if err != nil {
			return err
		}
		req.MRN = strings.TrimSpace(text)
	}
	if ago.MatchString(req.Since) {
		req.Since = "-" + req.Since
	}
	if err := checkWhen("--since", req.Since); err != nil {
		return err
	}
	list, err := ask(ctx, g, func(c *api.Client) (*api.DisclosuresResponse, error) { return c.Disclosures(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	return g.writeDisclosures(list)
}

func (g *globals) writeDisclosures(list *api.DisclosuresResponse) error {
	fields := []field{
		{"accounting of", list.MRN},
		{"period", stamp(list.Since) + " to " + stamp(list.Until) + " UTC"},
		{"disclosures", number(uint64(len(list.Disclosures)))},
	}
	for i := range list.Disclosures {
		d := &list.Disclosures[i]
		purpose := d.Purpose
		if d.About != "" {
			purpose += ": " + d.About
		}
		if d.Exempt {
			purpose += " (an accounting may leave it out)"
		}
		fields = append(fields,
			field{"date", stamp(d.At) + " UTC"}, field{"  recipient", d.Recipient.Name}, field{"  address", d.Recipient.Address},
			field{"  description", d.Description}, field{"  purpose", purpose}, field{"  production", number(d.Production)}, field{"  matter", d.Matter},
		)
	}
	lines := list.Notes
	if list.Left > 0 {
		lines = append([]string{number(list.Left) + " more that an accounting may leave out were left out; --all gives them"}, lines...)
	}
	return errors.Join(g.writeFields(fields), g.next(lines...))
}
