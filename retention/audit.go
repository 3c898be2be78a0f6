package retention

import (
	"context"
	"errors"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/retention/hold"
)

// accessBody is what holds ask of an access entry.
type accessBody struct {
	Action string `json:"action"`
	Matter string `json:"matter,omitempty"`
	Target string `json:"target,omitempty"`
}

// outcomeBody is what holds ask of an outcome entry.
type outcomeBody struct {
	Of         uint64   `json:"of"`
	Custodians []string `json:"custodians,omitzero"` // nil: not known
	Many       bool     `json:"many,omitempty"`
}

// reads reports whether messages are read by an access of that action.
func reads(action string) bool {
	return action == "search" || action == "show" || action == "export"
}

// access reads an access entry. Whose messages it showed is for its outcome to
// say, which is of its family.
func (f *entryFacts) access(body []byte) {
	var a accessBody
	if err := ijson.Unmarshal(body, &a); err != nil {
		f.hold.Unknown = true
		return
	}
	f.reads, f.hold.Matter = reads(a.Action), a.Matter
	probe := hold.Scope{Groups: []string{a.Target}} // groups are objectGUIDs and nothing else
	if a.Target != "" && probe.Check() == nil {
		f.hold.Custodians = []string{a.Target}
	}
}

// outcome reads an outcome entry.
func (b *Book) outcome(ctx context.Context, f *entryFacts, body []byte, ever func(string) []string) error {
	var o outcomeBody
	if err := ijson.Unmarshal(body, &o); err != nil || o.Of >= f.leaf.Seq {
		f.hold.Unknown = true
		return nil
	}
	f.of = o.Of
	for _, usr := range o.Custodians {
		f.hold.Custodians = append(f.hold.Custodians, hold.UsrPrefix+usr)
		f.hold.Custodians = append(f.hold.Custodians, ever(usr)...)
	}
	if o.Custodians != nil && !o.Many {
		return nil
	}
	// It does not say whose messages were shown: does it matter?
	rec, err := b.options.Log.Record(ctx, o.Of)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil && !gone(err), err == nil && rec.Leaf.Kind != proof.KindAccess:
		f.hold.Unknown = true
	case err == nil:
		of := newFacts(rec.Leaf)
		of.access(rec.Body)
		f.hold.Unknown = of.reads || of.hold.Unknown
	}
	return nil
}

// gone reports whether an error says that an entry was disposed of.
func gone(err error) bool { return errors.Is(err, archive.ErrDisposed) }
