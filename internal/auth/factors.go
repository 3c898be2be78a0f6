package auth

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// What a credential entry says.
const (
	opIssue = "issue"        // a ticket with which the person may enrol a second factor
	opEnrol = "enrol"        // a second factor is in force from here on; the ticket is used up
	opUse   = "use-recovery" // a recovery code is used up
	opReset = "reset"        // the person has neither factor nor ticket any more
)

// credential is the body of a KindCredential entry (archive/FORMAT.md section
// 6). Binary members are lower-case hexadecimal.
type credential struct {
	Version  int             `json:"v"` // 1
	Op       string          `json:"op"`
	Person   string          `json:"person"`             // objectGUID
	By       *role.Principal `json:"by,omitempty"`       // issue and reset
	Reason   string          `json:"reason,omitempty"`   // issue and reset
	Ticket   string          `json:"ticket,omitempty"`   // issue, and enrol by that ticket: its digest
	Expires  *time.Time      `json:"expires,omitempty"`  // issue
	Secret   string          `json:"secret,omitempty"`   // enrol
	Recovery []recoveryBody  `json:"recovery,omitempty"` // enrol
	Step     uint64          `json:"step,omitempty"`     // enrol: time step of the code that confirmed it
	Used     string          `json:"used,omitempty"`     // use-recovery: the code's digest
}

type recoveryBody struct {
	Salt string `json:"salt"`
	Hash string `json:"hash"`
}

func (c credential) entry() (archive.Entry, error) {
	c.Version = 1
	b, err := json.Marshal(c)
	if err != nil {
		return archive.Entry{}, fmt.Errorf("write a credential entry: %w", err)
	}
	return archive.Entry{Kind: proof.KindCredential, Class: proof.ClassControl, Body: b}, nil
}

// recovery is what is kept of a recovery code.
type recovery struct {
	salt []byte
	hash digest
}

// ticket is what is kept of a ticket.
type ticket struct {
	hash    digest
	expires time.Time
}

// factor is one person's second factor; without a secret there is none yet.
type factor struct {
	secret   []byte
	recovery []recovery // those not used up
	step     uint64     // of the code that confirmed the enrolment
	ticket   *ticket
}

// Factors are the second factors as the log's credential entries have them. It
// is the state.Applier of those entries, and safe for concurrent use.
type Factors struct {
	mu      sync.RWMutex
	persons map[string]factor
}

// NewFactors returns the factors of an empty log.
func NewFactors() *Factors { return &Factors{persons: map[string]factor{}} }

// Apply takes in the next credential entry.
func (f *Factors) Apply(rec archive.Record) error {
	if rec.Leaf.Kind != proof.KindCredential {
		return fmt.Errorf("a %s entry is no credential", rec.Leaf.Kind)
	}
	var c credential
	if err := ijson.Unmarshal(rec.Body, &c); err != nil {
		return err
	}
	if c.Version != 1 || c.Person == "" {
		return errors.New("a credential entry of another version, or of nobody")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := c.apply(f.persons[c.Person])
	if err != nil {
		return fmt.Errorf("credential (%s): %w", c.Op, err)
	}
	if p.secret == nil && p.ticket == nil {
		delete(f.persons, c.Person)
	} else {
		f.persons[c.Person] = p
	}
	return nil
}

// apply returns what c makes of a person's factor.
func (c *credential) apply(p factor) (factor, error) {
	switch c.Op {
	case opIssue:
		hash, err := parseDigest(c.Ticket)
		if err != nil || c.Expires == nil {
			return p, errors.New("its ticket is not one")
		}
		p.ticket = &ticket{hash: hash, expires: *c.Expires}
	case opEnrol:
		secret, err := hex.DecodeString(c.Secret)
		if err != nil || len(secret) != secretSize || len(c.Recovery) > recoveryCodes {
			return p, errors.New("its secret or its recovery codes are not such")
		}
		p = factor{secret: secret, step: c.Step}
		for _, r := range c.Recovery {
			salt, serr := hex.DecodeString(r.Salt)
			hash, herr := parseDigest(r.Hash)
			if errors.Join(serr, herr) != nil || len(salt) != saltSize {
				return p, errors.New("a recovery code is not one")
			}
			p.recovery = append(p.recovery, recovery{salt, hash})
		}
	case opUse:
		hash, err := parseDigest(c.Used)
		if err != nil {
			return p, errors.New("the code used is not one")
		}
		p.recovery = slices.DeleteFunc(slices.Clone(p.recovery), func(r recovery) bool { return r.hash.equal(hash) })
	case opReset:
		return factor{}, nil
	default:
		return p, errors.New("an op that this version does not know")
	}
	return p, nil
}

func parseDigest(s string) (d digest, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return d, errors.New("not a SHA-256 value")
	}
	return digest(b), nil
}

// of returns a person's factor. What its slices hold is never changed.
func (f *Factors) of(person string) factor {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.persons[person]
}

// Enrolled says how a person's second factor stands: whether there is one, how
// many recovery codes are left, and until when a ticket is good (zero: none).
func (f *Factors) Enrolled(person string) (enrolled bool, recoveryLeft int, ticketUntil time.Time) {
	p := f.of(person)
	if p.ticket != nil {
		ticketUntil = p.ticket.expires
	}
	return p.secret != nil, len(p.recovery), ticketUntil
}

// findRecovery returns the unused recovery code that code is. All are looked
// at, so that the time tells nothing.
func (p *factor) findRecovery(code string) (found digest, ok bool) {
	for _, r := range p.recovery {
		if h := recoveryDigest(r.salt, code); h.equal(r.hash) {
			found, ok = h, true
		}
	}
	return found, ok
}
