package daemon

import "holdfast/internal/api"

// pauseDuty pauses ingest at a person's word.
func (p *parts) pauseDuty(_ Options) (duty, error) { return duty{}, nil }

// pauseAPI returns what the API needs of it.
func (p *parts) pauseAPI() api.PauseParts { return api.PauseParts{} }
