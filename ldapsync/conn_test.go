package ldapsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// between puts a Proxy between a world's Syncer and its directory.
func (w *world) between(limits adtest.Limits) *adtest.Proxy {
	w.t.Helper()
	p, err := adtest.NewProxy(w.t.TempDir(), w.fake, limits)
	w.do(err)
	w.t.Cleanup(p.Close)
	w.s.o.URLs = []string{p.URL()}
	return p
}

// wards is a directory with a few pages of people, and a group in two ranges.
func wards(t *testing.T, change func(*Options)) *world {
	w := newWorld(t, func(o *Options) {
		o.Page = 10
		if change != nil {
			change(o)
		}
	}, staff(35)...)
	var accounts []string
	for i := range 35 {
		accounts = append(accounts, fmt.Sprintf("p%d", i))
	}
	w.group("everybody", accounts...)
	w.group("few", "p1", "everybody")
	return w
}

// limits are small enough for wards to run into them.
var limits = adtest.Limits{Page: 7, Range: 20, Referrals: true}

// TestLimited reads the same through a server that keeps Microsoft's limits.
func TestLimited(t *testing.T) {
	w := wards(t, nil)
	direct, _, err := Read(t.Context(), w.s.o)
	w.do(err)
	p := w.between(limits)
	limited, _, err := Read(t.Context(), w.s.o)
	w.do(err)
	if c := Diff(direct, limited, noon); len(c) != 0 || len(limited.People) != 35 || len(limited.Groups[w.guid("everybody")].Members) != 35 {
		t.Errorf("%d people, %d changes", len(limited.People), len(c))
	}
	if n := p.Counts(); n.Pages < 6 || n.PlainBinds != 0 || n.Binds != 1 {
		t.Errorf("%+v", n)
	}
}

// TestCut cuts the connection at every message and at every page, in each way.
// Nothing partial may come through, and nothing may be left waiting.
func TestCut(t *testing.T) {
	w := wards(t, nil)
	p := w.between(limits)
	cuts := 0
	try := func(f adtest.Fault) bool {
		t.Helper()
		p.Reset()
		p.Set(f)
		snap, _, err := Read(t.Context(), w.s.o)
		if p.Counts().Cut == 0 {
			w.do(err)
			if len(snap.People) != 35 || len(snap.Groups) != 2 {
				t.Errorf("%+v: %d people", f, len(snap.People))
			}
			return false
		}
		cuts++
		if err == nil || snap != nil || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%+v: %v, %v", f, snap != nil, err)
		}
		if c := classOf(err); c != ClassUnreachable {
			t.Errorf("%+v: class %s: %v", f, c, errors.Unwrap(err))
		}
		return true
	}
	for _, clean := range []bool{false, true} {
		for n := 1; try(adtest.Fault{CutMessage: n, Clean: clean}); n++ {
		}
		for _, end := range []bool{false, true} {
			for n := 1; try(adtest.Fault{CutPage: n, CutPageEnd: end, Clean: clean}); n++ {
			}
		}
	}
	if cuts < 100 {
		t.Errorf("only %d cuts", cuts)
	}
}

// TestFaults: whatever else a server does wrong, a snapshot is whole or none.
func TestFaults(t *testing.T) {
	w := wards(t, func(o *Options) { o.Timeout = 700 * time.Millisecond })
	p := w.between(limits)
	for name, c := range map[string]struct {
		fault adtest.Fault
		class Class
	}{
		"silent from the start": {adtest.Fault{SilentAfter: -1}, ClassTimeout},
		"silent after the bind": {adtest.Fault{SilentAfter: 1}, ClassTimeout},
		"silent in a page":      {adtest.Fault{SilentAfter: 12}, ClassTimeout},
		"slow":                  {adtest.Fault{Delay: 300 * time.Millisecond}, ClassTimeout},
		"size limit":            {adtest.Fault{Code: 4}, ClassSizeLimit},
		"time limit":            {adtest.Fault{Code: 3}, ClassTimeLimit},
		"referral":              {adtest.Fault{Code: 10}, ClassReferral},
		"busy":                  {adtest.Fault{Code: 51}, ClassBusy},
		"unavailable":           {adtest.Fault{Code: 52}, ClassBusy},
		"insufficient rights":   {adtest.Fault{Code: 50}, ClassDenied},
		"bind busy":             {adtest.Fault{BindCode: 51}, ClassBusy},
		"bind refused":          {adtest.Fault{BindCode: 49}, ClassBind},
		"short objectGUID":      {adtest.Fault{ShortGUID: true}, ClassPartial},
		"lost cookie":           {adtest.Fault{NoPaging: true}, ClassPartial},
	} {
		p.Set(c.fault)
		snap, _, err := Read(t.Context(), w.s.o)
		if snap != nil || classOf(err) != c.class {
			t.Errorf("%s: %v, %v (%v)", name, snap != nil, err, errors.Unwrap(err))
		}
	}
	p.Set(adtest.Fault{})
	w.sync()
	// What cannot be seen from outside is the rails' to stop.
	for name, fault := range map[string]adtest.Fault{"nobody": {Zero: true}, "every second one": {Half: true}} {
		p.Set(fault)
		w.s.o.MaxLoss = 5
		if _, err := w.s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTLS: with a server that is not the one, or not secure, nothing is sent.
func TestTLS(t *testing.T) {
	for _, startTLS := range []bool{false, true} {
		w := wards(t, func(o *Options) { o.Timeout = 2 * time.Second })
		p := w.between(limits)
		if startTLS {
			w.s.o.URLs = []string{p.StartTLSURL()}
		}
		for _, kind := range []adtest.TLSKind{adtest.TLSWrongName, adtest.TLSWrongCA, adtest.TLSExpired, adtest.TLSOld, adtest.TLSPlain} {
			w.do(p.SetTLS(kind))
			p.Reset()
			snap, _, err := Read(t.Context(), w.s.o)
			class := classOf(err)
			// A server that waits for plain LDAP and gets a handshake may just wait.
			silent := kind == adtest.TLSPlain && (class == ClassTimeout || class == ClassUnreachable)
			if snap != nil || class != ClassTLS && !silent {
				t.Errorf("StartTLS %v, %v: %v (%v)", startTLS, kind, err, errors.Unwrap(err))
			}
			n := p.Counts()
			if n.PlainBinds+n.Binds != 0 || bytes.Contains(p.Raw(), []byte(adtest.BindPassword)) || bytes.Contains(p.Raw(), []byte("holdfast")) {
				t.Errorf("StartTLS %v, %v: %+v", startTLS, kind, n)
			}
			if _, err := w.s.Authenticate(t.Context(), "p1", adtest.Password); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v", err)
			}
			if bytes.Contains(p.Raw(), []byte(adtest.Password)) {
				t.Error("the person's password was sent")
			}
		}
		w.do(p.SetTLS(adtest.TLSRight))
		p.Reset()
		if startTLS {
			p.Set(adtest.Fault{StartTLSCode: 52})
			if _, _, err := Read(t.Context(), w.s.o); classOf(err) != ClassTLS || p.Counts().PlainBinds != 0 {
				t.Errorf("refused StartTLS: %v", err)
			}
			p.Set(adtest.Fault{})
		}
		snap, _, err := Read(t.Context(), w.s.o)
		w.do(err)
		if n := p.Counts(); len(snap.People) != 35 || n.Binds != 1 || n.PlainBinds != 0 {
			t.Errorf("%d people, %+v", len(snap.People), n)
		}
	}
}

// TestFailover: the next server is asked after network errors and codes 51 and
// 52, never after 49, and the one that answered stays.
func TestFailover(t *testing.T) {
	w := wards(t, func(o *Options) { o.Timeout = 1500 * time.Millisecond })
	first, second := w.between(limits), w.between(limits)
	w.s.o.URLs = []string{first.URL(), second.URL()}
	for name, c := range map[string]struct {
		fault adtest.Fault
		over  bool
	}{
		"silent":      {adtest.Fault{SilentAfter: -1}, true},
		"cut":         {adtest.Fault{CutMessage: 15}, true},
		"busy":        {adtest.Fault{Code: 51}, true},
		"unavailable": {adtest.Fault{BindCode: 52}, true},
		"password":    {adtest.Fault{BindCode: 49}, false},
		"size limit":  {adtest.Fault{Code: 4}, false},
		"short GUID":  {adtest.Fault{ShortGUID: true}, false},
	} {
		first.Set(c.fault)
		second.Reset()
		w.s.servers = sticky{}
		for range 2 {
			snap, _, err := w.s.read(t.Context())
			if (err == nil) != c.over || c.over && len(snap.People) != 35 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := second.Counts().Connections; c.over != (n == 2) {
			t.Errorf("%s: %d connections to the second server", name, n)
		}
		if c.over {
			first.Reset()
			_, _, err := w.s.read(t.Context())
			w.do(err)
			if first.Counts().Connections != 0 {
				t.Errorf("%s: the server that answered did not stay", name)
			}
		}
	}
	// Nobody listens at the first.
	w.s.servers = sticky{}
	first.Close()
	if _, _, err := w.s.read(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBounds: each bound ends the reading.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bounds)
		class  Class
	}{
		"people":  {func(b *bounds) { b.people = 34 }, ClassLimit},
		"groups":  {func(b *bounds) { b.groups = 1 }, ClassLimit},
		"members": {func(b *bounds) { b.members = 34 }, ClassLimit},
		"links":   {func(b *bounds) { b.links = 36 }, ClassLimit},
		"pages":   {func(b *bounds) { b.pages = 3 }, ClassLimit},
		"bytes":   {func(b *bounds) { b.bytes = 9000 }, ClassLimit},
		"none":    {func(b *bounds) { b.people, b.groups, b.members, b.links, b.pages = 35, 2, 35, 37, 4 }, ""},
	} {
		w := wards(t, nil)
		o := w.s.o
		o.bounds = defaultBounds
		c.change(&o.bounds)
		snap, _, err := Read(t.Context(), o)
		if c.class == "" && err != nil || c.class != "" && (snap != nil || classOf(err) != c.class) {
			t.Errorf("%s: %v (%v)", name, err, errors.Unwrap(err))
		}
	}
}

// TestGiveUp: the caller gives up while the server is silent.
func TestGiveUp(t *testing.T) {
	w := wards(t, nil)
	p := w.between(limits)
	p.Set(adtest.Fault{SilentAfter: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.s.Sync(ctx)
		done <- err
	}()
	waitFor(t, func() bool { return p.Counts().Binds > 0 })
	cancel()
	if err := <-done; classOf(err) != ClassStopped || errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if w.s.Status().Failing != "" {
		t.Error("who gives up says that the directory fails")
	}
	// A login likewise, long before the time limit.
	p.Reset()
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		_, err := w.s.Authenticate(ctx, "p1", adtest.Password)
		done <- err
	}()
	waitFor(t, func() bool { return p.Counts().Searches > 0 })
	start := time.Now()
	cancel()
	if err := <-done; errors.Is(err, ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// TestClosed: go-ldap answers a search on a connection that has ended with
// nothing and no error.
func TestClosed(t *testing.T) {
	w := wards(t, nil)
	c, err := w.s.o.connect(t.Context(), mustTarget(t, w.fake.URL()))
	w.do(err)
	c.close()
	q := &query{base: adtest.StaffDN, scope: 2, filter: peopleFilter}
	if err := c.pages(t.Context(), &w.s.o, q, func(*ldap.Entry) error { return nil }); classOf(err) != ClassUnreachable {
		t.Errorf("%v", err)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatal("it did not happen")
}

// TestHanging: while a domain controller hangs, an approval waits for it as long
// as whoever gave it does, and applies nothing; what is decided without asking
// the directory is decided.
func TestHanging(t *testing.T) {
	w := wards(t, nil)
	w.sync()
	changed := snapshot(0)
	w.s.mu.Lock()
	changes := Diff(changed, snapshot(1), noon)
	w.s.pending = &Pending{Digest: people.Digest(changes), Changes: changes, Source: "dc", Rails: []Rail{{Code: RailPeopleLoss}}}
	w.s.mu.Unlock()
	p := w.between(limits)
	p.Set(adtest.Fault{SilentAfter: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.s.Run(ctx) }()
	waitFor(t, func() bool { return p.Counts().Binds > 0 })
	before := w.log.Size()
	caller, leave := context.WithCancel(t.Context())
	approval := make(chan error, 1)
	go func() { _, err := w.s.Apply(caller, people.Digest(changes), unused(t)); approval <- err }()
	w.s.deciding <- struct{}{}
	<-w.s.deciding
	leave()
	if err := <-approval; classOf(err) != ClassStopped || w.log.Size() != before || w.s.PendingDiff() == nil {
		t.Errorf("%v, %d entries", err, w.log.Size()-before)
	}
	cancel()
	w.do(<-done)
}
