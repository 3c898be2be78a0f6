package adtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The limits of a domain controller's default query policy.
const (
	maxPage  = 1000 // MaxPageSize: entries of an unpaged search, or of a page
	maxRange = 1500 // MaxValRange: values of an attribute
)

// found is one entry that a search has found, as it goes to the client.
type found struct {
	dn         string
	attributes []attribute
}

// search answers one search request.
func (s *session) search(m message) []message {
	done := func(code int64, says string, controls ...control) message {
		d := result(m.id, opSearchDone, code, says)
		d.controls = controls
		return d
	}
	r, err := parseSearch(m.op)
	if err != nil {
		return []message{done(codeProtocol, "not a search request")}
	}
	for _, c := range m.controls {
		if c.critical && c.oid != oidPaged {
			return []message{done(codeCritical, "00000057: LdapErr: DSID-0C090A22, comment: Error processing control, data 0, v4563")}
		}
	}
	size, cookie, paged, err := pageControl(m.controls)
	if err != nil || paged && (size < 0 || cookie != "" && s.pages[cookie] == nil) {
		return []message{done(codeUnwilling, "00000057: LdapErr: DSID-0C090A22, comment: Error processing control, data 0, v4563")}
	}
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	s.fake.searches++
	if r.base == "" && r.scope == 0 {
		return []message{entryMessage(m.id, "", pick(s.fake.rootDSE(), r.attributes)), done(codeSuccess, "")}
	}
	if !s.bound {
		return []message{done(codeOperations, "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v4563")}
	}
	all, exists := s.pages[cookie], true
	if cookie == "" {
		all, exists = s.fake.find(r)
	}
	delete(s.pages, cookie)
	if !exists {
		return []message{done(codeNoObject, "0000208D: NameErr: DSID-03100241, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'"+BaseDN+"'\n")}
	}
	limit := maxPage
	if paged && size < maxPage {
		limit = int(size)
	}
	if r.size > 0 && int(r.size) < limit && !paged {
		limit = int(r.size)
	}
	var out []message
	for _, e := range all[:min(limit, len(all))] {
		out = append(out, entryMessage(m.id, e.dn, e.attributes))
	}
	rest := all[min(limit, len(all)):]
	switch {
	case paged && len(rest) > 0:
		s.cookie++
		next := strconv.Itoa(s.cookie)
		s.pages[next] = rest
		return append(out, done(codeSuccess, "", newPageControl(0, next)))
	case len(rest) > 0:
		return append(out, done(codeSizeLimit, "000020E1: SvcErr: DSID-03140C0F, problem 5003 (WILL_NOT_PERFORM), data 0"))
	}
	if r.scope == 2 && fold(r.base) == fold(BaseDN) {
		out = append(out, referenceMessage(m.id, "ldap://"+domain+"/CN=Configuration,"+BaseDN))
	}
	if paged {
		return append(out, done(codeSuccess, "", newPageControl(0, "")))
	}
	return append(out, done(codeSuccess, ""))
}

// find runs a search; false means that there is no such base. The caller holds
// the mutex.
func (f *Fake) find(r searchRequest) ([]found, bool) {
	base := fold(r.base)
	if raw, ok := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(r.base, ">")), "<guid="); ok {
		o := f.where(func(o *object) bool { return formatGUID(o.guid) == raw })
		if o == nil {
			return nil, false
		}
		base = o.key
	}
	if f.names()[keyDN+base] == nil {
		return nil, false
	}
	var out []found
	for _, o := range f.objects {
		_, parent, _ := strings.Cut(o.key, "\x00")
		if r.scope == 0 && o.key != base || r.scope == 1 && parent != base || !below(o.key, base) {
			continue
		}
		if matches(r.filter, func(name string) []string { return f.values(o, name) }) {
			out = append(out, found{dn: o.dn, attributes: f.attributes(o, r)})
		}
	}
	return out, true
}

// computed are the attributes that an object's place in the directory gives it.
var computed = []string{"cn", "name", "distinguishedName", "objectGUID", "objectSid", "member", "memberOf"}

// values are all values of one attribute.
func (f *Fake) values(o *object, name string) []string {
	sid := func(rid uint32) string { return rawSID(21, f.sid[0], f.sid[1], f.sid[2], rid) }
	switch strings.ToLower(name) {
	case "cn", "name":
		_, value, _ := strings.Cut(splitDN(o.dn)[0], "=")
		return []string{unescape(value)}
	case "distinguishedname":
		return []string{o.dn}
	case "objectguid":
		return []string{o.rawGUID()}
	case "objectsid":
		if o.is("domain") {
			return []string{rawSID(21, f.sid[0], f.sid[1], f.sid[2])}
		}
		if o.rid == 0 {
			return nil
		}
		return []string{sid(o.rid)}
	case "member":
		var out []string
		for _, m := range o.members {
			out = append(out, m.dn)
		}
		return out
	case "memberof":
		var out []string
		for _, g := range f.objects {
			if slices.Contains(g.members, o) {
				out = append(out, g.dn)
			}
		}
		return out
	case "tokengroups":
		var out []string
		for _, g := range f.effective(o) {
			out = append(out, sid(g.rid))
		}
		return out
	case "lockouttime":
		if o.locked {
			return []string{"132000000000000000"}
		}
		return []string{"0"}
	}
	return o.attributes[strings.ToLower(name)].values
}

// effective are the groups that an object is in: its primary group, direct
// ones, and theirs.
func (f *Fake) effective(o *object) []*object {
	seen := map[*object]bool{}
	todo := []*object{o}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		for _, g := range f.objects {
			primary := next == o && g.is("group") && o.first("primaryGroupID") == strconv.FormatUint(uint64(g.rid), 10)
			if (primary || slices.Contains(g.members, next)) && !seen[g] {
				seen[g] = true
				todo = append(todo, g)
			}
		}
	}
	var out []*object
	for _, g := range f.objects {
		if seen[g] {
			out = append(out, g)
		}
	}
	return out
}

// attributes are those that a request asks for, as they go over the wire.
func (f *Fake) attributes(o *object, r searchRequest) []attribute {
	asked := r.attributes
	if len(asked) == 0 {
		asked = []string{"*"}
	}
	var out []attribute
	for _, name := range asked {
		switch {
		case name == "1.1":
			continue
		case name == "*":
			for _, a := range o.attributes {
				out = append(out, a)
			}
			for _, c := range computed {
				out = append(out, cut(c, 0, -1, false, f.values(o, c))...)
			}
			continue
		case strings.EqualFold(name, "tokenGroups") && r.scope != 0:
			continue // constructed for a single object only
		}
		plain, from, to, ranged := rangeOf(name)
		out = append(out, cut(plain, from, to, ranged, f.values(o, plain))...)
	}
	slices.SortStableFunc(out, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return out
}

// cut applies MaxValRange: what has more values than one answer may hold comes
// as an empty attribute beside one with a range (MS-ADTS 3.1.1.3.1.3.3).
func cut(name string, from, to int, ranged bool, values []string) []attribute {
	if len(values) == 0 {
		return nil
	}
	if !ranged && len(values) <= maxRange {
		return []attribute{{name, values}}
	}
	if from >= len(values) {
		return nil
	}
	end := len(values)
	if to >= 0 {
		end = min(end, to+1)
	}
	end = min(end, from+maxRange)
	last := "*"
	if end < len(values) {
		last = strconv.Itoa(end - 1)
	}
	part := attribute{fmt.Sprintf("%s;range=%d-%s", name, from, last), values[from:end]}
	if ranged {
		return []attribute{part}
	}
	return []attribute{{name, nil}, part}
}

// pick leaves the attributes that are asked for.
func pick(all []attribute, asked []string) []attribute {
	if len(asked) == 0 || slices.Contains(asked, "*") {
		return all
	}
	return slices.DeleteFunc(all, func(a attribute) bool {
		return !slices.ContainsFunc(asked, func(n string) bool { return strings.EqualFold(n, a.name) })
	})
}
