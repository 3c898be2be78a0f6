package retention

import (
	"context"

	"holdfast/archive"
	"holdfast/retention/schedule"
)

// heldBy returns the holds that keep an entry, by seq; exact, but for families
// that the survey has not reached.
func (b *Book) heldBy(f *entryFacts) []HeldBy { return nil }

// dueOf says when the schedule lets an entry go.
func (b *Book) dueOf(f *entryFacts) schedule.Due { return schedule.Due{} }

// Standing returns how an entry stands: its class, what holds it, when it is due.
func (b *Book) Standing(ctx context.Context, rec archive.Record) (*Standing, error) { return nil, nil }
