package query

import (
	"slices"
	"strings"
	"time"
)

// unread is what a word that is not found is in an entry.
func unread(d *Doc) Truth {
	if d.Unread {
		return Maybe
	}
	return No
}

// plainlyTwo evaluates without any shortcut: every text is cut into words, and
// every rule is written out as QUERY.md has it.
func plainlyTwo(n Node, d *Doc, q *Query, unfound Truth) Truth {
	if d.Quarantined && !q.Quarantined() {
		return No
	}
	switch n := n.(type) {
	case *And:
		least := Yes
		for _, p := range n.Of {
			least = min(least, plainlyTwo(p, d, q, unfound))
		}
		return least
	case *Or:
		most := No
		for _, p := range n.Of {
			most = max(most, plainlyTwo(p, d, q, unfound))
		}
		return most
	case *Not:
		return map[Truth]Truth{No: Yes, Maybe: Maybe, Yes: No}[plainlyTwo(n.Of, d, q, unfound)]
	}
	truth, onlyMessages := plainClause(n, d, unfound)
	if d.Quarantined && onlyMessages {
		return Maybe
	}
	return truth
}

func plainClause(n Node, d *Doc, unfound Truth) (_ Truth, onlyMessages bool) {
	yes := func(b bool) Truth { return map[bool]Truth{true: Yes, false: No}[b] }
	var names, texts []string
	for _, f := range d.Files {
		names, texts = append(names, f.Name), append(texts, f.Text)
	}
	everywhere := append(append([]string{d.Text}, names...), texts...)
	at := d.Seq
	if d.Late {
		at = d.Of
	}
	switch n := n.(type) {
	case *Text:
		if n.Where == InFileName {
			return yes(slices.ContainsFunc(names, func(s string) bool { return len(plainPlaces(s, n.Words)) > 0 })), true
		}
		return max(unfound, yes(slices.ContainsFunc(everywhere, func(s string) bool { return len(plainPlaces(s, n.Words)) > 0 }))), true
	case *Near:
		return max(unfound, yes(slices.ContainsFunc(everywhere, func(s string) bool { return plainNear(s, n) }))), true
	case *Person:
		return yes(slices.ContainsFunc(map[Property]Parties{
			From: d.From, To: d.To, Participants: slices.Concat(d.From, d.To, d.Members), Custodian: slices.Concat(d.From, d.To, d.Members),
		}[n.Property], func(p Party) bool { return plainPerson(n, p) })), true
	case *Group:
		for _, p := range slices.Concat(d.From, d.To, d.Members) {
			for _, s := range n.Stays {
				in := !d.Received.IsZero() && (s.From.IsZero() || !d.Received.Before(s.From)) && (s.To.IsZero() || d.Received.Before(s.To))
				if in && slices.ContainsFunc(s.Usrs, func(usr string) bool {
					return slices.ContainsFunc(p.IDs(), func(id string) bool { return FoldKey(id) == FoldKey(usr) })
				}) {
					return Yes, true
				}
			}
		}
		return No, true
	case *Conversation:
		return yes(d.Conversation.ID == n.Value || len(plainPlaces(d.Conversation.Name, phraseOf(2, Folded, n.Value))) > 0), true
	case *Kind:
		return yes(n.Value == d.Typ || n.Value == d.Conversation.Kind), true
	case *Has:
		return yes(len(d.Files) > 0), true
	case *Lang:
		return yes(d.Lang != "" && strings.HasPrefix(FoldKey(d.Lang)+"-", n.Value+"-")), true
	case *MRN:
		return yes(d.MRN != "" && FoldKey(d.MRN) == FoldKey(n.Value)), true
	case *Prio:
		return yes(d.Prio == n.Value), true
	case *Time:
		at := map[Property]time.Time{Sent: d.Sent, Received: d.Received}[n.Property]
		start, end := n.Range()
		return yes(!at.IsZero() && !at.Before(start) && (end.IsZero() || at.Before(end))), n.Property == Sent
	case *Seq:
		return yes(n.From <= at && at <= n.To), false
	case *Held:
		return yes(n.Set != nil && n.Set.Contains(at)), false
	case *Quarantined:
		return yes(d.Quarantined == n.Is), false
	}
	return No, false
}

func plainPerson(n *Person, p Party) bool {
	has := func(key string) bool {
		return key != "" && slices.ContainsFunc(p.IDs(), func(id string) bool { return FoldKey(id) == FoldKey(key) })
	}
	if slices.ContainsFunc(n.Usrs, has) {
		return true
	}
	return n.Property != Custodian && (has(n.Value) || len(plainPlaces(p.Name, phraseOf(2, Folded, n.Value))) > 0)
}

func plainPlaces(text string, phrase []Word) (at []int) {
	words := Words(text)
	for i := 0; len(phrase) > 0 && i+len(phrase) <= len(words); i++ {
		ok := true
		for j, w := range phrase {
			ok = ok && plainAccepts(w, words[i+j])
		}
		if ok {
			at = append(at, i)
		}
	}
	return at
}

func plainNear(text string, n *Near) bool {
	a, b := plainPlaces(text, n.A.Words), plainPlaces(text, n.B.Words)
	for _, i := range a {
		for _, j := range b {
			between := j - (i + len(n.A.Words))
			if j < i {
				between = i - (j + len(n.B.Words))
			}
			if between >= 0 && between <= n.N {
				return true
			}
		}
	}
	return false
}

func plainAccepts(w Word, token string) bool {
	u, v := Unaccent(token), Unaccent(w.Text)
	switch w.Form {
	case Exact:
		return token == w.Text
	case Folded:
		return u == v
	case Prefix:
		return strings.HasPrefix(u, v)
	case Suffix:
		return strings.HasSuffix(u, v)
	case Infix:
		return strings.Contains(u, v)
	case Fuzzy:
		return plainDistance([]rune(u), []rune(v)) <= w.Distance
	}
	en, es := Stems(token)
	wen, wes := Stems(w.Text)
	return u == v || en != "" && en == wen || es != "" && es == wes
}

// plainDistance is the optimal string alignment distance, by the whole table.
func plainDistance(s, t []rune) int {
	table := make([][]int, len(s)+1)
	for i := range table {
		table[i] = make([]int, len(t)+1)
		for j := range table[i] {
			switch {
			case i == 0:
				table[i][j] = j
			case j == 0:
				table[i][j] = i
			default:
				cost := 1
				if s[i-1] == t[j-1] {
					cost = 0
				}
				table[i][j] = min(table[i-1][j-1]+cost, table[i-1][j]+1, table[i][j-1]+1)
				if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
					table[i][j] = min(table[i][j], table[i-2][j-2]+1)
				}
			}
		}
	}
	return table[len(s)][len(t)]
}
