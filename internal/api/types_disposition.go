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
	ScheduleSeq uint64     `json:"schedule_seq,omitempty"`
	Trigger     string     `json:"trigger,omitempty"`
	Period      string     `json:"period,omitempty"`
	Due         *time.Time `json:"due,omitempty"` // null: not known yet, or never
	State       string     `json:"state"`         // "held", "kept", "due", "planned" or "disposed"
	HeldBy      []HeldBy   `json:"held_by"`
	Family      []uint64   `json:"family"` // the entries that are kept or go together with it
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

// Plan is what shall go: planned by one person, approved by another, run once.
type Plan struct {
	Seq         uint64          `json:"seq"`  // of its entry: its number; 0 of a dry run
	Kind        string          `json:"kind"` // "cutoff", "erase" or "reclass"
	AsOf        time.Time       `json:"as_of"`
	Through     uint64          `json:"through"`
	ScheduleSeq uint64          `json:"schedule_seq,omitempty"`
	By          *role.Principal `json:"by,omitempty"`
	At          *time.Time      `json:"at,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Request     uint64          `json:"request,omitempty"`  // that an approver decides
	State       string          `json:"state"`              // "waiting", "approved", "denied", "expired", "done" or "abandoned"
	Class       string          `json:"to_class,omitempty"` // of a reclassification
	Lines       []PlanLine      `json:"lines"`
	Total       uint64          `json:"total"` // entries that go
	Digest      string          `json:"digest,omitempty"`
}

// PlanLine is a plan's part about one record class and month.
type PlanLine struct {
	Class   string     `json:"class"`
	Month   string     `json:"month"`
	Entries uint64     `json:"entries"` // that go
	Due     uint64     `json:"due"`     // held ones included
	Bytes   uint64     `json:"bytes"`
	Held    []HeldBack `json:"held_back"`
	NotDue  uint64     `json:"not_due"`
	NextDue *time.Time `json:"next_due,omitempty"`
	First   uint64     `json:"first"`
	Last    uint64     `json:"last"`
	Why     string     `json:"why"`
}

// HeldBack is how many due entries a hold keeps. Of holds that the caller may
// not know of there is one line, of the matter Held.
type HeldBack struct {
	Hold    uint64 `json:"hold,omitempty"`
	Matter  string `json:"matter"`
	Entries uint64 `json:"entries"`
}

// Ran is what a run came to.
type Ran struct {
	Plan         uint64   `json:"plan"`
	Intent       uint64   `json:"intent,omitempty"`
	Certificates []uint64 `json:"certificates"`
	Disposed     uint64   `json:"disposed"`  // entries
	TakenOut     uint64   `json:"taken_out"` // planned, but held or no longer due since
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

// ClockResponse is how the archive's clock stands.
type ClockResponse struct {
	Frozen   bool       `json:"frozen"`             // disposition waits until a person says that the clock is right
	Since    uint64     `json:"since,omitempty"`    // seq of the jump's entry
	Received *time.Time `json:"received,omitempty"` // received time then
	Wall     *time.Time `json:"wall,omitempty"`     // what the machine's clock said then
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

// DispositionCertificate is a signed statement that entries of one record class and month
// were destroyed.
type DispositionCertificate struct {
	Seq         uint64     `json:"seq"`  // of its entry: its number
	Kind        string     `json:"kind"` // of the plan
	Class       string     `json:"class"`
	Month       string     `json:"month"`
	First       uint64     `json:"first"`
	Last        uint64     `json:"last"`
	Count       uint64     `json:"count"`
	Method      string     `json:"method"`
	ScheduleSeq uint64     `json:"schedule_seq,omitempty"`
	Plan        uint64     `json:"plan"`
	Planner     string     `json:"planner"`
	Approver    string     `json:"approver"`
	Intent      uint64     `json:"intent"`
	Survivors   uint64     `json:"survivors"`
	Keys        []KeyID    `json:"keys"`
	Copies      []CopyLeft `json:"copies"` // that could still open it
	Complete    bool       `json:"complete"`
	At          time.Time  `json:"at"`
	JWS         string     `json:"jws,omitempty"` // the signed form, of one asked for by number
}

// KeyID names a key that was destroyed.
type KeyID struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// CopyLeft is a copy that could still open what a certificate is about.
type CopyLeft struct {
	What  string     `json:"what"`
	Where string     `json:"where,omitempty"`
	ID    string     `json:"id,omitempty"`
	Until *time.Time `json:"until,omitempty"` // it destroys itself then
}

// Copy is a known copy of keys or data.
type Copy struct {
	ID      string     `json:"id"`
	What    string     `json:"what"`
	Where   string     `json:"where,omitempty"`
	Keyring uint64     `json:"keyring,omitempty"` // its keyring's generation
	Noted   *time.Time `json:"noted,omitempty"`
	Gone    *time.Time `json:"gone,omitempty"`
}
