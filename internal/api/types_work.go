package api

import (
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// DevicesResponse lists the relay's devices.
type DevicesResponse struct {
	Devices []Device `json:"devices"`
}

// Device is one device key of a relay user.
type Device struct {
	Kid         string     `json:"kid"`         // RFC 7638 thumbprint of its key
	Fingerprint string     `json:"fingerprint"` // the kid in groups of four, for reading aloud
	Usr         string     `json:"usr"`
	Dev         string     `json:"dev"`
	Person      string     `json:"person,omitempty"` // GUID of the person whom the usr belongs to
	Name        string     `json:"name"`
	Assurance   string     `json:"assurance"`
	Revoked     bool       `json:"revoked"`
	Added       time.Time  `json:"added"`
	Approved    *time.Time `json:"approved,omitempty"`
	By          string     `json:"by,omitempty"` // who approved it
}

// ApproveDeviceRequest says that the device's owner read this fingerprint
// aloud, and that it is that of the key.
type ApproveDeviceRequest struct {
	Kid         string `json:"kid"`
	Fingerprint string `json:"fingerprint"` // spaces do not count
	Reason      string `json:"reason"`
}

// The acts that take two people.
const (
	ActDirectoryDiff = "directory-diff"
	ActLargeExport   = "large-export"
)

// RequestsRequest asks for what waits for a second person, or for everything
// that ever did.
type RequestsRequest struct {
	All bool `json:"all,omitempty"`
}

// RequestsResponse lists requests, newest first.
type RequestsResponse struct {
	Requests []ApprovalRequest `json:"requests"`
}

// ApprovalRequest is an act that takes two people.
type ApprovalRequest struct {
	Seq      uint64         `json:"seq"` // its id
	Act      string         `json:"act"`
	Digest   string         `json:"digest"`          // SHA-256 of exactly what is to be done, hex
	Summary  string         `json:"summary"`         // free of content
	Query    string         `json:"query,omitempty"` // of a large export, as typed: shown one by one, to who asked and to approvers
	By       role.Principal `json:"by"`
	Reason   string         `json:"reason"`
	At       time.Time      `json:"at"`
	Expires  time.Time      `json:"expires"`
	Status   string         `json:"status"` // pending, approved, denied, expired or executed
	Decision *Decision      `json:"decision,omitempty"`
	Executed *Execution     `json:"execution,omitempty"`
}

// Decision is what the second person said.
type Decision struct {
	Seq     uint64         `json:"seq"`
	By      role.Principal `json:"by"`
	At      time.Time      `json:"at"`
	Approve bool           `json:"approve"`
	Reason  string         `json:"reason"`
}

// Execution is the act done.
type Execution struct {
	Seq uint64         `json:"seq"`
	By  role.Principal `json:"by"`
	At  time.Time      `json:"at"`
}

// RequestRequest asks for one request.
type RequestRequest struct {
	Seq uint64 `json:"seq"`
}

// DecideRequest approves or denies what another person asked for.
type DecideRequest struct {
	Seq     uint64 `json:"seq"`
	Approve bool   `json:"approve"`
	Reason  string `json:"reason"`
}

// LargeExportResponse is a request for an export of more entries than one
// person may make alone. The export itself then names Request and At.
type LargeExportResponse struct {
	Request ApprovalRequest `json:"request"`
	Total   uint64          `json:"total"` // entries that match
	At      uint64          `json:"at"`    // size of the log that the production will be as of
}

// FactorRequest is about one person's second factor.
type FactorRequest struct {
	Who    string `json:"who"` // exactly one person must have, or ever have had, that name
	Reason string `json:"reason"`
}

// TicketResponse is a ticket with which the person enrols a second factor, told
// this once.
type TicketResponse struct {
	Person  string    `json:"person"` // GUID
	Name    string    `json:"name"`
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
}

// FactorResponse says whose second factor was ended.
type FactorResponse struct {
	Person string `json:"person"` // GUID
	Name   string `json:"name"`
}

// SessionsResponse lists those who are logged in.
type SessionsResponse struct {
	Sessions []Session `json:"sessions"`
}

// Session is one login.
type Session struct {
	Principal role.Principal `json:"principal"`
	Roles     []role.Grant   `json:"roles"`
	Began     time.Time      `json:"began"`
	Used      time.Time      `json:"used"` // last
	Ends      time.Time      `json:"ends"` // whatever is asked
}

// Named is the people whom a name in a query was taken for: those who have, or
// ever had, it.
type Named struct {
	Value  string   `json:"value"` // as typed
	People []Ref    `json:"people"`
	Usrs   []string `json:"usrs"` // their relay users, which the query was widened by
}

// AccessReportRequest asks who looked at one custodian's messages, or what one
// officer did. Exactly one of the two is given.
type AccessReportRequest struct {
	Custodian string     `json:"custodian,omitempty"` // exactly one person must have, or ever have had, that name
	Officer   string     `json:"officer,omitempty"`   // likewise, or the name of an account of the appliance
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
	Reason    string     `json:"reason"`
}

// AccessReport is the answer: exactly one of Custodian and Officer is there.
type AccessReport struct {
	Person    *Ref                   `json:"person,omitempty"` // whom it is about, where the directory knows them
	Custodian *audit.CustodianReport `json:"custodian,omitempty"`
	Officer   *audit.OfficerReport   `json:"officer,omitempty"`
}
