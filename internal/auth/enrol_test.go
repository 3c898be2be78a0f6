package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

func (s *site) ticket(t *testing.T, person string) string {
	t.Helper()
	text, expires, err := s.IssueTicket(t.Context(), root, person, "phone lost")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(expires); left > TicketFor || left < TicketFor-time.Second {
		t.Fatalf("the ticket is good for %v", left)
	}
	return text
}

func TestEnrolment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		text := s.ticket(t, alice)
		g, err := s.Login(t.Context(), Attempt{Name: "aadams", Password: password, Ticket: strings.ToLower(text), Address: desk})
		if err != nil {
			t.Fatal(err, s.log.lastCode(t))
		}
		if g.Token != "" || len(g.Grants) != 0 || len(s.sessions) != 0 {
			t.Fatalf("a session before the factor is confirmed: %+v", g)
		}
		if on, _, _ := s.factors.Enrolled(alice); on {
			t.Fatal("the factor is in force before it is confirmed")
		}
		key, err := otp.NewKeyFromURL(g.Enrol.URL)
		if err != nil || key.Secret() != g.Enrol.Secret || key.Issuer() != issuer || key.AccountName() != "alice@h.example" ||
			key.Period() != totpPeriod || key.Digits() != otp.DigitsSix || key.Algorithm() != otp.AlgorithmSHA1 {
			t.Fatalf("otpauth URL %s: %v", g.Enrol.URL, err)
		}
		codes := slices.Clone(g.Enrol.RecoveryCodes)
		slices.Sort(codes)
		if len(slices.Compact(codes)) != recoveryCodes || len(compact(codes[0])) != recoveryText {
			t.Fatalf("recovery codes %v", codes)
		}
		d := deviceOf(t, g.Enrol)
		pass(pendingFor - time.Minute)
		s.refused(t, "52e", Attempt{Name: "aadams", Password: "wrong", Code: d.now(t)})
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		pass(time.Minute - 3*time.Second)
		s.admitted(t, "aadams", d.now(t), desk) // without the ticket
		on, left, until := s.factors.Enrolled(alice)
		if !on || left != recoveryCodes || !until.IsZero() {
			t.Fatalf("after the enrolment: %v %d %v", on, left, until)
		}
		// The ticket is used up.
		nextStep()
		s.refused(t, codeBadTicket, Attempt{Name: "aadams", Password: password, Ticket: text})
		var ops []string
		for _, a := range s.log.accesses(t, audit.ActionFactor) {
			if a.Target != alice {
				t.Errorf("target %q", a.Target)
			}
			ops = append(ops, a.Principal.Name+" "+a.Code)
		}
		if !slices.Equal(ops, []string{"root issue", "Alice Adams show", "Alice Adams enrol"}) {
			t.Fatalf("the audit has %q", ops)
		}
	})
}

func TestTicketsThatAreNotGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		first := s.ticket(t, alice)
		second := s.ticket(t, alice)
		at := Attempt{Name: "aadams", Password: password, Ticket: first}
		s.refused(t, codeBadTicket, at) // another took its place
		pass(tallyEvery)
		s.refused(t, codeBadTicket, Attempt{Name: "bbrown", Password: password, Ticket: second}) // it is Alice's
		at.Ticket = second
		at.Code = "123456"
		s.refused(t, codeNoEnrolment, at) // nothing begun
		at.Code, at.Password = "", "wrong"
		s.refused(t, "52e", at)
		at.Password = password
		pass(TicketFor)
		s.refused(t, codeOldTicket, at)
	})
}

// A crash at any point of an enrolment leaves the old state or the new one.
func TestACrashDuringEnrolment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		old := s.enrol(t, alice, "aadams")
		text := s.ticket(t, alice)
		at := Attempt{Name: "aadams", Password: password, Ticket: text, Address: desk}
		g, err := s.Login(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		lost := deviceOf(t, g.Enrol)
		s.start(t) // a crash before the confirmation
		at.Code = lost.now(t)
		s.refused(t, codeNoEnrolment, at)
		s.admitted(t, "aadams", old.now(t), desk)
		at.Code = ""
		if g, err = s.Login(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		d := deviceOf(t, g.Enrol)
		if string(d.secret) == string(lost.secret) {
			t.Fatal("a secret was shown twice")
		}
		// A confirmation whose entry the log did not take.
		s.log.fail = func(e archive.Entry) error {
			if e.Kind == proof.KindCredential {
				return errors.New("no")
			}
			return nil
		}
		nextStep()
		at.Code = d.now(t)
		s.refused(t, codeState, at)
		s.log.fail = nil
		nextStep()
		s.admitted(t, "aadams", old.now(t), desk)
		// One whose entry the log took, and said it had not: the next process knows.
		s.log.lie = func(e archive.Entry) error {
			if e.Kind == proof.KindCredential {
				return errors.New("the sync failed")
			}
			return nil
		}
		nextStep()
		at.Code = d.now(t)
		s.refused(t, codeState, at)
		s.log.lie = nil
		s.start(t)
		nextStep()
		s.refused(t, codeBad, Attempt{Name: "aadams", Password: password, Code: old.now(t)})
		s.admitted(t, "aadams", d.now(t), desk)
		s.admitted(t, "aadams", d.recovery[9], desk)
	})
}

func TestAnEnrolmentThatTookTooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		text := s.ticket(t, alice)
		at := Attempt{Name: "aadams", Password: password, Ticket: text, Address: desk}
		g, err := s.Login(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		d := deviceOf(t, g.Enrol)
		pass(pendingFor)
		at.Code = d.now(t)
		s.refused(t, codeNoEnrolment, at)
		s.refused(t, codeNoFactor, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
	})
}

// A reset or a new ticket between the showing and the code wins.
func TestATicketTakenBack(t *testing.T) {
	for _, what := range []string{"reset", "replaced"} {
		bubble(t, func(t *testing.T) {
			s := newSite(t)
			text := s.ticket(t, alice)
			g, err := s.Login(t.Context(), Attempt{Name: "aadams", Password: password, Ticket: text, Address: desk})
			if err != nil {
				t.Fatal(err)
			}
			d := deviceOf(t, g.Enrol)
			if what == "replaced" {
				s.ticket(t, alice)
				s.refused(t, codeBadTicket, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
			} else {
				if err := s.ResetFactor(t.Context(), root, alice, "wrong person"); err != nil {
					t.Fatal(err)
				}
				s.refused(t, codeNoFactor, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
			}
			if on, _, _ := s.factors.Enrolled(alice); on || len(s.sessions) != 0 {
				t.Fatal("the factor is in force")
			}
		})
	}
}

func TestANewFactorEndsTheOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		old := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", old.now(t), desk)
		text := s.ticket(t, alice)
		g, err := s.Login(t.Context(), Attempt{Name: "aadams", Password: password, Ticket: text, Address: desk})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.Session(token); err != nil {
			t.Fatal("the session ended before the new factor was confirmed")
		}
		d := deviceOf(t, g.Enrol)
		fresh := s.admitted(t, "aadams", d.now(t), desk) // found although a factor is in force and no ticket is typed
		if _, _, _, err := s.Session(token); !errors.Is(err, ErrSession) {
			t.Fatal("a session of the old factor goes on")
		}
		if _, _, _, err := s.Session(fresh); err != nil {
			t.Fatal(err)
		}
		nextStep()
		s.refused(t, codeBad, Attempt{Name: "aadams", Password: password, Code: old.now(t)})
		pass(tallyEvery)
		s.refused(t, codeBad, Attempt{Name: "aadams", Password: password, Code: old.recovery[0]})
	})
}

func TestRecoveryCodesAreForOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		at := Attempt{Name: "aadams", Password: password, Code: strings.ToLower(d.recovery[0])}
		s.admitted(t, "aadams", at.Code, desk)
		s.refused(t, codeBad, at)
		s.start(t)
		s.refused(t, codeBad, at)
		// With a wrong password it is used up as well.
		at.Code, at.Password = d.recovery[1], "wrong"
		s.refused(t, "52e", at)
		s.start(t)
		at.Password = password
		s.refused(t, codeBad, at)
		// While no controller answers it is not.
		at.Code = d.recovery[2]
		s.dc.fail = errors.New("down")
		s.refused(t, codeUnavailable, at)
		s.dc.fail = nil
		s.admitted(t, "aadams", at.Code, desk)
		if _, left, _ := s.factors.Enrolled(alice); left != recoveryCodes-3 {
			t.Fatalf("%d codes are left", left)
		}
		// If its use cannot be recorded, it is none.
		s.log.fail = func(e archive.Entry) error {
			if e.Kind == proof.KindCredential {
				return errors.New("no")
			}
			return nil
		}
		at.Code = d.recovery[3]
		s.refused(t, codeState, at)
		if len(s.held) != 0 {
			t.Fatal("a recovery code is still held")
		}
	})
}

func TestResettingAFactor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		token := s.admitted(t, "aadams", d.now(t), desk)
		text := s.ticket(t, alice)
		if err := s.ResetFactor(t.Context(), root, alice, "phone stolen"); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.Session(token); !errors.Is(err, ErrSession) {
			t.Fatal("the session goes on")
		}
		ends := s.log.accesses(t, audit.ActionSessionEnd)
		if len(ends) != 1 || ends[0].Code != endReset || ends[0].Principal.Person != alice {
			t.Fatalf("ends %+v", ends)
		}
		nextStep()
		for _, at := range []Attempt{{Code: d.now(t)}, {Code: d.recovery[0]}} {
			at.Name, at.Password = "aadams", password
			pass(tallyEvery)
			s.refused(t, codeNoFactor, at)
		}
		s.refused(t, codeBadTicket, Attempt{Name: "aadams", Password: password, Ticket: text})
		var c credential
		last := s.log.records[slices.IndexFunc(s.log.records, func(r archive.Record) bool {
			return r.Leaf.Kind == proof.KindCredential && strings.Contains(string(r.Body), `"op":"reset"`)
		})]
		if err := json.Unmarshal(last.Body, &c); err != nil || c.By == nil || c.By.Name != "root" || c.Reason != "phone stolen" {
			t.Fatalf("the entry says %+v", c)
		}
	})
}

func TestWhoMayHaveATicket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		ctx := t.Context()
		admin := role.Principal{Name: "Bob Brown", Person: bob, Via: role.ViaHTTPS}
		before := s.log.Size()
		for _, c := range []struct {
			by             role.Principal
			person, reason string
			want           error
		}{
			{admin, bob, "my own", ErrOwnTicket},
			{admin, "nobody", "x", ErrPerson},
			{admin, alice, " ", audit.ErrNoReason},
			{admin, alice, strings.Repeat("é", audit.MaxReason+1), audit.ErrTooLong},
		} {
			if text, _, err := s.IssueTicket(ctx, c.by, c.person, c.reason); !errors.Is(err, c.want) || text != "" {
				t.Errorf("%s for %s: %q, %v; want %v", c.by.Name, c.person, text, err, c.want)
			}
		}
		s.folk.change(alice, func(p *Person) { p.Blocked = true })
		if _, _, err := s.IssueTicket(ctx, admin, alice, "x"); !errors.Is(err, ErrPerson) {
			t.Errorf("a ticket for somebody blocked: %v", err)
		}
		s.folk.change(alice, func(p *Person) { p.Blocked, p.Departed = false, true })
		if _, _, err := s.IssueTicket(ctx, admin, alice, "x"); !errors.Is(err, ErrPerson) {
			t.Errorf("a ticket for somebody departed: %v", err)
		}
		if s.log.Size() != before {
			t.Error("a refused ticket is in the log")
		}
		if err := s.ResetFactor(ctx, admin, alice, "left"); err != nil {
			t.Errorf("a reset for somebody departed: %v", err)
		}
		// On the appliance itself the only administrator begins with themselves.
		admin.Via = role.ViaSocket
		if _, _, err := s.IssueTicket(ctx, admin, bob, "first"); err != nil {
			t.Error(err)
		}
		for _, kind := range []proof.Kind{proof.KindAccess, proof.KindCredential} {
			s.log.fail = func(e archive.Entry) error {
				if e.Kind == kind {
					return errors.New("disk full")
				}
				return nil
			}
			if text, _, err := s.IssueTicket(ctx, admin, bob, "x"); err == nil || text != "" {
				t.Errorf("a ticket without its %s entry", kind)
			}
		}
	})
}

func TestTicketsAndCodesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.enrol(t, bob, "bbrown")
		text := s.ticket(t, alice)
		g, err := s.Login(t.Context(), Attempt{Name: "aadams", Password: password, Ticket: text, Address: desk})
		if err != nil {
			t.Fatal(err)
		}
		d := deviceOf(t, g.Enrol)
		codes := []string{d.code(t, time.Now().Add(-totpPeriod*time.Second)), d.now(t), d.code(t, time.Now().Add(totpPeriod*time.Second))}
		s.dc.takes = time.Second / 2
		var wg sync.WaitGroup
		for _, code := range codes {
			for range 5 {
				wg.Go(func() { _, _ = s.try("aadams", password, code, desk) })
			}
			wg.Go(func() {
				_ = s.ResetFactor(t.Context(), root, bob, "race")
			})
		}
		wg.Wait()
		// One enrolment confirmed, whatever else came to pass.
		n := 0
		for _, a := range s.log.accesses(t, audit.ActionFactor) {
			if a.Code == opEnrol && a.Target == alice {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%d enrolments by one ticket", n)
		}
	})
}

func TestFactorsTakeOnlyWhatIsWritten(t *testing.T) {
	record := func(body string) archive.Record {
		return archive.Record{Leaf: proof.Leaf{Kind: proof.KindCredential}, Body: []byte(body)}
	}
	zero := strings.Repeat("00", 32)
	for _, body := range []string{
		``, `{}`, `{"v":2,"op":"reset","person":"x"}`, `{"v":1,"op":"reset"}`, `{"v":1,"op":"wipe","person":"x"}`,
		`{"v":1,"op":"issue","person":"x","ticket":"` + zero + `"}`,
		`{"v":1,"op":"issue","person":"x","ticket":"00","expires":"2026-01-01T00:00:00Z"}`,
		`{"v":1,"op":"enrol","person":"x","secret":"00"}`,
		`{"v":1,"op":"enrol","person":"x","secret":"` + zero[:40] + `","recovery":[{"salt":"","hash":"` + zero + `"}]}`,
		`{"v":1,"op":"enrol","person":"x","secret":"` + zero[:40] + `","recovery":[` + strings.TrimSuffix(strings.Repeat(`{},`, 11), ",") + `]}`,
		`{"v":1,"op":"use-recovery","person":"x","used":"zz"}`,
	} {
		f := NewFactors()
		if err := f.Apply(record(body)); err == nil || len(f.persons) != 0 {
			t.Errorf("%s is taken: %v", body, err)
		}
	}
	f := NewFactors()
	if err := f.Apply(archive.Record{Leaf: proof.Leaf{Kind: proof.KindAlarm}, Body: []byte(`{"v":1,"op":"reset","person":"x"}`)}); err == nil {
		t.Error("an alarm is taken for a credential")
	}
	// What later versions add is passed over.
	if err := f.Apply(record(`{"v":1,"op":"enrol","person":"x","secret":"` + zero[:40] + `","more":1}`)); err != nil {
		t.Error(err)
	}
}

func FuzzCredential(f *testing.F) {
	zero := strings.Repeat("00", 32)
	f.Add([]byte(`{"v":1,"op":"issue","person":"x","ticket":"` + zero + `","expires":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"v":1,"op":"enrol","person":"x","secret":"` + zero[:40] + `","recovery":[{"salt":"` + zero[:32] + `","hash":"` + zero + `"}]}`))
	f.Add([]byte(`{"v":1,"op":"use-recovery","person":"x","used":"` + zero + `"}`))
	f.Add([]byte(`{"v":1,"op":"reset","person":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		factors := NewFactors()
		err := factors.Apply(archive.Record{Leaf: proof.Leaf{Kind: proof.KindCredential}, Body: body})
		if err != nil && len(factors.persons) != 0 {
			t.Fatal("a failed entry left something")
		}
		for _, p := range factors.persons {
			if p.secret != nil && len(p.secret) != secretSize || len(p.recovery) > recoveryCodes || p.secret == nil && p.ticket == nil {
				t.Fatalf("factor %+v", p)
			}
		}
	})
}
