package auth

import (
	"strings"
	"time"

	"holdfast/archive/people"
)

// Known returns the People that a history knows.
func Known(h *people.History) People { return known{h} }

type known struct{ *people.History }

func (k known) Find(name string) []string {
	var out []string
	for _, g := range k.History.Find(name) {
		out = append(out, string(g))
	}
	return out
}

// Owners does not take people by what they are called otherwise, which many may
// write in the directory.
func (k known) Owners(ref string) []string {
	if g, err := people.ParseGUID(ref); err == nil {
		if _, ok := k.History.Person(g, time.Time{}); ok {
			return []string{string(g)}
		}
	}
	var out []string
	for _, g := range k.FindUPN(ref) {
		out = append(out, string(g))
	}
	return out
}

// Person counts somebody whose account expired since the last synchronisation
// as departed already.
func (k known) Person(guid string) (Person, bool) {
	s, ok := k.History.Person(people.GUID(guid), time.Time{})
	if !ok {
		return Person{}, false
	}
	p := Person{
		GUID: guid, Name: s.Person.Name, Account: s.Person.Account, UPN: s.Person.UPN,
		Departed: s.Status != people.StatusActive || s.Person.Gone(time.Now()) != "", Blocked: s.Blocked,
	}
	for _, g := range s.Groups {
		p.Groups = append(p.Groups, string(g.GUID))
	}
	return p, true
}

// Group does not take a group by its display name, which anybody who may make
// groups anywhere in the directory can give another group too.
func (k known) Group(ref string) (guid, name string, ok bool) {
	g, ok, err := k.GroupNow(ref)
	if err != nil || !ok {
		return "", "", false
	}
	if id, err := people.ParseGUID(ref); (err != nil || id != g.GUID) && !strings.EqualFold(ref, g.Account) && !people.SameDN(ref, g.DN) {
		return "", "", false
	}
	if name = g.Name; name == "" {
		name = g.Account
	}
	return string(g.GUID), name, true
}
