package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

// The second factor (RFC 6238): HMAC-SHA-1, 6 digits, steps of 30 seconds, a
// clock that is off by one step either way, a secret of 160 bits (RFC 4226
// section 4, R6). Every authenticator app does exactly this.
const (
	totpDigits = 6
	totpPeriod = 30 // seconds
	totpDrift  = 1  // steps
	secretSize = 20 // bytes
)

// Recovery codes and tickets are random and written in base32 (RFC 4648
// section 6) without padding.
const (
	recoveryCodes = 10
	recoverySize  = 10 // bytes
	recoveryText  = 16 // characters
	ticketSize    = 16
	ticketText    = 26
	saltSize      = 16
	issuer        = "Holdfast"
)

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// digest is a SHA-256 value that something secret is kept as.
type digest [sha256.Size]byte

// The labels that keep the digests of one kind of secret from being those of
// another (archive/FORMAT.md section 6).
const (
	labelRecovery = "holdfast recovery code v1\x00"
	labelTicket   = "holdfast ticket v1\x00"
)

// A ticket has 128 random bits, so it needs no salt; a recovery code has 80,
// and a salt of its own keeps one search from being good for all.
func ticketDigest(ticket string) digest { return sha256.Sum256([]byte(labelTicket + ticket)) }
func recoveryDigest(salt []byte, code string) digest {
	return sha256.Sum256([]byte(labelRecovery + string(salt) + code))
}

func (d digest) equal(e digest) bool { return subtle.ConstantTimeCompare(d[:], e[:]) == 1 }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// grouped writes a code in groups of four for paper.
func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// stepAt returns the time step of t.
func stepAt(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) / totpPeriod } // #nosec G115 -- not negative

// codeAt returns the code of one step.
func codeAt(secret []byte, step uint64) (string, error) {
	return hotp.GenerateCodeCustom(base32Plain.EncodeToString(secret), step,
		hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// match finds the time step that code is of, the earliest that is not used up,
// where last is the newest step that was used. It returns a step of 0 when
// there is none, and replayed when one that is used up would have fitted. A
// pair is the code of a step followed by that of the next; its step is the
// later one, and neither may have been used.
func match(secret []byte, kind codeKind, code string, last uint64, now time.Time) (step uint64, replayed bool, err error) {
	at := stepAt(now)
	for s := at + totpDrift; s+totpDrift >= at && s > 0; s-- { // downwards, so that the earliest stays
		want, err := codeAt(secret, s)
		if err != nil {
			return 0, false, fmt.Errorf("compute a code: %w", err)
		}
		first := s
		if kind == codePair {
			first--
			before, err := codeAt(secret, first)
			if err != nil {
				return 0, false, fmt.Errorf("compute a code: %w", err)
			}
			want = before + want
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) != 1 {
			continue
		}
		if first <= last {
			replayed = true
		} else {
			step = s
		}
	}
	return step, replayed && step == 0, nil
}

// Enrolment is a new second factor, as shown to its person once and never
// again. It comes into force with the next login, which shows a code of it.
type Enrolment struct {
	Secret        string   // base32, to type into an authenticator app
	URL           string   // otpauth://, to show as a QR code
	RecoveryCodes []string // each good for one login without the app
}

// newEnrolment makes a factor and what is shown of it.
func newEnrolment(account string) (*Enrolment, factor, error) {
	f := factor{secret: random(secretSize)}
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: issuer, AccountName: account, Secret: f.secret, SecretSize: secretSize,
		Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return nil, factor{}, fmt.Errorf("write the second factor's URL: %w", err)
	}
	e := &Enrolment{Secret: key.Secret(), URL: key.URL()}
	for range recoveryCodes {
		code := base32Plain.EncodeToString(random(recoverySize))
		r := recovery{salt: random(saltSize)}
		r.hash = recoveryDigest(r.salt, code)
		f.recovery = append(f.recovery, r)
		e.RecoveryCodes = append(e.RecoveryCodes, grouped(code))
	}
	return e, f, nil
}
