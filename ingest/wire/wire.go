// Package wire is the pull protocol between the relay and the archive: the bytes of a page of events, the chain of heads over them, the
// acknowledgement, the keyset, the provision request, the status and the problem reports. It parses and writes; it neither dials nor stores.
//
// The format is specified in ingest/AMX.md, sections 0 (bytes and limits), 3 (pull) and 8 (provisioning). Package ingest reads pages with it, and the
// reference relay writes them. It imports nothing of Holdfast but internal/jws and internal/ijson.
package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"holdfast/internal/jws"
)

// Limits of ingest/AMX.md §0.
const (
	MaxEnvelope   = 1 << 20  // bytes of an envelope text
	MaxPage       = 16 << 20 // bytes of a page on the wire, heartbeats included
	MaxPageEvents = 1000     // events on a page
	MaxID         = 64       // bytes of an event's id and of an epoch
	MaxKind       = 64       // bytes of an event's kind
	MaxWait       = 55       // seconds that a long poll may ask for
	MaxKeysetLife = 7 * 24 * time.Hour
	MaxSkew       = 10 * time.Minute // a signed time further off than this is an alarm
	MaxSafe       = 1<<53 - 1        // largest integer of I-JSON
)

// Kinds of event, ingest/AMX.md §3. A kind that is not listed here still makes a valid page: it is covered by the chain like any
// other, and what becomes of it is the reader's decision, so that one unknown event does not hold up the stream.
const (
	KindEnv       = "env"
	KindDir       = "dir"
	KindDelivered = "relay.delivered"
	KindExpired   = "relay.expired"
	KindRecall    = "relay.recall"
	KindWipe      = "relay.wipe"
	KindLost      = "relay.lost"
)

// KnownKind reports whether kind is one of the kinds of ingest/AMX.md §3.
func KnownKind(kind string) bool {
	switch kind {
	case KindEnv, KindDir, KindDelivered, KindExpired, KindRecall, KindWipe, KindLost:
		return true
	}
	return false
}

// What can be wrong with a page. Whatever it is, the page is discarded whole and asked for again.
var (
	ErrTruncated = errors.New("page ends before its end line")
	ErrGap       = errors.New("page skips a seq")
	ErrRepeat    = errors.New("page repeats or reorders a seq")
	ErrNext      = errors.New("page's next is not its last seq")
	ErrHead      = errors.New("page's signed head is not the head of its events")
	ErrSignature = errors.New("page's signature is not by the relay's pinned key")
	ErrTooLarge  = errors.New("larger than the protocol allows")
	ErrMalformed = errors.New("malformed")
)

// ErrIdentity says that an ack, a keyset or a provision request is not signed by the archive's pinned identity key.
var ErrIdentity = errors.New("not signed by the archive's identity key")

// Head is the head of the relay's chain after an event: SHA-256 over the head before and the event's hash.
type Head [32]byte

// Genesis is the head before seq 1 of an epoch, head_0 of ingest/AMX.md §3. With an empty prevEpoch the previous head does not
// enter: 32 zero bytes stand in its place.
func Genesis(arc, epoch, prevEpoch string, prevHead Head) Head {
	if prevEpoch == "" {
		prevHead = Head{}
	}
	b := append([]byte(nil), "AMX1 chain\x00"...)
	b = appendLP(b, arc)
	b = appendLP(b, epoch)
	b = appendLP(b, prevEpoch)
	b = append(b, prevHead[:]...)
	return sha256.Sum256(b)
}

// Next is the head after e, given the head h before it.
func (h Head) Next(e Event) Head {
	b := make([]byte, 0, 5*4+20+len(e.ID)+len(e.Kind)+len(e.Time)+len(e.Data))
	b = appendLP(b, strconv.FormatUint(e.Seq, 10))
	b = appendLP(b, e.ID)
	b = appendLP(b, e.Kind)
	b = appendLP(b, e.Time)
	b = appendLP(b, e.Data)
	inner := sha256.Sum256(b)
	var pair [64]byte
	copy(pair[:32], h[:])
	copy(pair[32:], inner[:])
	return sha256.Sum256(pair[:])
}

// String returns h in base64url, the form that it has in JSON.
func (h Head) String() string { return jws.EncodeB64(h[:]) }

// MarshalText returns String's form.
func (h Head) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads String's form and no other.
func (h *Head) UnmarshalText(b []byte) error {
	head, err := parseHead(string(b))
	if err == nil {
		*h = head
	}
	return err
}

// appendLP appends LP(s): the length as four bytes big-endian, then the bytes.
func appendLP(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// timeLayout is the one form of a time, ingest/AMX.md §0.
const timeLayout = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// parseTime accepts only what formatTime writes: Go's parser alone would take a comma for the point.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeLayout, s)
	if err != nil || formatTime(t) != s {
		return time.Time{}, errors.New("a time is not of the form YYYY-MM-DDTHH:MM:SS.mmmZ")
	}
	return t, nil
}
