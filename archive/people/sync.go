package people

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// What became of a synchronisation.
const (
	SyncApplied = "applied" // its changes are the entries before this one
	SyncRefused = "refused" // by its rails: it waits for approval
)

// maxRails bounds the rails that one synchronisation can break.
const maxRails = 64

// SyncBody is the body of a KindSync entry.
type SyncBody struct {
	Version int      `json:"v"`               // 1
	Op      string   `json:"op"`              // SyncApplied or SyncRefused
	Source  string   `json:"source"`          // host name of the domain controller that was read
	People  int      `json:"people"`          // as read
	Groups  int      `json:"groups"`          // as read
	Changes Counts   `json:"changes"`         // what it changes
	Digest  string   `json:"digest"`          // Digest of those changes, in hexadecimal
	Rails   []string `json:"rails,omitempty"` // codes of the rails that it broke
	// Request is the seq of the request by which it was approved; 0 when it
	// needed none, or has none yet.
	Request uint64 `json:"request,omitempty"`
}

// Entry returns the entry that b is appended as, class control.
func (b SyncBody) Entry() (archive.Entry, error) {
	b.Version = 1
	return entryOf(proof.KindSync, &b)
}

func parseSync(body []byte) (*SyncBody, error) {
	b := new(SyncBody)
	return b, parseInto(b, body)
}

// checked is a body that can tell what is wrong with it.
type checked interface{ check() error }

// entryOf returns the entry with that body, class control.
func entryOf(kind proof.Kind, b checked) (archive.Entry, error) {
	if err := b.check(); err != nil {
		return archive.Entry{}, err
	}
	body, err := json.Marshal(b)
	if err != nil {
		return archive.Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return archive.Entry{Kind: kind, Class: proof.ClassControl, Body: body}, nil
}

// parseInto reads an entry's body into b. What b then holds counts only without
// an error.
func parseInto(b checked, body []byte) error {
	if err := ijson.Unmarshal(body, b); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return b.check()
}

func (b *SyncBody) check() error {
	digest, err := hex.DecodeString(b.Digest)
	n := b.Changes
	switch {
	case b.Version != 1:
		return invalid("a version that this program does not know; use a newer one")
	case b.Op != SyncApplied && b.Op != SyncRefused:
		return invalid("an op that synchronisations do not have")
	case b.Source == "" || !isText(b.Source):
		return invalid("source is empty, too long or not UTF-8")
	case min(b.People, b.Groups, n.Added, n.Changed, n.Departed, n.Returned, n.GroupsAdded, n.GroupsChanged, n.GroupsRemoved) < 0:
		return invalid("a negative count")
	case err != nil || len(digest) != 32 || hex.EncodeToString(digest) != b.Digest:
		return invalid("digest is not 64 lower-case hexadecimal digits")
	case len(b.Rails) > maxRails:
		return invalid("too many rails")
	case b.Op == SyncRefused && len(b.Rails) == 0:
		return invalid("refused by no rail")
	}
	for _, code := range b.Rails {
		if code == "" || !isText(code) {
			return invalid("a rail without a code")
		}
	}
	return nil
}

// Synced is one synchronisation of the log.
type Synced struct {
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"` // received time of its entry
	SyncBody
}
