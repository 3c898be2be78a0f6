package api

import "time"

// MaxContext is how many messages before and after one entry are shown at most.
const MaxContext = 100

// ShowRequest asks for entries by number.
type ShowRequest struct {
	Seqs    []uint64 `json:"seqs"` // 1..audit.MaxSeqs
	Reason  string   `json:"reason,omitempty"`
	Matter  string   `json:"matter,omitempty"`
	Context int      `json:"context,omitempty"` // with so many messages before and after in the same conversation, 0..MaxContext
}

// ShowResponse holds the entries in the order in which they were asked for.
type ShowResponse struct {
	Entries []Shown `json:"entries"`
}

// Context is what was said around a message, in its conversation and in the
// order of the log.
type Context struct {
	Before     []Hit  `json:"before"`
	After      []Hit  `json:"after"`
	NotInScope uint64 `json:"not_in_scope"` // messages between these that are not in the caller's scope
}

// ConversationRequest asks for a conversation, as it was known at a time.
type ConversationRequest struct {
	ID     string     `json:"id"`
	Reason string     `json:"reason,omitempty"`
	Matter string     `json:"matter,omitempty"`
	Limit  int        `json:"limit,omitempty"`  // messages, 1..MaxLimit; 0 means DefaultLimit
	Cursor string     `json:"cursor,omitempty"` // the next page of the answer that gave it
	AsOf   uint64     `json:"as_of,omitempty"`  // no entry after this seq exists; 0 for all
	At     *time.Time `json:"at,omitempty"`     // no entry received after this time exists; not with as_of
}

// ConversationResponse holds messages in the order of the log, oldest first.
// Edits, recalls and receipts hang at their message, as far as they had come in.
type ConversationResponse struct {
	ID      string        `json:"id"`
	Name    string        `json:"name,omitempty"` // this and the members are as the newest message that the caller may see says
	Members []Participant `json:"members"`
	Extent
	Messages   []Hit  `json:"messages"`
	NotInScope uint64 `json:"not_in_scope"` // messages of the conversation that are not in the caller's scope
	Cursor     string `json:"cursor"`
}

// Participant is one person of the relay's.
type Participant struct {
	Usr  string `json:"usr"`
	Name string `json:"name,omitempty"`
}

// TimelineRequest asks who could see a message, and who read it when.
type TimelineRequest struct {
	Seq    uint64 `json:"seq"`
	Reason string `json:"reason,omitempty"`
	Matter string `json:"matter,omitempty"`
}

// TimelineResponse is what the log says of a message's way.
type TimelineResponse struct {
	Seq     uint64    `json:"seq"`
	Message *Hit      `json:"message,omitempty"`
	People  []Witness `json:"people"` // who could see it
	Events  []Event   `json:"events"` // in the order of the log
	Through uint64    `json:"through_seq"`
	// NotInScope counts events of people outside the caller's scope.
	NotInScope uint64 `json:"not_in_scope"`
	// Unopened counts entries about the message that were not looked at: there are very many.
	Unopened uint64   `json:"followers_unopened"`
	Limits   []string `json:"limits"` // what it cannot show
}

// Witness is somebody who could see a message, and what they did with it as far
// as the log says. Times are as the devices claimed.
type Witness struct {
	Participant
	As           []string `json:"as"`               // sender, recipient, member
	Basis        []Basis  `json:"basis"`            // why that is said
	Joined       *Basis   `json:"joined,omitempty"` // who came after the message was sent
	Left         *Basis   `json:"left,omitempty"`
	Delivered    string   `json:"delivered,omitempty"`
	Read         string   `json:"read,omitempty"`
	Acknowledged string   `json:"acknowledged,omitempty"`
}

// Basis is what a statement rests on.
type Basis struct {
	Seq  uint64 `json:"seq"`  // the entry
	Says string `json:"says"` // by whose word
	At   string `json:"at,omitempty"`
}

// Event is one thing that happened to a message.
type Event struct {
	Seq      uint64    `json:"seq"`
	What     string    `json:"what"` // sent, edited, recalled, delivered, read, acknowledged, reaction, expired, joined, left, closed
	At       string    `json:"at"`   // as the device claimed
	Received time.Time `json:"received"`
	Who      string    `json:"who"`
	WhoUsr   string    `json:"who_usr"`
	Basis    string    `json:"basis"` // by whose word
	Text     string    `json:"text,omitempty"`
}
