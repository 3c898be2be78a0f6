package api

// RestoreParts are the parts of the server that have to do with a restored log.
type RestoreParts struct{}

// restoreRoutes are the ways to a restored log.
func (s *Server) restoreRoutes() []route { return nil }
