package retention

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
	"holdfast/retention/schedule"
)

// inForce is the schedule that counts.
type inForce struct {
	schedule *schedule.Schedule // nil before the first, and when it cannot be read: then nothing is due
	seq      uint64
	text     []byte
	groups   map[string]string // name as written → objectGUID
	triggers bool              // a class has another trigger than reception
}

// scheduleBody is the body of an entry of kind schedule.
type scheduleBody struct {
	Version  int               `json:"v"` // 1
	Text     string            `json:"text"`
	Groups   map[string]string `json:"groups"`   // what its group names meant when it was applied: objectGUIDs
	Previous uint64            `json:"previous"` // seq of the schedule's entry that was in force; 0 for none
	Narrows  bool              `json:"narrows"`
	Request  uint64            `json:"request,omitempty"` // by which a narrowing one was approved
	By       role.Principal    `json:"by"`
	Reason   string            `json:"reason"`
}

// maxScheduleBody bounds the body, in bytes; a text has at most 1 MiB.
const maxScheduleBody = 8 << 20

// applySchedule puts a schedule into force. What it was found to change stands
// in the entry: a later version may judge that otherwise, and must not undo it.
func (b *Book) applySchedule(rec archive.Record) error {
	var body scheduleBody
	if err := read(rec, maxScheduleBody, &body, &body.Version); err != nil {
		return err
	}
	if body.Narrows {
		r, ok := b.options.Requests.Request(body.Request)
		sound := ok && r.Act == ActScheduleNarrowing && r.Executed != 0 && r.Executed < rec.Leaf.Seq
		if !sound || r.Digest != narrowing([]byte(body.Text), body.Groups, body.Previous) {
			b.fault(rec, ErrNotAsked)
			return nil
		}
	}
	if body.Previous != b.inForce.seq {
		b.fault(rec, ErrChangedSchedule)
		return nil
	}
	s, err := schedule.Parse([]byte(body.Text))
	if err != nil {
		b.fault(rec, ErrUnreadable)
		s = nil // the one before does not count any more, and nothing is due by what cannot be read
	}
	b.inForce = inForce{schedule: s, seq: rec.Leaf.Seq, text: []byte(body.Text), groups: body.Groups}
	if s != nil {
		b.inForce.triggers = slices.ContainsFunc(s.Classes, func(c schedule.Class) bool { return c.Trigger != schedule.Received })
	}
	return nil
}

// narrowing returns the SHA-256 of exactly what is to be done, in hex: of
// "holdfast schedule narrowing v1\0" ‖ the seq of the schedule in force (u64) ‖
// for each group by name its name, 0x00, its objectGUID, 0x00 ‖ 0x00 ‖ the text.
func narrowing(text []byte, groups map[string]string, previous uint64) string {
	h := sha256.New()
	h.Write([]byte("holdfast schedule narrowing v1\x00"))
	h.Write(binary.BigEndian.AppendUint64(nil, previous))
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		h.Write([]byte(name + "\x00" + groups[name] + "\x00"))
	}
	h.Write([]byte{0})
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// ApplySchedule puts a schedule into force. One that keeps something for a
// shorter time changes nothing yet: it is asked for, and ApplyApproved applies
// it. dry says what would change and does nothing.
func (b *Book) ApplySchedule(ctx context.Context, who role.Principal, text []byte, reason string, dry bool) (*Applied, error) {
	if !dry {
		if err := words("reason", reason); err != nil {
			return nil, err
		}
	}
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	applied, previous, err := b.compare(ctx, text)
	switch {
	case err != nil || dry:
		return applied, err
	case len(applied.Changes) == 0:
		return nil, fmt.Errorf("%w: that schedule is in force already", ErrInvalid)
	case applied.Narrows:
		summary := fmt.Sprintf("keep some entries for a shorter time: %d of the %d changes of the schedule narrow it", narrowed(applied.Changes), len(applied.Changes))
		applied.Request, err = b.options.Requests.Ask(ctx, who, ActScheduleNarrowing, narrowing(text, applied.Groups, previous), summary, reason)
		return applied, err
	}
	body := scheduleBody{Version: 1, Text: string(text), Groups: applied.Groups, Previous: previous, By: who, Reason: reason}
	e, err := entry(proof.KindSchedule, body)
	if err != nil {
		return nil, err
	}
	applied.Seq, err = b.write(ctx, e)
	return applied, err
}

func narrowed(changes []schedule.Change) (n int) {
	for _, c := range changes {
		if c.Narrows {
			n++
		}
	}
	return n
}

// ApplyApproved puts a schedule into force that another person approved.
func (b *Book) ApplyApproved(ctx context.Context, who role.Principal, text []byte, request uint64) (*Applied, error) {
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	applied, previous, err := b.compare(ctx, text)
	if err != nil {
		return nil, err
	}
	body := scheduleBody{
		Version: 1, Text: string(text), Groups: applied.Groups, Previous: previous, Narrows: true, Request: request,
		By: who, Reason: fmt.Sprintf("request %d", request),
	}
	digest := narrowing(text, applied.Groups, previous)
	if err := b.execute(ctx, who, request, ActScheduleNarrowing, digest, proof.KindSchedule, &body); err != nil {
		return nil, err
	}
	_, applied.Seq, _ = b.Schedule()
	return applied, nil
}

// compare reads a schedule and says what it would change.
func (b *Book) compare(ctx context.Context, text []byte) (a *Applied, previous uint64, err error) {
	s, err := schedule.Parse(text)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	a = &Applied{Changes: []schedule.Change{}, Groups: map[string]string{}}
	var now inForce
	if err := b.judged(ctx, func(time.Time) error { now = b.inForce; return nil }); err != nil {
		return nil, 0, err
	}
	for _, name := range s.Groups() {
		guid, ok, err := b.options.People.Group(name)
		switch {
		case err != nil:
			return nil, 0, fmt.Errorf("%w: group %q: %w", ErrInvalid, name, err)
		case !ok:
			return nil, 0, fmt.Errorf("%w: the directory has no group %q; correct its name, or leave the rule out", ErrInvalid, name)
		}
		a.Groups[name] = guid
	}
	if err := b.keepsClasses(ctx, s); err != nil {
		return nil, 0, err
	}
	a.Changes = append(a.Changes, schedule.Compare(now.schedule, s)...)
	if now.seq != 0 && !maps.Equal(now.groups, a.Groups) {
		a.Changes = append(a.Changes, regrouped(now.groups, a.Groups)...)
	}
	a.Narrows = narrowed(a.Changes) > 0 || now.seq != 0 && now.schedule == nil
	return a, now.seq, nil
}

// regrouped returns the groups whose name means another one now: other messages
// may come into other classes, and that may be shorter for some.
func regrouped(was, is map[string]string) (changes []schedule.Change) {
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if guid, ok := was[name]; ok && guid != is[name] {
			changes = append(changes, schedule.Change{What: "group", Name: name, Text: "the name means another group of the directory now", Narrows: true})
		}
	}
	return changes
}

// keepsClasses refuses a schedule without a class that entries have.
func (b *Book) keepsClasses(ctx context.Context, s *schedule.Schedule) error {
	used, err := b.options.Log.ClassMonths(ctx)
	if err != nil {
		return err
	}
	classes := b.reclassified()
	for _, m := range used {
		classes = append(classes, m.Class)
	}
	for _, class := range classes {
		if class == proof.ClassControl || class == proof.ClassAudit {
			continue
		}
		if _, ok := s.Class(class); !ok {
			return fmt.Errorf("%w: there are entries of class %s, so the schedule has to say how long they are kept", ErrInvalid, class)
		}
	}
	return nil
}

// reclassified returns the classes that entries were given later.
func (b *Book) reclassified() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Compact(slices.Sorted(maps.Values(b.disposal.reclass)))
}

// Schedule returns the schedule in force; nil before the first.
func (b *Book) Schedule() (s *schedule.Schedule, seq uint64, text []byte) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.inForce.schedule, b.inForce.seq, slices.Clone(b.inForce.text)
}

// Classify gives a message its record class; general before the first schedule.
func (b *Book) Classify(m schedule.Message) (d schedule.Decision, scheduleSeq uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.inForce.schedule == nil {
		return schedule.Decision{Class: proof.ClassGeneral}, 0
	}
	return b.inForce.schedule.Classify(m), b.inForce.seq
}

// ScheduleGroups returns the objectGUID of each group that the schedule in
// force names, by its name as written.
func (b *Book) ScheduleGroups() map[string]string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return maps.Clone(b.inForce.groups)
}
