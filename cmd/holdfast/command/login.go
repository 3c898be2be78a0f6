package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/role"
)

type loginOptions struct {
	ca, name      string
	ticket, stdin bool
}

func newLogin(g *globals) *cobra.Command {
	o := &loginOptions{}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in over the network with directory password and code",
		Long: `Log in to the archive over the network with your directory password and the code that your
authenticator shows. Both are asked for on the terminal and not shown; with --stdin they are
read from stdin, one a line, in this order. In place of the code a recovery code is taken, or,
when the authenticator's clock is off, two consecutive codes typed as one.

The first time, with --ticket: the ticket that an administrator issued is asked for after the
password; then the secret for your authenticator and your recovery codes are printed, this once,
and the first code is asked for. With --format json that makes two lines: the enrolment, the login.

Server, authorities and name are saved and need not be given again. The session's token goes into
the keyring of your desktop; where none answers, into a file that only you can read, below
$XDG_STATE_HOME/holdfast or ~/.local/state/holdfast. It is never an argument, in the environment
or in a log.`,
		Example: `  holdfast login --server https://archive.example.org:8443 --ca hospital-ca.pem --name jdoe --ticket
  holdfast login
  holdfast login --name jdoe --stdin < answers`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogin(cmd.Context(), g, o) },
	}
	cmd.Flags().StringVar(&o.ca, "ca", "", "PEM `FILE` with the only authorities that may certify the server; by default those of this machine")
	cmd.Flags().StringVar(&o.name, "name", "", "your `NAME` in the directory: account or UPN")
	cmd.Flags().BoolVar(&o.ticket, "ticket", false, "enrol a second factor with an administrator's ticket")
	cmd.Flags().BoolVar(&o.stdin, "stdin", false, "read the answers from stdin, one a line: password, code; with --ticket password, ticket, first code")
	return cmd
}

// loggedIn is what login prints for scripts: the session without its token.
type loggedIn struct {
	Server string       `json:"server"`
	Name   string       `json:"name"`
	Person string       `json:"person"`
	Roles  []role.Grant `json:"roles"`
	Idle   int64        `json:"idle_seconds"`
	Ends   time.Time    `json:"ends"`
	Kept   string       `json:"token_in"` // keyring or file
}

func runLogin(ctx context.Context, g *globals, o *loginOptions) error {
	l, err := g.prepareLogin(o)
	if err != nil {
		return err
	}
	c, err := g.Desk.client(l, "")
	if err != nil {
		return err
	}
	defer c.Close()
	session, err := g.logIn(ctx, c, l, o)
	if err != nil {
		return err
	}
	saved, err := g.Desk.save(ctx, *l, session.Token)
	if err != nil {
		return errors.Join(err, g.endSession(ctx, l, session.Token))
	}
	done := loggedIn{l.Server, session.Name, session.Person, session.Roles, session.Idle, session.Ends, saved.Kept}
	if g.format == formatJSON {
		return g.writeJSON(done)
	}
	return g.writeFields([]field{
		{"server", done.Server},
		{"name", done.Name},
		{"person", done.Person},
		{"roles", grants(done.Roles)},
		{"ends when idle", "for " + (time.Duration(done.Idle) * time.Second).String()},
		{"ends", stamp(done.Ends) + " UTC"},
		{"token in", done.Kept},
	})
}

// prepareLogin says where and as whom to log in, from the flags and from the
// login before.
func (g *globals) prepareLogin(o *loginOptions) (*login, error) {
	if g.socketGiven {
		return nil, usage("login goes over the network; over the socket your account of this machine says who you are")
	}
	before, err := g.Desk.read()
	if err != nil {
		return nil, err
	}
	l := &login{Name: o.name}
	switch {
	case g.server != "":
		if l.Server, err = serverURL(g.server); err != nil {
			return nil, err
		}
	case before != nil:
		l.Server = before.Server
	default:
		return nil, usage("say with --server https://HOST:PORT where the archive is")
	}
	if before != nil && before.Server == l.Server {
		l.CA = before.CA
		if l.Name == "" {
			l.Name = before.Name
		}
	}
	if l.Name == "" {
		return nil, usage("say with --name who logs in")
	}
	if o.ca != "" {
		if l.CA, err = g.Desk.copyAuthority(o.ca); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// logIn asks for what a login takes and returns the session.
func (g *globals) logIn(ctx context.Context, c *api.Client, l *login, o *loginOptions) (*api.LoginResponse, error) {
	q := g.questions(o.stdin)
	req := api.LoginRequest{Name: l.Name}
	var err error
	if req.Password, err = q.put(ctx, "password of "+visible(l.Name)+" for "+l.Server); err != nil {
		return nil, err
	}
	if o.ticket {
		if req.Ticket, err = q.put(ctx, "ticket"); err != nil {
			return nil, err
		}
		if err := g.enrol(ctx, c, req); err != nil {
			return nil, err
		}
		if req.Code, err = q.put(ctx, "first code"); err != nil {
			return nil, err
		}
	} else if req.Code, err = q.put(ctx, "code"); err != nil {
		return nil, err
	}
	session, err := c.Login(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case session.Token == "":
		return nil, &api.Problem{Title: "the server gave no session", Code: api.CodeProtocol, Exit: api.ExitUnreachable,
			Hint: "compare `holdfast version` with the daemon's"}
	}
	return session, nil
}

// enrol asks for a second factor with a ticket and prints it, once and for all.
func (g *globals) enrol(ctx context.Context, c *api.Client, req api.LoginRequest) error {
	answer, err := c.Login(ctx, req)
	switch {
	case err != nil:
		return err
	case answer.Enrol == nil:
		return &api.Problem{Title: "the server enrolled no second factor", Code: api.CodeProtocol, Exit: api.ExitUnreachable,
			Hint: "compare `holdfast version` with the daemon's"}
	}
	if g.format == formatJSON {
		return g.writeJSON(answer.Enrol)
	}
	fields := []field{{"secret", answer.Enrol.Secret}, {"otpauth URL", answer.Enrol.URL}}
	for i, code := range answer.Enrol.RecoveryCodes {
		fields = append(fields, field{fmt.Sprintf("recovery code %d", i+1), code})
	}
	return errors.Join(g.writeFields(fields),
		g.say("this is shown once: enter the secret or the URL into your authenticator, and keep the recovery codes where only you find them\n"+
			"should the first code be refused, repeat the command without --ticket and give the next one"))
}

// endSession ends a session that cannot be kept.
func (g *globals) endSession(ctx context.Context, l *login, token string) error {
	c, err := g.Desk.client(l, token)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Logout(ctx)
}

func newLogout(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "End the session and forget its token",
		Long: `End the session at the server and remove its token here. The token is removed even if the server
cannot be reached; the session then ends by itself when it has been idle. Server, authorities and
name stay saved for the next login.`,
		Example: "  holdfast logout",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLogout(cmd.Context(), g) },
	}
}

// loggedOff is what logout prints for scripts.
type loggedOff struct {
	Server string `json:"server"`
	Ended  bool   `json:"ended"` // false: the server could not be told, and it ends when it has been idle
}

func runLogout(ctx context.Context, g *globals) error {
	if g.socketGiven {
		return usage("logout ends a session over the network; over the socket there is none")
	}
	l, err := g.Desk.read()
	switch {
	case err != nil:
		return err
	case l == nil || l.Kept == "":
		return g.say("you are not logged in")
	}
	token, ended := g.Desk.token(ctx, l)
	if ended == nil {
		ended = g.endSession(ctx, l, token)
	}
	if err := g.Desk.forget(ctx, l); err != nil {
		return err
	}
	var p *api.Problem
	if errors.As(ended, &p) && p.Status == http.StatusUnauthorized {
		ended = nil // it had ended before
	}
	if ended != nil {
		if err := g.say("the server could not be told; the session ends by itself when it has been idle"); err != nil {
			return err
		}
	}
	if g.format == formatJSON {
		return g.writeJSON(loggedOff{l.Server, ended == nil})
	}
	return g.say("logged out of %s", l.Server)
}

// grants lists roles with how far they go.
func grants(list []role.Grant) string {
	parts := make([]string, 0, len(list))
	for _, gr := range list {
		s := string(gr.Role)
		if gr.Department != "" {
			s += " for department " + gr.Department
		}
		if gr.OU != "" {
			s += " below " + gr.OU
		}
		if gr.Until != nil {
			s += " until " + stamp(*gr.Until) + " UTC"
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}
