package schedule

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
)

// What a rule can ask of a message's type and of its conversation's kind
// (ingest/AMX.md §2). An edit, a recall, a receipt and a reaction are not
// asked about: they get the class of the message that they refer to.
var (
	types         = []string{"msg", "member", "close", "expiry", "call", "checkpoint"}
	followers     = []string{"edit", "recall", "receipt", "reaction"}
	conversations = []string{"direct", "group", "patient"}
)

// text reads a string of at most limit bytes. It gives "" for one that it
// refuses; an empty one is refused as well.
func (r *reader) text(v *unstable.Node, line int, key string, limit int) string {
	switch s := string(v.Data); {
	case v.Kind != unstable.String:
		r.faults.add(line, "%s is a string", key)
	case s == "":
		r.faults.add(line, "%s is empty; leave the key out or say something", key)
	case len(s) > limit:
		r.faults.add(line, "%s is longer than %d bytes", key, limit)
	case strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.faults.add(line, "%s holds a character that cannot be printed", key)
	case strings.TrimSpace(s) != s:
		r.faults.add(line, "%s begins or ends with a space", key)
	default:
		return s
	}
	return ""
}

// integer reads a number from low to high, 0 for one that it refuses.
func (r *reader) integer(v *unstable.Node, line int, key string, low, high int64) int {
	n, err := strconv.ParseInt(string(v.Data), 10, 64)
	if v.Kind != unstable.Integer || err != nil || n < low || n > high {
		r.faults.add(line, "%s is a number from %d to %d", key, low, high)
		return 0
	}
	return int(n)
}

// list reads an array of strings, each once.
func (r *reader) list(v *unstable.Node, line int, key string) []string {
	if v.Kind != unstable.Array {
		r.faults.add(line, "%s is a list: write %s = [\"…\"]", key, key)
		return nil
	}
	var values []string
	for it := v.Children(); it.Next(); {
		n, at := it.Node(), line
		if n.Kind == unstable.String {
			at = r.line(n)
		}
		s := r.text(n, at, "a value of "+key, MaxValue)
		switch {
		case s == "":
			continue
		case len(values) == MaxValues:
			r.faults.add(at, "%s has more than %d values", key, MaxValues)
			return values
		case slices.Contains(values, s):
			r.faults.add(at, "%s names %q twice", key, s)
			continue
		}
		values = append(values, s)
	}
	if len(values) == 0 && !v.Child().Valid() {
		r.faults.add(line, "%s is an empty list, which nothing could meet; leave the key out to take any", key)
	}
	return values
}

// choice reads a list of values that are known.
func (r *reader) choice(v *unstable.Node, line int, key string, known []string) []string {
	values := r.list(v, line, key)
	for _, s := range values {
		switch {
		case slices.Contains(known, s):
		case key == "type" && slices.Contains(followers, s):
			r.faults.add(line, "no rule is asked about %q: it gets the class of the message that it refers to", s)
		default:
			r.faults.add(line, "%s: there is no %q; there are %s", key, s, strings.Join(known, ", "))
		}
	}
	return values
}

// validClass says whether s can name a class: as a leaf has it (archive/FORMAT.md §2).
func validClass(s string) bool {
	return s != "" && len(s) <= maxClass && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-')
	})
}

// validRule says whether s can name a rule.
func validRule(s string) bool {
	return s != "" && len(s) <= maxRule && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c))
	})
}
