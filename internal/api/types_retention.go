package api

import (
	"time"

	"holdfast/internal/role"
)

// Matter is one matter. Members and custodians are identities: a principal's ID
// ("person:" and the objectGUID, "uid:" and the number), or the objectGUID alone.
// Whoever may not know of it sees Held in place of its ID, and its state alone.
type Matter struct {
	ID         string     `json:"id"`
	Name       string     `json:"name,omitempty"`
	State      string     `json:"state"` // "open" or "closed"
	Opened     *time.Time `json:"opened,omitempty"`
	Closed     *time.Time `json:"closed,omitempty"`
	Members    []string   `json:"members,omitempty"`
	Custodians []string   `json:"custodians,omitempty"` // whom its holds name, or ever named, groups' members included
	People     []Ref      `json:"people,omitempty"`     // the members and custodians who are people of the directory, with their names now
	Holds      []uint64   `json:"holds,omitempty"`
}

// MattersRequest asks for the open matters, or for all.
type MattersRequest struct {
	All bool `json:"all,omitempty"`
}

// MattersResponse lists matters, by ID; those that are only held come last.
type MattersResponse struct {
	Matters []Matter `json:"matters"`
}

// MatterRequest asks for one matter.
type MatterRequest struct {
	ID string `json:"id"`
}

// OpenMatterRequest opens a matter. Its opener is a member.
type OpenMatterRequest struct {
	ID      string   `json:"id"`                // [A-Za-z0-9._-]{1,64}, never used before
	Name    string   `json:"name,omitempty"`    // for people
	Members []string `json:"members,omitempty"` // names, of each of which exactly one person must be found, or "uid:" and an account's number
	Reason  string   `json:"reason"`
}

// CloseMatterRequest closes a matter that has no hold any more.
type CloseMatterRequest struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// MemberRequest takes somebody into a matter, or out of it.
type MemberRequest struct {
	ID     string `json:"id"`
	Member string `json:"member"` // as in OpenMatterRequest
	In     bool   `json:"in"`
	Reason string `json:"reason"`
}

// ScopeRequest says what a hold shall cover: kinds are combined by AND, values
// of one kind by OR; custodians and groups are one kind. A time is a date (its
// first instant, UTC), an RFC 3339 time, "today", or so far back from now:
// "-90d", "-6w", "-18m", "-7y", which is the first instant of that day. It is
// frozen, by the archive's received time, when the archive takes the request.
type ScopeRequest struct {
	All           bool     `json:"all,omitempty"`           // everything in the range
	Custodians    []string `json:"custodians,omitempty"`    // names, of each of which exactly one person must be found, or "usr:" and a relay user
	Groups        []string `json:"groups,omitempty"`        // names or objectGUIDs of the directory's groups
	Conversations []string `json:"conversations,omitempty"` // ids
	Query         string   `json:"query,omitempty"`
	From          string   `json:"from,omitempty"` // inclusive
	To            string   `json:"to,omitempty"`   // exclusive
}

// Scope is what a hold covers, with its instants.
type Scope struct {
	All           bool       `json:"all,omitempty"`
	Custodians    []string   `json:"custodians,omitempty"` // objectGUIDs, or "usr:" and a relay user
	Groups        []string   `json:"groups,omitempty"`     // objectGUIDs
	Conversations []string   `json:"conversations,omitempty"`
	Query         string     `json:"query,omitempty"`
	Language      int        `json:"language,omitempty"` // the query language's version that the query was placed in
	From          *time.Time `json:"from,omitempty"`     // [From, To)
	To            *time.Time `json:"to,omitempty"`
	People        []Ref      `json:"people,omitempty"` // the custodians with their names now
}

// HoldsRequest asks for the holds that hold, or for all that there ever were.
type HoldsRequest struct {
	All    bool   `json:"all,omitempty"`
	Matter string `json:"matter,omitempty"` // only this matter's
}

// HoldsResponse lists holds, newest first.
type HoldsResponse struct {
	Holds []Hold `json:"holds"`
}

// HoldRequest asks for one hold.
type HoldRequest struct {
	Seq uint64 `json:"seq"`
}

// Hold is one hold. Whoever may not know of its matter sees Held in the matter's
// place, the state and the date of its placement alone.
type Hold struct {
	Seq     uint64          `json:"seq"` // of the entry that placed it: its number
	Matter  string          `json:"matter"`
	State   string          `json:"state"` // "active", "releasing" or "released"
	Placed  time.Time       `json:"placed"`
	Scopes  []ScopeHeld     `json:"scopes,omitempty"`
	By      *role.Principal `json:"by,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Held    uint64          `json:"held,omitempty"`                 // entries that it holds, as far as was counted
	Through uint64          `json:"materialised_through,omitempty"` // entries below this seq were counted
	Release *Release        `json:"release,omitempty"`
	Notices []HoldNotice    `json:"notices,omitempty"`
}

// ScopeHeld is one scope of a hold, and when it counts.
type ScopeHeld struct {
	Scope  Scope      `json:"scope"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"`  // it lapsed then
	Lapses *time.Time `json:"lapses,omitempty"` // it will, unless the release is cancelled
	Unseen []string   `json:"unseen,omitempty"` // conversations and relay users of which the log has nothing: mistyped, or still to come
}

// HoldNotice is what a custodian was told of a hold.
type HoldNotice struct {
	Custodian string         `json:"custodian"` // objectGUID
	Name      string         `json:"name,omitempty"`
	State     string         `json:"state"` // "sent", "acknowledged" or "reminded"
	At        time.Time      `json:"at"`
	By        role.Principal `json:"by"`
	Text      string         `json:"text,omitempty"`
}

// PlaceHoldRequest places a hold. It counts before the answer comes.
type PlaceHoldRequest struct {
	Matter string       `json:"matter"`
	Scope  ScopeRequest `json:"scope"`
	Reason string       `json:"reason"`
}

// WidenHoldRequest adds a scope to a hold.
type WidenHoldRequest struct {
	Seq    uint64       `json:"seq"`
	Scope  ScopeRequest `json:"scope"`
	Reason string       `json:"reason"`
}

// PreviewReleaseRequest asks what would become disposable if a hold, but for
// what Keep covers, were released.
type PreviewReleaseRequest struct {
	Seq  uint64        `json:"seq"`
	Keep *ScopeRequest `json:"keep,omitempty"`
}

// AskReleaseRequest asks another person to approve the release of a hold, but
// for what Keep covers.
type AskReleaseRequest struct {
	Seq    uint64        `json:"seq"`
	Keep   *ScopeRequest `json:"keep,omitempty"`
	Reason string        `json:"reason"`
}

// AskReleaseResponse is what waits for the second person.
type AskReleaseResponse struct {
	Request uint64  `json:"request"`
	Keep    *Scope  `json:"keep,omitempty"`
	Preview Preview `json:"preview"`
}

// ReleaseHoldRequest releases a hold as was approved. Its grace period begins.
type ReleaseHoldRequest struct {
	Seq     uint64 `json:"seq"`
	Request uint64 `json:"request"`
}

// CancelReleaseRequest takes back a release within its grace period.
type CancelReleaseRequest struct {
	Seq    uint64 `json:"seq"`
	Reason string `json:"reason"`
}

// NoticeRequest records that a custodian was told of a hold.
type NoticeRequest struct {
	Seq       uint64 `json:"seq"`
	Custodian string `json:"custodian"` // exactly one person must have, or ever have had, that name
	State     string `json:"state"`     // "sent", "acknowledged" or "reminded"
	Text      string `json:"text,omitempty"`
}

// HeldBy names a hold that holds an entry. Before whoever may not know of it
// Matter is Held, and there is neither a number nor a why.
type HeldBy struct {
	Hold   uint64 `json:"hold,omitempty"`
	Matter string `json:"matter"`
	Why    string `json:"why,omitempty"`
}

// ExplainRequest asks why an entry is kept.
type ExplainRequest struct {
	Seq uint64 `json:"seq"`
}
