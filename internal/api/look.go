package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/ijson"
)

// decode reads a request's body into v: strict I-JSON of at most MaxRequest
// bytes.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	return decodeUpTo(w, r, v, MaxRequest)
}

// decodeUpTo is decode for another limit.
func decodeUpTo(w http.ResponseWriter, r *http.Request, v any, limit int64) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return badRequest("its body is not application/json", "send JSON with Content-Type: application/json")
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Problem{Title: "the request is too large", Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Exit: ExitUsage,
			Detail: fmt.Sprintf("such a request has at most %d bytes", limit), Hint: "shorten what it asks for"}
	}
	if err != nil {
		return badRequest("its body could not be read", "send it again")
	}
	if err := ijson.UnmarshalStrict(b, v); err != nil {
		return badRequest(err.Error(), "the package documentation of internal/api has the members of each request")
	}
	return nil
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(b.Bytes())
	return err
}

// look does one audited look: the access entry is durable before do begins,
// the outcome before look returns. When either entry cannot be written the
// look has not been granted, and the caller shows nothing.
func (s *Server) look(ctx context.Context, a audit.Access, do func(ctx context.Context, access uint64) (audit.Outcome, error)) error {
	a.At = time.Now()
	access, err := audit.Begin(ctx, s.Ledger, a)
	if err != nil {
		return err
	}
	// A crash from here to Finish leaves an access without an outcome: the trace errs on the side of having looked.
	o, err := do(ctx, access)
	o.Of, o.Result = access, audit.ResultShown
	if err != nil {
		o.Result, o.Code = audit.ResultFailed, problemUnder(ctx, err).Code
	}
	if ferr := audit.Finish(ctx, s.Ledger, o); ferr != nil && err == nil {
		return ferr
	}
	return err
}

// fill makes empty lists of missing ones: scripts need not tell them apart.
func (h *Hit) fill() {
	h.To, h.ToUsrs, h.Flags, h.Attachments = filled(h.To), filled(h.ToUsrs), filled(h.Flags), filled(h.Attachments)
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func limitOf(n int) (int, error) {
	if n < 0 || n > MaxLimit {
		return 0, badRequest(fmt.Sprintf("a limit of 1 to %d", MaxLimit), "ask for fewer, and for the next page with its cursor")
	}
	if n == 0 {
		return DefaultLimit, nil
	}
	return n, nil
}
