package schedule

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAcceptedAsPlainlyRead: a schedule is accepted if and only if no message
// is taken into two classes, no rule is over itself, and every rule decides for
// some message. Which messages there are is found out by asking about all.
func TestAcceptedAsPlainlyRead(t *testing.T) {
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		drawn := drawSchedule(t)
		s, err := Parse(write(drawn))
		circle := slices.ContainsFunc(drawn.Rules, func(r Rule) bool { return plainly(drawn.Rules, r.Name, r.Name, len(drawn.Rules)) })
		overlap := false
		for _, m := range everyMessage {
			overlap = overlap || len(plainClasses(drawn, m)) > 1
		}
		if err != nil {
			refused++
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatal(err)
			}
			unreachable := false
			for _, f := range faults {
				unreachable = unreachable || strings.Contains(f.Text, "can never be reached")
				if strings.Contains(f.Text, "could both take") && !overlap && !pairOverlaps(drawn) {
					t.Fatalf("no message is taken into two classes: %v", err)
				}
			}
			if unreachable {
				checkUnreachable(t, drawn, faults)
			} else if !circle && !overlap && !pairOverlaps(drawn) {
				t.Fatalf("refused without a cause: %v\n%s", err, write(drawn))
			}
			return
		}
		accepted++
		if circle || overlap || pairOverlaps(drawn) {
			t.Fatalf("accepted: circle %t, overlap %t\n%s", circle, overlap, write(drawn))
		}
		reached := map[string]bool{}
		for _, m := range everyMessage {
			d := s.Classify(m)
			if want := plainClasses(s, m); len(want) != 1 || d.Class != want[0] {
				t.Fatalf("%+v: %v, plainly %v\n%s", m, d, want, write(drawn))
			}
			if r, ok := s.rule(d.Rule); d.Rule != "" && (!ok || !r.takes(m) || r.Class != d.Class) {
				t.Fatalf("%+v: %v does not take it", m, d)
			}
			if slices.Contains(types, m.Type) {
				reached[d.Rule] = true
			}
			if again := s.Classify(m); again != d {
				t.Fatalf("%v, then %v", d, again)
			}
		}
		for _, r := range s.Rules {
			if !reached[r.Name] {
				t.Fatalf("no message reaches %s\n%s", r.Name, write(drawn))
			}
		}
		if d := s.Classify(Message{Unknown: true}); d != (Decision{Class: s.Longest(), Rule: RuleLongest}) {
			t.Fatalf("unknown: %v", d)
		}
	})
	if accepted < 10 || refused < 10 {
		t.Errorf("%d accepted, %d refused: this showed nothing", accepted, refused)
	}
}

// pairOverlaps says whether two rules of different classes take one message and
// neither is over the other: no third rule makes that good.
func pairOverlaps(s *Schedule) bool {
	n := len(s.Rules)
	for i, a := range s.Rules {
		for _, b := range s.Rules[:i] {
			if a.Class == b.Class || plainly(s.Rules, a.Name, b.Name, n) || plainly(s.Rules, b.Name, a.Name, n) {
				continue
			}
			if slices.ContainsFunc(everyMessage, func(m Message) bool { return a.takes(m) && b.takes(m) }) {
				return true
			}
		}
	}
	return false
}

// checkUnreachable holds every fault of that kind against all messages.
func checkUnreachable(t *rapid.T, drawn *Schedule, faults Faults) {
	r := reader{s: *drawn}
	r.s.order = r.rank()
	for place, i := range r.s.order {
		rule := r.s.Rules[i]
		said := slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Text, "rule "+rule.Name+" can never be reached") })
		decides := slices.ContainsFunc(everyMessage, func(m Message) bool {
			return slices.Contains(types, m.Type) && r.s.Classify(m).Rule == rule.Name
		})
		if said == decides {
			t.Fatalf("rule %s at %d: said to be unreachable %t, decides %t\n%s", rule.Name, place, said, decides, write(drawn))
		}
	}
}

// TestOrderInTheFileDoesNotMatter: the same rules and classes in another order
// decide the same, and nothing is different between the two.
func TestOrderInTheFileDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawGood(t, "schedule")
		other := *s
		other.Rules = rapid.Permutation(s.Rules).Draw(t, "order of rules")
		other.Classes = rapid.Permutation(s.Classes).Draw(t, "order of classes")
		shuffled, err := Parse(write(&other))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range everyMessage {
			if a, b := s.Classify(m), shuffled.Classify(m); a != b {
				t.Fatalf("%+v: %v, %v", m, a, b)
			}
		}
		if s.Longest() != shuffled.Longest() || !reflect.DeepEqual(s.Groups(), shuffled.Groups()) {
			t.Fatal("longest or groups differ")
		}
		if changes := Compare(s, shuffled); len(changes) != 0 {
			t.Fatalf("%+v", changes)
		}
	})
}

// TestLongestIsNotOutlasted: no class that a rule can lead to keeps at least as
// long as the longest in every case, and longer in some.
func TestLongestIsNotOutlasted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawGood(t, "schedule")
		longest, ok := s.Class(s.Longest())
		if !ok || longest.Name == Audit || longest.Unused {
			t.Fatalf("%+v", longest)
		}
		for _, c := range s.Classes {
			if c.Name != Audit && !c.Unused && c.atLeast(longest) && !longest.atLeast(c) {
				t.Fatalf("%+v outlasts %+v", c, longest)
			}
		}
	})
}

// earlier says whether something is due under b before it is due under a.
func earlier(b, a Due) bool { return b.Known && (!a.Known || b.At.Before(a.At)) }

// TestNothingGoesEarlierUnnoticed: when some message, or some entry that has its
// class already, is due earlier under a new schedule than under the old,
// Compare says that it narrows.
func TestNothingGoesEarlierUnnoticed(t *testing.T) {
	narrowing, silent := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		old := drawGood(t, "old")
		next := drawGood(t, "new")
		if rapid.IntRange(0, 2).Draw(t, "kin") > 0 {
			next = kin(t, old)
		}
		changes := Compare(old, next)
		if slices.ContainsFunc(changes, func(c Change) bool { return c.Narrows }) {
			narrowing++
			return
		}
		silent++
		for range 4 {
			f := drawFacts(t)
			for _, m := range append([]Message{{Unknown: true}}, everyMessage...) {
				before, _ := old.Class(old.Classify(m).Class)
				after, _ := next.Class(next.Classify(m).Class)
				if earlier(after.Due(f), before.Due(f)) {
					t.Fatalf("%+v of %+v: %v, was %v\nold:\n%s\nnew:\n%s\n%+v", m, f, after.Due(f), before.Due(f), write(old), write(next), changes)
				}
			}
			for _, before := range old.Classes {
				after, ok := next.Class(before.Name)
				if !ok && before.Name != Audit || ok && earlier(after.Due(f), before.Due(f)) {
					t.Fatalf("class %s: %+v", before.Name, changes)
				}
			}
			if _, was := old.Class(Audit); !was {
				if _, is := next.Class(Audit); is {
					t.Fatalf("audit was kept for ever: %+v", changes)
				}
			}
		}
	})
	if narrowing < 10 || silent < 10 {
		t.Errorf("%d narrow, %d do not: this showed nothing", narrowing, silent)
	}
}

// kin draws a schedule that differs from old in a few places, as a site's next
// one does.
func kin(t *rapid.T, old *Schedule) *Schedule {
	return rapid.Custom(func(t *rapid.T) *Schedule {
		s := *old
		s.Rules, s.Classes = slices.Clone(old.Rules), slices.Clone(old.Classes)
		if i := rapid.IntRange(-1, len(s.Classes)-1).Draw(t, "class to change"); i >= 0 && s.Classes[i].Name != Audit {
			c := drawClass(t, s.Classes[i].Name)
			c.Unused = s.Classes[i].Unused
			s.Classes[i] = c
		}
		if len(s.Rules) > 0 {
			i := rapid.IntRange(0, len(s.Rules)-1).Draw(t, "rule to change")
			r := &s.Rules[i]
			switch rapid.IntRange(0, 4).Draw(t, "how") {
			case 0:
				r.Senders = nil
			case 1:
				r.Class = s.Classes[0].Name
			case 2:
				r.Labels = []string{"x"}
			case 3:
				r.Conversations = []string{"patient"}
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "other otherwise") == 0 {
			s.Otherwise = s.Classes[rapid.IntRange(0, len(old.Classes)-1).Draw(t, "otherwise")].Name
		}
		next, err := Parse(write(&s))
		if err != nil {
			return old
		}
		return next
	}).Draw(t, "kin")
}

// TestClassNarrowsOnlyIfItDoes: of two classes, the one keeps at least as long
// as the other if and only if no facts make it due earlier. Only where a lower
// age of majority is made up for by a longer period is it said to narrow all
// the same.
func TestClassNarrowsOnlyIfItDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawClass(t, "c"), drawClass(t, "c")
		if b.atLeast(a) {
			for range 20 {
				if f := drawFacts(t); earlier(b.Due(f), a.Due(f)) {
					t.Fatalf("%+v: %v, was %v", f, b.Due(f), a.Due(f))
				}
			}
			return
		}
		if a.Trigger == Majority && b.Trigger == Majority && b.Adult < a.Adult {
			return
		}
		for _, f := range everyFacts {
			if earlier(b.Due(f), a.Due(f)) {
				return
			}
		}
		t.Fatalf("%s is said to narrow %s, and nothing is earlier", b.keeps(), a.keeps())
	})
}

// everyFacts are facts for every day of four years on which all triggers come
// at once, and for some of them with what tells the triggers apart.
var everyFacts = func() []Facts {
	var all []Facts
	for day := range 4*365 + 1 {
		soon := date(2019, 1, 1).AddDate(0, 0, day)
		all = append(all, Facts{Received: soon, Closed: &soon, Departed: &soon, Born: 1980})
		if day%97 != 0 {
			continue
		}
		late := soon.AddDate(30, 0, 0)
		for _, closed := range []*time.Time{nil, &soon, &late} {
			for _, departed := range []*time.Time{nil, &soon, &late} {
				for _, born := range []int{0, 1980, 2019} {
					all = append(all, Facts{Received: soon, Closed: closed, Departed: departed, Born: born})
				}
			}
		}
	}
	return all
}()
