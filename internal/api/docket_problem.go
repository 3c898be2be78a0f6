package api

import (
	"errors"
	"net/http"
	"strings"

	"holdfast/archive/docket"
)

// errNoClawback is asked for with a number that is no clawback's.
var errNoClawback = errors.New("that entry asked nothing back; `holdfast clawback list` shows those that did")

// docketErrors say themselves what to do, after a semicolon, and are free of
// content.
var docketErrors = []struct {
	err    error
	status int
	code   string
	exit   int
}{
	{docket.ErrUnknownMatter, http.StatusNotFound, CodeNotFound, ExitUsage},
	{docket.ErrMatterClosed, http.StatusConflict, CodeState, ExitUsage},
	{docket.ErrNotMessage, http.StatusBadRequest, CodeBadRequest, ExitUsage},
	{docket.ErrNotTagged, http.StatusConflict, CodeState, ExitUsage},
	{docket.ErrBatesTaken, http.StatusConflict, CodeState, ExitUsage},
	{docket.ErrNoReservation, http.StatusConflict, CodeState, ExitUsage},
	{docket.ErrUnknownProduction, http.StatusNotFound, CodeNotFound, ExitUsage},
	{docket.ErrEnded, http.StatusConflict, CodeState, ExitUsage},
	{docket.ErrNotProduced, http.StatusNotFound, CodeNotFound, ExitUsage},
	{docket.ErrSearchExists, http.StatusConflict, CodeState, ExitUsage},
	{docket.ErrUnknownSearch, http.StatusNotFound, CodeNotFound, ExitUsage},
	{docket.ErrBusy, http.StatusServiceUnavailable, CodeBusy, ExitTemporary},
	{errNoClawback, http.StatusNotFound, CodeNotFound, ExitUsage},
}

// docketProblem is classify for tags, productions, clawbacks and saved searches;
// nil for other errors.
func docketProblem(err error) *Problem {
	for _, known := range docketErrors {
		if errors.Is(err, known.err) {
			title, hint, _ := strings.Cut(known.err.Error(), "; ")
			return &Problem{Title: title, Hint: hint, Status: known.status, Code: known.code, Exit: known.exit}
		}
	}
	if errors.Is(err, docket.ErrInvalid) {
		return badRequest(after(err, docket.ErrInvalid), "see the command's --help")
	}
	return nil
}
