package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/approval"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

func (s *Server) audit(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AuditRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	f, err := s.filter(&req)
	if err != nil {
		return err
	}
	var resp AuditResponse
	access := audit.Access{Action: audit.ActionAudit, Principal: c.who, Reason: req.Reason, Query: asked(&req)}
	if req.Matter != "" && s.Matters != nil {
		if err := s.caught(r.Context()); err != nil {
			return err
		}
		if m := s.known(req.Matter); m != nil {
			access.Matter = m.ID // which it asks about is told as the matter is
		}
	}
	err = s.look(r.Context(), access, func(ctx context.Context, access uint64) (audit.Outcome, error) {
		if f.Before == 0 || f.Before > access {
			f.Before = access // this look itself is not part of what it shows
		}
		var err error
		if f.Person, err = s.identity(ctx, req.Person); err != nil {
			return audit.Outcome{}, err
		}
		if f.Matter, err = s.auditMatter(ctx, c, f.Matter); err != nil {
			return audit.Outcome{}, err
		}
		if resp.Accesses, err = audit.List(ctx, s.Ledger, f); err != nil {
			return audit.Outcome{}, err
		}
		if err := s.maskItems(ctx, c, resp.Accesses); err != nil {
			return audit.Outcome{}, err
		}
		n := uint64(len(resp.Accesses))
		if n == 0 && f.Person != "" && f.Person == req.Person {
			// The directory does not know the name; where the log does not either, a slip must not look like innocence.
			ever, err := audit.List(ctx, s.Ledger, audit.Filter{Person: f.Person, Limit: 1})
			if err == nil && len(ever) == 0 {
				err = ErrUnknown
			}
			return audit.Outcome{}, err
		}
		return audit.Outcome{Total: n, Shown: n}, nil
	})
	if err != nil {
		return err
	}
	resp.Accesses = filled(resp.Accesses)
	return reply(w, resp)
}

// filter is what a request asks of the trail, but for the person.
func (s *Server) filter(req *AuditRequest) (audit.Filter, error) {
	limit, err := limitOf(req.Limit)
	if err != nil {
		return audit.Filter{}, err
	}
	f := audit.Filter{Action: audit.Action(req.Action), Principal: req.Principal, Matter: req.Matter, Before: req.Before, Limit: limit, Watch: s.Watch}
	if req.Action != "" && !f.Action.Valid() {
		var actions []string
		for _, a := range audit.Actions() {
			actions = append(actions, string(a))
		}
		return f, badRequest("an action that does not exist", "actions are "+strings.Join(actions, ", "))
	}
	if len(asked(req)) > audit.MaxQuery {
		return f, badRequest("a question longer than an access entry may hold", "shorten it")
	}
	if req.Flagged {
		if s.Watch == nil {
			return f, notConfigured("word on what is usual at the site")
		}
		f.Flagged = s.Watch
	}
	f.Since, f.Until = moment(req.Since), moment(req.Until)
	return f, nil
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// asked is what somebody wanted to know of the trail, as its entry keeps it.
func asked(req *AuditRequest) string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"action", req.Action}, {"principal", req.Principal}, {"person", req.Person}, {"matter", req.Matter},
	} {
		if p.value != "" {
			parts = append(parts, p.name+"="+p.value)
		}
	}
	for _, p := range []struct {
		name string
		at   *time.Time
	}{{"since", req.Since}, {"until", req.Until}} {
		if p.at != nil {
			parts = append(parts, p.name+"="+p.at.UTC().Format(time.RFC3339))
		}
	}
	if req.Flagged {
		parts = append(parts, "flagged")
	}
	return strings.Join(parts, " ")
}

// identity returns the identity under which the trail knows who a name means:
// that of the directory's one person, else the name itself, which may be that
// of an account of the appliance.
func (s *Server) identity(ctx context.Context, who string) (string, error) {
	if who == "" || s.People == nil {
		return who, nil
	}
	found, err := s.People.Find(ctx, who)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return who, nil
	case len(found) > 1:
		return "", ambiguous()
	}
	return "person:" + found[0].GUID, nil
}

// auditMatter returns the matter to choose accesses by. For whoever may not know
// of it there is none, as of a matter that nobody ever named.
func (s *Server) auditMatter(ctx context.Context, c *caller, id string) (string, error) {
	if id == "" || s.Matters == nil {
		return id, nil
	}
	if err := s.caught(ctx); err != nil {
		return "", err
	}
	m := s.known(id)
	switch {
	case m == nil:
		return id, nil
	case s.sees(c, m) != seesWhole:
		return noMatter, nil
	}
	return m.ID, nil
}

// noMatter is longer than a matter in an access entry can be.
var noMatter = strings.Repeat("-", audit.MaxReason+1)

// maskItems takes out of accesses what an auditor may not know of the matter that
// they were for: all that could name it. That somebody did something, and when,
// stays.
func (s *Server) maskItems(ctx context.Context, c *caller, items []audit.Item) error {
	if s.Matters == nil {
		return nil
	}
	if err := s.caught(ctx); err != nil {
		return err
	}
	e := s.eyes(c)
	for i := range items {
		a := &items[i].Access
		masked, err := s.masked(ctx, e, a)
		switch {
		case err != nil:
			return err
		case !masked:
			continue
		case a.Action == audit.ActionAudit && a.Principal.ID() == c.who.ID():
			a.Matter = "" // as when one asked for a matter that there is not
			continue
		}
		a.Matter, a.Reason, a.Query, a.Target, a.Seqs = Held, "", "", "", nil
		if o := items[i].Outcome; o != nil {
			masked := *o
			masked.Custodians = nil
			items[i].Outcome = &masked
		}
	}
	return nil
}

// masked reports whether an access is about what the caller may not know.
func (s *Server) masked(ctx context.Context, e *eyes, a *audit.Access) (bool, error) {
	if m := s.known(a.Matter); m != nil && e.on(m.ID) != seesWhole {
		return true, nil
	}
	if a.Action != audit.ActionDecide && a.Action != audit.ActionRequest || s.Approvals == nil {
		return false, nil
	}
	_, number, _ := strings.Cut(a.Target, " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return false, nil // of no request's number
	}
	r, err := s.Approvals.Request(ctx, seq)
	if errors.Is(err, approval.ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	v, err := s.requestSight(ctx, e, r)
	return v != seesWhole, err
}

// maskedEntry reports whether an entry of the audit is one of which maskItems
// leaves something out. An outcome is as its access is.
func (s *Server) maskedEntry(ctx context.Context, c *caller, e *Shown) (bool, error) {
	if s.Matters == nil || e.Class != proof.ClassAudit {
		return false, nil
	}
	var o struct {
		Of *uint64 `json:"of"`
	}
	var a audit.Access
	if err := ijson.Unmarshal(e.Body, &a); err != nil {
		return true, nil // nobody knows what it is about
	}
	if err := ijson.Unmarshal(e.Body, &o); err != nil {
		return true, nil
	}
	if o.Of != nil {
		items, err := audit.List(ctx, s.Ledger, audit.Filter{Before: *o.Of + 1, Limit: 1})
		if err != nil {
			return false, err
		}
		if len(items) == 0 || items[0].Seq != *o.Of {
			return true, nil
		}
		a = items[0].Access
	}
	if err := s.caught(ctx); err != nil {
		return false, err
	}
	return s.masked(ctx, s.eyes(c), &a)
}

// maskMatters does it for the matters of an officer's report: those are counted
// together.
func (s *Server) maskMatters(c *caller, counts []audit.MatterCount) []audit.MatterCount {
	e := s.eyes(c)
	out, hidden := []audit.MatterCount{}, audit.MatterCount{Matter: Held}
	for _, n := range counts {
		if m := s.known(n.Matter); m != nil && e.on(m.ID) != seesWhole {
			hidden.Accesses += n.Accesses
			hidden.Shown += n.Shown
			continue
		}
		out = append(out, n)
	}
	if hidden.Accesses > 0 {
		out = append(out, hidden)
	}
	return out
}
