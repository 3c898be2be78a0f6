package api

import (
	"time"

	"holdfast/archive/query"
)

// The orders of hits, both newest first; messages with the same claimed time
// are in the order of the log.
const (
	SortSeq  = "seq"  // by place in the log
	SortSent = "sent" // by the time that the sender's device claimed
)

// WatchBegin as SearchRequest.Watch asks for a watch of the search's query.
const WatchBegin = "begin"

// SearchRequest asks for the newest entries that match a query.
type SearchRequest struct {
	Query   string `json:"query,omitempty"`
	Saved   string `json:"saved,omitempty"` // instead of a query: the name of a search saved for the matter
	Reason  string `json:"reason,omitempty"`
	Matter  string `json:"matter,omitempty"`
	Limit   int    `json:"limit,omitempty"`   // hits, 1..MaxLimit; 0 means DefaultLimit
	Sort    string `json:"sort,omitempty"`    // SortSeq, which is the default, or SortSent
	Cursor  string `json:"cursor,omitempty"`  // the next page of the answer that gave it, as of the same entries
	Before  uint64 `json:"before,omitempty"`  // only hits below this seq, of SortSeq; 0 for all
	After   uint64 `json:"after,omitempty"`   // only hits above this seq; 0 for all
	AsOf    uint64 `json:"as_of,omitempty"`   // no entry after this seq exists for the search; 0 for all
	Explain bool   `json:"explain,omitempty"` // how the query is read

	// Watch is WatchBegin, or what the answer before said: then only what came
	// since is looked at, and an answer without hits is not recorded.
	Watch string `json:"watch,omitempty"`
}

// Extent is what a look at the archive can say of itself: how much there is,
// how far it saw, and what it could not see.
type Extent struct {
	Total     uint64 `json:"total"`       // entries that match, on all pages
	Through   uint64 `json:"through_seq"` // the look has seen the log through this entry
	Unindexed uint64 `json:"unindexed"`   // but for so many of them: total is then a lower bound. 0 unless the index is far behind

	// What follows is of the range of received times and seqs to which the
	// query confines itself: what lies outside it cannot match.

	Quarantined uint64 `json:"quarantined"` // entries in quarantine, whose text no search sees
	Disposed    uint64 `json:"disposed"`    // messages that were disposed of
	// WithoutText is how many messages more might match by text of theirs that
	// nobody could read, such as a picture's.
	WithoutText uint64 `json:"without_text"`

	Checkpoint *RunAgainst        `json:"checkpoint,omitempty"`
	People     []Named            `json:"people,omitempty"`     // whom the names in the query were taken for
	Quarantine []Quarantined      `json:"quarantine,omitempty"` // the newest of the quarantined, at most MaxQuarantine; show tells more of one
	Explain    *query.Explanation `json:"explain,omitempty"`
}

// RunAgainst is the checkpoint against which a look was run: it covers every
// entry that the look saw.
type RunAgainst struct {
	Size uint64 `json:"size"`
	Root string `json:"root"` // RFC 6962 root hash, standard base64
	Note string `json:"note"` // C2SP signed note
}

// SearchResponse answers a search. Its members are stable for scripts.
type SearchResponse struct {
	Extent
	Hits   []Hit  `json:"hits"`            // newest first
	Cursor string `json:"cursor"`          // of the next page; "" when this is the last
	Watch  string `json:"watch,omitempty"` // for the next look of a watch

	next *Place // where the next page begins
}

// NextAt notes where the page after this one begins; nil: there is none.
func (r *SearchResponse) NextAt(p *Place) { r.next = p }

// MaxQuarantine is how many quarantined entries a search names.
const MaxQuarantine = 20

// Quarantined names one quarantined entry.
type Quarantined struct {
	Seq      uint64    `json:"seq"`
	Received time.Time `json:"received"`
	Code     string    `json:"code"` // ingest/AMX.md §5
}

// Hit is a message as a search or a show gives it. Names are those of the
// device directory at the message's place in the relay's stream.
type Hit struct {
	Seq            uint64        `json:"seq"`
	Sent           string        `json:"sent"`     // as the sender's device claimed, RFC 3339; "" when it did not say
	Received       time.Time     `json:"received"` // as the log has it
	From           string        `json:"from"`     // name, else UPN, mail or usr
	FromUsr        string        `json:"from_usr"`
	To             []string      `json:"to"` // likewise
	ToUsrs         []string      `json:"to_usrs"`
	Conversation   string        `json:"conversation"` // name, else id
	ConversationID string        `json:"conversation_id"`
	Text           string        `json:"text"`
	Kind           string        `json:"kind"` // of the entry: "message", or "quarantine" where the query asks for it
	Typ            string        `json:"typ"`  // of the message, ingest/AMX.md §2
	Assurance      string        `json:"assurance"`
	Flags          []string      `json:"flags"`
	Attachments    []Attachment  `json:"attachments"`
	Missing        string        `json:"missing,omitempty"` // why there is nothing but the entry's place
	Members        []Participant `json:"members,omitempty"` // of the conversation when it was sent; of messages that are shown, not of hits
	Late           uint64        `json:"late,omitempty"`    // the entry of an attachment that came in later, by which it was found
	Followers
	Kept
}

// Followers are the entries that are about a message, as far as the look goes:
// its later versions, its recall, its receipts.
type Followers struct {
	Of       uint64     `json:"of,omitempty"` // of an edit: the message that it is a version of
	Edits    []Follower `json:"edits,omitempty"`
	Recalls  []Follower `json:"recalls,omitempty"`
	Receipts *Receipts  `json:"receipts,omitempty"`
	Others   []Follower `json:"others,omitempty"`             // reactions and expiries
	Unopened uint64     `json:"followers_unopened,omitempty"` // further ones, of which nothing is said
	// Unexamined says that there may be more: the index is too far behind.
	Unexamined bool `json:"followers_unexamined,omitempty"`
	// NotInScope counts those that are of people outside the caller's scope.
	NotInScope uint64 `json:"followers_not_in_scope,omitempty"`
}

// Receipts are the receipts of a message. One person may give several.
type Receipts struct {
	Delivered    uint64     `json:"delivered"`
	Read         uint64     `json:"read"`
	Acknowledged uint64     `json:"acknowledged"`
	Of           []Follower `json:"of"` // each, in the order of the log
}

// Follower is one entry that is about a message.
type Follower struct {
	Seq       uint64    `json:"seq"`
	Typ       string    `json:"typ"`
	Sent      string    `json:"sent"` // as the device claimed
	Received  time.Time `json:"received"`
	From      string    `json:"from"`
	FromUsr   string    `json:"from_usr"`
	Status    string    `json:"status,omitempty"` // of a receipt: delivered, read, acknowledged
	At        string    `json:"at,omitempty"`     // when the status was reached, as the device claimed
	Text      string    `json:"text,omitempty"`   // of an edit or reaction
	Assurance string    `json:"assurance,omitempty"`
	Flags     []string  `json:"flags,omitempty"`
	Missing   string    `json:"missing,omitempty"`

	toUsrs []string
}

// Attachment is what a message says of one attachment, and what became of it.
type Attachment struct {
	BID    string `json:"bid"`
	Name   string `json:"name"`
	Mime   string `json:"mime,omitempty"`
	Size   int64  `json:"size"` // bytes, as the sender said
	Status string `json:"status"`
	Text   string `json:"text,omitempty"` // what came of reading its text: internal/extract's status; "" while it was not tried
}

// The things by which a count counts.
const (
	ByCustodian    = "custodian"
	ByMonth        = "month" // received, in the site's time zone
	ByConversation = "conversation"
	ByTerm         = "term" // the query's words and phrases
)

// CountRequest asks how many entries match a query, and how they fall into
// buckets: a hit report. It is recorded like a search.
type CountRequest struct {
	Query   string `json:"query,omitempty"`
	Saved   string `json:"saved,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Matter  string `json:"matter,omitempty"`
	By      string `json:"by"`
	Limit   int    `json:"limit,omitempty"` // buckets, 1..MaxLimit; 0 means MaxLimit
	AsOf    uint64 `json:"as_of,omitempty"`
	Explain bool   `json:"explain,omitempty"`
}

// CountResponse answers a count. Months are in their order and terms in the
// query's; custodians and conversations with the most messages come first.
type CountResponse struct {
	Extent
	By      string   `json:"by"`
	Buckets []Bucket `json:"buckets"`
	Several uint64   `json:"buckets_total"` // how many there are, those beyond the limit included
}

// Bucket is one line of a count. A message counts for each custodian who sent
// or got it, and for each term that it has.
type Bucket struct {
	// Key is the month ("2026-01"), the conversation's id, the term as typed; of a
	// custodian the person's objectGUID, or "usr:" and a relay user who is nobody's.
	Key   string  `json:"key"`
	Name  string  `json:"name,omitempty"` // of the custodian or conversation
	Count uint64  `json:"count"`
	Alone *uint64 `json:"alone,omitempty"` // of a term: messages that have no other term of the query
}
