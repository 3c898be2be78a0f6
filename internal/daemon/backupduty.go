package daemon

import "holdfast/internal/api"

// backupDuty makes backups, and keeps account of them and of drills.
func (p *parts) backupDuty(_ Options) (duty, error) { return duty{}, nil }

// backupAPI returns what the API needs of it.
func (p *parts) backupAPI() api.BackupParts { return api.BackupParts{} }
