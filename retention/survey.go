package retention

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/hold"
)

// surveyBatch is how many entries are read at one go. They are read and judged
// without a lock.
const surveyBatch = 1024

// survey is what one pass over all entries finds, and what follows the log from
// there: families, what each scope of a hold covers, conversations, and who
// refers to an attachment. It lies in memory and is made anew at every start.
type survey struct {
	turn  chan struct{} // capacity 1: held by whoever surveys a batch, with what follows
	batch uint64        // surveyBatch
	asOf  uint64        // size of the log whose directory the matchers know
	lag   bool          // it is the turn of scopes that lag behind

	mu      sync.RWMutex // guards what follows
	through uint64       // entries below it are surveyed
	kin     kin
	covers  []*coverage // of the scopes that counted when the last batch was read; replaced with the turn held
	talks   map[string]*conversation
	seen    map[string]struct{} // relay users that some entry is about
	open    map[uint64]struct{} // accesses that read messages and have no outcome yet
	first   map[uint64]uint32   // by an attachment's hash: the first message that refers to it
	others  map[uint64][]uint64 // and the others
}

func newSurvey() *survey {
	return &survey{
		turn: make(chan struct{}, 1), batch: surveyBatch, kin: newKin(), talks: map[string]*conversation{}, seen: map[string]struct{}{},
		open: map[uint64]struct{}{}, first: map[uint64]uint32{}, others: map[uint64][]uint64{},
	}
}

// Follow surveys the log and then what is appended to it, until ctx ends. While
// nobody waits for it and entries are being appended it takes no more than half
// of a processor's time.
func (b *Book) Follow(ctx context.Context) error {
	for {
		size, began := b.options.Log.Size(), time.Now()
		more, err := b.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			b.options.Logger.Error("the survey of what holds keep stopped; it goes on in a minute, and nothing is disposed of before", "err", err)
			if err := rest(ctx, time.Minute); err != nil {
				return err
			}
		case !more:
			if err := b.options.Log.Wait(ctx, b.Survey().Through); err != nil {
				return err
			}
		case b.options.Log.Size() != size:
			if err := rest(ctx, time.Since(began)); err != nil {
				return err
			}
		}
	}
}

// rest waits for a time.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Survey returns how far the survey has come: for every hold that counts.
func (b *Book) Survey() SurveyState {
	size := b.options.Log.Size()
	return SurveyState{Through: b.survey.surveyed(b.covers()), Size: size}
}

// settled returns when the survey has come to the log's end as of the call, for
// every hold that counts. It does not wait for Follow, but surveys itself.
func (b *Book) settled(ctx context.Context) error {
	size := b.options.Log.Size()
	if err := b.options.CatchUp(ctx, size); err != nil {
		return err
	}
	for {
		more, err := b.step(ctx)
		if err != nil || !more || b.Survey().Through >= size && b.survey.fresh(size) {
			return err
		}
	}
}

// fresh reports whether the matchers know the directory as of the log's first
// size entries.
func (s *survey) fresh(size uint64) bool {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	return s.asOf >= size
}

// step surveys one batch: the next of the log, or of what a scope has to catch
// up on, in turns. It reports whether there was anything to do.
func (b *Book) step(ctx context.Context) (more bool, err error) {
	s := b.survey
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	size := b.options.Log.Size()
	if err := b.options.CatchUp(ctx, size); err != nil {
		return false, err
	}
	s.follow(b.covers())
	from, to, covers := s.next(size)
	if from == to {
		return false, nil
	}
	if s.asOf == 0 {
		b.refresh(size)
	}
	facts, err := b.look(ctx, from, to)
	if err != nil {
		return false, err
	}
	held := make([][]bool, len(covers)) // by scope, then entry
	changed := false
	for i, c := range covers {
		held[i] = make([]bool, len(facts))
		for j, f := range facts {
			_, held[i][j] = c.covers(f)
		}
	}
	for _, f := range facts {
		switch f.leaf.Kind {
		case proof.KindPerson, proof.KindGroup, proof.KindMatch:
			changed = changed || f.leaf.Seq >= s.asOf
		}
	}
	if err := s.take(from, to, facts, covers, held); err != nil {
		return false, err
	}
	if changed {
		b.refresh(size)
	} else if to == size {
		s.asOf = max(s.asOf, size)
	}
	return true, nil
}

// covers returns what is known of the scopes that count now.
func (b *Book) covers() []*coverage {
	now := b.options.Log.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*coverage
	for _, h := range b.holds {
		out = append(out, h.live(now)...)
	}
	return out
}

// follow makes these the scopes that are surveyed. Those that lapsed are
// forgotten; should the clock's reading bring one back, it begins anew.
func (s *survey) follow(covers []*coverage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.covers {
		if !slices.Contains(covers, c) {
			c.done, c.roots, c.count, c.talks = 0, bits{}, 0, nil
		}
	}
	s.covers = covers
}

// next chooses a batch, and the scopes to ask of it: those of the log's end,
// or those that lag behind at the same place.
func (s *survey) next(size uint64) (from, to uint64, covers []*coverage) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from = s.through
	for _, c := range s.covers {
		from = min(from, c.done)
	}
	if from == s.through || s.through < size && !s.lag {
		s.lag = from < s.through
		from, to = s.through, min(s.through+s.batch, size)
	} else {
		s.lag = false
		to = min(from+s.batch, s.through)
	}
	for _, c := range s.covers {
		switch {
		case c.done == from:
			covers = append(covers, c)
		case c.done > from:
			to = min(to, max(c.done, from))
		}
	}
	return from, to, covers
}

// look gathers the facts about the entries with from ≤ seq < to that are there.
func (b *Book) look(ctx context.Context, from, to uint64) ([]*entryFacts, error) {
	var out []*entryFacts
	known := map[string][]string{}
	ever := func(usr string) []string {
		persons, ok := known[usr]
		if !ok {
			persons = b.options.People.EverOf(usr)
			known[usr] = persons
		}
		return persons
	}
	for rec, err := range b.options.Log.Records(ctx, from, to) {
		switch {
		case gone(err):
			continue
		case err != nil && (ctx.Err() != nil || !lost(err)):
			return nil, err
		case err != nil:
			out = append(out, b.unreadable(rec.Leaf))
			continue
		}
		f, err := b.gather(ctx, rec, ever)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// take notes what a batch found.
func (s *survey) take(from, to uint64, facts []*entryFacts, covers []*coverage, held [][]bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from == s.through {
		if err := s.kin.grow(to); err != nil {
			return err
		}
		for _, f := range facts {
			s.note(f)
		}
		s.through = to
	}
	for i, c := range covers {
		for j, f := range facts {
			talk := s.talks[f.hold.Conversation]
			if held[i][j] || talk != nil && f.anchors() && has(c.talks, talk) {
				s.mark(c, f.leaf.Seq, talk)
			}
		}
		c.done = to
	}
	return nil
}

// mark notes that a scope covers an entry, and with it the entries that say
// when its conversation closed and who came and went: they give it meaning.
func (s *survey) mark(c *coverage, seq uint64, talk *conversation) {
	c.mark(&s.kin, seq)
	if talk == nil || has(c.talks, talk) {
		return
	}
	if c.talks == nil {
		c.talks = map[*conversation]struct{}{}
	}
	c.talks[talk] = struct{}{}
	for _, anchor := range talk.anchors {
		c.mark(&s.kin, anchor)
	}
}

// note takes in what an entry says about others.
func (s *survey) note(f *entryFacts) {
	seq := f.leaf.Seq
	s.kin.meet(seq, f, s.join)
	for _, usr := range f.hold.Usrs {
		s.seen[usr] = struct{}{}
	}
	for _, who := range f.hold.Custodians {
		s.seen[strings.TrimPrefix(who, hold.UsrPrefix)] = struct{}{}
	}
	for _, a := range f.atts {
		key := s.kin.keyOf(a)
		if _, again := s.first[key]; again {
			s.others[key] = append(s.others[key], seq)
		} else {
			s.first[key] = uint32(seq) // #nosec G115 -- kin.grow saw to it
		}
	}
	switch {
	case f.leaf.Kind == proof.KindAccess && f.reads:
		s.open[seq] = struct{}{}
	case f.leaf.Kind == proof.KindOutcome:
		delete(s.open, f.of)
	}
	s.hear(f)
}

// join makes one family of two.
func (s *survey) join(x, y uint64) {
	x, y = s.kin.root(x), s.kin.root(y)
	if x == y {
		return
	}
	if s.kin.size(x) < s.kin.size(y) {
		x, y = y, x
	}
	for _, c := range s.covers {
		in, out := c.roots.has(x), c.roots.has(y)
		switch {
		case in && !out:
			c.count += s.kin.size(y)
		case out && !in:
			c.count += s.kin.size(x)
			c.roots.set(x)
		}
	}
	s.kin.parent[x] += s.kin.parent[y]
	s.kin.parent[y] = int32(x) // #nosec G115 -- an index of parent
}

// refresh compiles every scope with what the directory says now, as of the
// log's first size entries. A scope that may cover more entries now than when
// they were asked begins anew; it forgets nothing. The turn is held.
func (b *Book) refresh(size uint64) {
	s := b.survey
	for _, c := range s.covers { // only the holder of the turn replaces covers
		c.compile(b.options.People, b.reads)
		people := c.resolve(b.options.People)
		s.mu.Lock()
		for usr := range people {
			_, before := c.people[usr]
			if !before && has(s.seen, usr) && c.done > 0 {
				c.done = 0
			}
		}
		c.people = people
		s.mu.Unlock()
	}
	s.asOf = size
}

func has[K comparable](set map[K]struct{}, key K) bool {
	_, ok := set[key]
	return ok
}

// lost reports whether an error says that an entry's body cannot be had, and
// that another try will not change that.
func lost(err error) bool {
	return errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrNoBody)
}
