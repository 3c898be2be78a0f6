package api

import (
	"context"
	"net/http"
)

// Login asks for a session. It is for clients over HTTPS; the session's token
// goes to NewHTTPSClient.
func (c *Client) Login(ctx context.Context, req LoginRequest) (*LoginResponse, error) {
	return ask[LoginResponse](ctx, c, http.MethodPost, "/v1/login", req)
}

// Logout ends the client's session.
func (c *Client) Logout(ctx context.Context) error {
	_, err := ask[struct{}](ctx, c, http.MethodPost, "/v1/logout", struct{}{})
	return err
}

// Whoami asks who the daemon takes the client for.
func (c *Client) Whoami(ctx context.Context) (*WhoamiResponse, error) {
	return ask[WhoamiResponse](ctx, c, http.MethodGet, "/v1/whoami", nil)
}

// Roles asks for the table of role × endpoint.
func (c *Client) Roles(ctx context.Context) (*RolesResponse, error) {
	return ask[RolesResponse](ctx, c, http.MethodGet, "/v1/roles", nil)
}

// BreakGlass takes the roles of an emergency.
func (c *Client) BreakGlass(ctx context.Context, req BreakGlassRequest) (*BreakGlassResponse, error) {
	return ask[BreakGlassResponse](ctx, c, http.MethodPost, "/v1/break-glass", req)
}

// DirectoryStatus asks how the directory's synchronisation stands.
func (c *Client) DirectoryStatus(ctx context.Context) (*DirectoryStatus, error) {
	return ask[DirectoryStatus](ctx, c, http.MethodPost, "/v1/directory/status", struct{}{})
}

// DirectoryDiff asks what a synchronisation would change.
func (c *Client) DirectoryDiff(ctx context.Context) (*DirectoryDiff, error) {
	return ask[DirectoryDiff](ctx, c, http.MethodPost, "/v1/directory/diff", struct{}{})
}

// DirectorySync synchronises now.
func (c *Client) DirectorySync(ctx context.Context) (*DirectoryReport, error) {
	return ask[DirectoryReport](ctx, c, http.MethodPost, "/v1/directory/sync", struct{}{})
}

// ApproveDiff approves or denies the pending diff.
func (c *Client) ApproveDiff(ctx context.Context, req ApproveDiffRequest) (*ApproveDiffResponse, error) {
	return ask[ApproveDiffResponse](ctx, c, http.MethodPost, "/v1/directory/approve", req)
}

// People lists people.
func (c *Client) People(ctx context.Context, req PeopleRequest) (*PeopleResponse, error) {
	return ask[PeopleResponse](ctx, c, http.MethodPost, "/v1/directory/people", req)
}

// Person asks for the history of whoever ever had a name.
func (c *Client) Person(ctx context.Context, req PersonRequest) (*PersonResponse, error) {
	return ask[PersonResponse](ctx, c, http.MethodPost, "/v1/directory/person", req)
}

// Matches lists relay users with the people they belong to.
func (c *Client) Matches(ctx context.Context) (*MatchesResponse, error) {
	return ask[MatchesResponse](ctx, c, http.MethodPost, "/v1/directory/matches", struct{}{})
}

// Match says which person a relay user is, and returns that match; its Person
// is empty when the relay user is nobody's now.
func (c *Client) Match(ctx context.Context, req MatchRequest) (*RelayMatched, error) {
	return ask[RelayMatched](ctx, c, http.MethodPost, "/v1/directory/match", req)
}

// Block blocks a person from logging in, or lifts that, and returns the person
// as they then stand.
func (c *Client) Block(ctx context.Context, req BlockRequest) (*Person, error) {
	return ask[Person](ctx, c, http.MethodPost, "/v1/directory/block", req)
}

// Wipes lists the wipes of departed people's devices.
func (c *Client) Wipes(ctx context.Context) (*WipesResponse, error) {
	return ask[WipesResponse](ctx, c, http.MethodPost, "/v1/devices/wipes", struct{}{})
}

// OverrideWipe asks a second person to let a wipe go ahead that a hold stops.
func (c *Client) OverrideWipe(ctx context.Context, req OverrideWipeRequest) (*ApprovalRequest, error) {
	return ask[ApprovalRequest](ctx, c, http.MethodPost, "/v1/devices/override", req)
}

// Devices lists the relay's devices.
func (c *Client) Devices(ctx context.Context) (*DevicesResponse, error) {
	return ask[DevicesResponse](ctx, c, http.MethodPost, "/v1/devices/list", struct{}{})
}

// ApproveDevice approves a device and returns it as it then stands.
func (c *Client) ApproveDevice(ctx context.Context, req ApproveDeviceRequest) (*Device, error) {
	return ask[Device](ctx, c, http.MethodPost, "/v1/devices/approve", req)
}

// Requests lists what waits for a second person.
func (c *Client) Requests(ctx context.Context, req RequestsRequest) (*RequestsResponse, error) {
	return ask[RequestsResponse](ctx, c, http.MethodPost, "/v1/requests/list", req)
}

// Request asks for one request.
func (c *Client) Request(ctx context.Context, seq uint64) (*ApprovalRequest, error) {
	return ask[ApprovalRequest](ctx, c, http.MethodPost, "/v1/requests/show", RequestRequest{Seq: seq})
}

// Decide approves or denies a request and returns it as it then stands.
func (c *Client) Decide(ctx context.Context, req DecideRequest) (*ApprovalRequest, error) {
	return ask[ApprovalRequest](ctx, c, http.MethodPost, "/v1/requests/decide", req)
}

// AskExport asks for the approval of an export that one person may not make
// alone. Once it is approved, Export makes it with the response's Request.Seq
// and At in its request.
func (c *Client) AskExport(ctx context.Context, req ExportRequest) (*LargeExportResponse, error) {
	return ask[LargeExportResponse](ctx, c, http.MethodPost, "/v1/export/ask", req)
}

// IssueTicket asks for a ticket with which a person enrols a second factor.
func (c *Client) IssueTicket(ctx context.Context, req FactorRequest) (*TicketResponse, error) {
	return ask[TicketResponse](ctx, c, http.MethodPost, "/v1/factor/issue", req)
}

// ResetFactor ends a person's second factor and sessions.
func (c *Client) ResetFactor(ctx context.Context, req FactorRequest) (*FactorResponse, error) {
	return ask[FactorResponse](ctx, c, http.MethodPost, "/v1/factor/reset", req)
}

// Sessions lists those who are logged in.
func (c *Client) Sessions(ctx context.Context) (*SessionsResponse, error) {
	return ask[SessionsResponse](ctx, c, http.MethodPost, "/v1/sessions/list", struct{}{})
}

// AccessReport asks who looked at a custodian's messages, or what an officer did.
func (c *Client) AccessReport(ctx context.Context, req AccessReportRequest) (*AccessReport, error) {
	return ask[AccessReport](ctx, c, http.MethodPost, "/v1/access-report", req)
}
