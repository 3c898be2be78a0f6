package people

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/role"
)

// ward is a log with people who have re-used names: ann and bob are there, cid
// has departed, dora was renamed and eve has what was once cid's, fay and gus share a mail address.
func ward(t *testing.T) *log {
	l := begin(t)
	dora, eve, fay, gus := id('p', 4), id('p', 5), id('p', 6), id('p', 7)
	for g, name := range map[GUID]string{ann: "ann", bob: "bob", cid: "cid", dora: "dora", eve: "eve", fay: "fay", gus: "gus"} {
		p := someone(g, name)
		if g == fay || g == gus {
			p.Mail = "desk@mail.example"
		}
		l.do(add(p))
	}
	l.at(l.day(1)).do(l.depart(cid), l.change(dora, func(p *Person) { p.UPN, p.Mail = "dora.new@st.example", "dora.new@mail.example" }))
	l.at(l.day(2)).do(l.change(eve, func(p *Person) { p.UPN, p.Mail = "cid@st.example", "cid@mail.example" }))
	return l
}

func user(usr, upn, mail string) envelope.User {
	return envelope.User{Usr: usr, UPN: upn, Mail: mail, Name: "N of " + usr}
}

func TestMatchNeverGuesses(t *testing.T) {
	l := ward(t)
	dora := id('p', 4)
	tests := map[string]struct {
		upn, mail string
		want      GUID
		by        string // or the reason
	}{
		"upn":                               {"ann@st.example", "", ann, ByUPN},
		"upn in capitals":                   {"ANN@ST.EXAMPLE", "", ann, ByUPN},
		"upn and mail":                      {"ann@st.example", "Ann@mail.example", ann, ByUPN},
		"upn, and a mail of nobody's":       {"ann@st.example", "private@elsewhere.example", ann, ByUPN},
		"mail":                              {"", "bob@mail.example", bob, ByMail},
		"mail, and a upn of nobody's":       {"r.bob@relay.example", "BOB@mail.example", bob, ByMail},
		"mail, and a upn that was hers":     {"dora@st.example", "dora.new@mail.example", dora, ByMail},
		"upn, and a mail that was hers":     {"dora.new@st.example", "dora@mail.example", dora, ByUPN},
		"nothing":                           {"", "", "", ReasonNoAddress},
		"nobody's":                          {"x@st.example", "x@mail.example", "", ReasonUnknown},
		"a mail address as upn":             {"ann@mail.example", "", "", ReasonUnknown},
		"an account as upn":                 {"ann", "", "", ReasonUnknown},
		"nearly":                            {"ann@st.example ", "", "", ReasonUnknown},
		"upn of one, mail of another":       {"ann@st.example", "bob@mail.example", "", ReasonContradiction},
		"upn of one, mail once another's":   {"ann@st.example", "dora@mail.example", "", ReasonContradiction},
		"mail of one, upn once another's":   {"dora@st.example", "ann@mail.example", "", ReasonContradiction},
		"upn of one, mail of several":       {"ann@st.example", "desk@mail.example", "", ReasonContradiction},
		"mail of several":                   {"", "desk@mail.example", "", ReasonAmbiguous},
		"upn of one of several":             {"fay@st.example", "desk@mail.example", id('p', 6), ByUPN},
		"upn that was another's":            {"cid@st.example", "", "", ReasonReused},
		"mail that was another's":           {"", "cid@mail.example", "", ReasonReused},
		"both were another's":               {"cid@st.example", "cid@mail.example", "", ReasonReused},
		"what the renamed had":              {"dora@st.example", "", "", ReasonFormer},
		"what the renamed had, by mail":     {"", "dora@mail.example", "", ReasonFormer},
		"eve's own before she took cid's":   {"eve@st.example", "", "", ReasonFormer},
		"eve's old upn with cid's old mail": {"eve@st.example", "cid@mail.example", "", ReasonReused},
	}
	for name, tt := range tests {
		before := l.state()
		matches, unmatched := Match([]envelope.User{user("u", tt.upn, tt.mail)}, l.h)
		switch {
		case len(matches)+len(unmatched) != 1:
			t.Errorf("%s: %v %v", name, matches, unmatched)
		case tt.want == "" && (len(unmatched) != 1 || unmatched[0] != Unmatched{"u", tt.upn, tt.mail, "N of u", tt.by, ""}):
			t.Errorf("%s: %+v %+v", name, matches, unmatched)
		case tt.want != "" && (len(matches) != 1 || matches[0].GUID != tt.want || matches[0].By != tt.by || matches[0].UPN != tt.upn || matches[0].Mail != tt.mail):
			t.Errorf("%s: %+v %+v", name, matches, unmatched)
		}
		if l.state() != before {
			t.Errorf("%s: Match changed something", name)
		}
	}
	l.at(l.day(3)).do(l.change(bob, func(p *Person) { p.Mail = "dora@mail.example" }))
	if m, un := Match([]envelope.User{user("u", "dora.new@st.example", "dora@mail.example")}, l.h); len(m) != 0 || un[0].Reason != ReasonContradiction {
		t.Errorf("a mail that was hers and is bob's: %v %v", m, un)
	}
	l.at(l.day(4)).do(l.depart(id('p', 6)), l.depart(bob), l.depart(ann))
	if m, un := Match([]envelope.User{user("u", "ann@st.example", ""), user("v", "", "desk@mail.example")}, l.h); len(m) != 0 || un[0].Reason != ReasonDeparted || un[1].Reason != ReasonReused {
		t.Errorf("once they departed: %v %v", m, un)
	}
}

func TestMatchStaysWithItsPerson(t *testing.T) {
	l := ward(t)
	users := []envelope.User{user("u2", "bob@st.example", ""), user("u1", "ann@st.example", "ann@mail.example"), user("u2", "ann@st.example", "")}
	first, un := Match(users, l.h)
	if len(first) != 2 || len(un) != 0 || first[0].Usr != "u1" || first[0].GUID != ann || first[1].GUID != bob {
		t.Fatalf("first: %+v %+v", first, un)
	}
	l.match(first...)
	if m, un := Match(users, l.h); len(m)+len(un) != 0 {
		t.Errorf("again: %v %v", m, un)
	}
	// ann leaves, and bob gets her addresses.
	l.at(l.day(3)).do(l.depart(ann))
	if m, un := Match(users, l.h); len(m)+len(un) != 0 {
		t.Errorf("once she left: %v %v", m, un)
	}
	l.at(l.day(4)).do(l.change(bob, func(p *Person) { p.UPN, p.Mail = "ann@st.example", "ann@mail.example" }))
	m, un := Match(users, l.h)
	if len(m) != 0 || len(un) != 1 || un[0].Usr != "u1" || un[0].Reason != ReasonConflict || un[0].GUID != ann {
		t.Errorf("re-used: %v %+v", m, un)
	}
	if g, ok := l.h.PersonOf("u1"); !ok || g != ann {
		t.Errorf("u1 is %v", g)
	}
	// A new relay user with the re-used address is bob's: ann's own relay user is known.
	if m, un := Match([]envelope.User{user("u3", "ann@st.example", "")}, l.h); len(un) != 0 || len(m) != 1 || m[0].GUID != bob {
		t.Errorf("another user: %v %v", m, un)
	}
	if _, un := Match([]envelope.User{user("u1", "ann@st.example", "")}, l.h); len(un) != 1 || un[0].Reason != ReasonConflict {
		t.Errorf("re-used, by its UPN alone: %v", un)
	}
	// The relay renames u2 to somebody else's address.
	if _, un := Match([]envelope.User{user("u2", "bob@st.example", "dora.new@mail.example")}, l.h); len(un) != 1 || un[0].Reason != ReasonConflict || un[0].GUID != bob {
		t.Errorf("renamed by the relay: %v", un)
	}
}

func said(op, usr string, g GUID) MatchBody {
	return MatchBody{Op: op, Usr: usr, GUID: g, By: ByPerson, Principal: officer, Reason: "asked on the ward"}
}

func TestAPersonDecidesMatches(t *testing.T) {
	l := ward(t)
	u := user("u", "ann@st.example", "ann@mail.example")
	auto, _ := Match([]envelope.User{u}, l.h)
	l.match(said(OpMatch, "u", cid)) // departed, which only a person can say
	l.match(auto...)                 // was on its way when the person decided
	if g, _ := l.h.PersonOf("u"); g != cid {
		t.Errorf("an automatic match moved what a person said: %v", g)
	}
	if got := l.h.Usrs(ann); len(got) > 0 {
		t.Errorf("a match that never stood: %v", got)
	}
	if _, un := Match([]envelope.User{u}, l.h); len(un) != 1 || un[0].Reason != ReasonConflict {
		t.Errorf("decided without the addresses: %v", un)
	}
	seen := said(OpMatch, "u", cid)
	seen.UPN, seen.Mail = u.UPN, strings.ToUpper(u.Mail)
	l.match(seen)
	if m, un := Match([]envelope.User{u}, l.h); len(m)+len(un) != 0 {
		t.Errorf("decided with the addresses: %v %v", m, un)
	}
	if _, un := Match([]envelope.User{user("u", u.UPN, "bob@mail.example")}, l.h); len(un) != 1 {
		t.Errorf("the addresses changed since: %v", un)
	}
	l.match(said(OpUnmatch, "u", bob)) // not whose it is: no effect
	if g, _ := l.h.PersonOf("u"); g != cid {
		t.Errorf("u is %v", g)
	}
	l.match(said(OpUnmatch, "u", cid), said(OpUnmatch, "u", cid)) // two people at once
	if g, ok := l.h.PersonOf("u"); ok {
		t.Errorf("u is %v", g)
	}
	if m, un := Match([]envelope.User{u}, l.h); len(m) != 0 || len(un) != 1 || un[0].Reason != ReasonUndone {
		t.Errorf("after unmatching: %v %v", m, un)
	}
	l.match(auto...)
	if g, ok := l.h.PersonOf("u"); ok {
		t.Errorf("an automatic match undid what a person said: %v", g)
	}
	l.match(said(OpMatch, "u", ann))
	if got := l.h.Matches(); len(got) != 1 || got[0].GUID != ann || got[0].Principal.ID() != officer.ID() || got[0].Seq != l.seq-3 {
		t.Errorf("Matches: %+v", got)
	}
	if a, c := l.h.Usrs(ann), l.h.Usrs(cid); !slices.Equal(a, []string{"u"}) || !slices.Equal(c, []string{"u"}) {
		t.Errorf("usrs: %v %v", a, c)
	}
}

func TestMatchEntry(t *testing.T) {
	e, err := said(OpMatch, "u", ann).Entry()
	want := `{"v":1,"op":"match","usr":"u","guid":"` + string(ann) + `","by":"person","principal":{"name":"Olga","person":"` + officer.Person + `","via":"https"},"reason":"asked on the ward"}`
	if err != nil || e.Kind != proof.KindMatch || e.Class != proof.ClassControl || string(e.Body) != want {
		t.Errorf("Entry: %v %v %v\n got %s\nwant %s", e.Kind, e.Class, err, e.Body, want)
	}
	l := ward(t)
	for name, edit := range map[string]func(*MatchBody){
		"op":                 func(b *MatchBody) { b.Op = "guess" },
		"no usr":             func(b *MatchBody) { b.Usr = "" },
		"long usr":           func(b *MatchBody) { b.Usr = strings.Repeat("u", maxUsr+1) },
		"usr not UTF-8":      func(b *MatchBody) { b.Usr = "\xff" },
		"guid":               func(b *MatchBody) { b.GUID = "x" },
		"long upn":           func(b *MatchBody) { b.UPN = strings.Repeat("u", MaxText+1) },
		"no reason":          func(b *MatchBody) { b.Reason = "" },
		"nobody":             func(b *MatchBody) { b.Principal = role.Principal{} },
		"the daemon":         func(b *MatchBody) { b.Principal = role.Daemon() },
		"by upn with reason": func(b *MatchBody) { b.By = ByUPN },
		"by name":            func(b *MatchBody) { b.By, b.Principal, b.Reason = "name", role.Principal{}, "" },
		"unmatch by upn":     func(b *MatchBody) { b.Op, b.By, b.Principal, b.Reason = OpUnmatch, ByUPN, role.Principal{}, "" },
		"unknown person":     func(b *MatchBody) { b.GUID = id('p', 50) },
		"a group":            func(b *MatchBody) { b.GUID = nurses },
	} {
		b := said(OpMatch, "u", ann)
		edit(&b)
		if _, err := b.Entry(); err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		l.refuse(b.Entry())
	}
}

// What the relay says of one user keeps nobody else from being matched: an
// address longer than an entry holds is one that nobody has.
func TestAMatchOfALongAddressIsAnEntry(t *testing.T) {
	l := ward(t)
	long := user("u", "ann@st.example", strings.Repeat("x", MaxText-1)+"\u00e9@mail.example")
	m, un := Match([]envelope.User{long, user("v", "bob@st.example", "")}, l.h)
	if len(m) != 2 || len(un) != 0 {
		t.Fatalf("%v %v", m, un)
	}
	l.match(m...)
	if g, ok := l.h.PersonOf("u"); !ok || g != ann {
		t.Errorf("u is %v", g)
	}
	decided := said(OpMatch, "u", bob) // seeing the addresses, as far as an entry holds them
	decided.UPN, decided.Mail = long.UPN, Clean(long.Mail)
	l.match(decided)
	if m, un := Match([]envelope.User{long}, l.h); len(m)+len(un) != 0 {
		t.Errorf("decided with the addresses: %v %v", m, un)
	}
}

// Every user of a hospital at once, in time for each synchronisation.
func TestMatchOfManyIsSorted(t *testing.T) {
	l := begin(t)
	var users []envelope.User
	for i := range 300 {
		name := fmt.Sprintf("p%d", i)
		l.do(add(someone(id('p', 1000+i), name)))
		users = append(users, user(fmt.Sprintf("u%d", i), name+"@st.example", ""), user(fmt.Sprintf("x%d", i), name, ""))
	}
	m, un := Match(users, l.h)
	if len(m) != 300 || len(un) != 300 || !slices.IsSortedFunc(m, func(a, b MatchBody) int { return strings.Compare(a.Usr, b.Usr) }) ||
		!slices.IsSortedFunc(un, func(a, b Unmatched) int { return strings.Compare(a.Usr, b.Usr) }) {
		t.Errorf("%d matched, %d not", len(m), len(un))
	}
}
