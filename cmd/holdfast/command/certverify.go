package command

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/retention"
)

// maxCertificate bounds the file of a certificate, in bytes: more than a JWS
// over the ranges of a month can have.
const maxCertificate = 64 << 20

func newCertificateVerify(g *globals) *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use:   "verify FILE --identity FILE",
		Short: "Check an exported certificate, without the archive",
		Long: `Check a certificate's file here, with no daemon and no key of the archive's, against the identity.json that you
bring: the signature, both checkpoints, and that its parts agree. Take the identity from the archive's
own machine, not from whoever hands you the certificate. Exit code 65 means that it does not hold.`,
		Example: "  holdfast certificate verify 520.jws --identity identity.json",
		Args:    exactly(1, "name one file that `holdfast certificate export` wrote, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCertificateVerify(cmd.Context(), g, args[0], identity)
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "`FILE` with the archive's identity.json")
	return cmd
}

// verifiedCertificate is what certificate verify prints for scripts.
type verifiedCertificate struct {
	OK        bool                 `json:"ok"`
	Detail    string               `json:"detail,omitempty"`
	Statement *retention.Statement `json:"statement,omitempty"`
}

func runCertificateVerify(ctx context.Context, g *globals, file, identity string) error {
	if identity == "" {
		return usage("say with --identity against which archive's identity.json: /var/lib/holdfast has it on the archive's own machine")
	}
	id, err := wait(ctx, func() (*proof.Identity, error) { return readIdentity(identity) })
	if err != nil {
		return err
	}
	text, err := g.readInput(ctx, file, "the certificate", maxCertificate)
	if err != nil {
		return err
	}
	s, err := retention.VerifyCertificate([]byte(text), id)
	v := verifiedCertificate{OK: err == nil, Statement: s}
	if err != nil {
		v.Detail, v.Statement = err.Error(), nil
	}
	switch {
	case g.format == formatJSON:
		err = g.writeJSON(v)
	case !v.OK:
		err = errors.Join(g.writeFields([]field{{"result", "DOES NOT HOLD: " + v.Detail}}),
			g.next("fetch it again with `holdfast certificate export`, and check that the identity is that of the archive"))
	default:
		fields := append([]field{{"result", "VERIFIED: signed by this archive, and its parts agree"}}, statementFields(&api.DispositionCertificate{Statement: *s})...)
		err = errors.Join(g.writeFields(fields), g.writeRemaining(s.Copies))
	}
	if err == nil && !v.OK {
		err = &verdictError{api.ExitData}
	}
	return err
}

func readIdentity(path string) (*proof.Identity, error) {
	problem := func(err error) error {
		return &api.Problem{Title: "the identity cannot be used", Detail: err.Error(), Exit: api.ExitPermission,
			Hint: "give the identity.json of the archive's own machine"}
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
	id, err := proof.ParseIdentity(b)
	if err != nil {
		return nil, problem(err)
	}
	return id, nil
}
