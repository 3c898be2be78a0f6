package people

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

func TestEntryRefusesWhatCannotBe(t *testing.T) {
	p := someone(ann, "ann")
	with := func(edit func(*Change)) Change {
		q := p
		c := Change{Op: OpAdd, Person: &q}
		edit(&c)
		return c
	}
	group := func(edit func(*Change)) Change {
		c := addGroup(nurses, "nurses", ann, bob)
		edit(&c)
		return c
	}
	long := strings.Repeat("x", MaxText+1)
	tests := map[string]Change{
		"of nobody":         {Op: OpAdd},
		"of both":           with(func(c *Change) { c.Group = &Group{GUID: nurses} }),
		"no guid":           with(func(c *Change) { c.Person.GUID = "" }),
		"upper-case guid":   with(func(c *Change) { c.Person.GUID = "3E4385BB-7C43-4FEB-8EA2-97C65CC06ABF" }),
		"op of groups":      with(func(c *Change) { c.Op = OpRemove }),
		"no op":             with(func(c *Change) { c.Op = "" }),
		"long name":         with(func(c *Change) { c.Person.Name = long }),
		"long dn":           with(func(c *Change) { c.Person.DN = long }),
		"name not UTF-8":    with(func(c *Change) { c.Person.Name = "\xff" }),
		"bad sid":           with(func(c *Change) { c.Person.SID = "S-1-5-x" }),
		"long sid":          with(func(c *Change) { c.Person.SID = "S-1-" + strings.Repeat("1", 200) }),
		"bad primary group": with(func(c *Change) { c.Person.PrimaryGroup = "513" }),
		"year 30000":        with(func(c *Change) { c.Person.Expires = new(time.Date(30000, 1, 1, 0, 0, 0, 0, time.UTC)) }),
		"year 0":            with(func(c *Change) { c.Person.Expires = new(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)) }),
		"block by a long name": with(func(c *Change) {
			c.Op, c.Reason, c.By = OpBlock, "because", role.Principal{Name: long, Person: officer.Person}
		}),
		"adds a disabled person":  with(func(c *Change) { c.Person.Disabled = true }),
		"add with fields":         with(func(c *Change) { c.Fields = []string{"name"} }),
		"add with why":            with(func(c *Change) { c.Why = WhyMissing }),
		"depart without why":      with(func(c *Change) { c.Op = OpDepart }),
		"depart for a new why":    with(func(c *Change) { c.Op, c.Why = OpDepart, "bored" }),
		"disabled but is not":     with(func(c *Change) { c.Op, c.Why = OpDepart, WhyDisabled }),
		"expired but never does":  with(func(c *Change) { c.Op, c.Why = OpDepart, WhyExpired }),
		"change of nothing":       with(func(c *Change) { c.Op = OpChange }),
		"person with members":     with(func(c *Change) { c.Added = []GUID{bob} }),
		"sync with a reason":      with(func(c *Change) { c.Reason = "because" }),
		"sync by somebody":        with(func(c *Change) { c.By = officer }),
		"block by nobody":         with(func(c *Change) { c.Op, c.Reason = OpBlock, "because" }),
		"block by the daemon":     with(func(c *Change) { c.Op, c.Reason, c.By = OpBlock, "because", role.Daemon() }),
		"block without reason":    with(func(c *Change) { c.Op, c.Reason, c.By = OpBlock, " \n", officer }),
		"block for a long reason": with(func(c *Change) { c.Op, c.Reason, c.By = OpBlock, strings.Repeat("x", MaxReason+1), officer }),
		"group op of people":      group(func(c *Change) { c.Op = OpDepart }),
		"unsorted members":        group(func(c *Change) { c.Group.Members = []GUID{bob, ann} }),
		"member twice":            group(func(c *Change) { c.Group.Members = []GUID{ann, ann} }),
		"member without guid":     group(func(c *Change) { c.Group.Members = []GUID{"x"} }),
		"group with why":          group(func(c *Change) { c.Why = WhyMissing }),
		"group by somebody":       group(func(c *Change) { c.By = officer }),
		"add with added":          group(func(c *Change) { c.Added = []GUID{ann} }),
		"group change of nothing": group(func(c *Change) { c.Op = OpChange }),
		"long group name":         group(func(c *Change) { c.Group.Name = long }),
		"group sid":               group(func(c *Change) { c.Group.SID = "s-1-5" }),
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := c.Entry()
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("Entry: %v", err)
			}
			if err != nil && strings.Contains(strings.ToLower(err.Error()), "ann ") {
				t.Errorf("the error names the person: %v", err)
			}
		})
	}
	if _, err := (Change{Op: OpAdd, Group: &Group{GUID: nurses, Members: make([]GUID, MaxMembers+1)}}).Entry(); err == nil || !strings.Contains(err.Error(), "250,000") {
		t.Errorf("too many members: %v", err)
	}
	thousand := make([]GUID, 1000)
	for i := range thousand {
		thousand[i] = id('p', i+1)
	}
	e, err := (Change{Op: OpAdd, Group: &Group{GUID: nurses, Members: thousand}}).Entry()
	if err != nil || len(e.Body)*MaxMembers/1000 > archive.MaxBody {
		t.Errorf("a group of a thousand makes an entry of %d bytes, the largest would be too large: %v", len(e.Body), err)
	}
}

// An entry's bytes are a format: these may only change with FORMAT.md.
func TestEntryBytes(t *testing.T) {
	l := begin(t)
	paris := time.FixedZone("", 3600)
	p := Person{GUID: ann, Account: "ann", UPN: "ann@st.example", Name: "Ann Doe", PrimaryGroup: "S-1-5-21-1-513", Expires: new(time.Date(2027, 1, 1, 1, 0, 0, 0, paris))}
	l.do(add(p))
	change := l.change(ann, func(p *Person) { p.Name = "Ann Roe" })
	gone := l.change(ann, func(p *Person) { p.Disabled = true })
	gone.Op, gone.Why = OpDepart, WhyDisabled
	rename := Change{Op: OpChange, Group: &Group{GUID: nurses, Name: "Nurses", Members: []GUID{ann, bob}}, Fields: []string{"name"}, Added: []GUID{bob}}
	tests := []struct {
		c    Change
		kind proof.Kind
		want string
	}{
		{add(p), proof.KindPerson, `{"v":1,"op":"add","person":{"guid":"` + string(ann) + `","account":"ann","upn":"ann@st.example","name":"Ann Doe","primary_group":"S-1-5-21-1-513","expires":"2027-01-01T00:00:00Z"}}`},
		{change, proof.KindPerson, `{"v":1,"op":"change","person":{"guid":"` + string(ann) + `","account":"ann","upn":"ann@st.example","name":"Ann Roe","primary_group":"S-1-5-21-1-513","expires":"2027-01-01T00:00:00Z"},"fields":["name"]}`},
		{gone, proof.KindPerson, `{"v":1,"op":"depart","person":{"guid":"` + string(ann) + `","account":"ann","upn":"ann@st.example","name":"Ann Doe","primary_group":"S-1-5-21-1-513","disabled":true,"expires":"2027-01-01T00:00:00Z"},"fields":["disabled"],"why":"disabled"}`},
		{Change{Op: OpBlock, Person: &p, By: officer, Reason: "lost badge"}, proof.KindPerson, `{"v":1,"op":"block","person":{"guid":"` + string(ann) + `"},"by":{"name":"Olga","person":"` + officer.Person + `","via":"https"},"reason":"lost badge"}`},
		{Change{Op: OpAdd, Group: &Group{GUID: nurses, Name: "Nurses", Members: []GUID{ann}}}, proof.KindGroup, `{"v":1,"op":"add","group":{"guid":"` + string(nurses) + `","name":"Nurses","members":["` + string(ann) + `"]}}`},
		{rename, proof.KindGroup, `{"v":1,"op":"change","group":{"guid":"` + string(nurses) + `","name":"Nurses"},"fields":["name"],"added":["` + string(bob) + `"]}`},
		{Change{Op: OpRemove, Group: &Group{GUID: nurses, Name: "Nurses"}}, proof.KindGroup, `{"v":1,"op":"remove","group":{"guid":"` + string(nurses) + `"}}`},
	}
	for _, tt := range tests {
		e, err := tt.c.Entry()
		if err != nil || e.Kind != tt.kind || e.Class != proof.ClassControl || string(e.Body) != tt.want {
			t.Errorf("%v %s %s: %v\n got %s\nwant %s", e.Kind, e.Class, tt.c.Op, err, e.Body, tt.want)
		}
	}
	if len(rename.Group.Members) != 2 {
		t.Error("Entry changed the caller's group")
	}
}

func TestDigestNamesExactlyTheChanges(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")))
	base := []Change{l.change(ann, func(p *Person) { p.Title = "RN" }), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann, bob)}
	d := Digest(base)
	// The log alone is enough to work it out: from the entries' kinds and bodies.
	var parts []string
	for _, c := range base {
		e, err := c.Entry()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(binary.BigEndian.AppendUint32([]byte{byte(e.Kind)}, uint32(len(e.Body))))+string(e.Body))
	}
	slices.Sort(parts)
	if d != sha256.Sum256([]byte("holdfast diff v1\x00"+strings.Join(parts, ""))) {
		t.Error("the digest is not the one that the format specifies")
	}
	turned := []Change{base[2], base[0], base[1]}
	turned[1].Was = nil
	if Digest(turned) != d {
		t.Error("the digest depends on the order, or on what is only shown")
	}
	seen := map[[32]byte]string{d: "the diff itself"}
	for name, edit := range map[string]func([]Change) []Change{
		"nothing":         func([]Change) []Change { return nil },
		"less":            func(c []Change) []Change { return c[:2] },
		"more":            func(c []Change) []Change { return append(c, add(someone(cid, "cid"))) },
		"twice":           func(c []Change) []Change { return append(c, c[1]) },
		"other title":     func(c []Change) []Change { c[0].Person.Title = "MD"; return c },
		"other fields":    func(c []Change) []Change { c[0].Fields = []string{"name"}; return c },
		"other op":        func(c []Change) []Change { c[1].Op = OpReturn; return c },
		"other why":       func(c []Change) []Change { c[0].Why = WhyMissing; return c },
		"other member":    func(c []Change) []Change { c[2].Group.Members = []GUID{ann}; return c },
		"other expiry":    func(c []Change) []Change { c[0].Person.Expires = new(monday); return c },
		"group as person": func(c []Change) []Change { c[2] = Change{Op: OpAdd, Person: &Person{GUID: nurses}}; return c },
	} {
		copied := slices.Clone(base)
		p, q, g := *base[0].Person, *base[1].Person, *base[2].Group
		copied[0].Person, copied[1].Person, copied[2].Group = &p, &q, &g
		other := Digest(edit(copied))
		if same, ok := seen[other]; ok {
			t.Errorf("%s has the digest of %s", name, same)
		}
		seen[other] = name
	}
	if Digest(base) != d {
		t.Error("the test edited its own base")
	}
}

func TestCount(t *testing.T) {
	changes := []Change{
		{Op: OpAdd, Person: &Person{}}, {Op: OpChange, Person: &Person{}}, {Op: OpDepart, Person: &Person{}}, {Op: OpDepart, Person: &Person{}}, {Op: OpReturn, Person: &Person{}},
		{Op: OpAdd, Group: &Group{}}, {Op: OpChange, Group: &Group{}}, {Op: OpRemove, Group: &Group{}}, {Op: OpRemove, Group: &Group{}},
	}
	equal(t, "counts", Count(changes), Counts{Added: 1, Changed: 1, Departed: 2, Returned: 1, GroupsAdded: 1, GroupsChanged: 1, GroupsRemoved: 2})
}

func TestClean(t *testing.T) {
	for _, s := range []string{"", "Ann", "\xff\xfeAnn", strings.Repeat("x", MaxText+9), "x" + strings.Repeat("ü", MaxText), strings.Repeat("\xf0\x9f\x98\x80", MaxText)} {
		c := Clean(s)
		if !isText(c) || len(s) > MaxText && len(c) < MaxText-utf8.UTFMax {
			t.Errorf("Clean leaves %d bytes of %d", len(c), len(s))
		}
		if isText(s) && c != s {
			t.Errorf("Clean changes %q", s)
		}
	}
}

func TestMemberDiff(t *testing.T) {
	tests := []struct{ was, is, added, removed []GUID }{
		{nil, nil, nil, nil},
		{nil, []GUID{"a", "b"}, []GUID{"a", "b"}, nil},
		{[]GUID{"a", "b"}, nil, nil, []GUID{"a", "b"}},
		{[]GUID{"a", "c", "d"}, []GUID{"b", "c", "e", "f"}, []GUID{"b", "e", "f"}, []GUID{"a", "d"}},
		{[]GUID{"a", "b"}, []GUID{"a", "b"}, nil, nil},
	}
	for _, tt := range tests {
		added, removed := MemberDiff(tt.was, tt.is)
		if !slices.Equal(added, tt.added) || !slices.Equal(removed, tt.removed) {
			t.Errorf("MemberDiff(%v, %v) = %v, %v", tt.was, tt.is, added, removed)
		}
	}
}

func TestPersonDiffers(t *testing.T) {
	base := someone(ann, "ann")
	base.Expires = new(monday)
	for field, edit := range map[string]func(*Person){
		"account": func(p *Person) { p.Account = "x" }, "upn": func(p *Person) { p.UPN = "ANN@st.example" }, "mail": func(p *Person) { p.Mail = "" },
		"name": func(p *Person) { p.Name = "x" }, "given": func(p *Person) { p.Given = "x" }, "surname": func(p *Person) { p.Surname = "x" },
		"title": func(p *Person) { p.Title = "x" }, "department": func(p *Person) { p.Department = "x" }, "dn": func(p *Person) { p.DN = "CN=x" },
		"sid": func(p *Person) { p.SID = "" }, "primary_group": func(p *Person) { p.PrimaryGroup = "S-1-5-9" },
		"disabled": func(p *Person) { p.Disabled = true }, "expires": func(p *Person) { p.Expires = nil },
		"": func(p *Person) {
			p.DN = strings.ToLower(p.DN)
			p.Expires = new(monday.In(time.FixedZone("", 3600)))
			p.GUID = bob
		},
	} {
		q := base
		edit(&q)
		want := []string{field}
		if field == "" {
			want = nil
		}
		if got := base.Differs(&q); !slices.Equal(got, want) {
			t.Errorf("%q changed: %v", field, got)
		}
		if got := q.Differs(&base); !slices.Equal(got, want) {
			t.Errorf("%q changed back: %v", field, got)
		}
	}
	g := Group{Name: "a", Account: "b", DN: "CN=c", SID: "S-1-5"}
	if got := g.Differs(&Group{}); !slices.Equal(got, []string{"name", "account", "dn", "sid"}) {
		t.Errorf("group: %v", got)
	}
}

func TestGone(t *testing.T) {
	for _, tt := range []struct {
		p    Person
		want string
	}{
		{Person{}, ""},
		{Person{Disabled: true, Expires: new(monday)}, WhyDisabled},
		{Person{Expires: new(monday)}, WhyExpired},
		{Person{Expires: new(monday.Add(time.Nanosecond))}, ""},
	} {
		if got := tt.p.Gone(monday); got != tt.want {
			t.Errorf("Gone = %q, want %q", got, tt.want)
		}
	}
}

func TestSyncEntry(t *testing.T) {
	good := SyncBody{Op: SyncRefused, Source: "dc1.st.example", People: 3000, Groups: 114, Changes: Counts{Departed: 400}, Digest: strings.Repeat("0f", 32), Rails: []string{"loss"}}
	e, err := good.Entry()
	if err != nil || e.Kind != proof.KindSync || e.Class != proof.ClassControl {
		t.Fatalf("Entry: %v %v %v", e.Kind, e.Class, err)
	}
	const want = `{"v":1,"op":"refused","source":"dc1.st.example","people":3000,"groups":114,"changes":{"added":0,"changed":0,"departed":400,"returned":0,"groups_added":0,"groups_changed":0,"groups_removed":0},"digest":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","rails":["loss"]}`
	if string(e.Body) != want {
		t.Errorf("body\n got %s\nwant %s", e.Body, want)
	}
	for name, edit := range map[string]func(*SyncBody){
		"op":         func(b *SyncBody) { b.Op = "tried" },
		"source":     func(b *SyncBody) { b.Source = "" },
		"people":     func(b *SyncBody) { b.People = -1 },
		"count":      func(b *SyncBody) { b.Changes.GroupsRemoved = -1 },
		"short":      func(b *SyncBody) { b.Digest = b.Digest[2:] },
		"upper":      func(b *SyncBody) { b.Digest = strings.ToUpper(b.Digest) },
		"no digest":  func(b *SyncBody) { b.Digest = "" },
		"no rail":    func(b *SyncBody) { b.Rails = nil },
		"empty rail": func(b *SyncBody) { b.Rails = []string{""} },
		"many rails": func(b *SyncBody) { b.Rails = slices.Repeat([]string{"x"}, maxRails+1) },
	} {
		b := good
		edit(&b)
		if _, err := b.Entry(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := begin(t)
	if err := l.try(good.Entry()); err != nil {
		t.Fatal(err)
	}
	if s, ok := l.h.LastSync(); ok {
		t.Errorf("a refused synchronisation counts as applied: %+v", s)
	}
	applied := good
	applied.Op, applied.Request = SyncApplied, 17
	if err := l.at(l.day(1)).try(applied.Entry()); err != nil {
		t.Fatal(err)
	}
	if s, ok := l.h.LastSync(); !ok || s.Seq != 3 || !s.At.Equal(l.day(1)) || s.Request != 17 || s.Changes.Departed != 400 {
		t.Errorf("LastSync: %+v %v", s, ok)
	}
}
