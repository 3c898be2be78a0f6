package daemon

import "holdfast/internal/api"

// noticeDuty sends alarms out, and mirrors the audit.
func (p *parts) noticeDuty(_ Options) (duty, error) { return duty{}, nil }

// noticeAPI returns what the API needs of it.
func (p *parts) noticeAPI() api.NoticeParts { return api.NoticeParts{} }
