package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"holdfast/internal/jws"
)

// AppendEvent appends e's line, newline included. An event that is not UTF-8 or breaks a limit has no line.
func AppendEvent(dst []byte, e Event) ([]byte, error) {
	if e.Seq == 0 || e.Seq > MaxSafe || len(e.ID) > MaxID || len(e.Kind) > MaxKind || e.Kind == "" {
		return nil, fmt.Errorf("event %d: %w: seq, id or kind", e.Seq, ErrMalformed)
	}
	if _, err := parseTime(e.Time); err != nil {
		return nil, fmt.Errorf("event %d: %w: %w", e.Seq, ErrMalformed, err)
	}
	if !utf8.ValidString(e.ID) || !utf8.ValidString(e.Kind) || !utf8.ValidString(e.Data) {
		return nil, fmt.Errorf("event %d: %w: not UTF-8", e.Seq, ErrMalformed)
	}
	return appendJSON(dst, e)
}

// AppendEnd appends the end line, newline included.
func AppendEnd(dst []byte, e End) ([]byte, error) {
	return appendJSON(dst, struct {
		End    bool   `json:"end"`
		Next   uint64 `json:"next"`
		High   uint64 `json:"high"`
		Oldest uint64 `json:"oldest"`
		Head   string `json:"head"`
		Time   string `json:"time"`
		Sig    string `json:"sig"`
	}{true, e.Next, e.High, e.Oldest, jws.EncodeB64(e.Head[:]), e.Time, jws.EncodeB64(e.Sig)})
}

// appendJSON leaves <, > and & as they are: escaping them would only make the page longer.
func appendJSON(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return buf.Bytes(), nil
}

// WritePage writes the events and the signed end line.
func WritePage(w io.Writer, events []Event, end End) error {
	var b []byte
	var err error
	for _, e := range events {
		if b, err = AppendEvent(b, e); err != nil {
			return err
		}
	}
	if b, err = AppendEnd(b, end); err != nil {
		return err
	}
	if len(b) > MaxPage {
		return fmt.Errorf("page of %d bytes is %w", len(b), ErrTooLarge)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
