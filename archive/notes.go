package archive

import "encoding/json"

// MessageNote is the note of a KindMessage entry: what the archive concluded
// when it took the message in (archive/FORMAT.md section 6).
type MessageNote struct {
	ID        string     `json:"id"`        // the relay's event id
	Time      string     `json:"time"`      // the relay's time, AMX/1 section 0
	Assurance string     `json:"assurance"` // enrolled or relay-asserted
	Device    string     `json:"device"`    // RFC 7638 thumbprint of the signing key
	Flags     []string   `json:"flags,omitempty"`
	Blobs     []BlobNote `json:"blobs,omitempty"`
	Class     *ClassNote `json:"class,omitempty"` // absent before there was a schedule
}

// ClassNote says by what an entry's record class was decided at append.
type ClassNote struct {
	Rule      string `json:"rule,omitempty"`      // of the schedule; "target": the class of the message that it is about; "longest": whom it concerns was not known
	Schedule  uint64 `json:"schedule,omitempty"`  // seq of the schedule's entry
	Directory uint64 `json:"directory,omitempty"` // size of the log as of which people and groups were looked up
}

// BlobNote says what had become of one attachment when its message was
// appended. A later KindBlob entry completes a pending one.
type BlobNote struct {
	BID    string `json:"bid"`
	Status string `json:"status"` // BlobStored, BlobPending, BlobMissing or BlobCorrupt
}

// The states of an attachment.
const (
	BlobStored  = "stored"
	BlobPending = "pending"
	BlobMissing = "blob_missing"
	BlobCorrupt = "blob_corrupt"
)

// QuarantineNote is the note of a KindQuarantine entry. Opened says that HPKE
// succeeded and that the body is what it gave; else the body is the event's
// data as the relay sent it.
type QuarantineNote struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"` // the relay event's kind
	Time   string `json:"time"`
	Code   string `json:"code"` // AMX/1 section 5
	Opened bool   `json:"opened"`

	Class *ClassNote `json:"class,omitempty"`
}

// DirectoryNote is the note of a KindDirectory entry: the verdict that was
// reached on it, so that a restart replays conclusions, not checks.
type DirectoryNote struct {
	ID      string          `json:"id"`
	Time    string          `json:"time"`
	Verdict json.RawMessage `json:"verdict"` // envelope.Verdict
}

// RelayNote is the note of a KindRelay entry.
type RelayNote struct {
	ID    string     `json:"id"`
	Kind  string     `json:"kind"`
	Time  string     `json:"time"`
	Class *ClassNote `json:"class,omitempty"`
}

// RedeliveryBody is the body of a KindRedelivery entry.
type RedeliveryBody struct {
	Of uint64 `json:"of"` // seq of the first delivery
}

// BlobBody is the body of a KindBlob entry. The message that the attachment
// belongs to is named by its place in the relay's stream.
type BlobBody struct {
	Epoch    string `json:"epoch"`
	RelaySeq uint64 `json:"relay_seq"`
	BID      string `json:"bid"`
	Status   string `json:"status"`
}

// EpochBody is the body of a KindEpoch entry: the relay's stream began anew.
type EpochBody struct {
	Epoch    string `json:"epoch"`
	Ordinal  uint32 `json:"ordinal"`
	Previous string `json:"previous,omitempty"` // "" at the first contact
	LastSeq  uint64 `json:"last_seq"`           // last seq of the previous epoch that this log holds
	LastHead string `json:"last_head"`          // its head, unpadded base64url; "" at the first contact
}

// AlarmBody is the body of a KindAlarm entry. It is free of content: counts
// and positions only.
type AlarmBody struct {
	Name     string            `json:"name"`     // stable, e.g. "relay-gap"
	Severity string            `json:"severity"` // "warning" or "critical"
	Text     string            `json:"text"`
	Fix      string            `json:"fix"`
	Facts    map[string]string `json:"facts,omitempty"` // positions, heads, counts
}

// AlarmAckBody is the body of a KindAlarmAck entry.
type AlarmAckBody struct {
	Of        uint64 `json:"of"` // seq of the alarm
	Principal string `json:"principal"`
	Reason    string `json:"reason"`
}
