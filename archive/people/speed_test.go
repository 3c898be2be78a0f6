package people

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/ingest/envelope"
)

// hospital is a log of 3,000 people and 114 groups: one of everybody, and the
// others in rings, each ring's groups in one another.
func hospital(tb tb) *log {
	l := begin(tb)
	everyone := make([]GUID, 3000)
	for i := range everyone {
		p := someone(id('p', i+1), fmt.Sprintf("p%d", i))
		p.Department = fmt.Sprintf("Ward %d", i%40)
		p.DN = fmt.Sprintf("CN=p%d,OU=Ward %d,OU=Staff,DC=st,DC=example", i, i%40)
		l.do(add(p))
		everyone[i] = p.GUID
	}
	slices.Sort(everyone)
	l.do(addGroup(id('g', 0), "everybody", slices.Clone(everyone)...))
	for i := 1; i < 114; i++ {
		members := []GUID{id('g', i/10*10+(i+1)%10)} // rings of ten
		for k := range 30 {
			members = append(members, everyone[(i*31+k*97)%3000])
		}
		slices.Sort(members)
		l.do(addGroup(id('g', i), fmt.Sprintf("g%d", i), slices.Compact(members)...))
	}
	return l
}

// best is the shortest of some runs: what the work takes when nothing disturbs.
func best(runs int, work func()) time.Duration {
	shortest := time.Hour
	for range runs {
		start := time.Now()
		work()
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

func TestAHospitalIsCheap(t *testing.T) {
	l := hospital(t)
	start := time.Now()
	for i := range changes { // years of changes; every second one in the group of everybody
		l.at(l.now.Add(time.Hour))
		g := []GUID{id('p', i/4%3000+1)}
		everybody := Group{GUID: id('g', 0), Name: "everybody", Account: "everybody", DN: "CN=everybody,OU=Groups,DC=st,DC=example"}
		switch i % 4 {
		case 0:
			l.do(Change{Op: OpChange, Group: &everybody, Removed: g})
		case 2:
			l.do(Change{Op: OpChange, Group: &everybody, Added: g})
		default:
			l.do(l.change(g[0], func(p *Person) { p.Title = fmt.Sprint(i) }))
		}
	}
	if took := time.Since(start); took > raceFactor*2*time.Second {
		t.Errorf("%d changes took %v", changes, took)
	}
	var users []envelope.User
	for i := range 3000 {
		users = append(users, user(fmt.Sprintf("u%d", i), fmt.Sprintf("P%d@st.example", i), ""))
	}
	matches, _ := Match(users, l.h)
	l.match(matches...)
	if len(matches) != 3000 {
		t.Errorf("%d matches", len(matches))
	}
	for what, limit := range map[string]struct {
		within time.Duration
		work   func()
	}{
		"Snapshot":     {10 * time.Millisecond, func() { l.h.Snapshot() }},
		"Find":         {time.Millisecond, func() { l.h.Find("P2999@ST.example") }},
		"EffectiveNow": {5 * time.Millisecond, func() { l.h.EffectiveNow(id('p', 77)) }},
		"Person":       {5 * time.Millisecond, func() { l.h.Person(id('p', 77), l.day(30)) }},
		"Memberships":  {20 * time.Millisecond, func() { l.h.Memberships(id('p', 77)) }},
		"Members":      {20 * time.Millisecond, func() { l.h.Members(id('g', 0), l.day(30)) }},
		"All":          {300 * time.Millisecond, func() { l.h.All(true) }},
		"InScope":      {100 * time.Millisecond, func() { l.h.InScope("Ward 3", "OU=Staff,DC=st,DC=example") }},
		"Match":        {100 * time.Millisecond, func() { Match(users, l.h) }},
	} {
		if took := best(5, limit.work); took > raceFactor*limit.within {
			t.Errorf("%s took %v, more than %v", what, took, raceFactor*limit.within)
		} else {
			t.Logf("%s: %v", what, took)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	l := hospital(b)
	for i := range b.N {
		l.do(l.change(id('p', i%3000+1), func(p *Person) { p.Title = fmt.Sprint(i) }))
	}
}

func BenchmarkSnapshot(b *testing.B) {
	l := hospital(b)
	b.ReportAllocs()
	for b.Loop() {
		l.h.Snapshot()
	}
}
