package audit

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// draw makes a log in which people look over some days, with messages between.
func draw(t *rapid.T) *memoryLog {
	m := &memoryLog{clock: time.Date(2026, 3, 6, 3, 0, 0, 0, time.UTC).UnixMilli()}
	people := []Principal{
		{UID: new(uint32(1000)), Name: "jdoe"}, {UID: new(uint32(1000)), Name: "jdoe", Person: "aa-1"},
		{Name: "Ann Smith", Person: "bb-2", Via: role.ViaHTTPS}, {Name: "holdfastd", Via: role.ViaDaemon},
	}
	var open []uint64
	for range rapid.IntRange(0, 60).Draw(t, "steps") {
		m.clock += rapid.Int64Range(0, int64(5*time.Hour/time.Millisecond)).Draw(t, "passes")
		switch rapid.IntRange(0, 4).Draw(t, "step") {
		case 0:
			m.messages(rapid.IntRange(0, 900).Draw(t, "messages"))
		case 1, 2:
			a := Access{Action: rapid.SampledFrom(Actions()).Draw(t, "action"), Principal: rapid.SampledFrom(people).Draw(t, "who"), Reason: "r",
				Matter: rapid.SampledFrom([]string{"", "M-7", "M-8"}).Draw(t, "matter"), Count: rapid.Uint64Range(0, 3).Draw(t, "count")}
			seq, err := Begin(t.Context(), m, a)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, seq)
		default:
			if len(open) == 0 {
				continue
			}
			n := rapid.IntRange(0, len(open)-1).Draw(t, "of")
			o := Outcome{Of: open[n], Result: rapid.SampledFrom([]string{ResultShown, ResultFailed}).Draw(t, "result"), Shown: rapid.Uint64Range(0, 9).Draw(t, "shown"),
				Custodians: rapid.SampledFrom([][]string{nil, {}, {"u1"}, {"u1", "u2"}, {"u3"}}).Draw(t, "custodians"),
				Many:       rapid.IntRange(0, 5).Draw(t, "many") == 0,
				Own:        rapid.Bool().Draw(t, "own"), Colleagues: rapid.Uint64Range(0, 1).Draw(t, "colleagues")}
			if err := Finish(t.Context(), m, o); err != nil {
				t.Fatal(err)
			}
			open = slices.Delete(open, n, n+1)
		}
	}
	return m
}

// plain reads the log forwards, all of it at once, in the plainest way.
func plain(t *rapid.T, m *memoryLog, w Watch) []Item {
	var items []Item
	r := reader{outcomes: map[uint64]*Outcome{}}
	for _, rec := range m.records {
		i, err := r.take(rec)
		if err != nil {
			t.Fatal(err)
		}
		if i != nil {
			items = append(items, *i)
		}
	}
	sums := map[string]uint64{}
	key := func(i *Item) string {
		return i.Access.Principal.ID() + " " + i.Received.In(w.Location).Format(time.DateOnly)
	}
	for k := range items {
		i := &items[k]
		i.Outcome = r.outcomes[i.Seq]
		if i.Outcome != nil && i.Access.Action.Reads() {
			sums[key(i)] += i.Outcome.Shown
		}
	}
	for k := range items {
		items[k].DayShown = sums[key(&items[k])]
		items[k].Flags = Flags(items[k], w)
	}
	slices.Reverse(items)
	return items
}

func drawFilter(t *rapid.T, all []Item) (f Filter, keep func(Item) bool) {
	some := func(name string) *Item {
		if len(all) == 0 || rapid.IntRange(0, 3).Draw(t, name+" used") > 0 {
			return nil
		}
		return &all[rapid.IntRange(0, len(all)-1).Draw(t, name)]
	}
	var keeps []func(Item) bool
	also := func(k func(Item) bool) { keeps = append(keeps, k) }
	if i := some("action"); i != nil {
		f.Action = i.Access.Action
		also(func(j Item) bool { return j.Access.Action == i.Access.Action })
	}
	if i := some("matter"); i != nil && i.Access.Matter != "" {
		f.Matter = i.Access.Matter
		also(func(j Item) bool { return j.Access.Matter == i.Access.Matter })
	}
	if i := some("since"); i != nil {
		f.Since = i.Received
		also(func(j Item) bool { return j.Seq >= i.Seq || j.Received.Equal(i.Received) })
	}
	if i := some("until"); i != nil {
		f.Until = i.Received
		also(func(j Item) bool { return j.Received.Before(i.Received) })
	}
	if i := some("before"); i != nil && i.Seq > 0 {
		f.Before = i.Seq
		also(func(j Item) bool { return j.Seq < i.Seq })
	}
	switch rapid.IntRange(0, 9).Draw(t, "person") {
	case 0:
		f.Person = "PERSON:AA-1"
		also(func(j Item) bool { return j.Access.Principal.Person == "aa-1" })
	case 1:
		f.Person = "ann smith"
		also(func(j Item) bool { return j.Access.Principal.Person == "bb-2" })
	case 2:
		f.Person = "bb-2"
		also(func(j Item) bool { return j.Access.Principal.Person == "bb-2" })
	case 3:
		f.Person = "uid:1000"
		also(func(j Item) bool { return j.Access.Principal.UID != nil })
	case 4:
		f.Principal = "1000"
		also(func(j Item) bool { return j.Access.Principal.UID != nil })
	}
	return f, func(j Item) bool {
		for _, k := range keeps {
			if !k(j) {
				return false
			}
		}
		return true
	}
}

// Reading backwards in windows, a list says the same as reading everything.
func TestListAgainstPlainReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := draw(t)
		w := Watch{Location: time.FixedZone("", -5*3600), From: 7 * 60, To: 19 * 60, Days: weekdays, Volume: rapid.Uint64Range(0, 20).Draw(t, "volume")}
		all := plain(t, m, w)
		f, keep := drawFilter(t, all)
		switch rapid.IntRange(0, 2).Draw(t, "watch") {
		case 0:
			f.Watch = &w
		case 1:
			f.Flagged = &w
			was := keep
			keep = func(i Item) bool { return was(i) && len(i.Flags) > 0 }
		default:
			for i := range all {
				all[i].Flags, all[i].DayShown = nil, 0
			}
		}
		want := slices.DeleteFunc(slices.Clone(all), func(i Item) bool { return !keep(i) })
		f.Limit = rapid.IntRange(0, 10).Draw(t, "limit")
		var got []Item
		for { // page by page
			page, err := List(t.Context(), m, f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page...)
			if f.Limit == 0 || len(page) < f.Limit || len(got) > len(all) {
				break
			}
			f.Before = page[len(page)-1].Seq
			if f.Before == 0 {
				break
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d accesses; want %d", len(got), len(want))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("access %d\n%+v\nwant\n%+v", i, got[i], want[i])
			}
		}
	})
}

// Reports count what plain reading counts.
func TestReportsAgainstPlainReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := draw(t)
		w := Watch{Location: time.FixedZone("", -5*3600), From: 7 * 60, To: 19 * 60, Days: weekdays, Volume: rapid.Uint64Range(1, 12).Draw(t, "volume")}
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		all := plain(t, m, w)

		usrs := []string{"u2", "u1"}
		custodian, err := ReportCustodian(t.Context(), m, Filter{Custodians: usrs, Limit: limit, Watch: &w})
		if err != nil {
			t.Fatal(err)
		}
		var sure, possible uint64
		var chosen []Item
		for _, i := range all {
			reads := slices.Contains([]Action{ActionSearch, ActionShow, ActionExport}, i.Access.Action)
			switch {
			case reads && i.Outcome != nil && !i.Outcome.Many && len(i.Outcome.Custodians) > 0 && i.Outcome.Custodians[0] == "u1":
				sure++
			case reads && (i.Outcome == nil || i.Outcome.Many || i.Outcome.Custodians == nil && (i.Outcome.Shown > 0 || i.Outcome.Result == ResultFailed)):
				possible++
			default:
				continue
			}
			chosen = append(chosen, i)
		}
		same(t, "custodian", custodian.Newest, custodian.More, chosen, limit)
		if custodian.Accesses != sure || custodian.Possible != possible || !slices.Equal(custodian.Custodians, []string{"u1", "u2"}) {
			t.Fatalf("custodian %+v; want %d and %d", custodian, sure, possible)
		}
		checkReaders(t, custodian, chosen)

		officer, err := ReportOfficer(t.Context(), m, Filter{Person: "person:bb-2", Limit: limit, Watch: &w})
		if err != nil {
			t.Fatal(err)
		}
		chosen = slices.DeleteFunc(all, func(i Item) bool { return i.Access.Principal.Person != "bb-2" })
		same(t, "officer", officer.Newest, officer.More, chosen, limit)
		checkOfficer(t, officer, chosen, w)
	})
}

func same(t *rapid.T, what string, got []Item, more bool, all []Item, limit int) {
	if want := all[:min(limit, len(all))]; len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) || more != (len(all) > limit) {
		t.Fatalf("%s: %d newest, more %v; want %d of %d", what, len(got), more, len(want), len(all))
	}
}

func checkReaders(t *rapid.T, r *CustodianReport, chosen []Item) {
	for _, by := range r.By {
		var n uint64
		var first, last time.Time
		for _, i := range chosen {
			if i.Access.Principal.ID() != by.ID {
				continue
			}
			if n == 0 {
				last = i.Received
			}
			n, first = n+1, i.Received
		}
		var counted uint64
		for _, k := range by.Actions {
			counted += k
		}
		if n == 0 || by.Accesses+by.Possible != n || counted != n || !by.First.Equal(first) || !by.Last.Equal(last) {
			t.Fatalf("%+v; want %d from %v to %v", by, n, first, last)
		}
		chosen = slices.DeleteFunc(slices.Clone(chosen), func(i Item) bool { return i.Access.Principal.ID() == by.ID })
	}
	if len(chosen) > 0 {
		t.Fatalf("%d accesses are nobody's", len(chosen))
	}
}

func checkOfficer(t *rapid.T, got *OfficerReport, chosen []Item, w Watch) {
	want := OfficerReport{Actions: map[Action]uint64{}, Flags: map[string]uint64{}}
	matters, days := map[string]MatterCount{}, map[string]uint64{}
	for _, i := range chosen {
		want.Actions[i.Access.Action] += max(1, i.Access.Count)
		for _, flag := range i.Flags {
			want.Flags[flag]++
		}
		if !i.Access.Action.Reads() {
			continue
		}
		c := matters[i.Access.Matter]
		c.Accesses++
		if i.Outcome != nil {
			want.Shown += i.Outcome.Shown
			c.Shown += i.Outcome.Shown
			days[i.Received.In(w.Location).Format(time.DateOnly)] += i.Outcome.Shown
		}
		matters[i.Access.Matter] = c
	}
	if !reflect.DeepEqual(got.Actions, want.Actions) || !reflect.DeepEqual(got.Flags, want.Flags) || got.Shown != want.Shown || len(got.Matters) != len(matters) {
		t.Fatalf("%+v\nwant\n%+v with %v", got, want, matters)
	}
	for _, c := range got.Matters {
		if is := matters[c.Matter]; c.Accesses != is.Accesses || c.Shown != is.Shown {
			t.Fatalf("matter %+v; want %+v", c, is)
		}
	}
	for _, d := range got.Days {
		if d.Shown == 0 || d.Shown != days[d.Day] || d.Volume != (d.Shown > w.Volume) {
			t.Fatalf("day %+v; want %d", d, days[d.Day])
		}
		delete(days, d.Day)
	}
	for day, n := range days {
		if n > 0 {
			t.Fatalf("%s is missing", day)
		}
	}
}

// Entries of the first daemons have neither a person nor custodians: they list
// as they always did, and count as possible in a custodian's report.
func TestFirstEntries(t *testing.T) {
	m := &memoryLog{}
	for i, body := range []string{
		`{"v":1,"action":"search","principal":{"uid":1000,"name":"jdoe"},"reason":"complaint 12","query":"potassium","at":"2026-03-01T07:00:00.123Z"}`,
		`{"v":1,"of":0,"result":"shown","total":9,"shown":2,"through_seq":4}`,
		`{"v":1,"action":"search","principal":{"uid":1000,"name":"jdoe"},"reason":"complaint 12","query":"nothing","at":"2026-03-01T07:00:00.123Z"}`,
		`{"v":1,"of":2,"result":"shown","total":0,"shown":0,"through_seq":4}`,
		`{"v":1,"action":"refused","principal":{"uid":1001,"name":"asmith"},"at":"2026-03-01T07:00:00.123Z"}`,
	} {
		kind := []proof.Kind{proof.KindAccess, proof.KindOutcome, proof.KindAccess, proof.KindOutcome, proof.KindAccess}[i]
		m.records = append(m.records, archive.Record{Leaf: proof.Leaf{Seq: uint64(i), Kind: kind, Class: proof.ClassAudit}, Body: []byte(body)})
	}
	items, err := List(t.Context(), m, Filter{Person: "uid:1000"})
	if err != nil || len(items) != 2 || items[1].Outcome.Shown != 2 || items[1].Outcome.Custodians != nil {
		t.Fatalf("%+v, %v", items, err)
	}
	r, err := ReportCustodian(t.Context(), m, Filter{Custodians: []string{"u1"}})
	if err != nil || r.Accesses != 0 || r.Possible != 1 || r.Newest[0].Seq != 0 || r.Through != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReportsAboutNobody(t *testing.T) {
	m := &memoryLog{}
	if _, err := ReportCustodian(t.Context(), m, Filter{}); !errors.Is(err, ErrWhom) {
		t.Errorf("custodian: %v", err)
	}
	if _, err := ReportOfficer(t.Context(), m, Filter{}); !errors.Is(err, ErrWhom) {
		t.Errorf("officer: %v", err)
	}
	if r, err := ReportOfficer(t.Context(), m, Filter{Principal: "jdoe"}); err != nil || r.Newest == nil && r.More {
		t.Errorf("an empty log: %+v, %v", r, err)
	}
	m.fail = nil
	m.records = []archive.Record{{Leaf: proof.Leaf{Kind: proof.KindAccess, Class: proof.ClassAudit}, Body: []byte("{")}}
	if _, err := ReportOfficer(t.Context(), m, Filter{Principal: "jdoe"}); err == nil {
		t.Error("a damaged entry was passed over")
	}
	if _, err := ReportCustodian(t.Context(), m, Filter{Custodians: []string{"u"}}); err == nil {
		t.Error("a damaged entry was passed over")
	}
}
