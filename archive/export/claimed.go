package export

import "holdfast/archive/proof"

// claimed answers for one row of a production: the row says which entries its
// names and statuses come from, and only entries that were proven count. A row
// that names another one is rendered without what it says.
type claimed struct {
	row     *Row
	p       *book
	entries map[string]uint64 // by usr
}

func newClaimed(row *Row, p *book) *claimed {
	c := &claimed{row: row, p: p, entries: map[string]uint64{}}
	for _, who := range row.To {
		c.entries[who.Usr] = who.Entry
	}
	if row.From != nil {
		c.entries[row.From.Usr] = row.From.Entry
	}
	return c
}

// User implements AsOf.
func (c *claimed) User(usr string, at proof.Leaf) (Person, bool) {
	entry := c.entries[usr]
	if entry == 0 {
		return Person{}, false
	}
	return c.p.seen[entry].asUser(usr, at)
}

// Approval implements AsOf.
func (c *claimed) Approval(kid string, at proof.Leaf) (uint64, bool) {
	entry := c.row.Approved
	return entry, entry != 0 && c.p.seen[entry].asApproval(kid, at) != nil
}

// Blob implements AsOf.
func (c *claimed) Blob(at proof.Leaf, bid string) (string, uint64, bool) {
	for _, a := range c.row.Attachments {
		if a.BID != bid || a.Entry == 0 {
			continue
		}
		status, ok := c.p.seen[a.Entry].asBlob(at, bid)
		if !ok || c.p.v.m != nil && a.Entry >= c.p.v.m.At {
			return "", 0, false
		}
		return status, a.Entry, true
	}
	return "", 0, false
}
