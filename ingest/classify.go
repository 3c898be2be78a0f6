package ingest

import (
	"context"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// Classes decides the record class of what comes from the relay. The daemon gives it over package retention; without one everything is of
// class general.
type Classes interface {
	// Classify decides, in one state of schedule and directory, about a page's events that do not follow a target. The answer has one element
	// for each.
	Classify(ctx context.Context, page []Incoming) ([]Class, error)
	// Target returns the class of the message with the given digest; false when the log has none, or cannot find it.
	Target(ctx context.Context, digest [32]byte) (class string, ok bool, err error)
}

// Incoming is one event of the relay's before it is appended.
type Incoming struct {
	Payload *envelope.Payload // nil for what was quarantined, and for the relay's own events
	Unknown bool              // what it says, or whom it concerns, is not known: the longest-kept class
}

// Class is the class that an entry gets, and by what it was decided.
type Class struct {
	Name string
	Note archive.ClassNote
}

// ruleTarget stands for a rule's name where an entry takes the class of the message that it is about.
const ruleTarget = "target"

// keptTargets is how many messages' classes are remembered, so that the receipts that follow a message seldom have to look it up. At
// about 50 bytes each.
const keptTargets = 1 << 18

// targets remembers the classes of the newest messages, by digest.
type targets struct {
	class map[[32]byte]string
	ring  [][32]byte
	next  int
}

func (t *targets) add(digest [32]byte, class string) {
	if t.class == nil {
		t.class = map[[32]byte]string{}
	}
	if _, known := t.class[digest]; !known {
		if len(t.ring) < keptTargets {
			t.ring = append(t.ring, digest)
		} else {
			delete(t.class, t.ring[t.next])
			t.ring[t.next] = digest
			t.next = (t.next + 1) % keptTargets
		}
	}
	t.class[digest] = class
}

// classify gives each entry of an opened page its class. A message that is about another one takes that one's class, wherever it stands;
// of a target that cannot be found nothing is known.
func (o *opener) classify(ctx context.Context, out []outcome) error {
	if o.classes == nil {
		return nil
	}
	var page []Incoming
	var at []int // of page's elements in out
	for i := range out {
		switch {
		case out[i].entry.Kind == proof.KindDirectory:
			continue
		case out[i].message == nil:
			page = append(page, Incoming{Unknown: out[i].entry.Kind == proof.KindQuarantine})
		case out[i].message.Payload.Ref != nil:
			continue
		default:
			page = append(page, Incoming{Payload: &out[i].message.Payload})
		}
		at = append(at, i)
	}
	if err := o.decide(ctx, out, page, at); err != nil {
		return err
	}
	// Those with a target come after all others of their page, which may be their targets, and in the relay's order: an edit may be one, too.
	for i := range out {
		if out[i].message == nil || out[i].message.Payload.Ref == nil {
			continue
		}
		if err := o.followTarget(ctx, &out[i]); err != nil {
			return err
		}
	}
	return nil
}

// decide asks for the classes of page, whose elements stand in out at the given places.
func (o *opener) decide(ctx context.Context, out []outcome, page []Incoming, at []int) error {
	if len(page) == 0 {
		return nil
	}
	classes, err := o.classes.Classify(ctx, page)
	if err != nil {
		return fmt.Errorf("classify: %w", err)
	}
	for k, i := range at {
		o.assign(&out[i], classes[k])
	}
	return nil
}

func (o *opener) followTarget(ctx context.Context, out *outcome) error {
	digest, err := jws.DecodeB64(out.message.Payload.Ref.Digest)
	if err == nil && len(digest) == 32 {
		key := [32]byte(digest)
		class, ok := o.targets.class[key]
		if !ok {
			if class, ok, err = o.classes.Target(ctx, key); err != nil {
				return fmt.Errorf("classify: %w", err)
			}
		}
		if ok {
			o.assign(out, Class{Name: class, Note: archive.ClassNote{Rule: ruleTarget}})
			return nil
		}
	}
	classes, err := o.classes.Classify(ctx, []Incoming{{Payload: &out.message.Payload, Unknown: true}})
	if err != nil {
		return fmt.Errorf("classify: %w", err)
	}
	o.assign(out, classes[0])
	return nil
}

func (o *opener) assign(out *outcome, c Class) {
	out.entry.Class = c.Name
	out.class = &c.Note
	if out.message != nil {
		o.targets.add(out.message.Digest, c.Name)
	}
}
