package api

// PauseParts are the parts of the server that have to do with pausing ingest.
type PauseParts struct{}

// pauseRoutes are the ways to pausing ingest.
func (s *Server) pauseRoutes() []route { return nil }
