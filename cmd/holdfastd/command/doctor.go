package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/build"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
	"holdfast/internal/doctor"
)

// defaultConfig is where the package's first run puts the configuration.
const defaultConfig = "/etc/holdfast/holdfastd.toml"

// serviceUser is the account that the package's unit runs the daemon under.
const serviceUser = "holdfast"

// askTimeout bounds the daemon's own examination: monitoring waits no longer.
const askTimeout = 20 * time.Second

// verdictError says by its code how an examination ended, which has been
// written; nothing is to be said any more.
type verdictError int

func (v verdictError) Error() string { return fmt.Sprintf("exit code %d", int(v)) }

type doctorOptions struct {
	config                  string
	json, nagios, preflight bool
	trial                   trialOptions
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor [--config FILE]",
		Short: "Say whether all is well, and what to do about what is not",
		Long: `doctor looks at everything that has to be right: the configuration, who may
read the archive's files, keys, certificates' ends, the clock, the disk and how
long it lasts, and, from the running daemon, the chain's head, the relay, the
directory, the index, backups, drills and anchors. Every failure comes with its
fix. Without the daemon it looks at what can be seen, the stopped store included.
It changes nothing.

--preflight comes before there is an archive: who signs what answers in the
relay's place (TLS inspection), proxy, time service, file system, size, and, with
a configuration, the rights of the account that reads the directory.

Exit code 0: all is well. 1: warnings. 2: something is critical. The same with
--nagios, whose output a monitoring plugin's is. 64: wrong usage.`,
		Example: `  holdfastd doctor
  holdfastd doctor --json | jq '.findings[] | select(.severity != "ok")'
  holdfastd doctor --nagios
  holdfastd doctor --preflight --relay https://relay.example --relay-ca relay-ca.pem --data /var/lib/holdfast --daily 20000 --years 7`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDoctor(c, o) },
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", defaultConfig, "configuration file (TOML)")
	f.BoolVar(&o.json, "json", false, "write JSON")
	f.BoolVar(&o.nagios, "nagios", false, "write what a monitoring plugin writes")
	f.BoolVar(&o.preflight, "preflight", false, "try what has to be right before there is an archive")
	o.trial.flags(c)
	return c
}

func runDoctor(c *cobra.Command, o doctorOptions) error {
	if o.json && o.nagios {
		return fmt.Errorf("%w: --json or --nagios, not both", errUsage)
	}
	if err := o.trial.check(o.preflight); err != nil {
		return err
	}
	var r *doctor.Report
	if o.preflight {
		p, err := o.trial.preflight(o.config, c.Flags().Changed("config"))
		if err != nil {
			return err
		}
		r = doctor.NewReport(time.Now(), build.Version(), p.Findings(c.Context()))
		r.Preflight = true
	} else {
		r = examine(c.Context(), o.config)
	}
	if err := o.write(c.OutOrStdout(), r); err != nil {
		return err
	}
	if r.Exit() != doctor.ExitOK {
		return verdictError(r.Exit())
	}
	return nil
}

func (o *doctorOptions) write(w io.Writer, r *doctor.Report) error {
	switch {
	case o.json:
		return r.WriteJSON(w)
	case o.nagios:
		return r.WriteNagios(w)
	}
	return r.WriteText(w)
}

// examine looks at everything, from the daemon and from outside of it.
func examine(ctx context.Context, path string) *doctor.Report {
	now := time.Now()
	c, err := config.Load(path)
	if err != nil {
		return doctor.NewReport(now, build.Version(), []doctor.Finding{doctor.Config(path, err)})
	}
	answer, asked, there := ask(ctx, c.Socket)
	m := doctor.Machine{
		ConfigPath: path, Config: c, Files: daemon.CheckFiles(c), Credentials: daemon.CredentialFiles(c), Account: account(), Now: now, Running: there,
	}
	var live []doctor.Finding
	if answer != nil {
		for _, f := range answer.Findings {
			live = append(live, doctor.Finding(f))
		}
		live = append(live, doctor.Version(answer.Version, build.Version()))
	}
	r := doctor.NewReport(now, build.Version(), doctor.Merge([]doctor.Finding{asked}, m.Findings(ctx), live))
	if answer != nil {
		r.Running, r.Started = answer.Version, &answer.Started
	}
	return r
}

// ask asks the daemon, and judges how that went; there says whether there is one.
func ask(ctx context.Context, socket string) (answer *api.DoctorResponse, f doctor.Finding, there bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client := api.NewClient(socket)
	defer client.Close()
	answer, err := client.Examine(ctx)
	if err == nil {
		return answer, doctor.Up(), true
	}
	var p *api.Problem
	switch {
	case !errors.As(err, &p):
		return nil, doctor.Down("the daemon does not answer: "+err.Error(), ""), false
	case p.Exit == api.ExitPermission && (p.Code == api.CodeUnreachable || p.Code == api.CodeForbidden):
		return nil, doctor.Unasked(p.Error()), true
	case p.Code == api.CodeUnreachable:
		return nil, doctor.Down(p.Error(), ""), false
	}
	return nil, doctor.Ailing(p.Error(), p.Hint), true
}

// account returns the user id of the package's account, nil if there is none.
func account() *uint32 {
	u, err := user.Lookup(serviceUser)
	if err != nil {
		return nil
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil
	}
	id := uint32(n)
	return &id
}
