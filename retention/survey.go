package retention

import (
	"context"
	"sync/atomic"

	"holdfast/retention/hold"
)

type survey struct{}

func newSurvey() *survey { return &survey{} }

// coverage is what the survey knows of one scope of a hold.
type coverage struct {
	matcher atomic.Pointer[hold.Matcher]
}

func (c *coverage) compile(matter string, s hold.Scope, p People, r hold.Readings) {}

func (s *survey) held(live []*coverage) (entries, through uint64) { return 0, 0 }

// Follow surveys the log and then what is appended to it, until ctx ends.
func (b *Book) Follow(ctx context.Context) error { return nil }

// Survey returns how far the survey has come.
func (b *Book) Survey() SurveyState { return SurveyState{} }

// settled waits until the survey has reached the log's end as of the call.
func (b *Book) settled(ctx context.Context) error { return nil }

// sharers returns the entries that refer to an attachment.
func (b *Book) sharers(bid string, sum [32]byte) []uint64 { return nil }
