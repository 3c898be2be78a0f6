package query

import "time"

// Doc is what a query can see of an entry. An empty string, an empty list and
// a zero time are absent and match nothing; NOT of them matches.
type Doc struct {
	Seq            uint64
	Typ            string // the message's type, as its payload says
	Text           string
	Lang           string // language tag that the sender's app gave
	MRN, Encounter string // of the patient whom the sender named
	Prio           string // routine, urgent, stat
	Files          []File // its attachments
	Unread         bool   // some text of it could not be read, such as that of a picture; only Judge asks
	From, To       Parties
	Members        Parties // of the conversation, when it was sent
	Conversation   ConversationRef
	Sent           time.Time // as the sender's device said
	Received       time.Time // as the archive saw it
	Digest         [32]byte  // by which receipts and later versions refer to it (ingest/AMX.md §1); no query sees it

	// Quarantined says that it is no message but something that could not be
	// taken for one: only its seq and when it was received are known. Code is why.
	Quarantined bool
	Code        string
	// Hangs says that it is about another message and no hit itself, as a
	// receipt is: Match is false of it. Ref is the digest of that message, or
	// zero; an edit has one too.
	Hangs bool
	Ref   [32]byte
	// Late says that it is an attachment that came in after its message, the
	// entry Of: all that it says but Seq is the message's.
	Late bool
	Of   uint64
}

// About returns the seq of the message that the entry is, or stands for.
func (d *Doc) About() uint64 {
	if d.Late {
		return d.Of
	}
	return d.Seq
}

// File is an attachment as a query sees it.
type File struct {
	Name   string
	Text   string // what could be read of it
	Unread bool   // not all of it could be read; the entry is Unread then
}

// Party is a sender or recipient as the directory knew the person at the
// message's place in the relay's stream.
type Party struct {
	Usr, UPN, Mail, Name string
}

// IDs returns those of usr, UPN and mail address that the party has.
func (p Party) IDs() []string {
	ids := make([]string, 0, 3)
	for _, id := range []string{p.Usr, p.UPN, p.Mail} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// Parties are the people on one side of a message.
type Parties []Party

// ConversationRef names the conversation of a message.
type ConversationRef struct {
	ID, Name, Kind string
}
