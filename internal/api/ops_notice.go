package api

// NoticeParts are the parts of the server that have to do with the alarms' ways out.
type NoticeParts struct{}

// noticeRoutes are the ways to the alarms' ways out.
func (s *Server) noticeRoutes() []route { return nil }
