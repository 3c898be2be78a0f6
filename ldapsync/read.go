package ldapsync

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive/people"
)

// The filters. The account's own filter is and-ed with the people's.
const (
	peopleFilter = "(&(objectCategory=person)(objectClass=user))"
	groupsFilter = "(objectClass=group)"
)

var personAttributes = []string{
	"objectGUID", "objectSid", "objectClass", "sAMAccountName", "userPrincipalName", "mail", "displayName", "cn",
	"givenName", "sn", "title", "department", "userAccountControl", "accountExpires", "primaryGroupID",
}

var groupAttributes = []string{"objectGUID", "objectSid", "sAMAccountName", "cn", "member"}

var errTooMany = errors.New("more entries than are taken")

// peopleQuery is the filter of the people who are read.
func (o *Options) peopleQuery() string {
	if o.Filter == "" {
		return peopleFilter
	}
	return "(&" + peopleFilter + o.Filter + ")"
}

// groupsQuery asks for every group below a base. Its DNs are extended: somebody
// who is renamed between the pages of people and of groups stays a member.
func groupsQuery(base string) *query {
	return &query{base: base, scope: ldap.ScopeWholeSubtree, filter: groupsFilter, attributes: groupAttributes, extended: true}
}

// Read returns everything that the directory says now, or an error and nothing:
// what a failed reading brought is thrown away. It asks one domain controller
// for all of it, and begins anew at the next one after a network error or LDAP
// codes 51 and 52. The second result is the host that answered.
//
// The snapshot holds the people below o.Base that pass o.Filter, disabled and
// expired ones too, without computers, and the groups below o.GroupBase.
func Read(ctx context.Context, o Options) (*people.Snapshot, string, error) {
	if err := o.defaults(); err != nil {
		return nil, "", err
	}
	return o.read(ctx, new(sticky))
}

func (o *Options) read(ctx context.Context, at *sticky) (snap *people.Snapshot, host string, err error) {
	host, err = o.eachServer(ctx, at, func(ctx context.Context, t target) error {
		ctx, cancel := context.WithTimeout(ctx, o.bounds.total)
		defer cancel()
		snap, err = o.readFrom(ctx, t)
		return err
	})
	if err != nil {
		return nil, host, err
	}
	return snap, host, nil
}

// reading is one snapshot in the making.
type reading struct {
	o     *Options
	c     *conn
	snap  *people.Snapshot
	byDN  map[string]people.GUID // by folded DN, for servers that write no extended DNs
	links map[people.GUID][]named
	total int      // links of all groups
	more  []ranged // groups whose members are not all read
}

// ranged is a group of which more members have to be asked for.
type ranged struct {
	guid people.GUID
	raw  []byte // its objectGUID
	base string
	next int
}

func (o *Options) readFrom(ctx context.Context, t target) (*people.Snapshot, error) {
	c, err := o.connect(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.close()
	r := &reading{
		o: o, c: c,
		snap:  &people.Snapshot{People: map[people.GUID]people.Person{}, Groups: map[people.GUID]people.Group{}},
		byDN:  map[string]people.GUID{},
		links: map[people.GUID][]named{},
	}
	if err := r.people(ctx); err != nil {
		return nil, err
	}
	if err := r.groups(ctx); err != nil {
		return nil, err
	}
	r.join()
	return r.snap, nil
}

func (r *reading) people(ctx context.Context) error {
	for _, base := range r.o.Base {
		q := &query{base: base, scope: ldap.ScopeWholeSubtree, filter: r.o.peopleQuery(), attributes: personAttributes}
		if err := r.c.pages(ctx, r.o, q, r.person); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) groups(ctx context.Context) error {
	for _, base := range r.o.GroupBase {
		if err := r.c.pages(ctx, r.o, groupsQuery(base), func(e *ldap.Entry) error { return r.group(base, e) }); err != nil {
			return err
		}
	}
	for _, g := range r.more {
		if err := r.rest(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// person takes one person in. Bases that overlap give some twice.
func (r *reading) person(e *ldap.Entry) error {
	p, err := personOf(e)
	if err != nil {
		return err
	}
	if p == nil {
		return nil // a machine
	}
	if _, known := r.snap.People[p.GUID]; known {
		return nil
	}
	if len(r.snap.People) >= r.o.bounds.people {
		return fail(ClassLimit, "read people", errTooMany)
	}
	r.snap.People[p.GUID] = *p
	r.byDN[foldDN(p.DN)] = p.GUID
	return nil
}

// personOf reads a person's entry; nil when it is a machine's or a trust's.
func personOf(e *ldap.Entry) (*people.Person, error) {
	if slices.ContainsFunc(e.GetEqualFoldAttributeValues("objectClass"), isComputer) {
		return nil, nil
	}
	g, err := guidOf(e.GetEqualFoldRawAttributeValue("objectGUID"))
	if err != nil {
		return nil, malformed("", err)
	}
	disabled, machine, err := account(e.GetEqualFoldAttributeValue("userAccountControl"))
	if err != nil {
		return nil, malformed(g, err)
	}
	if machine {
		return nil, nil
	}
	p := &people.Person{
		GUID: g, Account: text(e, "sAMAccountName"), UPN: text(e, "userPrincipalName"), Mail: text(e, "mail"), Name: text(e, "displayName"),
		Given: text(e, "givenName"), Surname: text(e, "sn"), Title: text(e, "title"), Department: text(e, "department"),
		DN: people.Clean(nameOf(e.DN).dn), Disabled: disabled,
	}
	if p.Name == "" {
		p.Name = text(e, "cn")
	}
	if p.SID, err = sidOf(e.GetEqualFoldRawAttributeValue("objectSid")); err != nil {
		return nil, malformed(g, err)
	}
	if p.PrimaryGroup, err = primarySID(p.SID, e.GetEqualFoldAttributeValue("primaryGroupID")); err != nil {
		return nil, malformed(g, err)
	}
	if p.Expires, err = expiresAt(e.GetEqualFoldAttributeValue("accountExpires")); err != nil {
		return nil, malformed(g, err)
	}
	return p, nil
}

func isComputer(class string) bool { return strings.EqualFold(class, "computer") }

// group takes one group in, with those of its members that came with it.
func (r *reading) group(base string, e *ldap.Entry) error {
	raw := e.GetEqualFoldRawAttributeValue("objectGUID")
	id, err := guidOf(raw)
	if err != nil {
		return malformed("", err)
	}
	if _, known := r.snap.Groups[id]; known {
		return nil
	}
	if len(r.snap.Groups) >= r.o.bounds.groups {
		return fail(ClassLimit, "read groups", errTooMany)
	}
	g := people.Group{GUID: id, Name: text(e, "cn"), Account: text(e, "sAMAccountName"), DN: people.Clean(nameOf(e.DN).dn)}
	if g.SID, err = sidOf(e.GetEqualFoldRawAttributeValue("objectSid")); err != nil {
		return malformed(id, err)
	}
	values, s, err := members(e)
	if err != nil {
		return malformed(id, err)
	}
	if s.low != 0 {
		return malformed(id, errRange)
	}
	if err := r.link(id, values); err != nil {
		return err
	}
	if !s.last {
		r.more = append(r.more, ranged{guid: id, raw: raw, base: base, next: s.high + 1})
	}
	r.snap.Groups[id] = g
	r.byDN[foldDN(g.DN)] = id
	return nil
}

// members returns the values of member that an entry holds, and which they are.
// A long list comes as an empty member and a member;range=0-1499 beside it.
func members(e *ldap.Entry) ([]string, span, error) {
	var plain, part []string
	s, found := span{last: true}, false
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, "member") {
			plain = append(plain, a.Values...)
			continue
		}
		of, is, err := rangeOf(a.Name, "member")
		if err != nil {
			return nil, span{}, err
		}
		if !is {
			continue
		}
		if found || !of.last && len(a.Values) != of.high-of.low+1 {
			return nil, span{}, errRange
		}
		part, s, found = a.Values, of, true
	}
	if !found {
		return plain, s, nil
	}
	if len(plain) > 0 {
		return nil, span{}, errRange
	}
	return part, s, nil
}

// query asks for the members that are not read yet. The group is found by its
// objectGUID: its DN may be another one by now.
func (g *ranged) query() *query {
	return &query{
		base: g.base, scope: ldap.ScopeWholeSubtree, extended: true,
		filter:     "(&" + groupsFilter + "(objectGUID=" + octets(g.raw) + "))",
		attributes: []string{"member;range=" + strconv.Itoa(g.next) + "-*"},
	}
}

// rest reads the members that did not come with the group.
func (r *reading) rest(ctx context.Context, g ranged) error {
	for {
		found, err := r.c.few(ctx, g.query(), 1)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return malformed(g.guid, errRange) // it went away while it was read
		}
		values, s, err := members(found[0])
		if err != nil {
			return malformed(g.guid, err)
		}
		if s.low != g.next {
			return malformed(g.guid, errRange)
		}
		if err := r.link(g.guid, values); err != nil {
			return err
		}
		if s.last {
			return nil
		}
		g.next = s.high + 1
	}
}

// link notes members of a group, within the bounds.
func (r *reading) link(id people.GUID, values []string) error {
	r.total += len(values)
	if len(r.links[id])+len(values) > r.o.bounds.members || r.total > r.o.bounds.links {
		return fail(ClassLimit, "read the members of the group with objectGUID "+string(id), errTooMany)
	}
	list := slices.Grow(r.links[id], len(values))
	for _, v := range values {
		list = append(list, r.small(nameOf(v)))
	}
	r.links[id] = list
	return nil
}

// small returns the same without what nobody asks for, so that a member's
// objectGUID does not keep the whole of its name in memory.
func (r *reading) small(n named) named {
	if p, ok := r.snap.People[n.guid]; ok {
		return named{guid: p.GUID}
	}
	if n.guid != "" {
		return named{guid: people.GUID(strings.Clone(string(n.guid)))}
	}
	return n
}

// join gives each group its members by objectGUID. Those that are neither people
// nor groups of this snapshot, such as computers, are left out; people whose
// primary group it is do not stand in its member attribute and are added.
func (r *reading) join() {
	members := make(map[people.GUID][]people.GUID, len(r.links))
	for id, links := range r.links {
		list := make([]people.GUID, 0, len(links))
		for _, n := range links {
			if g, ok := r.known(n); ok {
				list = append(list, g)
			}
		}
		members[id] = list
	}
	bySID := make(map[string]people.GUID, len(r.snap.Groups))
	for id, g := range r.snap.Groups {
		bySID[g.SID] = id
	}
	for g, p := range r.snap.People {
		if id, ok := bySID[p.PrimaryGroup]; ok {
			members[id] = append(members[id], g)
		}
	}
	for id, g := range r.snap.Groups {
		list := members[id]
		slices.Sort(list)
		g.Members = slices.Compact(list)
		r.snap.Groups[id] = g
	}
}

func (r *reading) known(n named) (people.GUID, bool) {
	g := n.guid
	if g == "" {
		g = r.byDN[foldDN(n.dn)]
	}
	if _, ok := r.snap.People[g]; ok {
		return g, true
	}
	_, ok := r.snap.Groups[g]
	return g, ok
}
