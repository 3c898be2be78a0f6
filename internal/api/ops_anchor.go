package api

// AnchorParts are the parts of the server that have to do with anchors.
type AnchorParts struct{}

// anchorRoutes are the ways to anchors.
func (s *Server) anchorRoutes() []route { return nil }
