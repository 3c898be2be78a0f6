package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"holdfast/archive/audit"
	"holdfast/archive/docket"
)

// mayKnow reports whether the caller may know of a production: of a matter's,
// whoever sees the matter; of one for no matter, whoever made it, and
// compliance officers of the whole archive.
func (e *eyes) mayKnow(p *docket.Production) bool {
	if p.Matter == "" {
		return e.c.scope.All || p.By.ID() == e.c.who.ID()
	}
	return e.on(p.Matter) == seesWhole
}

func (s *Server) productionsList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ProductionsRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Docket == nil {
		return notConfigured("retention")
	}
	matter := ""
	if req.Matter != "" {
		var err error
		if matter, err = s.worked(r.Context(), c, req.Matter); err != nil {
			return err
		}
	}
	resp := ProductionsResponse{Productions: []MadeProduction{}}
	access := audit.Access{Action: audit.ActionProduction, Target: "list", Matter: matter}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		e := s.eyes(c)
		for _, p := range slices.Backward(s.Docket.Productions()) {
			if (matter == "" || p.Matter == matter) && e.mayKnow(&p) {
				resp.Productions = append(resp.Productions, s.madeProduction(&p))
			}
		}
		return uint64(len(resp.Productions)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) productionsShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ProductionRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Docket == nil {
		return notConfigured("retention")
	}
	if err := s.caught(r.Context()); err != nil {
		return err
	}
	// Whether there is such a production is told to nobody who may not know of it.
	p, ok := s.Docket.Production(req.Seq)
	if !ok || !s.eyes(c).mayKnow(p) {
		return docket.ErrUnknownProduction
	}
	var resp MadeProduction
	access := audit.Access{Action: audit.ActionProduction, Target: "show " + decimal(req.Seq), Matter: p.Matter}
	err := s.actOn(r.Context(), c, access, func(context.Context) (uint64, error) {
		resp = s.madeProduction(p)
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) madeProduction(p *docket.Production) MadeProduction {
	out := MadeProduction{
		Seq: p.Seq, Matter: p.Matter, State: p.State, Query: p.Query, Language: p.Language, Format: p.Format, At: p.At,
		Recipient: Disclosee(p.Recipient), Purpose: string(p.Purpose.Category), About: p.Purpose.Text, Description: p.Description,
		Authority: p.Authority, Began: p.Began, Ended: p.Ended, By: p.By, Code: p.Code, Access: p.Access,
	}
	for _, t := range p.Include {
		out.Include = append(out.Include, string(t))
	}
	if p.Bates != nil {
		out.Reserved = p.Bates.Labels(p.Bates.First, p.Bates.Last())
	}
	if m := p.Made; m != nil {
		out.Made = &MadeCounts{
			Manifest: m.Manifest, Files: m.Files, Bytes: m.Bytes, Matched: m.Matched, Produced: m.Produced, Withheld: m.Withheld,
			Redacted: m.Redacted, Patients: m.Patients,
		}
		if p.Bates != nil && m.First != 0 {
			out.Bates = p.Bates.Labels(m.First, m.Last)
		}
	}
	for _, seq := range p.Clawbacks {
		c, ok := s.Docket.Clawback(seq)
		if !ok {
			continue
		}
		for _, of := range c.Productions {
			if of.Production == p.Seq {
				out.ClawedBack = append(out.ClawedBack, ClawedBack{Clawback: c.Seq, Bates: c.Labels(of), At: c.At})
			}
		}
	}
	return out
}

// maxMRN bounds a medical record number in a request, in bytes.
const maxMRN = 4 * docket.MaxMRN

// disclosures accounts for what was disclosed of a patient, whatever the matter:
// the law asks for all of it. For which matter it was, its members alone are told.
func (s *Server) disclosures(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req DisclosuresRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "who asks for the accounting"); err != nil {
		return err
	}
	if len(req.MRN) > maxMRN {
		return badRequest("a medical record number that is too long", "give one number, as the messages carry it")
	}
	if s.Docket == nil || s.Now == nil {
		return notConfigured("retention")
	}
	q := docket.Accounting{MRN: req.MRN, All: req.All}
	since, ok := freeze(req.Since, s.Now())
	if !ok {
		return badRequest("since is no time", "give a date (2026-01-01), an RFC 3339 time, or so far back: -90d, -18m, -6y")
	}
	if since != nil {
		q.Since = *since
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	resp := DisclosuresResponse{MRN: req.MRN, Disclosures: []Disclosure{}, Notes: slices.Clone(accountingNotes), Unfinished: []uint64{}}
	access := audit.Access{Action: audit.ActionDisclosure, Target: "list", Reason: req.Reason, Query: "mrn=" + req.MRN}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		found, err := s.Docket.Disclosures(ctx, q)
		if err != nil {
			return 0, err
		}
		resp.Since, resp.Until, resp.Left = found.Since, found.Until, found.Left
		if len(found.Unfinished) > 0 {
			resp.Unfinished, resp.Notes = found.Unfinished, append(resp.Notes, noteUnfinished(found.Unfinished))
		}
		e := s.eyes(c)
		for i := range found.Disclosures {
			resp.Disclosures = append(resp.Disclosures, e.disclosure(&found.Disclosures[i]))
		}
		return uint64(len(resp.Disclosures)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (e *eyes) disclosure(d *docket.Disclosure) Disclosure {
	out := Disclosure{
		Production: d.Production, At: d.At, Recipient: Disclosee(d.Recipient), Description: d.Description,
		Purpose: string(d.Purpose.Category), About: d.Purpose.Text, Exempt: d.Exempt, Partial: d.Partial,
	}
	if d.Matter != "" && e.on(d.Matter) == seesWhole {
		out.Matter = d.Matter
	}
	return out
}

// noteUnfinished says of which productions nothing is known.
func noteUnfinished(seqs []uint64) string {
	var list strings.Builder
	for i, seq := range seqs[:min(len(seqs), maxNamed)] {
		if i > 0 {
			list.WriteString(", ")
		}
		list.WriteString(decimal(seq))
	}
	if len(seqs) > maxNamed {
		fmt.Fprintf(&list, " and %d more", len(seqs)-maxNamed)
	}
	return "Productions were begun and neither completed nor given up (" + list.String() + "): whether something of this patient was handed out with them nobody can say; ask whoever made them."
}

// accountingNotes say what an accounting rests on.
var accountingNotes = []string{
	"It counts productions of this archive that were completed, or cut off with some of it handed out, and of them those with a message that carries exactly this medical record number; messages without a number, or with another spelling of it, are not covered.",
	"Treatment, payment, operations, the patient's own access and the patient's authorizations may be left out (45 CFR 164.528(a)(1)).",
	"An agency may have asked for a time that its disclosures be left out (45 CFR 164.528(a)(2)); that is for you to check.",
}
