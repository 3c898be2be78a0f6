package api

import (
	"context"
	"encoding/hex"
	"net/http"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// KitParts are the parts of the server that have to do with the recovery kit.
type KitParts struct {
	// Kit notes in the log that the recovery key was split into another set of
	// shares, durable when it returns. uid is the account's that did it.
	Kit func(ctx context.Context, uid uint32, r NoteKitRequest) error
}

// NoteKitRequest says that a set of shares of the recovery key was printed. It
// holds no secret.
type NoteKitRequest struct {
	Set    string `json:"set"`    // its id: eight hexadecimal digits
	Needed int    `json:"needed"` // shares that open the archive
	Shares int    `json:"shares"` // of so many
}

// NoteKitResponse says that it is noted.
type NoteKitResponse struct{}

// kitRoutes are the ways to the recovery kit. Shares never come here.
func (s *Server) kitRoutes() []route {
	return []route{{name: "POST /v1/kit/note", answer: s.kitNote, endpoint: role.CopiesChange, only: role.ViaSocket}}
}

func (s *Server) kitNote(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req NoteKitRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if b, err := hex.DecodeString(req.Set); err != nil || len(b) != 4 || req.Needed < 2 || req.Shares < req.Needed || req.Shares > 255 {
		return badRequest("it is no set of a recovery kit", "use `holdfastd kit rotate`")
	}
	if s.Kit == nil {
		return notConfigured("recovery kit")
	}
	err := s.act(r.Context(), c, audit.ActionCopy, "kit "+req.Set, "", func(ctx context.Context) (uint64, error) {
		return 1, s.Kit(ctx, endOf(ctx).uid, req)
	})
	if err != nil {
		return err
	}
	return reply(w, NoteKitResponse{})
}

// NoteKit has the daemon note that another set of shares was printed.
func (c *Client) NoteKit(ctx context.Context, req NoteKitRequest) (*NoteKitResponse, error) {
	return ask[NoteKitResponse](ctx, c, http.MethodPost, "/v1/kit/note", req)
}
