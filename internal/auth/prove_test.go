package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/archive/audit"
)

// RFC 6238 appendix B, SHA-1, the last six of the eight digits.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		got, err := codeAt(secret, stepAt(time.Unix(at, 0)))
		if err != nil || got != want {
			t.Errorf("at %d: %s, %v; want %s", at, got, err, want)
		}
	}
}

func TestDriftOfOneStepEitherWay(t *testing.T) {
	secret, now := random(secretSize), time.Now()
	for drift := -4; drift <= 4; drift++ {
		at := uint64(int(stepAt(now)) + drift)
		code, err := codeAt(secret, at)
		if err != nil {
			t.Fatal(err)
		}
		step, replayed, err := match(secret, codeTOTP, code, 0, now)
		if good := drift >= -1 && drift <= 1; err != nil || replayed || good != (step == at) {
			t.Errorf("drift %d: step %d, %v", drift, step, err)
		}
		next, err := codeAt(secret, at+1)
		if err != nil {
			t.Fatal(err)
		}
		step, _, err = match(secret, codePair, code+next, 0, now)
		if good := drift >= -2 && drift <= 0; err != nil || good != (step == at+1) {
			t.Errorf("pair from drift %d: step %d, %v", drift, step, err)
		}
		if step, _, _ := match(secret, codePair, next+code, 0, now); step != 0 {
			t.Errorf("a pair the wrong way round is good at drift %d", drift)
		}
	}
}

// A code that was used, or any before it, is never good again.
func TestReplay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		earlier := d.code(t, time.Now().Add(-totpPeriod*time.Second))
		code := d.now(t)
		later := d.code(t, time.Now().Add(totpPeriod*time.Second))
		s.admitted(t, "aadams", code, desk)
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: code})
		pass(tallyEvery / 6)
		s.start(t) // over a restart too
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: code})
		s.start(t)
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: earlier})
		s.start(t)
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: earlier + code})
		s.start(t)
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: code + later}) // half of it was used
		s.admitted(t, "aadams", later, desk)
	})
}

// A code that confirmed an enrolment is used, over a restart too.
func TestReplayOfTheFirstCode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		text, _, err := s.IssueTicket(t.Context(), root, alice, "new")
		if err != nil {
			t.Fatal(err)
		}
		g, err := s.Login(t.Context(), Attempt{Name: "aadams", Password: password, Ticket: text, Address: desk})
		if err != nil {
			t.Fatal(err)
		}
		d := deviceOf(t, g.Enrol)
		code := d.now(t)
		s.admitted(t, "aadams", code, desk)
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: code})
		s.start(t)
		s.used = map[string]uint64{} // even if the audit had nothing
		s.refused(t, codeReplayed, Attempt{Name: "aadams", Password: password, Code: code})
	})
}

// Of two logins with the same code, one wins.
func TestTwoLoginsWithOneCode(t *testing.T) {
	for _, what := range []string{"code", "pair", "recovery code"} {
		bubble(t, func(t *testing.T) {
			s := newSite(t)
			d := s.enrol(t, alice, "aadams")
			code := map[string]string{"code": d.now(t), "pair": d.pair(t), "recovery code": d.recovery[3]}[what]
			s.dc.takes = 20 * time.Millisecond
			before := s.dc.bindCount()
			var mu sync.Mutex
			won := 0
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if _, err := s.try("aadams", password, code, desk); err == nil {
						mu.Lock()
						won++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if won != 1 || len(s.sessions) != 1 {
				t.Fatalf("%d of 20 logins with one %s won", won, what)
			}
			if n := s.dc.bindCount() - before; n != 1 {
				t.Fatalf("%d binds with one %s", n, what)
			}
		})
	}
}

// A stranger who guesses is held up, and the person never is.
func TestAStrangerKeepsNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams") // from desk, which is known by it
		guess := func(from string) {
			if _, err := s.try("aadams", "x", d.wrong(t), from); !errors.Is(err, ErrLogin) {
				t.Fatal(err)
			}
		}
		for i := range 100 {
			guess(fmt.Sprintf("198.51.100.%d", i))
		}
		if n := len(s.guesses[alice].failed); n != guessesOther {
			t.Fatalf("%d guesses of strangers were looked at, want %d", n, guessesOther)
		}
		if got := s.log.alarms(t); !slices.Equal(got, []string{AlarmGuessing + " warning"}) {
			t.Fatalf("alarms %v", got)
		}
		nextStep()
		pass(tallyEvery) // an entry of its own
		s.refused(t, codeThrottled, Attempt{Name: "aadams", Password: password, Code: d.now(t), Address: elsewhere})
		// From where the person was before, as ever.
		s.admitted(t, "aadams", d.now(t), desk)
		// From anywhere else with two codes, or with a recovery code.
		nextStep()
		s.admitted(t, "aadams", d.pair(t), elsewhere)
		s.admitted(t, "aadams", d.recovery[0], "192.0.2.44")
		// And from there on as at the desk.
		nextStep()
		s.admitted(t, "aadams", d.now(t), elsewhere)
		// A colleague at the same address cannot keep the person out either.
		nextStep()
		for range 100 {
			guess(desk)
		}
		pass(tallyEvery) // an entry of its own
		s.refused(t, codeThrottled, Attempt{Name: "aadams", Password: password, Code: d.now(t)})
		s.admitted(t, "aadams", d.pair(t), desk)
		nextStep()
		s.admitted(t, "aadams", d.now(t), desk)
	})
}

// The numbers that the package doc gives.
func TestGuessesADay(t *testing.T) {
	here, there := netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("198.51.100.1/32")
	for _, c := range []struct {
		known bool
		want  int
	}{{true, guessesKnown}, {false, guessesOther}} {
		g := &attempts{}
		now := time.Now()
		if c.known {
			g.succeeded(here, now)
		}
		looked := 0
		for i := range 24 * 60 * 4 {
			at := now.Add(time.Duration(i) * 15 * time.Second)
			if !g.throttled(here, at) {
				g.guessed(here, at)
				looked++
			}
			if i < 60 && looked > guessesFrom {
				t.Fatalf("%d guesses within a quarter of an hour", looked)
			}
		}
		if looked != c.want {
			t.Errorf("known %v: %d guesses a day, want %d", c.known, looked, c.want)
		}
		if g.throttled(there, now.Add(guessDay-time.Minute)) != !c.known {
			t.Errorf("known %v: guesses from a known address and from others have one allowance", c.known)
		}
		if g.throttled(here, now.Add(2*guessDay)) {
			t.Error("guesses are remembered for ever")
		}
	}
}

func TestAddressesOneMachineHas(t *testing.T) {
	_, a := place("2001:db8:1:2::1")
	_, b := place("2001:db8:1:2:ffff::9%eth0")
	_, c := place("2001:db8:1:3::1")
	_, d := place("::ffff:10.0.0.7")
	if a != b || a == c || d != netip.MustParsePrefix("10.0.0.7/32") {
		t.Fatal(a, b, c, d)
	}
	if text, from := place("not an address"); text != "" || from.IsValid() {
		t.Fatal(text, from)
	}
}

// A guess uses up nothing of a person's, whatever the address is.
func TestAGuessWithoutAnAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		d := s.enrol(t, alice, "aadams")
		for range 100 {
			_, _ = s.try("aadams", "x", d.wrong(t), "")
		}
		pass(tallyEvery) // an entry of its own
		s.refused(t, codeThrottled, Attempt{Name: "aadams", Password: password, Code: d.now(t), Address: "unknown"})
		s.admitted(t, "aadams", d.pair(t), "unknown")
		nextStep()
		pass(tallyEvery) // an entry of its own
		s.refused(t, codeThrottled, Attempt{Name: "aadams", Password: password, Code: d.now(t), Address: "unknown"})
		s.admitted(t, "aadams", d.now(t), desk)
		for _, a := range s.log.accesses(t, audit.ActionLogin) {
			if a.Principal.Address == "unknown" {
				t.Fatal("the audit holds an address that is none")
			}
		}
	})
}

func FuzzAttempt(f *testing.F) {
	f.Add("aadams", "secret", "123456", "", "10.0.0.7")
	f.Add(" alice@h.example ", "s p", "123 456-123 456", "", "2001:db8::1%eth0")
	f.Add("h\\alice", "x", "mfrg-gzdf-mztw-q2lk", "", "::ffff:1.2.3.4")
	f.Add("a\x00b", "\xff", "١٢٣٤٥٦", "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ", "")
	f.Add("", "", "000000", "1", "1.2.3.4/32")
	f.Fuzz(func(t *testing.T, name, pass, code, ticket, address string) {
		a := Attempt{Name: name, Password: pass, Code: code, Ticket: ticket, Address: address}
		got, ok := normalise(a)
		if got.address != "" {
			if ip, err := netip.ParseAddr(got.address); err != nil || ip.Zone() != "" || ip.Is4In6() || !got.from.Contains(ip) {
				t.Fatalf("address %q in %v", got.address, got.from)
			}
		}
		if !ok {
			return
		}
		if got.password != pass {
			t.Fatal("the password was changed")
		}
		if got.name == "" || len(got.name) > maxLoginName || !printable(got.name) {
			t.Fatalf("name %q", got.name)
		}
		for _, r := range got.code + got.ticket {
			if r >= 128 {
				t.Fatalf("code %q, ticket %q", got.code, got.ticket)
			}
		}
		want := map[codeKind]int{codeNone: 0, codeTOTP: 6, codePair: 12, codeRecovery: recoveryText}[got.kind]
		if len(got.code) != want || got.ticket != "" && len(got.ticket) != ticketText {
			t.Fatalf("kind %d, code %q, ticket %q", got.kind, got.code, got.ticket)
		}
		// The one form is a form of itself.
		again, ok := normalise(Attempt{Name: got.name, Password: got.password, Code: got.code, Ticket: got.ticket, Address: got.address})
		if !ok || again != got {
			t.Fatalf("%+v becomes %+v", got, again)
		}
	})
}

func TestCodesReadFromPaper(t *testing.T) {
	for in, want := range map[string]try{
		"123 456":             {kind: codeTOTP, code: "123456"},
		"123456-789012":       {kind: codePair, code: "123456789012"},
		"mf2g-gzdf-mztw-q2lk": {kind: codeRecovery, code: "MF2GGZDFMZTWQ2LK"},
		"MF2G 0ZDF 1ZTW 82LK": {kind: codeRecovery, code: "MF2GOZDFIZTWB2LK"},
	} {
		if got, ok := normalise(Attempt{Name: "a", Code: in}); !ok || got.kind != want.kind || got.code != want.code {
			t.Errorf("%q: %+v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"12345", "1234567", "12345６", "MF2G-GZDF-MZTW-Q2L", "MF2G-GZDF-MZTW-Q2L9", "123456789012345678"} {
		if got, ok := normalise(Attempt{Name: "a", Code: in}); ok {
			t.Errorf("%q is taken for %+v", in, got)
		}
	}
}
