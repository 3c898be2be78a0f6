// Package approval is the two-person rule as one mechanism. Somebody asks for
// an act by naming, with a digest, exactly what is to be done; another person
// approves or denies it; what was approved is done once, before it expires.
// Releases of holds, dispositions, narrower schedules, large exports, diffs of
// the directory, wipes in spite of a hold and restores all go through it.
//
// Request, decision and execution are entries of the log; a Book is what they
// add up to. It follows the log as an Applier of archive/state, and judges
// every rule on the log's newest state, one caller at a time. So after a crash
// at any point an approval is either used or still good for one use.
//
// Floors 3 and up may import it. The bodies are specified in archive/FORMAT.md
// section 6.
package approval

import (
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

var (
	// ErrSelf is returned to somebody who decides what they asked for.
	ErrSelf = errors.New("nobody decides what they themselves asked for; another person has to")

	// ErrNotPerson is returned, where a directory is configured, to a principal
	// who is not one of its people: one human with two accounts would be two.
	// It is also returned when the daemon would decide.
	ErrNotPerson = errors.New("what takes two people takes people of the directory: log in as one, or link the account to its person in the configuration")

	// ErrUnknown is returned for a seq that is not a request's.
	ErrUnknown = errors.New("that entry is not a request; `holdfast requests list` shows them")

	// ErrExpired is returned for a request whose time has passed.
	ErrExpired = errors.New("the request has expired; ask again")

	// ErrDecided is returned for a second decision.
	ErrDecided = errors.New("the request has been decided already; a new decision takes a new request")

	// ErrNotApproved is returned for the execution of what is pending or was denied.
	ErrNotApproved = errors.New("the request has not been approved; another person has to approve it")

	// ErrDigest is returned when what is to be done is not what was approved.
	ErrDigest = errors.New("what is to be done is not what was approved; ask for it as it is now")

	// ErrUsed is returned for a second execution.
	ErrUsed = errors.New("the approval has been used; ask again")

	// ErrOpen is returned to somebody who asks for what another has already asked for.
	ErrOpen = errors.New("somebody else has asked for the same already; decide or execute that request")

	// ErrBusy is returned while somebody else executes the same request, and
	// while it is not known whether the last entry reached the log.
	ErrBusy = errors.New("the request is being worked on; try again in a moment")

	// ErrInvalid is wrapped by what is wrong with the words of a request or decision.
	ErrInvalid = errors.New("the request is not complete")
)

// Limits of a request.
const (
	MaxText    = 500                 // reason and summary, in runes each
	DefaultTTL = 72 * time.Hour      // a request is good for, when Ask does not say
	MaxTTL     = 30 * 24 * time.Hour // and at most
	MaxOpen    = 100                 // requests that one principal may have open
)

// Act is one kind of what takes two people.
type Act string

// The acts.
const (
	DirectoryDiff     Act = "directory-diff"     // apply what the rails of a synchronisation refused
	HoldRelease       Act = "hold-release"       // release a hold
	Disposition       Act = "disposition"        // carry out a disposition plan
	ScheduleNarrowing Act = "schedule-narrowing" // keep something for a shorter time
	LargeExport       Act = "large-export"       // a production of more entries than one person may make
	WipeOverride      Act = "wipe-override"      // wipe a device although its custodian is under hold
	Restore           Act = "restore"            // go on from an older log
)

var acts = []Act{DirectoryDiff, HoldRelease, Disposition, ScheduleNarrowing, LargeExport, WipeOverride, Restore}

// Acts returns every act.
func Acts() []Act { return slices.Clone(acts) }

// Valid reports whether a is one of the acts.
func (a Act) Valid() bool { return slices.Contains(acts, a) }

// Status is where a request stands.
type Status string

// The states of a request. Approved turns into executed or expired.
const (
	Pending  Status = "pending"
	Approved Status = "approved"
	Denied   Status = "denied"
	Expired  Status = "expired"
	Executed Status = "executed"
)

// Request is what somebody asked for, with what became of it.
type Request struct {
	Seq       uint64         `json:"seq"` // of its entry: its number
	Act       Act            `json:"act"`
	Digest    string         `json:"digest"`  // SHA-256 of exactly what is to be done, in hex
	Summary   string         `json:"summary"` // free of content
	By        role.Principal `json:"by"`
	Reason    string         `json:"reason,omitempty"`
	At        time.Time      `json:"at"` // received time of its entry
	Expires   time.Time      `json:"expires"`
	Status    Status         `json:"status"`
	Decision  *Decision      `json:"decision,omitempty"`
	Execution *Execution     `json:"execution,omitempty"`
	// Faults are entries that broke a rule and so gave nobody anything. The
	// book writes none; each is something for an auditor to look into.
	Faults []Fault `json:"faults,omitempty"`
}

// Decision is the second person's word.
type Decision struct {
	Seq     uint64         `json:"seq"`
	By      role.Principal `json:"by"`
	At      time.Time      `json:"at"` // received time of its entry
	Approve bool           `json:"approve"`
	Reason  string         `json:"reason"`
}

// Execution is the use of an approval.
type Execution struct {
	Seq uint64         `json:"seq"`
	By  role.Principal `json:"by"`
	At  time.Time      `json:"at"` // received time of its entry
}

// Fault is an entry about a request that broke a rule.
type Fault struct {
	Seq  uint64     `json:"seq"`
	Kind proof.Kind `json:"kind"`
	Code string     `json:"code"` // "self", "not-person", "expired", "decided", "not-approved", "digest" or "used"
}

// Ask is what somebody asks for.
type Ask struct {
	Act     Act
	Digest  string        // SHA-256 in lower-case hex
	Summary string        // what is to be done, free of content, 1..MaxText runes
	Reason  string        // why, 1..MaxText runes; the daemon need not give one
	TTL     time.Duration // how long it is good for, decision and execution together: at most MaxTTL; 0 is DefaultTTL
}

// Appender makes a batch durable. *archive.Archive is one.
type Appender interface {
	// Append is durable once it returns without an error. After an error that
	// is archive.ErrFailed the batch may be in the log all the same, which
	// shows in Size by the time the next batch is appended.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	Size() uint64
}
