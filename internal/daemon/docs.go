package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/reading"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// docs is the archive as the index sees it: messages, with the names that the
// directory had for their people at their place and with what was read of their
// attachments; what hangs at them; what is in quarantine; and attachments that
// came in after their message.
type docs struct{ *parts }

// Size returns the number of committed entries.
func (d docs) Size() uint64 { return d.archive.Size() }

// Wait blocks until the log has more than size entries.
func (d docs) Wait(ctx context.Context, size uint64) error { return d.archive.Wait(ctx, size) }

// LeavesPerFile returns how many entries one index covers.
func (d docs) LeavesPerFile() uint64 { return d.archive.LogFileLeaves() }

// reads is the key of a context in which attachments are read that nobody has
// read yet. Without it only what is there already is used: a search does not
// wait for that.
type reads struct{}

// whileReading returns a context in which Docs reads attachments, for who indexes.
func whileReading(ctx context.Context) context.Context { return context.WithValue(ctx, reads{}, true) }

// Docs yields what can be searched in [from, to). A message that cannot be read
// is left out, and the index goes past it only once that is on record.
func (d docs) Docs(ctx context.Context, from, to uint64) iter.Seq2[query.Doc, error] {
	return func(yield func(query.Doc, error) bool) {
		if err := d.state.CatchUp(ctx, to); err != nil {
			yield(query.Doc{}, err)
			return
		}
		for leaf, err := range d.archive.Scan(ctx, from, to) {
			var doc *query.Doc
			if err == nil {
				doc, err = d.doc(ctx, leaf)
			}
			if err != nil {
				yield(query.Doc{}, err)
				return
			}
			if doc != nil && !yield(*doc, nil) {
				return
			}
		}
	}
}

// doc returns what a query sees of the entry at leaf, nil if nothing.
func (d docs) doc(ctx context.Context, leaf proof.Leaf) (*query.Doc, error) {
	of := leaf // the entry whose body it is about
	var doc query.Doc
	var err error
	switch leaf.Kind {
	case proof.KindMessage:
		doc, err = d.said(ctx, leaf, leaf.Seq)
	case proof.KindQuarantine:
		doc, err = d.quarantined(ctx, leaf)
	case proof.KindBlob:
		found := false
		if of, found, err = d.awaiting(ctx, leaf); err != nil || !found {
			return nil, err
		}
		if doc, err = d.said(ctx, of, leaf.Seq); err == nil {
			doc = reading.Late(leaf, doc)
		}
	default:
		return nil, nil
	}
	switch {
	case errors.Is(err, archive.ErrDisposed):
		return nil, nil
	case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDamaged):
		return nil, d.noteUnreadable(ctx, of.Seq)
	case err != nil:
		return nil, err
	}
	return &doc, nil
}

// said returns what a query sees of the message at leaf, as of the entry at.
func (d docs) said(ctx context.Context, leaf proof.Leaf, at uint64) (query.Doc, error) {
	m, err := d.message(ctx, leaf)
	if err != nil {
		return query.Doc{}, err
	}
	var failed error
	doc := reading.Doc(leaf, m.payload, m.digest, func(usr string) query.Party { return d.party(usr, leaf) }, func(a *envelope.Attachment) query.File {
		switch {
		case !m.stored(d.parts, a.BID, at+1):
			return reading.Unread(a)
		case ctx.Value(reads{}) == nil:
			return d.texts.File(a)
		}
		f, err := d.texts.read(ctx, m.payload.Usr, a)
		failed = errors.Join(failed, err)
		return f
	})
	return doc, failed
}

// quarantined returns what a query sees of the quarantined entry at leaf.
func (d docs) quarantined(ctx context.Context, leaf proof.Leaf) (query.Doc, error) {
	rec, err := d.archive.RecordOf(ctx, leaf)
	if err != nil {
		return query.Doc{}, err
	}
	var note archive.QuarantineNote
	if err := ijson.Unmarshal(rec.Note, &note); err != nil {
		note.Code = "" // it is in quarantine for something all the same
	}
	return reading.Quarantined(leaf, note.Code), nil
}

// blobReach is how many entries behind its message the first entry about an
// attachment stands at most.
const blobReach = 4096

// awaiting returns the message whose attachment came in by the entry at leaf;
// false when none did.
func (d docs) awaiting(ctx context.Context, leaf proof.Leaf) (message proof.Leaf, found bool, err error) {
	rec, err := d.archive.RecordOf(ctx, leaf)
	if err != nil {
		return proof.Leaf{}, false, err
	}
	var b archive.BlobBody
	if err := ijson.Unmarshal(rec.Body, &b); err != nil || b.Status != archive.BlobStored {
		return proof.Leaf{}, false, nil
	}
	first := leaf.Seq
	for at := (proof.Leaf{Epoch: b.Epoch, RelaySeq: b.RelaySeq}); ; {
		earlier, ok := d.state.Blob(at, b.BID, first)
		if !ok {
			break
		}
		first = earlier.Seq
	}
	for l, err := range d.archive.Scan(ctx, first-min(first, blobReach), leaf.Seq) {
		if err != nil {
			return proof.Leaf{}, false, err
		}
		if l.Kind == proof.KindMessage && l.Epoch == b.Epoch && l.RelaySeq == b.RelaySeq {
			return l, true, nil
		}
	}
	return proof.Leaf{}, false, nil
}

// message is one message read back from the archive.
type message struct {
	leaf    proof.Leaf
	note    []byte
	payload *envelope.Payload
	digest  [32]byte
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
	return &message{leaf: leaf, note: record.Note, payload: payload, digest: compact.Digest()}, nil
}

// stored reports whether the log says below seq below that the archive has the
// message's attachment.
func (m *message) stored(p *parts, bid string, below uint64) bool {
	if b, ok := p.state.Blob(m.leaf, bid, below); ok {
		return b.Status == archive.BlobStored
	}
	var note archive.MessageNote
	if err := json.Unmarshal(m.note, &note); err != nil {
		return false
	}
	return slices.ContainsFunc(note.Blobs, func(n archive.BlobNote) bool { return n.BID == bid && n.Status == archive.BlobStored })
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
