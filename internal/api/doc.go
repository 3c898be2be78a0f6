// Package api is how people and scripts reach a running daemon: HTTP/JSON over
// a Unix socket and over HTTPS, its server, and its Go client. Over the socket
// the kernel says which account is at the other end (SO_PEERCRED); over HTTPS,
// which is TLS 1.3 and HTTP/1.1 alone, whose session a bearer token opens (RFC
// 6750 section 2.1; there are no cookies and there is no CORS). That principal
// stands in the log with everything asked for.
//
// internal/daemon serves it; cmd/holdfast is its client. It decides who may
// take which route in one place (Server.answer) by one table (internal/role);
// who somebody is and which roles they hold is said by its Auth. What it asks
// of people, directory, devices and approvals are interfaces of its own
// (parts.go), which internal/daemon fills. The endpoints:
//
//	GET  /v1/status       Status
//	POST /v1/search       SearchRequest   -> SearchResponse
//	POST /v1/count        CountRequest    -> CountResponse
//	POST /v1/show         ShowRequest     -> ShowResponse
//	POST /v1/conversation ConversationRequest -> ConversationResponse
//	POST /v1/timeline     TimelineRequest -> TimelineResponse
//	POST /v1/export       ExportRequest   -> multipart/mixed, see below
//	POST /v1/export/ask       ExportRequest -> LargeExportResponse
//	POST /v1/export/approved  ExportRequest -> multipart/mixed
//	POST /v1/verify       VerifyRequest   -> application/x-ndjson of VerifyLine
//	GET  /v1/checkpoint   CheckpointResponse
//	POST /v1/audit        AuditRequest    -> AuditResponse
//	POST /v1/access-report    AccessReportRequest -> AccessReport
//	POST /v1/alarms/list  AlarmsRequest   -> AlarmsResponse
//	POST /v1/alarms/show  AlarmRequest    -> Alarm
//	POST /v1/alarms/ack   AckRequest      -> Alarm
//	POST /v1/login        LoginRequest    -> LoginResponse    over HTTPS only
//	POST /v1/logout       {}              -> {}
//	GET  /v1/whoami       WhoamiResponse
//	GET  /v1/roles        RolesResponse
//	POST /v1/break-glass  BreakGlassRequest -> BreakGlassResponse    over the socket only
//	POST /v1/sessions/list      {} -> SessionsResponse
//	POST /v1/directory/status   {} -> DirectoryStatus
//	POST /v1/directory/diff     {} -> DirectoryDiff
//	POST /v1/directory/sync     {} -> DirectoryReport
//	POST /v1/directory/approve  ApproveDiffRequest -> ApproveDiffResponse
//	POST /v1/directory/people   PeopleRequest      -> PeopleResponse
//	POST /v1/directory/person   PersonRequest      -> PersonResponse
//	POST /v1/directory/matches  {}                 -> MatchesResponse
//	POST /v1/directory/match    MatchRequest       -> RelayMatched
//	POST /v1/directory/block    BlockRequest       -> Person
//	POST /v1/devices/list       {}                 -> DevicesResponse
//	POST /v1/devices/approve    ApproveDeviceRequest -> Device
//	POST /v1/devices/wipes      {}                 -> WipesResponse
//	POST /v1/devices/override   OverrideWipeRequest -> ApprovalRequest
//	POST /v1/requests/list      RequestsRequest    -> RequestsResponse
//	POST /v1/requests/show      RequestRequest     -> ApprovalRequest
//	POST /v1/requests/decide    DecideRequest      -> ApprovalRequest
//	POST /v1/schedule/show      {}                   -> ScheduleResponse
//	POST /v1/schedule/apply     ApplyScheduleRequest -> ScheduleApplied
//	POST /v1/schedule/approved  ApplyApprovedRequest -> ScheduleApplied
//	POST /v1/matters/list       MattersRequest       -> MattersResponse
//	POST /v1/matters/show       MatterRequest        -> Matter
//	POST /v1/matters/open       OpenMatterRequest    -> Matter
//	POST /v1/matters/close      CloseMatterRequest   -> Matter
//	POST /v1/matters/member     MemberRequest        -> Matter
//	POST /v1/holds/list         HoldsRequest         -> HoldsResponse
//	POST /v1/holds/show         HoldRequest          -> Hold
//	POST /v1/holds/place        PlaceHoldRequest     -> Hold
//	POST /v1/holds/widen        WidenHoldRequest     -> Hold
//	POST /v1/holds/preview      PreviewReleaseRequest -> Preview
//	POST /v1/holds/ask          AskReleaseRequest    -> AskReleaseResponse
//	POST /v1/holds/release      ReleaseHoldRequest   -> Hold
//	POST /v1/holds/cancel       CancelReleaseRequest -> Hold
//	POST /v1/holds/notice       NoticeRequest        -> Hold
//	POST /v1/holds/explain      ExplainRequest       -> Explanation
//	POST /v1/tags/show          TagsShowRequest      -> TagsShowResponse
//	POST /v1/tags/list          TagsListRequest      -> TagsListResponse
//	POST /v1/tags/change        TagRequest           -> TagResponse
//	POST /v1/productions/list   ProductionsRequest   -> ProductionsResponse
//	POST /v1/productions/show   ProductionRequest    -> MadeProduction
//	POST /v1/disclosures        DisclosuresRequest   -> DisclosuresResponse
//	POST /v1/clawbacks/list     ClawbacksRequest     -> ClawbacksResponse
//	POST /v1/clawbacks/show     ClawbackShowRequest  -> Clawback
//	POST /v1/clawbacks/make     ClawbackRequest      -> Clawback
//	POST /v1/searches/list      SearchesRequest      -> SearchesResponse
//	POST /v1/searches/save      SaveSearchRequest    -> SearchesResponse
//	POST /v1/searches/remove    RemoveSearchRequest  -> SearchesResponse
//	POST /v1/disposition/list   PlansRequest         -> PlansResponse
//	POST /v1/disposition/show   PlanRequest          -> Plan
//	POST /v1/disposition/plan   PlanDispositionRequest -> application/x-ndjson of WorkLine
//	POST /v1/disposition/run    RunRequest           -> application/x-ndjson of WorkLine
//	POST /v1/dispose/erase      EraseRequest         -> application/x-ndjson of WorkLine
//	POST /v1/reclassify         ReclassifyRequest    -> application/x-ndjson of WorkLine
//	POST /v1/certificates/list  CertificatesRequest  -> CertificatesResponse
//	POST /v1/certificates/show  CertificateRequest   -> DispositionCertificate
//	POST /v1/clock/show         {}                   -> ClockResponse
//	POST /v1/clock/release      ReleaseClockRequest  -> ClockResponse
//	POST /v1/copies/list        {}                   -> CopiesResponse
//	POST /v1/copies/note        NoteCopyRequest      -> CopiesResponse
//	POST /v1/copies/gone        CopyGoneRequest      -> CopiesResponse
//	POST /v1/factor/issue       FactorRequest      -> TicketResponse
//	POST /v1/factor/reset       FactorRequest      -> FactorResponse
//	POST /v1/reload             {}                 -> ReloadResponse        over the socket only
//	GET  /metrics         Prometheus text    over the socket only
//	GET  /healthz         the archive answers -> Health
//	GET  /readyz          the archive takes entries and answers searches -> Health
//
// Whatever names a person or a patient travels in a POST body, never in a URL:
// URLs end up in logs. Request bodies are strict I-JSON (RFC 7493) of at most
// MaxRequest bytes, and a member that the endpoint does not know is refused.
// Errors are problem+json (RFC 9457), see Problem.
//
// Every search, show and export needs a reason or a matter. Its access entry
// is durable in the log before anything is looked at, and its outcome before
// anything is handed out, except that an export's outcome comes when all of
// its files have been handed out and before the part that makes it whole.
// Whatever else shows names or changes something is recorded in the same way,
// and what a person decides needs a reason.
//
// Counts, conversations and timelines are looks like searches and shows. A watch
// (SearchRequest.Watch) is recorded when it begins and whenever it finds
// something: an answer that nothing has come since is no look at a message, and
// its token, which the server seals, can be used for nothing else.
//
// A role that is scoped reads the messages of the people in its scope alone:
// searches, counts and exports are narrowed, and show withholds the rest. Of what
// surrounds a message or hangs at it, it is told how many entries are not its. A matter is
// worked on by its members, unless they are custodians in it. They see it and
// its holds whole, and so do approvers and auditors who are none of its
// custodians; everybody else sees that something is held, its custodians what
// others of their roles do. Narrowed roles change nothing of what is held or goes.
//
// An export is one part a file, each with a Content-Disposition of
// `attachment; filename="NAME"`, in the order in which they were produced, the
// manifest last. The part named "holdfast-complete" (a Completion) ends a
// production that is whole; "holdfast-failed" (a Problem) one that is not. A
// stream without either was cut off.
package api
