package retention

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/retention/hold"

	"pgregory.net/rapid"
)

// The model of disposition: plain lists, every question answered by going
// through all of them.
type model struct {
	rt  *rapid.T
	s   *stage
	log *memLog

	days     int // the period in force
	entries  []*modelEntry
	families map[int][]*modelEntry
	holds    []*modelHold
	plans    []*modelPlan
	gone     map[uint64]bool
	steps    int
	crashes  int
	undone   int
}

type modelEntry struct {
	seq      uint64
	digest   [32]byte
	from, to string
	word     string
	at       time.Time
	family   int // entries with one number are one family
	class    string
}

type modelHold struct {
	seq      uint64
	usr      string // or
	word     string // or everything
	from, to *time.Time
	lapses   time.Time // zero: never
}

type modelPlan struct {
	seq  uint64
	what map[uint64]bool
}

func (m *model) now() time.Time { return m.s.log.Now() }

// covers says whether a hold covers an entry by itself.
func (h *modelHold) covers(e *modelEntry) bool {
	if h.from != nil && e.at.Before(*h.from) || h.to != nil && !e.at.Before(*h.to) {
		return false
	}
	return h.usr == "" && h.word == "" || h.usr != "" && (e.from == h.usr || e.to == h.usr) || h.word != "" && e.word == h.word
}

// held says whether a hold keeps an entry, or one of its family.
func (m *model) held(e *modelEntry) bool {
	for _, h := range m.holds {
		if !h.lapses.IsZero() && !m.now().Before(h.lapses) {
			continue
		}
		for _, other := range m.families[e.family] {
			if (!m.gone[other.seq] || other == e) && h.covers(other) {
				return true
			}
		}
	}
	return false
}

func (m *model) due(e *modelEntry) bool {
	days := m.days
	if e.class == "special" {
		days = 1000
	}
	y, month, _ := e.at.Date()
	over := time.Date(y, month+1, 1, 0, 0, 0, 0, time.UTC)
	return !m.now().Before(e.at.AddDate(0, 0, days)) && !m.now().Before(over)
}

// may is what may go now.
func (m *model) may() map[uint64]bool {
	out := map[uint64]bool{}
	for _, e := range m.entries {
		if !m.gone[e.seq] && m.due(e) && !m.held(e) {
			out[e.seq] = true
		}
	}
	return out
}

// look compares what is gone with the log.
func (m *model) look() {
	for _, e := range m.entries {
		if got := m.s.disposed(e.seq); got != m.gone[e.seq] {
			m.rt.Fatalf("entry %d: gone is %v, want %v", e.seq, got, m.gone[e.seq])
		}
		if m.log.gone[e.seq] != m.gone[e.seq] {
			m.rt.Fatalf("entry %d: its key is destroyed is %v, want %v", e.seq, m.log.gone[e.seq], m.gone[e.seq])
		}
	}
}

func (m *model) toml() string {
	return fmt.Sprintf(`version = 1
otherwise = "general"

[[class]]
name = "general"
period = "%dd"
trigger = "received"

[[class]]
name = "special"
period = "1000d"
trigger = "received"
unused = true
`, m.days)
}

func (m *model) send() {
	e := &modelEntry{from: rapid.SampledFrom(stageUsrs).Draw(m.rt, "from"), to: rapid.SampledFrom(stageUsrs).Draw(m.rt, "to"), class: "general"}
	e.word = rapid.SampledFrom([]string{"aspirin", "morphine", "lunch"}).Draw(m.rt, "word")
	l := letter{from: e.from, to: e.to, body: e.word}
	e.family = len(m.entries)
	if n := len(m.entries); n > 0 && rapid.IntRange(0, 3).Draw(m.rt, "edit") == 0 {
		target := m.entries[m.entries[rapid.IntRange(max(0, n-6), n-1).Draw(m.rt, "target")].family] // the first version, gone or not
		l.typ, l.ref, e.family = envelope.TypEdit, &target.digest, target.family
	}
	e.at = m.now()
	e.seq, e.digest = m.s.send(l)
	m.entries = append(m.entries, e)
	m.families[e.family] = append(m.families[e.family], e)
}

func (m *model) place() {
	h := &modelHold{}
	scope := hold.Scope{}
	switch rapid.IntRange(0, 4).Draw(m.rt, "kind") {
	case 0, 1:
		h.usr = rapid.SampledFrom(stageUsrs).Draw(m.rt, "usr")
		scope.Custodians = []string{guidOf(h.usr)}
	case 2, 3:
		h.word = rapid.SampledFrom([]string{"aspirin", "morphine"}).Draw(m.rt, "word")
		scope.Query = h.word
	default:
		scope.All = true
		from := m.now().AddDate(0, -2, 0)
		to := from.AddDate(0, 1, 0)
		h.from, h.to, scope.From, scope.To = &from, &to, &from, &to
	}
	h.seq = m.s.place(scope)
	m.holds = append(m.holds, h)
}

func (m *model) release() {
	for _, h := range m.holds {
		if h.lapses.IsZero() {
			m.s.release(h.seq)
			h.lapses = m.now().Add(DefaultGrace)
			return
		}
	}
}

func (m *model) plan() {
	want := m.may()
	p, err := m.s.book.PlanDisposition(m.s.t.Context(), rita, PlanOptions{Reason: "cycle"})
	if len(want) == 0 {
		if !errors.Is(err, ErrNothing) {
			m.rt.Fatalf("nothing may go, and the plan is %+v, %v", p, err)
		}
		return
	}
	if err != nil {
		m.rt.Fatalf("plan: %v, want %v", err, want)
	}
	if p.Total != uint64(len(want)) {
		m.rt.Fatalf("the plan has %d entries, want %v", p.Total, want)
	}
	m.s.decide(p.Request, true)
	m.plans = append(m.plans, &modelPlan{p.Seq, want})
}

// run carries out the newest plan, and perhaps crashes at any step of it.
func (m *model) run(crash bool) {
	if len(m.plans) == 0 {
		return
	}
	p := m.plans[len(m.plans)-1]
	m.plans = m.plans[:len(m.plans)-1]
	// A plan lapses 30 days after it was asked for; then nothing of it happens.
	view, _ := m.s.book.Plan(p.seq)
	want := map[uint64]bool{}
	for seq := range m.may() {
		if p.what[seq] && view.State == PlanApproved {
			want[seq] = true
		}
	}
	if crash {
		m.crash(p, want)
		return
	}
	r, err := m.s.book.Run(m.s.t.Context(), rita, p.seq, nil)
	switch {
	case view.State != PlanApproved && !errors.Is(err, ErrPlanUsed), view.State == PlanApproved && len(want) == 0 && !errors.Is(err, ErrNothing):
		m.rt.Fatalf("plan %d, %s: %+v, %v", p.seq, view.State, r, err)
	case len(want) > 0 && (err != nil || r.Gone != uint64(len(want))):
		m.rt.Fatalf("run: %+v, %v, want %v", r, err, want)
	}
	maps.Copy(m.gone, want)
}

func (m *model) crash(p *modelPlan, want map[uint64]bool) {
	nth := rapid.IntRange(1, 10).Draw(m.rt, "nth")
	late := rapid.IntRange(0, 4).Draw(m.rt, "hold in the gap") > 0
	cut := errors.New("power cut")
	m.log.fault = func(step string) error {
		if strings.Contains(step, "append request") || strings.Contains(step, "append hold") {
			return nil
		}
		if nth--; nth == 0 {
			m.crashes++
			return cut
		}
		return nil
	}
	_, err := m.s.book.Run(m.s.t.Context(), rita, p.seq, nil)
	m.log.fault = nil
	m.s.reopen()
	// A hold that comes in before the next start has finished keeps all whose keys are there.
	pending := m.log.PendingDisposals()
	if late && errors.Is(err, cut) && len(pending) > 0 {
		m.place()
	}
	undone := map[archive.ClassMonth]bool{}
	for _, e := range m.entries {
		if want[e.seq] && slices.Contains(pending, monthFor(e)) && m.held(e) {
			undone[monthFor(e)] = true
			m.undone++
		}
	}
	if err := m.s.book.Resume(m.s.t.Context()); err != nil {
		m.rt.Fatalf("resume: %v", err)
	}
	if left := m.log.PendingDisposals(); len(left) > 0 {
		m.rt.Fatalf("neither finished nor undone: %v", left)
	}
	begun := map[archive.ClassMonth]bool{}
	for _, e := range m.entries {
		cm := monthFor(e)
		if !want[e.seq] {
			continue
		}
		went := m.s.disposed(e.seq)
		if was, seen := begun[cm]; seen && was != went {
			m.rt.Fatalf("%s: a part of it went", cm)
		}
		begun[cm] = went
		switch {
		case went && undone[cm]:
			m.rt.Fatalf("entry %d went although %s had to be switched back", e.seq, cm)
		case !went && slices.Contains(pending, cm) && !undone[cm]:
			m.rt.Fatalf("entry %d: its switch was undone, and nothing of %s is held", e.seq, cm)
		case went:
			m.gone[e.seq] = true
		}
	}
}

func monthFor(e *modelEntry) archive.ClassMonth {
	return archive.ClassMonth{Class: "general", Month: e.at.Format("2006-01")}
}

// cycle plans and runs: everything that is due and unheld goes.
func (m *model) cycle() {
	m.plan()
	m.run(false)
	if left := m.may(); len(left) > 0 {
		m.rt.Fatalf("due, unheld and still there after a cycle: %v", left)
	}
}

func (m *model) reschedule() {
	days := rapid.IntRange(20, 120).Draw(m.rt, "days")
	if days == m.days {
		return
	}
	m.days = days
	m.s.schedule(m.toml())
}

func (m *model) reclassify() {
	for _, e := range slices.Backward(m.entries) {
		if m.gone[e.seq] || e.class == "special" {
			continue
		}
		p, err := m.s.book.PlanReclass(m.s.t.Context(), rita, []uint64{e.seq}, "special", "it is special")
		if err != nil {
			m.rt.Fatal(err)
		}
		m.s.decide(p.Request, true)
		m.s.run(p.Seq)
		e.class = "special"
		return
	}
}

func (m *model) step() {
	m.steps++
	switch n := rapid.IntRange(0, 99).Draw(m.rt, "step"); {
	case n < 35:
		m.send()
	case n < 57:
		m.s.advance(time.Duration(rapid.IntRange(1, 25).Draw(m.rt, "days")) * 24 * time.Hour)
	case n < 62:
		m.place()
	case n < 66:
		m.release()
	case n < 69:
		m.reschedule()
	case n < 76:
		m.plan()
	case n < 81:
		m.run(false)
	case n < 92:
		m.plan()
		m.run(true)
	case n < 93:
		m.s.reopen()
	case n < 95:
		m.reclassify()
	default:
		m.cycle()
	}
	m.look()
}

// modelSteps are the lengths of the runs, of which there are 100 each. The
// longer half of the runs has more than half of the work, and so the two are
// done side by side.
var modelSteps = []int{60, 40}

// Nothing held is ever gone, everything due and unheld goes within its cutoff
// cycle: 10,000 steps against the model.
func TestDispositionAgainstModel(t *testing.T) {
	var steps, crashes, undone atomic.Int64
	t.Run("runs", func(t *testing.T) {
		for _, n := range modelSteps {
			t.Run(fmt.Sprintf("of %d steps", n), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(rt *rapid.T) {
					m := runModel(t, rt, n)
					steps.Add(int64(m.steps))
					crashes.Add(int64(m.crashes))
					undone.Add(int64(m.undone))
				})
			})
		}
	})
	t.Logf("%d steps, %d crashes, %d entries kept by a hold that came in after the switch", steps.Load(), crashes.Load(), undone.Load())
	if crashes.Load() == 0 || undone.Load() == 0 {
		t.Error("the model met no crash, or no hold after a switch")
	}
}

// runModel does one run in a bubble of its own.
func runModel(t *testing.T, rt *rapid.T, n int) *model {
	m := &model{rt: rt, days: 30, gone: map[uint64]bool{}, families: map[int][]*modelEntry{}}
	var failed any
	synctest.Test(t, func(t *testing.T) {
		defer func() { failed = recover() }()
		m.s, m.log = newStage(t)
		m.s.schedule(m.toml())
		for range n {
			m.step()
		}
	})
	if failed != nil {
		panic(failed) // in the goroutine in which rapid looks for it
	}
	return m
}
