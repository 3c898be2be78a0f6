package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/docket"
	"holdfast/archive/query"
)

func (s *Server) searchesList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req SearchesRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	return s.savedAct(w, r, c, audit.Access{Target: "list", Matter: matter}, func(context.Context) error { return nil })
}

func (s *Server) searchesSave(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req SaveSearchRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if len(req.Query) > audit.MaxQuery {
		return badRequest("a query longer than an access entry may hold", "shorten it, or save it as several searches")
	}
	// It is read for its faults alone: words such as today are read when it is run.
	if _, err := query.ParseIn(query.Reading{Now: time.Now(), Zone: time.UTC}, req.Query); err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	access := audit.Access{Target: "save", Matter: matter, Reason: req.Reason, Query: req.Query}
	return s.savedAct(w, r, c, access, func(ctx context.Context) error {
		_, err := s.Docket.SaveSearch(ctx, c.who, docket.SavedSearch{Matter: matter, Name: req.Name, Query: req.Query, Language: query.Language, Reason: req.Reason})
		return err
	})
}

func (s *Server) searchesRemove(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req RemoveSearchRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	access := audit.Access{Target: "remove", Matter: matter, Reason: req.Reason}
	return s.savedAct(w, r, c, access, func(ctx context.Context) error {
		return s.Docket.RemoveSearch(ctx, c.who, matter, req.Name, req.Reason)
	})
}

// savedAct does something audited to a matter's saved searches, and answers with
// those that it then has.
func (s *Server) savedAct(w http.ResponseWriter, r *http.Request, c *caller, access audit.Access, do func(ctx context.Context) error) error {
	access.Action = audit.ActionSaved
	resp := SearchesResponse{Matter: access.Matter, Searches: []SavedSearch{}}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		if err := do(ctx); err != nil {
			return 0, err
		}
		for _, saved := range s.Docket.Searches(access.Matter) {
			resp.Searches = append(resp.Searches, SavedSearch{
				Name: saved.Name, Query: saved.Query, Language: saved.Language, At: saved.At, By: saved.By, Reason: saved.Reason,
			})
		}
		return uint64(len(resp.Searches)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}
