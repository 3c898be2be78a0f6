package ldapsync

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/people"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// id is the nth objectGUID of a test.
func id(n int) people.GUID {
	return people.GUID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
}

// snapshot has people 1 to n, and groups 1001… with the given members.
func snapshot(n int, groups ...[]int) *people.Snapshot {
	s := &people.Snapshot{People: map[people.GUID]people.Person{}, Groups: map[people.GUID]people.Group{}}
	for i := 1; i <= n; i++ {
		account := fmt.Sprintf("p%d", i)
		s.People[id(i)] = people.Person{GUID: id(i), Account: account, Mail: account + "@x.test", DN: "CN=" + account + ",DC=x"}
	}
	for i, members := range groups {
		g := people.Group{GUID: id(1001 + i), Account: fmt.Sprintf("g%d", i+1), DN: fmt.Sprintf("CN=g%d,DC=x", i+1)}
		for _, m := range members {
			g.Members = append(g.Members, id(m))
		}
		slices.Sort(g.Members)
		s.Groups[g.GUID] = g
	}
	return s
}

// show writes changes for comparing.
func show(changes []people.Change) string {
	var out []string
	for _, c := range changes {
		s := string(c.Op)
		if c.Person != nil {
			s += " " + c.Person.Account
		} else {
			s += " " + c.Group.Account
		}
		for _, f := range append([]string{c.Why}, c.Fields...) {
			if f != "" {
				s += " " + f
			}
		}
		if n, m := len(c.Added), len(c.Removed); n+m > 0 {
			s += fmt.Sprintf(" +%d -%d", n, m)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestDiff(t *testing.T) {
	past, future := noon.Add(-time.Hour), noon.Add(time.Hour)
	for name, c := range map[string]struct {
		change func(old, new *people.Snapshot)
		want   string
	}{
		"nothing": {func(_, _ *people.Snapshot) {}, ""},
		"first": {func(old, _ *people.Snapshot) { clear(old.People); clear(old.Groups) },
			"add p1; add p2; add p3; add g1"},
		"renamed, moved, promoted": {func(_, new *people.Snapshot) {
			edit(new, 1, func(p *people.Person) {
				p.Name, p.DN, p.Department, p.Mail = "New", "CN=p1,OU=Ward,DC=x", "Ward", "new@x.test"
			})
		}, "change p1 mail name department dn"},
		"DN in another case": {func(_, new *people.Snapshot) {
			edit(new, 1, func(p *people.Person) { p.DN = "cn=P1,dc=X" })
		}, ""},
		"missing":   {func(_, new *people.Snapshot) { delete(new.People, id(2)) }, "depart p2 missing"},
		"disabled":  {func(_, new *people.Snapshot) { edit(new, 2, func(p *people.Person) { p.Disabled = true }) }, "depart p2 disabled disabled"},
		"expired":   {func(_, new *people.Snapshot) { edit(new, 2, func(p *people.Person) { p.Expires = &past }) }, "depart p2 expired expires"},
		"will end":  {func(_, new *people.Snapshot) { edit(new, 2, func(p *people.Person) { p.Expires = &future }) }, "change p2 expires"},
		"ended now": {func(old, new *people.Snapshot) { both(old, new, 2, func(p *people.Person) { p.Expires = &noon }) }, "depart p2 expired"},
		"still gone": {func(old, new *people.Snapshot) {
			old.Departed = map[people.GUID]people.Person{id(2): old.People[id(2)]}
			delete(old.People, id(2))
			edit(new, 2, func(p *people.Person) { p.Disabled, p.Name = true, "zz" })
		}, ""},
		"back": {func(old, new *people.Snapshot) {
			old.Departed = map[people.GUID]people.Person{id(2): old.People[id(2)]}
			delete(old.People, id(2))
			edit(new, 2, func(p *people.Person) { p.Name = "Back" })
		}, "return p2 name"},
		"disabled from the start": {func(_, new *people.Snapshot) {
			new.People[id(9)] = people.Person{GUID: id(9), Account: "p9", Disabled: true}
		}, ""},
		"name of another": {func(_, new *people.Snapshot) {
			new.People[id(9)] = people.Person{GUID: id(9), Account: "p2", Mail: "p2@x.test"}
			delete(new.People, id(2))
		}, "depart p2 missing; add p2"},
		"members": {func(_, new *people.Snapshot) {
			g := new.Groups[id(1001)]
			g.Members = []people.GUID{id(2), id(3)}
			new.Groups[id(1001)] = g
		}, "change g1 +1 -1"},
		"group gone, group new": {func(_, new *people.Snapshot) {
			g := new.Groups[id(1001)]
			delete(new.Groups, id(1001))
			g.GUID = id(1002)
			new.Groups[id(1002)] = g
		}, "remove g1; add g1"},
	} {
		old, new := snapshot(3, []int{1, 2}), snapshot(3, []int{1, 2})
		c.change(old, new)
		changes := Diff(old, new, noon)
		if got := show(changes); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if len(changes) > 0 && people.Digest(changes) != people.Digest(Diff(old.Clone(), new.Clone(), noon)) {
			t.Errorf("%s: the same diff has two digests", name)
		}
	}
}

func edit(s *people.Snapshot, n int, f func(*people.Person)) {
	p := s.People[id(n)]
	f(&p)
	s.People[id(n)] = p
}

func both(a, b *people.Snapshot, n int, f func(*people.Person)) { edit(a, n, f); edit(b, n, f) }

func TestRails(t *testing.T) {
	for name, c := range map[string]struct {
		before, after *people.Snapshot
		want          string
	}{
		"nothing":             {snapshot(100), snapshot(100), ""},
		"first":               {snapshot(0), snapshot(100, []int{1}), ""},
		"nobody at all":       {snapshot(0), snapshot(0), "no-people"},
		"nobody left":         {snapshot(100, []int{1}), snapshot(0), "no-people no-groups people-loss group-missing"},
		"above both":          {snapshot(400, []int{1}), snapshot(379, []int{1}), "people-loss"},
		"above the number":    {snapshot(1000, []int{1}), snapshot(979, []int{1}), ""},
		"above the percent":   {snapshot(100, []int{1}), snapshot(80, []int{1}), ""},
		"exactly both":        {snapshot(400, []int{1}), snapshot(380, []int{1}), ""},
		"the group is gone":   {snapshot(5, []int{1}, []int{2}), groupless(snapshot(5, []int{1}, []int{2}), 1001), "group-missing"},
		"gone since long":     {groupless(snapshot(5, []int{1}, []int{2}), 1001), groupless(snapshot(6, []int{1}, []int{2}), 1001), ""},
		"never there":         {snapshot(0), groupless(snapshot(5, []int{1}, []int{2}), 1001), "group-missing"},
		"nobody has the role": {snapshot(5, []int{1, 2}, []int{2}), snapshot(5, []int{}, []int{2}), "group-empty"},
		"nobody nested":       {snapshot(5, []int{1002}, []int{2, 1001}), snapshot(5, []int{1002}, []int{1001}), "group-empty"},
		"nested still":        {snapshot(5, []int{1, 1002}, []int{2, 1001}), snapshot(5, []int{1002}, []int{2, 1001}), ""},
		"only a disabled one": {snapshot(5, []int{1, 2}), disabled(snapshot(5, []int{1}), 1), "group-empty"},
		"empty before":        {snapshot(5, []int{}), snapshot(5, []int{}), ""},
		"another's name":      {snapshot(5, []int{1}), renamed(snapshot(5, []int{1})), "group-replaced"},
		"two of that name":    {snapshot(5, []int{1}), twin(snapshot(5, []int{1}, []int{1})), "group-unclear"},
	} {
		r := Rails{MaxLossPercent: 5, MaxLoss: 20}
		if len(c.before.Groups)+len(c.after.Groups) > 0 && name != "first" {
			r.Mapped = []string{"G1"}
		}
		var codes []string
		for _, rail := range r.Check(c.before, c.after, Diff(c.before, c.after, noon), noon) {
			codes = append(codes, rail.Code)
		}
		if got := strings.Join(codes, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestMappedBy names a mapped group in each way.
func TestMappedBy(t *testing.T) {
	s := snapshot(1, []int{1})
	for _, spec := range []string{"g1", "G1", "cn=G1, dc=x", string(id(1001)), "{" + strings.ToUpper(string(id(1001))) + "}"} {
		if got := resolve(s, spec); len(got) != 1 || got[0] != id(1001) {
			t.Errorf("%s: %v", spec, got)
		}
	}
	for _, spec := range []string{"g2", "CN=g1,DC=y", string(id(1)), ""} {
		if got := resolve(s, spec); len(got) != 0 {
			t.Errorf("%s: %v", spec, got)
		}
	}
}

func groupless(s *people.Snapshot, n int) *people.Snapshot { delete(s.Groups, id(n)); return s }

func disabled(s *people.Snapshot, n int) *people.Snapshot {
	edit(s, n, func(p *people.Person) { p.Disabled = true })
	return s
}

func renamed(s *people.Snapshot) *people.Snapshot {
	g := s.Groups[id(1001)]
	g.GUID = id(1009)
	delete(s.Groups, id(1001))
	s.Groups[g.GUID] = g
	return s
}

func twin(s *people.Snapshot) *people.Snapshot {
	g := s.Groups[id(1002)]
	g.Account = "g1"
	s.Groups[id(1002)] = g
	return s
}

// TestHolds is about what may still be approved: what is wanted all the same.
func TestHolds(t *testing.T) {
	old := snapshot(10, []int{1, 2, 3})
	new := snapshot(5, []int{1, 4})
	frozen := Diff(old, new, noon)
	for name, c := range map[string]struct {
		change func(*people.Snapshot)
		want   bool
	}{
		"the same":           {func(*people.Snapshot) {}, true},
		"one more leaves":    {func(s *people.Snapshot) { delete(s.People, id(5)) }, true},
		"one more joins":     {func(s *people.Snapshot) { addMember(s, 5) }, true},
		"somebody came back": {func(s *people.Snapshot) { s.People[id(9)] = old.People[id(9)] }, false},
		"another why":        {func(s *people.Snapshot) { s.People[id(9)] = people.Person{GUID: id(9), Disabled: true} }, false},
		"a member came back": {func(s *people.Snapshot) { addMember(s, 2) }, false},
		"the group is gone":  {func(s *people.Snapshot) { clear(s.Groups) }, false},
	} {
		now := new.Clone()
		c.change(now)
		if got := holds(frozen, Diff(old, now, noon)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func addMember(s *people.Snapshot, n int) {
	g := s.Groups[id(1001)]
	g.Members = append(slices.Clone(g.Members), id(n))
	slices.Sort(g.Members)
	s.Groups[id(1001)] = g
}
