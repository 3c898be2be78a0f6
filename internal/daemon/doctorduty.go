package daemon

import "holdfast/internal/api"

// doctorDuty examines the daemon from within.
func (p *parts) doctorDuty(_ Options) (duty, error) { return duty{}, nil }

// doctorAPI returns what the API needs of it.
func (p *parts) doctorAPI() api.DoctorParts { return api.DoctorParts{} }
