package command

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/setup"
)

// runSetup makes an archive and its configuration, by questions or by a file.
func runSetup(c *cobra.Command, o initOptions) error {
	if o.nonInteractive && o.answers == "" {
		return fmt.Errorf("%w: without a person, give --answers FILE, or --data, --archive-id and --credentials", errUsage)
	}
	d := &setup.Dialog{In: c.InOrStdin(), Out: c.ErrOrStderr()}
	a, err := answersOf(c, o, d)
	if err != nil {
		return err
	}
	made, err := setup.Make(c.Context(), a, d, c.OutOrStdout())
	if err != nil {
		return err
	}
	return sayMade(c.ErrOrStderr(), a, made)
}

func answersOf(c *cobra.Command, o initOptions, d *setup.Dialog) (*setup.Answers, error) {
	base := setup.Answers{}
	if o.config != "" {
		path, err := filepath.Abs(o.config)
		if err != nil {
			return nil, err
		}
		base.Config = path
	}
	if o.answers == "" {
		base.Kit.Out = o.recoveryOut
		return setup.Interview(c.Context(), d, base)
	}
	f, err := os.Open(o.answers) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", setup.ErrAnswers, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, setup.MaxAnswers+1))
	if err != nil {
		return nil, err
	}
	a, err := setup.ParseAnswers(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.answers, err)
	}
	a.Config, a.Kit.Out = cmp.Or(base.Config, a.Config), cmp.Or(o.recoveryOut, a.Kit.Out)
	a.Kit.Unchecked = a.Kit.Unchecked || o.nonInteractive
	a.Complete()
	return a, a.Check()
}

// sayMade says what was made and what comes next.
func sayMade(w io.Writer, a *setup.Answers, made *setup.Made) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nmade the archive %s in %s\norigin  %s\nmaster key     %s\nconfiguration  %s\n", made.ArchiveID, a.Data, made.Origin, made.Master, a.Config)
	if a.Kit.Out != "" {
		fmt.Fprintf(&b, "recovery kit   %s: hand its shares out and delete it\n", a.Kit.Out)
	}
	b.WriteString("Next:\n")
	step := func(format string, args ...any) { fmt.Fprintf(&b, "  - "+format+"\n", args...) }
	step("give %s/identity.json to the relay's operator and to whoever verifies productions", a.Data)
	if made.Request != "" {
		step("have your authority sign %s; its certificate goes to %s", made.Request, a.HTTPS.Cert)
	}
	if len(made.Waits) > 0 {
		step("once these are there, take the # away from their sections in %s: %s", a.Config, strings.Join(made.Waits, ", "))
	}
	if a.Relay == nil || len(made.Waits) > 0 {
		step("`holdfast relay enroll` makes the relay's key and request, and checks what the vendor sends")
	}
	if a.Administrator.Account != "" {
		step("usermod -aG %s %s", setup.Account, a.Administrator.Account)
	}
	if !made.Account && os.Geteuid() == 0 {
		step("there is no account %s on this machine (the package makes it): until then the files are root's", setup.Account)
	}
	for _, path := range made.Left {
		step("others read %s too, so it was left as it is: see that the account %s can read it", path, setup.Account)
	}
	switch {
	case made.Started && a.Master.Kind == setup.KindPassphrase:
		step("the daemon runs, and is locked: holdfastd unlock")
	case made.Started:
		step("the daemon runs: holdfast status")
	case setup.CanStart():
		step("holdfastd check-config --config %s, then: systemctl enable --now holdfastd", a.Config)
	default:
		step("this machine is not run by systemd: holdfastd check-config --config %[1]s, then, as the machine starts other daemons: holdfastd serve --config %[1]s", a.Config)
	}
	if a.Master.Kind == setup.KindPassphrase {
		step("after each start: holdfastd unlock")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
