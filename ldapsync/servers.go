package ldapsync

import (
	"context"
	"errors"
	"sync"
	"time"
)

// bindPause is how long nothing is asked of the directory by itself after the
// reading account's password was refused, so that trying again and again does
// not lock the account.
const bindPause = 5 * time.Minute

var errPaused = errors.New("the reading account's password was refused a moment ago")

// sticky remembers which domain controller answered last, and since when none
// takes the reading account's password.
type sticky struct {
	mu      sync.Mutex
	last    int // index into Options.URLs
	refused time.Time
}

func (s *sticky) first() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *sticky) settle(i int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.last, s.refused = i, time.Time{}
	case isBind(err):
		s.refused = time.Now()
	}
}

// gate refuses while the reading account's password is known to be wrong.
func (s *sticky) gate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refused.IsZero() && time.Since(s.refused) < bindPause {
		return &Failure{Class: ClassBind, What: "bind", Err: errPaused}
	}
	return nil
}

func isBind(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Class == ClassBind && !errors.Is(err, errPaused)
}

// eachServer runs f against the domain controller that answered last, and, while
// the failure is one that another one may not have, against the others in turn.
// It returns the host of the last one asked.
func (o *Options) eachServer(ctx context.Context, at *sticky, f func(ctx context.Context, t target) error) (host string, err error) {
	first := at.first()
	for n := range o.URLs {
		i := (first + n) % len(o.URLs)
		t, bad := parseTarget(o.URLs[i])
		if bad != nil {
			return "", bad
		}
		host = t.host
		err = f(ctx, t)
		at.settle(i, err)
		if err == nil || ctx.Err() != nil || !elsewhere(err) {
			break
		}
		o.Logger.Warn("a domain controller gives no answer", "host", t.host, "class", string(classOf(err)))
	}
	return host, err
}
