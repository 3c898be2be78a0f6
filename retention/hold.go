package retention

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// What an entry of kind hold does.
const (
	opPlace   = "place"
	opWiden   = "widen"
	opAsk     = "ask" // a release was asked for: what exactly
	opRelease = "release"
	opCancel  = "cancel"
	opNotice  = "notice"
)

type holdBody struct {
	Version int         `json:"v"` // 1
	Op      string      `json:"op"`
	Matter  string      `json:"matter,omitempty"` // place
	Of      uint64      `json:"of,omitempty"`     // all others: seq of the entry that placed the hold
	Scope   *hold.Scope `json:"scope,omitempty"`  // place, widen
	// ask, release: the scope that stays, if any; and the seq of the last entry
	// that changed the hold, so that what was asked for is what is done.
	Keep *hold.Scope `json:"keep,omitempty"`
	Last uint64      `json:"last,omitempty"`

	Request uint64 `json:"request,omitempty"` // release: seq of the approved request
	Grace   int64  `json:"grace,omitempty"`   // release: seconds from its received time on

	Custodian string `json:"custodian,omitempty"` // notice
	State     string `json:"state,omitempty"`     // notice
	Text      string `json:"text,omitempty"`      // notice

	By     role.Principal `json:"by"`
	Reason string         `json:"reason,omitempty"`
}

// held is one hold; Book.mu guards it.
type held struct {
	seq     uint64
	matter  *matter
	placed  time.Time
	by      role.Principal
	reason  string
	terms   []*term
	last    uint64   // seq of the last entry that placed, widened, released or cancelled
	release *release // the last one; nil when it was cancelled
	notices []Noticed
}

// term is one scope of a hold. It counts from its entry on until it lapses.
type term struct {
	scope   hold.Scope
	since   time.Time
	lapses  time.Time // zero: it does not
	release *release  // by which it lapses
	cover   *coverage
}

type release struct {
	Release
	seq uint64
}

// asked is a release that somebody asked for.
type asked struct {
	hold, last uint64
	keep       *hold.Scope
	reason     string // not of what is approved
}

// digest returns the SHA-256 of exactly what is to be done, in hex: of
// "holdfast hold release v1\0" ‖ the hold's seq (u64) ‖ the seq of the last
// entry that changed it (u64) ‖ the JSON of the scope that stays, if any.
func (a *asked) digest() (string, error) {
	b := []byte("holdfast hold release v1\x00")
	b = binary.BigEndian.AppendUint64(b, a.hold)
	b = binary.BigEndian.AppendUint64(b, a.last)
	if a.keep != nil {
		keep, err := json.Marshal(a.keep.Frozen())
		if err != nil {
			return "", err
		}
		b = append(b, keep...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func (t *term) lapsedAt(now time.Time) bool { return !t.lapses.IsZero() && !now.Before(t.lapses) }

func (h *held) stateAt(now time.Time) string {
	state := StateReleased
	for _, t := range h.terms {
		switch {
		case !t.lapses.IsZero() && !t.lapsedAt(now):
			return StateReleasing
		case t.lapses.IsZero():
			state = StateActive
		}
	}
	return state
}

func (b *Book) findHold(seq uint64) (*held, error) {
	i := sort.Search(len(b.holds), func(i int) bool { return b.holds[i].seq >= seq })
	if i == len(b.holds) || b.holds[i].seq != seq {
		return nil, ErrUnknownHold
	}
	return b.holds[i], nil
}

func (b *Book) applyHold(rec archive.Record) error {
	var body holdBody
	if err := read(rec, maxBody, &body, &body.Version); err != nil {
		return err
	}
	if body.Op == opPlace {
		return b.applyPlace(rec, &body)
	}
	h, err := b.findHold(body.Of)
	if err != nil {
		b.fault(rec, err)
		return nil
	}
	switch body.Op {
	case opWiden:
		if body.Scope == nil {
			return fmt.Errorf("a hold widened without a scope")
		}
		if h.stateAt(rec.Leaf.ReceivedTime()) == StateReleased {
			b.fault(rec, ErrReleased) // and it holds all the same
		}
		h.add(b, *body.Scope, rec.Leaf)
	case opAsk:
		a := &asked{hold: body.Of, last: body.Last, keep: body.Keep, reason: body.Reason}
		digest, err := a.digest()
		if err != nil {
			return err
		}
		b.asked[digest] = a
	case opRelease:
		return b.applyRelease(rec, h, &body)
	case opCancel:
		b.applyCancel(rec, h)
	case opNotice:
		h.notices = append(h.notices, Noticed{
			Seq: rec.Leaf.Seq, Custodian: body.Custodian, State: body.State, Text: body.Text, At: rec.Leaf.ReceivedTime(), By: body.By,
		})
	default:
		b.fault(rec, ErrUnreadable)
	}
	return nil
}

func (b *Book) applyPlace(rec archive.Record, body *holdBody) error {
	if body.Scope == nil {
		return fmt.Errorf("a hold placed without a scope")
	}
	if n := len(b.holds); n > 0 && b.holds[n-1].seq >= rec.Leaf.Seq {
		return fmt.Errorf("a hold that is not after the one before")
	}
	m := b.matters[matterKey(body.Matter)]
	if m == nil { // what it holds is held all the same
		b.fault(rec, ErrUnknownMatter)
		m = &matter{id: body.Matter, opened: rec.Leaf.ReceivedTime()}
		b.matters[matterKey(body.Matter)] = m
	} else if m.closed != nil {
		b.fault(rec, ErrMatterClosed)
		m.closed = nil
	}
	h := &held{seq: rec.Leaf.Seq, matter: m, placed: rec.Leaf.ReceivedTime(), by: body.By, reason: body.Reason}
	h.add(b, *body.Scope, rec.Leaf)
	m.holds = append(m.holds, h)
	b.holds = append(b.holds, h)
	return nil
}

// add gives the hold one more scope. b.mu is held.
func (h *held) add(b *Book, s hold.Scope, leaf proof.Leaf) {
	h.terms = append(h.terms, &term{
		scope: s, since: leaf.ReceivedTime(), cover: newCoverage(h.matter.id, s, b.options.People, b.reads),
	})
	h.last = leaf.Seq
}

// applyRelease lets every scope that does not lapse yet lapse when the grace
// period ends, if two people agreed to exactly that.
func (b *Book) applyRelease(rec archive.Record, h *held, body *holdBody) error {
	at := rec.Leaf.ReceivedTime()
	a := asked{hold: body.Of, last: body.Last, keep: body.Keep}
	digest, err := a.digest()
	if err != nil {
		return err
	}
	r, ok := b.options.Requests.Request(body.Request)
	sound := ok && r.Act == ActHoldRelease && r.Digest == digest && r.Executed != 0 && r.Executed < rec.Leaf.Seq
	switch state := h.stateAt(at); {
	case !sound || h.last != body.Last || body.Grace < 0 || body.Grace > maxGrace:
		b.fault(rec, ErrNotAsked)
		return nil
	case state == StateReleasing:
		b.fault(rec, ErrReleasing)
		return nil
	case state == StateReleased:
		b.fault(rec, ErrReleased)
		return nil
	}
	h.release = &release{seq: rec.Leaf.Seq, Release: Release{
		Request: body.Request, At: at, Ends: at.Add(time.Duration(body.Grace) * time.Second), By: body.By, Reason: body.Reason,
	}}
	for _, t := range h.terms {
		if t.lapses.IsZero() {
			t.lapses, t.release = h.release.Ends, h.release
		}
	}
	h.last = rec.Leaf.Seq
	if body.Keep != nil {
		h.add(b, *body.Keep, rec.Leaf)
	}
	return nil
}

// maxGrace bounds the grace period, in seconds: what is longer than a century is a slip.
const maxGrace = 100 * 366 * 24 * 60 * 60

// applyCancel takes back a release in its grace period. The scope that was to
// stay stays: nothing is held less.
func (b *Book) applyCancel(rec archive.Record, h *held) {
	if h.stateAt(rec.Leaf.ReceivedTime()) != StateReleasing || h.release == nil {
		b.fault(rec, ErrNotReleasing)
		return
	}
	for _, t := range h.terms {
		if t.release == h.release {
			t.lapses, t.release = time.Time{}, nil
		}
	}
	h.release, h.last = nil, rec.Leaf.Seq
}

// PlaceHold places a hold. It is durable and in force when it returns.
func (b *Book) PlaceHold(ctx context.Context, who role.Principal, n NewHold) (*Hold, error) {
	scope := n.Scope.Frozen()
	body := holdBody{Version: 1, Op: opPlace, Matter: n.Matter, Scope: &scope, By: who, Reason: n.Reason}
	return b.changeHold(ctx, &body, func(*held, time.Time) error {
		m, err := b.workable(n.Matter, who)
		if err != nil {
			return err
		}
		body.Matter = m.id
		return b.leavesMembers(m, who, scope)
	})
}

// leavesMembers refuses a scope that would make custodians of who places it, or
// of all who can work on the matter: nobody could ever release the hold.
func (b *Book) leavesMembers(m *matter, who role.Principal, s hold.Scope) error {
	custodians := m.custodians(b.options.People)
	named(s, b.options.People, custodians)
	switch {
	case who.Person != "" && slices.Contains(s.Custodians, who.Person):
		return fmt.Errorf("%w: nobody places a hold on their own messages; another member has to", ErrInvalid)
	case able(m.members, custodians, b.options.People) == 0:
		return fmt.Errorf("%w: everybody who works on the matter would be its custodian; add a member who is not, first", ErrInvalid)
	}
	return nil
}

// WidenHold adds a scope to a hold.
func (b *Book) WidenHold(ctx context.Context, who role.Principal, seq uint64, s hold.Scope, reason string) (*Hold, error) {
	scope := s.Frozen()
	body := holdBody{Version: 1, Op: opWiden, Of: seq, Scope: &scope, By: who, Reason: reason}
	return b.changeHold(ctx, &body, func(h *held, now time.Time) error {
		if err := h.active(now); err != nil {
			return err
		}
		if _, err := b.workable(h.matter.id, who); err != nil {
			return err
		}
		return b.leavesMembers(h.matter, who, scope)
	})
}

// active says why a hold that is not active is not.
func (h *held) active(now time.Time) error {
	switch h.stateAt(now) {
	case StateReleasing:
		return ErrReleasing
	case StateReleased:
		return ErrReleased
	}
	return nil
}

// changeHold judges with rules, which get the hold or nil, and writes the entry.
func (b *Book) changeHold(ctx context.Context, body *holdBody, rules func(h *held, now time.Time) error) (*Hold, error) {
	if err := body.check(); err != nil {
		return nil, err
	}
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := b.judged(ctx, func(now time.Time) error {
		var h *held
		if body.Of != 0 {
			var err error
			if h, err = b.findHold(body.Of); err != nil {
				return err
			}
		}
		return rules(h, now)
	}); err != nil {
		return nil, err
	}
	e, err := entry(proof.KindHold, body)
	if err != nil {
		return nil, err
	}
	seq, err := b.write(ctx, e)
	if err != nil {
		return nil, err
	}
	if body.Of != 0 {
		seq = body.Of
	}
	h, _ := b.Hold(seq)
	return h, nil
}

func (body *holdBody) check() error {
	for _, s := range []*hold.Scope{body.Scope, body.Keep} {
		if s == nil {
			continue
		}
		if err := s.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if body.Op == opNotice {
		return nil
	}
	return words("reason", body.Reason)
}

// Hold returns a hold as it stands; false when there is none.
func (b *Book) Hold(seq uint64) (*Hold, bool) {
	now := b.options.Log.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	h, err := b.findHold(seq)
	if err != nil {
		return nil, false
	}
	return b.holdView(h, now), true
}

// Holds returns every hold there ever was, in the order in which they were placed.
func (b *Book) Holds() []Hold {
	now := b.options.Log.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Hold, 0, len(b.holds))
	for _, h := range b.holds {
		out = append(out, *b.holdView(h, now))
	}
	return out
}

func (b *Book) holdView(h *held, now time.Time) *Hold {
	v := &Hold{
		Seq: h.seq, Matter: h.matter.id, State: h.stateAt(now), Placed: h.placed, By: h.by, Reason: h.reason,
		Notices: append([]Noticed{}, h.notices...),
	}
	for _, t := range h.terms {
		s := HoldScope{Scope: t.scope, Since: t.since, Unseen: b.survey.unseen(&t.scope, h.seq)}
		switch {
		case t.lapsedAt(now):
			s.Until = new(t.lapses)
		case !t.lapses.IsZero():
			s.Lapses = new(t.lapses)
		}
		v.Scopes = append(v.Scopes, s)
	}
	if h.release != nil {
		v.Release = new(h.release.Release)
	}
	v.Held, v.Through = b.survey.held(h.live(now))
	return v
}

// live returns what the survey knows of the scopes that count.
func (h *held) live(now time.Time) []*coverage {
	var out []*coverage
	for _, t := range h.terms {
		if !t.lapsedAt(now) {
			out = append(out, t.cover)
		}
	}
	return out
}
