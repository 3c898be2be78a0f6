// Package audit writes and reads the entries that say who looked at what:
// before anything is looked at an access entry is durable in the log, and
// afterwards an outcome entry names it and says what the look came to. An
// access without an outcome is a look that the daemon did not live to finish.
// Logins, refusals and decisions are accesses too, without an outcome.
//
// Floors 3 and up may import it. Both bodies are specified in
// archive/FORMAT.md, beside the other bodies of class audit.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

var (
	// ErrUnaudited is returned when an access entry could not be made durable.
	// The look must be refused: nobody looks without a trace.
	ErrUnaudited = errors.New("the look could not be recorded, so it was refused")

	// ErrNoReason is returned for a look that needs a reason or a matter and
	// has neither.
	ErrNoReason = errors.New("a reason or a matter is required")

	// ErrTooLong is returned for a reason, matter, query or list of seqs
	// beyond its limit.
	ErrTooLong = errors.New("longer than an access entry may hold")
)

// Limits of an access entry and of an outcome.
const (
	MaxReason     = 500     // reason and matter, in runes each
	MaxQuery      = 4 << 10 // query text, in bytes
	MaxSeqs       = 1000    // seqs asked for by number
	MaxTarget     = 256     // what an act is about, in bytes
	MaxName       = 256     // principal's name, in bytes
	MaxCustodians = 10_000  // relay users that an outcome names; of more it says that there were many
	maxWord       = 64      // code, and the principal's person, way and address, in bytes each
)

// Action says what kind of look an access is.
type Action string

// The actions. Search, show and export need a reason or a matter; looking
// through the audit entries is itself a look, and so is a report about them.
// ActionRefused records a caller who was turned away. The others are no looks:
// their access entry says all, and no outcome follows.
const (
	ActionSearch     Action = "search"
	ActionShow       Action = "show"
	ActionExport     Action = "export"
	ActionAudit      Action = "audit"
	ActionReport     Action = "report"
	ActionRefused    Action = "refused"
	ActionLogin      Action = "login"       // with Code when it was refused
	ActionLogout     Action = "logout"      //
	ActionSessionEnd Action = "session-end" // a session ended by itself or by somebody else; Code says why
	ActionDirectory  Action = "directory"   // reading or changing what the directory says
	ActionDevice     Action = "device"      // a device approved
	ActionRequest    Action = "request"     // what takes two people: asked for or executed
	ActionDecide     Action = "decide"      // and decided
	ActionFactor     Action = "factor"      // a second factor issued, enrolled, used or reset
	ActionBreakGlass Action = "break-glass" // an account of the appliance took roles in an emergency

	ActionHold        Action = "hold"        // holds seen or changed, or why something is kept asked for
	ActionMatter      Action = "matter"      // matters seen or changed
	ActionSchedule    Action = "schedule"    // the retention schedule seen or changed
	ActionDisposition Action = "disposition" // plans made, seen or carried out
	ActionCertificate Action = "certificate" // certificates of disposition seen
	ActionClock       Action = "clock"       // the clock said to be right after a jump
	ActionCopy        Action = "copy"        // copies of keys and data seen or recorded

	ActionTag        Action = "tag"        // tags seen, put on or taken off
	ActionProduction Action = "production" // productions seen that were made
	ActionDisclosure Action = "disclosure" // what was disclosed of a patient accounted for
	ActionClawback   Action = "clawback"   // what was produced asked back, or that seen
	ActionSaved      Action = "saved"      // saved searches seen, saved or removed

	ActionIngest  Action = "ingest"  // what comes from the relay paused or resumed
	ActionBackup  Action = "backup"  // a backup made, or backups seen
	ActionRestore Action = "restore" // going on from a restored log asked for or done
	ActionAnchor  Action = "anchor"  // the log anchored at a person's word, or the alarms' ways out tried
)

var actions = []Action{
	ActionSearch, ActionShow, ActionExport, ActionAudit, ActionReport, ActionRefused, ActionLogin, ActionLogout,
	ActionSessionEnd, ActionDirectory, ActionDevice, ActionRequest, ActionDecide, ActionFactor, ActionBreakGlass,
	ActionHold, ActionMatter, ActionSchedule, ActionDisposition, ActionCertificate, ActionClock, ActionCopy,
	ActionTag, ActionProduction, ActionDisclosure, ActionClawback, ActionSaved,
	ActionIngest, ActionBackup, ActionRestore, ActionAnchor,
}

// Actions returns every action.
func Actions() []Action { return slices.Clone(actions) }

// Valid reports whether a is one of the actions.
func (a Action) Valid() bool { return slices.Contains(actions, a) }

// Reads reports whether an access of this kind reads messages: those need a
// reason or a matter.
func (a Action) Reads() bool {
	return a == ActionSearch || a == ActionShow || a == ActionExport
}

// Looks reports whether an outcome follows an access of this kind.
func (a Action) Looks() bool {
	switch a {
	case ActionAudit, ActionReport, ActionDirectory, ActionDevice, ActionRequest, ActionDecide,
		ActionHold, ActionMatter, ActionSchedule, ActionDisposition, ActionCertificate, ActionClock, ActionCopy,
		ActionTag, ActionProduction, ActionDisclosure, ActionClawback, ActionSaved,
		ActionIngest, ActionBackup, ActionRestore, ActionAnchor:
		return true
	}
	return a.Reads()
}

// Principal is the person on whose account a look was asked for.
type Principal = role.Principal

// Access is the body of a KindAccess entry: somebody is about to look.
type Access struct {
	Version   int       `json:"v"` // 1
	Action    Action    `json:"action"`
	Principal Principal `json:"principal"`
	Reason    string    `json:"reason,omitempty"`
	Matter    string    `json:"matter,omitempty"`
	Query     string    `json:"query,omitempty"`  // as typed
	Seqs      []uint64  `json:"seqs,omitempty"`   // asked for by number
	Code      string    `json:"code,omitempty"`   // why it was refused: the sub-code of a login, a problem's code
	Target    string    `json:"target,omitempty"` // what an act is about: a person's objectGUID, a seq, a device's kid
	Step      uint64    `json:"step,omitempty"`   // login and factor: the TOTP time step that was used up
	Count     uint64    `json:"count,omitempty"`  // refused and login: how many of the same this entry stands for, when more than one
	At        time.Time `json:"at"`               // by the daemon's clock; the leaf has the log's
}

// The ways in which a look ends.
const (
	ResultShown  = "shown"  // what was asked for was handed out
	ResultFailed = "failed" // it ended in an error; Total says what had been handed out by then
)

// Outcome is the body of a KindOutcome entry: what an access came to.
type Outcome struct {
	Version int    `json:"v"`              // 1
	Of      uint64 `json:"of"`             // seq of the access
	Result  string `json:"result"`         // ResultShown or ResultFailed
	Code    string `json:"code,omitempty"` // the problem's code, when failed
	Total   uint64 `json:"total"`          // entries that matched
	Shown   uint64 `json:"shown"`          // entries handed out
	Through uint64 `json:"through_seq"`    // the look saw the log through this entry; 0 when it asked by number

	// Custodians are the relay users whose messages were handed out, senders
	// and recipients, sorted. Nil says that they are not known, as in entries
	// of the first daemons; empty, that there were none.
	Custodians []string `json:"custodians,omitzero"`
	// Many says that there were more than MaxCustodians, and Custodians is nil.
	Many bool `json:"many,omitempty"`
	// Own says that the principal's own messages were among them.
	Own bool `json:"own,omitempty"`
	// Colleagues is how many of the entries handed out were messages of people
	// of the principal's own department.
	Colleagues uint64 `json:"colleagues,omitempty"`
}

// Appender makes a batch durable. *archive.Archive is one.
type Appender interface {
	// Append is durable once it returns without an error.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
}

// Begin records that a is about to happen and returns the access entry's seq.
// It returns only after the entry is durable; after an error nothing may be
// looked at.
func Begin(ctx context.Context, log Appender, a Access) (uint64, error) {
	a.Version = 1
	a.At = a.At.UTC().Truncate(time.Millisecond)
	if err := a.check(); err != nil {
		return 0, err
	}
	return appendOne(ctx, log, proof.KindAccess, a)
}

// Finish records what the access at seq o.Of came to, durable once it
// returns. The caller's context may be over by then (the client hung up), so
// it is used for its values alone, with a deadline of its own.
//
// Custodians may be in any order and repeat; more than MaxCustodians are left
// out and said to be many.
func Finish(ctx context.Context, log Appender, o Outcome) error {
	o.Version = 1
	o.name()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	// A crash before this append leaves an access without an outcome, which List shows as such.
	_, err := appendOne(ctx, log, proof.KindOutcome, o)
	return err
}

// name brings the custodians into the order and within the bounds of the entry.
func (o *Outcome) name() {
	if o.Custodians == nil {
		return
	}
	named := slices.Clone(o.Custodians)
	slices.Sort(named)
	o.Custodians = slices.Compact(named)
	if len(o.Custodians) > MaxCustodians {
		o.Custodians, o.Many = nil, true
	}
}

// finishWithin bounds how long an outcome may wait for the writer.
const finishWithin = 30 * time.Second

func appendOne(ctx context.Context, log Appender, kind proof.Kind, body any) (uint64, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnaudited, err)
	}
	placed, err := log.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: kind, Class: proof.ClassAudit, Body: b}}})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnaudited, err)
	}
	if len(placed) != 1 {
		return 0, fmt.Errorf("%w: the log placed %d entries for one", ErrUnaudited, len(placed))
	}
	return placed[0].Seq, nil
}

// Says reports whether a reason or matter has anything in it that a reader sees:
// a letter, a number or a sign.
func Says(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != utf8.RuneError })
}

func (a *Access) check() error {
	p := &a.Principal
	switch {
	case !a.Action.Valid():
		return fmt.Errorf("%w: unknown action", ErrUnaudited)
	case a.Action.Reads() && !Says(a.Reason) && !Says(a.Matter):
		return ErrNoReason
	case utf8.RuneCountInString(a.Reason) > MaxReason:
		return fmt.Errorf("%w: the reason is at most %d characters", ErrTooLong, MaxReason)
	case utf8.RuneCountInString(a.Matter) > MaxReason:
		return fmt.Errorf("%w: the matter is at most %d characters", ErrTooLong, MaxReason)
	case len(a.Query) > MaxQuery:
		return fmt.Errorf("%w: the query is at most %d bytes", ErrTooLong, MaxQuery)
	case len(a.Seqs) > MaxSeqs:
		return fmt.Errorf("%w: at most %d entries may be asked for at once", ErrTooLong, MaxSeqs)
	case len(a.Target) > MaxTarget:
		return fmt.Errorf("%w: what an act is about is at most %d bytes", ErrTooLong, MaxTarget)
	case len(p.Name) > MaxName:
		return fmt.Errorf("%w: the principal's name is at most %d bytes", ErrTooLong, MaxName)
	case max(len(a.Code), len(p.Person), len(p.Via), len(p.Address)) > maxWord:
		return fmt.Errorf("%w: a code, person, way or address is at most %d bytes", ErrTooLong, maxWord)
	}
	return nil
}
