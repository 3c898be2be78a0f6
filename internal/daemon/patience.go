package daemon

import (
	"sync"
	"time"
)

// patience bounds for how long the index waits for the attachments of one
// sender that are never read to their end: somebody who sends hundreds of such
// would keep it from everybody's messages for days. The others of theirs stay
// unread meanwhile, and searches say so; when the index is read again they are
// tried again. Nobody else's are left out for it.
type patience struct {
	mu    sync.Mutex
	since time.Time
	spent map[string]time.Duration // by relay user
}

const (
	patienceFor  = time.Minute // with one sender's attachments
	patienceEach = time.Hour   // so often
)

// with reports whether a sender's attachment may be tried.
func (p *patience) with(usr string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= patienceEach {
		p.since, p.spent = now, nil
	}
	return p.spent[usr] < patienceFor
}

// waited notes that an attachment of a sender's took so long and came to nothing.
func (p *patience) waited(usr string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spent == nil {
		p.spent = map[string]time.Duration{}
	}
	p.spent[usr] += took
}
