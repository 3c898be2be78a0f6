package people

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/proof"
)

func TestPersonAsOf(t *testing.T) {
	l := begin(t)
	l.at(l.day(1)).do(add(someone(ann, "ann")))
	l.at(l.day(3)).do(l.change(ann, func(p *Person) { p.Name, p.Department = "Ann Roe", "ER" }))
	l.at(l.day(5)).do(l.depart(ann))
	l.at(l.day(7)).do(l.back(ann, func(p *Person) { p.Title = "RN" }))
	ms := time.Millisecond
	tests := map[string]struct {
		at           time.Time
		known        bool
		name, status string
		why          string
		since        time.Time
	}{
		"before":               {l.day(0), false, "", "", "", time.Time{}},
		"just before":          {l.day(1).Add(-ms), false, "", "", "", time.Time{}},
		"just before, by less": {l.day(1).Add(-1), false, "", "", "", time.Time{}},
		"added":                {l.day(1), true, "ann Doe", StatusActive, "", l.day(1)},
		"before the change":    {l.day(3).Add(-1), true, "ann Doe", StatusActive, "", l.day(1)},
		"changed":              {l.day(3), true, "Ann Roe", StatusActive, "", l.day(1)},
		"before departing":     {l.day(5).Add(-ms), true, "Ann Roe", StatusActive, "", l.day(1)},
		"departed":             {l.day(5), true, "Ann Roe", StatusDeparted, WhyMissing, l.day(5)},
		"still departed":       {l.day(6), true, "Ann Roe", StatusDeparted, WhyMissing, l.day(5)},
		"back":                 {l.day(7), true, "Ann Roe", StatusActive, "", l.day(7)},
		"now":                  {time.Time{}, true, "Ann Roe", StatusActive, "", l.day(7)},
		"in a year":            {l.day(365), true, "Ann Roe", StatusActive, "", l.day(7)},
	}
	for name, tt := range tests {
		s, ok := l.h.Person(ann, tt.at)
		if ok != tt.known || s.Person.Name != tt.name || s.Status != tt.status || s.Why != tt.why || !s.Since.Equal(tt.since) {
			t.Errorf("%s: %v %+v", name, ok, s)
		}
	}
	v := l.h.Versions(ann)
	ops := []Op{OpAdd, OpChange, OpDepart, OpReturn}
	if len(v) != 4 {
		t.Fatalf("%d versions", len(v))
	}
	for i := range v {
		if v[i].Op != ops[i] || v[i].Seq != uint64(3*i) || !v[i].At.Equal(l.day(2*i+1)) {
			t.Errorf("version %d: %+v", i, v[i])
		}
	}
	if !slices.Equal(v[1].Fields, []string{"name", "department"}) || v[2].Why != WhyMissing || !slices.Equal(v[3].Fields, []string{"title"}) {
		t.Errorf("versions: %+v", v)
	}
	if l.h.Versions(bob) != nil {
		t.Error("versions of a stranger")
	}
}

// Departed is the directory's word, blocked an administrator's: neither undoes the other.
func TestASynchronisationNeverUnblocks(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")))
	l.at(l.day(1)).do(byHand(OpBlock, ann))
	blocked := func(when string, at time.Time, want bool, status string) {
		t.Helper()
		if s, ok := l.h.Person(ann, at); !ok || s.Blocked != want || s.Status != status {
			t.Errorf("%s: %+v", when, s)
		}
	}
	now := time.Time{}
	blocked("blocked", now, true, StatusActive)
	l.at(l.day(2)).do(l.change(ann, func(p *Person) { p.Title = "RN" }))
	blocked("after a change", now, true, StatusActive)
	l.at(l.day(3)).do(l.depart(ann))
	blocked("departed", now, true, StatusDeparted)
	l.at(l.day(4)).do(l.back(ann, func(*Person) {}))
	blocked("back", now, true, StatusActive)
	l.at(l.day(5)).do(l.depart(ann), byHand(OpUnblock, ann))
	blocked("unblocked after departing", now, false, StatusDeparted)
	l.at(l.day(6)).do(byHand(OpUnblock, ann), byHand(OpBlock, ann), byHand(OpBlock, ann)) // two administrators at once
	blocked("blocked twice", now, true, StatusDeparted)
	blocked("before it all", l.day(1).Add(-1), false, StatusActive)
	blocked("on the first day", l.day(1), true, StatusActive)
	blocked("on the fifth day", l.day(5), false, StatusDeparted)
	v := l.h.Versions(ann)
	if b := v[1]; b.Op != OpBlock || b.By.ID() != officer.ID() || b.Reason != "lost badge" || b.Person.Name != "ann Doe" {
		t.Errorf("the block's version: %+v", b)
	}
}

func TestFindByAnyNameEver(t *testing.T) {
	l := begin(t)
	p := someone(ann, "ann")
	p.Name, p.Mail = "Anneliese Müller-Groß", "Ann.Mueller@mail.example"
	l.do(add(p), add(someone(bob, "bob")))
	l.at(l.day(1)).do(l.change(ann, func(p *Person) {
		p.Name, p.UPN, p.Account, p.Mail = "Ann Schmidt", "aschmidt@st.example", "aschmidt", "ann.schmidt@mail.example"
	}))
	l.at(l.day(2)).do(l.depart(ann))
	for _, name := range []string{
		string(ann), strings.ToUpper(string(ann)), "{" + string(ann) + "}", "ann", "ANN@ST.EXAMPLE", "ann.mueller@MAIL.example",
		"anneliese müller-groß", "ANNELIESE MÜLLER-GROß", "Anneliese Mu\u0308ller-Groß", "Anneliese Müller-Gro\u1e9e", "ANNELIESE MÜLLER-GROSS",
		"Ann Schmidt", "aschmidt@st.example", "ASCHMIDT", "ann.schmidt@mail.example",
	} {
		if got := l.h.Find(name); !slices.Equal(got, []GUID{ann}) {
			t.Errorf("Find(%q) = %v", name, got)
		}
	}
	for _, name := range []string{"", " ", "Schmidt", "ann@", "ann@st.example ", "ICU", string(cid), "aschmid"} {
		if got := l.h.Find(name); len(got) > 0 {
			t.Errorf("Find(%q) = %v", name, got)
		}
	}
	// The address is given to somebody else: both had it.
	l.at(l.day(3)).do(l.change(bob, func(p *Person) { p.UPN = "Ann@st.example" }))
	if got := l.h.Find("ann@st.example"); !slices.Equal(got, []GUID{ann, bob}) {
		t.Errorf("a re-used UPN finds %v", got)
	}
	got := l.h.Find("ann@st.example")
	got[0] = cid
	if again := l.h.Find("ann@st.example"); !slices.Equal(again, []GUID{ann, bob}) {
		t.Error("a caller can change the index")
	}
}

// Whose UPN it is, or was, is not told by what people are called otherwise.
func TestWhoHadAUPN(t *testing.T) {
	l := begin(t)
	p := someone(bob, "bob")
	p.Name, p.Mail, p.Account = "ann@st.example", "ann@st.example", "ann@st.example"
	l.do(add(someone(ann, "ann")), add(p))
	if got := l.h.FindUPN("ANN@st.example"); !slices.Equal(got, []GUID{ann}) {
		t.Errorf("%v", got)
	}
	l.at(l.day(1)).do(l.change(ann, func(p *Person) { p.UPN = "new@st.example" }), l.change(bob, func(p *Person) { p.UPN = "Ann@st.example" }))
	got := l.h.FindUPN("ann@st.example")
	if !slices.Equal(got, []GUID{ann, bob}) {
		t.Errorf("a re-used one: %v", got)
	}
	got[0] = cid
	if again := l.h.FindUPN("ann@st.example"); !slices.Equal(again, []GUID{ann, bob}) {
		t.Error("a caller can change the index")
	}
	for _, upn := range []string{"", "ann", "bob", string(ann)} {
		if got := l.h.FindUPN(upn); len(got) > 0 {
			t.Errorf("FindUPN(%q) = %v", upn, got)
		}
	}
}

// A GUID names one person, whatever others are called: nobody keeps from being
// blocked by having somebody else called like that.
func TestAGUIDFindsItsPersonAlone(t *testing.T) {
	l := begin(t)
	p := someone(bob, "bob")
	p.Name, p.Mail = string(ann), "{"+strings.ToUpper(string(ann))+"}"
	l.do(add(someone(ann, "ann")), add(p))
	for _, name := range []string{string(ann), strings.ToUpper(string(ann)), "{" + string(ann) + "}"} {
		if got := l.h.Find(name); !slices.Equal(got, []GUID{ann}) {
			t.Errorf("Find(%q) = %v", name, got)
		}
	}
}

// A disabled person whose account is on in another month is the same person.
func TestSnapshotHasWhoIsThere(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann, bob, cid), addGroup(staff, "staff"))
	gone := l.change(bob, func(p *Person) { p.Disabled = true })
	gone.Op, gone.Why = OpDepart, WhyDisabled
	l.at(l.day(1)).do(gone, Change{Op: OpRemove, Group: &Group{GUID: staff}})
	s := l.h.Snapshot()
	if len(s.People) != 1 || s.People[ann].Name != "ann Doe" || len(s.Departed) != 1 || !s.Departed[bob].Disabled || len(s.Groups) != 1 {
		t.Errorf("snapshot: %+v", s)
	}
	if m := s.Groups[nurses].Members; !slices.Equal(m, []GUID{ann, bob, cid}) {
		t.Errorf("members: %v", m)
	}
	before := l.state()
	copied := s.Clone()
	s.Groups[nurses].Members[0] = cid
	delete(s.People, ann)
	if l.state() != before || copied.Groups[nurses].Members[0] != ann || len(copied.People) != 1 || len(copied.Departed) != 1 {
		t.Error("a snapshot is not a copy of its own")
	}
	if all := l.h.All(false); len(all) != 1 || all[0].Person.GUID != ann {
		t.Errorf("All(false): %+v", all)
	}
	if all := l.h.All(true); len(all) != 2 || all[1].Person.GUID != bob || all[1].Why != WhyDisabled {
		t.Errorf("All(true): %+v", all)
	}
	l.at(l.day(2)).do(l.back(bob, func(p *Person) { p.Disabled = false }), addGroup(staff, "staff", bob))
	if s := l.h.Snapshot(); len(s.People) != 2 || len(s.Departed) != 0 || !slices.Equal(s.Groups[staff].Members, []GUID{bob}) {
		t.Errorf("after the return: %+v", s)
	}
}

func TestApplyRefusesWhatCannotFollow(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann), addGroup(staff, "staff", nurses))
	l.at(l.day(1)).do(l.depart(bob), Change{Op: OpRemove, Group: &Group{GUID: staff}})
	title := func(p *Person) { p.Title = "RN" }
	edit := func(c Change, edit func(*Change)) Change { edit(&c); return c }
	stranger := someone(cid, "cid")
	tests := map[string]Change{
		"add known":           add(someone(ann, "ann")),
		"add departed":        add(someone(bob, "bob")),
		"add with group guid": add(someone(nurses, "x")),
		"change unknown":      {Op: OpChange, Person: &stranger, Fields: []string{"name"}},
		"depart unknown":      {Op: OpDepart, Person: &stranger, Why: WhyMissing},
		"return unknown":      {Op: OpReturn, Person: &stranger},
		"block unknown":       byHand(OpBlock, cid),
		"unblock unknown":     byHand(OpUnblock, cid),
		"block a group":       byHand(OpBlock, nurses),
		"depart twice":        l.depart(bob),
		"change departed":     l.change(bob, title),
		"return active":       l.back(ann, title),
		"fields too few":      edit(l.change(ann, func(p *Person) { p.Title, p.Name = "RN", "x" }), func(c *Change) { c.Fields = []string{"title"} }),
		"fields too many":     edit(l.change(ann, title), func(c *Change) { c.Fields = []string{"name", "title"} }),
		"fields wrong":        edit(l.change(ann, title), func(c *Change) { c.Fields = []string{"name"} }),
		"return, no fields":   edit(l.back(bob, title), func(c *Change) { c.Fields = nil }),
		"depart, other name":  edit(l.depart(ann), func(c *Change) { c.Person = new(stranger); c.Person.GUID = ann }),
		"add known group":     addGroup(nurses, "nurses"),
		"group, person guid":  addGroup(ann, "nurses"),
		"remove unknown":      {Op: OpRemove, Group: &Group{GUID: night}},
		"remove twice":        {Op: OpRemove, Group: &Group{GUID: staff}},
		"change removed":      {Op: OpChange, Group: &Group{GUID: staff, Name: "x"}, Fields: []string{"name"}},
		"member there":        l.members(nurses, []GUID{ann}, nil),
		"member not there":    l.members(nurses, nil, []GUID{bob}),
		"member in and out":   l.members(nurses, []GUID{bob}, []GUID{bob}),
		"group fields":        edit(l.members(nurses, []GUID{bob}, nil), func(c *Change) { c.Fields = []string{"name"} }),
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			l.tb = t
			if _, err := c.Entry(); err != nil {
				t.Fatalf("it fails before it is applied: %v", err)
			}
			if err := l.h.Check([]Change{c}); err == nil {
				t.Error("Check would let it into the log")
			}
			l.refuse(c.Entry())
		})
	}
	l.tb = t
	for name, b := range map[string]string{
		"empty":             ``,
		"no object":         `[]`,
		"no version":        `{"op":"add","person":{"guid":"` + string(cid) + `"}}`,
		"other version":     `{"v":2,"op":"add","person":{"guid":"` + string(cid) + `"}}`,
		"twice":             `{"v":1,"op":"add","op":"add","person":{"guid":"` + string(cid) + `"}}`,
		"other case":        `{"v":1,"Op":"add","person":{"guid":"` + string(cid) + `"}}`,
		"null":              `{"v":1,"op":"add","person":null}`,
		"states what was":   `{"v":1,"op":"add","person":{"guid":"` + string(cid) + `"},"was":{"guid":"` + string(cid) + `"}}`,
		"group as a person": `{"v":1,"op":"add","group":{"guid":"` + string(cid) + `"}}`,
		"expires":           `{"v":1,"op":"add","person":{"guid":"` + string(cid) + `","expires":"tomorrow"}}`,
		"not UTF-8":         `{"v":1,"op":"add","person":{"guid":"` + string(cid) + "\",\"name\":\"\xff\"}}",
	} {
		t.Run(name, func(t *testing.T) {
			l.tb = t
			l.refuseRecord(l.record(proof.KindPerson, []byte(b)))
		})
	}
	l.tb = t
	good := []byte(`{"v":1,"op":"add","person":{"guid":"` + string(cid) + `","later":true},"also":1}`)
	l.refuseRecord(l.record(proof.KindGroup, good))
	l.refuseRecord(l.record(proof.KindAlarm, good))
	early, again := l.record(proof.KindPerson, good), l.record(proof.KindPerson, good)
	early.Leaf.Received--
	again.Leaf.Seq -= 3
	l.refuseRecord(early)
	l.refuseRecord(again)
	if err := l.h.Apply(l.record(proof.KindPerson, good)); err != nil {
		t.Errorf("members that a later version may add: %v", err)
	}
}

func TestCheckJudgesAWholeDiff(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")))
	p := add(someone(bob, "bob"))
	if err := l.h.Check([]Change{p, l.depart(ann), addGroup(nurses, "nurses", bob)}); err != nil {
		t.Errorf("a possible diff: %v", err)
	}
	for name, changes := range map[string][]Change{
		"twice":         {p, p},
		"second is bad": {p, add(someone(ann, "ann"))},
		"malformed":     {{Op: OpAdd, Person: &Person{GUID: bob, SID: "x"}}},
	} {
		if err := l.h.Check(changes); err == nil {
			t.Errorf("%s: Check lets it pass", name)
		}
	}
	if len(l.h.All(true)) != 1 {
		t.Error("Check changed something")
	}
}
