package retention

import (
	"context"

	"holdfast/archive"
	"holdfast/internal/role"
	"holdfast/retention/schedule"
)

// inForce is the schedule that counts.
type inForce struct {
	schedule *schedule.Schedule // nil before the first
	seq      uint64
	text     []byte
	groups   map[string]string
}

func (b *Book) applySchedule(rec archive.Record) error { return nil }

// ApplySchedule puts a schedule into force, or asks for it when it narrows.
func (b *Book) ApplySchedule(ctx context.Context, who role.Principal, text []byte, reason string, dry bool) (*Applied, error) {
	return nil, nil
}

// ApplyApproved puts a narrowing schedule into force that was approved.
func (b *Book) ApplyApproved(ctx context.Context, who role.Principal, text []byte, request uint64) (*Applied, error) {
	return nil, nil
}

// Schedule returns the schedule in force; nil before the first.
func (b *Book) Schedule() (s *schedule.Schedule, seq uint64, text []byte) { return nil, 0, nil }

// Classify gives a message its record class; general before the first schedule.
func (b *Book) Classify(m schedule.Message) (d schedule.Decision, scheduleSeq uint64) {
	return schedule.Decision{}, 0
}

// ScheduleGroups returns the objectGUID of each group that the schedule in force names.
func (b *Book) ScheduleGroups() map[string]string { return nil }
