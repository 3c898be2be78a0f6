package api

import (
	"context"
	"fmt"
	"net/http"

	"holdfast/archive/audit"
	"holdfast/archive/docket"
)

// worked refuses whoever does not work on a matter that has to be named, and
// returns its id as it was opened with.
func (s *Server) worked(ctx context.Context, c *caller, id string) (string, error) {
	if err := matterID(id); err != nil {
		return "", err
	}
	if s.Docket == nil || s.Matters == nil {
		return "", notConfigured("retention")
	}
	return s.matter(ctx, c, id)
}

// tagsShow tells of one entry how it is tagged. A narrowed role asks about the
// messages that it reads.
func (s *Server) tagsShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req TagsShowRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Docket == nil {
		return notConfigured("retention")
	}
	resp := TagsShowResponse{Seq: req.Seq, Tags: []Tagged{}}
	access := audit.Access{Action: audit.ActionTag, Target: "show", Seqs: []uint64{req.Seq}}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		if err := s.within(ctx, c, req.Seq); err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		e := s.eyes(c)
		for _, t := range s.Docket.TagHistory(req.Seq) {
			if v, ok := e.tagged(&t); ok {
				resp.Tags = append(resp.Tags, v)
			}
		}
		return uint64(len(resp.Tags)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// tagged renders a tag as the caller may know it: that an entry is withheld is
// for everybody who may read it, by whom and why for the matter's own.
func (e *eyes) tagged(t *docket.Tagged) (Tagged, bool) {
	if e.on(t.Matter) != seesWhole {
		return Tagged{Tag: string(t.Tag), Matter: Held}, t.Removed == nil
	}
	out := Tagged{
		Tag: string(t.Tag), Matter: t.Matter, Basis: t.Basis, Description: t.Description, Clawback: t.Clawback,
		At: &t.At, By: &t.By, Reason: t.Reason,
	}
	if u := t.Removed; u != nil {
		out.Removed = &Untagged{At: u.At, By: u.By, Reason: u.Reason}
	}
	return out, true
}

func (s *Server) tagsList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req TagsListRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	limit, err := limitOf(req.Limit)
	if err != nil {
		return err
	}
	tag, err := tagOf(req.Tag)
	if err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	resp := TagsListResponse{Matter: matter, Tag: req.Tag}
	access := audit.Access{Action: audit.ActionTag, Target: "list " + req.Tag, Matter: matter}
	err = s.actOn(r.Context(), c, access, func(context.Context) (uint64, error) {
		resp.Seqs, resp.Total = s.Docket.TaggedBy(matter, tag, req.After, limit)
		return uint64(len(resp.Seqs)), nil
	})
	if err != nil {
		return err
	}
	resp.Seqs = filled(resp.Seqs)
	return reply(w, resp)
}

func tagOf(s string) (docket.Tag, error) {
	if t := docket.Tag(s); t.Valid() {
		return t, nil
	}
	return "", badRequest("a tag that there is not", fmt.Sprintf("tags are %v", docket.Tags()))
}

func (s *Server) tagsChange(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req TagRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why they are withheld, or no longer"); err != nil {
		return err
	}
	tag, err := tagOf(req.Tag)
	if err != nil {
		return err
	}
	if len(req.Seqs) == 0 || len(req.Seqs) > audit.MaxSeqs {
		return badRequest(fmt.Sprintf("1 to %d entries are tagged at once", audit.MaxSeqs), "give the numbers of entries, as search prints them")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	what := "add "
	if req.Remove {
		what = "remove "
	}
	resp := TagResponse{Matter: matter, Tag: req.Tag}
	access := audit.Access{Action: audit.ActionTag, Target: what + req.Tag, Matter: matter, Reason: req.Reason, Seqs: req.Seqs}
	err = s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		err := s.Docket.SetTag(ctx, c.who, docket.TagChange{
			Tag: tag, Matter: matter, Seqs: req.Seqs, Remove: req.Remove, Basis: req.Basis, Description: req.Description, Reason: req.Reason,
		})
		if err != nil {
			return 0, err
		}
		_, resp.Total = s.Docket.TaggedBy(matter, tag, 0, 0)
		return uint64(len(req.Seqs)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}
