package auth

import (
	"slices"
	"time"

	"holdfast/internal/role"
)

// People is what the log knows of the directory's people and groups now.
// Known makes one of a *people.History.
type People interface {
	// Find returns the objectGUIDs of everybody who ever had the name.
	Find(name string) []string
	// Owners returns the objectGUIDs of everybody who ever had the UPN, or the
	// one of the person whose it is.
	Owners(ref string) []string
	// Person returns what is known of a person now.
	Person(guid string) (Person, bool)
	// Group returns the one group with that objectGUID, DN or sAMAccountName.
	Group(ref string) (guid, name string, ok bool)
}

// Person is one of the directory's people as they stand now.
type Person struct {
	GUID         string
	Name         string // to display
	Account, UPN string // the names to log in with
	Departed     bool   // not in the directory any more, or disabled or expired there
	Blocked      bool   // by an administrator of the archive
	Groups       []string
}

// grants returns the roles that a person holds now: those of mapped groups
// that the log knows them to be in, except those in denied.
func (a *Auth) grants(p Person, denied map[string]bool, now time.Time) []role.Grant {
	var out []role.Grant
	for _, m := range a.o.Mapping {
		guid, name, ok := a.o.People.Group(m.Group)
		if !ok || denied[guid] || !slices.Contains(p.Groups, guid) || !m.Grant.Current(now) {
			continue
		}
		g := m.Grant
		g.Source = name
		out = append(out, g)
	}
	return out
}

// stale returns the mapped groups that the log still has p in and the
// directory, asked at the login, has not: those roles were taken away since
// the last synchronisation. The other way round nothing is given: a role holds
// once the log knows of it.
func (a *Auth) stale(p Person, fresh []string) map[string]bool {
	out := map[string]bool{}
	for _, m := range a.o.Mapping {
		if guid, _, ok := a.o.People.Group(m.Group); ok && slices.Contains(p.Groups, guid) && !slices.Contains(fresh, guid) {
			out[guid] = true
		}
	}
	return out
}
