package command

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/internal/certreq"
)

func newRelay(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "relay",
		Short: "Connect the archive to the vendor's relay",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newRelayEnroll(g))
	return c
}

// enrollment is what `relay enroll` is told.
type enrollment struct {
	dir, name, archiveID, identity, url string
	certificate                         string
	pins                                [3]string // as pinFlags
}

// pinFlags are the files by which the relay and the hospital's devices are
// known, in the order of enrollment.pins.
var pinFlags = [3]struct{ flag, key, what string }{
	{"ca", "ca", "authority that certifies the relay"},
	{"head-key", "head_key", "the relay's signing key"},
	{"enrol-key", "enrol_key", "the hospital's enrolment key"},
}

const (
	defaultEtc      = "/etc/holdfast"
	defaultIdentity = "/var/lib/holdfast/identity.json"
)

func newRelayEnroll(g *globals) *cobra.Command {
	var e enrollment
	c := &cobra.Command{
		Use:   "enroll",
		Short: "Make the relay's client key and certificate request, check the pins, install the certificate",
		Long: `enroll connects the archive to a relay, in two steps.

First it makes a key and a certificate request for the archive's client
certificate, and shows their fingerprints and those of the files that the vendor
sent: the authority that certifies the relay, the key by which the relay signs
what it hands out, and the hospital's own enrolment key. Read them over the
telephone to somebody whose number you did not get with the files, and compare
every group. Nothing that the vendor sent is believed for itself.

Then, when the vendor has signed the request, --certificate FILE checks that the
certificate is of that key, is for TLS clients and valid now, and puts it in
place. Both steps end with the [relay] section of the configuration.

It overwrites nothing. When a certificate comes to its end, take another --name:
a new key and certificate beside the old, and then the section's new names.`,
		Example: `  sudo holdfast relay enroll --url https://relay.vendor.example --ca relay-ca.pem --head-key relay-head.pem --enrol-key enrolment.pem
  sudo holdfast relay enroll --url https://relay.vendor.example --certificate signed.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.enroll(cmd.Context(), e) },
	}
	f := c.Flags()
	f.StringVar(&e.dir, "dir", defaultEtc, "`FOLDER` of the configuration, where key, request and certificate go")
	f.StringVar(&e.name, "name", "relay", "`NAME` of the files: NAME.key, NAME.csr, NAME.pem")
	f.StringVar(&e.identity, "identity", defaultIdentity, "the archive's identity.json `FILE`, which names it")
	f.StringVar(&e.archiveID, "archive-id", "", "the archive's `ID` instead, where identity.json is not at hand")
	f.StringVar(&e.url, "url", "", "the relay's `URL`, https://HOST[:PORT]")
	f.StringVar(&e.certificate, "certificate", "", "second step: the signed certificate's `FILE`, with its chain")
	for i, p := range pinFlags {
		f.StringVar(&e.pins[i], p.flag, "", "`FILE` of the "+p.what+", PEM")
	}
	return c
}

func (e *enrollment) path(ext string) string { return filepath.Join(e.dir, e.name+ext) }

func (g *globals) enroll(_ context.Context, e enrollment) error {
	if e.name == "" || strings.ContainsAny(e.name, "/\\") || strings.HasPrefix(e.name, ".") {
		return usage("--name is the name of files in --dir, without a folder")
	}
	if e.url != "" && !strings.HasPrefix(e.url, "https://") {
		return usage("--url is https://HOST[:PORT]")
	}
	if e.certificate != "" {
		if err := g.relayCertificate(e); err != nil {
			return err
		}
		return g.relaySection(e)
	}
	id, err := e.archive()
	if err != nil {
		return err
	}
	if err := g.relayRequest(e, id); err != nil {
		return err
	}
	for i, p := range pinFlags {
		if err := g.relayPin(e.pins[i], p.what); err != nil {
			return err
		}
	}
	if err := g.say("Send %s to the vendor. Read the fingerprints above over the telephone and compare every group; if one differs, stop.\nThen: holdfast relay enroll --certificate FILE", e.path(".csr")); err != nil {
		return err
	}
	return g.relaySection(e)
}

// archive returns the archive's id.
func (e *enrollment) archive() (string, error) {
	if e.archiveID != "" {
		return e.archiveID, nil
	}
	text, err := certreq.Read(e.identity)
	if err != nil {
		return "", usage("%v: give --identity FILE or --archive-id ID", err)
	}
	id, err := proof.ParseIdentity(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", e.identity, err)
	}
	return id.ArchiveID, nil
}

// relayRequest makes key and request, or shows the request that is there.
func (g *globals) relayRequest(e enrollment, id string) error {
	_, err := os.Lstat(e.path(".key"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := certreq.Make(e.path(".key"), e.path(".csr"), id, nil); err != nil {
			return &api.Problem{Title: "the key or the request cannot be made", Detail: err.Error(), Code: api.CodeOutput, Exit: api.ExitCreate,
				Hint: "run it as root, and give a --dir that is there and a --name that is not taken"}
		}
		if err := g.say("made %s, which never leaves this machine, and %s", e.path(".key"), e.path(".csr")); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := g.say("%s is there already and stays; this is its request:", e.path(".key")); err != nil {
			return err
		}
	}
	return g.relayPin(e.path(".csr"), "the archive's certificate request, for the vendor to compare")
}

// relayPin shows the fingerprints of a file.
func (g *globals) relayPin(path, what string) error {
	if path == "" {
		return nil
	}
	text, err := certreq.Read(path)
	if err != nil {
		return usage("%s: %v", what, err)
	}
	pins, err := certreq.Pins(text)
	if err != nil {
		return &api.Problem{Title: path, Detail: err.Error(), Exit: api.ExitData, Hint: "ask the vendor for the file again: PEM, and never a private key"}
	}
	for _, p := range pins {
		name := ""
		if p.Name != "" {
			name = ", " + visible(p.Name)
		}
		if _, err := fmt.Fprintf(g.Out, "%s\n  %s: %s%s\n  SHA-256 %s\n\n", what, path, p.What, name, strings.ReplaceAll(certreq.Spoken(p.Sum), "\n", "\n          ")); err != nil {
			return err
		}
	}
	return nil
}

// relayCertificate puts the signed certificate in place.
func (g *globals) relayCertificate(e enrollment) error {
	text, err := certreq.Read(e.certificate)
	if err != nil {
		return usage("the certificate: %v", err)
	}
	cert, err := certreq.Install(text, e.path(".key"), e.path(".pem"), x509.ExtKeyUsageClientAuth, time.Now())
	if errors.Is(err, fs.ErrExist) {
		return usage("%s is there already, and nothing is overwritten: take another --name for the next certificate", e.path(".pem"))
	}
	if errors.Is(err, certreq.ErrCertificate) {
		return &api.Problem{Title: err.Error(), Exit: api.ExitData, Hint: "ask the vendor for a certificate of the request " + e.path(".csr")}
	}
	if err != nil {
		return err
	}
	return g.say("installed %s: %s, until %s", e.path(".pem"), visible(cert.Subject.String()), cert.NotAfter.UTC().Format(time.DateOnly))
}

// relaySection prints the section that the configuration needs.
func (g *globals) relaySection(e enrollment) error {
	url := e.url
	if url == "" {
		url = "https://relay.vendor.example"
	}
	lines := []string{"[relay]", fmt.Sprintf("url       = %q", url)}
	for i, p := range pinFlags {
		path := e.pins[i]
		if path == "" {
			path = filepath.Join(e.dir, map[string]string{"ca": "relay-ca.pem", "head_key": "relay-head.pem", "enrol_key": "enrolment.pem"}[p.key])
		} else if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		lines = append(lines, fmt.Sprintf("%-9s = %q", p.key, path))
	}
	lines = append(lines, fmt.Sprintf("cert      = %q", e.path(".pem")), fmt.Sprintf("key       = %q", e.path(".key")))
	_, err := fmt.Fprintln(g.Out, strings.Join(lines, "\n"))
	return err
}
