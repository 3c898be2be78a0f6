package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// placedEntry says which log entry made an accepted statement at a place in
// the relay's stream.
type placedEntry struct {
	at        envelope.Position
	seq       uint64
	received  time.Time
	assurance envelope.Assurance // of a device
	approval  *Approval          // of a device: not the relay's statement, but a person's
}

// DeviceEntry returns the seq of the log entry that gave the key with RFC 7638
// thumbprint kid the assurance that it had at the place of the entry at: the
// accepted device.add in force there, or the later entry by which a person
// approved the device, whose note names that device.add. Events that only
// repeat what the directory has are passed over, so that the entry found is the
// one that carries the evidence, and so is what entered the log after at: an
// approval does not reach back to messages that were under way.
func (s *State) DeviceEntry(kid string, at proof.Leaf) (seq uint64, ok bool) {
	return s.inForce(s.devices, kid, at)
}

// UserEntry returns the seq of the accepted user.upsert entry that was in
// force for usr at the place of the entry at.
func (s *State) UserEntry(usr string, at proof.Leaf) (seq uint64, ok bool) {
	return s.inForce(s.users, usr, at)
}

func (s *State) inForce(table map[string][]placedEntry, name string, at proof.Leaf) (uint64, bool) {
	place, ok := s.Position(at)
	if !ok {
		return 0, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	entries := table[name]
	i := sort.Search(len(entries), func(i int) bool { return place.Before(entries[i].at) })
	for i > 0 && entries[i-1].seq > at.Seq {
		i--
	}
	if i == 0 {
		return 0, false
	}
	return entries[i-1].seq, true
}

func (s *State) applyDirectory(rec archive.Record) error {
	ordinal, ok := s.epochs[rec.Leaf.Epoch]
	if !ok {
		return errors.New("no entry before it began its epoch")
	}
	var note archive.DirectoryNote
	if err := ijson.Unmarshal(rec.Note, &note); err != nil {
		return fmt.Errorf("note: %w", err)
	}
	var verdict envelope.Verdict
	if err := ijson.Unmarshal(note.Verdict, &verdict); err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	var usr, kid string
	if verdict.Accepted {
		var err error
		if usr, kid, err = subject(rec.Body); err != nil {
			return err
		}
	}
	// Everything that can fail on the entry's content comes before this, so that a failed entry leaves nothing half applied.
	placed := placedEntry{
		at: envelope.Position{Epoch: ordinal, Seq: rec.Leaf.RelaySeq}, seq: rec.Leaf.Seq,
		received: rec.Leaf.ReceivedTime(), assurance: verdict.Assurance,
	}
	if err := s.dir.Apply(placed.at, rec.Body, verdict); err != nil {
		return err
	}
	if usr != "" {
		s.users[usr] = append(s.users[usr], placed)
	}
	if known := s.devices[kid]; kid != "" && (len(known) == 0 || known[len(known)-1].assurance != verdict.Assurance) {
		s.devices[kid] = append(known, placed)
	}
	return nil
}

// subject returns whom an accepted directory event is about: the usr of a
// user.upsert, the key's thumbprint of a device.add, else neither.
func subject(event []byte) (usr, kid string, err error) {
	var e struct {
		Op  string          `json:"op"`
		Usr string          `json:"usr"`
		JWK json.RawMessage `json:"jwk"`
	}
	if err := ijson.Unmarshal(event, &e); err != nil {
		return "", "", err
	}
	switch e.Op {
	case envelope.OpUserUpsert:
		return e.Usr, "", nil
	case envelope.OpDeviceAdd:
		key, err := jws.ParseJWK(e.JWK)
		if err != nil {
			return "", "", err
		}
		kid, err = jws.Thumbprint(key)
		return "", kid, err
	}
	return "", "", nil
}
