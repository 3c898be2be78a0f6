package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/audit"
	"holdfast/archive/export"
	"holdfast/archive/query"
	"holdfast/archive/state"
	"holdfast/internal/ijson"
)

// The codes of problems. Scripts may rely on them.
const (
	CodeBadRequest  = "bad_request"     // the body is not what the endpoint takes
	CodeBadQuery    = "bad_query"       // the query cannot be understood; Column says where
	CodeCursor      = "bad_cursor"      // a page or watch that is not of this look, or has expired
	CodeNoReason    = "reason_required" // neither reason nor matter was given
	CodeNotFound    = "not_found"       // no such endpoint, entry or alarm
	CodeForbidden   = "forbidden"       // this principal may not do that, or not this way
	CodeMatter      = "not_a_member"    // this principal does not work on such a matter
	CodeLogin       = "login_required"  // there is no session, or no longer
	CodeRefused     = "login_refused"   // the login was refused, whatever the cause
	CodeTooMany     = "too_many"        // too many requests without a session from this address
	CodeAmbiguous   = "ambiguous"       // several people have, or had, that name
	CodeApproval    = "approval"        // it takes two people, or the approval is not there, used up, or for something else
	CodeState       = "not_possible"    // what it is about does not admit it
	CodeNoPart      = "not_configured"  // the appliance is not configured for it
	CodeDirectory   = "directory"       // no domain controller answers
	CodeSchedule    = "bad_schedule"    // the schedule cannot be used; the detail has its faults, a line each
	CodeTooLarge    = "too_large"       // the request is larger than MaxRequest
	CodeUnaudited   = "unaudited"       // the look could not be recorded and was refused
	CodeDiskFull    = "disk_full"       // the disk is too full for the entry
	CodeFailed      = "store_failed"    // a write failed; the store takes nothing until reopened
	CodeNoBody      = "no_body"         // the entry's body is gone
	CodeDisposed    = "disposed"        // the entry was disposed of
	CodeDamaged     = "damaged"         // the store is damaged
	CodeChanged     = "changed"         // the entries changed while they were produced
	CodeIndexing    = "indexing"        // the search index is being rebuilt
	CodeBusy        = "busy"            // too many long tasks are running
	CodeStopping    = "stopping"        // the daemon is going down
	CodeNotReady    = "not_ready"       // the daemon is not (or no longer) able to serve
	CodeInternal    = "internal"        // something else; the daemon's log says what
	CodeUnreachable = "unreachable"     // (client) nobody answers there
	CodeUntrusted   = "untrusted"       // (client) the daemon's certificate is not believed
	CodeInterrupted = "interrupted"     // the answer was cut off, or the client hung up before it was whole
	CodeProtocol    = "protocol"        // (client) what answers is not this version's daemon
	CodeOutput      = "cannot_create"   // (client) the output cannot be made
	contentProblem  = "application/problem+json"
)

// Problem is an error of the API as RFC 9457 problem details. It is free of
// content: no query, no name, no message. It is an error that the client
// returns, and a Backend may return one to choose its code itself.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"` // HTTP status; 0 when the client itself found the problem
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	Hint   string `json:"hint,omitempty"`   // what to do next
	Exit   int    `json:"exit"`             // exit code of a command that ends with this
	Column int    `json:"column,omitempty"` // bad_query: of the fault, 1-based, in characters
	err    error  // the cause, within one process
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Unwrap returns the cause where the problem arose in this process.
func (p *Problem) Unwrap() error { return p.err }

// problemOf turns an error of the parts below into what the caller is told.
// Only errors that are known to be free of content are quoted.
func problemOf(err error) *Problem {
	var own *Problem
	if errors.As(err, &own) {
		return own
	}
	p := classify(err)
	p.err = err
	var at *archive.SeqError
	if errors.As(err, &at) && p.Code != CodeInternal {
		p.Detail = fmt.Sprintf("entry %d", at.Seq)
	}
	return p
}

// problemUnder is problemOf for a request whose context is ctx. Once its client
// is gone, an end without another known cause is that one's. A daemon that
// stops ends contexts as well, with a cause of its own.
func problemUnder(ctx context.Context, err error) *Problem {
	p := problemOf(err)
	gone := ctx.Err() != nil && !errors.Is(context.Cause(ctx), http.ErrServerClosed)
	if gone && (p.Code == CodeInternal || errors.Is(err, context.Canceled)) {
		p = interrupted(err)
		p.Status = http.StatusServiceUnavailable // for the metrics: nobody is there to read it
	}
	return p
}

func classify(err error) *Problem {
	var syntax *query.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return &Problem{Title: "the query cannot be understood", Status: http.StatusBadRequest, Code: CodeBadQuery, Exit: ExitUsage,
			Detail: fmt.Sprintf("column %d: %s", syntax.Column, syntax.Msg), Hint: syntax.Hint, Column: syntax.Column}
	case errors.Is(err, audit.ErrNoReason):
		return &Problem{Title: "a reason or a matter is required", Status: http.StatusBadRequest, Code: CodeNoReason, Exit: ExitUsage,
			Hint: "say why you look with --reason TEXT, or for which matter with --matter ID; both are kept in the log"}
	case errors.Is(err, audit.ErrTooLong):
		return badRequest(err.Error(), "shorten it")
	case errors.Is(err, audit.ErrUnaudited):
		return unaudited(err)
	case errors.Is(err, archive.ErrNotFound):
		return &Problem{Title: "the log has no such entry", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
			Hint: "`holdfast status` says how many entries the log has; they are numbered from 0"}
	case errors.Is(err, state.ErrNotAlarm):
		return &Problem{Title: "that entry is not an alarm", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
			Hint: "`holdfast alarms list --all` shows all alarms with their numbers"}
	case errors.Is(err, archive.ErrDisposed):
		return &Problem{Title: "the entry was disposed of", Status: http.StatusGone, Code: CodeDisposed, Exit: ExitUsage,
			Hint: "`holdfast show` names its certificate, which says when and why"}
	case errors.Is(err, archive.ErrNoBody):
		return &Problem{Title: "the entry's body is missing from the archive", Status: http.StatusGone, Code: CodeNoBody, Exit: ExitData,
			Hint: "it was not disposed of: run `holdfast verify` to see what is missing, and restore from a backup"}
	case errors.Is(err, archive.ErrDamaged):
		return &Problem{Title: "the archive is damaged", Status: http.StatusInternalServerError, Code: CodeDamaged, Exit: ExitData,
			Hint: "run `holdfast verify` to see every entry at fault, keep the disk as it is, and restore from a backup"}
	case errors.Is(err, export.ErrRequest):
		return badRequest(err.Error(), "see `holdfast export --help`")
	case errors.Is(err, export.ErrChanged):
		return &Problem{Title: "the entries changed while they were being produced", Status: http.StatusConflict, Code: CodeChanged, Exit: ExitTemporary,
			Hint: "export again"}
	}
	if p := retentionProblem(err); p != nil {
		return p
	}
	if p := docketProblem(err); p != nil {
		return p
	}
	return peopleProblem(err)
}

// peopleProblem is classify for people and what they may do.
func peopleProblem(err error) *Problem {
	switch {
	case errors.Is(err, ErrLogin):
		return &Problem{Title: "the login was refused", Status: http.StatusUnauthorized, Code: CodeRefused, Exit: ExitPermission,
			Hint: "check name, password and code, and wait for a new code; if it keeps failing use a recovery code, or ask the archive's administrator: the audit says why"}
	case errors.Is(err, ErrForbidden):
		return &Problem{Title: "this is not for you to do", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "ask somebody whom the daemon's configuration names for it"}
	case errors.Is(err, ErrUnreachable):
		return &Problem{Title: "the directory cannot be reached", Status: http.StatusServiceUnavailable, Code: CodeDirectory, Exit: ExitTemporary,
			Hint: "`holdfast directory status` says what is wrong; nothing was changed"}
	case errors.Is(err, ErrUnknown), errors.Is(err, approval.ErrUnknown):
		return &Problem{Title: "there is none of that name", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
			Hint: "list them first: `holdfast directory people`, `holdfast devices list`, `holdfast requests list`"}
	case errors.Is(err, ErrState):
		return &Problem{Title: "what it is about does not admit that", Status: http.StatusConflict, Code: CodeState, Exit: ExitUsage,
			Detail: strings.TrimPrefix(err.Error(), ErrState.Error()+": "), Hint: "look at it as it is now, then decide again"}
	}
	for _, known := range approvalErrors {
		if errors.Is(err, known) {
			p := &Problem{Title: known.Error(), Status: http.StatusConflict, Code: CodeApproval, Exit: ExitPermission,
				Hint: "`holdfast requests list --all` shows how every request stands"}
			if errors.Is(known, approval.ErrSelf) || errors.Is(known, approval.ErrNotPerson) {
				p.Status = http.StatusForbidden
			}
			return p
		}
	}
	return storeProblem(err)
}

// approvalErrors say themselves what to do, and are free of content.
var approvalErrors = []error{
	approval.ErrSelf, approval.ErrNotPerson, approval.ErrExpired, approval.ErrDecided, approval.ErrNotApproved,
	approval.ErrDigest, approval.ErrUsed, approval.ErrOpen, approval.ErrBusy, approval.ErrInvalid,
}

func notConfigured(what string) *Problem {
	return &Problem{Title: "this appliance has no " + what, Status: http.StatusConflict, Code: CodeNoPart, Exit: ExitConfig,
		Hint: "the archive's administrator configures it in holdfastd.toml"}
}

// storeProblem is classify for the state that the store or the daemon is in.
func storeProblem(err error) *Problem {
	switch {
	case errors.Is(err, archive.ErrDiskFull):
		return &Problem{Title: "the disk is too full", Status: http.StatusInsufficientStorage, Code: CodeDiskFull, Exit: ExitTemporary,
			Hint: "free some space on the archive's disk; it goes on by itself"}
	case errors.Is(err, archive.ErrFailed):
		return &Problem{Title: "a write to the archive failed, and it takes nothing until it has been reopened", Status: http.StatusServiceUnavailable,
			Code: CodeFailed, Exit: ExitIO, Hint: "check the disk, then restart the daemon: it checks the archive as it opens it"}
	case errors.Is(err, archive.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, http.ErrServerClosed):
		return &Problem{Title: "the daemon is stopping", Status: http.StatusServiceUnavailable, Code: CodeStopping, Exit: ExitTemporary,
			Hint: "try again when it runs again"}
	default:
		return &Problem{Title: "the daemon could not do that", Status: http.StatusInternalServerError, Code: CodeInternal, Exit: ExitIO,
			Hint: "the daemon's log says why: journalctl -u holdfastd"}
	}
}

func unaudited(err error) *Problem {
	p := storeProblem(err)
	if p.Code == CodeStopping {
		return p
	}
	cause := p.Title
	if p.Code == CodeInternal {
		cause = ""
	}
	return &Problem{Title: "the look could not be recorded, so it was refused", Status: p.Status, Detail: cause,
		Code: CodeUnaudited, Exit: p.Exit, Hint: p.Hint}
}

func badRequest(detail, hint string) *Problem {
	return &Problem{Title: "the request is not one that this endpoint takes", Status: http.StatusBadRequest, Detail: detail,
		Code: CodeBadRequest, Exit: ExitUsage, Hint: hint}
}

// Indexing is the problem of a search that the index cannot answer now,
// because it is being rebuilt.
func Indexing(err error) *Problem {
	return &Problem{Title: "the search index is being rebuilt", Status: http.StatusServiceUnavailable, Code: CodeIndexing, Exit: ExitTemporary,
		Hint: "search again in a moment; `holdfast status` says how far the index is", err: err}
}

// BeyondLog is the problem of a search or export as of a size that the log has
// not reached.
func BeyondLog(err error) *Problem {
	p := badRequest("as of a size that the log has not reached", "`holdfast status` says how many entries the log has")
	p.err = err
	return p
}

// writeProblem answers with p. It must come before anything else is written.
func writeProblem(w http.ResponseWriter, p *Problem) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentProblem)
	w.WriteHeader(p.Status)
	_, err = w.Write(append(b, '\n'))
	return err
}

// parseProblem reads a problem that the daemon sent.
func parseProblem(b []byte) (*Problem, error) {
	var p Problem
	if err := ijson.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if p.Code == "" || p.Title == "" || p.Exit <= ExitOK || p.Exit > 255 {
		return nil, errors.New("not a problem of this API")
	}
	return &p, nil
}

// CodeOf returns the code of the problem that an error is answered with.
func CodeOf(err error) string { return problemOf(err).Code }
