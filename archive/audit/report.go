package audit

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// ErrWhom is returned for a report about nobody.
var ErrWhom = errors.New("say whom the report is about: a custodian's relay users, or an officer")

// CustodianReport is who read a custodian's messages.
type CustodianReport struct {
	Custodians []string `json:"custodians"`  // relay users that the custodian had
	Through    uint64   `json:"through_seq"` // the newest entry that was there to be read
	// Accesses are the reads whose outcome names one of the relay users, and
	// Possible those of which it is not known whom they showed: unfinished,
	// failed on the way, of too many custodians to name, or recorded by a
	// daemon that did not name them.
	Accesses uint64 `json:"accesses"`
	Possible uint64 `json:"possible"`
	// By counts them by principal, the one with the newest first.
	By []Reader `json:"by"`
	// Newest are the newest of both, newest first; More says that there are more.
	Newest []Item `json:"newest"`
	More   bool   `json:"more"`
}

// Reader is one principal in a custodian's report.
type Reader struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"` // as of the newest access
	Accesses uint64            `json:"accesses"`
	Possible uint64            `json:"possible"`
	Actions  map[Action]uint64 `json:"actions"`
	First    time.Time         `json:"first"`
	Last     time.Time         `json:"last"`
}

// OfficerReport is what one principal did.
type OfficerReport struct {
	Person  string            `json:"person"`      // as asked for
	Through uint64            `json:"through_seq"` // the newest entry that was there to be read
	Actions map[Action]uint64 `json:"actions"`     // accesses by action, counting aggregated ones in full
	Shown   uint64            `json:"shown"`       // entries handed out by reads
	Flags   map[string]uint64 `json:"flags"`       // accesses by flag
	// Matters are those that were named, by name; "" counts the reads that had a reason only.
	Matters []MatterCount `json:"matters"`
	// Days are the local days on which something was shown, newest first.
	Days   []DayCount `json:"days"`
	Newest []Item     `json:"newest"` // newest first
	More   bool       `json:"more"`   // there are more than Newest has
}

// MatterCount is what was done for one matter.
type MatterCount struct {
	Matter   string `json:"matter"`
	Accesses uint64 `json:"accesses"`
	Shown    uint64 `json:"shown"`
}

// DayCount is what was shown on one local day.
type DayCount struct {
	Day    string `json:"day"` // 2026-03-01
	Shown  uint64 `json:"shown"`
	Volume bool   `json:"volume"` // more than the site's usual
}

// ReportCustodian says who read messages of the custodian who had the relay
// users f.Custodians: of all that f chooses, with the newest f.Limit in full.
// The whole audit since f.Since is read; what is held grows with the number of
// principals.
func ReportCustodian(ctx context.Context, src Source, f Filter) (*CustodianReport, error) {
	if len(f.Custodians) == 0 {
		return nil, ErrWhom
	}
	size := src.Size()
	r := &CustodianReport{Custodians: slices.Sorted(slices.Values(f.Custodians)), Through: size - min(size, 1), By: []Reader{}}
	place := map[string]int{} // in By, which is in the order of the newest access
	l := list{items: []Item{}, limit: f.limit()}
	err := f.each(ctx, src, size, func(i *Item) bool {
		l.take(i)
		id := i.Access.Principal.ID()
		at, known := place[id]
		if !known {
			at = len(r.By)
			place[id] = at
			r.By = append(r.By, Reader{ID: id, Name: i.Access.Principal.Name, Actions: map[Action]uint64{}, Last: i.Received})
		}
		by := &r.By[at]
		by.First = i.Received
		by.Actions[i.Access.Action]++
		if shows(i, f.Custodians) == surely {
			by.Accesses++
			r.Accesses++
		} else {
			by.Possible++
			r.Possible++
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	r.Newest, r.More = l.items, l.more
	return r, nil
}

// ReportOfficer says what the principal f.Person, or f.Principal, did: of all
// that f chooses, with the newest f.Limit in full. Flags need a Watch; days are
// UTC's without one. The whole audit since f.Since is read; what is held grows
// with the number of matters and days.
func ReportOfficer(ctx context.Context, src Source, f Filter) (*OfficerReport, error) {
	if f.Person == "" && f.Principal == "" {
		return nil, ErrWhom
	}
	size := src.Size()
	r := &OfficerReport{
		Person: cmp.Or(f.Person, f.Principal), Through: size - min(size, 1), Actions: map[Action]uint64{}, Flags: map[string]uint64{},
		Matters: []MatterCount{}, Days: []DayCount{},
	}
	days := f.watch()
	if days == nil {
		days = &Watch{}
	}
	matters := map[string]MatterCount{}
	l := list{items: []Item{}, limit: f.limit()}
	err := f.each(ctx, src, size, func(i *Item) bool {
		l.take(i)
		r.Actions[i.Access.Action] += max(i.Access.Count, 1)
		for _, flag := range i.Flags {
			r.Flags[flag]++
		}
		if i.Access.Action.Reads() {
			r.read(i, matters, days)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	r.Newest, r.More = l.items, l.more
	for i := range r.Days {
		r.Days[i].Volume = days.Volume > 0 && r.Days[i].Shown > days.Volume
	}
	r.Matters = slices.SortedFunc(maps.Values(matters), func(a, b MatterCount) int { return cmp.Compare(a.Matter, b.Matter) })
	return r, nil
}

// read counts one read by matter and day.
func (r *OfficerReport) read(i *Item, matters map[string]MatterCount, days *Watch) {
	var shown uint64
	if i.Outcome != nil {
		shown = i.Outcome.Shown
	}
	r.Shown += shown
	m := matters[i.Access.Matter]
	matters[i.Access.Matter] = MatterCount{Matter: i.Access.Matter, Accesses: m.Accesses + 1, Shown: m.Shown + shown}
	if shown == 0 {
		return
	}
	day := days.day(i.Received)
	if n := len(r.Days); n == 0 || r.Days[n-1].Day != day {
		r.Days = append(r.Days, DayCount{Day: day})
	}
	r.Days[len(r.Days)-1].Shown += shown
}
