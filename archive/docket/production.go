package docket

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// What an entry of kind production does.
const (
	opReserve  = "reserve"
	opBegin    = "begin"
	opPart     = "part"
	opComplete = "complete"
	opFail     = "fail"
)

type productionBody struct {
	Version int    `json:"v"` // 1
	Op      string `json:"op"`
	Matter  string `json:"matter,omitempty"` // reserve, begin

	Prefix string `json:"prefix,omitempty"` // reserve
	First  uint64 `json:"first,omitempty"`
	Count  uint64 `json:"count,omitempty"`
	Digits int    `json:"digits,omitempty"`

	Begin *NewProduction `json:"begin,omitempty"` // begin: its matter is this body's

	Of    uint64     `json:"of,omitempty"`    // part, complete, fail: seq of the begin
	Rows  [][]uint64 `json:"rows,omitempty"`  // part: [first number, last number, seq...]
	MRNs  []string   `json:"mrns,omitempty"`  // part
	Parts []uint64   `json:"parts,omitempty"` // complete: the parts that count
	Made  *Made      `json:"made,omitempty"`  // complete
	Code  string     `json:"code,omitempty"`  // fail

	By *role.Principal `json:"by,omitempty"` // reserve, begin
}

// Recipient is who gets a production (45 CFR 164.528(b)(2)(ii)).
type Recipient struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // where it is known
}

// NewProduction is what a production is made of, for whom and why.
type NewProduction struct {
	Matter      string    `json:"-"` // "" when it is for none
	Query       string    `json:"query"`
	Language    int       `json:"language"` // version of the query language
	Format      string    `json:"format"`
	At          uint64    `json:"at"` // size of the log that it is as of
	Recipient   Recipient `json:"recipient"`
	Purpose     Purpose   `json:"purpose"`
	Description string    `json:"description,omitempty"` // of what is disclosed, for the accounting; "": the usual
	Include     []Tag     `json:"include,omitempty"`     // tags whose entries were produced all the same
	Authority   string    `json:"authority,omitempty"`   // by what right they were
	Bates       uint64    `json:"bates,omitempty"`       // seq of the entry that reserved its numbers; 0 without
	Access      uint64    `json:"access,omitempty"`      // seq of the access entry of the export

	// By what one that was cut off is gone on with: the SHA-256 of all that was
	// asked, 64 lower-case hex digits, and the signed checkpoint that it is proven
	// against. Absent where that is not possible.
	Digest string `json:"digest,omitempty"`
	Anchor string `json:"anchor,omitempty"`
}

// Made is what a production came to.
type Made struct {
	Manifest string `json:"manifest"` // SHA-256 of its signed manifest, 64 lower-case hex digits
	Files    uint64 `json:"files"`
	Bytes    uint64 `json:"bytes"`
	Matched  uint64 `json:"matched"` // entries
	Produced uint64 `json:"produced"`
	Withheld uint64 `json:"withheld"`
	Redacted uint64 `json:"redacted,omitempty"`
	First    uint64 `json:"first,omitempty"` // Bates numbers that were used; 0 without
	Last     uint64 `json:"last,omitempty"`
	Patients uint64 `json:"patients"` // medical record numbers; Complete counts them
}

// Row says which entries are in a production under which Bates numbers, or, with
// both numbers 0, without.
type Row struct {
	First, Last uint64
	Seqs        []uint64
}

// The states of a production.
const (
	StateUnfinished = "unfinished" // it runs, was cut off, or the daemon did not live to end it: it counts as not made
	StateMade       = "made"
	StateFailed     = "failed"
)

// Production is one production, as it stands.
type Production struct {
	Seq uint64 // of the entry that began it: its number
	NewProduction
	State     string
	Began     time.Time
	By        role.Principal
	Bates     *Range // its numbers, burned whatever became of it; nil without
	Ended     *time.Time
	Made      *Made  // nil unless it was made
	Code      string // why it failed
	Clawbacks []uint64
}

// production is one production; Book.mu guards it.
type production struct {
	Production
	parts map[uint64]part
	count []uint64 // the parts that count, once it is made
}

// part is what is known of an entry of parts: the rest is in its body.
type part struct {
	mrns        bool
	rows        bool
	first, last uint64 // least and greatest Bates number
}

func (b *Book) findProduction(seq uint64) (*production, error) {
	i := sort.Search(len(b.productions), func(i int) bool { return b.productions[i].Seq >= seq })
	if i == len(b.productions) || b.productions[i].Seq != seq {
		return nil, ErrUnknownProduction
	}
	return b.productions[i], nil
}

// Begin records that a production is about to be made, and returns the seq by
// which it is known. It counts as unfinished until Complete or Fail, which a
// crash may keep from ever coming.
func (b *Book) Begin(ctx context.Context, who role.Principal, n NewProduction) (uint64, error) {
	if err := n.check(); err != nil {
		return 0, err
	}
	body := productionBody{Version: 1, Op: opBegin, Begin: &n, By: &who}
	return b.change(ctx, func(time.Time) error {
		body.Matter = n.Matter
		return b.mayBegin(&body)
	}, func() ([]archive.Entry, error) { return one(proof.KindProduction, body) })
}

func (n *NewProduction) check() error {
	if err := words("recipient", n.Recipient.Name); err != nil {
		return err
	}
	for _, text := range []struct{ what, s string }{
		{"recipient's address", n.Recipient.Address}, {"purpose", n.Purpose.Text}, {"description", n.Description}, {"authority", n.Authority},
	} {
		if err := short(text.what, text.s); err != nil {
			return err
		}
	}
	switch {
	case slices.ContainsFunc(n.Include, func(t Tag) bool { return !t.Valid() }) || len(n.Include) > len(allTags):
		return fmt.Errorf("%w: tags are %v", ErrInvalid, allTags)
	case len(n.Include) > 0 && strings.TrimSpace(n.Authority) == "":
		return fmt.Errorf("%w: what is tagged is produced by an authority that is named", ErrInvalid)
	case !n.Purpose.Category.Valid():
		return fmt.Errorf("%w: purposes are %v", ErrInvalid, Categories())
	case len(n.Query) > MaxQuery || !utf8.ValidString(n.Query):
		return fmt.Errorf("%w: a query is text of at most %d bytes", ErrInvalid, MaxQuery)
	case n.Digest != "" && !isDigest(n.Digest), len(n.Anchor) > maxAnchor || !utf8.ValidString(n.Anchor):
		return fmt.Errorf("%w: what it is gone on with by is not a digest and a checkpoint", ErrInvalid)
	case n.Language < 1 || n.Format == "" || len(n.Format) > MaxName:
		return fmt.Errorf("%w: a production has a query language and a format", ErrInvalid)
	}
	return nil
}

// maxAnchor bounds a checkpoint, in bytes.
const maxAnchor = 4 << 10

// isDigest reports whether s is a SHA-256 as 64 lower-case hex digits.
func isDigest(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == 32 && hex.EncodeToString(sum) == s
}

// mayBegin judges a begin, and gives it the matter's id as it was opened with.
// mu is held.
func (b *Book) mayBegin(body *productionBody) error {
	if body.Matter != "" {
		var err error
		if body.Matter, err = b.matter(body.Matter, true); err != nil {
			return err
		}
	}
	if body.Begin.Bates == 0 {
		return nil
	}
	r := b.reservations[body.Begin.Bates]
	if r == nil || r.production != 0 || matterKey(r.Matter) != matterKey(body.Matter) {
		return ErrNoReservation
	}
	return nil
}

// Complete records that a production was made: whoever was to get it has it,
// or may have. It has to be durable before the last of the production is
// handed out. rows may be nil; they come in any order and are kept in as many
// entries as they need, and so are the medical record numbers.
func (b *Book) Complete(ctx context.Context, seq uint64, m Made, rows iter.Seq[Row], mrns []string) error {
	if !isDigest(m.Manifest) {
		return fmt.Errorf("%w: a manifest's digest is 64 lower-case hexadecimal digits", ErrInvalid)
	}
	w := &partWriter{book: b, of: seq}
	if err := w.write(ctx, rows, mrns); err != nil {
		return err
	}
	m.First, m.Last, m.Patients = w.first, w.last, w.patients
	body := productionBody{Version: 1, Op: opComplete, Of: seq, Parts: w.parts, Made: &m}
	// A crash before this leaves parts that count for nothing and a production that is unfinished.
	_, err := b.change(ctx, func(time.Time) error { return b.running(seq) }, func() ([]archive.Entry, error) { return one(proof.KindProduction, body) })
	return err
}

// running says why a production does not run. mu is held.
func (b *Book) running(seq uint64) error {
	p, err := b.findProduction(seq)
	if err == nil && p.State != StateUnfinished {
		err = ErrEnded
	}
	return err
}

// Fail records that a production was given up, and why: code is a problem's,
// free of content. Its Bates numbers stay burned.
func (b *Book) Fail(ctx context.Context, seq uint64, code string) error {
	if code == "" || len(code) > MaxName {
		return fmt.Errorf("%w: a code has 1 to %d bytes", ErrInvalid, MaxName)
	}
	body := productionBody{Version: 1, Op: opFail, Of: seq, Code: code}
	_, err := b.change(ctx, func(time.Time) error { return b.running(seq) }, func() ([]archive.Entry, error) { return one(proof.KindProduction, body) })
	return err
}

func (b *Book) applyProduction(rec archive.Record) error {
	var body productionBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	switch body.Op {
	case opReserve:
		return b.applyReserve(rec, &body)
	case opBegin:
		return b.applyBegin(rec, &body)
	case opPart, opComplete, opFail:
		err := b.running(body.Of)
		if err != nil {
			b.fault(rec, err)
			return nil
		}
		p, _ := b.findProduction(body.Of)
		b.applyTo(p, rec, &body)
		return nil
	}
	b.fault(rec, ErrUnreadable)
	return nil
}

func (b *Book) applyBegin(rec archive.Record, body *productionBody) error {
	if body.Begin == nil || body.By == nil {
		return fmt.Errorf("a production begun without saying of what, or by whom")
	}
	if n := len(b.productions); n > 0 && b.productions[n-1].Seq >= rec.Leaf.Seq {
		return fmt.Errorf("a production that is not after the one before")
	}
	if err := b.mayBegin(body); err != nil {
		b.fault(rec, err)
		return nil
	}
	p := &production{parts: map[uint64]part{}, Production: Production{
		Seq: rec.Leaf.Seq, NewProduction: *body.Begin, State: StateUnfinished, Began: rec.Leaf.ReceivedTime(), By: *body.By,
	}}
	p.Matter = body.Matter
	if r := b.reservations[body.Begin.Bates]; r != nil {
		r.production = rec.Leaf.Seq
		rng := r.Range
		p.Bates = &rng
	}
	b.productions = append(b.productions, p)
	return nil
}

// applyTo takes in what becomes of a production that runs.
func (b *Book) applyTo(p *production, rec archive.Record, body *productionBody) {
	at := rec.Leaf.ReceivedTime()
	switch body.Op {
	case opPart:
		made, err := p.part(body, rec.Leaf.Seq)
		if err != nil {
			b.fault(rec, err)
			return
		}
		p.parts[rec.Leaf.Seq] = made
	case opComplete:
		if body.Made == nil {
			b.fault(rec, ErrInvalid)
			return
		}
		// Whatever is wrong with its parts, somebody has it: it counts as made.
		p.State, p.Ended, p.Made = StateMade, &at, body.Made
		for _, seq := range body.Parts {
			if _, ok := p.parts[seq]; !ok || slices.Contains(p.count, seq) {
				b.fault(rec, ErrParts)
				continue
			}
			p.count = append(p.count, seq)
		}
	case opFail:
		p.State, p.Ended, p.Code = StateFailed, &at, body.Code
	}
}

// Production returns a production as it stands; false when there is none.
func (b *Book) Production(seq uint64) (*Production, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, err := b.findProduction(seq)
	if err != nil {
		return nil, false
	}
	return p.view(), true
}

// Productions returns every production there ever was, in the order in which
// they began.
func (b *Book) Productions() []Production {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Production, 0, len(b.productions))
	for _, p := range b.productions {
		out = append(out, *p.view())
	}
	return out
}

func (p *production) view() *Production {
	out := p.Production
	out.Clawbacks = slices.Clone(p.Clawbacks)
	return &out
}
