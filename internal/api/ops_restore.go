package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// Restorer says from which older log the archive was restored, and lets it go
// on.
type Restorer interface {
	Restored(ctx context.Context) (*RestoreResponse, error)
	// AskRestore asks that the log go on from the restored one, and returns the
	// request's seq.
	AskRestore(ctx context.Context, who role.Principal, reason string) (uint64, error)
	// GoOn does what was approved, once. It is durable and in force when it returns.
	GoOn(ctx context.Context, who role.Principal, request uint64) error
}

// RestoreParts are the parts of the server that have to do with a restored log.
type RestoreParts struct{ Restorer Restorer }

// The states of a log that was restored.
const (
	RestoreNone    = "none"    // it never was
	RestoreAsking  = "asking"  // the relay has not yet said whether anything is missing
	RestoreWaiting = "waiting" // something is missing, and two people have to say that it goes on
	RestoreSettled = "settled" // it went on
)

// RestoreResponse says how a restored log stands.
type RestoreResponse struct {
	State   string         `json:"state"`
	Times   uint32         `json:"times"`            // N of the suffix /rN of new checkpoints; 0: it never was restored
	Size    uint64         `json:"size,omitempty"`   // entries that the newest restore brought back
	Root    string         `json:"root,omitempty"`   // their tree hash, base64
	Anchor  *RestoreAnchor `json:"anchor,omitempty"` // the newest that is known of what is lost
	Lost    *archive.Lost  `json:"lost,omitempty"`   // entries that the anchor states and the log has not
	Relay   *RestoreRelay  `json:"relay,omitempty"`  // as far as the relay has been asked
	History []RestoreEntry `json:"history"`          // how the log went on before, oldest first
}

// RestoreAnchor is a checkpoint that was kept outside the machine.
type RestoreAnchor struct {
	Times uint32 `json:"times"` // N of its suffix
	Size  uint64 `json:"size"`
	Root  string `json:"root"` // base64
}

// RestoreRelay is what the relay was told of the log that is lost.
type RestoreRelay struct {
	Epoch  string `json:"epoch"`
	Told   uint64 `json:"told"`   // the relay seq up to which the archive had said that everything is durable
	Had    uint64 `json:"had"`    // the relay seq up to which the restored log had it
	Oldest uint64 `json:"oldest"` // the oldest relay seq that the relay still has
	Pulled bool   `json:"pulled"` // everything up to Told is here again
}

// RestoreEntry is one restore from which the log went on.
type RestoreEntry struct {
	Seq     uint64         `json:"seq"`
	At      time.Time      `json:"at"`
	Times   uint32         `json:"times"`
	Size    uint64         `json:"size"`
	Lost    *archive.Lost  `json:"lost,omitempty"`
	Request uint64         `json:"request,omitempty"` // 0: nothing was lost
	By      role.Principal `json:"by"`
}

// AskRestoreRequest asks that the log go on.
type AskRestoreRequest struct {
	Reason string `json:"reason"`
}

// AskRestoreResponse names the request.
type AskRestoreResponse struct {
	Request uint64          `json:"request"`
	Restore RestoreResponse `json:"restore"`
}

// GoOnRequest lets the log go on as was approved.
type GoOnRequest struct {
	Request uint64 `json:"request"`
}

// restoreRoutes are the ways to a restored log.
func (s *Server) restoreRoutes() []route {
	return []route{
		{name: "POST /v1/restore/show", answer: s.restoreShow, endpoint: role.RestoreShow},
		{name: "POST /v1/restore/ask", answer: s.restoreAsk, endpoint: role.RestoreGoOn, also: role.RequestsMake},
		{name: "POST /v1/restore/go-on", answer: s.restoreGoOn, endpoint: role.RestoreGoOn, also: role.RequestsExecute},
	}
}

// restoreShow names nobody's messages, and is no look.
func (s *Server) restoreShow(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Restorer == nil {
		return notConfigured("restore")
	}
	return s.replyRestored(w, r)
}

func (s *Server) replyRestored(w http.ResponseWriter, r *http.Request) error {
	out, err := s.Restorer.Restored(r.Context())
	if err != nil {
		return err
	}
	out.History = filled(out.History)
	return reply(w, out)
}

func (s *Server) restoreAsk(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AskRestoreRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why it is to go on from this older log"); err != nil {
		return err
	}
	if s.Restorer == nil {
		return notConfigured("restore")
	}
	var resp AskRestoreResponse
	err := s.act(r.Context(), c, audit.ActionRestore, "ask", req.Reason, func(ctx context.Context) (uint64, error) {
		seq, err := s.Restorer.AskRestore(ctx, c.who, req.Reason)
		if err != nil {
			return 0, err
		}
		resp.Request = seq
		return 1, nil
	})
	if err != nil {
		return err
	}
	out, err := s.Restorer.Restored(r.Context())
	if err != nil {
		return err
	}
	resp.Restore = *out
	resp.Restore.History = filled(out.History)
	return reply(w, resp)
}

func (s *Server) restoreGoOn(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req GoOnRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Restorer == nil {
		return notConfigured("restore")
	}
	err := s.act(r.Context(), c, audit.ActionRestore, "go on "+decimal(req.Request), "", func(ctx context.Context) (uint64, error) {
		return 1, s.Restorer.GoOn(ctx, c.who, req.Request)
	})
	if err != nil {
		return err
	}
	return s.replyRestored(w, r)
}

// Restored asks from which older log the archive was restored.
func (c *Client) Restored(ctx context.Context) (*RestoreResponse, error) {
	return ask[RestoreResponse](ctx, c, http.MethodPost, "/v1/restore/show", struct{}{})
}

// AskRestore asks that the log go on from the restored one.
func (c *Client) AskRestore(ctx context.Context, req AskRestoreRequest) (*AskRestoreResponse, error) {
	return ask[AskRestoreResponse](ctx, c, http.MethodPost, "/v1/restore/ask", req)
}

// GoOn lets the log go on as was approved.
func (c *Client) GoOn(ctx context.Context, req GoOnRequest) (*RestoreResponse, error) {
	return ask[RestoreResponse](ctx, c, http.MethodPost, "/v1/restore/go-on", req)
}
