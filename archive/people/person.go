package people

import (
	"slices"
	"strings"
	"time"
)

// Person is what the directory says of one person. Text is valid UTF-8 of at
// most MaxText bytes (Clean makes it so); everything but GUID may be empty.
type Person struct {
	GUID         GUID       `json:"guid"`
	Account      string     `json:"account,omitempty"` // sAMAccountName
	UPN          string     `json:"upn,omitempty"`
	Mail         string     `json:"mail,omitempty"`
	Name         string     `json:"name,omitempty"` // displayName, else cn
	Given        string     `json:"given,omitempty"`
	Surname      string     `json:"surname,omitempty"`
	Title        string     `json:"title,omitempty"`
	Department   string     `json:"department,omitempty"`
	DN           string     `json:"dn,omitempty"` // shown, never compared by bytes
	SID          string     `json:"sid,omitempty"`
	PrimaryGroup string     `json:"primary_group,omitempty"` // SID of the primary group
	Disabled     bool       `json:"disabled,omitempty"`
	Expires      *time.Time `json:"expires,omitempty"` // when the account expires; nil for never
}

// Group is what the directory says of one group.
type Group struct {
	GUID    GUID   `json:"guid"`
	Name    string `json:"name,omitempty"`
	Account string `json:"account,omitempty"` // sAMAccountName
	DN      string `json:"dn,omitempty"`
	SID     string `json:"sid,omitempty"`
	// Members are the direct members: people and groups, those whose primary
	// group it is included; sorted, each once. They need not be known people.
	Members []GUID `json:"members,omitempty"`
}

// Snapshot is the whole of a directory at one time.
type Snapshot struct {
	// People are those whom a reading found, disabled and expired ones too. In
	// a History's snapshot they are the people who have not departed.
	People map[GUID]Person
	Groups map[GUID]Group
	// Departed are, in a History's snapshot, the people who have departed, as
	// last known: when one is found again that is OpReturn, not OpAdd. A
	// reading leaves it nil.
	Departed map[GUID]Person
}

// The names of a Person's and a Group's fields in Change.Fields: those of their JSON.
const (
	fieldAccount      = "account"
	fieldUPN          = "upn"
	fieldMail         = "mail"
	fieldName         = "name"
	fieldGiven        = "given"
	fieldSurname      = "surname"
	fieldTitle        = "title"
	fieldDepartment   = "department"
	fieldDN           = "dn"
	fieldSID          = "sid"
	fieldPrimaryGroup = "primary_group"
	fieldDisabled     = "disabled"
	fieldExpires      = "expires"
)

// Differs returns the fields in which q is not p, by their names in JSON, in
// the order of Person; nil if there are none. DNs that differ only in case, or
// in how they are escaped, are the same DN. The GUIDs are not compared.
func (p *Person) Differs(q *Person) []string {
	var fields []string
	text := func(field, a, b string) {
		if a != b {
			fields = append(fields, field)
		}
	}
	text(fieldAccount, p.Account, q.Account)
	text(fieldUPN, p.UPN, q.UPN)
	text(fieldMail, p.Mail, q.Mail)
	text(fieldName, p.Name, q.Name)
	text(fieldGiven, p.Given, q.Given)
	text(fieldSurname, p.Surname, q.Surname)
	text(fieldTitle, p.Title, q.Title)
	text(fieldDepartment, p.Department, q.Department)
	if !SameDN(p.DN, q.DN) {
		fields = append(fields, fieldDN)
	}
	text(fieldSID, p.SID, q.SID)
	text(fieldPrimaryGroup, p.PrimaryGroup, q.PrimaryGroup)
	if p.Disabled != q.Disabled {
		fields = append(fields, fieldDisabled)
	}
	if (p.Expires == nil) != (q.Expires == nil) || p.Expires != nil && !p.Expires.Equal(*q.Expires) {
		fields = append(fields, fieldExpires)
	}
	return fields
}

// Gone says why the person counts as departed at now although the directory has
// the person: WhyDisabled, WhyExpired, or "" for neither.
func (p *Person) Gone(now time.Time) string {
	switch {
	case p.Disabled:
		return WhyDisabled
	case p.Expires != nil && !now.Before(*p.Expires):
		return WhyExpired
	}
	return ""
}

// Differs returns the fields in which h is not g, as Person.Differs does. The
// members are not compared; MemberDiff does that.
func (g *Group) Differs(h *Group) []string {
	var fields []string
	if g.Name != h.Name {
		fields = append(fields, fieldName)
	}
	if g.Account != h.Account {
		fields = append(fields, fieldAccount)
	}
	if !SameDN(g.DN, h.DN) {
		fields = append(fields, fieldDN)
	}
	if g.SID != h.SID {
		fields = append(fields, fieldSID)
	}
	return fields
}

// MemberDiff returns the members that is has and was has not, and the other
// way round. Both are sorted, and so are the results.
func MemberDiff(was, is []GUID) (added, removed []GUID) {
	for len(was) > 0 && len(is) > 0 {
		switch strings.Compare(string(was[0]), string(is[0])) {
		case -1:
			removed, was = append(removed, was[0]), was[1:]
		case 1:
			added, is = append(added, is[0]), is[1:]
		default:
			was, is = was[1:], is[1:]
		}
	}
	return append(added, is...), append(removed, was...)
}

// Clone returns a copy that shares nothing with s but strings and times, which
// nobody changes.
func (s *Snapshot) Clone() *Snapshot {
	c := &Snapshot{People: make(map[GUID]Person, len(s.People)), Groups: make(map[GUID]Group, len(s.Groups))}
	for g, p := range s.People {
		c.People[g] = p
	}
	for id, g := range s.Groups {
		g.Members = slices.Clone(g.Members)
		c.Groups[id] = g
	}
	if s.Departed != nil {
		c.Departed = make(map[GUID]Person, len(s.Departed))
		for g, p := range s.Departed {
			c.Departed[g] = p
		}
	}
	return c
}
