// Package docket keeps what was decided about entries for matters: which are
// tagged and so withheld from productions, which Bates numbers were given out,
// what was produced to whom and why, what was asked back, and which searches
// are saved.
//
// A Book is what the control entries of kinds tag, production, clawback and
// search add up to. It follows the log as an Applier of archive/state and is
// rebuilt from class control alone at every start. Whoever writes through it
// is judged first, on the log's newest state; an entry that breaks a rule all
// the same is kept as a Fault and gives nobody anything, except that it may
// withhold more and that its Bates numbers are burned.
//
// Who may work on a matter is judged by whoever calls: internal/api does.
// Queries, medical record numbers and names are in bodies alone, which are
// sealed: no error of this package has any.
//
// Time is the archive's received time, never the wall clock.
//
// Floors 3 and up may import it. The bodies of its entries are specified in
// archive/FORMAT.md section 6 (tag, production, clawback, search).
package docket

import (
	"context"
	"errors"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// Errors of what is asked of a Book.
var (
	// ErrUnknownMatter is returned for an id that no matter has.
	ErrUnknownMatter = errors.New("there is no such matter; `holdfast matter list` shows those that there are")
	// ErrMatterClosed is returned for what an open matter is needed for.
	ErrMatterClosed = errors.New("the matter is closed; open another one")
	// ErrNotMessage is returned for a seq that is not that of a message, nor of
	// anything else that came from the relay.
	ErrNotMessage = errors.New("an entry to be tagged is not a message; `holdfast search` prints the numbers of messages")
	// ErrNotTagged is returned for a tag to be taken off that the matter put on
	// none of the entries.
	ErrNotTagged = errors.New("none of the entries has that tag by this matter; `holdfast tag list` shows which do")
	// ErrBatesTaken is returned for numbers of which some were given out before.
	ErrBatesTaken = errors.New("some of these Bates numbers were given out before in this matter and are never used again; leave out the start, or choose a higher one")
	// ErrNoReservation is returned for a seq that reserved no numbers for the matter,
	// or whose numbers another production has.
	ErrNoReservation = errors.New("these Bates numbers are not reserved for such a production; reserve others")
	// ErrUnknownProduction is returned for a seq that began no production.
	ErrUnknownProduction = errors.New("that entry began no production; `holdfast productions list` shows those that there are")
	// ErrEnded is returned for a production that was made or given up already.
	ErrEnded = errors.New("the production has ended already; make another one")
	// ErrNotProduced is returned for Bates numbers under which nothing of the
	// matter was produced.
	ErrNotProduced = errors.New("no production of the matter has any of these Bates numbers; `holdfast productions list` shows the numbers of each")
	// ErrSearchExists is returned for a name that a saved search of the matter has.
	ErrSearchExists = errors.New("the matter has a saved search of that name; remove it, or choose another name")
	// ErrUnknownSearch is returned for a name that no saved search of the matter has.
	ErrUnknownSearch = errors.New("the matter has no saved search of that name; `holdfast searches list` shows those that it has")
	// ErrParts names a production whose parts are not those that its completion counts.
	ErrParts = errors.New("the production's parts in the log are not those that its completion counts; have an auditor look into it")
	// ErrInvalid is wrapped by what is wrong with the words of what is asked for.
	ErrInvalid = errors.New("what is asked for is not complete or not possible")
	// ErrUnreadable names entries of which this version cannot tell what they do.
	ErrUnreadable = errors.New("the entry is not one that this version can act on; a newer one may")
	// ErrBusy is returned while it is not known whether an earlier entry reached the log.
	ErrBusy = errors.New("it is not known yet whether the last entry reached the log; try again in a moment")
)

// Limits of what people write, and of what the bodies hold.
const (
	MaxText    = 500      // reason, name, address, purpose, basis and description, in runes each
	MaxName    = 64       // name of a saved search, in runes
	MaxQuery   = 64 << 10 // a query's canonical text, in bytes
	MaxMRN     = 256      // what counts of a medical record number, in bytes
	MaxTagged  = 1000     // entries that one request tags
	MaxSaved   = 1000     // saved searches of one matter
	maxBody    = 1 << 20  // a body, in bytes
	partLength = 512 << 10
)

// Ledger is what a Book needs of the log. *archive.Archive is one.
type Ledger interface {
	// Append is durable once it returns without an error. After an error that is
	// archive.ErrFailed the batch may be in the log all the same.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	Size() uint64
	// Now is the received time that an entry appended now would get.
	Now() time.Time
	Leaf(seq uint64) (proof.Leaf, error)
	Record(ctx context.Context, seq uint64) (archive.Record, error)
}

// Matters are the matters that there are, as far as the log has been applied.
type Matters interface {
	// Matter returns a matter's id as it was opened with; false when there is
	// none. It is called while entries are applied, and so neither waits for the
	// log to be applied nor writes.
	Matter(id string) (canonical string, open, ok bool)
}

// Options are what a Book needs to know of the rest.
type Options struct {
	Log Ledger
	// CatchUp brings the Book, and the matters that it rests on, up to the given
	// size of the log: the CatchUp of the state that it is an Applier of.
	CatchUp func(ctx context.Context, size uint64) error
	Matters Matters
}
