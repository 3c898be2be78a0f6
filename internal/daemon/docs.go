package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// docs is the archive as the index sees it: the messages that carry a text,
// with the names that the directory had for their people at their place.
type docs struct{ *parts }

// Size returns the number of committed entries.
func (d docs) Size() uint64 { return d.archive.Size() }

// Wait blocks until the log has more than size entries.
func (d docs) Wait(ctx context.Context, size uint64) error { return d.archive.Wait(ctx, size) }

// LeavesPerFile returns how many entries one index covers.
func (d docs) LeavesPerFile() uint64 { return d.archive.LogFileLeaves() }

// Docs yields what can be searched in [from, to). A message that cannot be read
// is left out, and the index goes past it only once that is on record.
func (d docs) Docs(ctx context.Context, from, to uint64) iter.Seq2[query.Doc, error] {
	return func(yield func(query.Doc, error) bool) {
		if err := d.state.CatchUp(ctx, to); err != nil {
			yield(query.Doc{}, err)
			return
		}
		for leaf, err := range d.archive.Scan(ctx, from, to) {
			if err != nil {
				yield(query.Doc{}, err)
				return
			}
			if leaf.Kind != proof.KindMessage {
				continue
			}
			m, err := d.message(ctx, leaf)
			switch {
			case errors.Is(err, archive.ErrDisposed):
				continue
			case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDamaged):
				if err := d.noteUnreadable(ctx, leaf.Seq); err != nil {
					yield(query.Doc{}, err)
					return
				}
				continue
			case err != nil:
				yield(query.Doc{}, err)
				return
			}
			if searchable(m.payload) && !yield(m.doc(), nil) {
				return
			}
		}
	}
}

// searchable reports whether a message has something to say of its own;
// receipts, reactions, recalls and their like hang at another message.
func searchable(p *envelope.Payload) bool {
	return p.Typ == envelope.TypMsg || p.Typ == envelope.TypEdit
}

// message is one message read back from the archive.
type message struct {
	leaf    proof.Leaf
	payload *envelope.Payload
	digest  [32]byte
	from    query.Party
	to      query.Parties
}

// message reads the message at leaf. The state has been caught up past it.
func (p *parts) message(ctx context.Context, leaf proof.Leaf) (*message, error) {
	record, err := p.archive.RecordOf(ctx, leaf)
	if err != nil {
		return nil, err
	}
	compact, err := jws.Parse(record.Body, envelope.TypMessage)
	if err != nil {
		return nil, &archive.SeqError{Seq: leaf.Seq, Err: fmt.Errorf("%w: its body is no signed message", archive.ErrDamaged)}
	}
	payload, err := envelope.ParsePayload(compact.Payload)
	if err != nil {
		return nil, &archive.SeqError{Seq: leaf.Seq, Err: fmt.Errorf("%w: its payload is not one", archive.ErrDamaged)}
	}
	digest, err := envelope.Digest(record.Body)
	if err != nil {
		return nil, &archive.SeqError{Seq: leaf.Seq, Err: fmt.Errorf("%w: its body has no digest", archive.ErrDamaged)}
	}
	m := &message{leaf: leaf, payload: payload, digest: digest, from: p.party(payload.Usr, leaf)}
	for _, to := range payload.To {
		m.to = append(m.to, p.party(to.Usr, leaf))
	}
	return m, nil
}

// party returns what the directory knew of a person at the message's place.
// The name that the sender's client showed is a claim of that client's and
// finds nobody.
func (p *parts) party(usr string, at proof.Leaf) query.Party {
	if place, ok := p.state.Position(at); ok {
		if u, ok := p.state.Directory().User(usr, place); ok {
			return query.Party{Usr: u.Usr, UPN: u.UPN, Mail: u.Mail, Name: u.Name}
		}
	}
	return query.Party{Usr: usr}
}

func (m *message) doc() query.Doc {
	p := m.payload
	d := query.Doc{
		Seq: m.leaf.Seq, Typ: p.Typ, From: query.Parties{m.from}, To: m.to,
		Sent: p.SentTime(), Received: m.leaf.ReceivedTime(), Digest: m.digest,
	}
	if p.Body != nil {
		d.Text = p.Body.Text
	}
	for _, a := range p.Att {
		d.Files = append(d.Files, query.File{Name: a.Name, Unread: true}) // no attachment's text is read
		d.Unread = true
	}
	if p.Conv != nil {
		d.Conversation = query.ConversationRef{ID: p.Conv.ID, Name: p.Conv.Name, Kind: p.Conv.Kind}
	}
	return d
}

// leafCounts counts the entries of each kind without reading any again.
type leafCounts struct {
	mu      sync.Mutex
	through uint64
	byKind  map[proof.Kind]uint64

	quarantined []uint64 // seqs
}

func (c *leafCounts) catchUp(ctx context.Context, a *archive.Archive) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKind == nil {
		c.byKind = map[proof.Kind]uint64{}
	}
	for leaf, err := range a.Scan(ctx, c.through, a.Size()) {
		if err != nil {
			return err
		}
		c.byKind[leaf.Kind]++
		if leaf.Kind == proof.KindQuarantine {
			c.quarantined = append(c.quarantined, leaf.Seq)
		}
		c.through = leaf.Seq + 1
	}
	return nil
}

// newest returns the newest n quarantined entries, newest first.
func (c *leafCounts) newest(n int) []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(c.quarantined[len(c.quarantined)-min(n, len(c.quarantined)):])
	slices.Reverse(out)
	return out
}

func (c *leafCounts) of(k proof.Kind) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKind[k]
}
