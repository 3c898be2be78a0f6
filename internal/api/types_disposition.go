package api

import (
	"time"

	"holdfast/archive"
	"holdfast/retention"
	"holdfast/retention/schedule"
)

// What package retention says, as it says it. None of these names a matter but
// a plan and what was run, which the API renders for whoever asks.
type (
	// ScheduleApplied says what a schedule changes. It counts from entry Seq on,
	// or waits for Request; neither is there after a dry run or without a change.
	ScheduleApplied = retention.Applied
	ScheduleChange  = schedule.Change
	// Plan is what shall go: planned by one person, approved by another, run once.
	Plan      = retention.Plan
	PlanKind  = retention.PlanKind
	PlanState = retention.PlanState
	PlanLine  = retention.PlanLine
	// HeldBack is how many due entries something keeps. Of holds that the caller
	// may not know of there is one line, of the matter Held.
	HeldBack = retention.HeldBack
	// Ran is what a run came to.
	Ran      = retention.Ran
	TakenOut = retention.TakenOut
	// DispositionCertificate is a certificate. A list leaves out its signed form
	// and ranges.
	DispositionCertificate = retention.Certificate
	Statement              = retention.Statement
	KeyID                  = archive.KeyID
	Remaining              = retention.Remaining
	// ClockResponse says whether disposition is frozen because the clock jumped.
	ClockResponse = retention.ClockState
	// Copy is a known copy of keys or data.
	Copy = retention.Copy
	// Release is the release of a hold, or of a part of it.
	Release = retention.Release
	// Preview is what a release would come to.
	Preview      = retention.Preview
	PreviewMonth = retention.PreviewMonth
	// Gauges are the figures of disposition; they name nobody.
	Gauges = retention.Gauges
)

// The kinds and states of plans.
const (
	PlanCutoff  = retention.PlanCutoff
	PlanErase   = retention.PlanErase
	PlanReclass = retention.PlanReclass

	PlanWaiting   = retention.PlanWaiting
	PlanApproved  = retention.PlanApproved
	PlanDenied    = retention.PlanDenied
	PlanExpired   = retention.PlanExpired
	PlanRunning   = retention.PlanRunning
	PlanDone      = retention.PlanDone
	PlanAbandoned = retention.PlanAbandoned
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

// WorkLine is one line of a long task: exactly one member is there. The last
// line has a plan, what was run or certified, or a problem; without it the answer was cut off.
type WorkLine struct {
	Progress *Progress `json:"progress,omitempty"`
	Plan     *Plan     `json:"plan,omitempty"`
	Ran      *Ran      `json:"ran,omitempty"`
	Backup   *Backup   `json:"backup,omitempty"`
	Drill    *Drill    `json:"drill,omitempty"`
	Problem  *Problem  `json:"problem,omitempty"`

	Certified *Certified `json:"certified,omitempty"`
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
