package rsmf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"holdfast/archive/render"
)

// version is that of RSMF, in the manifest and in the head.
const version = "2.0.0"

// manifestName is the file of rsmf.zip that names all others.
const manifestName = "rsmf_manifest.json"

// manifest is rsmf_manifest.json. Members in the order in which they are written.
type manifest struct {
	Version       string            `json:"version"`
	Collection    string            `json:"eventcollectionid"`
	Participants  []participant     `json:"participants"`
	Conversations []conversation    `json:"conversations"`
	Events        []json.RawMessage `json:"events"`
}

type custom struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type participant struct {
	ID      string   `json:"id"`
	Display string   `json:"display"`
	Email   string   `json:"email,omitempty"`
	Account string   `json:"account_id,omitempty"`
	Custom  []custom `json:"custom,omitempty"`
}

type conversation struct {
	ID           string   `json:"id"`
	Platform     string   `json:"platform"`
	Participants []string `json:"participants"`
	Display      string   `json:"display,omitempty"`
	Type         string   `json:"type"`
	Custodian    string   `json:"custodian,omitempty"`
	Custom       []custom `json:"custom,omitempty"`
}

// The types of events and conversations.
const (
	typeMessage    = "message"
	typeDisclaimer = "disclaimer"
	typeJoin       = "join"
	typeLeave      = "leave"
	typeUnknown    = "unknown"

	typeDirect  = "direct"
	typeChannel = "channel"
)

type event struct {
	Type         string       `json:"type"`
	ID           string       `json:"id"`
	Parent       string       `json:"parent,omitempty"`
	Body         string       `json:"body,omitempty"`
	Participant  string       `json:"participant,omitempty"`
	Conversation string       `json:"conversation,omitempty"`
	Timestamp    string       `json:"timestamp"`
	Deleted      bool         `json:"deleted,omitempty"`
	Importance   string       `json:"importance,omitempty"`
	Custom       []custom     `json:"custom,omitempty"`
	Reactions    []reaction   `json:"reactions,omitempty"`
	Attachments  []attachment `json:"attachments,omitempty"`
	Edits        []edit       `json:"edits,omitempty"`
	Receipts     []receipt    `json:"read_receipts,omitempty"`
}

type reaction struct {
	Value        string   `json:"value"`
	Count        int      `json:"count"`
	Participants []string `json:"participants"`
}

type attachment struct {
	ID      string `json:"id"`
	Display string `json:"display"`
	Size    int64  `json:"size"`
}

type edit struct {
	Participant string `json:"participant"`
	Timestamp   string `json:"timestamp"`
	Previous    string `json:"previous"`
	New         string `json:"new"`
}

type receipt struct {
	Participant string `json:"participant"`
	Timestamp   string `json:"timestamp"`
	Action      string `json:"action"`
}

// note adds a custom value, unless it is empty.
func (e *event) note(name, value string) {
	if value != "" {
		e.Custom = append(e.Custom, custom{name, value})
	}
}

// marshal returns v as JSON in which every rune that could steer what shows it
// is escaped: a reader gets the same value back.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("rsmf: %w", err)
	}
	plain := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(plain))
	for len(plain) > 0 {
		r, size := utf8.DecodeRune(plain)
		if render.Unsafe(r) && r < 0x10000 {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, plain[:size]...)
		}
		plain = plain[size:]
	}
	return out, nil
}
