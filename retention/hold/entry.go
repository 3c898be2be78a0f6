package hold

import (
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/query"
)

// Entry is the facts about one entry. Whoever gathers them says Unknown rather
// than guess.
type Entry struct {
	Seq      uint64
	Kind     proof.Kind
	Received time.Time
	Latest   time.Time // when it was received at the latest, where Received is not sure; else zero
	Sent     time.Time // as the sender's device said; zero if it did not
	// Unknown says that what the entry says, or whom it concerns, is not known:
	// it was quarantined, or its body could not be read or understood. Of an
	// entry about looking: whose messages were looked at is not known.
	Unknown bool
	// Doc is what a query can see of a message, of whatever type: that of a
	// receipt has no text. Nil for what is no message.
	Doc *query.Doc
	// Usrs are the relay users whom a message concerns: its sender, its
	// recipients, the members of its conversation at the time. Persons are the
	// objectGUIDs to which they are or ever were matched.
	Usrs         []string
	Persons      []string
	Conversation string
	// Of an entry about looking: the matter that it names, and whose messages
	// were looked at or asked for, as a Scope names custodians.
	Matter     string
	Custodians []string
}
