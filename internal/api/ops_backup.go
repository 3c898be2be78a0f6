package api

// BackupParts are the parts of the server that have to do with backups and drills.
type BackupParts struct{}

// backupRoutes are the ways to backups and drills.
func (s *Server) backupRoutes() []route { return nil }
