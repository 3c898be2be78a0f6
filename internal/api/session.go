package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

func (s *Server) login(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req LoginRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	g, err := s.Auth.Login(r.Context(), Attempt{Name: req.Name, Password: req.Password, Code: req.Code, Ticket: req.Ticket, Address: c.who.Address})
	if err != nil {
		return err
	}
	return reply(w, LoginResponse{
		Token: g.Token, Name: g.Principal.Name, Person: g.Principal.Person, Roles: filled(g.Grants),
		Idle: int64(g.Idle / time.Second), Ends: g.Ends, Enrol: g.Enrol,
	})
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if c.token == "" {
		return badRequest("a logout from the socket, where nobody logs in", "there is nothing to end; over HTTPS it ends the session")
	}
	// A session that ended in the meantime is what was asked for.
	if err := s.Auth.Logout(r.Context(), c.token); err != nil && !errors.Is(err, ErrSession) {
		return err
	}
	return reply(w, struct{}{})
}

func (s *Server) whoami(w http.ResponseWriter, _ *http.Request, c *caller) error {
	resp := WhoamiResponse{Name: c.who.Name, Person: c.who.Person, UID: c.who.UID, Via: c.who.Via, Address: c.who.Address, Roles: []role.Grant{}}
	now := time.Now()
	for _, g := range c.grants {
		if g.Current(now) {
			resp.Roles = append(resp.Roles, g)
		}
	}
	if resp.Via == "" {
		resp.Via = role.ViaSocket
	}
	if !c.ends.IsZero() {
		resp.Ends = &c.ends
	}
	return reply(w, resp)
}

func (s *Server) roles(w http.ResponseWriter, _ *http.Request, _ *caller) error {
	rows := role.Table()
	for i := range rows {
		rows[i].Roles = filled(rows[i].Roles)
	}
	return reply(w, RolesResponse{Rows: rows})
}

func (s *Server) breakGlass(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req BreakGlassRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "what the emergency is"); err != nil {
		return err
	}
	grants, err := s.Auth.BreakGlass(r.Context(), c.who, req.Reason)
	if err != nil {
		return err
	}
	resp := BreakGlassResponse{Roles: filled(grants)}
	for _, g := range resp.Roles {
		if g.Until != nil && g.Until.After(resp.Ends) {
			resp.Ends = *g.Until
		}
	}
	return reply(w, resp)
}

func (s *Server) sessionsList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var resp SessionsResponse
	err := s.act(r.Context(), c, audit.ActionReport, "sessions", "", func(context.Context) (uint64, error) {
		resp.Sessions = filled(s.Auth.Sessions())
		return uint64(len(resp.Sessions)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) factorIssue(w http.ResponseWriter, r *http.Request, c *caller) error {
	f, reason, err := s.factor(w, r)
	if err != nil {
		return err
	}
	resp := TicketResponse{Person: f.GUID, Name: f.Name}
	if resp.Ticket, resp.Expires, err = s.Auth.IssueTicket(r.Context(), c.who, f.GUID, reason); err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) factorReset(w http.ResponseWriter, r *http.Request, c *caller) error {
	f, reason, err := s.factor(w, r)
	if err != nil {
		return err
	}
	if err := s.Auth.ResetFactor(r.Context(), c.who, f.GUID, reason); err != nil {
		return err
	}
	return reply(w, FactorResponse{Person: f.GUID, Name: f.Name})
}

// factor reads whose second factor a request is about, and why.
func (s *Server) factor(w http.ResponseWriter, r *http.Request) (Found, string, error) {
	var req FactorRequest
	if err := decode(w, r, &req); err != nil {
		return Found{}, "", err
	}
	if err := reasoned(req.Reason, "how you know that it is this person who asks"); err != nil {
		return Found{}, "", err
	}
	f, err := s.one(r.Context(), req.Who)
	return f, req.Reason, err
}

// maxWho bounds a person's name in a request, in bytes.
const maxWho = 1024

// one finds the one person who has, or ever had, a name. It tells nothing
// about several.
func (s *Server) one(ctx context.Context, who string) (Found, error) {
	if s.People == nil {
		return Found{}, notConfigured("directory")
	}
	if strings.TrimSpace(who) == "" || len(who) > maxWho {
		return Found{}, badRequest("it names no person", "give a GUID, account, UPN, mail address or display name")
	}
	found, err := s.People.Find(ctx, who)
	switch {
	case err != nil:
		return Found{}, err
	case len(found) == 0:
		return Found{}, ErrUnknown
	case len(found) > 1:
		return Found{}, ambiguous()
	}
	return found[0], nil
}

// ambiguous is the problem of a name that several people have, or had.
func ambiguous() *Problem {
	return &Problem{Title: "several people have, or had, that name", Status: http.StatusConflict, Code: CodeAmbiguous, Exit: ExitUsage,
		Hint: "`holdfast directory person` lists them: give the GUID of the one you mean"}
}

// act is look for what shows or changes something other than messages. do says
// how many things it showed or changed.
func (s *Server) act(ctx context.Context, c *caller, action audit.Action, target, reason string, do func(ctx context.Context) (uint64, error)) error {
	return s.look(ctx, audit.Access{Action: action, Principal: c.who, Target: target, Reason: reason}, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		n, err := do(ctx)
		return audit.Outcome{Total: n, Shown: n, Custodians: []string{}}, err // nobody's messages
	})
}

// reasoned insists on a reason where a person decides.
func reasoned(reason, say string) error {
	if !audit.Says(reason) {
		return &Problem{Title: "a reason is required", Status: http.StatusBadRequest, Code: CodeNoReason, Exit: ExitUsage,
			Hint: "say with --reason " + say + "; it is kept in the log"}
	}
	if utf8.RuneCountInString(reason) > audit.MaxReason {
		return badRequest(fmt.Sprintf("a reason of more than %d characters", audit.MaxReason), "shorten it")
	}
	return nil
}
