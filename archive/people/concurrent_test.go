package people

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"holdfast/ingest/envelope"
)

// Readers never stop the writer, see only whole entries, and may do as they
// like with what they were given. The race detector judges.
func TestReadersWhileItApplies(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann, bob))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s := l.h.Snapshot()
				s.Groups[nurses].Members[0] = cid
				for _, p := range l.h.All(true) {
					if p.Person.Name == "" {
						t.Error("somebody without a name")
					}
					for _, v := range l.h.Versions(p.Person.GUID) {
						for i := range v.Fields {
							v.Fields[i] = ""
						}
					}
				}
				for _, found := range [][]GUID{l.h.Find("ann"), l.h.Members(nurses, time.Time{}), l.h.EffectiveNow(ann)} {
					for i := range found {
						found[i] = cid
					}
				}
				Match([]envelope.User{user("u", "ann@st.example", "")}, l.h)
				l.h.InScope("ICU", "")
				l.h.Memberships(ann)
			}
		})
	}
	for i := range 60 {
		l.at(l.now.Add(time.Second)).do(l.change(ann, func(p *Person) { p.Title = fmt.Sprint(i) }))
		l.do(l.members(nurses, nil, []GUID{bob}))
		l.do(l.members(nurses, []GUID{bob}, nil))
		l.match(said(OpMatch, fmt.Sprint("u", i), ann))
	}
	close(done)
	readers.Wait()
	if m := l.h.Snapshot().Groups[nurses].Members; m[0] != ann || l.h.Versions(ann)[1].Fields[0] != "title" {
		t.Errorf("a reader changed the history: %v", m)
	}
}
