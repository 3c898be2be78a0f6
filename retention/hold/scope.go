package hold

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive/query"
	"holdfast/internal/ijson"
)

// Limits of a scope.
const (
	MaxValues  = 1000    // custodians, groups, or conversations
	MaxID      = 256     // bytes of a relay user's or conversation's id
	MaxEncoded = 1 << 20 // bytes of a scope's JSON
)

// UsrPrefix stands before the id of a relay user who is named as a custodian.
const UsrPrefix = "usr:"

// ErrScope is wrapped by every error about a scope. None says what the scope
// names.
var ErrScope = errors.New("not a possible scope of a hold")

// Scope is what a hold covers. The values of one kind are alternatives, the
// kinds restrict each other; custodians and groups are one kind.
type Scope struct {
	// All is everything in the range; no other kind stands beside it.
	All bool `json:"all,omitempty"`
	// Custodians are objectGUIDs (32 lower-case hexadecimal digits in groups of
	// 8-4-4-4-12), or UsrPrefix and the id of a relay user who is nobody's.
	Custodians []string `json:"custodians,omitempty"`
	// Groups are objectGUIDs of groups. They stand for whoever was a member at
	// any time from From on, or ever; leaving takes nobody out.
	Groups        []string `json:"groups,omitempty"`
	Conversations []string `json:"conversations,omitempty"` // ids, compared byte for byte
	// Query is in the language version Language, which is 0 without a query.
	Query    string `json:"query,omitempty"`
	Language int    `json:"language,omitempty"`
	// The range is [From, To); nil is an open end.
	From *time.Time `json:"from,omitempty"`
	To   *time.Time `json:"to,omitempty"`
}

// Check says whether a hold may be placed, widened or narrowed to with s: it is
// well formed, and its query is one of a version of the language that this
// program has and asks for no hold, matter, group or quarantine. Words such as
// today are refused: write a query down as query.ParseIn prints it. The error wraps ErrScope, and a
// *query.SyntaxError for what is wrong with a query.
func (s *Scope) Check() error {
	if err := s.form(); err != nil {
		return err
	}
	if s.Query == "" {
		return nil
	}
	for _, p := range query.Properties(s.Query) {
		switch query.Property(p) {
		case query.OnHold, query.ForMatter:
			return wrong("its query asks for " + p + ":, and what one hold covers must not hang on another; name the people, conversations and words instead")
		case query.InGroup:
			return wrong("its query asks for group:, and a hold on a group keeps what its members wrote before and after as well; name the group beside the query")
		case query.IsQuarantined:
			return wrong("its query asks for quarantined:, and a hold covers whatever is in quarantine anyway; leave that out")
		}
	}
	if _, err := query.ParseLanguage(s.Language, s.Query); err != nil {
		return fmt.Errorf("%w: %w", ErrScope, err)
	}
	return nil
}

// form checks all that does not hang on the versions of the language.
func (s *Scope) form() error {
	people, others := len(s.Custodians)+len(s.Groups), len(s.Conversations) > 0 || s.Query != ""
	switch {
	case s.All && (people > 0 || others):
		return wrong("it says everything and names something besides; leave out either")
	case !s.All && people == 0 && !others:
		return wrong("it names nothing; name custodians, groups, conversations or a query, or say that it is everything")
	case s.Query == "" && s.Language != 0:
		return wrong("it has a version of the query language and no query; leave out the version")
	case s.Query != "" && s.Language < 1:
		return wrong("its query does not say in which version of the language it is; give the version")
	case len(s.Query) > query.MaxBytes:
		return wrong(fmt.Sprintf("its query is longer than %d bytes; split it into several holds", query.MaxBytes))
	}
	if err := values("custodian", s.Custodians, isCustodian, "an objectGUID such as 3e4385bb-7c43-4feb-8ea2-97c65cc06abf, or usr: and a relay user's id"); err != nil {
		return err
	}
	if err := values("group", s.Groups, isGUID, "an objectGUID such as 3e4385bb-7c43-4feb-8ea2-97c65cc06abf"); err != nil {
		return err
	}
	if err := values("conversation", s.Conversations, isID, fmt.Sprintf("an id of 1 to %d bytes", MaxID)); err != nil {
		return err
	}
	return s.rangeAndSize()
}

func (s *Scope) rangeAndSize() error {
	for _, end := range []*time.Time{s.From, s.To} {
		if end != nil && end.UTC().Year() < 2 { // the first year begins with the zero time, which is none
			return wrong("an end of its range is in no year from 0002 on; leave it out for an open end")
		}
	}
	if s.From != nil && s.To != nil && !s.From.Before(*s.To) {
		return wrong("its range ends before it begins, or is empty; give an end after the beginning")
	}
	b, err := json.Marshal(s)
	if err != nil {
		return wrong("it cannot be written; give its range's ends in years up to 9999, and in a usual time zone")
	}
	if len(b) > MaxEncoded {
		return wrong(fmt.Sprintf("it is larger than %d bytes; split it into several holds", MaxEncoded))
	}
	return nil
}

// values checks the values of one kind.
func values(kind string, of []string, valid func(string) bool, form string) error {
	if len(of) > MaxValues {
		return wrong(fmt.Sprintf("it has more than %d %ss; split it into several holds", MaxValues, kind))
	}
	for i, v := range of {
		if !valid(v) {
			return wrong(fmt.Sprintf("%s %d is not %s", kind, i+1, form))
		}
	}
	return nil
}

func wrong(how string) error { return fmt.Errorf("%w: %s", ErrScope, how) }

func isCustodian(v string) bool {
	if usr, ok := strings.CutPrefix(v, UsrPrefix); ok {
		return isID(usr)
	}
	return isGUID(v)
}

func isID(v string) bool { return v != "" && len(v) <= MaxID && utf8.ValidString(v) }

func isGUID(v string) bool {
	if len(v) != 36 {
		return false
	}
	zero := true
	for i := range len(v) {
		c := v[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'f':
			zero = zero && c == '0'
		default:
			return false
		}
	}
	return !zero // the GUID of zeroes belongs to nothing
}

// Frozen returns s as a hold's entry has it: the values sorted and each once,
// the range in UTC, and a query pinned to this version of the language if it
// was to none.
func (s Scope) Frozen() Scope {
	s.Custodians, s.Groups, s.Conversations = each(s.Custodians), each(s.Groups), each(s.Conversations)
	if s.Query != "" && s.Language == 0 {
		s.Language = query.Language
	}
	s.From, s.To = utc(s.From), utc(s.To)
	return s
}

// each returns the values sorted, each once; nil for none.
func each(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// Equal says whether s and t say the same, in whatever order and time zone. Two
// queries are the same when they are written alike in the same version.
func (s Scope) Equal(t Scope) bool {
	same := func(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }
	return s.All == t.All && s.Query == t.Query && s.Language == t.Language && same(s.From, t.From) && same(s.To, t.To) &&
		slices.Equal(each(s.Custodians), each(t.Custodians)) && slices.Equal(each(s.Groups), each(t.Groups)) &&
		slices.Equal(each(s.Conversations), each(t.Conversations))
}

// ParseScope reads a scope's JSON. It is strict, but for the version of the
// language: an entry of the log may have one that this program lost, and what
// it holds stays held. The error wraps ErrScope.
func ParseScope(b []byte) (Scope, error) {
	if len(b) > MaxEncoded {
		return Scope{}, wrong(fmt.Sprintf("it is larger than %d bytes; split it into several holds", MaxEncoded))
	}
	var s Scope
	if err := ijson.UnmarshalStrict(b, &s); err != nil {
		return Scope{}, fmt.Errorf("%w: %w", ErrScope, err)
	}
	if err := s.form(); err != nil {
		return Scope{}, err
	}
	return s, nil
}
