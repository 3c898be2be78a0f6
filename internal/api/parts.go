package api

import (
	"context"
	"time"

	"holdfast/archive/query"
	"holdfast/internal/role"
)

// People are the people of the directory, present and departed, as far as
// looks need them. Each method answers for the log's present size.
type People interface {
	// Find returns everyone who has, or ever had, that name: GUID, account, UPN,
	// mail address or display name, exactly but for case.
	Find(ctx context.Context, name string) ([]Found, error)
	// Stays returns who belonged to a scope that is not for all, and when.
	Stays(ctx context.Context, s role.Scope) ([]query.Stay, error)
	// PersonOf returns the GUID of the person whom a relay user belongs to.
	PersonOf(usr string) (guid string, ok bool)
	// Department returns a person's department now, or the last one; "" if none.
	Department(guid string) string
}

// Found is a person whom a name found.
type Found struct {
	Ref
	Usrs []string // relay users that were ever matched to the person
}

// Register is the directory's history, and what people say besides the
// directory: which person a relay user is, and who is blocked.
type Register interface {
	List(ctx context.Context, req PeopleRequest) (*PeopleResponse, error)
	// Person returns a person as of a time; zero is now. ErrUnknown before
	// there was such a person.
	Person(ctx context.Context, guid string, at time.Time) (*PersonHistory, error)
	Matches(ctx context.Context) (*MatchesResponse, error)
	// Match records a match; an empty guid says that usr is nobody's.
	Match(ctx context.Context, who role.Principal, usr, guid, reason string) (*RelayMatched, error)
	Block(ctx context.Context, who role.Principal, guid string, block bool, reason string) (*Person, error)
}

// Directory is the directory's synchronisation.
type Directory interface {
	// Status must answer at once and name no person.
	Status(ctx context.Context) (*DirectoryStatus, error)
	Diff(ctx context.Context) (*DirectoryDiff, error)
	Sync(ctx context.Context) (*DirectoryReport, error)
	// Approve decides the request for exactly the pending diff with that digest
	// and, when approved, applies it.
	Approve(ctx context.Context, who role.Principal, digest string, approve bool, reason string) (*ApproveDiffResponse, error)
}

// Devices are the relay's devices.
type Devices interface {
	Devices(ctx context.Context) ([]Device, error)
	// Approve records that who compared the fingerprint.
	Approve(ctx context.Context, who role.Principal, kid, reason string) (*Device, error)
}

// Wipes are the wipes of departed people's devices, as of what Alarms has caught
// up with.
type Wipes interface {
	Wipes(ctx context.Context) ([]Wipe, error)
	// Wipe returns one of them, or ErrUnknown.
	Wipe(ctx context.Context, id string) (*Wipe, error)
}

// Approvals are the acts that take two people. Their errors are those of
// archive/approval.
type Approvals interface {
	// Requests lists the open requests, or all, newest first.
	Requests(ctx context.Context, all bool) ([]ApprovalRequest, error)
	Request(ctx context.Context, seq uint64) (*ApprovalRequest, error)
	Ask(ctx context.Context, who role.Principal, a Ask) (*ApprovalRequest, error)
	Decide(ctx context.Context, who role.Principal, seq uint64, approve bool, reason string) (*ApprovalRequest, error)
	// Execute uses up an approval; it is durable once it returns, and the act
	// comes after it.
	Execute(ctx context.Context, who role.Principal, seq uint64, act, digest string) error
}

// Ask is what somebody asks for that takes two people.
type Ask struct {
	Act     string
	Digest  string // SHA-256 of exactly what is to be done, hex
	Summary string // free of content
	Reason  string
}

// Saved are the searches that were saved for matters. What it reads is as of
// what Alarms has caught up with.
type Saved interface {
	// Saved returns a saved search as it was typed, and the version of the
	// language that it was written in.
	Saved(matter, name string) (text string, language int, ok bool)
}
