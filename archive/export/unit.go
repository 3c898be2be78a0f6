package export

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// An item is one seq of the request with what becomes of it.
type item struct {
	member
	rec      archive.Record
	row      Row
	payload  *envelope.Payload // of a message that can be read
	device   uint64            // of a message: the seq of its sender's device.add entry
	reason   string            // why its data is not produced; "" if it is
	withheld *Withheld         // by whose word it is not; nil: not by anybody's
	shown    bool              // it has a row
	places   int               // where its text is covered
	reasons  []string          // why, without repetition
	says     says
	usrs     []string // relay users whom the row named before it was reduced
}

// hangs reports whether the item is produced with what it hangs at.
func (it *item) hangs() bool { return it.head != 0 }

// proven reports whether the production holds a proof of the item's row.
func (it *item) proven() bool { return it.shown && it.row.Withheld == "" && it.row.Unproven == "" }

// says is what the archive adds to what an entry itself says: nothing in the
// log proves it.
type says struct {
	Target      *uint64   `json:"target,omitempty"`     // seq of the message that it hangs at
	Custodians  []string  `json:"custodians,omitempty"` // names
	Holds       []string  `json:"holds,omitempty"`      // names
	Text        string    `json:"text,omitempty"`       // path of its text's file
	Attachments []content `json:"attachments,omitempty"`
}

// content is an attachment's content as it was produced; all empty where it is
// not.
type content struct {
	Path   string `json:"path,omitempty"` // of a file of its own
	Text   string `json:"text,omitempty"` // path of what could be read of it
	Size   uint64 `json:"size,omitempty"` // bytes
	MD5    string `json:"md5,omitempty"`  // hex, as the SHA-256
	SHA256 string `json:"sha256,omitempty"`
}

// A unit is what is rendered as one document.
type unit struct {
	place  placement
	first  uint64  // seq of its first member, whether or not that has a row
	items  []*item // ascending by seq; those that have rows
	owner  int     // whose volume it is in: of producer.owners
	volume int     // from 0; known once it is rendered
	bates  uint64  // its first Bates number; likewise
}

// placement says what a unit is; it stands in proofs.json.
type placement struct {
	Stem  string
	Day   string
	Part  int
	Parts int
}

// render returns the unit as the format's Writer takes it.
func (u *unit) render(kind render.UnitKind, texts func(it *item, i int) string, open func(it *item, i int) opener) (*render.Unit, error) {
	out := &render.Unit{Kind: kind, Stem: u.place.Stem, Day: u.place.Day, Part: u.place.Part, Parts: u.place.Parts}
	for _, it := range u.items {
		e, err := entryOf(&it.row, &it.says)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", it.row.Seq, err)
		}
		if it.proven() {
			leaf, err := it.rec.Leaf.Marshal()
			if err != nil {
				return nil, err
			}
			e.LeafHash = hexOf(proof.LeafHash(leaf))
		}
		for i := range e.Attachments {
			a := &e.Attachments[i]
			if a.SHA256 != "" && a.Path == "" {
				a.Open = open(it, i)
			}
			if a.TextPath != "" {
				a.Text = texts(it, i)
			}
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

// decide reads one entry and says whether and how it is produced.
func (p *producer) decide(ctx context.Context, m member) (*item, error) {
	it, err := p.read(ctx, m.seq)
	if err != nil {
		return nil, err
	}
	it.member = m
	if it.reason == "" {
		p.cover.apply(p, it)
		if it.reason == "" {
			p.reduce(it)
		}
		if it.reason == "" && it.row.tooLarge() {
			it.reason = ReasonTooLarge
		}
	}
	if it.reason == "" {
		it.shown = true
		p.assert(it)
	}
	if it.withheld != nil && p.unit != render.Message && !p.lines {
		it.row, it.shown = Row{Seq: it.row.Seq, Kind: it.row.Kind, Received: it.row.Received, Withheld: it.withheld.Tag}, true
	}
	return it, nil
}

// read reads one entry and makes its row; a reason says why it has none.
func (p *producer) read(ctx context.Context, seq uint64) (*item, error) {
	rec, err := p.entries.record(ctx, seq)
	switch {
	case errors.Is(err, archive.ErrDisposed):
		return p.exclude(ctx, seq, ReasonDisposed)
	case errors.Is(err, archive.ErrNoBody):
		return p.exclude(ctx, seq, ReasonNoBody)
	case errors.Is(err, archive.ErrDamaged):
		return p.exclude(ctx, seq, ReasonDamaged)
	case err != nil:
		return nil, fmt.Errorf("read entry %d: %w", seq, err)
	}
	it := &item{rec: rec}
	if !outward(rec.Leaf.Kind) {
		it.reason = ReasonInternal
		return it, nil
	}
	p.known.err = nil
	if it.row, it.payload, err = rowOf(rec, p.known); err == nil && rec.Leaf.Kind == proof.KindMessage {
		it.device = p.known.device(it.row.Device, rec.Leaf)
	}
	err = errors.Join(err, p.known.err)
	if err == nil && it.row.size() > MaxLine {
		err = errTooLarge // before anything is made of it
	}
	switch {
	case errors.Is(err, errUnreadable):
		it.reason = ReasonUnreadable
	case errors.Is(err, errNoEvidence):
		it.reason = ReasonEvidence
	case errors.Is(err, errTooLarge):
		it.reason = ReasonTooLarge
	case err != nil:
		return nil, err
	case it.row.Withheld != "":
		it.reason, it.shown = it.row.Withheld, true
	}
	return it, nil
}

// exclude makes the item of an entry that cannot be read: its leaf still says
// of what kind it is.
func (p *producer) exclude(ctx context.Context, seq uint64, reason string) (*item, error) {
	for leaf, err := range p.log.Scan(ctx, seq, seq+1) {
		if err != nil {
			return nil, fmt.Errorf("read leaf %d: %w", seq, err)
		}
		return &item{rec: archive.Record{Leaf: leaf}, reason: reason}, nil
	}
	return nil, fmt.Errorf("read leaf %d: %w", seq, archive.ErrNotFound)
}

// outward reports whether entries of kind k may leave the house: what the
// relay sent and what became of it. Entries about the archive's own running
// and about who looked at what are work product.
func outward(k proof.Kind) bool {
	return k.FromRelay() || k == proof.KindBlob || k == proof.KindEpoch
}

// assert adds what the archive says of the entry beyond the entry itself.
func (p *producer) assert(it *item) {
	if it.hangs() && it.row.Kind == proof.KindMessage {
		it.says.Target = &it.head
	}
	if p.lines {
		if it.row.Unproven != "" {
			it.row.Target = it.says.Target
		}
		return
	}
	if p.req.Custodians != nil && it.row.From != nil && !p.req.reduces() {
		it.says.Custodians = p.req.Custodians(it.row.usrs())
	}
	// For which lawsuits a message is held is none of the patient's papers.
	if p.req.Holds != nil && p.req.Patient == nil {
		it.says.Holds = p.req.Holds(it.row.Seq)
	}
}

// usrs returns the people of the row: its sender, recipients and the members of
// its conversation.
func (row *Row) usrs() []string {
	var out []string
	if row.From != nil {
		out = append(out, row.From.Usr)
	}
	for _, to := range row.To {
		out = append(out, to.Usr)
	}
	if row.Conversation != nil {
		out = append(out, row.Conversation.Members...)
	}
	return out
}

// digestOf returns the digest by which a ref names the message.
func digestOf(body []byte) string {
	c, err := jws.Parse(body, envelope.TypMessage)
	if err != nil {
		return ""
	}
	d := c.Digest()
	return jws.EncodeB64(d[:])
}

// seqs names the seqs of the unit's items for people.
func seqs(u *unit) string {
	out := make([]string, 0, len(u.items))
	for _, it := range u.items {
		out = append(out, strconv.FormatUint(it.row.Seq, 10))
		if len(out) == 20 {
			return strings.Join(append(out, "and more"), ", ")
		}
	}
	return strings.Join(out, ", ")
}
