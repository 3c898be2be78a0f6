package people

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// Op says what a Change does.
type Op string

// The ops. Those of a group are add, change and remove.
const (
	OpAdd     Op = "add"     // a person or group that was never known; a group also when it was removed
	OpChange  Op = "change"  // fields, or a group's members, are not what they were
	OpDepart  Op = "depart"  // the person is missing, disabled or expired
	OpReturn  Op = "return"  // a person who departed is there again
	OpBlock   Op = "block"   // an administrator keeps the person out
	OpUnblock Op = "unblock" // and no longer
	OpRemove  Op = "remove"  // the group is gone
)

// Why a person departed.
const (
	WhyMissing  = "missing"
	WhyDisabled = "disabled"
	WhyExpired  = "expired"
)

// Limits of the entries of this package.
const (
	MaxText    = 4096    // bytes of any one text
	MaxReason  = 500     // runes of a reason
	MaxMembers = 250_000 // direct members of a group
	maxUsr     = 256     // bytes of a relay user's id (ingest/AMX.md §1)
	maxSID     = 184     // characters of a SID in text (MS-DTYP section 2.4.2.1)
)

// ErrInvalid is wrapped by every error about a change or an entry that cannot
// be: malformed, beyond a limit, or not what can follow from what is known.
var ErrInvalid = errors.New("not a possible change of the directory")

// Change is one change of one person or group: one entry of the log. Exactly
// one of Person and Group is set.
//
//	add, change, return    Person as the directory has it now; Fields: what Differs from what was known (none for add)
//	depart                 likewise, or Person as last known when Why is WhyMissing
//	block, unblock         Person, of which only the GUID counts; By and Reason
//	add (group)            Group with all its Members
//	change (group)         Group; its Fields, and its members' Added and Removed, which are sorted; at least one of the three
//	remove (group)         Group, of which only the GUID counts
type Change struct {
	Op      Op       `json:"op"`
	Person  *Person  `json:"person,omitempty"`
	Group   *Group   `json:"group,omitempty"`
	Was     *Person  `json:"was,omitempty"` // the person as known before, to show; no part of the entry
	Fields  []string `json:"fields,omitempty"`
	Why     string   `json:"why,omitempty"` // depart: WhyMissing, WhyDisabled or WhyExpired
	Added   []GUID   `json:"added,omitempty"`
	Removed []GUID   `json:"removed,omitempty"`

	By     role.Principal `json:"by,omitzero"` // block, unblock: who decided it
	Reason string         `json:"reason,omitempty"`
}

// changeBody is the body of an entry of kind person or group.
type changeBody struct {
	Version int `json:"v"` // 1
	Change
}

// GUID returns whom or what c changes; "" if it is neither's.
func (c *Change) GUID() GUID {
	switch {
	case c.Person != nil:
		return c.Person.GUID
	case c.Group != nil:
		return c.Group.GUID
	}
	return ""
}

func (c *Change) kind() proof.Kind {
	if c.Group != nil {
		return proof.KindGroup
	}
	return proof.KindPerson
}

// Entry returns the entry that c is appended as, class control. It fails when
// c breaks the rules that need no knowledge of what came before;
// History.Check judges the others.
func (c Change) Entry() (archive.Entry, error) {
	if err := c.check(); err != nil {
		return archive.Entry{}, err
	}
	b, err := c.body()
	if err != nil {
		return archive.Entry{}, err
	}
	if len(b) > archive.MaxBody {
		return archive.Entry{}, invalid("larger than an entry may be")
	}
	return archive.Entry{Kind: c.kind(), Class: proof.ClassControl, Body: b}, nil
}

// body returns the bytes that the log keeps of c: what was known before and
// what a reader takes from there is left out.
func (c Change) body() ([]byte, error) {
	c.Was = nil
	switch {
	case c.Person != nil && (c.Op == OpBlock || c.Op == OpUnblock):
		c.Person = &Person{GUID: c.Person.GUID}
	case c.Group != nil && c.Op == OpRemove:
		c.Group = &Group{GUID: c.Group.GUID}
	case c.Group != nil && c.Op == OpChange:
		g := *c.Group
		g.Members = nil
		c.Group = &g
	}
	if c.Person != nil && c.Person.Expires != nil {
		p := *c.Person
		p.Expires = new(p.Expires.UTC())
		c.Person = &p
	}
	b, err := json.Marshal(changeBody{Version: 1, Change: c})
	if err != nil {
		return nil, invalid("a time that cannot be written") // nothing else of a Change can fail
	}
	return b, nil
}

// Digest names exactly these changes, in whatever order they come and whenever
// they are applied: SHA-256("holdfast diff v1\0" ‖ for each change its kind
// (1 byte) ‖ its body's length (u32) ‖ its body), the changes sorted by those bytes.
func Digest(changes []Change) [32]byte {
	parts := make([][]byte, 0, len(changes))
	for i := range changes {
		b, err := changes[i].body()
		if err != nil {
			b = nil // it cannot become an entry either, so this digest never names anything that is applied
		}
		part := binary.BigEndian.AppendUint32([]byte{byte(changes[i].kind())}, uint32(len(b))) // #nosec G115 -- at most archive.MaxBody in what is ever applied
		parts = append(parts, append(part, b...))
	}
	slices.SortFunc(parts, bytes.Compare)
	h := sha256.New()
	h.Write([]byte("holdfast diff v1\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// Counts says how many changes of each sort there are.
type Counts struct {
	Added         int `json:"added"`
	Changed       int `json:"changed"`
	Departed      int `json:"departed"`
	Returned      int `json:"returned"`
	GroupsAdded   int `json:"groups_added"`
	GroupsChanged int `json:"groups_changed"`
	GroupsRemoved int `json:"groups_removed"`
}

// Count counts a synchronisation's changes.
func Count(changes []Change) Counts {
	var n Counts
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Group != nil && c.Op == OpAdd:
			n.GroupsAdded++
		case c.Group != nil && c.Op == OpChange:
			n.GroupsChanged++
		case c.Group != nil && c.Op == OpRemove:
			n.GroupsRemoved++
		case c.Op == OpAdd:
			n.Added++
		case c.Op == OpChange:
			n.Changed++
		case c.Op == OpDepart:
			n.Departed++
		case c.Op == OpReturn:
			n.Returned++
		}
	}
	return n
}

// Clean makes text what an entry can hold: valid UTF-8 of at most MaxText bytes.
func Clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= MaxText {
		return s
	}
	s = s[:MaxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

func invalid(what string) error { return fmt.Errorf("%w: %s", ErrInvalid, what) }

// parseChange reads the body of an entry of kind person or group, and judges
// what needs no knowledge of what came before.
func parseChange(kind proof.Kind, body []byte) (*Change, error) {
	var b changeBody
	if err := ijson.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch {
	case b.Version != 1:
		return nil, invalid("a version that this program does not know; use a newer one")
	case b.Was != nil:
		return nil, invalid("it states what was known before")
	case (b.Person == nil) == (b.Group == nil) || b.kind() != kind:
		return nil, invalid("it is not about one person, or one group, as its kind says")
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return &b.Change, nil
}

// check judges what needs no knowledge of what came before.
func (c *Change) check() error {
	switch {
	case (c.Person == nil) == (c.Group == nil):
		return invalid("it is not about one person or one group")
	case !c.GUID().Valid():
		return invalid("guid is not one")
	case c.Group != nil:
		return c.checkGroup()
	}
	return c.checkPerson()
}

func (c *Change) checkPerson() error {
	byHand := c.Op == OpBlock || c.Op == OpUnblock
	switch c.Op {
	case OpAdd, OpChange, OpDepart, OpReturn, OpBlock, OpUnblock:
	default:
		return invalid("an op that people do not have")
	}
	switch {
	case len(c.Added)+len(c.Removed) > 0:
		return invalid("a person has no members")
	case (c.Op == OpDepart) != (c.Why != ""):
		return invalid("why goes with depart")
	case c.Op == OpDepart && c.Why != WhyMissing && c.Why != WhyDisabled && c.Why != WhyExpired:
		return invalid("an unknown why")
	case (c.Op == OpAdd || byHand) && len(c.Fields) > 0:
		return invalid("fields go with change, depart and return")
	case (c.Op == OpAdd || c.Op == OpChange || c.Op == OpReturn) && c.Person.Disabled:
		return invalid("people who are disabled have departed")
	case c.Why == WhyDisabled && !c.Person.Disabled || c.Why == WhyExpired && c.Person.Expires == nil:
		return invalid("why is not what the person's fields say")
	case c.Op == OpChange && len(c.Fields) == 0:
		return invalid("a change of no field")
	case !byHand && (c.Reason != "" || c.By != (role.Principal{})):
		return invalid("by and reason go with block and unblock")
	case byHand:
		return checkDecision(c.By, c.Reason)
	}
	return c.Person.check()
}

func (c *Change) checkGroup() error {
	switch c.Op {
	case OpAdd, OpChange, OpRemove:
	default:
		return invalid("an op that groups do not have")
	}
	switch {
	case c.Why != "" || c.Reason != "" || c.By != (role.Principal{}):
		return invalid("why, by and reason go with people")
	case c.Op != OpChange && (len(c.Fields) > 0 || len(c.Added) > 0 || len(c.Removed) > 0):
		return invalid("fields, added and removed go with change")
	case c.Op == OpChange && len(c.Fields)+len(c.Added)+len(c.Removed) == 0:
		return invalid("a change of nothing")
	}
	for _, list := range [][]GUID{c.Added, c.Removed, c.Group.Members} {
		if err := checkMembers(list); err != nil {
			return err
		}
	}
	return c.Group.check()
}

// checkDecision judges what a person decided: who, and why.
func checkDecision(by role.Principal, reason string) error {
	switch {
	case by.ID() == role.Daemon().ID() || !isText(by.Name) || !isText(by.Person) || !isText(by.Via) || !isText(by.Address):
		return invalid("it does not say which person decided it")
	case strings.TrimSpace(reason) == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > MaxReason:
		return invalid("a reason is required, of at most 500 characters")
	}
	return nil
}

func (p *Person) check() error {
	for _, t := range []struct{ field, s string }{
		{fieldAccount, p.Account}, {fieldUPN, p.UPN}, {fieldMail, p.Mail}, {fieldName, p.Name}, {fieldGiven, p.Given},
		{fieldSurname, p.Surname}, {fieldTitle, p.Title}, {fieldDepartment, p.Department}, {fieldDN, p.DN},
	} {
		if !isText(t.s) {
			return invalid(t.field + " is not UTF-8 or too long")
		}
	}
	switch {
	case !isSID(p.SID):
		return invalid("sid is not one")
	case !isSID(p.PrimaryGroup):
		return invalid("primary_group is not a sid")
	case p.Expires != nil && !writable(*p.Expires):
		return invalid("expires is outside the years 1 to 9999")
	}
	return nil
}

func (g *Group) check() error {
	for _, t := range []struct{ field, s string }{{fieldName, g.Name}, {fieldAccount, g.Account}, {fieldDN, g.DN}} {
		if !isText(t.s) {
			return invalid(t.field + " is not UTF-8 or too long")
		}
	}
	if !isSID(g.SID) {
		return invalid("sid is not one")
	}
	return nil
}

func checkMembers(list []GUID) error {
	if len(list) > MaxMembers {
		return invalid("more than 250,000 members")
	}
	for i, g := range list {
		if !g.Valid() {
			return invalid("a member's guid is not one")
		}
		if i > 0 && g <= list[i-1] {
			return invalid("members are not sorted, each once")
		}
	}
	return nil
}

func isText(s string) bool { return len(s) <= MaxText && utf8.ValidString(s) }

// isSID reports whether s is a SID in text, or empty (MS-DTYP section 2.4.2.1).
func isSID(s string) bool {
	if s == "" {
		return true
	}
	rest, ok := strings.CutPrefix(s, "S-1-")
	if !ok || len(s) > maxSID {
		return false
	}
	for part := range strings.SplitSeq(rest, "-") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// writable reports whether RFC 3339 can write t.
func writable(t time.Time) bool { y := t.UTC().Year(); return 1 <= y && y <= 9999 }
