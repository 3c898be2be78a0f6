package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/archive"
	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// message shows a message, with everything that hangs at it.
func (r *Renderer) message(ctx context.Context, s *Shown, rec archive.Record) error {
	size := r.Log.Size()
	h, digest, err := r.hit(rec, size)
	if err != nil {
		return err
	}
	if s.Body, err = payload(rec.Body); err != nil {
		return err
	}
	if h.Members, err = r.members(rec, size); err != nil {
		return err
	}
	hits := []Hit{*h}
	if err := r.hang(ctx, hits, []int{0}, [][32]byte{digest}, size, maxShownFollowers); err != nil {
		return fmt.Errorf("%w: %w", errKin, err)
	}
	s.Message = &hits[0]
	return nil
}

// errKin is wrapped by what is no fault of the entry that is shown.
var errKin = errors.New("what hangs at a message cannot be found")

// members returns the members of a message's conversation, with the names that
// the directory had for them.
func (r *Renderer) members(rec archive.Record, size uint64) ([]Participant, error) {
	row, err := export.RowOf(rec, asOf{r.State, size})
	if err != nil || row.Conversation == nil {
		return nil, err
	}
	var out []Participant
	for _, usr := range row.Conversation.Members {
		p := Participant{Usr: usr, Name: usr}
		if who, ok := (asOf{r.State, size}).User(usr, rec.Leaf); ok {
			p.Name = label(who)
		}
		out = append(out, p)
	}
	return out, nil
}

// hit renders a message alone, as of the log's first size entries.
func (r *Renderer) hit(rec archive.Record, size uint64) (*Hit, [32]byte, error) {
	row, err := export.RowOf(rec, asOf{r.State, size})
	if err != nil {
		return nil, [32]byte{}, err
	}
	digest, err := envelope.Digest(rec.Body)
	if err != nil {
		return nil, digest, err
	}
	h := &Hit{
		Seq: row.Seq, Sent: row.Sent, Received: rec.Leaf.ReceivedTime(), Text: row.Text, Kind: row.Kind.String(), Typ: row.Typ,
		Assurance: row.Assurance, Flags: slices.Clone(row.Flags),
	}
	if row.From != nil {
		h.From, h.FromUsr = label(*row.From), row.From.Usr
	}
	for _, p := range row.To {
		h.To, h.ToUsrs = append(h.To, label(p)), append(h.ToUsrs, p.Usr)
	}
	if c := row.Conversation; c != nil {
		h.Conversation, h.ConversationID = c.Name, c.ID
		if h.Conversation == "" {
			h.Conversation = c.ID
		}
	}
	for _, a := range row.Attachments {
		h.Attachments = append(h.Attachments, Attachment{BID: a.BID, Name: a.Name, Mime: a.MIME, Size: a.Size, Status: a.Status})
	}
	if r.FileText != nil && len(h.Attachments) > 0 {
		if err := r.fileTexts(h, rec.Body); err != nil {
			return nil, digest, err
		}
	}
	h.fill()
	return h, digest, nil
}

// fileTexts says of each attachment what came of reading its text.
func (r *Renderer) fileTexts(h *Hit, body []byte) error {
	compact, err := jws.Parse(body, envelope.TypMessage)
	if err != nil {
		return err
	}
	p, err := envelope.ParsePayload(compact.Payload)
	if err != nil {
		return err
	}
	for i := range min(len(p.Att), len(h.Attachments)) {
		if h.Attachments[i].Status == archive.BlobStored {
			h.Attachments[i].Text = r.FileText(&p.Att[i])
		}
	}
	return nil
}

// hang adds to the hits at these places what is about the messages with these
// digests, opening at most limit entries for each.
func (r *Renderer) hang(ctx context.Context, hits []Hit, at []int, digests [][32]byte, size uint64, limit int) error {
	if r.Kin == nil || len(digests) == 0 {
		return nil
	}
	found, whole, err := r.Kin.Followers(ctx, digests, size)
	if err != nil {
		return err
	}
	for n, i := range at {
		h := &hits[i]
		h.Unexamined = !whole
		for k, seq := range found[digests[n]] {
			if k == limit {
				h.Unopened = uint64(len(found[digests[n]]) - limit)
				break
			}
			f, err := r.follower(ctx, seq, size)
			if err != nil {
				return err
			}
			h.add(*f)
		}
		if h.Typ != envelope.TypEdit {
			continue
		}
		if err := r.version(ctx, h, size); err != nil {
			return err
		}
	}
	return nil
}

// version says of which message an edit is a version.
func (r *Renderer) version(ctx context.Context, h *Hit, size uint64) error {
	rec, err := r.Log.Record(ctx, h.Seq)
	if err != nil {
		return err
	}
	row, err := export.RowOf(rec, asOf{r.State, size})
	if err != nil || row.Ref == nil {
		return err
	}
	digest, err := jws.DecodeB64(row.Ref.Digest)
	if err != nil || len(digest) != 32 {
		return err
	}
	seq, ok, err := r.Kin.Target(ctx, [32]byte(digest))
	if ok && seq < size {
		h.Of = seq
	}
	return err
}

// follower renders one entry that is about a message. One at fault shall not
// hide the others.
func (r *Renderer) follower(ctx context.Context, seq, size uint64) (*Follower, error) {
	rec, err := r.Log.Record(ctx, seq)
	gone := errors.Is(err, archive.ErrNoBody) || errors.Is(err, archive.ErrDisposed) || errors.Is(err, archive.ErrDamaged)
	switch {
	case gone && rec.Leaf.Kind.Valid():
		return &Follower{Seq: seq, Received: rec.Leaf.ReceivedTime(), Missing: missingBody(err)}, nil
	case err != nil:
		return nil, fmt.Errorf("render: %w", err)
	case rec.Leaf.Kind != proof.KindMessage:
		return &Follower{Seq: seq, Received: rec.Leaf.ReceivedTime(), Typ: rec.Leaf.Kind.String()}, nil
	}
	row, err := export.RowOf(rec, asOf{r.State, size})
	if err != nil {
		return nil, fmt.Errorf("render: %w", &archive.SeqError{Seq: seq, Err: errors.Join(archive.ErrDamaged, err)})
	}
	f := &Follower{
		Seq: seq, Typ: row.Typ, Sent: row.Sent, Received: rec.Leaf.ReceivedTime(), Status: row.Status, At: row.StatusAt, Text: row.Text,
		Assurance: row.Assurance, Flags: slices.Clone(row.Flags),
	}
	if row.From != nil {
		f.From, f.FromUsr = label(*row.From), row.From.Usr
	}
	for _, p := range row.To {
		f.toUsrs = append(f.toUsrs, p.Usr)
	}
	return f, nil
}
