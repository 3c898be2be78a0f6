// Package retention decides what is kept and what goes: matters, legal holds,
// the retention schedule, and disposition. The archive enforces what it
// decides.
//
// A Book is what the control entries about these add up to. It follows the log
// as an Applier of archive/state and is rebuilt from class control alone at
// every start. Whoever writes through it is judged first, on the log's newest
// state; an entry that breaks a rule all the same is kept as a Fault and gives
// nobody anything, except that it may hold more.
//
// A hold counts from its entry on: whether it covers an entry of the log is
// decided by rule, from the facts about that entry. What hangs together with
// an entry (its family: versions, recalls, receipts, reactions) is held with
// it; the Survey finds families and counts what each hold covers, in the
// background and then behind the log, and plans and runs of a disposition wait
// for it. Unknown means held.
//
// Time is the archive's received time, never the wall clock.
//
// Floors 3 and up may import it. The bodies of its entries are specified in
// archive/FORMAT.md section 6 (matter, hold, schedule, plan, intent, abandoned,
// certificate, copy, reclass), the schedule's text in retention/SCHEDULE.md.
package retention

import (
	"context"
	"crypto"
	"errors"
	"iter"
	"log/slog"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// Errors of matters.
var (
	// ErrUnknownMatter is returned for an id that no matter has.
	ErrUnknownMatter = errors.New("there is no such matter; `holdfast matter list` shows those that there are")
	// ErrMatterExists is returned for an id that a matter has or had.
	ErrMatterExists = errors.New("a matter has or had that id; ids are never used again, so choose another")
	// ErrMatterClosed is returned for what an open matter is needed for.
	ErrMatterClosed = errors.New("the matter is closed; open another one")
	// ErrMatterHeld is returned when a matter with holds in force is to be closed.
	ErrMatterHeld = errors.New("holds of the matter are still in force; release them and wait for their grace period to end")
	// ErrNotMember is returned to who does not work on the matter: its members
	// do, but for those who are its custodians.
	ErrNotMember = errors.New("only members of the matter who are not its custodians work on it; ask one of them")
	// ErrLastMember is returned when the last member is to leave.
	ErrLastMember = errors.New("the last member cannot leave a matter; add another one first")
)

// Errors of holds.
var (
	// ErrUnknownHold is returned for a seq that is not a hold's.
	ErrUnknownHold = errors.New("that entry placed no hold; `holdfast hold list` shows those that there are")
	// ErrReleasing is returned for what cannot be done while a release runs.
	ErrReleasing = errors.New("a release of the hold is under way; cancel it, or wait until its grace period ends")
	// ErrReleased is returned for what cannot be done with a hold that was released.
	ErrReleased = errors.New("the hold has been released; place another one")
	// ErrNotReleasing is returned when there is no release to be cancelled any more.
	ErrNotReleasing = errors.New("no release of the hold is in its grace period; place another hold if it still has to hold")
	// ErrNotAsked is returned for a request that asks for no release that fits
	// the hold as it is now.
	ErrNotAsked = errors.New("the request is not for a release of the hold as it is now; ask for it again")
)

// Errors of all that a Book writes.
var (
	// ErrChangedSchedule is returned when another schedule came into force meanwhile.
	ErrChangedSchedule = errors.New("another schedule has come into force meanwhile; apply yours again and look at what it changes")
	// ErrInvalid is wrapped by what is wrong with the words of what is asked for.
	ErrInvalid = errors.New("what is asked for is not complete or not possible")
	// ErrUnreadable names entries of which this version cannot tell what they do.
	ErrUnreadable = errors.New("the entry is not one that this version can act on; a newer one may")
	// ErrBusy is returned while it is not known whether an earlier entry reached the log.
	ErrBusy = errors.New("it is not known yet whether the last entry reached the log; try again in a moment")
)

// DefaultGrace is how long a released hold still holds.
const DefaultGrace = 30 * 24 * time.Hour

// The acts that take two people, as archive/approval knows them.
const (
	ActHoldRelease       = "hold-release"
	ActDisposition       = "disposition"
	ActScheduleNarrowing = "schedule-narrowing"
)

// Ledger is what matters, holds, the schedule and the survey need of the log.
type Ledger interface {
	// Append is durable once it returns without an error. After an error that is
	// archive.ErrFailed the batch may be in the log all the same.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	Size() uint64
	// Wait returns nil when the log holds more than size entries.
	Wait(ctx context.Context, size uint64) error
	// Now is the received time that an entry appended now would get.
	Now() time.Time
	// Records yields the entries with from ≤ seq < to; one whose body cannot be
	// had comes with its leaf and the error.
	Records(ctx context.Context, from, to uint64) iter.Seq2[archive.Record, error]
	Record(ctx context.Context, seq uint64) (archive.Record, error)
}

// Relay is the relay's directory as of a place in its stream.
type Relay interface {
	Party(usr string, at proof.Leaf) query.Party
}

// Texts is what was read of attachments.
type Texts interface {
	// File returns an attachment with its text. Unread says that there may be more
	// of it than is known: then a query that does not find its words there is in doubt.
	File(a *envelope.Attachment) query.File
}

// People is what the directory says, and ever said.
type People interface {
	hold.Directory
	// PersonOf returns the objectGUID of the person that a relay user is now.
	PersonOf(usr string) (guid string, ok bool)
	// EverOf returns the objectGUIDs of everyone that a relay user ever was, sorted.
	EverOf(usr string) []string
	// Departed returns since when a person has departed; false while the person has not, or is not known.
	Departed(guid string) (time.Time, bool)
	// Group returns the objectGUID of the group that is there now under a name,
	// false when there is none, an error when there are several.
	Group(name string) (guid string, ok bool, err error)
}

// Request is what somebody asked for, as far as the log has been applied.
type Request struct {
	Act      string
	Digest   string
	By       role.Principal
	Status   string          // as archive/approval says: "pending", "approved", "denied", "expired", "executed"
	Approver *role.Principal // who approved it
	Executed uint64          // seq of the execution that used the approval up and broke no rule; 0 while there is none
}

// Requests is what takes two people.
type Requests interface {
	// Ask records who's request and returns its seq.
	Ask(ctx context.Context, who role.Principal, act, digest, summary, reason string) (seq uint64, err error)
	// Executing returns the execution entry for the caller's own batch; done
	// takes the error of the Append and is called exactly once when err is nil.
	Executing(ctx context.Context, who role.Principal, seq uint64, act, digest string) (e archive.Entry, done func(error), err error)
	// Request returns the request at seq. It is called while entries are
	// applied, and so neither waits for the log to be applied nor writes.
	Request(seq uint64) (Request, bool)
}

// Options are what a Book needs to know of the rest.
type Options struct {
	Log Log
	// CatchUp brings the Book, and the people and requests that it rests on, up
	// to the given size of the log: the CatchUp of the state that it is an Applier of.
	CatchUp  func(ctx context.Context, size uint64) error
	Relay    Relay
	Texts    Texts // nil: no attachment was read
	People   People
	Requests Requests
	Forget   func(ctx context.Context, files []uint64) error // has the index forget these log files and read them anew
	Signer   crypto.Signer                                   // the archive's identity key, for certificates
	Identity *proof.Identity
	Tool     string        // name and version of the program, for certificates
	Grace    time.Duration // how long a released hold still holds; DefaultGrace when it is not positive
	Logger   *slog.Logger  // nil: none
}
