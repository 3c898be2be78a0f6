package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/coverage"
	"holdfast/retention/hold"
)

// Coverer says how far the archive has what a custodian sent and was sent.
type Coverer interface {
	// Certify examines what was received in [from, to) and returns the statement
	// and its signed form.
	Certify(ctx context.Context, by string, about Found, from, to time.Time, progress func(done, total uint64)) (*Certified, error)
}

// CertifyRequest asks for a completeness certificate.
type CertifyRequest struct {
	Custodian string `json:"custodian"` // exactly one person must have, or ever have had, that name; or usr: and a relay user's id
	From      string `json:"from"`      // a date (from its first instant, UTC), an RFC 3339 time, or so far back: -90d
	To        string `json:"to"`        // likewise: the first moment after
	Reason    string `json:"reason,omitempty"`
	Matter    string `json:"matter,omitempty"`
}

// Certified is a completeness certificate.
type Certified struct {
	Statement coverage.Statement `json:"statement"`
	JWS       string             `json:"jws"`
}

// certify makes a completeness certificate, which tells of numbers and devices
// and shows no message.
func (s *Server) certify(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CertifyRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Coverage == nil || s.Now == nil {
		return notConfigured("archive")
	}
	if !c.scope.All {
		return &Problem{Title: "your role is for some people's messages, and certifies nothing", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "ask a compliance officer whose role is not narrowed"}
	}
	from, ok := freeze(req.From, s.Now())
	to, ok2 := freeze(req.To, s.Now())
	if !ok || !ok2 || from == nil || to == nil || !from.Before(*to) {
		return badRequest("it names no period", "give with --from and --to dates (2026-01-01), RFC 3339 times, today, or so far back: -90d, -18m, -7y")
	}
	if !audit.Says(req.Reason + req.Matter) {
		return audit.ErrNoReason
	}
	var err error
	if req.Matter, err = s.matter(r.Context(), c, req.Matter); err != nil {
		return err
	}
	access := audit.Access{Action: audit.ActionReport, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Target: "certify", Query: req.Custodian}
	return s.work(w, r, c, access, func(ctx context.Context, progress func(Progress)) (*WorkLine, uint64, error) {
		about, err := s.someone(ctx, req.Custodian)
		if err != nil {
			return nil, 0, err
		}
		made, err := s.Coverage.Certify(ctx, c.who.String(), about, *from, *to, func(done, total uint64) { progress(Progress{Done: done, Total: total}) })
		if err != nil {
			return nil, 0, err
		}
		return &WorkLine{Certified: made}, uint64(len(made.Statement.Devices)), nil
	})
}

// someone finds the person, or the relay user who is nobody's, that a custodian
// is named by.
func (s *Server) someone(ctx context.Context, who string) (Found, error) {
	usr, ok := strings.CutPrefix(who, hold.UsrPrefix)
	if !ok {
		return s.one(ctx, who)
	}
	if _, err := s.custodianOf(ctx, who); err != nil {
		return Found{}, err
	}
	if usr == "" || len(usr) > maxWho {
		return Found{}, badRequest("it names no relay user", "give usr: and the id")
	}
	return Found{Ref: Ref{Name: usr}, Usrs: []string{usr}}, nil
}

// Certify asks for a completeness certificate.
func (c *Client) Certify(ctx context.Context, req CertifyRequest, progress func(Progress)) (*Certified, error) {
	line, err := c.work(ctx, "/v1/certify", req, progress)
	if err != nil {
		return nil, err
	}
	if line.Certified == nil {
		return nil, protocol(errUncertified)
	}
	return line.Certified, nil
}

var errUncertified = errors.New("an answer without a certificate")
