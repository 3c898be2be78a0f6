package audit

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// counting is a Source that knows how much its reader holds at a time.
type counting struct {
	*memoryLog
	held int // most records of one window
}

func (c *counting) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		n := 0
		for r, err := range c.memoryLog.ClassRecords(ctx, class, from, to) {
			n++
			c.held = max(c.held, n)
			if !yield(r, err) {
				return
			}
		}
	}
}

// Where a log of many messages was preceded by nothing but accesses, the
// windows that had grown shrink again before they are held.
func TestListHoldsLittle(t *testing.T) {
	m := &memoryLog{}
	const accesses = 3_000
	body := []byte(`{"v":1,"action":"refused","principal":{"uid":1000,"name":"jdoe"},"at":"2026-03-01T07:00:00Z"}`)
	for i := range uint64(accesses) {
		m.records = append(m.records, archive.Record{Leaf: proof.Leaf{Seq: i, Kind: proof.KindAccess, Class: proof.ClassAudit}, Body: body})
	}
	m.messages(70_000)
	c := &counting{memoryLog: m}
	n := 0
	if err := (&Filter{}).each(t.Context(), c, c.Size(), func(*Item) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	if n != accesses || c.held > maxHeld+1 || m.read > accesses+8*maxHeld {
		t.Errorf("met %d of %d, held up to %d, read %d", n, accesses, c.held, m.read)
	}
	// Few large entries are held by their size.
	big := make([]byte, 1<<20)
	for i := range m.records[:12] {
		m.records[i].Leaf.Kind, m.records[i].Body = proof.KindStart, big
	}
	m.records, c.held, m.read = m.records[:12], 0, 0
	if _, err := List(t.Context(), c, Filter{}); err != nil || c.held > maxHeldSize>>20+1 || m.read < 12 {
		t.Errorf("%v, held up to %d, read %d", err, c.held, m.read)
	}
}

// A list of accesses to very many custodians cuts their names, and says so; a
// shorter list has them. A report judges by all of them.
func TestListCutsNames(t *testing.T) {
	var usrs []string
	for i := range MaxCustodians {
		usrs = append(usrs, fmt.Sprintf("u%05d", i))
	}
	l := list{limit: 15}
	outcome := &Outcome{Result: ResultShown, Shown: 1, Custodians: usrs}
	for range l.limit {
		l.take(&Item{Outcome: outcome})
	}
	names := 0
	for i, item := range l.items {
		n := len(item.Outcome.Custodians)
		names += n
		if whole := i < maxNames/MaxCustodians; whole != (n == MaxCustodians) || n+item.NamesCut != MaxCustodians {
			t.Errorf("item %d names %d and cuts %d", i, n, item.NamesCut)
		}
	}
	if names > maxNames+l.limit*fewNames || len(outcome.Custodians) != MaxCustodians || len(l.items) != l.limit || l.more {
		t.Errorf("%d names in %d items, more %v", names, len(l.items), l.more)
	}
	m := &memoryLog{}
	seq, err := Begin(t.Context(), m, access(ActionExport, "jdoe"))
	if err != nil {
		t.Fatal(err)
	}
	outcome.Of = seq
	if err := Finish(t.Context(), m, *outcome); err != nil {
		t.Fatal(err)
	}
	r, err := ReportCustodian(t.Context(), m, Filter{Custodians: usrs[MaxCustodians-1:]})
	if err != nil || r.Accesses != 1 || r.Possible != 0 || r.Newest[0].NamesCut != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
