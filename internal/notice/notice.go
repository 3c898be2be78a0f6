// Package notice takes alarms out of the machine, by mail, webhook and syslog,
// until somebody acknowledges them, and copies the audit to a collector of the
// site's (SIEM). Whatever leaves is free of content: of an alarm its name, its
// severity and the sentences that this program holds for it, of a look who
// looked, how and with what outcome, by number and never by name; no query, no
// reason, no matter, no message.
//
// internal/daemon imports it. What it sends is specified at Alarm, Webhook and
// Syslog, and at Look for the audit's copy.
package notice

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The ways out, as metrics and answers name them.
const (
	WaySMTP    = "smtp"
	WayWebhook = "webhook"
	WaySyslog  = "syslog"
	WayMirror  = "mirror"
)

// Alarm is one alarm as it leaves the machine. Text and Fix are sentences of
// this program that hold no name: the facts of an alarm, in which there may be
// one, never leave.
type Alarm struct {
	Seq      uint64    `json:"seq"` // of its entry; 0 for a test
	Name     string    `json:"name"`
	Severity string    `json:"severity"` // "critical" or "warning"; "test"
	Text     string    `json:"text"`
	Fix      string    `json:"fix"`
	Raised   time.Time `json:"raised"`
	Repeat   int       `json:"repeat"` // how often it was sent by this way before, since the daemon started
}

// Parcel is what is sent at once.
type Parcel struct {
	ArchiveID string
	Sent      time.Time
	Alarms    []Alarm // at least one; the most severe first, then the newest
	Test      bool    // a person asked for it: nothing is wrong
}

// A Way takes parcels out of the machine.
type Way interface {
	// Name returns one of the constants above.
	Name() string
	// Send returns nil once somebody else's machine has taken the parcel. It ends
	// with ctx, or by itself within a bounded time.
	Send(ctx context.Context, p Parcel) error
}

var (
	// ErrSettings is returned for a way that cannot be as it is configured.
	ErrSettings = errors.New("settings")

	// ErrNotTaken is returned when the other end answered, and did not take it.
	ErrNotTaken = errors.New("the other end did not take it")

	// ErrPlain is returned for a mail server that answers without TLS: it is told
	// nothing.
	ErrPlain = errors.New("the mail server offers no STARTTLS, and nothing is sent in the open; have it offered there, or set notify.smtp.address to the port that speaks TLS from the first byte (often 465) and notify.smtp.tls to \"tls\"")
)

// Bounds of what is sent, in bytes, whatever the log holds.
const (
	maxWord     = 64
	maxSentence = 700
)

// worst returns the most severe of the alarms' severities.
func (p *Parcel) worst() string {
	if p.Test {
		return "test"
	}
	for _, a := range p.Alarms {
		if a.Severity == "critical" {
			return a.Severity
		}
	}
	return "warning"
}

// clean returns the parcel with nothing in it that could be taken for
// something else where it arrives: a new header, a new line, a terminal's
// command.
func (p Parcel) clean() Parcel {
	alarms := make([]Alarm, len(p.Alarms))
	for i, a := range p.Alarms {
		a.Name, a.Severity = word(a.Name), word(a.Severity)
		a.Text, a.Fix = sentence(a.Text), sentence(a.Fix)
		a.Raised = a.Raised.UTC()
		alarms[i] = a
	}
	p.Alarms, p.ArchiveID, p.Sent = alarms, word(p.ArchiveID), p.Sent.UTC()
	return p
}

// word keeps of s what may stand in a name, an address, a header or a
// structured value without being escaped.
func word(s string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._:-+", r):
			return r
		}
		return '_'
	}, strings.ToValidUTF8(s, "_"))
	return out[:min(len(out), maxWord)]
}

// sentence keeps printable ASCII, in one line, of bounded length: the program's
// sentences are English.
func sentence(s string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || r < ' ' || r == 0x7f:
			return ' '
		case r > 0x7f:
			return '?'
		}
		return r
	}, s)
	return out[:min(len(out), maxSentence)]
}

// title is one line that says it all: a mail's subject.
func (p *Parcel) title() string {
	switch {
	case p.Test:
		return fmt.Sprintf("[holdfast %s] test of the alarms' way out", p.ArchiveID)
	case len(p.Alarms) == 1:
		return fmt.Sprintf("[holdfast %s] %s: %s", p.ArchiveID, p.Alarms[0].Severity, p.Alarms[0].Name)
	}
	return fmt.Sprintf("[holdfast %s] %s: %d alarms are open", p.ArchiveID, p.worst(), len(p.Alarms))
}
