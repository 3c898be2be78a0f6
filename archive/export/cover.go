package export

import (
	"context"
	"maps"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
)

// covered stands where text was: of the same width whatever was there.
const covered = "███"

// The reasons why a row has no proof (Row.Unproven).
const (
	UnprovenRedacted = "redacted"       // text of it is covered
	UnprovenNames    = "names-withheld" // its entry holds a hash or name of what is withheld or covered
)

// cover knows what of a production is withheld or covered, and every name and
// hash by which another entry could tell of it. A digest covers a message's
// text and its mid, which refs give away: who had both could try texts until
// one fits. So what holds either leaves without its own bytes.
type cover struct {
	marks map[string]mark     // by digest of each version of a message
	names map[string]struct{} // digests, mids and what opens attachments
	seqs  map[uint64]struct{} // of what is withheld or covered
}

// mark is what befalls all versions of one message.
type mark struct {
	withheld *Withheld
	redact   []int // of Request.Redact, ascending: those for its seq
}

// seekCover goes over what is to be produced until it is known which messages
// are withheld or covered with all their versions. It keeps some hundred bytes
// for each of those, and nothing of the rest.
func (p *producer) seekCover(ctx context.Context) error {
	c := &p.cover
	c.marks, c.names, c.seqs = map[string]mark{}, map[string]struct{}{}, map[uint64]struct{}{}
	if len(p.req.Redact) == 0 && p.req.Patient == nil && (p.req.Withhold == nil || p.req.Tagged != nil && len(p.req.Tagged) == 0) {
		return nil
	}
	for before := -1; before != c.size(); {
		before = c.size()
		for seq := range p.named() {
			it, err := p.read(ctx, seq)
			if err != nil {
				return err
			}
			c.apply(p, it)
		}
		err := p.eachMember(ctx, func(m member) error {
			it, err := p.read(ctx, m.seq)
			if err == nil && it.reason == "" {
				c.apply(p, it)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// size grows whenever something more is known.
func (c *cover) size() int {
	n := len(c.seqs) + len(c.marks)
	for _, m := range c.marks {
		n += len(m.redact)
		if m.withheld != nil {
			n++
		}
	}
	return n
}

// named returns the seqs that the request itself names as withheld or covered.
func (p *producer) named() map[uint64]struct{} {
	out := map[uint64]struct{}{}
	for _, seq := range p.req.Tagged {
		out[seq] = struct{}{}
	}
	for _, r := range p.req.Redact {
		if r.Seq != nil {
			out[*r.Seq] = struct{}{}
		}
	}
	// Beyond the log as of which the production is there is nothing to name.
	maps.DeleteFunc(out, func(seq uint64, _ struct{}) bool { return seq == 0 || seq >= p.req.At })
	return out
}

// apply withholds the item, covers its text, or takes its own bytes from it,
// as far as it must be. What it finds it remembers.
func (c *cover) apply(p *producer, it *item) {
	if len(p.req.Redact) == 0 && p.req.Withhold == nil && p.req.Patient == nil {
		return
	}
	own, of, version := it.digests()
	m := c.markOf(p, it.rec.Leaf.Seq, own, of, version)
	if m.withheld == nil && p.req.Patient.foreign(it.payload) {
		m.withheld = &otherPatient
	}
	if m.withheld != nil {
		c.remember(it, own, of, version, m)
		it.reason, it.withheld, it.shown = m.withheld.Tag, m.withheld, false
		return
	}
	if c.redact(p, it, m) {
		c.remember(it, own, of, version, mark{redact: m.redact})
		it.bare(UnprovenRedacted)
		return
	}
	if _, again := c.seqs[redelivered(it)]; again || c.told(it) {
		it.bare(UnprovenNames)
	}
}

// withholds reports whether the item is withheld by somebody's word.
func (c *cover) withholds(p *producer, it *item) bool {
	if p.req.Withhold == nil {
		return false
	}
	own, of, version := it.digests()
	return c.markOf(p, it.rec.Leaf.Seq, own, of, version).withheld != nil
}

// digests returns the digest of a message and that of the one which it is about;
// version says that both are versions of one.
func (it *item) digests() (own, of string, version bool) {
	if it.payload == nil {
		return "", "", false
	}
	own = digestOf(it.rec.Body)
	if it.payload.Ref != nil {
		of, version = it.payload.Ref.Digest, it.payload.Typ == envelope.TypEdit
	}
	return own, of, version
}

// markOf returns what befalls the message at seq: by its own seq, by another
// version of it, or by the message that it hangs at.
func (c *cover) markOf(p *producer, seq uint64, own, of string, version bool) mark {
	var out mark
	if p.req.Withhold != nil {
		if w, ok := p.req.Withhold(seq); ok {
			out.withheld = &w
		}
	}
	for i, r := range p.req.Redact {
		if r.Seq != nil && *r.Seq == seq {
			out.redact = append(out.redact, i)
		}
	}
	for _, digest := range []string{own, of} {
		m, ok := c.marks[digest]
		if !ok || digest == "" {
			continue
		}
		if out.withheld == nil {
			out.withheld = m.withheld
		}
		if digest == own || version {
			out.redact = append(out.redact, m.redact...)
		}
	}
	slices.Sort(out.redact)
	out.redact = slices.Compact(out.redact)
	return out
}

// remember notes by what names the item could be told of, and what befalls its
// other versions.
func (c *cover) remember(it *item, own, of string, version bool, m mark) {
	c.seqs[it.rec.Leaf.Seq] = struct{}{}
	if it.payload == nil {
		return
	}
	c.names[own], c.names[it.payload.Mid] = struct{}{}, struct{}{}
	for _, a := range it.payload.Att {
		for _, name := range []string{a.BID, a.Key, a.CTSHA256} {
			c.names[name] = struct{}{}
		}
	}
	c.marks[own] = m
	if version {
		c.marks[of] = m
		// The version before is covered or withheld as well, whether it is
		// produced or not.
		c.names[of], c.names[it.payload.Ref.Mid] = struct{}{}, struct{}{}
	}
}

// told reports whether the entry's own bytes name what is withheld or covered.
func (c *cover) told(it *item) bool {
	body := it.rec.Body
	if it.payload != nil {
		body = payloadOf(body)
	}
	return slices.ContainsFunc(appendStrings(appendStrings(nil, body), it.rec.Note), func(s string) bool {
		_, ok := c.names[s]
		return ok
	})
}

// redelivered returns the seq of which the item is a redelivery; else 0.
func redelivered(it *item) uint64 {
	var body archive.RedeliveryBody
	if it.rec.Leaf.Kind != proof.KindRedelivery || ijson.Unmarshal(it.rec.Body, &body) != nil {
		return 0
	}
	return body.Of
}

// bare takes from the item's row all that its entry's own bytes would prove or
// tell, but what was said and by whom.
func (it *item) bare(why string) {
	row := &it.row
	row.Unproven, row.JWS, row.Body, row.Ref, row.Mid, row.Dev, row.Device, row.Approved = why, "", "", nil, "", "", "", 0
	if row.From != nil {
		from := *row.From
		from.Entry, row.From = 0, &from
	}
	for i := range row.To {
		row.To[i].Entry = 0
	}
	for i := range row.Attachments {
		a := &row.Attachments[i]
		a.Entry, a.BID = 0, ""
		if row.Redacted {
			*a = Attachment{Name: covered}
		}
	}
}
