package daemon

import "holdfast/internal/api"

// restoreDuty guards a log that was restored from a backup.
func (p *parts) restoreDuty(_ Options) (duty, error) { return duty{}, nil }

// restoreAPI returns what the API needs of it.
func (p *parts) restoreAPI() api.RestoreParts { return api.RestoreParts{} }
