package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// Pauser holds back what comes from the relay.
type Pauser interface {
	// Paused says whether ingest is held back, and why.
	Paused(ctx context.Context) (*PauseResponse, error)
	// Pause holds ingest back, or lets it go on. It is durable and in force when
	// it returns; one that changes nothing is no error, and no entry.
	Pause(ctx context.Context, who role.Principal, paused bool, reason string) error
}

// PauseParts are the parts of the server that have to do with pausing ingest.
type PauseParts struct{ Pauser Pauser }

// PauseRequest pauses ingest, or resumes it.
type PauseRequest struct {
	Reason string `json:"reason"`
}

// PauseResponse says how ingest stands.
type PauseResponse struct {
	Paused  bool       `json:"paused"`            // by a person
	Entry   uint64     `json:"entry,omitempty"`   // that paused it
	Since   *time.Time `json:"since,omitempty"`   // that entry's received time
	Reasons []string   `json:"reasons,omitempty"` // for which nothing comes in: paused, restored
	Relay   bool       `json:"relay"`             // there is a relay to pull from
}

// pauseRoutes are the ways to pausing ingest.
func (s *Server) pauseRoutes() []route {
	return []route{
		{name: "POST /v1/ingest/show", answer: s.ingestShow, endpoint: role.Status},
		{name: "POST /v1/ingest/pause", answer: s.ingestPause, endpoint: role.IngestControl},
		{name: "POST /v1/ingest/resume", answer: s.ingestResume, endpoint: role.IngestControl},
	}
}

// ingestShow names nobody, and is no look.
func (s *Server) ingestShow(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Pauser == nil {
		return notConfigured("relay")
	}
	return s.replyPaused(w, r)
}

func (s *Server) ingestPause(w http.ResponseWriter, r *http.Request, c *caller) error {
	return s.pause(w, r, c, true, "why nothing is to be pulled")
}

func (s *Server) ingestResume(w http.ResponseWriter, r *http.Request, c *caller) error {
	return s.pause(w, r, c, false, "why it may go on")
}

func (s *Server) pause(w http.ResponseWriter, r *http.Request, c *caller, paused bool, say string) error {
	var req PauseRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, say); err != nil {
		return err
	}
	if s.Pauser == nil {
		return notConfigured("relay")
	}
	target := "resume"
	if paused {
		target = "pause"
	}
	err := s.act(r.Context(), c, audit.ActionIngest, target, req.Reason, func(ctx context.Context) (uint64, error) {
		return 1, s.Pauser.Pause(ctx, c.who, paused, req.Reason)
	})
	if err != nil {
		return err
	}
	return s.replyPaused(w, r)
}

func (s *Server) replyPaused(w http.ResponseWriter, r *http.Request) error {
	out, err := s.Pauser.Paused(r.Context())
	if err != nil {
		return err
	}
	return reply(w, out)
}

// Ingest asks how ingest stands.
func (c *Client) Ingest(ctx context.Context) (*PauseResponse, error) {
	return ask[PauseResponse](ctx, c, http.MethodPost, "/v1/ingest/show", struct{}{})
}

// PauseIngest holds ingest back.
func (c *Client) PauseIngest(ctx context.Context, req PauseRequest) (*PauseResponse, error) {
	return ask[PauseResponse](ctx, c, http.MethodPost, "/v1/ingest/pause", req)
}

// ResumeIngest lets it go on.
func (c *Client) ResumeIngest(ctx context.Context, req PauseRequest) (*PauseResponse, error) {
	return ask[PauseResponse](ctx, c, http.MethodPost, "/v1/ingest/resume", req)
}
