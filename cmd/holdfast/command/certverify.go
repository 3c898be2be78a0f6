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

func runCertificateVerify(ctx context.Context, g *globals, file, identity string) error {
	return verifyOffline(ctx, g, file, identity, retention.VerifyCertificate, told[retention.Statement]{
		holds: "signed by this archive, and its parts agree", again: "fetch it again with `holdfast certificate export`",
		write: func(result field, s *retention.Statement) error {
			fields := append([]field{result}, statementFields(&api.DispositionCertificate{Statement: *s})...)
			return errors.Join(g.writeFields(fields), g.writeRemaining(s.Copies))
		},
	})
}

// told is how a signed statement of the archive's is told of.
type told[T any] struct {
	holds string // what it means that it holds
	again string // what to do when it does not
	write func(result field, s *T) error
}

// verified is what the verifying of a statement prints for scripts.
type verified[T any] struct {
	OK        bool   `json:"ok"`
	Detail    string `json:"detail,omitempty"`
	Statement *T     `json:"statement,omitempty"`
}

// verifyOffline checks a statement's file against an archive's identity.json,
// with no daemon.
func verifyOffline[T any](ctx context.Context, g *globals, file, identity string, check func([]byte, *proof.Identity) (*T, error), tell told[T]) error {
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
	s, err := check([]byte(text), id)
	v := verified[T]{OK: err == nil, Statement: s}
	if err != nil {
		v.Detail, v.Statement = err.Error(), nil
	}
	switch {
	case g.format == formatJSON:
		err = g.writeJSON(v)
	case !v.OK:
		err = errors.Join(g.writeFields([]field{{"result", "DOES NOT HOLD: " + v.Detail}}), g.next(tell.again+", and check that the identity is that of the archive"))
	default:
		err = tell.write(field{"result", "VERIFIED: " + tell.holds}, s)
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
