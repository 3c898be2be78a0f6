package render

import (
	"cmp"
	"time"
)

// Stamp is how times of the archive and the relay are written in files, in
// UTC: RFC 3339 with milliseconds.
const Stamp = "2006-01-02T15:04:05.000Z07:00"

// When returns the time at which an entry is placed: its sender's claim, as a
// reader of messages expects it; for what has no sender, the relay's clock or
// the archive's.
func (e *Entry) When() time.Time {
	switch {
	case !e.Sent.IsZero():
		return e.Sent
	case !e.Relayed.IsZero():
		return e.Relayed
	}
	return e.Received
}

// Title is what stands for the entry in a list: the conversation's name, else
// whose message it is, else what it is. As it was said: hostile until escaped.
func (e *Entry) Title() string {
	switch {
	case e.Withheld != "":
		return "Withheld: " + e.Withheld
	case e.Conversation != nil && e.Conversation.Name != "":
		return e.Conversation.Name
	case e.From != nil:
		return "Message from " + e.From.Called()
	}
	return "Entry: " + cmp.Or(e.Typ, e.Kind)
}
