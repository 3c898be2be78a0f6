package api

import (
	"context"
	"net/http"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// Notices are the ways by which alarms leave the machine.
type Notices interface {
	// TestNotices sends a test by each way, and says what became of each.
	TestNotices(ctx context.Context) ([]NoticeResult, error)
}

// NoticeParts are the parts of the server that have to do with the alarms' ways out.
type NoticeParts struct{ Notices Notices }

// NoticeResult is what became of a test.
type NoticeResult struct {
	Way    string `json:"way"`              // smtp, webhook, syslog or mirror
	Failed string `json:"failed,omitempty"` // class; absent: the other end took it
}

// NoticeTestResponse says what became of each.
type NoticeTestResponse struct {
	Results []NoticeResult `json:"results"`
}

// noticeRoutes are the ways to the alarms' ways out.
func (s *Server) noticeRoutes() []route {
	return []route{{name: "POST /v1/notices/test", answer: s.noticesTest, endpoint: role.NoticeTest}}
}

func (s *Server) noticesTest(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Notices == nil {
		return notConfigured("notices")
	}
	var resp NoticeTestResponse
	err := s.act(r.Context(), c, audit.ActionAnchor, "notify-test", "", func(ctx context.Context) (n uint64, err error) {
		resp.Results, err = s.Notices.TestNotices(ctx)
		return uint64(len(resp.Results)), err
	})
	if err != nil {
		return err
	}
	resp.Results = filled(resp.Results)
	return reply(w, resp)
}

// NoticesTest has a test sent by each way.
func (c *Client) NoticesTest(ctx context.Context) (*NoticeTestResponse, error) {
	return ask[NoticeTestResponse](ctx, c, http.MethodPost, "/v1/notices/test", struct{}{})
}
