package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive/query"
)

// oracle answers queries by looking at every entry, as archive/query/QUERY.md
// says and without query.Match: of archive/query it knows the parsed tree alone.
type oracle struct {
	entries []*oracleEntry
	book    oracleBook
	tokens  map[string][]string // of the names seen
	folded  map[string]string   // the ids seen
}

// oracleEntry is an entry cut into words.
type oracleEntry struct {
	*query.Doc
	text  []*oracleKnown
	files []oracleFile
}

type oracleFile struct{ name, text []*oracleKnown }

// newOracle cuts the entries that are the newest of their message; what hangs
// at another is no hit.
func newOracle(docs []*query.Doc) *oracle {
	o := &oracle{book: oracleBook{}, tokens: map[string][]string{}, folded: map[string]string{}}
	cut := func(text string) (words []*oracleKnown) {
		for _, token := range oracleTokens(text) {
			words = append(words, o.book.of(token))
		}
		return words
	}
	newest := map[uint64]uint64{}
	about := func(d *query.Doc) uint64 {
		if d.Late {
			return d.Of
		}
		return d.Seq
	}
	for _, d := range docs {
		if d != nil {
			newest[about(d)] = d.Seq
		}
	}
	for _, d := range docs {
		if d == nil || d.Hangs || newest[about(d)] != d.Seq {
			continue
		}
		e := &oracleEntry{Doc: d, text: cut(d.Text)}
		for _, f := range d.Files {
			e.files = append(e.files, oracleFile{cut(f.Name), cut(f.Text)})
		}
		o.entries = append(o.entries, e)
	}
	return o
}

// oracleAnswer is what the oracle says of a query: the hits in order, and how many
// entries more may be.
type oracleAnswer struct {
	hits   []Hit
	unread uint64
}

func (o *oracle) ask(q *query.Query, by Sort) (a oracleAnswer, err error) {
	asked := &oracleQuery{oracle: o, words: map[*query.Text][]*oracleWord{}}
	inQuarantine := asked.read(q.Root())
	if asked.fault != nil {
		return a, asked.fault
	}
	for _, e := range o.entries {
		if e.Quarantined && !inQuarantine {
			continue
		}
		switch {
		case asked.says(q.Root(), e, oracleNo) == oracleYes:
			seq := e.Seq
			if e.Late {
				seq = e.Of
			}
			a.hits = append(a.hits, Hit{Seq: seq, Entry: e.Seq, Sent: e.Sent.UTC()})
		case asked.says(q.Root(), e, oracleMaybe) == oracleMaybe && (e.Quarantined || e.unread()):
			a.unread++
		}
	}
	slices.SortFunc(a.hits, func(x, y Hit) int {
		if by == BySent {
			if c := y.Sent.Compare(x.Sent); c != 0 { // no time is the year 1: it comes last
				return c
			}
		}
		return cmp.Compare(y.Seq, x.Seq)
	})
	return a, nil
}

func (e *oracleEntry) unread() bool {
	return e.Unread || slices.ContainsFunc(e.Files, func(f query.File) bool { return f.Unread })
}

// What can be said of a clause; NOT turns it round.
type oracleTruth int

const (
	oracleNo oracleTruth = iota
	oracleMaybe
	oracleYes
)

func oracleIf(b bool) oracleTruth {
	if b {
		return oracleYes
	}
	return oracleNo
}

// oracleQuery is one query while it is asked.
type oracleQuery struct {
	*oracle
	words map[*query.Text][]*oracleWord
	fault error
}

// read cuts the words of a tree, and says whether it asks for quarantine.
func (a *oracleQuery) read(n query.Node) (quarantine bool) {
	switch n := n.(type) {
	case *query.And:
		for _, p := range n.Of {
			quarantine = a.read(p) || quarantine
		}
	case *query.Or:
		for _, p := range n.Of {
			quarantine = a.read(p) || quarantine
		}
	case *query.Not:
		return a.read(n.Of)
	case *query.Quarantined:
		return true
	case *query.Near:
		a.read(n.A)
		a.read(n.B)
	case *query.Text:
		if a.words[n] = a.book.words(n); a.words[n] == nil {
			a.fault = fmt.Errorf("%q has %d words for the parser, but %q here", n.Value, len(n.Words), oracleTokens(n.Value))
		}
	}
	return quarantine
}

// says judges an entry; unfound is what is said of words that are not there.
func (a *oracleQuery) says(n query.Node, e *oracleEntry, unfound oracleTruth) oracleTruth {
	if !e.unread() {
		unfound = oracleNo
	}
	switch n := n.(type) {
	case *query.And:
		least := oracleYes
		for _, p := range n.Of {
			least = min(least, a.says(p, e, unfound))
		}
		return least
	case *query.Or:
		most := oracleNo
		for _, p := range n.Of {
			most = max(most, a.says(p, e, unfound))
		}
		return most
	case *query.Not:
		return oracleYes - a.says(n.Of, e, unfound)
	case *query.Seq:
		return oracleIf(n.From <= e.seq() && e.seq() <= n.To)
	case *query.Held:
		return oracleIf(n.Set != nil && n.Set.Contains(e.seq()))
	case *query.Quarantined:
		return oracleIf(e.Quarantined == n.Is)
	case *query.Time:
		if n.Property == query.Received {
			return oracleIf(oracleHolds(n, e.Received))
		}
	}
	if e.Quarantined {
		return oracleMaybe
	}
	switch n := n.(type) {
	case *query.Text:
		if a.stands(a.words[n], e, n.Where == query.InFileName) {
			return oracleYes
		}
		if n.Where == query.Anywhere {
			return unfound
		}
		return oracleNo
	case *query.Near:
		if a.near(a.words[n.A], a.words[n.B], n.N, e) {
			return oracleYes
		}
		return unfound
	}
	return oracleIf(a.has(n, e))
}

func (e *oracleEntry) seq() uint64 {
	if e.Late {
		return e.Of
	}
	return e.Seq
}

// passages are the texts through which nothing runs into the next.
func (e *oracleEntry) passages(namesOnly bool) (all [][]*oracleKnown) {
	if !namesOnly {
		all = append(all, e.text)
	}
	for _, f := range e.files {
		all = append(all, f.name)
		if !namesOnly {
			all = append(all, f.text)
		}
	}
	return all
}

func (a *oracleQuery) stands(words []*oracleWord, e *oracleEntry, namesOnly bool) bool {
	return slices.ContainsFunc(e.passages(namesOnly), func(p []*oracleKnown) bool { return len(oraclePlaces(words, p)) > 0 })
}

// oraclePlaces are where in a passage the words stand one after the other.
func oraclePlaces(words []*oracleWord, passage []*oracleKnown) (at []int) {
	for i := 0; i+len(words) <= len(passage); i++ {
		all := true
		for j, w := range words {
			all = all && w.accepts(passage[i+j])
		}
		if all {
			at = append(at, i)
		}
	}
	return at
}

func (a *oracleQuery) near(x, y []*oracleWord, n int, e *oracleEntry) bool {
	for _, p := range e.passages(false) {
		for _, i := range oraclePlaces(x, p) {
			for _, j := range oraclePlaces(y, p) {
				between := j - (i + len(x))
				if j < i {
					between = i - (j + len(y))
				}
				if 0 <= between && between <= n {
					return true
				}
			}
		}
	}
	return false
}

// has judges by what is never maybe.
func (a *oracleQuery) has(n query.Node, e *oracleEntry) bool {
	switch n := n.(type) {
	case *query.Person:
		return a.person(n, e)
	case *query.Group:
		for _, s := range n.Stays {
			if (s.From.IsZero() || !e.Received.Before(s.From)) && (s.To.IsZero() || e.Received.Before(s.To)) &&
				slices.ContainsFunc(slices.Concat(e.From, e.To, e.Members), func(p query.Party) bool { return a.is(p, s.Usrs) }) {
				return true
			}
		}
	case *query.Conversation:
		return e.Conversation.ID == n.Value || a.named(n.Value, e.Conversation.Name)
	case *query.Kind:
		return e.Typ == n.Value || e.Conversation.Kind == n.Value
	case *query.Has:
		return len(e.Files) > 0
	case *query.Lang:
		return e.Lang != "" && strings.HasPrefix(oracleFold(e.Lang)+"-", oracleFold(n.Value)+"-")
	case *query.MRN:
		return e.MRN != "" && oracleFold(e.MRN) == oracleFold(n.Value)
	case *query.Prio:
		return e.Prio == n.Value
	case *query.Time:
		return oracleHolds(n, e.Sent)
	}
	return false
}

func (a *oracleQuery) person(n *query.Person, e *oracleEntry) bool {
	var of query.Parties
	switch n.Property {
	case query.From:
		of = e.From
	case query.To:
		of = e.To
	default:
		of = slices.Concat(e.From, e.To, e.Members)
	}
	return slices.ContainsFunc(of, func(p query.Party) bool {
		if a.is(p, n.Usrs) {
			return true
		}
		return n.Property != query.Custodian && (a.is(p, []string{n.Value}) || a.named(n.Value, p.Name))
	})
}

// is says whether one of the ids is the party's.
func (a *oracleQuery) is(p query.Party, ids []string) bool {
	fold := func(id string) string {
		folded, known := a.folded[id]
		if !known {
			folded = oracleFold(id)
			a.folded[id] = folded
		}
		return folded
	}
	return slices.ContainsFunc(ids, func(id string) bool {
		return slices.ContainsFunc([]string{p.Usr, p.UPN, p.Mail}, func(have string) bool { return have != "" && fold(have) == fold(id) })
	})
}

// named says whether the words of a value stand in a name, accents apart.
func (a *oracleQuery) named(value, name string) bool {
	plain := func(s string) []string {
		tokens, known := a.tokens[s]
		if !known {
			for _, token := range oracleTokens(s) {
				tokens = append(tokens, oracleUnaccent(token))
			}
			a.tokens[s] = tokens
		}
		return tokens
	}
	words, in := plain(value), plain(name)
	for i := 0; len(words) > 0 && i+len(words) <= len(in); i++ {
		if slices.Equal(in[i:i+len(words)], words) {
			return true
		}
	}
	return false
}

// oracleHolds compares a time with a clause's.
func oracleHolds(n *query.Time, at time.Time) bool {
	after := func(m query.Moment) time.Time {
		unit := 24 * time.Hour
		if !m.Date {
			unit = time.Second
			for range m.Digits {
				unit /= 10
			}
		}
		return m.Start.Add(unit)
	}
	switch from := n.Value.Start; {
	case at.IsZero():
		return false
	case n.Op == query.Less:
		return at.Before(from)
	case n.Op == query.LessEqual:
		return at.Before(after(n.Value))
	case n.Op == query.Greater:
		return !at.Before(after(n.Value))
	case n.Op == query.GreaterEqual:
		return !at.Before(from)
	case n.Op == query.Between:
		return !at.Before(from) && at.Before(after(n.Until))
	default:
		return !at.Before(from) && at.Before(after(n.Value))
	}
}
