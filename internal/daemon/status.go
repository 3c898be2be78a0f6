package daemon

import (
	"context"
	"errors"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
)

// Status implements api.Statuser.
func (p *parts) Status(ctx context.Context) (*api.Status, error) {
	size := p.archive.Size()
	if err := p.state.CatchUp(ctx, size); err != nil {
		return nil, err
	}
	if err := p.counts.catchUp(ctx, p.archive); err != nil {
		return nil, err
	}
	id, lag := p.archive.Identity(), p.lag()
	s := &api.Status{
		Version: p.version, Started: p.started, ArchiveID: id.ArchiveID, Origin: id.Origin, Size: size, Schema: archive.Schema, Accepting: true,
		Index:       api.IndexStatus{Through: size - min(size, lag), Working: lag < lagBroken},
		Quarantined: p.counts.of(proof.KindQuarantine),
		Pending:     uint64(len(p.state.PendingBlobs())),
		Alarms:      uint64(len(p.state.Alarms(false))),
		Roles:       p.configured,
		Retention:   p.book.Gauges(),
	}
	if c, ok := p.archive.Cursor(); ok {
		s.Relay.Epoch, s.Relay.Seq = c.Epoch, c.Seq
	}
	switch err := p.accepting(); {
	case errors.Is(err, archive.ErrDiskFull):
		s.Accepting, s.Waiting = false, ingest.ClassDiskFull
	case err != nil:
		s.Accepting, s.Waiting = false, ingest.ClassLog
	}
	if p.client == nil {
		return s, nil
	}
	in := p.client.Status()
	s.Relay.Acked, s.Relay.High, s.Relay.Failing = in.AckedSeq, in.RelayHigh, in.LastError
	if !in.LastPoll.IsZero() {
		at := in.LastPoll.UTC()
		s.Relay.Contact = &at
	}
	return s, nil
}

// lagBroken is the lag, in entries, at which ingest itself would have waited:
// an index further behind does not work.
const lagBroken = 100_000

// ingestState is the state as ingest asks for it: as of everything committed
// when it asks.
type ingestState struct{ *parts }

// Directory returns a private copy of the device directory.
func (s ingestState) Directory(ctx context.Context) (*envelope.Directory, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return nil, err
	}
	return s.state.Directory().Clone(), nil
}

// PendingBlobs returns the attachments that are still awaited.
func (s ingestState) PendingBlobs(ctx context.Context) ([]ingest.PendingBlob, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return nil, err
	}
	var out []ingest.PendingBlob
	for _, b := range s.state.PendingBlobs() {
		out = append(out, ingest.PendingBlob{BlobBody: b.BlobBody, Seq: b.Seq, Since: b.Received})
	}
	return out, nil
}

// Ordinal returns the place of an epoch in the order in which they came.
func (s ingestState) Ordinal(ctx context.Context, epoch string) (uint32, bool, error) {
	if err := s.state.CatchUp(ctx, s.archive.Size()); err != nil {
		return 0, false, err
	}
	n, ok := s.state.Ordinal(epoch)
	return n, ok, nil
}
