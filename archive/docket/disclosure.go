package docket

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/internal/role"
)

// Category is why something is disclosed, as the accounting of disclosures
// (45 CFR 164.528) tells purposes apart.
type Category string

// The categories.
const (
	Litigation     Category = "litigation"
	Subpoena       Category = "subpoena"
	Oversight      Category = "oversight"       // health oversight, 164.512(d)
	PublicHealth   Category = "public-health"   // 164.512(b)
	LawEnforcement Category = "law-enforcement" // 164.512(f)
	PatientAccess  Category = "patient-access"  // to the individual, 164.524
	Operations     Category = "operations"      // health care operations
	Treatment      Category = "treatment"
	Payment        Category = "payment"
	Authorization  Category = "authorization" // of the individual, 164.508
	Other          Category = "other"
)

var categories = []Category{
	Litigation, Subpoena, Oversight, PublicHealth, LawEnforcement, PatientAccess, Operations, Treatment, Payment, Authorization, Other,
}

// Categories returns every category.
func Categories() []Category { return slices.Clone(categories) }

// Valid reports whether c is one of the categories.
func (c Category) Valid() bool { return slices.Contains(categories, c) }

// Exempt reports whether an accounting may leave out disclosures of the
// category, 45 CFR 164.528(a)(1)(i), (ii) and (iv).
func (c Category) Exempt() bool {
	switch c {
	case Treatment, Payment, Operations, PatientAccess, Authorization:
		return true
	}
	return false
}

// Purpose is why something is disclosed.
type Purpose struct {
	Category Category `json:"category"`
	Text     string   `json:"text,omitempty"` // the brief statement of 45 CFR 164.528(b)(2)(iv); without one the category is it
}

// AccountingYears is how far back an individual may ask, 45 CFR 164.528(a)(1).
const AccountingYears = 6

// Accounting asks what was disclosed of a patient.
type Accounting struct {
	MRN   string    // exact but for the space around it and its case
	Since time.Time // zero: AccountingYears before now
	All   bool      // the exempt ones as well
}

// Disclosure is one disclosure of a patient's messages: what 45 CFR
// 164.528(b)(2) asks for, and the production that it was.
type Disclosure struct {
	Production  uint64
	Matter      string // for the house alone
	At          time.Time
	Recipient   Recipient
	Description string
	Purpose     Purpose
	Exempt      bool
	Partial     bool           // it came to no end: some of it was handed out, with messages of the patient or without
	By          role.Principal // for the house alone
}

// Account is what was disclosed of a patient.
type Account struct {
	Since       time.Time
	Until       time.Time // as of which it counts
	Disclosures []Disclosure
	Left        uint64 // exempt ones that were left out

	// Unfinished are productions that were begun since and neither completed nor
	// given up, of which it is not known that they concern the patient: the daemon
	// may have died, or they run.
	Unfinished []uint64
}

// Disclosures accounts for what was disclosed of a patient: every production
// that was made from Since on with a message under the medical record number,
// in the order in which they were made, and those that were cut off when some
// of it was handed out. Messages without one are in no account. An entry that cannot be read is an error: nobody shall take an
// account for whole that is not.
func (b *Book) Disclosures(ctx context.Context, q Accounting) (*Account, error) {
	key := mrnKey(q.MRN)
	if key == "" {
		return nil, fmt.Errorf("%w: give a medical record number", ErrInvalid)
	}
	out := &Account{Since: q.Since, Until: b.options.Log.Now(), Disclosures: []Disclosure{}}
	if out.Since.IsZero() {
		out.Since = out.Until.AddDate(-AccountingYears, 0, 0)
	}
	for _, p := range b.handedSince(out.Since) {
		has, err := b.concerns(ctx, p, key)
		switch {
		case err != nil:
			return nil, err
		case !has && p.State == StateUnfinished:
			out.Unfinished = append(out.Unfinished, p.Seq)
			continue
		case !has:
			continue
		case p.Purpose.Category.Exempt() && !q.All:
			out.Left++
			continue
		}
		out.Disclosures = append(out.Disclosures, p.disclosure())
	}
	slices.SortStableFunc(out.Disclosures, func(x, y Disclosure) int { return x.At.Compare(y.At) })
	return out, nil
}

// handedSince returns copies of the productions of which something was, or may
// have been, handed out from since on.
func (b *Book) handedSince(since time.Time) []*production {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*production
	for _, p := range b.productions {
		if !p.ended().Before(since) {
			out = append(out, p.copied())
		}
	}
	return out
}

// ended returns when the production ended; when it began, of one that has not.
func (p *production) ended() time.Time {
	if p.Ended == nil {
		return p.Began
	}
	return *p.Ended
}

// copied returns the production as it stands, for use without mu. Of one that
// was not made every part counts: it was written because something had been
// handed out.
func (p *production) copied() *production {
	out := &production{Production: *p.view(), parts: map[uint64]part{}, count: slices.Clone(p.count)}
	if p.State != StateMade {
		out.count = slices.Sorted(maps.Keys(p.parts))
	}
	for _, seq := range out.count {
		out.parts[seq] = p.parts[seq]
	}
	return out
}

// concerns reports whether a production has a message of the patient.
func (b *Book) concerns(ctx context.Context, p *production, key string) (bool, error) {
	for _, seq := range p.count {
		if !p.parts[seq].mrns {
			continue
		}
		body, err := b.readPart(ctx, seq)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(body.MRNs, func(mrn string) bool { return mrnKey(mrn) == key }) {
			return true, nil
		}
	}
	return false, nil
}

// Disclose records that some of a production was handed out, and the medical
// record numbers that are in it, before it is given up or left to be gone on
// with.
func (b *Book) Disclose(ctx context.Context, seq uint64, mrns []string) error {
	return (&partWriter{book: b, of: seq}).write(ctx, nil, mrns)
}

// usual describes what a production discloses when nobody said it better.
const usual = "secure text messages that carry the medical record number, with what belongs to them"

// cutOff is said of a production that came to no end.
const cutOff = "; it was cut off before it was whole, and some of it, with these messages or without, was handed out"

func (p *production) disclosure() Disclosure {
	d := Disclosure{
		Production: p.Seq, Matter: p.Matter, At: p.ended(), Recipient: p.Recipient, Description: p.Description,
		Purpose: p.Purpose, Exempt: p.Purpose.Category.Exempt(), Partial: p.State != StateMade, By: p.By,
	}
	if d.Description == "" {
		d.Description = usual
	}
	if d.Partial {
		d.Description += cutOff
	}
	return d
}
