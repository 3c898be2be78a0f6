package daemon

import (
	"context"

	"holdfast/archive/docket"
	"holdfast/retention"
)

// newDocket makes the book of tags, productions, clawbacks and saved searches.
// It follows the log like the other registers, so that it is there before the
// log is read.
func (p *parts) newDocket(catchUp func(ctx context.Context, size uint64) error) *docket.Book {
	return docket.New(docket.Options{Log: p.archive, CatchUp: catchUp, Matters: openMatters{p}})
}

// openMatters implements docket.Matters over the book of holds. A matter's entry
// is applied before whatever names the matter.
type openMatters struct{ *parts }

// Matter returns a matter's id as it was opened with, and whether it is open.
func (m openMatters) Matter(id string) (canonical string, open, ok bool) {
	found, ok := m.book.Matter(id)
	if !ok {
		return "", false, false
	}
	return found.ID, found.State == retention.StateOpen, true
}
