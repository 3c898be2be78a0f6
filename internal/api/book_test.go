package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

// The book is what the API asks of retention.
var (
	_ Matters      = (*retention.Book)(nil)
	_ Holds        = (*retention.Book)(nil)
	_ Schedules    = (*retention.Book)(nil)
	_ Dispositions = (*retention.Book)(nil)
	_ Clocks       = (*retention.Book)(nil)
	_ Copies       = (*retention.Book)(nil)
)

// vault is the town's retention, in memory, without rules: those that the API
// relies on are checked by the API's own tests, the book's by the book's. It
// keeps its trace of what shows or changes something in the house.
type vault struct {
	w        *town
	matters  []retention.Matter
	holds    []retention.Hold
	asked    map[uint64]uint64 // request → hold
	plans    []retention.Plan
	ran      *retention.Ran
	certs    []retention.Certificate
	why      *retention.Explanation
	standing map[uint64]*retention.Standing
	gone     map[uint64]*retention.Certificate
	scopes   []hold.Scope // that were placed, widened to or kept
	run      func(ctx context.Context, progress func(step string, done, total uint64)) (*retention.Ran, error)
	err      error
}

// parts is the vault as the server knows it.
func (v *vault) parts() Retention {
	return Retention{
		Matters: v, Holds: v, Schedules: v, Dispositions: v, Clocks: v, Copies: v, Standings: v,
		Group: func(name string) (string, bool, error) { return wards, name == "Wards" || name == wards, nil },
		Now:   func() time.Time { return time.Date(2026, 3, 31, 15, 4, 5, 0, time.UTC) },
	}
}

const wards = "44444444-4444-4444-8444-444444444444"

// newVault has the matter M-1, in which Anna is a custodian, with hold 50, whose
// release request 107 asks for, and M-2 of Bo's, with hold 60.
func newVault(w *town) *vault {
	q := hold.Scope{Custodians: []string{anna}, Query: "canary", Language: 1}
	return &vault{
		w: w,
		matters: []retention.Matter{
			{ID: "M-1", Name: "canary v. canary", State: retention.StateOpen, Members: []string{"person:" + cy}, Custodians: []string{anna}, Holds: []uint64{50}},
			{ID: "M-2", Name: "canary two", State: retention.StateOpen, Members: []string{"person:" + bo}, Custodians: []string{anna}, Holds: []uint64{60}},
		},
		holds: []retention.Hold{
			{Seq: 50, Matter: "M-1", State: retention.StateActive, Scopes: []retention.HoldScope{{Scope: q}}, Reason: "canary", Held: 77, By: role.Principal{Name: "canary", Person: cy},
				Notices: []retention.Noticed{{Custodian: anna, State: "sent", Text: "canary"}}},
			{Seq: 60, Matter: "M-2", State: retention.StateReleasing, Scopes: []retention.HoldScope{{Scope: q}}, Reason: "canary", Release: &retention.Release{Reason: "canary"}},
		},
		asked: map[uint64]uint64{107: 50, 108: 60},
		plans: []retention.Plan{{Seq: 70, State: retention.PlanWaiting, Lines: []retention.PlanLine{{Class: "general", Month: "2020-01", Due: 9, HeldBack: []retention.HeldBack{
			{Hold: 50, Matter: "M-1", Why: "query", Entries: 3}, {Hold: 60, Matter: "M-2", Why: "custodian", Entries: 4}, {Why: "damage", Entries: 1},
		}}}}},
		ran: &retention.Ran{Plan: 70, Gone: 5, TakenOut: []retention.TakenOut{
			{Class: "general", Month: "2020-01", Hold: 50, Matter: "M-1", Why: "query", Entries: 1}, {Class: "general", Month: "2020-01", Hold: 60, Matter: "M-2", Why: "custodian", Entries: 2},
		}},
		certs: []retention.Certificate{{Seq: 80, JWS: "signed", Statement: retention.Statement{Class: "general", Month: "2019-01", At: "2026-03-01T00:00:00Z", Ranges: "ranges"}}},
		why: &retention.Explanation{Seq: 1, Class: "general", State: "held", Text: []string{"hold 50 of matter M-1 has to be released"}, HeldBy: []retention.HeldBy{
			{Hold: 50, Matter: "M-1", Why: "query"}, {Hold: 60, Matter: "M-2", Why: "custodian"},
		}},
		standing: map[uint64]*retention.Standing{}, gone: map[uint64]*retention.Certificate{},
	}
}

func (v *vault) Matter(id string) (*retention.Matter, bool) {
	for _, m := range v.matters {
		if strings.EqualFold(m.ID, id) {
			return &m, true
		}
	}
	return nil, false
}

func (v *vault) Matters() []retention.Matter {
	v.w.did("matters")
	return v.matters
}

func (v *vault) OpenMatter(_ context.Context, _ role.Principal, m retention.NewMatter) (*retention.Matter, error) {
	v.w.did("open matter of %q", m.Members)
	return &v.matters[0], v.err
}

func (v *vault) CloseMatter(_ context.Context, _ role.Principal, id, _ string) error {
	v.w.did("close %s", id)
	return v.err
}

func (v *vault) SetMember(_ context.Context, _ role.Principal, id, member string, in bool, _ string) error {
	v.w.did("member %s %s %v", id, member, in)
	return v.err
}

func (v *vault) Hold(seq uint64) (*retention.Hold, bool) {
	for _, h := range v.holds {
		if h.Seq == seq {
			return &h, true
		}
	}
	return nil, false
}

func (v *vault) Holds() []retention.Hold {
	v.w.did("holds")
	return v.holds
}

func (v *vault) PlaceHold(_ context.Context, _ role.Principal, h retention.NewHold) (*retention.Hold, error) {
	v.w.did("place for %s", h.Matter)
	v.scopes = append(v.scopes, h.Scope)
	return &v.holds[0], v.err
}

func (v *vault) WidenHold(_ context.Context, _ role.Principal, seq uint64, s hold.Scope, _ string) (*retention.Hold, error) {
	v.w.did("widen %d", seq)
	v.scopes = append(v.scopes, s)
	return &v.holds[0], v.err
}

func (v *vault) PreviewRelease(_ context.Context, seq uint64, _ *hold.Scope) (*retention.Preview, error) {
	v.w.did("preview %d", seq)
	return &retention.Preview{Entries: 5}, v.err
}

func (v *vault) AskRelease(_ context.Context, _ role.Principal, seq uint64, keep *hold.Scope, _ string) (uint64, *retention.Preview, error) {
	v.w.did("ask release %d", seq)
	if keep != nil {
		v.scopes = append(v.scopes, *keep)
	}
	return 107, &retention.Preview{Entries: 5}, v.err
}

func (v *vault) Asked(request uint64) (uint64, bool) {
	seq, ok := v.asked[request]
	return seq, ok
}

func (v *vault) ReleaseHold(_ context.Context, _ role.Principal, request uint64) (*retention.Hold, error) {
	v.w.did("release by %d", request)
	return &v.holds[0], v.err
}

func (v *vault) CancelRelease(_ context.Context, _ role.Principal, seq uint64, _ string) (*retention.Hold, error) {
	v.w.did("cancel %d", seq)
	return &v.holds[0], v.err
}

func (v *vault) Notice(_ context.Context, _ role.Principal, seq uint64, n retention.Notice) error {
	v.w.did("notice %d to %s", seq, n.Custodian)
	return v.err
}

func (v *vault) Schedule() (*schedule.Schedule, uint64, []byte) {
	v.w.did("schedule")
	return nil, 40, []byte("version = 1\n")
}

func (v *vault) ScheduleGroups() map[string]string { return nil }

func (v *vault) ApplySchedule(_ context.Context, _ role.Principal, text []byte, _ string, dry bool) (*retention.Applied, error) {
	v.w.did("apply %d dry %v", len(text), dry)
	if strings.Contains(string(text), "fault") {
		return nil, schedule.Faults{{Line: 2, Text: "the key is not known"}}
	}
	return &retention.Applied{Narrows: true, Request: 109}, v.err
}

func (v *vault) ApplyApproved(_ context.Context, _ role.Principal, _ []byte, request uint64) (*retention.Applied, error) {
	v.w.did("apply approved %d", request)
	return &retention.Applied{Seq: 41}, v.err
}

func (v *vault) Explain(_ context.Context, seq uint64) (*retention.Explanation, error) {
	v.w.did("explain %d", seq)
	return v.why, v.err
}

func (v *vault) Plan(seq uint64) (*retention.Plan, bool) {
	v.w.did("plan %d", seq)
	i := slices.IndexFunc(v.plans, func(p retention.Plan) bool { return p.Seq == seq })
	if i < 0 {
		return nil, false
	}
	return &v.plans[i], true
}

func (v *vault) Plans() []retention.Plan {
	v.w.did("plans")
	return slices.Clone(v.plans)
}

func (v *vault) PlanDisposition(_ context.Context, _ role.Principal, o retention.PlanOptions) (*retention.Plan, error) {
	v.w.did("plan disposition of %s dry %v", o.Class, o.Dry)
	if v.err != nil {
		return nil, v.err
	}
	o.Progress(1, 9)
	return &v.plans[0], nil
}

func (v *vault) PlanErasure(_ context.Context, _ role.Principal, seqs []uint64, _ string) (*retention.Plan, error) {
	v.w.did("erase %v", seqs)
	return &v.plans[0], v.err
}

func (v *vault) PlanReclass(_ context.Context, _ role.Principal, seqs []uint64, class, _ string) (*retention.Plan, error) {
	v.w.did("reclass %v %s", seqs, class)
	return &v.plans[0], v.err
}

func (v *vault) Run(ctx context.Context, _ role.Principal, plan uint64, progress func(step string, done, total uint64)) (*retention.Ran, error) {
	v.w.did("run %d", plan)
	if v.run != nil {
		return v.run(ctx, progress)
	}
	progress("reseal", 1, 2)
	return v.ran, v.err
}

func (v *vault) Certificate(seq uint64) (*retention.Certificate, bool) {
	v.w.did("certificate %d", seq)
	i := slices.IndexFunc(v.certs, func(c retention.Certificate) bool { return c.Seq == seq })
	if i < 0 {
		return nil, false
	}
	return &v.certs[i], true
}

func (v *vault) Certificates() []retention.Certificate {
	v.w.did("certificates")
	return slices.Clone(v.certs)
}

func (v *vault) Clock() retention.ClockState { return retention.ClockState{Frozen: true, Since: 30} }

func (v *vault) ReleaseClock(context.Context, role.Principal, string) error {
	v.w.did("release clock")
	return v.err
}

func (v *vault) Copies() []retention.Copy {
	v.w.did("copies")
	return []retention.Copy{{ID: "tape-1", What: "backup"}}
}

func (v *vault) NoteCopy(_ context.Context, _ role.Principal, c retention.Copy) error {
	v.w.did("note copy %s", c.ID)
	return v.err
}

func (v *vault) CopyGone(_ context.Context, _ role.Principal, id, _ string) error {
	v.w.did("copy gone %s", id)
	return v.err
}

func (v *vault) Standing(_ context.Context, seq uint64) (*retention.Standing, *retention.Certificate, error) {
	if c := v.gone[seq]; c != nil {
		return nil, c, nil
	}
	return v.standing[seq], nil, v.err
}
