package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// attachment is one file that a message's note says is stored, or may be.
type attachment struct {
	seq    uint64
	bid    string
	sum    [32]byte
	stored bool // the note says so; else it was pending then
}

func (at *attachment) name() blobName { return newBlobName(at.bid, at.sum) }

// attachments returns what a message says of its attachments. The result
// shares no memory with b.
func attachments(leaf *proof.Leaf, b *Body) []attachment {
	if leaf.Kind != proof.KindMessage || !bytes.Contains(b.Note, []byte(`"blobs"`)) {
		return nil
	}
	var note MessageNote
	if json.Unmarshal(b.Note, &note) != nil {
		return nil // a note of another form; the commitment has proven that it is the one appended
	}
	compact, err := jws.Parse(b.Bytes, envelope.TypMessage)
	if err != nil {
		return nil
	}
	p, err := envelope.ParsePayload(compact.Payload)
	if err != nil {
		return nil
	}
	var out []attachment
	for _, a := range p.Att {
		i := slices.IndexFunc(note.Blobs, func(n BlobNote) bool { return n.BID == a.BID })
		sum, err := a.Sum()
		if i < 0 || err != nil || note.Blobs[i].Status != BlobStored && note.Blobs[i].Status != BlobPending {
			continue
		}
		out = append(out, attachment{leaf.Seq, a.BID, sum, note.Blobs[i].Status == BlobStored})
	}
	return out
}

// blobs compares stored attachments with the hashes that their messages state.
// One that was pending may have come later or never.
func (c *checker) blobs(a *Archive, list []attachment) {
	for _, at := range list {
		f, err := a.OpenBlob(at.bid, at.sum)
		switch {
		case err == nil:
			err = f.Close()
		case errors.Is(err, ErrNoBlob) && !at.stored:
			continue
		case errors.Is(err, ErrNoBlob):
			c.find(at.seq, "one of its attachments is missing")
			continue
		}
		if err != nil {
			c.find(at.seq, "one of its attachments is not what the message states")
			continue
		}
		c.mu.Lock()
		c.report.Blobs++
		c.mu.Unlock()
	}
}

// orphans counts the bodies past the log's end of a store that nobody writes
// to. A crash leaves them, and the next start deletes them.
func (c *checker) orphans(s *store) {
	names, err := bodyNames(s.dir)
	if err != nil {
		return // bodies has said which entries lack their file
	}
	for _, id := range names {
		f, err := s.bodies.get(id.name)
		if err != nil {
			continue // likewise
		}
		if n, err := f.countFrom(c.size); err == nil {
			c.report.Orphans += n
		}
	}
}
