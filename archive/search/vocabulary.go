package search

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"

	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// vocabulary finds, for a word of a query, the terms of a part's text that are
// other forms of it: of the same English or Spanish stem, or the same but for
// accents. It holds only terms that differ from one of these forms of their
// own; all others are found under the form itself. It lies in memory alone, and
// goes with the part: nothing of an erased text may be left in it.
//
// What it gives are candidates: query.Word.Accepts decides. So neither two
// forms under one hash nor terms that no segment has any more do harm.
type vocabulary struct {
	seed maphash.Seed

	mu       sync.RWMutex
	blob     []byte   // the terms, one after the other
	ends     []int    // where each ends in blob
	slots    []uint32 // term numbers plus one by hash, at most half of them taken
	english  chains
	spanish  chains
	plain    chains // by the form without accents
	accented []accented
	simple   map[string]struct{} // terms that have no other form, as many as maxSimple
}

// accented is a term that is another without its accents.
type accented struct {
	plain string
	term  uint32
}

// maxSimple bounds how many terms without other forms are remembered as such:
// it spares their stemming at each message.
const maxSimple = 1 << 16

// chains lists the numbers of the terms that have a form, by the form's hash.
type chains map[uint64][]uint32

// forms are what a term is found by besides itself: its stems, which may be
// empty for none, and the term without accents.
type forms struct{ english, spanish, plain string }

func formsOf(term string) (f forms) {
	f.english, f.spanish = query.Stems(term)
	f.plain = query.Unaccent(term)
	return f
}

func (f forms) simple(term string) bool {
	return f.plain == term && (f.english == term || f.english == "") && (f.spanish == term || f.spanish == "")
}

func newVocabulary() *vocabulary {
	return &vocabulary{
		seed: maphash.MakeSeed(), slots: make([]uint32, 1<<10),
		english: chains{}, spanish: chains{}, plain: chains{}, simple: map[string]struct{}{},
	}
}

// learn adds those of the terms that are not known yet.
func (v *vocabulary) learn(terms iter.Seq[string]) {
	var unknown []string
	v.mu.RLock()
	for term := range terms {
		if _, simple := v.simple[term]; !simple && !v.knows(term) {
			unknown = append(unknown, term)
		}
	}
	v.mu.RUnlock()
	if len(unknown) == 0 {
		return
	}
	of := make([]forms, len(unknown))
	for i, term := range unknown {
		of[i] = formsOf(term)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, term := range unknown {
		if !v.knows(term) {
			v.add(term, of[i])
		}
	}
}

// learnFrom adds the terms of a segment's text.
func (v *vocabulary) learnFrom(seg segment.Segment) error {
	dict, err := seg.Dictionary(fieldText)
	if err != nil {
		return err
	}
	v.learn(func(yield func(string) bool) {
		err = eachTerm(dict, nil, nil, func(term string) error {
			yield(term)
			return nil
		})
	})
	return err
}

func (v *vocabulary) add(term string, f forms) {
	if f.simple(term) {
		if len(v.simple) >= maxSimple {
			clear(v.simple)
		}
		v.simple[term] = struct{}{}
		return
	}
	n := uint32(len(v.ends)) // #nosec G115 -- a part of 2^32 terms would not fit into any memory
	v.blob = append(v.blob, term...)
	v.ends = append(v.ends, len(v.blob))
	if 2*len(v.ends) > len(v.slots) {
		v.grow()
	} else {
		v.slots[v.slot(term)] = n + 1
	}
	v.chain(v.english, f.english, term, n)
	v.chain(v.spanish, f.spanish, term, n)
	v.chain(v.plain, f.plain, term, n)
	if f.plain != term {
		v.accented = append(v.accented, accented{f.plain, n})
	}
}

func (v *vocabulary) chain(c chains, form, term string, n uint32) {
	if form != term && form != "" {
		h := maphash.String(v.seed, form)
		c[h] = append(c[h], n)
	}
}

// grow doubles the slots and puts every term into them.
func (v *vocabulary) grow() {
	v.slots = make([]uint32, 2*len(v.slots))
	for i := range v.ends {
		n := uint32(i) // #nosec G115 -- as in add
		v.slots[v.slot(v.term(n))] = n + 1
	}
}

// slot returns the slot of a term, or the free one where it belongs.
func (v *vocabulary) slot(term string) uint64 {
	mask := uint64(len(v.slots) - 1)
	i := maphash.String(v.seed, term) & mask
	for v.slots[i] != 0 && v.term(v.slots[i]-1) != term {
		i = (i + 1) & mask
	}
	return i
}

func (v *vocabulary) knows(term string) bool { return v.slots[v.slot(term)] != 0 }

func (v *vocabulary) term(n uint32) string {
	begin := 0
	if n > 0 {
		begin = v.ends[n-1]
	}
	return string(v.blob[begin:v.ends[n]])
}

// whole returns, ascending, the terms that a whole word may accept: all of them
// for a word of form Stem, Folded or Exact.
func (v *vocabulary) whole(w *query.Word) []string {
	if literal, ok := w.Literal(); ok {
		return []string{literal}
	}
	f := formsOf(w.Text)
	may := []string{w.Text, f.plain}
	v.mu.RLock()
	defer v.mu.RUnlock()
	may = v.chained(may, v.plain, f.plain)
	if w.Form == query.Stem {
		may = v.chained(append(may, f.english, f.spanish), v.english, f.english)
		may = v.chained(may, v.spanish, f.spanish)
	}
	slices.Sort(may)
	return slices.DeleteFunc(slices.Compact(may), func(term string) bool { return term == "" || !w.Accepts(term) })
}

func (v *vocabulary) chained(to []string, c chains, form string) []string {
	for _, n := range c[maphash.String(v.seed, form)] {
		to = append(to, v.term(n))
	}
	return to
}

// accentedWith returns the accented terms that begin with prefix without their
// accents. All others that do begin with it as they are.
func (v *vocabulary) accentedWith(prefix string) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var terms []string
	for _, a := range v.accented {
		if strings.HasPrefix(a.plain, prefix) {
			terms = append(terms, v.term(a.term))
		}
	}
	slices.Sort(terms)
	return terms
}
