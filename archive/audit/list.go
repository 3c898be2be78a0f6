package audit

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
)

// Source gives the audit entries back. *archive.Archive is one.
type Source interface {
	Size() uint64
	// ClassRecords gives the records of one class with from <= seq < to, in order.
	ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error]
}

// MaxListed bounds what one List returns, and a report's newest accesses.
const MaxListed = 1000

// Filter chooses among the accesses. Its zero value chooses all.
type Filter struct {
	Action    Action    // "" for all
	Principal string    // a principal's name, or a uid in decimal; "" for all
	Person    string    // a principal's ID ("person:GUID", "uid:N"), objectGUID or name, without regard to case; "" for all
	Matter    string    // exactly this matter; "" for all
	Since     time.Time // received at or after this; zero for all
	Until     time.Time // received before this; zero for all
	Before    uint64    // only seqs below this; 0 for all: the seq of the last line of a list begins the next
	Limit     int       // at most this many, 1..MaxListed; 0 means MaxListed

	// Custodians are relay users: only reads whose outcome names one of them, or
	// of which it is not known whom they showed. Empty for all.
	Custodians []string
	// Watch fills in each item's flags and volume; nil leaves them out.
	Watch *Watch
	// Flagged fills them in and chooses only what has a flag; nil for all.
	Flagged *Watch
}

// watch returns the watch to flag by, if any.
func (f *Filter) watch() *Watch {
	if f.Flagged != nil {
		return f.Flagged
	}
	return f.Watch
}

// limit returns how many items are listed at most.
func (f *Filter) limit() int {
	if f.Limit <= 0 || f.Limit > MaxListed {
		return MaxListed
	}
	return f.Limit
}

// Item is one access with what it came to.
type Item struct {
	Seq      uint64    `json:"seq"`
	Received time.Time `json:"received"`
	Access   Access    `json:"access"`
	Outcome  *Outcome  `json:"outcome"` // null while the look goes on, or when the daemon did not live to finish it

	Flags []string `json:"flags,omitempty"` // with a Watch
	// DayShown is how many entries reads showed to the principal on the access's
	// local day, the whole of it as far as the log goes; with a Watch.
	DayShown uint64 `json:"day_shown,omitempty"`
	// NamesCut is how many of the outcome's custodians were left out of a list
	// that names very many: a list of fewer accesses has them.
	NamesCut int `json:"names_cut,omitempty"`
}

// List returns the accesses that f chooses, newest first. Outcomes that came
// after the newest access of the log's present size are seen as well.
//
// The log is read backwards from its end, and no further than the list needs;
// with a Watch to the beginning of the last access's day, and each day twice.
func List(ctx context.Context, src Source, f Filter) ([]Item, error) {
	l := list{limit: f.limit()}
	err := f.each(ctx, src, src.Size(), func(i *Item) bool {
		l.take(i)
		return len(l.items) < l.limit
	})
	if err != nil {
		return nil, err
	}
	return l.items, nil
}

// list holds the first items that it takes, up to its limit.
type list struct {
	items []Item
	limit int
	names int  // custodians held
	more  bool // something was not taken
}

const (
	maxNames = 100_000 // custodians that a list holds before it cuts long outcomes
	fewNames = 100     // and how many it leaves of each
)

func (l *list) take(i *Item) {
	if len(l.items) == l.limit {
		l.more = true
		return
	}
	item := *i
	if o := item.Outcome; o != nil {
		if n := len(o.Custodians); n > fewNames && l.names+n > maxNames {
			short := *o
			short.Custodians = slices.Clone(o.Custodians[:fewNames])
			item.Outcome, item.NamesCut = &short, n-fewNames
		}
		l.names += len(item.Outcome.Custodians)
	}
	l.items = append(l.items, item)
}

// each calls visit with each access that f chooses below size, newest first,
// until it returns false.
func (f *Filter) each(ctx context.Context, src Source, size uint64, visit func(*Item) bool) error {
	if f.Person != "" {
		clone := *f
		clone.Person = strings.ToLower(f.Person)
		f = &clone
	}
	var days *daySums
	if w := f.watch(); w != nil {
		days = &daySums{watch: w, src: src}
	}
	r := reader{src: src, outcomes: map[uint64]*Outcome{}}
	return r.back(ctx, size, func(i *Item) (bool, error) {
		if i.Received.Before(f.Since) {
			return false, nil // received times never fall, so all the rest is older still
		}
		if days != nil {
			days.met(i)
		}
		if !f.chooses(i) {
			return true, nil
		}
		if days != nil {
			if err := days.fill(ctx, i, r.outcomes); err != nil {
				return false, err
			}
			i.Flags = Flags(*i, *days.watch)
			if f.Flagged != nil && len(i.Flags) == 0 {
				return true, nil
			}
		}
		return visit(i), nil
	})
}

// chooses judges everything but the flags and Since.
func (f *Filter) chooses(i *Item) bool {
	p := &i.Access.Principal
	switch {
	case f.Before != 0 && i.Seq >= f.Before:
		return false
	case !f.Until.IsZero() && !i.Received.Before(f.Until):
		return false
	case f.Action != "" && i.Access.Action != f.Action:
		return false
	case f.Matter != "" && i.Access.Matter != f.Matter:
		return false
	case f.Principal != "" && p.Name != f.Principal && account(p) != "uid:"+f.Principal:
		return false
	case f.Person != "" && !slices.Contains([]string{p.ID(), account(p), strings.ToLower(p.Person), strings.ToLower(p.Name)}, f.Person):
		return false
	case len(f.Custodians) > 0 && shows(i, f.Custodians) == no:
		return false
	}
	return true
}

// account returns the ID of the account that the principal came by, whoever
// uses it; "" for none.
func account(p *Principal) string {
	if p.UID == nil {
		return ""
	}
	return Principal{UID: p.UID}.ID()
}

// verdict says whether an access showed somebody's messages.
type verdict int

const (
	no verdict = iota
	possibly
	surely
)

// shows judges whether a read showed messages of one of the relay users. What
// is not known counts as possible: a custodian is told too much, not too little.
func shows(i *Item, usrs []string) verdict {
	o := i.Outcome
	switch {
	case !i.Access.Action.Reads():
		return no
	case o == nil || o.Many:
		return possibly
	case slices.ContainsFunc(o.Custodians, func(usr string) bool { return slices.Contains(usrs, usr) }):
		return surely
	case o.Custodians == nil && (o.Shown > 0 || o.Result != ResultShown):
		return possibly
	}
	return no
}
