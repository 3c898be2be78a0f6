// Package api is how people and scripts reach a running daemon: HTTP/JSON over
// a Unix socket, its server, and its Go client. The kernel says which user is
// at the other end of the socket (SO_PEERCRED), and that user is the principal
// of every look.
//
// internal/daemon serves it; cmd/holdfast is its client. The endpoints:
//
//	GET  /v1/status       Status
//	POST /v1/search       SearchRequest   -> SearchResponse
//	POST /v1/show         ShowRequest     -> ShowResponse
//	POST /v1/export       ExportRequest   -> multipart/mixed, see below
//	POST /v1/verify       VerifyRequest   -> application/x-ndjson of VerifyLine
//	GET  /v1/checkpoint   CheckpointResponse
//	POST /v1/audit        AuditRequest    -> AuditResponse
//	POST /v1/alarms/list  AlarmsRequest   -> AlarmsResponse
//	POST /v1/alarms/show  AlarmRequest    -> Alarm
//	POST /v1/alarms/ack   AckRequest      -> Alarm
//	GET  /metrics         Prometheus text
//	GET  /healthz         the process answers
//	GET  /readyz          the archive takes entries and answers searches
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
//
// An export is one part a file, each with a Content-Disposition of
// `attachment; filename="NAME"`, in the order in which they were produced, the
// manifest last. The part named "holdfast-complete" (a Completion) ends a
// production that is whole; "holdfast-failed" (a Problem) one that is not. A
// stream without either was cut off.
package api
