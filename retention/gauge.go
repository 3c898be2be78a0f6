package retention

import (
	"context"
	"time"

	"holdfast/internal/role"
)

// Gauges are the figures of disposition, free of content.
type Gauges struct {
	NextCutoff    *time.Time `json:"next_cutoff,omitempty"` // when the next entry becomes due, as far as is known
	DueMessages   uint64     `json:"due_messages"`          // due and not held
	DueBytes      uint64     `json:"due_bytes"`
	AsOf          *time.Time `json:"as_of,omitempty"` // when those three were reckoned; nil: not yet
	PlansWaiting  int        `json:"plans_waiting"`
	HoldsActive   int        `json:"holds_active"`
	OldestHold    *time.Time `json:"oldest_hold,omitempty"`
	Frozen        bool       `json:"frozen"`
	SurveyThrough uint64     `json:"survey_through"`
}

// reckoning is what the last look at everything that is due came to.
type reckoning struct {
	asOf       time.Time
	due, bytes uint64
	next       *time.Time
}

// Reckon finds out what is due, for Gauges. It opens every body that may be, so
// the daemon calls it daily and not at every look at the figures; planning
// everything does the same.
func (b *Book) Reckon(ctx context.Context) error {
	_, err := b.PlanDisposition(ctx, role.Daemon(), PlanOptions{Dry: true})
	return err
}

func (b *Book) noteReckoning(asOf time.Time, lines []planLineBody, next *time.Time) {
	r := reckoning{asOf: asOf, next: next}
	for i := range lines {
		r.due += lines[i].Entries
		r.bytes += lines[i].Bytes
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disposal.reckoned = r
}

// Gauges returns the figures without reading the log.
func (b *Book) Gauges() Gauges {
	g := Gauges{Frozen: b.options.Log.Clock().Suspect, SurveyThrough: b.Survey().Through}
	for _, h := range b.Holds() {
		if h.State == StateReleased {
			continue
		}
		g.HoldsActive++
		if g.OldestHold == nil || h.Placed.Before(*g.OldestHold) {
			g.OldestHold = &h.Placed
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, p := range b.disposal.plans {
		if b.planStanding(p) == PlanWaiting {
			g.PlansWaiting++
		}
	}
	if r := b.disposal.reckoned; !r.asOf.IsZero() {
		g.NextCutoff, g.DueMessages, g.DueBytes, g.AsOf = r.next, r.due, r.bytes, &r.asOf
	}
	return g
}
