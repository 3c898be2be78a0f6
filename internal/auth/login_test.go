package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

func TestLoginGivesASessionAfterItsEntry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		step := stepAt(time.Now())
		g, err := s.try(" AAdams ", password, d.now(t)[:3]+" "+d.now(t)[3:], "::ffff:10.0.0.7")
		if err != nil {
			t.Fatal(err)
		}
		want := role.Principal{Name: "Alice Adams", Person: alice, Via: role.ViaHTTPS, Address: desk}
		if g.Principal != want || len(g.Token) != 43 || g.Idle != DefaultIdle || g.Enrol != nil || time.Until(g.Ends) != DefaultAbsolute {
			t.Fatalf("granted %+v", g)
		}
		if len(g.Grants) != 1 || g.Grants[0].Role != role.ComplianceOfficer || g.Grants[0].Source != "Compliance" {
			t.Fatalf("grants %+v", g.Grants)
		}
		all := s.log.accesses(t, audit.ActionLogin)
		if last := all[len(all)-1]; last.Code != "" || last.Step != step || last.Principal != want {
			t.Fatalf("the audit has %+v", last)
		}
		who, grants, ends, err := s.Session(g.Token)
		if err != nil || who != want || len(grants) != 1 || !ends.Equal(g.Ends) {
			t.Fatalf("session: %+v %+v %v", who, grants, err)
		}
	})
}

// Every failure is one error, after one time, and its cause is in the audit.
func TestEveryFailureLooksTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		s.folk.people["33"] = Person{GUID: "33", Account: "leaver", Departed: true, Groups: []string{officers}}
		s.folk.people["44"] = Person{GUID: "44", Account: "blocked", Blocked: true, Groups: []string{officers}}
		s.folk.people["55"] = Person{GUID: "55", Account: "nurse"}
		s.folk.people["66"] = Person{GUID: "66", Account: "twin", Groups: []string{officers}}
		s.folk.people["77"] = Person{GUID: "77", UPN: "twin", Groups: []string{officers}}
		for _, c := range []struct {
			code  string
			at    Attempt
			setup func()
		}{
			{codeMalformed, Attempt{Name: "", Password: password, Code: "123456"}, nil},
			{codeMalformed, Attempt{Name: "aadams", Password: password, Code: "12345"}, nil},
			{codeUnknown, Attempt{Name: "nobody", Password: password, Code: "123456"}, nil},
			{codeAmbiguous, Attempt{Name: "twin", Password: password, Code: "123456"}, nil},
			{codeDeparted, Attempt{Name: "leaver", Password: password, Code: "123456"}, nil},
			{codeBlocked, Attempt{Name: "blocked", Password: password, Code: "123456"}, nil},
			{codeNoRole, Attempt{Name: "nurse", Password: password, Code: "123456"}, nil},
			{codeNoFactor, Attempt{Name: "bbrown", Password: password, Code: "123456"}, nil},
			{codeEmpty, Attempt{Name: "aadams", Password: "", Code: "123456"}, nil},
			{codeNoCode, Attempt{Name: "aadams", Password: password}, nil},
			{codeBad, Attempt{Name: "aadams", Password: password, Code: "bad"}, nil},
			{codeBadTicket, Attempt{Name: "aadams", Password: password, Ticket: strings.Repeat("A", ticketText)}, nil},
			{"52e", Attempt{Name: "aadams", Password: "wrong", Code: "good"}, nil},
			{"775", Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = fmt.Errorf("bind: %w", subError("775")) }},
			{"533", Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = subError("533") }},
			{"532", Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = subError("532") }},
			{"701", Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = subError("701") }},
			{"773", Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = subError("773") }},
			{codeUnavailable, Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = errors.New("dial: refused") }},
			{codeUnavailable, Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = subError("unreachable") }},
			{codeUnavailable, Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = subError("no\ncode") }},
			{codeOther, Attempt{Name: "aadams", Password: password, Code: "good"}, func() { s.dc.fail = nil; s.dc.guids["aadams"] = bob }},
		} {
			if c.setup != nil {
				c.setup()
			}
			time.Sleep(tallyEvery) // an entry of its own for each
			switch c.at.Code {
			case "good":
				c.at.Code = d.now(t)
			case "bad":
				c.at.Code = d.wrong(t)
			}
			s.dc.takes = 300 * time.Millisecond
			began := time.Now()
			s.refused(t, c.code, c.at)
			if took := time.Since(began); took != answerEvery {
				t.Errorf("%s: told after %v, want %v", c.code, took, answerEvery)
			}
		}
	})
}

func TestAnUnknownNameIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.refused(t, codeUnknown, Attempt{Name: "My-Password1", Password: "aadams", Code: "123456"})
		for _, r := range s.log.records {
			if strings.Contains(string(r.Body), "My-Password1") || strings.Contains(string(r.Body), "aadams") {
				t.Fatalf("the log holds what was typed: %s", r.Body)
			}
		}
		if a := s.log.accesses(t, audit.ActionLogin)[0]; a.Principal.Address != desk || a.Principal.Name != "unknown" {
			t.Fatalf("the entry names %+v", a.Principal)
		}
	})
}

// Nobody without the second factor makes a single bind.
func TestTheSecondFactorComesBeforeTheDirectory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		used := s.dc.bindCount()
		for range 50 {
			for _, at := range []Attempt{
				{Code: d.wrong(t)}, {}, {Code: strings.Repeat("A", recoveryText)}, {Ticket: strings.Repeat("B", ticketText)},
				{Code: d.wrong(t), Ticket: strings.Repeat("B", ticketText)},
			} {
				at.Name, at.Password, at.Address = "aadams", "guess", elsewhere
				if _, err := s.Login(t.Context(), at); !errors.Is(err, ErrLogin) {
					t.Fatal(err)
				}
			}
		}
		if n := s.dc.bindCount() - used; n != 0 {
			t.Fatalf("%d binds without the second factor", n)
		}
	})
}

// With the second factor and a wrong password, the directory hears three.
func TestWrongPasswordsThatReachTheDirectory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		used := s.dc.bindCount()
		for i := range 6 {
			nextStep()
			want := "52e"
			if i >= wrongBinds {
				want = codeWithheld
			}
			s.refused(t, want, Attempt{Name: "aadams", Password: "wrong", Code: d.now(t)})
		}
		if n := s.dc.bindCount() - used; n != wrongBinds {
			t.Fatalf("%d binds, want %d", n, wrongBinds)
		}
		// Not even the right one, and not in a new process.
		nextStep()
		s.refused(t, codeWithheld, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		s.start(t)
		nextStep()
		s.refused(t, codeWithheld, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		time.Sleep(wrongForget - 10*time.Minute)
		s.refused(t, codeWithheld, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		time.Sleep(10 * time.Minute)
		s.admitted(t, "aadams", d.now(t), desk)
		// A right password begins the count anew.
		for i := range 2*wrongBinds - 1 {
			nextStep()
			if i == wrongBinds-1 {
				s.admitted(t, "aadams", d.now(t), desk)
				nextStep()
			}
			s.refused(t, "52e", Attempt{Name: "aadams", Password: "wrong", Code: d.now(t)})
		}
	})
}

// What is not a wrong password does not count as one.
func TestAnOutageWithholdsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		for _, fail := range []error{
			errors.New("down"), errors.New("down"), subError("unreachable"), subError("775"), subError("775"), subError("775"),
			subError("532"), subError("773"), subError("533"), subError("701"),
		} {
			s.dc.fail = fail
			nextStep()
			s.refused(t, subCode(fail), Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		}
		s.dc.fail = nil
		nextStep()
		s.admitted(t, "aadams", d.now(t), desk)
	})
}

// Binds under way count: a burst of attempts gets no further than one by one.
func TestABurstOfWrongPasswords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		used := s.dc.bindCount()
		s.dc.takes = time.Second
		var wg sync.WaitGroup
		for _, code := range d.recovery { // all good at once
			wg.Go(func() { _, _ = s.try("aadams", "wrong", code, desk) })
		}
		wg.Wait()
		if n := s.dc.bindCount() - used; n != wrongBinds {
			t.Fatalf("%d binds, want %d", n, wrongBinds)
		}
	})
}

func TestADirectoryThatHangsLetsNobodyIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		s.dc.takes = time.Hour
		began := time.Now()
		s.refused(t, codeUnavailable, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		if took := time.Since(began); took > loginWithin+answerEvery {
			t.Fatalf("told after %v", took)
		}
		s.start(t, func(o *Options) { o.Directory = nil })
		s.refused(t, codeUnavailable, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
	})
}

// If the audit cannot be written there is no login.
func TestNoLoginWithoutItsEntry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		s.log.fail = func(e archive.Entry) error {
			if e.Class == proof.ClassAudit {
				return errors.New("disk full")
			}
			return nil
		}
		if g, err := s.try("aadams", password, d.now(t), desk); !errors.Is(err, ErrLogin) || g != nil {
			t.Fatalf("%+v, %v", g, err)
		}
		if len(s.sessions) != 0 {
			t.Fatal("a session without an entry")
		}
		// The code is used up all the same.
		s.log.fail = nil
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
	})
}

func TestAStateThatDoesNotFollowLetsNobodyIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		s.stuck = errors.New("an entry that cannot be read")
		used := s.dc.bindCount()
		s.refused(t, codeState, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		if s.dc.bindCount() != used {
			t.Fatal("the directory was asked all the same")
		}
	})
}

// Who hangs up neither escapes the audit nor cuts a login in half.
func TestHangingUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.dc.takes = time.Second / 4
		if _, err := s.Login(ctx, Attempt{Name: "aadams", Password: "wrong", Code: d.now(t), Address: desk}); !errors.Is(err, ErrLogin) {
			t.Fatal(err)
		}
		if code := s.log.lastCode(t); code != "52e" {
			t.Fatalf("the audit says %q", code)
		}
	})
}

// A person who is blocked while the directory is being asked gets no session.
func TestBlockedDuringTheLogin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, want := range []string{codeBlocked, codeDeparted, codeNoFactor} {
			s := newSite(t)
			d := s.enrol(t, alice, "aadams")
			s.dc.takes = 10 * time.Second
			code := d.now(t)
			result := make(chan error)
			go func() {
				_, err := s.try("aadams", password, code, desk)
				result <- err
			}()
			synctest.Wait()
			switch want {
			case codeBlocked:
				s.folk.change(alice, func(p *Person) { p.Blocked = true })
			case codeDeparted:
				s.folk.change(alice, func(p *Person) { p.Departed = true })
			case codeNoFactor:
				if err := s.ResetFactor(t.Context(), root, alice, "phone lost"); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-result; !errors.Is(err, ErrLogin) || s.log.lastCode(t) != want || len(s.sessions) != 0 {
				t.Fatalf("%v (%s), want %s", err, s.log.lastCode(t), want)
			}
		}
	})
}

// A flood of failures leaves a bounded number of entries, and every failure is
// in one of them.
func TestAFloodIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		for i := range 200 {
			guid := fmt.Sprintf("%08d-0000-0000-0000-000000000000", i)
			s.folk.people[guid] = Person{GUID: guid, Account: fmt.Sprintf("user%d", i), Groups: []string{officers}}
		}
		d := s.enrol(t, alice, "aadams")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		before := s.log.Size()
		var wg sync.WaitGroup
		total := 0
		for minute := range 3 {
			for i := range 200 {
				for range 5 {
					total++
					wg.Go(func() { _, _ = s.try(fmt.Sprintf("user%d", i), "x", "123456", elsewhere) })
				}
			}
			wg.Wait()
			if minute < 2 {
				time.Sleep(tallyEvery)
			}
		}
		// An attempt with a good code is an entry of its own all the same.
		s.refused(t, "52e", Attempt{Name: "aadams", Password: "wrong", Code: d.now(t)})
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if n := s.log.Size() - before; n > 3*(2*maxSingly+1)+1 {
			t.Fatalf("%d entries for %d failures", n, total)
		}
		sum := uint64(0)
		for _, a := range s.log.accesses(t, audit.ActionLogin) {
			if a.Code == codeNoFactor || a.Code == codeMany {
				sum += max(a.Count, 1)
			}
		}
		if sum != uint64(total) {
			t.Fatalf("the audit counts %d of %d failures", sum, total)
		}
	})
}

// Counts that the log does not take now are kept for later.
func TestCountsSurviveAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.log.fail = func(archive.Entry) error { return errors.New("disk full") }
		for range 7 {
			_, _ = s.try("nobody", "x", "123456", desk)
		}
		time.Sleep(tallyEvery)
		s.writeCounts(t.Context(), s.tally.due(time.Now(), false))
		s.log.fail = nil
		time.Sleep(tallyEvery)
		s.writeCounts(t.Context(), s.tally.due(time.Now(), false))
		all := s.log.accesses(t, audit.ActionLogin)
		if len(all) != 1 || all[0].Count != 7 || all[0].Code != codeUnknown {
			t.Fatalf("the audit has %+v", all)
		}
	})
}

func TestEntriesHoldNoSecret(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		code := d.now(t)
		token := s.admitted(t, "aadams", code, desk)
		_, _ = s.try("aadams", "Tr0ub4dor", d.recovery[0], desk)
		for _, r := range s.log.records {
			body := string(r.Body)
			for _, secret := range []string{password, "Tr0ub4dor", code, token, d.recovery[0], compact(d.recovery[0]), base32Plain.EncodeToString(d.secret)} {
				if strings.Contains(body, secret) {
					t.Fatalf("a %s entry holds a secret", r.Leaf.Kind)
				}
			}
			if r.Leaf.Class == proof.ClassAudit {
				var a audit.Access
				if err := json.Unmarshal(r.Body, &a); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// A name that the person had once is nobody's to log in with.
func TestAFormerName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		s.folk.former[alice] = []string{"asmith"}
		s.refused(t, codeUnknown, Attempt{Name: "asmith", Password: password, Code: d.now(t)})
		s.folk.people["88"] = Person{GUID: "88", Account: "aadams", Departed: true, Groups: []string{officers}}
		s.admitted(t, "aadams", d.now(t), desk) // whoever had the account before has left
	})
}
