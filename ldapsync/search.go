package ldapsync

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

var (
	errCut      = errors.New("the answer ended before its end")
	errNoPaging = errors.New("the domain controller does not answer in pages")
	errPages    = errors.New("too many pages")
)

// oidExtendedDN makes Active Directory write each DN with the objectGUID of what
// it names in front, <GUID=…>;<SID=…>;DN, so that members are known by what does
// not change while the snapshot is read (MS-ADTS 3.1.1.3.4.1.5).
const oidExtendedDN = "1.2.840.113556.1.4.529"

// extendedText asks for the GUID in text: SEQUENCE { INTEGER 1 }.
const extendedText = "\x30\x03\x02\x01\x01"

// query is one search below one base.
type query struct {
	base       string
	scope      int
	filter     string
	attributes []string
	extended   bool // with extended DNs
}

// request returns a fresh request: one that was used before must not be used
// again, because its paging control has moved on.
func (q *query) request(size int, controls ...ldap.Control) *ldap.SearchRequest {
	if q.extended {
		controls = append(controls, ldap.NewControlString(oidExtendedDN, false, extendedText))
	}
	return ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, size, 0, false, q.filter, q.attributes, controls)
}

// pages gives take every entry of the search, page by page (RFC 2696). An error
// means that what take was given is not the whole answer. Referrals are not
// followed and not counted.
func (c *conn) pages(ctx context.Context, o *Options, q *query, take func(*ldap.Entry) error) error {
	var cookie []byte
	for range o.bounds.pages {
		err := c.request(ctx, "search", func(ctx context.Context) (err error) {
			cookie, err = c.page(ctx, o, q, cookie, take)
			return err
		})
		if err != nil {
			return err
		}
		if len(cookie) == 0 {
			return nil
		}
	}
	return fail(ClassLimit, "search", errPages)
}

// page asks for one page and returns the cookie of the next one, empty at the end.
//
// go-ldap ends an answer that was cut off as if it had been whole. The end of a
// whole answer carries the paging control (RFC 2696, section 3), so an answer
// without it is not one.
func (c *conn) page(ctx context.Context, o *Options, q *query, cookie []byte, take func(*ldap.Entry) error) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx) // ends go-ldap's goroutine when take stops early
	defer cancel()
	paging := ldap.NewControlPaging(uint32(o.Page)) // #nosec G115 -- 1 to 1000
	paging.SetCookie(cookie)
	answer := c.ldap.SearchAsync(ctx, q.request(0, paging), 64)
	var end *ldap.ControlPaging
	for answer.Next() {
		if e := answer.Entry(); e != nil {
			if err := take(e); err != nil {
				return nil, err
			}
			continue
		}
		if p, ok := ldap.FindControl(answer.Controls(), ldap.ControlTypePaging).(*ldap.ControlPaging); ok {
			end = p
		}
	}
	switch err := answer.Err(); {
	case err != nil:
		return nil, err
	case end != nil:
		return end.Cookie, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.ldap.IsClosing():
		return nil, fail(ClassUnreachable, "search", errCut)
	}
	return nil, fail(ClassPartial, "search", errNoPaging)
}

// few returns the at most limit entries that a search without pages finds; more
// of them are an error of class size_limit.
func (c *conn) few(ctx context.Context, q *query, limit int) (entries []*ldap.Entry, err error) {
	err = c.request(ctx, "search", func(context.Context) error {
		r, err := c.ldap.Search(q.request(limit))
		if err != nil {
			return err // what came before it is no answer
		}
		entries = r.Entries
		return nil
	})
	if err == nil && len(entries) > limit {
		return nil, &Failure{Class: ClassSizeLimit, What: "search", Err: fmt.Errorf("more than %d entries", limit)}
	}
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// checkFilter refuses a filter that is not RFC 4515's.
func checkFilter(filter string) error {
	if _, err := ldap.CompileFilter(filter); err != nil {
		return fmt.Errorf("%w: filter is not a search filter such as (employeeType=staff)", errOptions)
	}
	return nil
}
