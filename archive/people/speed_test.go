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

// BenchmarkAHospital asks a hospital's history what the daemon asks it: with 500
// changes behind it, every second one in the group of everybody.
func BenchmarkAHospital(b *testing.B) {
	l := hospital(b)
	for i := range 500 {
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
	var users []envelope.User
	for i := range 3000 {
		users = append(users, user(fmt.Sprintf("u%d", i), fmt.Sprintf("P%d@st.example", i), ""))
	}
	matches, _ := Match(users, l.h)
	l.match(matches...)
	for what, work := range map[string]func(){
		"Snapshot":     func() { l.h.Snapshot() },
		"Find":         func() { l.h.Find("P2999@ST.example") },
		"EffectiveNow": func() { l.h.EffectiveNow(id('p', 77)) },
		"Person":       func() { l.h.Person(id('p', 77), l.day(30)) },
		"Memberships":  func() { l.h.Memberships(id('p', 77)) },
		"Members":      func() { l.h.Members(id('g', 0), l.day(30)) },
		"All":          func() { l.h.All(true) },
		"InScope":      func() { l.h.InScope("Ward 3", "OU=Staff,DC=st,DC=example") },
		"Match":        func() { Match(users, l.h) },
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				work()
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	l := hospital(b)
	for i := range b.N {
		l.do(l.change(id('p', i%3000+1), func(p *Person) { p.Title = fmt.Sprint(i) }))
	}
}
