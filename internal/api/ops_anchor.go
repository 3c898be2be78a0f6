package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// AnchorKeeper keeps the log's checkpoints outside the machine.
type AnchorKeeper interface {
	// Anchored says how each place stands; it names machines and keys, no person.
	Anchored(ctx context.Context) ([]Anchor, error)
	// Anchor anchors at all places now, and says what became of each.
	Anchor(ctx context.Context) ([]AnchorResult, error)
}

// AnchorParts are the parts of the server that have to do with anchors.
type AnchorParts struct{ AnchorKeeper AnchorKeeper }

// Anchor is a place outside the machine, and how it stands.
type Anchor struct {
	Kind    string    `json:"anchor"`            // file, witness, timestamp or relay
	Name    string    `json:"name,omitempty"`    // the witness's key name, the authority's host
	Failing string    `json:"failing,omitempty"` // class of the newest failure since the last success
	Last    *Anchored `json:"last,omitempty"`    // nil: never, or for the relay not since the daemon started
}

// Anchored is the last anchor of a place. Of the relay's only the time is
// known.
type Anchored struct {
	Entry      uint64    `json:"entry,omitempty"` // of the log, that notes it
	At         time.Time `json:"at"`
	Size       uint64    `json:"size,omitempty"`
	Root       string    `json:"root,omitempty"`       // standard base64
	Checkpoint string    `json:"checkpoint,omitempty"` // the signed note
	Cosigned   string    `json:"cosigned,omitempty"`   // the same with the witness's line under it
	Proof      []byte    `json:"proof,omitempty"`      // the cosignature line, or the RFC 3161 token over the signed note, base64
}

// AnchorsResponse lists the places.
type AnchorsResponse struct {
	Anchors []Anchor `json:"anchors"`
}

// AnchorResult is what became of one anchor.
type AnchorResult struct {
	Kind   string `json:"anchor"`
	Name   string `json:"name,omitempty"`
	Failed string `json:"failed,omitempty"` // class; absent: the log is anchored there
}

// AnchorMakeResponse says what became of each.
type AnchorMakeResponse struct {
	Results []AnchorResult `json:"results"`
}

// anchorRoutes are the ways to anchors.
func (s *Server) anchorRoutes() []route {
	return []route{
		{name: "POST /v1/anchors/list", answer: s.anchorsList, endpoint: role.AnchorShow},
		{name: "POST /v1/anchors/make", answer: s.anchorsMake, endpoint: role.AnchorMake},
	}
}

// anchorsList names nobody, and is no look.
func (s *Server) anchorsList(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.AnchorKeeper == nil {
		return notConfigured("anchors")
	}
	list, err := s.AnchorKeeper.Anchored(r.Context())
	if err != nil {
		return err
	}
	return reply(w, AnchorsResponse{Anchors: filled(list)})
}

func (s *Server) anchorsMake(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.AnchorKeeper == nil {
		return notConfigured("anchors")
	}
	var resp AnchorMakeResponse
	err := s.act(r.Context(), c, audit.ActionAnchor, "make", "", func(ctx context.Context) (n uint64, err error) {
		resp.Results, err = s.AnchorKeeper.Anchor(ctx)
		return uint64(len(resp.Results)), err
	})
	if err != nil {
		return err
	}
	resp.Results = filled(resp.Results)
	return reply(w, resp)
}

// AnchorsList asks where the log is anchored.
func (c *Client) AnchorsList(ctx context.Context) (*AnchorsResponse, error) {
	return ask[AnchorsResponse](ctx, c, http.MethodPost, "/v1/anchors/list", struct{}{})
}

// AnchorsMake has the log anchored now.
func (c *Client) AnchorsMake(ctx context.Context) (*AnchorMakeResponse, error) {
	return ask[AnchorMakeResponse](ctx, c, http.MethodPost, "/v1/anchors/make", struct{}{})
}
