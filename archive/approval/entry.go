package approval

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// maxBody bounds the bodies, in bytes; what the Book writes is far below.
const maxBody = 32 << 10

type requestBody struct {
	Version int            `json:"v"` // 1
	Act     Act            `json:"act"`
	Digest  string         `json:"digest"`
	Summary string         `json:"summary"`
	By      role.Principal `json:"by"`
	Reason  string         `json:"reason,omitempty"`
	At      time.Time      `json:"at"` // by the daemon's clock; the leaf has the log's
	Expires time.Time      `json:"expires"`
}

type decisionBody struct {
	Version int            `json:"v"`      // 1
	Of      uint64         `json:"of"`     // seq of the request
	Digest  string         `json:"digest"` // the request's: the decision itself says of what
	By      role.Principal `json:"by"`
	Approve bool           `json:"approve"`
	Reason  string         `json:"reason"`
	At      time.Time      `json:"at"`
}

type executionBody struct {
	Version int            `json:"v"`  // 1
	Of      uint64         `json:"of"` // seq of the request
	Act     Act            `json:"act"`
	Digest  string         `json:"digest"` // of what was done
	By      role.Principal `json:"by"`
	At      time.Time      `json:"at"`
}

func entry(kind proof.Kind, body any) (archive.Entry, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return archive.Entry{}, err
	}
	return archive.Entry{Kind: kind, Class: proof.ClassControl, Body: b}, nil
}

// read reads a body of at most maxBody bytes and of version 1 into v.
func read(rec archive.Record, v any, version *int) error {
	if len(rec.Body) > maxBody {
		return fmt.Errorf("a body of more than %d bytes", maxBody)
	}
	if err := ijson.Unmarshal(rec.Body, v); err != nil {
		return err
	}
	if *version != 1 {
		return fmt.Errorf("a body of version %d, which this version cannot read", *version)
	}
	return nil
}

// Apply takes in a request, decision or execution entry. An entry that cannot
// be read, or is about no request, is an error and changes nothing. One that
// breaks a rule is kept as a Fault of its request and gives nobody anything:
// such a decision decides nothing, and such an execution uses the approval up.
func (b *Book) Apply(rec archive.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	switch rec.Leaf.Kind {
	case proof.KindRequest:
		err = b.applyRequest(rec)
	case proof.KindDecision:
		err = b.applyDecision(rec)
	case proof.KindExecution:
		err = b.applyExecution(rec)
	default:
		err = errors.New("not an entry about a request")
	}
	if at := rec.Leaf.ReceivedTime(); err == nil && at.After(b.latest) {
		b.latest = at
	}
	return err
}

func (b *Book) applyRequest(rec archive.Record) error {
	var body requestBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	if !body.Act.Valid() || !isDigest(body.Digest) {
		return errors.New("no such act, or a digest that is none")
	}
	if n := len(b.requests); n > 0 && b.requests[n-1].Seq >= rec.Leaf.Seq {
		return errors.New("a request that is not after the one before")
	}
	r := &Request{
		Seq: rec.Leaf.Seq, Act: body.Act, Digest: body.Digest, Summary: body.Summary, By: body.By, Reason: body.Reason,
		At: rec.Leaf.ReceivedTime(), Expires: body.Expires.UTC(),
	}
	if last := r.At.Add(MaxTTL); r.Expires.After(last) {
		r.Expires = last
	}
	b.requests = append(b.requests, r)
	return nil
}

func (b *Book) applyDecision(rec archive.Record) error {
	var body decisionBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	r, err := b.find(body.Of)
	if err != nil {
		return fmt.Errorf("it decides entry %d: %w", body.Of, err)
	}
	at := rec.Leaf.ReceivedTime()
	if err = r.decidable(body.By, at); err == nil && body.Digest != r.Digest {
		err = ErrDigest
	}
	if err != nil {
		r.fault(rec, err)
		return nil
	}
	r.Decision = &Decision{Seq: rec.Leaf.Seq, By: body.By, At: at, Approve: body.Approve, Reason: body.Reason}
	return nil
}

func (b *Book) applyExecution(rec archive.Record) error {
	var body executionBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	r, err := b.find(body.Of)
	if err != nil {
		return fmt.Errorf("it executes entry %d: %w", body.Of, err)
	}
	at := rec.Leaf.ReceivedTime()
	if err := r.executable(body.Act, body.Digest, at); err != nil {
		r.fault(rec, err)
	}
	// Whatever was wrong with it, something was done on the strength of this request, so nothing more is.
	if r.Execution == nil {
		r.Execution = &Execution{Seq: rec.Leaf.Seq, By: body.By, At: at}
	}
	return nil
}

// codes name the rules in Faults.
var codes = []struct {
	err  error
	code string
}{
	{ErrSelf, "self"}, {ErrNotPerson, "not-person"}, {ErrExpired, "expired"}, {ErrDecided, "decided"},
	{ErrNotApproved, "not-approved"}, {ErrDigest, "digest"}, {ErrUsed, "used"},
}

func (r *Request) fault(rec archive.Record, err error) {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			r.Faults = append(r.Faults, Fault{Seq: rec.Leaf.Seq, Kind: rec.Leaf.Kind, Code: c.code})
		}
	}
}

// broken returns the rule that the entry with the given seq broke, if any.
func (r *Request) broken(seq uint64) error {
	for _, f := range r.Faults {
		for _, c := range codes {
			if f.Seq == seq && f.Code == c.code {
				return c.err
			}
		}
	}
	return nil
}

// isDigest reports whether s is a SHA-256 in lower-case hex.
func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// words checks that a text has 1..MaxText runes.
func words(what, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return fmt.Errorf("%w: it needs a %s", ErrInvalid, what)
	case !utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxText:
		return fmt.Errorf("%w: a %s is text of at most %d characters", ErrInvalid, what, MaxText)
	}
	return nil
}
