package docket

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

type clawbackBody struct {
	Version     int            `json:"v"` // 1
	Matter      string         `json:"matter"`
	Prefix      string         `json:"prefix"`
	First       uint64         `json:"first"`
	Last        uint64         `json:"last"`
	Digits      int            `json:"digits"`
	Productions []Clawed       `json:"productions"`
	Entries     uint64         `json:"entries"`
	By          role.Principal `json:"by"`
	Reason      string         `json:"reason"`
}

// Clawed is what is asked back of one production.
type Clawed struct {
	Production uint64 `json:"of"`
	First      uint64 `json:"first"` // numbers of it that are asked back
	Last       uint64 `json:"last"`
}

// Clawback is what was produced by mistake and is asked back.
type Clawback struct {
	Seq         uint64
	Matter      string
	Prefix      string
	First, Last uint64 // as asked for
	Digits      int
	Productions []Clawed // each within First and Last
	Entries     uint64   // that were tagged privileged
	At          time.Time
	By          role.Principal
	Reason      string
}

// Range returns the numbers asked back as they are printed: "A..B", or one alone.
func (c *Clawback) Range() string { return labels(c.Prefix, c.First, c.Last, c.Digits) }

// Labels returns the numbers of one production that are asked back.
func (c *Clawback) Labels(of Clawed) string { return labels(c.Prefix, of.First, of.Last, c.Digits) }

func labels(prefix string, first, last uint64, digits int) string {
	if first == last {
		return Label(prefix, first, digits)
	}
	return Label(prefix, first, digits) + ".." + Label(prefix, last, digits)
}

// NewClawback asks back what a matter produced under Bates numbers.
type NewClawback struct {
	Matter   string
	From, To string // Bates numbers as they are printed, both included
	Reason   string // for the house: the notice does not have it
}

// ParseRange reads two Bates numbers of one prefix.
func ParseRange(from, to string) (prefix string, first, last uint64, err error) {
	if prefix, first, err = ParseLabel(from); err != nil {
		return "", 0, 0, err
	}
	other, last, err := ParseLabel(to)
	if err == nil && (other != prefix || last < first) {
		err = fmt.Errorf("%w: a range of Bates numbers has one prefix, and its end is not before its begin", ErrInvalid)
	}
	return prefix, first, last, err
}

// Claw asks back what the matter's productions have under a range of Bates
// numbers: it is recorded, and every entry under those numbers is tagged
// privileged in the same batch, so that no later production has it. A matter
// that was closed meanwhile may as well.
func (b *Book) Claw(ctx context.Context, who role.Principal, n NewClawback) (*Clawback, error) {
	prefix, first, last, err := ParseRange(n.From, n.To)
	if err != nil {
		return nil, err
	}
	if err := words("reason", n.Reason); err != nil {
		return nil, err
	}
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	body := clawbackBody{Version: 1, Prefix: prefix, First: first, Last: last, Digits: len(n.From) - len(prefix), By: who, Reason: n.Reason}
	var found []*production
	if err := b.judged(ctx, func(time.Time) (err error) {
		if body.Matter, err = b.matter(n.Matter, false); err != nil {
			return err
		}
		found = b.under(body.Matter, prefix, first, last)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, p := range found {
		// A notice names numbers as they stand on the documents.
		if d := p.Bates.Digits; Label(prefix, first, d) != n.From || Label(prefix, last, d) != n.To {
			return nil, fmt.Errorf("%w: the numbers are printed as %s: write both like that", ErrInvalid, p.Bates.Labels(first, last))
		}
	}
	seqs, err := b.reach(ctx, &body, found)
	if err != nil {
		return nil, err
	}
	entries, err := body.entries(seqs)
	if err != nil {
		return nil, err
	}
	// A crash before this leaves nothing asked back and nothing tagged, after it both.
	seq, err := b.write(ctx, entries...)
	if err != nil {
		return nil, err
	}
	c, _ := b.Clawback(seq)
	return c, nil
}

// under returns copies of the productions of a matter that were made under any
// of the numbers. mu is held.
func (b *Book) under(matter, prefix string, first, last uint64) []*production {
	var out []*production
	for _, p := range b.productions {
		if p.State == StateMade && p.Bates != nil && matterKey(p.Matter) == matterKey(matter) &&
			p.Bates.Prefix == prefix && p.Bates.First <= last && p.Bates.Last() >= first {
			out = append(out, p.copied())
		}
	}
	return out
}

// reach finds the entries under the numbers of the body, and says in it which
// numbers of which production have any.
func (b *Book) reach(ctx context.Context, body *clawbackBody, found []*production) ([]uint64, error) {
	seqs := map[uint64]bool{}
	for _, p := range found {
		c := Clawed{Production: p.Seq}
		for _, seq := range p.count {
			if !p.parts[seq].rows || p.parts[seq].first > body.Last || p.parts[seq].last < body.First {
				continue
			}
			of, err := b.readPart(ctx, seq)
			if err != nil {
				return nil, err
			}
			for _, row := range of.Rows {
				if row[0] == 0 || row[0] > body.Last || row[1] < body.First {
					continue
				}
				if from := max(row[0], body.First); c.First == 0 || from < c.First {
					c.First = from
				}
				c.Last = max(c.Last, min(row[1], body.Last))
				for _, s := range row[2:] {
					seqs[s] = true
				}
			}
		}
		if c.First != 0 {
			body.Productions = append(body.Productions, c)
		}
	}
	if len(seqs) == 0 {
		return nil, ErrNotProduced
	}
	body.Entries = uint64(len(seqs))
	return slices.Sorted(maps.Keys(seqs)), nil
}

// spansPerEntry is how many spans a tag of a clawback has at most.
const spansPerEntry = partLength / (2*maxDecimal + 2)

// entries makes the batch: the clawback, and the tags of what it is about.
func (body *clawbackBody) entries(seqs []uint64) ([]archive.Entry, error) {
	out, err := one(proof.KindClawback, body)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(spansOf(seqs), spansPerEntry) {
		e, err := entry(proof.KindTag, tagBody{
			Version: 1, Op: opAdd, Tag: Privileged, Matter: body.Matter, Seqs: some, Clawback: true, By: body.By, Reason: body.Reason,
		})
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if len(out) > archive.MaxBatch {
		return nil, fmt.Errorf("%w: that is too much at once; ask it back in several ranges", ErrInvalid)
	}
	return out, nil
}

func (b *Book) applyClawback(rec archive.Record) error {
	var body clawbackBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	if _, err := b.matter(body.Matter, false); err != nil {
		b.fault(rec, err)
		return nil
	}
	if checkPrefix(body.Prefix) != nil || body.First == 0 || body.Last < body.First || body.Last > MaxNumber || body.Digits < 1 || body.Digits > MaxDigits {
		b.fault(rec, ErrInvalid)
		return nil
	}
	c := &Clawback{
		Seq: rec.Leaf.Seq, Matter: body.Matter, Prefix: body.Prefix, First: body.First, Last: body.Last, Digits: body.Digits,
		Entries: body.Entries, At: rec.Leaf.ReceivedTime(), By: body.By, Reason: body.Reason,
	}
	var touched []*production
	for _, of := range body.Productions {
		p, err := b.findProduction(of.Production)
		if err != nil || p.State != StateMade || p.Bates == nil || matterKey(p.Matter) != matterKey(body.Matter) || p.Bates.Prefix != body.Prefix ||
			of.First < max(p.Bates.First, body.First) || of.Last < of.First || of.Last > min(p.Bates.Last(), body.Last) || slices.Contains(touched, p) {
			b.fault(rec, ErrNotProduced)
			return nil
		}
		touched = append(touched, p)
		c.Productions = append(c.Productions, of)
	}
	if len(touched) == 0 {
		b.fault(rec, ErrNotProduced)
		return nil
	}
	for _, p := range touched {
		p.Clawbacks = append(p.Clawbacks, c.Seq)
	}
	b.clawbacks = append(b.clawbacks, c)
	return nil
}

// Clawback returns a clawback; false when there is none at that seq.
func (b *Book) Clawback(seq uint64) (*Clawback, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.clawbacks {
		if c.Seq == seq {
			return c, true // never changed once it is there
		}
	}
	return nil, false
}

// Clawbacks returns every clawback, in the log's order.
func (b *Book) Clawbacks() []*Clawback {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.clawbacks)
}

// Notice returns the text by which a recipient is asked to give back what it
// has, by FRCP 26(b)(5)(B) and FRE 502. It names the numbers and nothing of the
// matter, of what the documents say, or of why.
func Notice(recipient Recipient, c *Clawback, of Clawed, produced time.Time) string {
	var s strings.Builder
	fmt.Fprintf(&s, "To: %s\n", oneLine(recipient.Name))
	if recipient.Address != "" {
		fmt.Fprintf(&s, "    %s\n", oneLine(recipient.Address))
	}
	fmt.Fprintf(&s, "\nNotice of a claim of privilege or protection\n"+
		"Federal Rule of Civil Procedure 26(b)(5)(B); Federal Rule of Evidence 502(b) and (d)\n\n"+
		"The documents with the Bates numbers\n\n    %s\n\nwhich were produced on %s, contain information that is subject to a claim of privilege or of\n"+
		"protection as trial-preparation material. They were produced inadvertently. No privilege or protection\nis waived by it.\n\n"+
		"Until the claim is resolved, please\n\n"+
		"  - return, sequester or destroy these documents and every copy of them, at once;\n"+
		"  - neither use nor disclose what they say;\n"+
		"  - take reasonable steps to retrieve it, where it was passed on before this notice.\n\n"+
		"You may present the information to the court, under seal, for a determination of the claim. We preserve\n"+
		"it until then. Where an order under Federal Rule of Evidence 502(d) is in force, its terms go before\nthose of this notice.\n\n"+
		"Please confirm in writing what was done.\n",
		strings.ReplaceAll(labels(c.Prefix, of.First, of.Last, c.Digits), "..", " to "), produced.UTC().Format("2 January 2006"))
	return s.String()
}

// oneLine keeps what somebody typed from making lines of its own in a notice.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
