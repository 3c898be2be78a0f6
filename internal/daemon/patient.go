package daemon

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/archive/export"
	"holdfast/archive/query"
	"holdfast/archive/search"
	"holdfast/internal/api"
)

// patient fills in what makes the production a patient's own package.
func (w *work) patient(r *export.Request) {
	asked := w.req.Asked
	if asked.MRN == "" {
		return
	}
	r.Patient = &export.Patient{MRN: asked.MRN, ThirdParties: export.ThirdParties(asked.ThirdParties), Usrs: asked.PatientUsrs, Contact: w.contact}
	r.Near = func(yield func(export.Near, error) bool) {
		for _, n := range w.near {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// seekNear finds the messages that may be the patient's and are not in the
// package: those with a number that is nearly the patient's, and those that
// name the number without carrying it. Whoever produces sees those of their own
// scope.
func (w *work) seekNear(ctx context.Context) error {
	mrn := w.req.Asked.MRN
	if mrn == "" {
		return nil
	}
	own := query.FoldKey(mrn)
	keys, err := w.index.MRNs(ctx, func(key string) bool { return nearly(own, key) != "" })
	if errors.Is(err, search.ErrUnindexed) {
		return errIncomplete
	}
	if err != nil {
		return searchProblem(err)
	}
	within, err := w.scoped(ctx)
	if err != nil {
		return err
	}
	found := map[uint64]export.Near{}
	note := func(text, key, why string) error {
		q, err := query.Parse(text)
		if err != nil {
			return nil // no query can ask for it: it is no number that a person would write
		}
		return w.hits(ctx, within(q), func(seq uint64) {
			n, again := found[seq]
			if n.Seq = seq; again {
				n.Why += "; "
			}
			n.Why += why
			if key != "" {
				n.MRN = key
			}
			found[seq] = n
		})
	}
	for _, key := range keys {
		text, err := api.MRNQuery(key)
		if err != nil {
			continue
		}
		if err := note(text, key, nearly(own, key)); err != nil {
			return err
		}
	}
	if err := note(named(mrn), "", "names the number in its text or files and does not carry it"); err != nil {
		return err
	}
	for _, seq := range slices.Sorted(maps.Keys(found)) {
		if _, in := slices.BinarySearch(w.seqs, seq); !in {
			w.near = append(w.near, found[seq])
		}
	}
	return nil
}

// scoped returns what narrows a query to whose messages whoever produces may
// work on.
func (w *work) scoped(ctx context.Context) (func(*query.Query) *query.Query, error) {
	if w.req.Scope.All {
		return func(q *query.Query) *query.Query { return q }, nil
	}
	stays, err := peopleAPI{w.parts}.Stays(ctx, w.req.Scope)
	return func(q *query.Query) *query.Query { return q.Within(stays) }, err
}

// hits visits what a query finds, as of the production.
func (w *work) hits(ctx context.Context, q *query.Query, visit func(seq uint64)) error {
	r, err := w.index.Search(ctx, q, search.SearchOptions{Limit: math.MaxInt, AsOf: w.at})
	if err != nil {
		return searchProblem(err)
	}
	if r.Unindexed > 0 {
		return errIncomplete
	}
	for _, hit := range r.Hits {
		visit(hit.Seq)
	}
	return nil
}

// named returns the query for what has the number in its text, as it is written
// or without spaces and hyphens, and does not carry it.
func named(mrn string) string {
	text := `"` + mrn + `"`
	if bare := without(mrn); bare != mrn && bare != "" {
		text = `(` + text + ` OR "` + bare + `")`
	}
	return text + ` AND NOT mrn:"` + mrn + `"`
}

// Why a number is nearly another, in words.
const (
	nearSpaces = "its number differs in spaces or hyphens"
	nearZeros  = "its number differs in leading zeros"
	nearEdit   = "its number differs by one character"
)

// nearly says why two different numbers, folded, may be one; "" if nothing
// speaks for it. Case never makes a difference: the query itself folds it.
func nearly(a, b string) string {
	x, y := without(a), without(b)
	switch {
	case a == b || x == "" || y == "":
		return ""
	case x == y:
		return nearSpaces
	case unpadded(x) == unpadded(y):
		return nearZeros
	case oneEdit([]rune(x), []rune(y)) || oneEdit([]rune(a), []rune(b)):
		return nearEdit
	}
	return ""
}

// without returns a number without spaces and hyphens.
func without(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Pd) {
			return -1
		}
		return r
	}, s)
}

// unpadded returns a number without the zeros that its first run of digits
// begins with; one zero is left if there is nothing else.
func unpadded(s string) string {
	i := strings.IndexFunc(s, unicode.IsDigit)
	if i < 0 {
		return s
	}
	digits := strings.TrimLeft(s[i:], "0")
	if r, _ := utf8.DecodeRuneInString(digits); !unicode.IsDigit(r) {
		digits = "0" + digits
	}
	return s[:i] + digits
}

// oneEdit reports whether one is made of the other by adding, leaving out or
// changing one character, or by exchanging two neighbours.
func oneEdit(a, b []rune) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 1:
		return slices.Equal(a[i:], b[i+1:])
	case 0:
		return i < len(a) && (slices.Equal(a[i+1:], b[i+1:]) ||
			i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && slices.Equal(a[i+2:], b[i+2:]))
	}
	return false
}
