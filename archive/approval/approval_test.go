package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// The bodies are a format: these bytes are what FORMAT.md says.
func TestBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins on 2000-01-01
		l := newLog(true)
		seq := approved(t, l)
		want(t, "Execute", l.book.Execute(t.Context(), l, linked(1000, 3), seq, DirectoryDiff, digest), nil)
		golden := []string{
			`request {"v":1,"act":"directory-diff","digest":"` + digest + `","summary":"12 people depart","by":{"name":"person","person":"` + guid(1) +
				`","via":"https","address":"192.0.2.7"},"reason":"ward closed","at":"2000-01-01T00:00:00Z","expires":"2000-01-01T01:00:00Z"}`,
			`decision {"v":1,"of":1,"digest":"` + digest + `","by":{"name":"person","person":"` + guid(2) +
				`","via":"https","address":"192.0.2.7"},"approve":true,"reason":"compared","at":"2000-01-01T00:00:00Z"}`,
			`execution {"v":1,"of":1,"act":"directory-diff","digest":"` + digest + `","by":{"uid":1000,"name":"account","person":"` + guid(3) +
				`","via":"socket"},"at":"2000-01-01T00:00:00Z"}`,
		}
		if got := bodies(l); !slices.Equal(got, golden) {
			t.Errorf("bodies\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(golden, "\n"))
		}
		for _, rec := range l.records {
			if rec.Leaf.Class != proof.ClassControl {
				t.Errorf("entry %d is of class %s", rec.Leaf.Seq, rec.Leaf.Class)
			}
		}
	})
}

func TestFromRequestToExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(true)
		ctx := t.Context()
		seq, err := l.book.Ask(ctx, l, person(1), asking())
		want(t, "Ask", err, nil)
		status := func(s Status) Request {
			t.Helper()
			r, err := l.book.Request(seq)
			if err != nil || r.Status != s {
				t.Fatalf("the request is %s, %v; want %s", r.Status, err, s)
			}
			return r
		}
		status(Pending)
		want(t, "early", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), ErrNotApproved)
		want(t, "self", l.book.Decide(ctx, l, person(1), seq, true, "fine"), ErrSelf)
		want(t, "nothing", l.book.Decide(ctx, l, person(2), seq+9, true, "fine"), ErrUnknown)
		want(t, "no reason", l.book.Decide(ctx, l, person(2), seq, true, " "), ErrInvalid)
		time.Sleep(time.Minute)
		want(t, "Decide", l.book.Decide(ctx, l, person(2), seq, true, "compared"), nil)
		if r := status(Approved); r.Decision.By.Person != guid(2) || !r.Decision.At.Equal(r.At.Add(time.Minute)) {
			t.Errorf("decision %+v", r.Decision)
		}
		want(t, "again", l.book.Decide(ctx, l, person(3), seq, false, "no"), ErrDecided)
		want(t, "other act", l.book.Execute(ctx, l, person(1), seq, WipeOverride, digest), ErrDigest)
		want(t, "other digest", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, strings.Repeat("0b", 32)), ErrDigest)
		want(t, "Execute", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), nil)
		if r := status(Executed); r.Execution.By.Person != guid(1) || len(r.Faults) != 0 {
			t.Errorf("%+v", r)
		}
		want(t, "twice", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), ErrUsed)
		want(t, "late decision", l.book.Decide(ctx, l, person(3), seq, false, "no"), ErrUsed)
		time.Sleep(2 * time.Hour)
		status(Executed)
		if len(l.records) != 4 {
			t.Errorf("%d entries were written", len(l.records))
		}
	})
}

func TestDenied(t *testing.T) {
	l := newLog(true)
	seq, err := l.book.Ask(t.Context(), l, person(1), asking())
	want(t, "Ask", err, nil)
	want(t, "Decide", l.book.Decide(t.Context(), l, person(2), seq, false, "too many"), nil)
	want(t, "Execute", l.book.Execute(t.Context(), l, person(1), seq, DirectoryDiff, digest), ErrNotApproved)
	if r, err := l.book.Request(seq); err != nil || r.Status != Denied {
		t.Errorf("%s, %v", r.Status, err)
	}
	if again, err := l.book.Ask(t.Context(), l, person(1), asking()); err != nil || again == seq {
		t.Errorf("asking again after the denial: %d, %v", again, err)
	}
}

// At the instant of its expiry a request is good for nothing.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(true)
		ctx := t.Context()
		seq := approved(t, l)
		second := asking()
		second.Digest = strings.Repeat("0b", 32)
		pending, err := l.book.Ask(ctx, l, person(1), second)
		want(t, "Ask", err, nil)
		time.Sleep(time.Hour - time.Millisecond)
		e, done, err := l.book.Executing(ctx, l, person(1), seq, DirectoryDiff, digest)
		want(t, "just in time", err, nil)
		if e.Kind != proof.KindExecution {
			t.Errorf("entry %v", e.Kind)
		}
		done(context.Canceled)
		time.Sleep(time.Millisecond)
		want(t, "Execute", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), ErrExpired)
		want(t, "Decide", l.book.Decide(ctx, l, person(2), pending, true, "compared"), ErrExpired)
		if open := l.book.Requests(Filter{Open: true}); len(open) != 0 {
			t.Errorf("%d requests are open", len(open))
		}
		if all := l.book.Requests(Filter{}); len(all) != 2 || all[0].Status != Expired || all[1].Status != Expired || all[0].Seq != pending {
			t.Errorf("requests %+v", all)
		}
	})
}

// A decision or execution that the log takes after the expiry gives nothing,
// although it was judged in time, and its writer hears so.
func TestExpiryWhileAppending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(true)
		ctx := t.Context()
		seq, err := l.book.Ask(ctx, l, person(1), asking())
		want(t, "Ask", err, nil)
		l.delay = func() { time.Sleep(time.Hour) }
		want(t, "Decide", l.book.Decide(ctx, l, person(2), seq, true, "compared"), ErrExpired)
		if r, _ := l.book.Request(seq); r.Status != Expired || len(r.Faults) != 1 || r.Faults[0].Code != "expired" {
			t.Errorf("%+v", r)
		}
		l.delay = nil
		seq = approved(t, l)
		l.delay = func() { time.Sleep(time.Hour) }
		want(t, "Execute", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), ErrExpired)
		l.delay = nil
		want(t, "Execute again", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), ErrUsed)
	})
}

// A clock that is set back revives nothing: the log knows a later time.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(true)
		seq := approved(t, l)
		l.records = append(l.records, archive.Record{
			Leaf: proof.Leaf{Seq: 3, Kind: proof.KindRequest, Class: proof.ClassControl, Received: time.Now().Add(time.Hour).UnixMilli()},
			Body: l.records[1].Body,
		})
		l.size++
		want(t, "Execute", l.book.Execute(t.Context(), l, person(1), seq, DirectoryDiff, digest), ErrExpired)
		if len(l.records) != 4 {
			t.Error("it was recorded")
		}
	})
}

// One human is one, by whatever account and spelling they come.
func TestOneHuman(t *testing.T) {
	upper := person(2)
	upper.Person = strings.ToUpper("aaaaaaaa-0000-4000-8000-000000000002")
	lower := person(2)
	lower.Person = "aaaaaaaa-0000-4000-8000-000000000002"
	daemon := role.Daemon()
	tests := map[string]struct {
		persons bool
		by, who role.Principal
		want    error
	}{
		"two people":                      {true, person(1), person(2), nil},
		"oneself":                         {true, person(1), person(1), ErrSelf},
		"oneself by an account":           {true, person(1), linked(1000, 1), ErrSelf},
		"oneself from an account":         {true, linked(1000, 1), person(1), ErrSelf},
		"another by an account":           {true, person(1), linked(1000, 2), nil},
		"one account with two persons":    {true, linked(1000, 1), linked(1000, 2), ErrSelf},
		"an account without person":       {true, person(1), account(1000), ErrNotPerson},
		"the daemon's, by a person":       {true, daemon, person(1), nil},
		"the daemon decides":              {true, person(1), daemon, ErrNotPerson},
		"the daemon decides its own":      {true, daemon, daemon, ErrSelf},
		"a person by name":                {true, person(1), role.Principal{Person: "jdoe@ward.example"}, ErrNotPerson},
		"a person in capitals":            {true, person(1), upper, ErrNotPerson},
		"oneself in capitals":             {true, lower, upper, ErrSelf},
		"two accounts":                    {false, account(1000), account(1001), nil},
		"one account":                     {false, account(1000), account(1000), ErrSelf},
		"one account, linked since":       {false, account(1000), linked(1000, 1), ErrSelf},
		"accounts, the daemon decides":    {false, account(1000), daemon, ErrNotPerson},
		"accounts, nobody decides":        {false, account(1000), role.Principal{Name: "nobody"}, ErrNotPerson},
		"the daemon's, by an account":     {false, daemon, account(1000), nil},
		"break-glass of one's own person": {true, person(1), role.Principal{UID: new(uint32(7)), Person: guid(1), Via: role.ViaBreakGlass}, ErrSelf},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLog(tt.persons)
			seq, err := l.book.Ask(t.Context(), l, tt.by, asking())
			want(t, "Ask", err, nil)
			for _, approve := range []bool{true, false} {
				err = l.book.Decide(t.Context(), l, tt.who, seq, approve, "compared")
				want(t, "Decide", err, tt.want)
				if err == nil {
					break
				}
			}
			if (tt.want == nil) != (len(l.records) == 3) {
				t.Errorf("%d entries", len(l.records))
			}
		})
	}
}

// What accounts asked and approved before a directory was configured is not
// approved by two people.
func TestDirectoryConfiguredSince(t *testing.T) {
	l := newLog(false)
	seq, err := l.book.Ask(t.Context(), l, account(1000), asking())
	want(t, "Ask", err, nil)
	l.restart(true)
	want(t, "Decide", l.book.Decide(t.Context(), l, person(1), seq, true, "compared"), ErrNotPerson)
	l.restart(false)
	want(t, "Decide", l.book.Decide(t.Context(), l, account(1001), seq, true, "compared"), nil)
	l.restart(true)
	want(t, "Execute", l.book.Execute(t.Context(), l, person(1), seq, DirectoryDiff, digest), ErrNotPerson)
	_, err = l.book.Ask(t.Context(), l, account(1000), Ask{Act: LargeExport, Digest: digest, Summary: "s", Reason: "r"})
	want(t, "Ask", err, ErrNotPerson)
}

func TestAskRefuses(t *testing.T) {
	tests := map[string]func(*Ask){
		"no act":       func(a *Ask) { a.Act = "" },
		"other act":    func(a *Ask) { a.Act = "format-disk" },
		"no digest":    func(a *Ask) { a.Digest = "" },
		"capitals":     func(a *Ask) { a.Digest = strings.ToUpper(digest) },
		"short digest": func(a *Ask) { a.Digest = digest[2:] },
		"not hex":      func(a *Ask) { a.Digest = "g" + digest[1:] },
		"no summary":   func(a *Ask) { a.Summary = "\n" },
		"long summary": func(a *Ask) { a.Summary = strings.Repeat("ä", MaxText+1) },
		"no reason":    func(a *Ask) { a.Reason = "" },
		"long reason":  func(a *Ask) { a.Reason = strings.Repeat("ä", MaxText+1) },
		"no text":      func(a *Ask) { a.Reason = "\xff" },
		"too long":     func(a *Ask) { a.TTL = MaxTTL + 1 },
		"in the past":  func(a *Ask) { a.TTL = -1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLog(true)
			a := asking()
			change(&a)
			_, err := l.book.Ask(t.Context(), l, person(1), a)
			want(t, "Ask", err, ErrInvalid)
			if len(l.records) != 1 {
				t.Error("an entry was written")
			}
		})
	}
}

func TestAskAgain(t *testing.T) {
	l := newLog(true)
	seq, err := l.book.Ask(t.Context(), l, person(1), asking())
	want(t, "Ask", err, nil)
	again, err := l.book.Ask(t.Context(), l, linked(1000, 1), asking())
	if err != nil || again != seq || len(l.records) != 2 {
		t.Errorf("asking again: %d, %v, %d entries; want %d", again, err, len(l.records), seq)
	}
	_, err = l.book.Ask(t.Context(), l, person(2), asking())
	want(t, "another", err, ErrOpen)
	if !strings.Contains(err.Error(), fmt.Sprintf("request %d", seq)) {
		t.Errorf("the error does not name the request: %v", err)
	}
	daemon := Ask{Act: Restore, Digest: digest, Summary: "entries 5 to 9"}
	_, err = l.book.Ask(t.Context(), l, role.Daemon(), daemon)
	want(t, "the daemon without a reason", err, nil)
	if r := l.book.Requests(Filter{Act: Restore}); len(r) != 1 || r[0].Expires.Sub(r[0].At).Round(time.Hour) != DefaultTTL {
		t.Errorf("%+v", r)
	}
	if r := l.book.Requests(Filter{Digest: strings.Repeat("0b", 32)}); len(r) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTooManyOpen(t *testing.T) {
	l := newLog(true)
	ask := func(i int, n byte) error {
		a := asking()
		a.Digest = fmt.Sprintf("%064x", i)
		_, err := l.book.Ask(t.Context(), l, person(n), a)
		return err
	}
	for i := range MaxOpen {
		want(t, "Ask", ask(i, 1), nil)
	}
	want(t, "one more", ask(MaxOpen, 1), ErrInvalid)
	want(t, "another person", ask(MaxOpen, 2), nil)
}

func TestRequestJSON(t *testing.T) {
	l := newLog(true)
	seq := approved(t, l)
	r, err := l.book.Request(seq)
	want(t, "Request", err, nil)
	b, err := json.Marshal(r)
	want(t, "Marshal", err, nil)
	var back Request
	if err := json.Unmarshal(b, &back); err != nil || back.Status != Approved || back.Decision.Reason != "compared" || back.Execution != nil {
		t.Errorf("%s -> %+v, %v", b, back, err)
	}
	_, err = l.book.Request(0)
	want(t, "genesis", err, ErrUnknown)
}
