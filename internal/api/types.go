package api

import (
	"encoding/json"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
)

// Limits of requests.
const (
	MaxRequest   = 64 << 10 // a request's body, in bytes
	MaxLimit     = 1000     // hits of a search, accesses of an audit list
	DefaultLimit = 50       // of both, when the request says 0
)

// Status is how the daemon and its archive stand. It names no person.
type Status struct {
	Version     string      `json:"version"`
	Started     time.Time   `json:"started"`
	ArchiveID   string      `json:"archive_id"`
	Origin      string      `json:"origin"`
	Size        uint64      `json:"size"`              // entries in the log
	Accepting   bool        `json:"accepting"`         // whether the store takes entries
	Waiting     string      `json:"waiting,omitempty"` // why it does not, e.g. "disk_full"
	Relay       RelayStatus `json:"relay"`
	Index       IndexStatus `json:"index"`
	Quarantined uint64      `json:"quarantined"`
	Pending     uint64      `json:"pending_attachments"`
	Alarms      uint64      `json:"open_alarms"`
	Roles       bool        `json:"roles_configured"` // false: root and the daemon's own account hold every role
	Retention   Gauges      `json:"retention"`
}

// RelayStatus is how far the relay's stream has come.
type RelayStatus struct {
	Epoch   string     `json:"epoch"`
	Seq     uint64     `json:"seq"`               // of the newest relay event in the log
	Acked   uint64     `json:"acked"`             // the relay has heard that everything up to here is durable
	High    uint64     `json:"high"`              // newest seq that the relay says it has
	Contact *time.Time `json:"contact,omitempty"` // last valid page
	Failing string     `json:"failing,omitempty"` // code of what stands in the way now
}

// IndexStatus is how far the full-text index follows the log.
type IndexStatus struct {
	Through uint64 `json:"through"` // entries that the index covers
	Working bool   `json:"working"`
}

// SearchRequest asks for the newest entries that match a query.
type SearchRequest struct {
	Query  string `json:"query"`
	Reason string `json:"reason,omitempty"`
	Matter string `json:"matter,omitempty"`
	Limit  int    `json:"limit,omitempty"`  // hits, 1..MaxLimit; 0 means DefaultLimit
	Before uint64 `json:"before,omitempty"` // only hits below this seq; 0 for all. The last hit's seq begins the next page
	AsOf   uint64 `json:"as_of,omitempty"`  // no entry after this seq exists for the search; 0 for all. The first page's through_seq keeps the total of all pages the same
}

// SearchResponse answers a search. Its members are stable for scripts.
type SearchResponse struct {
	Total       uint64 `json:"total"`       // entries that match, on all pages
	Through     uint64 `json:"through_seq"` // the search has seen the log through this entry
	Unindexed   uint64 `json:"unindexed"`   // but for so many of them: total is then a lower bound. 0 unless the index is far behind
	Quarantined uint64 `json:"quarantined"` // quarantined entries, whose text no search sees
	Hits        []Hit  `json:"hits"`        // newest first

	People     []Named       `json:"people,omitempty"`     // whom the names in the query were taken for
	Quarantine []Quarantined `json:"quarantine,omitempty"` // the newest of the quarantined, at most MaxQuarantine; show tells more of one
}

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
	Seq            uint64       `json:"seq"`
	Sent           string       `json:"sent"`     // as the sender's device claimed, RFC 3339; "" when it did not say
	Received       time.Time    `json:"received"` // as the log has it
	From           string       `json:"from"`     // name, else UPN, mail or usr
	FromUsr        string       `json:"from_usr"`
	To             []string     `json:"to"` // likewise
	ToUsrs         []string     `json:"to_usrs"`
	Conversation   string       `json:"conversation"` // name, else id
	ConversationID string       `json:"conversation_id"`
	Text           string       `json:"text"`
	Kind           string       `json:"kind"` // of the entry: "message"
	Typ            string       `json:"typ"`  // of the message, ingest/AMX.md §2
	Assurance      string       `json:"assurance"`
	Flags          []string     `json:"flags"`
	Attachments    []Attachment `json:"attachments"`
	Missing        string       `json:"missing,omitempty"` // why there is nothing but the entry's place
	Kept
}

// Kept says how long an entry is kept.
type Kept struct {
	HeldBy       []HeldBy   `json:"held_by,omitzero"`        // empty: by nothing; not there: not known
	DisposeAfter *time.Time `json:"dispose_after,omitempty"` // when it is due, held or not; not there: not known yet, or never
	Disposed     *Disposed  `json:"disposed,omitempty"`      // it is gone
}

// Attachment is what a message says of one attachment, and what became of it.
type Attachment struct {
	BID    string `json:"bid"`
	Name   string `json:"name"`
	Mime   string `json:"mime,omitempty"`
	Size   int64  `json:"size"` // bytes, as the sender said
	Status string `json:"status"`
}

// ShowRequest asks for entries by number.
type ShowRequest struct {
	Seqs   []uint64 `json:"seqs"` // 1..audit.MaxSeqs
	Reason string   `json:"reason,omitempty"`
	Matter string   `json:"matter,omitempty"`
}

// ShowResponse holds the entries in the order in which they were asked for.
type ShowResponse struct {
	Entries []Shown `json:"entries"`
}

// Shown is one entry of any kind.
type Shown struct {
	Seq      uint64          `json:"seq"`
	Kind     string          `json:"kind"`
	Class    string          `json:"class"`
	Received time.Time       `json:"received"`
	Epoch    string          `json:"epoch,omitempty"`
	RelaySeq uint64          `json:"relay_seq,omitempty"`
	LeafHash string          `json:"leaf_hash"`         // RFC 6962, hex
	Message  *Hit            `json:"message,omitempty"` // of a message
	Note     json.RawMessage `json:"note,omitempty"`    // what the archive concluded
	Body     json.RawMessage `json:"body,omitempty"`    // of other kinds and of messages their payload, where it is JSON; attachment keys are taken out
	Raw      []byte          `json:"raw,omitempty"`     // a body that is not JSON
	Missing  string          `json:"missing,omitempty"` // why there is no body
	Kept
}

// VerifyRequest asks for a check of the whole store.
type VerifyRequest struct {
	LeavesOnly bool `json:"leaves_only,omitempty"` // the log without the bodies
}

// VerifyLine is one line of a check: exactly one member is there. The last
// line has a report or a problem; without it the check was cut off.
type VerifyLine struct {
	Progress *Progress    `json:"progress,omitempty"`
	Report   *CheckReport `json:"report,omitempty"`
	Problem  *Problem     `json:"problem,omitempty"`
}

// CheckReport is what a check found.
type CheckReport struct {
	OK bool `json:"ok"` // nothing was found
	archive.Report
}

// Progress says how far a long task has come, in entries.
type Progress struct {
	Step  string `json:"step,omitempty"` // of a task that has several
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// CheckpointResponse is what somebody needs to hold the archive to its word.
type CheckpointResponse struct {
	Checkpoint string          `json:"checkpoint"` // C2SP signed note
	LogKey     string          `json:"log_key"`    // note verifier key
	Identity   json.RawMessage `json:"identity"`   // identity.json
}

// AuditRequest asks who looked. Looking there is an access of its own, which
// needs no reason.
type AuditRequest struct {
	Action    string     `json:"action,omitempty"`
	Principal string     `json:"principal,omitempty"` // name or uid
	Person    string     `json:"person,omitempty"`    // of the directory, by any name they ever had
	Flagged   bool       `json:"flagged,omitempty"`   // only what is unusual
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"until,omitempty"` // before
	Before    uint64     `json:"before,omitempty"`
	Limit     int        `json:"limit,omitempty"`
	Reason    string     `json:"reason,omitempty"` // why the audit is read
	Matter    string     `json:"matter,omitempty"` // only accesses for this matter
}

// AuditResponse lists accesses, newest first.
type AuditResponse struct {
	Accesses []audit.Item `json:"accesses"`
}

// AlarmsRequest asks for the open alarms, or for all.
type AlarmsRequest struct {
	All bool `json:"all,omitempty"`
}

// AlarmsResponse lists alarms, newest first.
type AlarmsResponse struct {
	Alarms []Alarm `json:"alarms"`
}

// AlarmRequest asks for one alarm.
type AlarmRequest struct {
	Seq uint64 `json:"seq"`
}

// AckRequest acknowledges one alarm.
type AckRequest struct {
	Seq    uint64 `json:"seq"`
	Reason string `json:"reason"`
}

// Alarm is one alarm and, once somebody has seen to it, who and why.
type Alarm struct {
	Seq      uint64            `json:"seq"`
	Raised   time.Time         `json:"raised"`
	Name     string            `json:"name"`
	Severity string            `json:"severity"`
	Text     string            `json:"text"`
	Fix      string            `json:"fix"`
	Facts    map[string]string `json:"facts,omitempty"`
	Ack      *Ack              `json:"ack"` // null while it is open
}

// Ack is an alarm's acknowledgement.
type Ack struct {
	Seq       uint64    `json:"seq"`
	At        time.Time `json:"at"`
	Principal string    `json:"principal"`
	Reason    string    `json:"reason"`
}
