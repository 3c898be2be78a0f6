package daemon

import (
	"context"
	"errors"
	"slices"

	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/archive/search"
	"holdfast/ingest"
	"holdfast/ingest/envelope"
	"holdfast/retention/schedule"
)

// classes decides record classes for ingest, over the schedule in force and the
// directory as the log has them when a page is opened.
type classes struct{ *parts }

// relayEvent is the type under which the schedule sees the relay's own events.
const relayEvent = "relay"

// Classify decides about one page.
func (c classes) Classify(ctx context.Context, page []ingest.Incoming) ([]ingest.Class, error) {
	size := c.archive.Size()
	if err := c.state.CatchUp(ctx, size); err != nil {
		return nil, err
	}
	in := membership{history: c.history, groups: c.book.ScheduleGroups(), of: map[string][]string{}}
	senders, recipients := c.asked()
	out := make([]ingest.Class, len(page))
	for i, m := range page {
		facts := schedule.Message{Type: relayEvent, Unknown: m.Unknown}
		if m.Payload != nil {
			facts = in.facts(m.Payload, senders, recipients)
			facts.Unknown = facts.Unknown || m.Unknown
		}
		d, seq := c.book.Classify(facts)
		out[i] = ingest.Class{Name: d.Class}
		if seq != 0 {
			out[i].Note.Rule, out[i].Note.Schedule = d.Rule, seq
			if len(in.groups) > 0 {
				out[i].Note.Directory = size
			}
		}
	}
	return out, nil
}

// asked reports whether a rule of the schedule asks for the groups of senders,
// and of recipients.
func (c classes) asked() (senders, recipients bool) {
	s, _, _ := c.book.Schedule()
	if s == nil {
		return false, false
	}
	for i := range s.Rules {
		senders = senders || len(s.Rules[i].Senders) > 0
		recipients = recipients || len(s.Rules[i].Recipients) > 0
	}
	return senders, recipients
}

// membership says which of the schedule's groups people are in.
type membership struct {
	history *people.History
	groups  map[string]string   // the objectGUID of each group, by its name in the schedule
	of      map[string][]string // by relay user, what was found so far
}

// facts is what the schedule may know of a message. Unknown says that a rule
// asks for the groups of somebody who is nobody in the directory.
func (in *membership) facts(p *envelope.Payload, senders, recipients bool) schedule.Message {
	m := schedule.Message{Type: p.Typ, Labels: p.Label}
	if p.Conv != nil {
		m.Conversation = p.Conv.Kind
	}
	known := true
	if senders {
		m.Senders, known = in.groupsOf(p.Usr)
		m.Unknown = !known
	}
	if recipients {
		for _, to := range p.To {
			groups, known := in.groupsOf(to.Usr)
			m.Unknown = m.Unknown || !known
			m.Recipients = append(m.Recipients, groups...)
		}
		slices.Sort(m.Recipients)
		m.Recipients = slices.Compact(m.Recipients)
	}
	return m
}

func (in *membership) groupsOf(usr string) (names []string, known bool) {
	if names, done := in.of[usr]; done {
		return names, names != nil
	}
	if g, ok := in.history.PersonOf(usr); ok {
		effective := in.history.EffectiveNow(g)
		names = []string{}
		for name, guid := range in.groups {
			if slices.Contains(effective, people.GUID(guid)) {
				names = append(names, name)
			}
		}
	}
	in.of[usr] = names
	return names, names != nil
}

// Target returns the class of the message with the digest. An index that is
// being built anew finds nothing: what asks then is kept longest.
func (c classes) Target(ctx context.Context, digest [32]byte) (string, bool, error) {
	seq, ok, err := c.index.Target(ctx, digest)
	switch {
	case errors.Is(err, search.ErrDamaged):
		return "", false, nil
	case err != nil || !ok:
		return "", false, err
	}
	leaf, err := c.archive.Leaf(seq)
	if err != nil || leaf.Class == proof.ClassControl {
		return "", false, err
	}
	return leaf.Class, true, nil
}
