package daemon

import "holdfast/internal/api"

// anchorDuty anchors the log outside the machine.
func (p *parts) anchorDuty(_ Options) (duty, error) { return duty{}, nil }

// anchorAPI returns what the API needs of it.
func (p *parts) anchorAPI() api.AnchorParts { return api.AnchorParts{} }
