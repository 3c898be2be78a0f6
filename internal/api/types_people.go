package api

import (
	"time"

	"holdfast/internal/role"
)

// LoginRequest asks for a session, over HTTPS alone. Code is the present number
// of the second factor, or one of its recovery codes; Ticket, of an
// administrator, is for enrolling a second factor.
type LoginRequest struct {
	Name     string `json:"name"` // account or UPN
	Password string `json:"password"`
	Code     string `json:"code,omitempty"`
	Ticket   string `json:"ticket,omitempty"`
}

// LoginResponse is a session or, after a login with a ticket, a new second
// factor: then there is no token, and a login with one of its codes follows.
type LoginResponse struct {
	Token  string       `json:"token"`
	Name   string       `json:"name"`
	Person string       `json:"person"` // objectGUID
	Roles  []role.Grant `json:"roles"`
	Idle   int64        `json:"idle_seconds"` // the session ends when nothing was asked for so long
	Ends   time.Time    `json:"ends"`         // whatever was asked
	Enrol  *Enrolment   `json:"enrol,omitempty"`
}

// Enrolment is a new second factor, told this once.
type Enrolment struct {
	Secret        string   `json:"secret"` // base32
	URL           string   `json:"url"`    // otpauth://
	RecoveryCodes []string `json:"recovery_codes"`
}

// WhoamiResponse is who is asking, and what that principal may do.
type WhoamiResponse struct {
	Name    string       `json:"name"`
	Person  string       `json:"person,omitempty"` // objectGUID, where that is known
	UID     *uint32      `json:"uid,omitempty"`    // over the socket
	Via     string       `json:"via"`
	Address string       `json:"address,omitempty"` // over HTTPS
	Roles   []role.Grant `json:"roles"`
	Ends    *time.Time   `json:"ends,omitempty"` // of the session
}

// RolesResponse is the table of role × endpoint.
type RolesResponse struct {
	Rows []role.Row `json:"rows"`
}

// BreakGlassRequest asks for the roles of an emergency, over the socket alone.
type BreakGlassRequest struct {
	Reason string `json:"reason"`
}

// BreakGlassResponse is what was given, and until when.
type BreakGlassResponse struct {
	Roles []role.Grant `json:"roles"`
	Ends  time.Time    `json:"ends"`
}

// DirectoryStatus is how the directory's synchronisation stands. It names no
// person.
type DirectoryStatus struct {
	Configured  bool         `json:"configured"`
	Source      string       `json:"source,omitempty"` // the domain controller of the last success
	LastTry     *time.Time   `json:"last_try,omitempty"`
	LastSuccess *time.Time   `json:"last_success,omitempty"`
	Took        float64      `json:"took_seconds"`
	People      int          `json:"people"` // in the directory now
	Departed    int          `json:"departed"`
	Groups      int          `json:"groups"`
	Matched     int          `json:"matched"`   // relay users matched to people
	Unmatched   int          `json:"unmatched"` // and those that are not
	Failing     string       `json:"failing,omitempty"`
	Missing     []string     `json:"missing,omitempty"` // groups of the configuration that the directory does not have: their roles are nobody's
	Pending     *PendingDiff `json:"pending,omitempty"`
}

// PendingDiff sums up a diff that the rails held back: it waits for approval.
type PendingDiff struct {
	Digest  string         `json:"digest"` // SHA-256 of exactly these changes, hex
	Since   time.Time      `json:"since"`
	Counts  map[string]int `json:"counts"` // changes, by operation
	Rails   []Rail         `json:"rails"`
	Request uint64         `json:"request,omitempty"` // seq of the request for approval
	// Suspended is how many people, whom the directory says are disabled or
	// expired, have no access already while the diff waits.
	Suspended int `json:"suspended,omitempty"`
}

// Rail is one reason why a diff was held back.
type Rail struct {
	Code string `json:"code"`
	Text string `json:"text"` // free of names
}

// DirectoryDiff is what a synchronisation would change: the pending diff if
// there is one, else what the directory says at this moment.
type DirectoryDiff struct {
	Pending *PendingDiff      `json:"pending,omitempty"`
	Digest  string            `json:"digest"` // of the changes, hex
	Changes []DirectoryChange `json:"changes"`
}

// DirectoryChange is one change to one person or group.
type DirectoryChange struct {
	Subject string   `json:"subject"` // "person" or "group"
	Op      string   `json:"op"`      // archive/people has the operations
	GUID    string   `json:"guid"`
	Name    string   `json:"name"`
	Fields  []string `json:"fields,omitempty"` // that change
	Why     string   `json:"why,omitempty"`
	Added   []string `json:"added,omitempty"` // GUIDs of a group's new direct members
	Removed []string `json:"removed,omitempty"`
}

// DirectoryReport is what a synchronisation came to.
type DirectoryReport struct {
	Applied bool           `json:"applied"` // false: nothing was changed, see Pending
	Source  string         `json:"source"`
	People  int            `json:"people"`
	Groups  int            `json:"groups"`
	Counts  map[string]int `json:"counts"` // changes, by operation
	Digest  string         `json:"digest,omitempty"`
	Pending *PendingDiff   `json:"pending,omitempty"`
	Took    float64        `json:"took_seconds"`
}

// ApproveDiffRequest approves exactly the pending diff with that digest, which
// is then applied, or denies it.
type ApproveDiffRequest struct {
	Digest  string `json:"digest"`
	Approve bool   `json:"approve"`
	Reason  string `json:"reason"`
}

// ApproveDiffResponse is the decision; Report is there when the diff was applied.
type ApproveDiffResponse struct {
	Request *ApprovalRequest `json:"request,omitempty"`
	Report  *DirectoryReport `json:"report,omitempty"`
}

// PeopleRequest asks for people, ordered by GUID.
type PeopleRequest struct {
	Departed bool   `json:"departed,omitempty"` // also those who left
	Match    string `json:"match,omitempty"`    // only whom this part of a name, account, address or department finds
	Limit    int    `json:"limit,omitempty"`    // 1..MaxLimit; 0 means DefaultLimit
	After    string `json:"after,omitempty"`    // only GUIDs after this: the last one begins the next page
}

// PeopleResponse lists people.
type PeopleResponse struct {
	People []Person `json:"people"`
	More   bool     `json:"more"` // there are further ones after the last
}

// Person is a person as the directory's history knows them.
type Person struct {
	GUID       string     `json:"guid"`
	Name       string     `json:"name"`
	Account    string     `json:"account"`
	UPN        string     `json:"upn"`
	Mail       string     `json:"mail"`
	Title      string     `json:"title,omitempty"`
	Department string     `json:"department"`
	DN         string     `json:"dn"`
	Status     string     `json:"status"` // "active" or "departed"
	Why        string     `json:"why,omitempty"`
	Blocked    bool       `json:"blocked"`
	Since      *time.Time `json:"since,omitempty"` // of the status
	Groups     []Ref      `json:"groups"`          // nested ones included
	Usrs       []string   `json:"usrs"`            // relay users that were ever matched to the person
}

// Ref names a person or a group.
type Ref struct {
	GUID string `json:"guid"`
	Name string `json:"name"`
}

// PersonRequest asks for the history of whoever has, or ever had, a name.
type PersonRequest struct {
	Who  string     `json:"who"` // GUID, account, UPN, mail address or display name
	AsOf *time.Time `json:"as_of,omitempty"`
}

// PersonResponse has everyone who ever had that name.
type PersonResponse struct {
	People []PersonHistory `json:"people"`
}

// PersonHistory is a person with everything that changed about them.
type PersonHistory struct {
	Person                     // as of the time that was asked for
	Versions    []Version      `json:"versions"`    // oldest first
	Memberships []Membership   `json:"memberships"` // likewise
	Matches     []RelayMatched `json:"matches"`
}

// Version is one change to a person.
type Version struct {
	Seq        uint64          `json:"seq"`
	At         time.Time       `json:"at"`
	Op         string          `json:"op"`
	Name       string          `json:"name"`
	Account    string          `json:"account"`
	UPN        string          `json:"upn"`
	Mail       string          `json:"mail"`
	Department string          `json:"department"`
	DN         string          `json:"dn"`
	Fields     []string        `json:"fields,omitempty"` // that changed
	Why        string          `json:"why,omitempty"`
	By         *role.Principal `json:"by,omitempty"` // of a block
	Reason     string          `json:"reason,omitempty"`
}

// Membership is a person's belonging to a group, [From, To).
type Membership struct {
	Group  string     `json:"group"` // GUID
	Name   string     `json:"name"`
	From   time.Time  `json:"from"`
	To     *time.Time `json:"to,omitempty"` // null: still
	Direct bool       `json:"direct"`
}

// RelayMatched is a relay user and the person whom it belongs to.
type RelayMatched struct {
	Usr    string          `json:"usr"`
	Person string          `json:"person"` // GUID
	Name   string          `json:"name"`
	How    string          `json:"how"` // "upn", "mail" or "person"
	Seq    uint64          `json:"seq"`
	At     time.Time       `json:"at"`
	By     *role.Principal `json:"by,omitempty"`
	Reason string          `json:"reason,omitempty"`
}

// RelayUnmatched is a relay user of whom nobody knows which person it is.
type RelayUnmatched struct {
	Usr    string `json:"usr"`
	UPN    string `json:"upn"`
	Mail   string `json:"mail"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// MatchesResponse lists relay users, by usr.
type MatchesResponse struct {
	Matched   []RelayMatched   `json:"matched"`
	Unmatched []RelayUnmatched `json:"unmatched"`
}

// MatchRequest says which person a relay user is. An empty Who says that it is
// none of those it was matched to.
type MatchRequest struct {
	Usr    string `json:"usr"`
	Who    string `json:"who,omitempty"` // exactly one person must have, or ever have had, that name
	Reason string `json:"reason"`
}

// BlockRequest blocks a person from logging in, or lifts that.
type BlockRequest struct {
	Who    string `json:"who"` // exactly one person must have, or ever have had, that name
	Block  bool   `json:"block"`
	Reason string `json:"reason"`
}
