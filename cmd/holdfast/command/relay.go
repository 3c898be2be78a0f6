package command

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive/proof"
	"holdfast/internal/api"
	"holdfast/internal/certreq"
	"holdfast/internal/durable"
)

func newRelay(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:     "relay",
		Short:   "Connect the archive to the vendor's relay",
		Example: "  sudo holdfast relay enroll --archive-id st-marys.example --url https://relay.vendor.example",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newRelayEnroll(g))
	return c
}

// enrollment is what `relay enroll` is told.
type enrollment struct {
	dir, name, archiveID, identity, url string
	certificate                         string
	pins                                [3]string // as pinFlags
	yes                                 bool
}

// pinFlags are the files by which the relay and the hospital's devices are
// known, in the order of enrollment.pins, and their names in the configuration's
// folder.
var pinFlags = [3]struct{ flag, key, file, what string }{
	{"ca", "ca", "relay-ca.pem", "the authority that certifies the relay"},
	{"head-key", "head_key", "relay-head.pem", "the relay's signing key"},
	{"enrol-key", "enrol_key", "enrolment.pem", "the hospital's enrolment key"},
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
every group. Nothing that the vendor sent is believed for itself: when you say
that all was compared, the files are put into the folder of the configuration,
where they are looked for too. It may be run again until all of them are there.

Then, when the vendor has signed the request, --certificate FILE checks that the
certificate is of that key, is for TLS clients and valid now, and puts it in
place. Both steps end with the [relay] section of the configuration. The key is for
the daemon's account alone.

It overwrites nothing. When a certificate comes to its end, take another --name:
a new key and certificate beside the old, and then the section's new names.`,
		Example: `  sudo holdfast relay enroll --url https://relay.vendor.example --ca relay-ca.pem --head-key relay-head.pem --enrol-key enrolment.pem
  sudo holdfast relay enroll --url https://relay.vendor.example --certificate signed.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.enroll(cmd.Context(), &e) },
	}
	f := c.Flags()
	f.StringVar(&e.dir, "dir", defaultEtc, "`FOLDER` of the configuration, where key, request and certificate go")
	f.StringVar(&e.name, "name", "relay", "`NAME` of the files: NAME.key, NAME.csr, NAME.pem")
	f.StringVar(&e.identity, "identity", defaultIdentity, "the archive's identity.json `FILE`, which names it")
	f.StringVar(&e.archiveID, "archive-id", "", "the archive's `ID` instead, where identity.json is not at hand")
	f.StringVar(&e.url, "url", "", "the relay's `URL`, https://HOST[:PORT]")
	f.StringVar(&e.certificate, "certificate", "", "second step: the signed certificate's `FILE`, with its chain")
	f.BoolVar(&e.yes, "yes", false, "the fingerprints were compared: do not ask")
	for i, p := range pinFlags {
		f.StringVar(&e.pins[i], p.flag, "", "`FILE` of "+p.what+", PEM")
	}
	return c
}

func (e *enrollment) path(ext string) string { return filepath.Join(e.dir, e.name+ext) }

func (g *globals) enroll(ctx context.Context, e *enrollment) error {
	if e.name == "" || strings.ContainsAny(e.name, "/\\") || strings.HasPrefix(e.name, ".") {
		return usage("--name is the name of files in --dir, without a folder")
	}
	if e.url != "" && !strings.HasPrefix(e.url, "https://") {
		return usage("--url is https://HOST[:PORT]")
	}
	dir, err := filepath.Abs(e.dir)
	if err != nil {
		return err
	}
	e.dir = dir
	if e.certificate == "" {
		id, err := e.archive()
		if err != nil {
			return err
		}
		if err := g.relayRequest(e, id); err != nil {
			return err
		}
	}
	shown, err := g.relayPins(e)
	if err != nil {
		return err
	}
	if shown {
		if err := g.compared(ctx, e); err != nil {
			return err
		}
		if err := e.putPins(); err != nil {
			return err
		}
	}
	if e.certificate != "" {
		if err := g.relayCertificate(e); err != nil {
			return err
		}
	}
	return g.relayNext(e)
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
func (g *globals) relayRequest(e *enrollment, id string) error {
	_, err := os.Lstat(e.path(".key"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := certreq.Make(e.path(".key"), e.path(".csr"), id, nil); err != nil {
			return unmade(err)
		}
		if err := g.say("made %s, which never leaves this machine, and %s", e.path(".key"), e.path(".csr")); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := e.requestIsOf(id); err != nil {
			return err
		}
		if err := g.say("%s is there already and stays; this is its request:", e.path(".key")); err != nil {
			return err
		}
	}
	if err := g.entrust(e.path(".key")); err != nil {
		return err
	}
	return g.relayPin(e.path(".csr"), "the archive's certificate request, for the vendor to compare")
}

// requestIsOf refuses a request that is there and names another archive.
func (e *enrollment) requestIsOf(id string) error {
	text, err := certreq.Read(e.path(".csr"))
	if err != nil {
		return usage("%s is there, and its request is not: %v. Take another --name, or move the key away and run it again", e.path(".key"), err)
	}
	name, err := certreq.Requester(text)
	if err != nil {
		return usage("%s: %v. Take another --name, or move it and %s away and run it again", e.path(".csr"), err, e.path(".key"))
	}
	if name != id {
		return usage("%s is the request of the archive %s, not of %s, and nothing is overwritten. If the id is right take another --name, or remove it and %s and run it again", e.path(".csr"), visible(name), visible(id), e.path(".key"))
	}
	return nil
}

// entrust gives the key to the daemon's account, or says what is to be done.
func (g *globals) entrust(key string) error {
	daemon, err := certreq.Daemon()
	switch {
	case err != nil:
		return err
	case daemon == nil:
		return g.say("there is no account %s on this machine (the package makes it); later: chown %s: %s", certreq.Account, certreq.Account, shellWord(key))
	case os.Geteuid() == daemon.UID:
		return nil
	case os.Geteuid() != 0:
		return g.say("the daemon cannot read the key yet: sudo chown %s: %s", certreq.Account, shellWord(key))
	}
	given, err := daemon.Give(key)
	if err == nil && !given {
		err = g.say("others read %s too, so it was left as it is: see that the account %s can read it", shellWord(key), certreq.Account)
	}
	return err
}

// relayPins shows the files of the relay that are given, or in the folder
// already; false without any. The second step shows those that are given alone:
// the others were compared in the first.
func (g *globals) relayPins(e *enrollment) (shown bool, err error) {
	for i, p := range pinFlags {
		if e.pins[i] == "" && e.certificate == "" {
			if _, err := os.Lstat(e.pin(i)); err == nil {
				e.pins[i] = e.pin(i)
			}
		}
		if err := g.relayPin(e.pins[i], p.what); err != nil {
			return shown, err
		}
		shown = shown || e.pins[i] != ""
	}
	return shown, nil
}

// pin is where the configuration looks for one of pinFlags.
func (e *enrollment) pin(i int) string { return filepath.Join(e.dir, pinFlags[i].file) }

// errUncompared ends an enrolment of which nobody says that it was compared.
var errUncompared = &api.Problem{Title: "nobody said that the fingerprints were compared", Code: api.CodeBadRequest, Exit: api.ExitUsage,
	Hint: "compare them over the telephone and run it again; if one differs, stop and tell the vendor. In a script, after comparing: --yes"}

// compared asks whether the fingerprints were compared.
func (g *globals) compared(ctx context.Context, e *enrollment) error {
	if e.yes {
		return nil
	}
	if _, err := io.WriteString(g.Err, "Read the fingerprints above over the telephone and compare every group; if one differs, stop.\nWere all of them compared, and the same? [yes/no]: "); err != nil {
		return err
	}
	answer, err := wait(ctx, func() (string, error) { return readLine(bufio.NewReaderSize(g.In, maxSecret+2)) })
	if ctx.Err() != nil {
		return err
	}
	if err != nil || strings.ToLower(strings.TrimSpace(answer)) != "yes" {
		return errUncompared
	}
	return nil
}

// putPins puts the compared files where the configuration looks for them.
func (e *enrollment) putPins() error {
	for i, p := range pinFlags {
		if e.pins[i] == "" {
			continue
		}
		text, err := certreq.Read(e.pins[i])
		if err != nil {
			return err
		}
		err = durable.Create(e.pin(i), text, 0o644)
		if errors.Is(err, fs.ErrExist) {
			there, read := certreq.Read(e.pin(i))
			if read != nil || !bytes.Equal(there, text) {
				return usage("%s is there already and is another file; nothing is overwritten. If the vendor changed %s, move the former file away and run it again", e.pin(i), p.what)
			}
			err = nil
		}
		if err != nil {
			return unmade(err)
		}
		if err := show(e.pin(i)); err != nil {
			return err
		}
	}
	return nil
}

// show lets the daemon read a file without secrets, whatever root's umask was.
func show(path string) error {
	daemon, err := certreq.Daemon()
	if err != nil || daemon == nil || os.Geteuid() != 0 {
		return err
	}
	return daemon.Show(path)
}

func unmade(err error) error {
	return &api.Problem{Title: "a file cannot be made", Detail: err.Error(), Code: api.CodeOutput, Exit: api.ExitCreate,
		Hint: "run it as root, and give a --dir that is there and a --name that is not taken"}
}

// relayNext says what is missing, or prints the section.
func (g *globals) relayNext(e *enrollment) error {
	var missing []string
	for i, p := range pinFlags {
		if _, err := os.Lstat(e.pin(i)); err != nil {
			missing = append(missing, e.pin(i)+" ("+p.what+", --"+p.flag+")")
		}
	}
	if e.certificate == "" {
		if err := g.say("Send %s to the vendor. Then: holdfast relay enroll%s --certificate FILE", e.path(".csr"), e.named()); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		if err := g.say("Still missing: %s. Run it again with them.", strings.Join(missing, ", ")); err != nil {
			return err
		}
	}
	return g.relaySection(e)
}

// named are the flags that the second step needs, if the first had them.
func (e *enrollment) named() (flags string) {
	if e.dir != defaultEtc {
		flags = " --dir " + shellWord(e.dir)
	}
	if e.name != "relay" {
		flags += " --name " + shellWord(e.name)
	}
	return flags
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
func (g *globals) relayCertificate(e *enrollment) error {
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
	if err := errors.Join(g.entrust(e.path(".key")), show(e.path(".pem"))); err != nil {
		return err
	}
	return g.say("installed %s: %s, until %s", e.path(".pem"), visible(cert.Subject.String()), cert.NotAfter.UTC().Format(time.DateOnly))
}

// relaySection prints the section that the configuration needs.
func (g *globals) relaySection(e *enrollment) error {
	lines := []string{"[relay]", fmt.Sprintf("url       = %q", e.relayURL())}
	if e.relayURL() == "" {
		lines[1] += " # FILL IN: https://HOST[:PORT], as the vendor says"
		if err := g.say("The relay's url is not known here: fill it in, or run it again with --url. Without it the section refuses the start."); err != nil {
			return err
		}
	}
	for i, p := range pinFlags {
		lines = append(lines, fmt.Sprintf("%-9s = %q", p.key, e.pin(i)))
	}
	lines = append(lines, fmt.Sprintf("cert      = %q", e.path(".pem")), fmt.Sprintf("key       = %q", e.path(".key")))
	_, err := fmt.Fprintln(g.Out, strings.Join(lines, "\n"))
	return err
}
