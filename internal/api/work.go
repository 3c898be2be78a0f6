package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"holdfast/archive/approval"
	"holdfast/archive/audit"
)

func (s *Server) devicesList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Devices == nil {
		return notConfigured("relay")
	}
	var resp DevicesResponse
	err := s.act(r.Context(), c, audit.ActionDevice, "list", "", func(ctx context.Context) (_ uint64, err error) {
		resp.Devices, err = s.Devices.Devices(ctx)
		return uint64(len(resp.Devices)), err
	})
	if err != nil {
		return err
	}
	resp.Devices = filled(resp.Devices)
	return reply(w, resp)
}

// Fingerprint returns a device key's kid as people read it aloud: in groups of
// four.
func Fingerprint(kid string) string {
	var b strings.Builder
	for i := 0; i < len(kid); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(kid[i:min(i+4, len(kid))])
	}
	return b.String()
}

// maxKid bounds a kid in a request: a thumbprint has 43 characters (RFC 7638).
const maxKid = 64

func (s *Server) devicesApprove(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ApproveDeviceRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if req.Kid == "" || len(req.Kid) > maxKid {
		return badRequest("it names no device", "give the device's kid, as `holdfast devices list` shows it")
	}
	if err := reasoned(req.Reason, "how the fingerprint was compared"); err != nil {
		return err
	}
	if strings.Join(strings.Fields(req.Fingerprint), "") != req.Kid {
		return &Problem{Title: "the fingerprint is not that of this device's key", Status: http.StatusConflict, Code: CodeState, Exit: ExitData,
			Hint: "have the person read it aloud from the device again; if it differs still, somebody else's key stands in the relay's directory: do not approve it, and tell the vendor"}
	}
	if s.Devices == nil {
		return notConfigured("relay")
	}
	var resp *Device
	err := s.act(r.Context(), c, audit.ActionDevice, req.Kid, req.Reason, func(ctx context.Context) (_ uint64, err error) {
		if err := s.mayApprove(ctx, c, req.Kid); err != nil {
			return 0, err
		}
		resp, err = s.Devices.Approve(ctx, c.who, req.Kid, req.Reason)
		return 1, err
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// mayApprove refuses the approval of a device to whoever has a narrowed role, and
// of their own device: who holds a key is somebody else's word.
func (s *Server) mayApprove(ctx context.Context, c *caller, kid string) error {
	no := func(title, hint string) error {
		return &Problem{Title: title, Hint: hint, Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission}
	}
	if !c.scope.All {
		return no("your role is for some people's messages, and approves no device", "ask a compliance officer whose role is not narrowed")
	}
	if s.People == nil || c.who.Person == "" {
		return nil
	}
	devices, err := s.Devices.Devices(ctx)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if owner, ok := s.People.PersonOf(d.Usr); d.Kid == kid && ok && owner == c.who.Person {
			return no("nobody approves their own device", "ask another compliance officer")
		}
	}
	return nil
}

func (s *Server) requestsList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req RequestsRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Approvals == nil {
		return notConfigured("two-person rule")
	}
	var resp RequestsResponse
	err := s.act(r.Context(), c, audit.ActionRequest, "list", "", func(ctx context.Context) (uint64, error) {
		all, err := s.Approvals.Requests(ctx, req.All)
		if err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		e := s.eyes(c)
		for i := range all {
			r, ok, err := s.asked(ctx, e, &all[i])
			if err != nil {
				return 0, err
			}
			if ok {
				resp.Requests = append(resp.Requests, *r)
			}
		}
		return uint64(len(resp.Requests)), nil
	})
	if err != nil {
		return err
	}
	resp.Requests = filled(resp.Requests)
	return reply(w, resp)
}

func (s *Server) requestsShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req RequestRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Approvals == nil {
		return notConfigured("two-person rule")
	}
	var resp *ApprovalRequest
	access := audit.Access{Action: audit.ActionRequest, Target: "show " + decimal(req.Seq), Matter: s.askedFor(req.Seq)}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		asked, err := s.Approvals.Request(ctx, req.Seq)
		if err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		r, ok, err := s.asked(ctx, s.eyes(c), asked)
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, approval.ErrUnknown
		}
		r.Query, err = s.askedQuery(ctx, c, r)
		resp = r
		return 1, err
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) requestsDecide(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req DecideRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why it shall be done, or not"); err != nil {
		return err
	}
	if s.Approvals == nil {
		return notConfigured("two-person rule")
	}
	what := "deny "
	if req.Approve {
		what = "approve "
	}
	var resp *ApprovalRequest
	access := audit.Access{Action: audit.ActionDecide, Target: what + decimal(req.Seq), Matter: s.askedFor(req.Seq), Reason: req.Reason}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (_ uint64, err error) {
		if err := s.mayDecide(ctx, c, req.Seq); err != nil {
			return 0, err
		}
		resp, err = s.Approvals.Decide(ctx, c.who, req.Seq, req.Approve, req.Reason)
		return 1, err
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func decimal(seq uint64) string { return strconv.FormatUint(seq, 10) }
