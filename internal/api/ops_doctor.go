package api

// DoctorParts are the parts of the server that have to do with the daemon's own findings.
type DoctorParts struct{}

// doctorRoutes are the ways to the daemon's own findings.
func (s *Server) doctorRoutes() []route { return nil }
