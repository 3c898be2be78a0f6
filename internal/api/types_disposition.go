package api

import (
	"time"

	"holdfast/internal/role"
)

// ScheduleResponse is the retention schedule that counts.
type ScheduleResponse struct {
	Seq    uint64            `json:"seq"`    // of its entry; 0 before the first
	Text   string            `json:"text"`   // TOML, as it was applied; "" before the first: everything is kept
	Groups map[string]string `json:"groups"` // names of groups as it writes them, and their objectGUIDs
}

// ApplyScheduleRequest asks for another schedule.
type ApplyScheduleRequest struct {
	Text   string `json:"text"` // TOML, at most MaxSchedule bytes
	Reason string `json:"reason,omitempty"`
	Dry    bool   `json:"dry,omitempty"` // only say what would change
}

// ApplyApprovedRequest applies the schedule that a second person approved.
type ApplyApprovedRequest struct {
	Text    string `json:"text"` // exactly what was approved
	Request uint64 `json:"request"`
}

// ScheduleApplied says what a schedule changes. It counts from entry Seq on, or
// waits for Request; neither is there after a dry run or without a change.
type ScheduleApplied struct {
	Changes []ScheduleChange  `json:"changes"`
	Narrows bool              `json:"narrows"` // something would go sooner: that takes two people
	Seq     uint64            `json:"seq,omitempty"`
	Request uint64            `json:"request,omitempty"`
	Groups  map[string]string `json:"groups"` // as in ScheduleResponse
}

// ScheduleChange is one difference between two schedules.
type ScheduleChange struct {
	What    string `json:"what"` // "class", "rule" or "otherwise"
	Name    string `json:"name"`
	Text    string `json:"text"`
	Narrows bool   `json:"narrows"`
}

// Explanation says why an entry is kept, or that it is gone.
type Explanation struct {
	Seq         uint64     `json:"seq"`
	Class       string     `json:"class"`
	Rule        string     `json:"rule,omitempty"` // of the schedule, that gave it the class
	Schedule    uint64     `json:"schedule_seq,omitempty"`
	Trigger     string     `json:"trigger,omitempty"`
	Period      string     `json:"period,omitempty"`
	Due         *time.Time `json:"due,omitempty"` // null: not known yet, or never
	State       string     `json:"state"`         // "held", "kept", "due", "planned" or "disposed"
	HeldBy      []HeldBy   `json:"held_by"`
	Family      []uint64   `json:"family"` // the entries that are kept or go together with it
	Plans       []uint64   `json:"plans"`  // open ones that it is in
	Certificate uint64     `json:"certificate,omitempty"`
	Text        []string   `json:"text"` // what would have to happen for it to go
}

// PlansRequest asks for the plans that wait, or for all.
type PlansRequest struct {
	All bool `json:"all,omitempty"`
}

// PlansResponse lists plans, newest first, without their lines.
type PlansResponse struct {
	Plans []Plan `json:"plans"`
}

// PlanRequest asks for one plan.
type PlanRequest struct {
	Seq uint64 `json:"seq"`
}

// PlanDispositionRequest asks for a plan of what is due.
type PlanDispositionRequest struct {
	Class  string `json:"class,omitempty"` // "" for all
	Month  string `json:"month,omitempty"` // "2026-01"; "" for all
	Reason string `json:"reason"`
	Dry    bool   `json:"dry,omitempty"` // only say what is due: nothing is logged, nobody is asked
}

// EraseRequest asks for a plan to erase single entries, as a court ordered.
type EraseRequest struct {
	Seqs   []uint64 `json:"seqs"` // 1..audit.MaxSeqs
	Reason string   `json:"reason"`
}

// ReclassifyRequest asks for a plan to give single entries another class.
type ReclassifyRequest struct {
	Seqs   []uint64 `json:"seqs"` // 1..audit.MaxSeqs
	Class  string   `json:"class"`
	Reason string   `json:"reason"`
}

// RunRequest carries out an approved plan.
type RunRequest struct {
	Plan uint64 `json:"plan"`
}

// PlanKind says what a plan is for.
type PlanKind string

// The kinds of plans.
const (
	PlanCutoff  PlanKind = "cutoff"  // what is due by the schedule
	PlanErase   PlanKind = "erase"   // single entries, by a court's order, due or not
	PlanReclass PlanKind = "reclass" // single entries get another class; nothing is destroyed
)

// PlanState says where a plan stands.
type PlanState string

// The states of a plan.
const (
	PlanWaiting   PlanState = "waiting"  // for the second person
	PlanApproved  PlanState = "approved" // and not run
	PlanDenied    PlanState = "denied"
	PlanExpired   PlanState = "expired" // not decided or not run in time, or never asked for
	PlanRunning   PlanState = "running" // the switch is made; keys or certificates are outstanding
	PlanDone      PlanState = "done"
	PlanAbandoned PlanState = "abandoned" // run, and all of it undone because something was held
)

// Plan is what somebody means to dispose of, erase or reclassify, and what
// became of it. Times are received times.
type Plan struct {
	Seq      uint64         `json:"seq,omitempty"` // of its entry; 0 of a dry run
	Kind     PlanKind       `json:"kind"`
	AsOf     time.Time      `json:"as_of"`
	Through  uint64         `json:"through"`      // log size up to which entries were looked at
	Schedule uint64         `json:"schedule_seq"` // 0: no schedule
	By       role.Principal `json:"by"`
	At       time.Time      `json:"at"`
	Reason   string         `json:"reason"`
	Class    string         `json:"to_class,omitempty"` // of a reclass: the new class
	Request  uint64         `json:"request,omitempty"`  // on which the second person decides
	State    PlanState      `json:"state,omitempty"`
	Lines    []PlanLine     `json:"lines"`
	Total    uint64         `json:"total"`            // entries that would go
	Digest   string         `json:"digest,omitempty"` // SHA-256 of exactly what is planned, hex

	Intent       uint64   `json:"intent,omitempty"` // or the reclass entry
	Certificates []uint64 `json:"certificates,omitempty"`
	Faults       []Fault  `json:"faults,omitempty"` // entries that broke a rule
}

// PlanLine is one class-month of a plan. What was looked at is Due + NotDue.
type PlanLine struct {
	Class    string     `json:"class"`
	Month    string     `json:"month"`               // YYYY-MM
	Entries  uint64     `json:"entries"`             // would go
	Due      uint64     `json:"due"`                 // held ones included
	Bytes    uint64     `json:"bytes"`               // of what would go: body lengths as the leaves state them
	HeldBack []HeldBack `json:"held_back,omitempty"` // what keeps due ones; an entry may be held by several
	NotDue   uint64     `json:"not_due"`
	NextDue  *time.Time `json:"next_due,omitempty"` // the earliest that is known, of those not due
	First    uint64     `json:"first,omitempty"`    // seqs of the first and last entry that would go
	Last     uint64     `json:"last,omitempty"`
	Why      string     `json:"why"` // free of content
}

// HeldBack is one reason that keeps due entries of a class-month.
type HeldBack struct {
	Hold    uint64 `json:"hold,omitempty"` // 0 when no hold does, but damage
	Matter  string `json:"matter,omitempty"`
	Why     string `json:"why"`
	Entries uint64 `json:"entries"`
}

// Ran is what became of a plan that was run.
type Ran struct {
	Plan         uint64                   `json:"plan"`
	Kind         PlanKind                 `json:"kind"`
	Intent       uint64                   `json:"intent,omitempty"` // or the reclass entry
	Certificates []DispositionCertificate `json:"certificates,omitempty"`
	Gone         uint64                   `json:"gone"`                // entries; of a reclass: reclassified
	TakenOut     []TakenOut               `json:"taken_out,omitempty"` // planned, and kept after all
	Abandoned    []PlanLine               `json:"abandoned,omitempty"` // class-months switched and switched back
}

// TakenOut is one reason why planned entries of a class-month stayed.
type TakenOut struct {
	Class   string `json:"class"`
	Month   string `json:"month"`
	Hold    uint64 `json:"hold,omitempty"`
	Matter  string `json:"matter,omitempty"`
	Why     string `json:"why"`
	Entries uint64 `json:"entries"`
}

// WorkLine is one line of a long task: exactly one member is there. The last
// line has a plan, what was run, or a problem; without it the answer was cut off.
type WorkLine struct {
	Progress *Progress `json:"progress,omitempty"`
	Plan     *Plan     `json:"plan,omitempty"`
	Ran      *Ran      `json:"ran,omitempty"`
	Problem  *Problem  `json:"problem,omitempty"`
}

// CertificatesRequest asks for certificates.
type CertificatesRequest struct {
	Class string `json:"class,omitempty"`
	Month string `json:"month,omitempty"`
}

// CertificatesResponse lists certificates, newest first, without their signed
// form.
type CertificatesResponse struct {
	Certificates []DispositionCertificate `json:"certificates"`
}

// CertificateRequest asks for one certificate.
type CertificateRequest struct {
	Seq uint64 `json:"seq"`
}

// ClockResponse says whether disposition is frozen because the clock jumped.
type ClockResponse struct {
	Frozen   bool      `json:"frozen"`
	Since    uint64    `json:"since,omitempty"` // seq of the jump's entry; 0 when it is not written yet
	Received time.Time `json:"received"`        // the log's time
	Wall     time.Time `json:"wall"`            // the clock's
}

// ReleaseClockRequest says that the clock is right.
type ReleaseClockRequest struct {
	Reason string `json:"reason"`
}

// CopiesResponse lists copies that could open what was disposed of.
type CopiesResponse struct {
	Copies []Copy `json:"copies"`
}

// NoteCopyRequest records that there is a copy.
type NoteCopyRequest struct {
	ID      string `json:"id"`
	What    string `json:"what"` // "keyring", "recovery", "backup" or "snapshot"
	Where   string `json:"where"`
	Keyring uint64 `json:"keyring,omitempty"` // its keyring's generation
	Reason  string `json:"reason,omitempty"`
}

// CopyGone records that a copy is gone.
type CopyGoneRequest struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Disposed says that an entry was disposed of.
type Disposed struct {
	Certificate uint64    `json:"certificate"` // seq
	At          time.Time `json:"at"`
	Class       string    `json:"class"`
	Month       string    `json:"month"`
}

// Statement is what a certificate says, and its JWS signs. Times are received
// times.
type Statement struct {
	V            int            `json:"v"` // 1
	Archive      string         `json:"archive"`
	Origin       string         `json:"origin"`
	Class        string         `json:"class"` // the class-month as its file is named
	Month        string         `json:"month"`
	Kind         PlanKind       `json:"kind"`
	First        uint64         `json:"first"` // seqs
	Last         uint64         `json:"last"`
	Count        uint64         `json:"count"`         // entries destroyed
	Ranges       string         `json:"ranges"`        // which: canonical bytes, base64url
	RangesDigest string         `json:"ranges_digest"` // SHA-256 of those bytes, hex
	LeafRange    LeafRange      `json:"leaf_range"`
	Keys         []KeyID        `json:"keys"`
	Method       string         `json:"method"`
	Schedule     uint64         `json:"schedule_seq"`
	Plan         uint64         `json:"plan"`
	Request      uint64         `json:"request"`
	Intent       uint64         `json:"intent"`
	Of           uint64         `json:"of,omitempty"` // the certificate that this one continues
	Planner      role.Principal `json:"planner"`
	Approver     role.Principal `json:"approver"`
	Runner       role.Principal `json:"runner"`
	Before       string         `json:"checkpoint_before"` // C2SP signed notes
	After        string         `json:"checkpoint_after"`
	Survivors    uint64         `json:"survivors"` // entries of the class-month that stayed
	Files        uint64         `json:"files"`     // body files and
	Blobs        uint64         `json:"blobs"`     // attachments unlinked by the same run
	Keyring      uint64         `json:"keyring"`   // generation from which on the keys are not in it
	Copies       []Remaining    `json:"copies"`
	Media        string         `json:"media"`
	Complete     bool           `json:"complete"` // no known copy could still open it
	At           string         `json:"at"`       // RFC 3339, UTC
	Tool         string         `json:"tool"`
}

// KeyID names a key that was destroyed without telling it.
type KeyID struct {
	Name string `json:"name"`
	ID   string `json:"id"` // hex of the first 16 bytes of SHA-256("holdfast key id v1\0" ‖ key)
}

// LeafRange is the part of the log in which the destroyed entries lie. Their
// leaves stay.
type LeafRange struct {
	From uint64 `json:"from"` // From ≤ seq < To: everything received in the month so far
	To   uint64 `json:"to"`
}

// Remaining is one known copy that could still open what a certificate is
// about.
type Remaining struct {
	What  string     `json:"what"` // as Copy.What, or "recipient": an HPKE key to which it came sealed
	Where string     `json:"where,omitempty"`
	ID    string     `json:"id"`
	Until *time.Time `json:"until,omitempty"` // when it goes by itself
}

// DispositionCertificate is a certificate's entry.
type DispositionCertificate struct {
	Seq uint64 `json:"seq"`
	Statement
	JWS       string `json:"jws"`                 // compact, typ "holdfast+certificate", by the identity key
	Continued uint64 `json:"continued,omitempty"` // the newest certificate about the same
}

// Copy is a copy of keys or data that somebody made, as far as it is known
// here.
type Copy struct {
	ID      string     `json:"id"`   // [A-Za-z0-9._-]{1,64}, never used again
	What    string     `json:"what"` // "keyring", "recovery", "backup" or "snapshot"
	Where   string     `json:"where"`
	Keyring uint64     `json:"keyring"` // its keyring's generation; 0: not known, and so older than any
	Noted   time.Time  `json:"noted"`
	Seq     uint64     `json:"seq"`
	Gone    *time.Time `json:"gone,omitempty"`
}

// Fault is an entry that broke a rule.
type Fault struct {
	Seq  uint64 `json:"seq"`
	Code string `json:"code"`
}
