package archive

import (
	"context"
	"encoding/json"

	"holdfast/archive/proof"
)

// An attachment that comes in after its message is found, with all that the
// message says, at the entry by which it came in (archive/search). So an index
// that covers that entry goes with the message, also where it covers no entry
// that goes.

// awaited are the attachments of messages that had not come with them.
type awaited struct {
	keys map[awaitedKey]struct{}
	from uint64 // the first message's seq
}

type awaitedKey struct {
	epoch    string
	relaySeq uint64
	bid      string
}

// add notes an attachment of the message at l. Messages are added in order.
func (w *awaited) add(l *proof.Leaf, bid string) {
	if w.keys == nil {
		w.keys, w.from = map[awaitedKey]struct{}{}, l.Seq
	}
	w.keys[awaitedKey{l.Epoch, l.RelaySeq, bid}] = struct{}{}
}

// late returns the seqs below to of the entries by which they came in.
func (w *awaited) late(ctx context.Context, a *Archive, to uint64) ([]uint64, error) {
	if len(w.keys) == 0 {
		return nil, nil
	}
	var out []uint64
	for l, err := range a.Scan(ctx, w.from, to) {
		if err != nil {
			return nil, err
		}
		if l.Kind != proof.KindBlob {
			continue
		}
		r, err := a.RecordOf(ctx, l)
		if err != nil {
			return nil, err
		}
		var b BlobBody
		if json.Unmarshal(r.Body, &b) != nil {
			continue // of another form; nobody finds a message there
		}
		if _, is := w.keys[awaitedKey{b.Epoch, b.RelaySeq, b.BID}]; is && b.Status == BlobStored {
			out = append(out, l.Seq)
		}
	}
	return out, nil
}

// lateSince returns the seqs below to of the entries by which any attachment has
// come in since the resealing began, if one of what is left behind was awaited.
func (s *store) lateSince(r *Resealed, to uint64) ([]uint64, error) {
	if !r.awaits {
		return nil, nil
	}
	var out []uint64
	for seq := r.Through; seq < to; {
		leaves, err := s.leaves(seq, to, ownLeaves)
		if err != nil {
			return nil, err
		}
		for i := range leaves {
			if leaves[i].Kind == proof.KindBlob {
				out = append(out, leaves[i].Seq)
			}
		}
		seq += uint64(len(leaves))
	}
	return out, nil
}
