package ldapsync

import (
	"context"
	"slices"

	"github.com/go-ldap/ldap/v3"
)

// Rights are what the reading account turned out to be able to do.
type Rights struct {
	Person, Group bool     // it reads at least one of each
	Writes        []string // the attributes that it may change there, and the classes of objects that it may make, sorted
}

// effective are the constructed attributes by which Active Directory says what
// the account that asks may write (MS-ADTS 3.1.1.4.5.21 and 3.1.1.4.5.23). A
// server that does not know them gives none.
var effective = []string{"allowedAttributesEffective", "allowedChildClassesEffective"}

// TryRights binds as the reading account, reads one person and one group below
// each base, and asks what the account may change of them and of the bases. It
// changes nothing. Its errors are Failures.
func TryRights(ctx context.Context, o Options) (*Rights, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	o.Page = 1
	r := new(Rights)
	_, err := o.eachServer(ctx, new(sticky), func(ctx context.Context, t target) error {
		c, err := o.connect(ctx, t)
		if err != nil {
			return err
		}
		defer c.close()
		*r = Rights{}
		return r.try(ctx, &o, c)
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(r.Writes)
	r.Writes = slices.Compact(r.Writes)
	return r, nil
}

func (r *Rights) try(ctx context.Context, o *Options, c *conn) error {
	for _, base := range o.Base {
		if err := r.base(ctx, c, base); err != nil {
			return err
		}
		seen, err := r.first(ctx, o, c, &query{base: base, scope: ldap.ScopeWholeSubtree, filter: o.othersQuery(), attributes: effective})
		if err != nil {
			return err
		}
		r.Person = r.Person || seen
	}
	for _, base := range o.GroupBase {
		if err := r.base(ctx, c, base); err != nil {
			return err
		}
		seen, err := r.first(ctx, o, c, &query{base: base, scope: ldap.ScopeWholeSubtree, filter: groupsFilter, attributes: effective})
		if err != nil {
			return err
		}
		r.Group = r.Group || seen
	}
	return nil
}

// base asks what the account may change of the object at a base itself.
func (r *Rights) base(ctx context.Context, c *conn, base string) error {
	entries, err := c.few(ctx, &query{base: base, scope: ldap.ScopeBaseObject, filter: "(objectClass=*)", attributes: effective}, 1)
	for _, e := range entries {
		r.note(e)
	}
	return err
}

// othersQuery leaves out the reading account itself: Active Directory lets
// everybody change some of their own attributes.
func (o *Options) othersQuery() string {
	own := ldap.EscapeFilter(o.Bind)
	return "(&" + o.peopleQuery() + "(!(userPrincipalName=" + own + "))(!(distinguishedName=" + own + ")))"
}

// first asks for the first page, of one entry, and says whether there was one.
func (r *Rights) first(ctx context.Context, o *Options, c *conn, q *query) (seen bool, err error) {
	err = c.request(ctx, "search", func(ctx context.Context) error {
		_, err := c.page(ctx, o, q, nil, func(e *ldap.Entry) error {
			seen = true
			r.note(e)
			return nil
		})
		return err
	})
	return seen, err
}

func (r *Rights) note(e *ldap.Entry) {
	for _, name := range effective {
		r.Writes = append(r.Writes, e.GetAttributeValues(name)...)
	}
}
