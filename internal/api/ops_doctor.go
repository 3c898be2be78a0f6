package api

import (
	"context"

	"net/http"
	"time"

	"holdfast/internal/role"
)

// DoctorParts are the parts of the server that have to do with the daemon's own findings.
type DoctorParts struct {
	Doctor Examiner
}

// Examiner finds out what is wrong with the daemon and its archive.
type Examiner interface {
	// Examine must answer within seconds and name no person, host or folder.
	Examine(ctx context.Context) (*DoctorResponse, error)
}

// DoctorResponse is what the daemon finds out about itself.
type DoctorResponse struct {
	Version  string    `json:"version"` // of the running program
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"`       // by the archive's own time
	Findings []Finding `json:"findings"` // in a fixed order; every check has one, also where all is well
}

// Finding is what one check came to.
type Finding struct {
	ID       string             `json:"id"`                // of the check; stable
	Severity string             `json:"severity"`          // ok, warning or critical
	Text     string             `json:"text"`              // what was found
	Fix      string             `json:"fix,omitempty"`     // what to do; empty where all is well
	Figures  map[string]float64 `json:"figures,omitempty"` // what it rests on; units are in the names
}

// doctorRoutes are the ways to the daemon's own findings.
func (s *Server) doctorRoutes() []route {
	return []route{{name: "POST /v1/doctor", answer: s.examine, endpoint: role.Doctor}}
}

// examine names nobody, and is no look.
func (s *Server) examine(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Doctor == nil {
		return notConfigured("doctor")
	}
	resp, err := s.Doctor.Examine(r.Context())
	if err != nil {
		return err
	}
	resp.Findings = filled(resp.Findings)
	return reply(w, resp)
}

// Examine asks the daemon what it finds out about itself.
func (c *Client) Examine(ctx context.Context) (*DoctorResponse, error) {
	return ask[DoctorResponse](ctx, c, http.MethodPost, "/v1/doctor", struct{}{})
}

// Metrics asks for the daemon's metrics in Prometheus's text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	return readAll(resp.Body)
}
