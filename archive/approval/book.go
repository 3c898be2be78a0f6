package approval

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"holdfast/internal/role"
)

// Options are what a Book needs to know of the rest.
type Options struct {
	// CatchUp brings the Book up to the given size of the log: the CatchUp of
	// the state that the Book is an Applier of. Required.
	CatchUp func(ctx context.Context, size uint64) error
	// Persons says that a directory is configured: then its people alone ask
	// and decide, and the daemon asks. Without one, accounts of the appliance do.
	Persons bool
}

// Book is every request of the log with what became of it. It is safe for
// concurrent use.
//
// A reader first brings the state up to the log's size; the methods that
// write do so by themselves.
type Book struct {
	options Options

	judge chan struct{} // capacity 1: held by Ask and Decide from judging the rules until their entry is applied

	// mu guards what follows. It is never held while the log is read or written:
	// Apply takes it on behalf of whoever catches up.
	mu       sync.RWMutex
	requests []*Request      // in order of seq
	latest   time.Time       // received time of the newest entry applied
	taken    map[uint64]bool // requests between Executing and its done
	// need is the size of the log on which rules may be judged. It rises when an
	// entry was given to the log; past the log's present size when nobody knows
	// whether the entry is in it, which the next entry will show.
	need uint64
}

// NewBook returns the book of an empty log; the state that it is an Applier of
// fills it.
func NewBook(o Options) *Book {
	return &Book{options: o, judge: make(chan struct{}, 1), taken: map[uint64]bool{}}
}

// Filter chooses among the requests. Its zero value chooses all.
type Filter struct {
	Open   bool   // pending and approved ones only
	Act    Act    // "" for all
	Digest string // "" for all
}

// Requests returns the requests that f chooses, newest first, as they stand
// now.
func (b *Book) Requests(f Filter) []Request {
	b.mu.RLock()
	defer b.mu.RUnlock()
	now := b.now()
	var out []Request
	for _, r := range slices.Backward(b.requests) {
		switch {
		case f.Act != "" && r.Act != f.Act:
		case f.Digest != "" && r.Digest != f.Digest:
		case f.Open && !r.openAt(now):
		default:
			out = append(out, r.as(now))
		}
	}
	return out
}

// Request returns the request whose entry has the given seq as it stands now,
// or ErrUnknown.
func (b *Book) Request(seq uint64) (Request, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, err := b.find(seq)
	if err != nil {
		return Request{}, err
	}
	return r.as(b.now()), nil
}

// find returns the book's own request. mu is held.
func (b *Book) find(seq uint64) (*Request, error) {
	i := sort.Search(len(b.requests), func(i int) bool { return b.requests[i].Seq >= seq })
	if i == len(b.requests) || b.requests[i].Seq != seq {
		return nil, ErrUnknown
	}
	return b.requests[i], nil
}

// now is the clock's time, and never before that of the log: a clock that is
// set back brings no expired request to life. mu is held.
func (b *Book) now() time.Time {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if now.Before(b.latest) {
		return b.latest
	}
	return now
}

// statusAt returns where the request stands at the given time.
func (r *Request) statusAt(now time.Time) Status {
	switch {
	case r.Execution != nil:
		return Executed
	case r.Decision != nil && !r.Decision.Approve:
		return Denied
	case !now.Before(r.Expires):
		return Expired
	case r.Decision != nil:
		return Approved
	}
	return Pending
}

func (r *Request) openAt(now time.Time) bool {
	s := r.statusAt(now)
	return s == Pending || s == Approved
}

// as returns the request as it stands at the given time, which later entries
// do not change.
func (r *Request) as(now time.Time) Request {
	out := *r
	out.Status = r.statusAt(now)
	out.Faults = slices.Clone(r.Faults)
	return out
}

// decidable says why the principal may not decide the request at the given
// time.
func (r *Request) decidable(by role.Principal, now time.Time) error {
	switch {
	case r.Execution != nil:
		return ErrUsed
	case r.Decision != nil:
		return ErrDecided
	case same(r.By, by):
		return ErrSelf
	case by.ID() == role.ViaDaemon:
		return ErrNotPerson
	case !now.Before(r.Expires):
		return ErrExpired
	}
	return nil
}

// executable says why the request may not be executed at the given time.
func (r *Request) executable(act Act, digest string, now time.Time) error {
	switch {
	case r.Execution != nil:
		return ErrUsed
	case r.Act != act || r.Digest != digest:
		return ErrDigest
	case r.Decision == nil || !r.Decision.Approve:
		return ErrNotApproved
	case !now.Before(r.Expires):
		return ErrExpired
	}
	return nil
}

// same reports whether two principals are, or may be, one human: they have
// one identity, or came by one account, which may have been linked to its
// person between the one and the other.
func same(p, q role.Principal) bool {
	return strings.EqualFold(p.ID(), q.ID()) || p.UID != nil && q.UID != nil && *p.UID == *q.UID
}

// isPerson reports whether the principal is a person of the directory: an
// objectGUID in its canonical form, so that nobody is two by two spellings.
func isPerson(p role.Principal) bool {
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(p.Person) != len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '-' && p.Person[i] != '-' || form[i] == 'x' && !isHex(p.Person[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
