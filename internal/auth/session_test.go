package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/internal/role"
)

func (s *site) ended(t *testing.T) (codes []string) {
	t.Helper()
	for _, a := range s.log.accesses(t, audit.ActionSessionEnd) {
		codes = append(codes, a.Principal.Name+" "+a.Code)
	}
	return codes
}

func (s *site) open(token string) bool {
	_, _, _, err := s.Session(token)
	return err == nil
}

func TestSessionsEndWhenIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		for range 10 {
			time.Sleep(DefaultIdle - time.Second)
			if !s.open(token) {
				t.Fatal("ended while in use")
			}
		}
		time.Sleep(DefaultIdle)
		if s.open(token) {
			t.Fatal("open after the idle time")
		}
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.ended(t); !slices.Equal(got, []string{"Alice Adams " + endIdle}) {
			t.Fatalf("the audit has %q", got)
		}
	})
}

func TestSessionsEndAbsolutely(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *Options) { o.Idle, o.Absolute = time.Minute, time.Hour })
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		for range 119 {
			time.Sleep(30 * time.Second)
			if !s.open(token) {
				t.Fatal("ended too early")
			}
		}
		time.Sleep(30 * time.Second)
		if s.open(token) {
			t.Fatal("open after the absolute time")
		}
	})
}

func TestARestartEndsAllSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		s.start(t)
		if s.open(token) {
			t.Fatal("a session outlived its process")
		}
	})
}

func TestTokens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(raw) != 32 {
			t.Fatalf("token %q", token)
		}
		for _, other := range []string{"", token[:42], token + "A", strings.ToLower(token), " " + token, strings.Repeat("A", 43)} {
			if other != token && s.open(other) {
				t.Errorf("%q opens the session", other)
			}
		}
		if strings.Contains(fmt.Sprintf("%#v %v", s.sessions, s.Sessions()), token) {
			t.Error("the token itself is kept")
		}
		if err := s.Logout(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if s.open(token) {
			t.Error("open after the logout")
		}
		if err := s.Logout(t.Context(), token); !errors.Is(err, ErrSession) {
			t.Error(err)
		}
		if n := len(s.log.accesses(t, audit.ActionLogout)); n != 2 { // one of the enrolment
			t.Errorf("%d logouts in the audit", n)
		}
	})
}

// A logout ends the session although it cannot be recorded yet.
func TestLogoutOnAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		s.log.fail = func(archive.Entry) error { return errors.New("disk full") }
		if err := s.Logout(t.Context(), token); err == nil {
			t.Fatal("recorded on a full disk")
		}
		if s.open(token) {
			t.Fatal("the session goes on")
		}
		s.log.fail = nil
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(s.log.accesses(t, audit.ActionLogout)); n != 2 {
			t.Fatalf("%d logouts in the audit", n)
		}
	})
}

// What the log comes to know of a person counts at the next request, and
// Refresh ends what it ends at once.
func TestLeaversAndChanges(t *testing.T) {
	for _, c := range []struct {
		code   string
		change func(*Person)
	}{
		{codeDeparted, func(p *Person) { p.Departed = true }},
		{codeBlocked, func(p *Person) { p.Blocked = true }},
		{codeNoRole, func(p *Person) { p.Groups = nil }},
	} {
		for _, refresh := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				s := newSite(t)
				d := s.enrol(t, alice, "aadams")
				token := s.admitted(t, "aadams", d.now(t), desk)
				s.folk.change(alice, c.change)
				if refresh {
					if err := s.Refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if len(s.Sessions()) != 0 {
					t.Fatal("listed as logged in")
				}
				s.folk.change(alice, func(p *Person) { p.Departed, p.Blocked, p.Groups = false, false, []string{officers} })
				if open := s.open(token); open == refresh {
					t.Fatalf("%s, refreshed %v: open %v", c.code, refresh, open)
				}
				s.folk.change(alice, c.change)
				if s.open(token) {
					t.Fatal("open")
				}
				s.folk.change(alice, func(p *Person) { p.Departed, p.Blocked, p.Groups = false, false, []string{officers} })
				if s.open(token) {
					t.Fatal("an ended session came back")
				}
				if err := s.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := s.ended(t); !slices.Equal(got, []string{"Alice Adams " + c.code}) {
					t.Fatalf("the audit has %q", got)
				}
			})
		}
	}
}

func TestRolesFollowTheGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, bob, "bbrown")
		token := s.admitted(t, "bbrown", d.now(t), desk)
		roles := func() (out []string) {
			_, grants, _, err := s.Session(token)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range grants {
				out = append(out, fmt.Sprint(g.Role, " ", g.Department, " ", g.Source))
			}
			return out
		}
		both := []string{"compliance-officer  Compliance", "auditor Surgery Auditors"}
		if got := roles(); !slices.Equal(got, both) {
			t.Fatalf("roles %q", got)
		}
		s.folk.change(bob, func(p *Person) { p.Groups = []string{auditors} })
		if got := roles(); !slices.Equal(got, both[1:]) {
			t.Fatalf("roles %q", got)
		}
		s.folk.change(bob, func(p *Person) { p.Groups = []string{auditors, officers} })
		if got := roles(); !slices.Equal(got, both) {
			t.Fatalf("roles %q", got)
		}
	})
}

// A group that the directory does not confirm at the login gives nothing until
// the log has followed; one that the log does not know of gives nothing.
func TestRolesNeedTheDirectoryAndTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, bob, "bbrown")
		s.dc.groups[bob] = []string{auditors}
		token := s.admitted(t, "bbrown", d.now(t), desk)
		roles := func() int {
			_, grants, _, err := s.Session(token)
			if err != nil {
				t.Fatal(err)
			}
			return len(grants)
		}
		if n := roles(); n != 1 {
			t.Fatalf("%d roles although the directory had taken one away", n)
		}
		s.folk.change(bob, func(p *Person) { p.Groups = []string{auditors} })
		if err := s.Refresh(t.Context()); err != nil || roles() != 1 {
			t.Fatal(err, roles())
		}
		s.folk.change(bob, func(p *Person) { p.Groups = []string{auditors, officers} })
		if n := roles(); n != 2 {
			t.Fatalf("%d roles after the log had the group taken away and given back", n)
		}
		// Fresh groups alone give nothing.
		s.dc.groups[bob] = []string{auditors, officers}
		s.folk.change(bob, func(p *Person) { p.Groups = []string{auditors} })
		nextStep()
		token = s.admitted(t, "bbrown", d.now(t), desk)
		if n := roles(); n != 1 {
			t.Fatalf("%d roles, one of which the log does not know of", n)
		}
		// None confirmed, no login.
		s.dc.groups[bob] = nil
		nextStep()
		s.refused(t, codeNoRole, Attempt{Name: "bbrown", Password: password, Code: d.now(t)})
	})
}

func TestARoleEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour)
		s := newSite(t, func(o *Options) {
			o.Mapping = []GroupGrant{{Group: officers, Grant: role.Grant{Role: role.ComplianceOfficer, Until: &until}}}
			o.Idle = 2 * time.Hour
		})
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		time.Sleep(time.Until(until) - time.Second)
		if !s.open(token) {
			t.Fatal("the role ended early")
		}
		time.Sleep(time.Second)
		if s.open(token) {
			t.Fatal("open without a role")
		}
	})
}

func TestTooManySessionsOfOnePerson(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d, other := s.enrol(t, alice, "aadams"), s.enrol(t, bob, "bbrown")
		bobs := s.admitted(t, "bbrown", other.now(t), desk)
		var tokens []string
		for range maxSessions + 1 {
			nextStep()
			tokens = append(tokens, s.admitted(t, "aadams", d.now(t), desk))
		}
		if s.open(tokens[0]) || !s.open(tokens[1]) || !s.open(tokens[maxSessions]) || !s.open(bobs) {
			t.Fatal("the oldest, and it alone, should have ended")
		}
		list := s.Sessions()
		if len(list) != maxSessions+1 || list[0].Principal.Person != bob || len(list[0].Grants) != 2 {
			t.Fatalf("listed %+v", list)
		}
	})
}

func TestRunEndsWhatTimeEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d, other := s.enrol(t, alice, "aadams"), s.enrol(t, bob, "bbrown")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		s.admitted(t, "aadams", d.now(t), desk)
		time.Sleep(DefaultIdle + sweepEvery)
		synctest.Wait()
		if got := s.ended(t); !slices.Equal(got, []string{"Alice Adams " + endIdle}) {
			t.Fatalf("the audit has %q", got)
		}
		token := s.admitted(t, "bbrown", other.now(t), desk)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := s.ended(t); !slices.Equal(got, []string{"Alice Adams " + endIdle, "Bob Brown " + codeStopping}) {
			t.Fatalf("the audit has %q", got)
		}
		if s.open(token) {
			t.Fatal("open after the end")
		}
		nextStep()
		s.refused(t, codeStopping, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
	})
}
