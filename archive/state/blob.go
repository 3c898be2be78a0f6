package state

import (
	"errors"
	"slices"
	"sort"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// blobKey names an attachment by its message's place in the relay's stream.
type blobKey struct {
	epoch    string
	relaySeq uint64
	bid      string
}

// Blob is what one control entry says of an attachment that had not come by
// the time its message was appended. Attachments that came in time have none:
// their message's note tells their status.
type Blob struct {
	archive.BlobBody
	Seq      uint64    // of the entry
	Received time.Time // of the entry
}

// PendingBlobs returns the attachments that are still awaited, each by its
// newest entry, the longest awaited first.
func (s *State) PendingBlobs() []Blob {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Blob, 0, len(s.pending))
	for _, k := range s.pending {
		said := s.blobs[k]
		out = append(out, said[len(said)-1])
	}
	return out
}

// Blob returns the newest thing that control entries below seq below say of
// attachment bid of the message at; false when they say nothing, so that the
// message's note is all there is to know.
func (s *State) Blob(at proof.Leaf, bid string, below uint64) (Blob, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	said := s.blobs[blobKey{at.Epoch, at.RelaySeq, bid}]
	i := sort.Search(len(said), func(i int) bool { return said[i].Seq >= below })
	if i == 0 {
		return Blob{}, false
	}
	return said[i-1], true
}

// BlobEntry is Blob for those who want the entry's seq alone.
func (s *State) BlobEntry(at proof.Leaf, bid string, below uint64) (seq uint64, ok bool) {
	b, ok := s.Blob(at, bid, below)
	return b.Seq, ok
}

func (s *State) applyBlob(rec archive.Record) error {
	blob := Blob{Seq: rec.Leaf.Seq, Received: rec.Leaf.ReceivedTime()}
	if err := ijson.Unmarshal(rec.Body, &blob.BlobBody); err != nil {
		return err
	}
	key := blobKey{blob.Epoch, blob.RelaySeq, blob.BID}
	awaited := slices.Index(s.pending, key)
	switch blob.Status {
	case archive.BlobPending:
		if awaited < 0 {
			s.pending = append(s.pending, key)
		}
	case archive.BlobStored, archive.BlobMissing, archive.BlobCorrupt:
		if awaited >= 0 {
			s.pending = slices.Delete(s.pending, awaited, awaited+1)
		}
	default:
		return errors.New("a status that no attachment has")
	}
	s.blobs[key] = append(s.blobs[key], blob)
	return nil
}
