package audit

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// memoryLog is an Appender and a Source in memory.
type memoryLog struct {
	records []archive.Record
	fail    error
	clock   int64
	read    int              // records given back
	bodies  map[uint64]error // why a body cannot be had
}

func (m *memoryLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.fail != nil {
		return nil, m.fail
	}
	var placed []archive.Placed
	for _, e := range b.Entries {
		seq := uint64(len(m.records))
		m.clock += 1000
		m.records = append(m.records, archive.Record{
			Leaf: proof.Leaf{Seq: seq, Kind: e.Kind, Class: e.Class, Received: m.clock}, Note: e.Note, Body: e.Body,
		})
		placed = append(placed, archive.Placed{Seq: seq, Kind: e.Kind})
	}
	return placed, nil
}

func (m *memoryLog) Size() uint64 { return uint64(len(m.records)) }

func (m *memoryLog) ClassRecords(_ context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	return func(yield func(archive.Record, error) bool) {
		for _, r := range m.records[from:to] {
			if r.Leaf.Class != class {
				continue
			}
			m.read++
			if !yield(r, m.bodies[r.Leaf.Seq]) {
				return
			}
		}
	}
}

func (m *memoryLog) messages(n int) {
	for range n {
		m.clock += 10
		m.records = append(m.records, archive.Record{Leaf: proof.Leaf{
			Seq: uint64(len(m.records)), Kind: proof.KindMessage, Class: proof.ClassGeneral, Received: m.clock}})
	}
}

func access(action Action, name string) Access {
	return Access{Action: action, Principal: Principal{UID: new(uint32(1000)), Name: name}, Reason: "complaint 12", Query: "potassium",
		At: time.Date(2026, 3, 1, 8, 0, 0, 123456789, time.FixedZone("", 3600))}
}

func TestBeginWritesTheAccessEntry(t *testing.T) {
	m := &memoryLog{}
	m.messages(3)
	a := access(ActionSearch, "jdoe")
	a.Matter = "M-7"
	a.Seqs = []uint64{4, 5}
	seq, err := Begin(t.Context(), m, a)
	if err != nil || seq != 3 {
		t.Fatalf("Begin = %d, %v; want 3", seq, err)
	}
	rec := m.records[3]
	if rec.Leaf.Kind != proof.KindAccess || rec.Leaf.Class != proof.ClassAudit {
		t.Errorf("entry is %v of class %s", rec.Leaf.Kind, rec.Leaf.Class)
	}
	const want = `{"v":1,"action":"search","principal":{"uid":1000,"name":"jdoe"},"reason":"complaint 12","matter":"M-7","query":"potassium","seqs":[4,5],"at":"2026-03-01T07:00:00.123Z"}`
	if string(rec.Body) != want {
		t.Errorf("body\n%s\nwant\n%s", rec.Body, want)
	}
	if err := Finish(t.Context(), m, Outcome{Of: seq, Result: ResultShown, Total: 9, Shown: 2, Through: 4}); err != nil {
		t.Fatal(err)
	}
	const wantOutcome = `{"v":1,"of":3,"result":"shown","total":9,"shown":2,"through_seq":4}`
	if got := m.records[4]; got.Leaf.Kind != proof.KindOutcome || string(got.Body) != wantOutcome {
		t.Errorf("outcome %v %s", got.Leaf.Kind, got.Body)
	}
}

func TestBeginRefuses(t *testing.T) {
	long := strings.Repeat("ä", MaxReason+1)
	tests := map[string]struct {
		change func(*Access)
		want   error
	}{
		"no reason":     {func(a *Access) { a.Reason = "" }, ErrNoReason},
		"blank reason":  {func(a *Access) { a.Reason = " \t\n" }, ErrNoReason},
		"nothing seen":  {func(a *Access) { a.Reason, a.Matter = "\u202e\u200b", "\x00\u2060" }, ErrNoReason},
		"long reason":   {func(a *Access) { a.Reason = long }, ErrTooLong},
		"long matter":   {func(a *Access) { a.Matter = long }, ErrTooLong},
		"long query":    {func(a *Access) { a.Query = strings.Repeat("x", MaxQuery+1) }, ErrTooLong},
		"many seqs":     {func(a *Access) { a.Seqs = make([]uint64, MaxSeqs+1) }, ErrTooLong},
		"long name":     {func(a *Access) { a.Principal.Name = strings.Repeat("x", MaxName+1) }, ErrTooLong},
		"other action":  {func(a *Access) { a.Action = "peek" }, ErrUnaudited},
		"empty action":  {func(a *Access) { a.Action = "" }, ErrUnaudited},
		"longest is ok": {func(a *Access) { a.Reason = strings.Repeat("ä", MaxReason) }, nil},
		"matter alone":  {func(a *Access) { a.Reason, a.Matter = "", "M" }, nil},
		"audit needs no reason": {func(a *Access) {
			a.Action, a.Reason = ActionAudit, ""
		}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memoryLog{}
			a := access(ActionShow, "jdoe")
			tt.change(&a)
			_, err := Begin(t.Context(), m, a)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Begin: %v; want %v", err, tt.want)
			}
			if (tt.want == nil) != (len(m.records) == 1) {
				t.Errorf("%d entries written", len(m.records))
			}
		})
	}
}

func TestBeginFailsClosed(t *testing.T) {
	m := &memoryLog{fail: archive.ErrDiskFull}
	_, err := Begin(t.Context(), m, access(ActionSearch, "jdoe"))
	if !errors.Is(err, ErrUnaudited) || !errors.Is(err, archive.ErrDiskFull) {
		t.Errorf("Begin on a full disk: %v", err)
	}
	if _, err := Begin(t.Context(), mute{}, access(ActionSearch, "jdoe")); !errors.Is(err, ErrUnaudited) {
		t.Errorf("Begin on a log that placed nothing: %v", err)
	}
}

type mute struct{}

func (mute) Append(context.Context, archive.Batch) ([]archive.Placed, error) { return nil, nil }

func TestFinishOutlivesTheCaller(t *testing.T) {
	m := &memoryLog{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Finish(ctx, m, Outcome{Of: 0, Result: ResultFailed}); err != nil || len(m.records) != 1 {
		t.Errorf("Finish after the caller hung up: %v, %d entries", err, len(m.records))
	}
}

func filled(t *testing.T) *memoryLog {
	t.Helper()
	m := &memoryLog{}
	for i := range 40 {
		m.messages(i * 40)
		a := access(ActionSearch, "jdoe")
		if i%2 == 1 {
			a = access(ActionShow, "asmith")
			a.Principal.UID = new(uint32(1001))
		}
		seq, err := Begin(t.Context(), m, a)
		if err != nil {
			t.Fatal(err)
		}
		m.messages(3)
		if i%4 == 3 {
			continue // this look never ended
		}
		if err := Finish(t.Context(), m, Outcome{Of: seq, Result: ResultShown, Total: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestListNewestFirstWithOutcomes(t *testing.T) {
	m := filled(t)
	items, err := List(t.Context(), m, Filter{})
	if err != nil || len(items) != 40 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for k, item := range items {
		i := 39 - k
		if k > 0 && item.Seq >= items[k-1].Seq {
			t.Errorf("item %d is not older than the one before", k)
		}
		switch {
		case i%4 == 3 && item.Outcome != nil:
			t.Errorf("access %d has an outcome", i)
		case i%4 != 3 && (item.Outcome == nil || item.Outcome.Total != uint64(i) || item.Outcome.Of != item.Seq):
			t.Errorf("access %d has outcome %+v", i, item.Outcome)
		}
	}
}

func TestListFilters(t *testing.T) {
	m := filled(t)
	all, err := List(t.Context(), m, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		f    Filter
		keep func(Item) bool
	}{
		"action":    {Filter{Action: ActionShow}, func(i Item) bool { return i.Access.Action == ActionShow }},
		"name":      {Filter{Principal: "jdoe"}, func(i Item) bool { return i.Access.Principal.Name == "jdoe" }},
		"uid":       {Filter{Principal: "1001"}, func(i Item) bool { return *i.Access.Principal.UID == 1001 }},
		"nobody":    {Filter{Principal: "root"}, func(Item) bool { return false }},
		"since":     {Filter{Since: all[10].Received}, func(i Item) bool { return i.Seq >= all[10].Seq }},
		"before":    {Filter{Before: all[7].Seq}, func(i Item) bool { return i.Seq < all[7].Seq }},
		"limit":     {Filter{Limit: 5}, func(i Item) bool { return i.Seq >= all[4].Seq }},
		"both":      {Filter{Action: ActionSearch, Before: all[7].Seq}, func(i Item) bool { return i.Seq < all[7].Seq && i.Access.Action == ActionSearch }},
		"too large": {Filter{Limit: MaxListed + 1}, func(Item) bool { return true }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var want []uint64
			for _, i := range all {
				if tt.keep(i) {
					want = append(want, i.Seq)
				}
			}
			items, err := List(t.Context(), m, tt.f)
			if err != nil || len(items) != len(want) {
				t.Fatalf("%d items, %v; want %d", len(items), err, len(want))
			}
			for k := range items {
				if items[k].Seq != want[k] {
					t.Errorf("item %d is %d, want %d", k, items[k].Seq, want[k])
				}
			}
		})
	}
}

// A short list from a long log must not read all of it.
func TestListStopsEarly(t *testing.T) {
	m := filled(t)
	m.read = 0
	if _, err := List(t.Context(), m, Filter{Limit: 2}); err != nil {
		t.Fatal(err)
	}
	if m.read > 20 {
		t.Errorf("read %d records for a list of 2", m.read)
	}
}

// What was disposed of after its time is left out; what is damaged is not
// passed over in silence.
func TestListWithoutBodies(t *testing.T) {
	m := filled(t)
	all, err := List(t.Context(), m, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	oldest := all[len(all)-1].Seq
	m.bodies = map[uint64]error{}
	for _, gone := range []error{archive.ErrNoBody, archive.ErrDisposed} {
		m.bodies[oldest] = &archive.SeqError{Seq: oldest, Err: gone}
		if left, err := List(t.Context(), m, Filter{}); err != nil || len(left) != len(all)-1 {
			t.Errorf("%d accesses, %v", len(left), err)
		}
	}
	m.bodies[oldest] = &archive.SeqError{Seq: oldest, Err: archive.ErrDamaged}
	if _, err := List(t.Context(), m, Filter{}); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("List over a damaged entry: %v", err)
	}
}

func TestListRefusesADamagedEntry(t *testing.T) {
	m := filled(t)
	for i, rec := range m.records {
		if rec.Leaf.Kind == proof.KindAccess {
			m.records[i].Body = []byte(`{"v":1,"v":2}`)
			break
		}
	}
	if _, err := List(t.Context(), m, Filter{}); err == nil || !strings.Contains(err.Error(), "access entry") {
		t.Errorf("List: %v", err)
	}
}

func TestBodiesRoundTrip(t *testing.T) {
	a := access(ActionExport, "jdoe")
	a.Version = 1
	a.At = a.At.UTC().Truncate(time.Millisecond)
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back Access
	if err := json.Unmarshal(b, &back); err != nil || !back.At.Equal(a.At) || back.Query != a.Query {
		t.Errorf("round trip: %+v, %v", back, err)
	}
}
