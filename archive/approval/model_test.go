package approval

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// simple is the two-person rule in its plainest words, about one request.
type simple struct {
	by       role.Principal
	digest   string
	expires  time.Time
	decided  bool
	approved bool
	used     bool
}

// model is a log with its book beside what plain words say of it.
type model struct {
	log      *memoryLog
	requests map[uint64]*simple
	people   []role.Principal
	held     map[uint64]hold // executions handed out and not done with
	stuck    bool            // an entry's fate is unknown until the log grows
}

type hold struct {
	entry archive.Entry
	done  func(error)
}

func newModel() *model {
	return &model{
		log: newLog(true), requests: map[uint64]*simple{}, held: map[uint64]hold{},
		people: []role.Principal{person(1), linked(1000, 1), person(2), linked(1001, 2), person(3), account(1003), role.Daemon()},
	}
}

func (m *model) whoever(t *rapid.T) role.Principal { return rapid.SampledFrom(m.people).Draw(t, "who") }

func (m *model) whichever(t *rapid.T) uint64 {
	if len(m.requests) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
		return rapid.SampledFrom(slices.Sorted(maps.Keys(m.requests))).Draw(t, "request")
	}
	return rapid.Uint64Range(0, uint64(len(m.log.records))).Draw(t, "seq")
}

func (m *model) fails(t *rapid.T) fault {
	return rapid.SampledFrom([]fault{none, none, none, none, refused, lost, persisted}).Draw(t, "fault")
}

// grown is called when something was appended without an error.
func (m *model) grown() { m.stuck = false }

// ended checks what a call came to against what it should have: nil for
// success in plain words.
func (m *model) ended(t *rapid.T, what string, err, rule error, f fault, applied func()) {
	switch {
	case rule != nil || m.stuck:
		if err == nil {
			t.Fatalf("%s went through; plain words say %v", what, rule)
		}
		m.log.fault = none
	case f == none:
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		applied()
		m.grown()
	default:
		if err == nil {
			t.Fatalf("%s went through in spite of a fault", what)
		}
		m.stuck = f != refused
		if f == persisted {
			applied()
		}
	}
}

func (m *model) ask(t *rapid.T) {
	who, f := m.whoever(t), m.fails(t)
	a := asking()
	a.Digest = fmt.Sprintf("%064x", rapid.IntRange(0, 3).Draw(t, "digest"))
	a.TTL = time.Duration(rapid.IntRange(1, 90).Draw(t, "ms")) * time.Millisecond
	now, next := time.Now(), uint64(len(m.log.records))
	m.log.fault = f
	seq, err := m.log.book.Ask(t.Context(), m.log, who, a)
	for open, r := range m.requests {
		if r.digest != a.Digest || r.used || r.decided && !r.approved || !now.Before(r.expires) {
			continue
		}
		m.log.fault = none
		if err == nil && (seq != open || !same(r.by, who)) {
			t.Fatalf("request %d beside the open %d", seq, open)
		}
		return
	}
	var rule error
	if who.ID() == "uid:1003" {
		rule = ErrNotPerson
	}
	m.ended(t, "ask", err, rule, f, func() {
		m.requests[next] = &simple{by: who, digest: a.Digest, expires: now.Add(a.TTL)}
	})
}

func (m *model) decide(t *rapid.T) {
	who, seq, f, approve := m.whoever(t), m.whichever(t), m.fails(t), rapid.Bool().Draw(t, "approve")
	r := m.requests[seq]
	now := time.Now()
	var rule error
	switch {
	case r == nil:
		rule = ErrUnknown
	case r.used || r.decided:
		rule = ErrDecided
	case who.Person == r.by.Person && who.Person != "":
		rule = ErrSelf
	case who.Person == "":
		rule = ErrNotPerson
	case !now.Before(r.expires):
		rule = ErrExpired
	}
	m.log.fault = f
	err := m.log.book.Decide(t.Context(), m.log, who, seq, approve, "compared")
	m.ended(t, "decide", err, rule, f, func() { r.decided, r.approved = true, approve })
}

// executable says in plain words whether the request may be executed.
func (m *model) executable(seq uint64, digest string) error {
	r := m.requests[seq]
	switch {
	case r == nil:
		return ErrUnknown
	case r.used:
		return ErrUsed
	case !r.decided || !r.approved:
		return ErrNotApproved
	case r.digest != digest:
		return ErrDigest
	case !time.Now().Before(r.expires):
		return ErrExpired
	case m.held[seq].done != nil:
		return ErrBusy
	}
	return nil
}

func (m *model) what(t *rapid.T, seq uint64) string {
	if r := m.requests[seq]; r != nil && rapid.IntRange(0, 4).Draw(t, "same") > 0 {
		return r.digest
	}
	return fmt.Sprintf("%064x", rapid.IntRange(0, 3).Draw(t, "digest"))
}

func (m *model) execute(t *rapid.T) {
	who, seq, f := m.whoever(t), m.whichever(t), m.fails(t)
	d := m.what(t, seq)
	rule := m.executable(seq, d)
	m.log.fault = f
	err := m.log.book.Execute(t.Context(), m.log, who, seq, DirectoryDiff, d)
	m.ended(t, "execute", err, rule, f, func() { m.requests[seq].used = true })
}

func (m *model) take(t *rapid.T) {
	seq := m.whichever(t)
	d := m.what(t, seq)
	rule := m.executable(seq, d)
	e, done, err := m.log.book.Executing(t.Context(), m.log, m.whoever(t), seq, DirectoryDiff, d)
	if (err == nil) != (rule == nil && !m.stuck) {
		t.Fatalf("executing: %v; plain words say %v", err, rule)
	}
	if err == nil {
		m.held[seq] = hold{e, done}
	}
}

// put appends what take took, or gives up.
func (m *model) put(t *rapid.T) {
	if len(m.held) == 0 {
		return
	}
	seq := slices.Min(slices.Collect(maps.Keys(m.held)))
	h := m.held[seq]
	delete(m.held, seq)
	if !time.Now().Before(m.requests[seq].expires) || rapid.Bool().Draw(t, "give up") {
		h.done(errors.Join(archive.ErrInvalid, errors.New("it is not what it was")))
		return
	}
	f := m.fails(t)
	m.log.fault = f
	_, err := m.log.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindSync, Class: proof.ClassControl}, h.entry}})
	h.done(err)
	switch f {
	case none:
		m.grown()
		m.requests[seq].used = true
	case persisted:
		m.requests[seq].used = true
		m.stuck = true
	case lost:
		m.stuck = true
	}
}

func (m *model) crash(*rapid.T) {
	m.log.restart(true)
	clear(m.held)
	m.stuck = false
}

func (m *model) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 45).Draw(t, "ms")) * time.Millisecond)
}

func (m *model) look(*rapid.T) {
	m.log.look()
	m.grown()
}

// check compares the book with plain words after every step.
func (m *model) check(t *rapid.T) {
	for seq, r := range m.requests {
		if n := m.log.executions(seq); n > 1 || n == 1 != r.used {
			t.Fatalf("request %d has %d executions; used: %v", seq, n, r.used)
		}
	}
	if m.stuck {
		return
	}
	if err := m.log.catchUp(t.Context(), m.log.Size()); err != nil {
		t.Fatal(err)
	}
	listed := m.log.book.Requests(Filter{})
	if len(listed) != len(m.requests) {
		t.Fatalf("%d requests; want %d", len(listed), len(m.requests))
	}
	for _, got := range listed {
		r := m.requests[got.Seq]
		status := Pending
		switch {
		case r.used:
			status = Executed
		case r.decided && !r.approved:
			status = Denied
		case !time.Now().Before(r.expires):
			status = Expired
		case r.decided:
			status = Approved
		}
		if got.Status != status || len(got.Faults) > 0 {
			t.Fatalf("request %d is %s with faults %v; want %s", got.Seq, got.Status, got.Faults, status)
		}
	}
}

func (m *model) steps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"ask": m.ask, "decide": m.decide, "execute": m.execute, "take": m.take, "put": m.put,
		"crash": m.crash, "wait": m.wait, "look": m.look, "": m.check,
	}
}

// Whatever people do in whatever order, with failing disks and crashes between
// any two steps: one decision, by another human, one execution, in time.
func TestAgainstPlainWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A bubble's test has no deadline to ask for, so rapid sees no more of it than a testing.TB.
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { t.Repeat(newModel().steps()) })
	})
}
