package audit

import "time"

// CustodianReport is who read a custodian's messages.
type CustodianReport struct {
	Custodians []string `json:"custodians"`  // relay users that the custodian had
	Through    uint64   `json:"through_seq"` // the log was read through this entry
	// Accesses are the reads whose outcome names one of the relay users, and
	// Possible those of which it is not known whom they showed: unfinished,
	// failed on the way, of too many custodians to name, or recorded by a
	// daemon that did not name them.
	Accesses uint64 `json:"accesses"`
	Possible uint64 `json:"possible"`
	// By counts them by principal, the one with the newest first.
	By []Reader `json:"by"`
	// Newest are the newest of both, newest first; More says that there are more.
	Newest []Item `json:"newest"`
	More   bool   `json:"more"`
}

// Reader is one principal in a custodian's report.
type Reader struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"` // as of the newest access
	Accesses uint64            `json:"accesses"`
	Possible uint64            `json:"possible"`
	Actions  map[Action]uint64 `json:"actions"`
	First    time.Time         `json:"first"`
	Last     time.Time         `json:"last"`
}

// OfficerReport is what one principal did.
type OfficerReport struct {
	Person  string            `json:"person"`      // as asked for
	Through uint64            `json:"through_seq"` // the log was read through this entry
	Actions map[Action]uint64 `json:"actions"`     // accesses by action, counting aggregated ones in full
	Shown   uint64            `json:"shown"`       // entries handed out by reads
	Flags   map[string]uint64 `json:"flags"`       // accesses by flag
	// Matters are those that were named, by name; "" counts the reads that had a reason only.
	Matters []MatterCount `json:"matters"`
	// Days are the local days on which something was shown, newest first.
	Days   []DayCount `json:"days"`
	Newest []Item     `json:"newest"` // newest first
	More   bool       `json:"more"`   // there are more than Newest has
}

// MatterCount is what was done for one matter.
type MatterCount struct {
	Matter   string `json:"matter"`
	Accesses uint64 `json:"accesses"`
	Shown    uint64 `json:"shown"`
}

// DayCount is what was shown on one local day.
type DayCount struct {
	Day    string `json:"day"` // 2026-03-01
	Shown  uint64 `json:"shown"`
	Volume bool   `json:"volume"` // more than the site's usual
}
