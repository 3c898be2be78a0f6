// Package render is what the formats of productions have in common: the
// entries as a reader of a production sees them, free of how the archive keeps
// them, and what makes hostile text harmless in a file. The formats stand in
// the packages below it. They are pure: the same units and options give the
// same bytes on any day and machine, so that archive/export renders a
// production and later, verifying it, renders it again.
//
// Above floor 0 archive/export and the formats import it. What each format's
// files hold is specified in archive/export/FORMAT.md.
package render

import (
	"io"
	"time"
)

// Person is a sender, recipient or member with the particulars that the
// directory had as of the entry's place. Usr is always there.
type Person struct {
	Usr, UPN, Mail, Name string
}

// Conversation is where a message was said, as its sender's device named it.
type Conversation struct {
	ID, Kind, Name string
	Members        []Person // at the time of sending
}

// Subject is the patient that a message is about.
type Subject struct {
	MRN, Encounter string
	Born           int64 // year; 0: not said
}

// Attachment is one file of a message.
type Attachment struct {
	BID, Name, MIME string
	Size            int64  // bytes, as the sender said
	Status          string // archive.BlobStored and its like
	Bates           string // "" without Bates numbers
	Path            string // of its content in the production, a name of ours; "" where it is not produced
	TextPath        string // likewise of Text, in formats with Texts
	MD5, SHA256     string // of the content, lower-case hex; "" where it is not there
	Text            string // what could be read of it; "" for nothing
	// Open opens the content; nil where it is not there.
	Open func() (io.ReadCloser, error)
}

// Entry is one entry of the log. Absent parts are empty, zero or nil.
type Entry struct {
	Seq                     uint64
	Kind                    string    // of the entry: "message", "relay", ...
	Typ                     string    // of a message ("msg", "edit", "recall", "receipt", ...), else of the relay's event
	Received, Relayed, Sent time.Time // UTC, milliseconds: by the archive's, the relay's and the sender's clock
	Mid, Dev                string
	From                    *Person
	To                      []Person
	Conversation            *Conversation
	Text, Lang, Prio        string
	TextPath                string // of Text in the production, in formats with Texts; "" where it is not there
	Subject                 *Subject
	Attachments             []Attachment
	Target                  *uint64 // seq of the message that an edit, recall, receipt or reaction hangs at, where it is known
	Status                  string  // of a receipt: delivered, read or acknowledged
	StatusAt                time.Time
	Flags                   []string
	Assurance, Device       string
	LeafHash                string   // RFC 6962, hex; "" of a redacted or withheld entry
	Custodians              []string // names of the persons of the directory among its people
	Holds                   []string // names of this matter's holds that hold it
	Bates, BatesEnd         string   // of the message, and of its last attachment; "" without Bates numbers
	Redacted                bool     // parts of the text are covered: there is no Mid, LeafHash, Device or attachment's particulars
	Withheld                string   // why there is nothing but its place; "" for what is produced
	Body                    string   // of what is no message: the relay's event, JSON
}

// Unit is what is rendered as one document: one message with what hangs at
// it, or one conversation's day.
type Unit struct {
	Kind    UnitKind
	Stem    string  // a file name of ours without extension, unique in the production: [a-z0-9-/]
	Day     string  // YYYY-MM-DD in the production's zone, of a conversation's day
	Part    int     // 1, or which part of a conversation's day that is too large for one
	Parts   int     // how many parts the day has
	Entries []Entry // ascending by seq
}

// UnitKind says what makes a unit.
type UnitKind string

// The kinds of units.
const (
	Message         UnitKind = "message"
	ConversationDay UnitKind = "day"
	AConversation   UnitKind = "conversation"
)

// Options are the same for all units of a production, and stand in its manifest.
type Options struct {
	Origin string         // of the log
	Tool   string         // name and version of the program
	Zone   *time.Location // in which days and local times are given
	Matter string         // id; ""
	Legend string         // a protective order's legend, stamped on everything that a person reads; ""
}

// Sink takes a production's files, one at a time: each is closed before the
// next is created. Names are slash-separated names of ours.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Writer renders units in the order in which they come. It keeps no more than
// one unit. A production that is split into volumes has a Writer for each.
type Writer interface {
	// Unit renders one unit. What it is given it does not keep. All that it
	// renders of the unit has been written when it returns: what stands between
	// two calls belongs to neither unit (a table's heading, written by New).
	Unit(u *Unit) error
	// Close ends the last file; without it nothing is whole.
	Close() error
}

// Format is a format of productions.
type Format struct {
	Name  string     // as --as takes it
	Units []UnitKind // that it can render; the first is what it renders unless told otherwise
	// Embeds says that attachments stand within the format's own files; else they are
	// files of their own under Attachment.Path.
	Embeds bool
	// Texts says that texts of messages and attachments are files of their own
	// under TextPath: they are written for the format, not by it.
	Texts bool
	New   func(o Options, sink Sink) (Writer, error)
}
