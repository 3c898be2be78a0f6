package query

import "time"

// Doc is what a query can see of an entry. An empty string, an empty list and
// a zero time are absent and match nothing; NOT of them matches.
type Doc struct {
	Seq          uint64
	Typ          string // the message's type, as its payload says
	Text         string
	Names        []string // file names of its attachments
	Unread       bool     // it has text that could not be read, such as that of a picture; only Judge asks
	From, To     Parties
	Conversation ConversationRef
	Sent         time.Time // as the sender's device said
	Received     time.Time // as the archive saw it
	Digest       [32]byte  // by which receipts and later versions refer to it (ingest/AMX.md §1); no query sees it
}

// Party is a sender or recipient as the directory knew the person at the
// message's place in the relay's stream.
type Party struct {
	Usr, UPN, Mail, Name string
}

// Parties are the people on one side of a message.
type Parties []Party

// ConversationRef names the conversation of a message.
type ConversationRef struct {
	ID, Name, Kind string
}
