package api

import (
	"bufio"
	"context"
	"io"
	"net/http"

	"holdfast/internal/ijson"
)

// Schedule asks for the retention schedule.
func (c *Client) Schedule(ctx context.Context) (*ScheduleResponse, error) {
	return ask[ScheduleResponse](ctx, c, http.MethodPost, "/v1/schedule/show", struct{}{})
}

// ApplySchedule asks for another schedule to count from here on. One that keeps
// anything for a shorter time waits for a second person: see ApplyApproved.
func (c *Client) ApplySchedule(ctx context.Context, req ApplyScheduleRequest) (*ScheduleApplied, error) {
	return ask[ScheduleApplied](ctx, c, http.MethodPost, "/v1/schedule/apply", req)
}

// ApplyApproved applies the schedule that a second person approved.
func (c *Client) ApplyApproved(ctx context.Context, req ApplyApprovedRequest) (*ScheduleApplied, error) {
	return ask[ScheduleApplied](ctx, c, http.MethodPost, "/v1/schedule/approved", req)
}

// Matters lists matters.
func (c *Client) Matters(ctx context.Context, req MattersRequest) (*MattersResponse, error) {
	return ask[MattersResponse](ctx, c, http.MethodPost, "/v1/matters/list", req)
}

// Matter asks for one matter.
func (c *Client) Matter(ctx context.Context, id string) (*Matter, error) {
	return ask[Matter](ctx, c, http.MethodPost, "/v1/matters/show", MatterRequest{ID: id})
}

// OpenMatter opens a matter.
func (c *Client) OpenMatter(ctx context.Context, req OpenMatterRequest) (*Matter, error) {
	return ask[Matter](ctx, c, http.MethodPost, "/v1/matters/open", req)
}

// CloseMatter closes a matter and returns it as it then stands.
func (c *Client) CloseMatter(ctx context.Context, req CloseMatterRequest) (*Matter, error) {
	return ask[Matter](ctx, c, http.MethodPost, "/v1/matters/close", req)
}

// SetMember takes somebody into a matter, or out of it, and returns the matter
// as the caller may then see it.
func (c *Client) SetMember(ctx context.Context, req MemberRequest) (*Matter, error) {
	return ask[Matter](ctx, c, http.MethodPost, "/v1/matters/member", req)
}

// Holds lists holds.
func (c *Client) Holds(ctx context.Context, req HoldsRequest) (*HoldsResponse, error) {
	return ask[HoldsResponse](ctx, c, http.MethodPost, "/v1/holds/list", req)
}

// Hold asks for one hold.
func (c *Client) Hold(ctx context.Context, seq uint64) (*Hold, error) {
	return ask[Hold](ctx, c, http.MethodPost, "/v1/holds/show", HoldRequest{Seq: seq})
}

// PlaceHold places a hold, which counts once this returns.
func (c *Client) PlaceHold(ctx context.Context, req PlaceHoldRequest) (*Hold, error) {
	return ask[Hold](ctx, c, http.MethodPost, "/v1/holds/place", req)
}

// WidenHold adds a scope to a hold.
func (c *Client) WidenHold(ctx context.Context, req WidenHoldRequest) (*Hold, error) {
	return ask[Hold](ctx, c, http.MethodPost, "/v1/holds/widen", req)
}

// PreviewRelease asks what the release of a hold would come to.
func (c *Client) PreviewRelease(ctx context.Context, req PreviewReleaseRequest) (*Preview, error) {
	return ask[Preview](ctx, c, http.MethodPost, "/v1/holds/preview", req)
}

// AskRelease asks for the approval of a release.
func (c *Client) AskRelease(ctx context.Context, req AskReleaseRequest) (*AskReleaseResponse, error) {
	return ask[AskReleaseResponse](ctx, c, http.MethodPost, "/v1/holds/ask", req)
}

// ReleaseHold does the release that was approved.
func (c *Client) ReleaseHold(ctx context.Context, req ReleaseHoldRequest) (*Hold, error) {
	return ask[Hold](ctx, c, http.MethodPost, "/v1/holds/release", req)
}

// CancelRelease takes back a release within its grace period.
func (c *Client) CancelRelease(ctx context.Context, req CancelReleaseRequest) (*Hold, error) {
	return ask[Hold](ctx, c, http.MethodPost, "/v1/holds/cancel", req)
}

// Notice records that a custodian was told of a hold, and returns the hold.
func (c *Client) Notice(ctx context.Context, req NoticeRequest) (*Hold, error) {
	return ask[Hold](ctx, c, http.MethodPost, "/v1/holds/notice", req)
}

// Explain asks why an entry is kept.
func (c *Client) Explain(ctx context.Context, seq uint64) (*Explanation, error) {
	return ask[Explanation](ctx, c, http.MethodPost, "/v1/holds/explain", ExplainRequest{Seq: seq})
}

// Plans lists disposition plans.
func (c *Client) Plans(ctx context.Context, req PlansRequest) (*PlansResponse, error) {
	return ask[PlansResponse](ctx, c, http.MethodPost, "/v1/disposition/list", req)
}

// Plan asks for one plan.
func (c *Client) Plan(ctx context.Context, seq uint64) (*Plan, error) {
	return ask[Plan](ctx, c, http.MethodPost, "/v1/disposition/show", PlanRequest{Seq: seq})
}

// PlanDisposition has the daemon plan what is due. progress, which may be nil,
// hears how far it has come.
func (c *Client) PlanDisposition(ctx context.Context, req PlanDispositionRequest, progress func(Progress)) (*Plan, error) {
	line, err := c.work(ctx, "/v1/disposition/plan", req, progress)
	if err != nil {
		return nil, err
	}
	return line.Plan, nil
}

// PlanErasure has the daemon plan the erasure of single entries.
func (c *Client) PlanErasure(ctx context.Context, req EraseRequest, progress func(Progress)) (*Plan, error) {
	line, err := c.work(ctx, "/v1/dispose/erase", req, progress)
	if err != nil {
		return nil, err
	}
	return line.Plan, nil
}

// PlanReclass has the daemon plan another class for single entries.
func (c *Client) PlanReclass(ctx context.Context, req ReclassifyRequest, progress func(Progress)) (*Plan, error) {
	line, err := c.work(ctx, "/v1/reclassify", req, progress)
	if err != nil {
		return nil, err
	}
	return line.Plan, nil
}

// RunDisposition carries out an approved plan. The daemon goes on with it even
// when the client is gone.
func (c *Client) RunDisposition(ctx context.Context, req RunRequest, progress func(Progress)) (*Ran, error) {
	line, err := c.work(ctx, "/v1/disposition/run", req, progress)
	if err != nil {
		return nil, err
	}
	return line.Ran, nil
}

// work asks for a long task and returns the line that ends it.
func (c *Client) work(ctx context.Context, path string, req any, progress func(Progress)) (*WorkLine, error) {
	resp, err := c.do(ctx, http.MethodPost, path, req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(io.LimitReader(resp.Body, maxReply), 64<<10)
	for {
		b, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, interrupted(err)
		}
		var line WorkLine
		if err := ijson.Unmarshal(b, &line); err != nil {
			return nil, protocol(err)
		}
		switch {
		case line.Problem != nil:
			return nil, line.Problem
		case line.Plan != nil || line.Ran != nil || line.Certified != nil || line.Backup != nil || line.Drill != nil:
			return &line, nil
		case line.Progress != nil && progress != nil:
			progress(*line.Progress)
		}
	}
}

// Certificates lists certificates.
func (c *Client) Certificates(ctx context.Context, req CertificatesRequest) (*CertificatesResponse, error) {
	return ask[CertificatesResponse](ctx, c, http.MethodPost, "/v1/certificates/list", req)
}

// Certificate asks for one certificate, with its signed form.
func (c *Client) Certificate(ctx context.Context, seq uint64) (*DispositionCertificate, error) {
	return ask[DispositionCertificate](ctx, c, http.MethodPost, "/v1/certificates/show", CertificateRequest{Seq: seq})
}

// Clock asks how the archive's clock stands.
func (c *Client) Clock(ctx context.Context) (*ClockResponse, error) {
	return ask[ClockResponse](ctx, c, http.MethodPost, "/v1/clock/show", struct{}{})
}

// ReleaseClock says that the clock is right after a jump.
func (c *Client) ReleaseClock(ctx context.Context, req ReleaseClockRequest) (*ClockResponse, error) {
	return ask[ClockResponse](ctx, c, http.MethodPost, "/v1/clock/release", req)
}

// Copies lists the known copies of keys and data.
func (c *Client) Copies(ctx context.Context) (*CopiesResponse, error) {
	return ask[CopiesResponse](ctx, c, http.MethodPost, "/v1/copies/list", struct{}{})
}

// NoteCopy records that there is a copy.
func (c *Client) NoteCopy(ctx context.Context, req NoteCopyRequest) (*CopiesResponse, error) {
	return ask[CopiesResponse](ctx, c, http.MethodPost, "/v1/copies/note", req)
}

// CopyGone records that a copy is gone.
func (c *Client) CopyGone(ctx context.Context, req CopyGoneRequest) (*CopiesResponse, error) {
	return ask[CopiesResponse](ctx, c, http.MethodPost, "/v1/copies/gone", req)
}
