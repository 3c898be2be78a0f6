package api

import (
	"errors"
	"net/http"
	"strings"

	"holdfast/archive"
	"holdfast/retention"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

// errNoCertificate is asked for with a number that is no certificate's.
var errNoCertificate = errors.New("that entry is not a certificate; `holdfast certificate list` shows them")

// retentionErrors say themselves what to do, after a semicolon, and are free of
// content.
var retentionErrors = []struct {
	err    error
	status int
	code   string
	exit   int
}{
	{retention.ErrUnknownMatter, http.StatusNotFound, CodeNotFound, ExitUsage},
	{retention.ErrUnknownHold, http.StatusNotFound, CodeNotFound, ExitUsage},
	{retention.ErrNoPlan, http.StatusNotFound, CodeNotFound, ExitUsage},
	{errNoCertificate, http.StatusNotFound, CodeNotFound, ExitUsage},
	{retention.ErrNotMember, http.StatusForbidden, CodeMatter, ExitPermission},
	{retention.ErrNotAsked, http.StatusConflict, CodeApproval, ExitPermission},
	{retention.ErrMatterExists, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrMatterClosed, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrMatterHeld, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrLastMember, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrReleasing, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrReleased, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrNotReleasing, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrChangedSchedule, http.StatusConflict, CodeState, ExitTemporary},
	{retention.ErrWaiting, http.StatusConflict, CodeApproval, ExitPermission},
	{archive.ErrClockSound, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrFrozen, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrPlanUsed, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrNothing, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrIsHeld, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrRanges, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrNotPlain, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrCopyKnown, http.StatusConflict, CodeState, ExitUsage},
	{retention.ErrCopyUnknown, http.StatusNotFound, CodeNotFound, ExitUsage},
	{retention.ErrBusy, http.StatusServiceUnavailable, CodeBusy, ExitTemporary},
	{retention.ErrRunning, http.StatusServiceUnavailable, CodeBusy, ExitTemporary},
	{retention.ErrSurveying, http.StatusServiceUnavailable, CodeNotReady, ExitTemporary},
	{retention.ErrUnsettled, http.StatusServiceUnavailable, CodeBusy, ExitTemporary},
}

// retentionProblem is classify for holds and disposition; nil for other errors.
func retentionProblem(err error) *Problem {
	for _, known := range retentionErrors {
		if errors.Is(err, known.err) {
			title, hint, _ := strings.Cut(known.err.Error(), "; ")
			switch {
			case errors.Is(known.err, retention.ErrIsHeld):
				hint = "a court that orders it has to have the holds released first: `holdfast hold explain` shows which"
			case hint == "":
				hint = "`holdfast hold explain` says why an entry is kept, `holdfast disposition list --all` how plans stand"
			}
			return &Problem{Title: title, Hint: hint, Status: known.status, Code: known.code, Exit: known.exit}
		}
	}
	var faults schedule.Faults
	switch {
	case errors.As(err, &faults):
		return &Problem{Title: schedule.ErrSchedule.Error(), Status: http.StatusBadRequest, Code: CodeSchedule, Exit: ExitUsage, Detail: faults.Error(),
			Hint: "correct the lines that are named, and try it with --dry-run; retention/SCHEDULE.md has every key"}
	case errors.Is(err, hold.ErrScope):
		return badRequest(after(err, hold.ErrScope), "`holdfast hold place --help` says what a scope is")
	case errors.Is(err, retention.ErrInvalid):
		return badRequest(after(err, retention.ErrInvalid), "see the command's --help")
	}
	return nil
}

// after returns what an error says after a sentinel that it wraps.
func after(err, sentinel error) string {
	_, detail, ok := strings.Cut(err.Error(), sentinel.Error()+": ")
	if !ok {
		return sentinel.Error()
	}
	return detail
}
