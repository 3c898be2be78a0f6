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
	Schema      uint32      `json:"schema"`           // of the store
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

// Kept says how long an entry is kept.
type Kept struct {
	HeldBy       []HeldBy   `json:"held_by,omitzero"`        // empty: by nothing; not there: not known
	DisposeAfter *time.Time `json:"dispose_after,omitempty"` // when it is due, held or not; not there: not known yet, or never
	Disposed     *Disposed  `json:"disposed,omitempty"`      // it is gone
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
	Context  *Context        `json:"context,omitempty"` // where it was asked for
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
