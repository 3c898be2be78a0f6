package api

import (
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

// What holds and disposition need of package retention. *retention.Book is
// each of them but for Standings. What they read is as of what Alarms has
// caught up with; what they write is durable and applied when it returns.

// Matters are the matters that are worked on.
type Matters interface {
	Matter(id string) (*retention.Matter, bool)
	Matters() []retention.Matter
	OpenMatter(ctx context.Context, who role.Principal, m retention.NewMatter) (*retention.Matter, error)
	CloseMatter(ctx context.Context, who role.Principal, id, reason string) error
	SetMember(ctx context.Context, who role.Principal, id, member string, in bool, reason string) error
}

// Holds are the holds of matters.
type Holds interface {
	Hold(seq uint64) (*retention.Hold, bool)
	Holds() []retention.Hold
	PlaceHold(ctx context.Context, who role.Principal, h retention.NewHold) (*retention.Hold, error)
	WidenHold(ctx context.Context, who role.Principal, seq uint64, s hold.Scope, reason string) (*retention.Hold, error)
	PreviewRelease(ctx context.Context, seq uint64, keep *hold.Scope) (*retention.Preview, error)
	AskRelease(ctx context.Context, who role.Principal, seq uint64, keep *hold.Scope, reason string) (request uint64, p *retention.Preview, err error)
	// Asked returns the hold whose release a request asks for.
	Asked(request uint64) (seq uint64, ok bool)
	ReleaseHold(ctx context.Context, who role.Principal, request uint64) (*retention.Hold, error)
	CancelRelease(ctx context.Context, who role.Principal, seq uint64, reason string) (*retention.Hold, error)
	Notice(ctx context.Context, who role.Principal, seq uint64, n retention.Notice) error
}

// Schedules is the retention schedule.
type Schedules interface {
	Schedule() (s *schedule.Schedule, seq uint64, text []byte)
	ScheduleGroups() map[string]string
	ApplySchedule(ctx context.Context, who role.Principal, text []byte, reason string, dry bool) (*retention.Applied, error)
	ApplyApproved(ctx context.Context, who role.Principal, text []byte, request uint64) (*retention.Applied, error)
}

// Dispositions are plans, what becomes of them, and certificates.
type Dispositions interface {
	Explain(ctx context.Context, seq uint64) (*retention.Explanation, error)
	Plan(seq uint64) (*retention.Plan, bool)
	Plans() []retention.Plan
	PlanDisposition(ctx context.Context, who role.Principal, o retention.PlanOptions) (*retention.Plan, error)
	PlanErasure(ctx context.Context, who role.Principal, seqs []uint64, reason string) (*retention.Plan, error)
	PlanReclass(ctx context.Context, who role.Principal, seqs []uint64, class, reason string) (*retention.Plan, error)
	// Run goes on to its end unless ctx ends: then it is finished, or found not
	// to have begun, at the next start.
	Run(ctx context.Context, who role.Principal, plan uint64, progress func(step string, done, total uint64)) (*retention.Ran, error)
	Certificate(seq uint64) (*retention.Certificate, bool)
	Certificates() []retention.Certificate
}

// Clocks says whether the clock is believed.
type Clocks interface {
	Clock() retention.ClockState
	ReleaseClock(ctx context.Context, who role.Principal, reason string) error
}

// Copies are the known copies of keys and data.
type Copies interface {
	Copies() []retention.Copy
	NoteCopy(ctx context.Context, who role.Principal, c retention.Copy) error
	CopyGone(ctx context.Context, who role.Principal, id, reason string) error
}

// Standings says how single entries stand.
type Standings interface {
	// Standing returns how long an entry is kept, and by what. Of an entry that
	// was disposed of there is its certificate instead.
	Standing(ctx context.Context, seq uint64) (*retention.Standing, *retention.Certificate, error)
}

// Retention is everything about holds and disposition that a server serves.
type Retention struct {
	Matters      Matters // nil: a matter is any text
	Holds        Holds
	Schedules    Schedules
	Dispositions Dispositions
	Clocks       Clocks
	Copies       Copies
	Standings    Standings // nil: what is shown does not say how it stands
	// Group returns the objectGUID of the directory's group that has a name, or
	// that objectGUID, now: false when there is none, an error when there are several.
	Group func(name string) (guid string, ok bool, err error)
	// HeldSet returns the seqs of the entries that holds keep now, and the size of
	// the log as of which that is known. Nil: queries cannot ask for holds.
	HeldSet func(ctx context.Context, holds []uint64) (set *roaring64.Bitmap, size uint64, err error)
	// Anchors returns the entries that say who came and went in a conversation, and
	// when it was closed, ascending. Nil: nobody knows.
	Anchors func(ctx context.Context, conversation string) ([]uint64, error)
	// Now is the archive's received time, by which relative dates are frozen.
	Now func() time.Time
}
