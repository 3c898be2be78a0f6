package retention

import (
	"time"

	"holdfast/internal/role"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

// The states of a matter and of a hold.
const (
	StateOpen      = "open"
	StateClosed    = "closed"
	StateActive    = "active"
	StateReleasing = "releasing" // in the grace period of a release: it still holds
	StateReleased  = "released"
)

// Matter is a matter as it stands.
type Matter struct {
	ID     string     `json:"id"`
	Name   string     `json:"name,omitempty"`
	State  string     `json:"state"` // StateOpen or StateClosed
	Opened time.Time  `json:"opened"`
	Closed *time.Time `json:"closed,omitempty"`
	// Members are principals' identities: "person:" and an objectGUID, or "uid:" and a number.
	Members []string `json:"members"`
	// Custodians are whom its holds name or ever named, groups' members
	// included: objectGUIDs, or "usr:" and a relay user. Sorted.
	Custodians []string `json:"custodians"`
	Holds      []uint64 `json:"holds"` // all that it ever had
}

// NewMatter is a matter to be opened. Who opens it is a member.
type NewMatter struct {
	ID      string   // 1..64 of A-Z a-z 0-9 . _ -
	Name    string   // what people call it; may be empty
	Members []string // as in Matter; a bare objectGUID stands for its person
	Reason  string
}

// Hold is a hold as it stands. It is known by the seq of the entry that placed it.
type Hold struct {
	Seq     uint64         `json:"seq"`
	Matter  string         `json:"matter"`
	State   string         `json:"state"` // StateActive, StateReleasing or StateReleased
	Scopes  []HoldScope    `json:"scopes"`
	Placed  time.Time      `json:"placed"`
	By      role.Principal `json:"by"`
	Reason  string         `json:"reason"`
	Held    uint64         `json:"held"`                 // entries that it holds, families included, as far as was surveyed
	Through uint64         `json:"materialised_through"` // entries below this seq have been surveyed for it
	Release *Release       `json:"release,omitempty"`    // the last one, cancelled ones left out
	Notices []Noticed      `json:"notices"`
}

// HoldScope is one of a hold's scopes. It counts from Since until it lapsed.
type HoldScope struct {
	Scope  hold.Scope `json:"scope"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty"`  // since when it does not count any more
	Lapses *time.Time `json:"lapses,omitempty"` // when it will count no more, unless the release is cancelled
	// Unseen are the conversations and relay users ("usr:" and the id) of the
	// scope of which no entry is in the log: what comes of them is held, and
	// the id may be mistyped. Empty while the survey is behind.
	Unseen []string `json:"unseen,omitempty"`
}

// Release is the release of a hold, or of a part of it.
type Release struct {
	Request uint64         `json:"request"` // the approved request
	At      time.Time      `json:"at"`
	Ends    time.Time      `json:"ends"` // until then everything is held and the release can be cancelled
	By      role.Principal `json:"by"`
	Reason  string         `json:"reason"`
}

// NewHold is a hold to be placed.
type NewHold struct {
	Matter string
	Scope  hold.Scope
	Reason string
}

// The states of a notice to a custodian.
const (
	NoticeSent         = "sent"
	NoticeAcknowledged = "acknowledged"
	NoticeReminded     = "reminded"
)

// Notice is what is to be recorded of a notice to a custodian.
type Notice struct {
	Custodian string // one of the hold's
	State     string
	Text      string // what was sent; required when it was
}

// Noticed is a notice that was recorded.
type Noticed struct {
	Seq       uint64         `json:"seq"`
	Custodian string         `json:"custodian"`
	State     string         `json:"state"`
	Text      string         `json:"text,omitempty"`
	At        time.Time      `json:"at"`
	By        role.Principal `json:"by"`
}

// Preview is what the release of a hold would do.
type Preview struct {
	Entries     uint64         `json:"entries"`      // that nothing else would hold
	DueNow      uint64         `json:"due_now"`      // of those, how many the schedule would let go at once
	ClassMonths []PreviewMonth `json:"class_months"` // by month, then class
	Through     uint64         `json:"through"`      // entries below this seq were looked at
}

// PreviewMonth is the part of a Preview that lies in one class-month.
type PreviewMonth struct {
	Class   string `json:"class"`
	Month   string `json:"month"`
	Entries uint64 `json:"entries"`
	Due     uint64 `json:"due"`
}

// HeldBy says that a hold keeps an entry, and why.
type HeldBy struct {
	Hold   uint64 `json:"hold"`
	Matter string `json:"matter"`
	Why    string `json:"why"` // as hold.Matcher.Covers says, or WhyFamily
}

// WhyFamily is why an entry is held of whose family a hold covers another member.
const WhyFamily = "family"

// Applied is what applying a schedule came to.
type Applied struct {
	Changes []schedule.Change `json:"changes"`
	Narrows bool              `json:"narrows"`           // something would be kept for a shorter time: it takes two people
	Seq     uint64            `json:"seq,omitempty"`     // of the schedule's entry, when it is in force now
	Request uint64            `json:"request,omitempty"` // to be approved, when it narrows
	Groups  map[string]string `json:"groups"`            // the objectGUID of each group that it names
}

// SurveyState is how far the survey has come.
type SurveyState struct {
	Through uint64 `json:"through"` // entries below this seq are surveyed for every hold
	Size    uint64 `json:"size"`    // of the log
}

// Standing is how one entry stands.
type Standing struct {
	Class        string     `json:"class"` // that counts: the leaf's, or the one given to it later
	Rule         string     `json:"rule,omitempty"`
	HeldBy       []HeldBy   `json:"held_by"`
	DisposeAfter *time.Time `json:"dispose_after,omitempty"` // nil: not known, or never
	Why          string     `json:"why"`                     // of DisposeAfter, or of its absence
	// Through is the seq below which the survey knows families. While it lies
	// below the log's size an entry may be held by a family that is not known yet.
	Through uint64 `json:"materialised_through"`
}
