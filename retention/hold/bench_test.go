package hold

import (
	"fmt"
	"testing"

	"holdfast/archive/proof"
	"holdfast/archive/query"
)

// hospital is a directory of many people, of whom each group has some.
func hospital(people, group int) ward {
	w := ward{usrs: map[string][]string{}, members: map[string][]stay{}, names: map[string][]string{}}
	for i := range people {
		w.usrs[person(i)] = []string{fmt.Sprint("u", i), fmt.Sprint("former-u", i)}
		if i < group {
			w.members[night] = append(w.members[night], stay{person: person(i)})
		}
	}
	return w
}

func person(i int) string { return fmt.Sprintf("22222222-0000-0000-0000-%012x", i+1) }

// traffic is entries of messages as a ward sends them.
func traffic(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		e := &entries[i]
		*e = Entry{Seq: uint64(i), Kind: proof.KindMessage, Received: day(i % 300), Sent: day(i % 300), Conversation: fmt.Sprint("c", i%97)} // #nosec G115 -- not negative
		e.Doc = &query.Doc{Typ: "msg", Text: fmt.Sprintf("Please call back about bed %d: potassium is 5.9, repeat at six and tell the night team if it is above 6", i)}
		for k := range 4 {
			id := (i*31 + k*k*17) % 5000
			e.Usrs, e.Persons = append(e.Usrs, fmt.Sprint("u", id)), append(e.Persons, person(id))
			e.Doc.To = append(e.Doc.To, query.Party{Usr: fmt.Sprint("u", id), UPN: fmt.Sprintf("p%d@ward.example", id), Name: "Ada Ng"})
		}
	}
	return entries
}

var benched = map[string]Scope{
	"custodian":           {Custodians: []string{person(7)}, From: from(10)},
	"custodians-1000":     {Custodians: numbered("22222222-0000-0000-0000-%012x", 1000), From: from(10)},
	"group-2000":          {Groups: []string{night}},
	"query":               {Query: `heparin OR "potassium was"`, Language: query.Language},
	"query-name":          {Query: "heparin to:p7@ward.example", Language: query.Language},
	"custodian-and-query": {Custodians: []string{person(7)}, Query: "heparin", Language: query.Language},
	"conversation":        {Conversations: []string{"c5"}, From: from(10), To: from(100)},
}

func TestCoversAllocatesNothing(t *testing.T) {
	w, entries := hospital(5000, 2000), traffic(200)
	for name, s := range benched {
		m := compiled(t, s, w, Languages(w))
		i := 0
		if n := testing.AllocsPerRun(len(entries), func() { m.Covers(&entries[i%len(entries)]); i++ }); n != 0 {
			t.Errorf("%s: %v allocations an entry", name, n)
		}
	}
}

func BenchmarkCovers(b *testing.B) {
	w, entries := hospital(5000, 2000), traffic(10_000)
	for name, s := range benched {
		m, err := Compile("M-1", s, w, Languages(w))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Covers(&entries[i%len(entries)])
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	w := hospital(5000, 2000)
	for b.Loop() {
		if _, err := Compile("M-1", benched["group-2000"], w, Languages(w)); err != nil {
			b.Fatal(err)
		}
	}
}
