package retention

import (
	"holdfast/archive"
	"holdfast/archive/proof"
)

// Log is what the Book needs of the archive.
type Log interface {
	Ledger
}

// disposal is what the entries of kinds plan, intent, abandoned, certificate,
// clock, copy and reclass add up to.
type disposal struct{}

// apply takes in one of these entries, under the Book's mu.
func (d *disposal) apply(rec archive.Record) error { return nil }

// classOf returns the class that counts for an entry: its leaf's, unless it was
// given another one. The Book's mu is held.
func (d *disposal) classOf(leaf proof.Leaf) string { return leaf.Class }
