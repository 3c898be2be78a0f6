package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"holdfast/internal/ijson"
)

// Codes of the problem reports of ingest/AMX.md §3. CodeBadRequest, CodeNotFound, CodeTooLarge, CodeUnauthorized, CodeSlowDown,
// CodeUnavailable, CodeKeysetVersion and CodeKeyExpired name what the specification gives by status alone.
const (
	CodeUnauthorized  = "unauthorized"   // 401
	CodeWrongArchive  = "wrong_archive"  // 403
	CodeNotFound      = "not_found"      // 404: no such blob, or no keyset yet
	CodeGone          = "gone"           // 410: the blob was deleted
	CodeEpochChanged  = "epoch_changed"  // 409: ask for the status, go on with the new epoch
	CodeHeadMismatch  = "head_mismatch"  // 409: an ack's head is not the relay's
	CodeCursorAhead   = "cursor_ahead"   // 409: after is past what the relay holds
	CodeAckAhead      = "ack_ahead"      // 409: an ack's seq is past what the relay holds
	CodeCursorExpired = "cursor_expired" // 410: events after the cursor are gone: data loss
	CodeTooLarge      = "too_large"      // 413
	CodeSlowDown      = "too_many"       // 429, with Retry-After
	CodeUnavailable   = "unavailable"    // 503, with Retry-After
	CodeBadRequest    = "bad_request"    // 400
	CodeBadSignature  = "bad_signature"  // 403: an ack or keyset that the pinned identity key did not sign
	CodeKeysetVersion = "keyset_version" // 409: a keyset's version does not rise
	CodeKeyExpired    = "key_expired"    // 409: an envelope under a key past its not_after: seal again
	CodeUnknownUser   = "unknown_user"   // 404: a provision request names a usr that the relay does not have
	CodeUnknownDevice = "unknown_device" // 404: it names a device or key that the relay does not have for that usr
	CodeIDReused      = "id_reused"      // 409: its id stands for a request of other content
	CodeNotSupported  = "not_supported"  // 501: the relay takes no provision requests, or not this op
)

const (
	problemType = "application/problem+json"
	maxProblem  = 64 << 10
)

// Problem is an RFC 9457 problem report. It is an error.
type Problem struct {
	Type       string        `json:"type"`
	Title      string        `json:"title"`
	Status     int           `json:"status"`
	Detail     string        `json:"detail,omitempty"`
	Code       string        `json:"code"`
	RetryAfter time.Duration `json:"-"` // of the Retry-After header; 0 where there was none
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("relay answered %d", p.Status)
	if p.Code != "" {
		text += " " + p.Code
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// WriteProblem answers with a problem report. A Retry-After header is the caller's to set before.
func WriteProblem(w http.ResponseWriter, status int, code, detail string) {
	body, err := json.Marshal(Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code})
	if err != nil {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A reader that hung up has no use for the rest of the report.
	_, _ = w.Write(body)
}

// ReadProblem turns an answer that is not a success into a *Problem, whether or not its body is a problem report, and reads no more than
// 64 KiB of it. Closing the body stays with the caller.
func ReadProblem(resp *http.Response) error {
	p := &Problem{}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err == nil && media == problemType {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if err != nil {
			return fmt.Errorf("relay answered %d, and reading why failed: %w", resp.StatusCode, err)
		}
		if ijson.Unmarshal(body, p) != nil {
			p = &Problem{}
		}
	}
	// The status line decides: a report that contradicts it describes some other answer.
	p.Status = resp.StatusCode
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	return p
}

// retryAfter reads both forms of RFC 9110 §10.2.3; what is neither counts as absent. It is at most a day.
func retryAfter(s string) time.Duration {
	const most = 24 * time.Hour
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(time.Until(t), 0), most)
	}
	return 0
}
