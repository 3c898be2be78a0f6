package docket

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

const opSave = "save"

type searchBody struct {
	Version  int            `json:"v"` // 1
	Op       string         `json:"op"`
	Matter   string         `json:"matter"`
	Name     string         `json:"name"`
	Query    string         `json:"query,omitempty"`    // save
	Language int            `json:"language,omitempty"` // save: version of the query language that it was written in
	By       role.Principal `json:"by"`
	Reason   string         `json:"reason,omitempty"`
}

// SavedSearch is a query that a matter keeps under a name.
type SavedSearch struct {
	Seq      uint64
	Matter   string
	Name     string // unique in the matter but for its case
	Query    string // as typed: relative dates are read when it is run
	Language int
	At       time.Time
	By       role.Principal
	Reason   string
}

func searchKey(name string) string { return cases.Fold().String(name) }

// SaveSearch keeps a query for a matter. The caller has parsed it.
func (b *Book) SaveSearch(ctx context.Context, who role.Principal, s SavedSearch) (*SavedSearch, error) {
	if err := checkName(s.Name); err != nil {
		return nil, err
	}
	switch {
	case len(s.Query) > MaxQuery || !utf8.ValidString(s.Query):
		return nil, fmt.Errorf("%w: a query is text of at most %d bytes", ErrInvalid, MaxQuery)
	case s.Language < 1:
		return nil, fmt.Errorf("%w: a query has a language", ErrInvalid)
	}
	if err := short("reason", s.Reason); err != nil {
		return nil, err
	}
	body := searchBody{Version: 1, Op: opSave, Matter: s.Matter, Name: s.Name, Query: s.Query, Language: s.Language, By: who, Reason: s.Reason}
	if err := b.changeSearch(ctx, &body); err != nil {
		return nil, err
	}
	saved, _ := b.Search(body.Matter, body.Name)
	return saved, nil
}

// RemoveSearch takes a saved search away; its entries stay on record.
func (b *Book) RemoveSearch(ctx context.Context, who role.Principal, matter, name, reason string) error {
	if err := short("reason", reason); err != nil {
		return err
	}
	return b.changeSearch(ctx, &searchBody{Version: 1, Op: opRemove, Matter: matter, Name: name, By: who, Reason: reason})
}

func (b *Book) changeSearch(ctx context.Context, body *searchBody) error {
	_, err := b.change(ctx, func(time.Time) error { return b.judgeSearch(body) },
		func() ([]archive.Entry, error) { return one(proof.KindSearch, body) })
	return err
}

// judgeSearch says which rule a change breaks, and gives it the matter's id as
// it was opened with. mu is held.
func (b *Book) judgeSearch(body *searchBody) error {
	matter, err := b.matter(body.Matter, true)
	if err != nil {
		return err
	}
	body.Matter = matter
	saved := b.searches[matterKey(matter)]
	there := saved[searchKey(body.Name)] != nil
	switch {
	case body.Op == opSave && there:
		return ErrSearchExists
	case body.Op == opSave && len(saved) >= MaxSaved:
		return fmt.Errorf("%w: a matter has at most %d saved searches", ErrInvalid, MaxSaved)
	case body.Op == opRemove && !there:
		return ErrUnknownSearch
	}
	return nil
}

func checkName(name string) error {
	if name == "" || utf8.RuneCountInString(name) > MaxName || !utf8.ValidString(name) || strings.TrimSpace(name) != name ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%w: the name of a saved search has 1 to %d characters that can be printed", ErrInvalid, MaxName)
	}
	return nil
}

func (b *Book) applySearch(rec archive.Record) error {
	var body searchBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	if body.Op != opSave && body.Op != opRemove {
		b.fault(rec, ErrUnreadable)
		return nil
	}
	err := b.judgeSearch(&body)
	if err == nil && body.Op == opSave {
		err = checkName(body.Name)
	}
	if err != nil {
		b.fault(rec, err)
		return nil
	}
	key := matterKey(body.Matter)
	if body.Op == opRemove {
		delete(b.searches[key], searchKey(body.Name))
		return nil
	}
	if b.searches[key] == nil {
		b.searches[key] = map[string]*SavedSearch{}
	}
	b.searches[key][searchKey(body.Name)] = &SavedSearch{
		Seq: rec.Leaf.Seq, Matter: body.Matter, Name: body.Name, Query: body.Query, Language: body.Language,
		At: rec.Leaf.ReceivedTime(), By: body.By, Reason: body.Reason,
	}
	return nil
}

// Saved returns the query that a matter keeps under a name, and the version of
// the language that it is written in; false when there is none.
func (b *Book) Saved(matter, name string) (query string, language int, ok bool) {
	s, ok := b.Search(matter, name)
	if !ok {
		return "", 0, false
	}
	return s.Query, s.Language, true
}

// Search returns a saved search; false when the matter has none of that name.
func (b *Book) Search(matter, name string) (*SavedSearch, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s, ok := b.searches[matterKey(matter)][searchKey(name)]
	return s, ok // never changed once it is there
}

// Searches returns the saved searches of a matter, by name.
func (b *Book) Searches(matter string) []SavedSearch {
	b.mu.RLock()
	defer b.mu.RUnlock()
	saved := b.searches[matterKey(matter)]
	out := make([]SavedSearch, 0, len(saved))
	for _, key := range slices.Sorted(maps.Keys(saved)) {
		out = append(out, *saved[key])
	}
	return out
}
