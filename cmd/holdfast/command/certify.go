package command

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"holdfast/archive/coverage"
	"holdfast/internal/api"
	"holdfast/internal/durable"
)

type certifyOptions struct {
	why
	custodian, from, to, output string
}

func newCertify(g *globals) *cobra.Command {
	o := &certifyOptions{}
	cmd := &cobra.Command{
		Use:   "certify --custodian WHO --from DATE --to DATE",
		Short: "Certify how far the archive has what a custodian sent and was sent",
		Long: `Examine which numbers of the relay's stream and of the custodian's devices the archive has from a
period, which are missing, quarantined or disposed of and why, and sign that. Of each device it says
up to which checkpoint everything is accounted for; what came after that is unknown, and the
certificate says so. It never says that all is there, and ends with what it cannot show.

--to is the first day that is not in the period any more. The certificate's file (a JWS) is checked
anywhere with: holdfast certify verify FILE --identity identity.json`,
		Example: `  holdfast certify --custodian 'Anna Berg' --from 2026-01-01 --to 2026-07-01 --matter M-7 --output berg.jws
  holdfast certify --custodian usr:u-4711 --from -90d --to today --reason 'board inquiry' --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCertify(cmd.Context(), g, o) },
	}
	o.why.addFlags(cmd)
	cmd.Flags().StringVar(&o.custodian, "custodian", "", "`WHO`: a GUID, account, UPN, mail address or name, or usr: and a relay user's id")
	cmd.Flags().StringVar(&o.from, "from", "", "the period's first `DATE`, or so far back: -90d, -18m, -7y")
	cmd.Flags().StringVar(&o.to, "to", "", "the first `DATE` after it")
	cmd.Flags().StringVar(&o.output, "output", "", "write the signed certificate to the new `FILE`")
	cmd.AddCommand(newCertifyVerify(g))
	return cmd
}

func runCertify(ctx context.Context, g *globals, o *certifyOptions) error {
	switch {
	case o.custodian == "":
		return usage("say with --custodian about whom")
	case o.from == "" || o.to == "":
		return usage("say with --from and --to about which period")
	}
	if o.output != "" {
		if _, err := os.Lstat(o.output); err == nil {
			return &api.Problem{Title: o.output + " is there already", Code: api.CodeOutput, Exit: api.ExitCreate, Hint: "name a new file"}
		}
	}
	req := api.CertifyRequest{Custodian: o.custodian, From: o.from, To: o.to, Reason: o.reason, Matter: o.matter}
	b := g.startBar("examining", 0, progress.UnitsDefault)
	made, err := ask(ctx, g, func(c *api.Client) (*api.Certified, error) {
		return c.Certify(ctx, req, func(p api.Progress) { b.set(p.Done, p.Total) })
	})
	b.stop(err == nil)
	if err != nil {
		return err
	}
	if o.output != "" {
		if err := durable.Create(o.output, []byte(made.JWS+"\n"), 0o600); err != nil {
			return &api.Problem{Title: "the certificate cannot be written", Detail: err.Error(), Code: api.CodeOutput, Exit: api.ExitCreate, Hint: "name a new file in a folder that is there"}
		}
	}
	if g.format == formatJSON {
		return g.writeJSON(made)
	}
	if err := g.writeCoverage(&made.Statement); err != nil || o.output != "" {
		return err
	}
	return g.say("--output FILE keeps it in its signed form")
}

// writeCoverage writes a statement whose names cannot steer a terminal.
func (g *globals) writeCoverage(s *coverage.Statement) error {
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		return err
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if _, err := g.Out.Write([]byte(visible(line) + "\n")); err != nil {
			return err
		}
	}
	return nil
}

func newCertifyVerify(g *globals) *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use:   "verify FILE --identity FILE",
		Short: "Check a completeness certificate, without the archive",
		Long: `Check a certificate's file here, with no daemon and no key of the archive's, against the identity.json that you
bring: take it from the archive's own machine, not from whoever hands you the certificate. Exit code 65
means that it does not hold.`,
		Example: "  holdfast certify verify berg.jws --identity identity.json",
		Args:    exactly(1, "name one file that `holdfast certify --output` wrote, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCertifyVerify(cmd.Context(), g, args[0], identity)
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "`FILE` with the archive's identity.json")
	return cmd
}

func runCertifyVerify(ctx context.Context, g *globals, file, identity string) error {
	return verifyOffline(ctx, g, file, identity, coverage.Verify, told[coverage.Statement]{
		holds: "signed by this archive, as of the checkpoint that it names", again: "ask whoever made it for another copy",
		write: func(result field, s *coverage.Statement) error {
			return errors.Join(g.writeFields([]field{result}), g.writeCoverage(s))
		},
	})
}
