package retention

import (
	"errors"
	"time"

	"holdfast/internal/role"
)

// Errors of disposition.
var (
	ErrFrozen    = errors.New("disposition is frozen because the clock jumped; have an administrator look at it and release it with `holdfast clock release`")
	ErrNoPlan    = errors.New("that entry is not a plan; `holdfast disposition list` shows them")
	ErrWaiting   = errors.New("the plan has not been approved; another person approves it with `holdfast disposition approve`")
	ErrPlanUsed  = errors.New("this plan has been carried out or has lapsed; `holdfast disposition show` says which, and names the certificates")
	ErrNothing   = errors.New("nothing is due that no hold keeps")
	ErrRunning   = errors.New("another disposition is running; wait until it is done")
	ErrUnsettled = errors.New("entries kept changing what this rests on; try again in a moment")
	ErrIsHeld    = errors.New("it is held")
	ErrRanges    = errors.New("what goes and what stays alternate too often for one certificate; it stays as it is: tell who looks after Holdfast")
	ErrNotPlain  = errors.New("that entry cannot be disposed of by its number")
)

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
	PlanEmpty     PlanState = "empty"     // run, and nothing of it could go any more
)

// PlanOptions say what is planned.
type PlanOptions struct {
	Reason   string                   // required unless Dry
	Class    string                   // "" for all
	Month    string                   // YYYY-MM; "" for all
	Progress func(done, total uint64) // in entries; may be nil
	Dry      bool                     // nothing is logged or asked for
}

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
	Plan         uint64        `json:"plan"`
	Kind         PlanKind      `json:"kind"`
	Intent       uint64        `json:"intent,omitempty"` // or the reclass entry
	Certificates []Certificate `json:"certificates,omitempty"`
	Gone         uint64        `json:"gone"`                // entries; of a reclass: reclassified
	TakenOut     []TakenOut    `json:"taken_out,omitempty"` // planned, and kept after all
	Abandoned    []PlanLine    `json:"abandoned,omitempty"` // class-months switched and switched back
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
