package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"holdfast/archive"
	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// Records gives entries whole. *archive.Archive is one.
type Records interface {
	Size() uint64
	// Record returns the leaf even when the body cannot be had.
	Record(ctx context.Context, seq uint64) (archive.Record, error)
}

// Kin finds the entries that are about messages. *search.Index is one.
type Kin interface {
	// Followers returns, by digest, the seqs of the entries that are about the
	// messages with these digests, ascending; asOf is a size of the log, or 0. When
	// not all entries could be looked at it is not whole.
	Followers(ctx context.Context, digests [][32]byte, asOf uint64) (found map[[32]byte][]uint64, whole bool, err error)
	// Target returns the message with a digest.
	Target(ctx context.Context, digest [32]byte) (seq uint64, ok bool, err error)
}

// Renderer turns entries into what people and scripts see, with the names that
// held at each entry's place. It is the daemon's Shower, and renders the hits
// of its Searcher. The state must have caught up with what is rendered.
type Renderer struct {
	Log   Records
	State *state.State
	Kin   Kin // nil: nothing is said of what hangs at a message
	// FileText says what came of reading an attachment's text, "" while that was
	// not tried. Nil: nothing is said of it.
	FileText func(a *envelope.Attachment) string
}

// HitAt is a message that a search found.
type HitAt struct {
	Seq  uint64
	Late uint64 // the entry of an attachment that came in later, by which it was found; 0: by itself
}

// maxFollowers is how many entries about one message are opened for a hit; a
// message that is shown has all of them, up to maxShownFollowers.
const (
	maxFollowers      = 50
	maxShownFollowers = 20_000
)

// Hits renders messages, in their order, as of the log's first size entries;
// what came later does not hang at them.
func (r *Renderer) Hits(ctx context.Context, found []HitAt, size uint64) ([]Hit, error) {
	hits := make([]Hit, 0, len(found))
	var digests [][32]byte // of the hits that are messages
	var at []int           // which hits these are
	for _, f := range found {
		rec, err := r.Log.Record(ctx, f.Seq)
		gone := errors.Is(err, archive.ErrNoBody) || errors.Is(err, archive.ErrDisposed) || errors.Is(err, archive.ErrDamaged)
		if gone && rec.Leaf.Kind.Valid() {
			// One entry at fault shall not hide the others.
			hits = append(hits, Hit{Seq: f.Seq, Received: rec.Leaf.ReceivedTime(), Kind: rec.Leaf.Kind.String(), Missing: missingBody(err)})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("render: %w", err)
		}
		if rec.Leaf.Kind == proof.KindQuarantine {
			hits = append(hits, quarantined(rec))
			continue
		}
		h, digest, err := r.hit(rec, size)
		if err != nil {
			return nil, fmt.Errorf("render: %w", &archive.SeqError{Seq: f.Seq, Err: errors.Join(archive.ErrDamaged, err)})
		}
		h.Late = f.Late
		digests, at = append(digests, digest), append(at, len(hits))
		hits = append(hits, *h)
	}
	return hits, r.hang(ctx, hits, at, digests, size, maxFollowers)
}

// quarantined is the hit of an entry in quarantine, of which nobody knows more.
func quarantined(rec archive.Record) Hit {
	h := Hit{Seq: rec.Leaf.Seq, Received: rec.Leaf.ReceivedTime(), Kind: rec.Leaf.Kind.String(), Missing: "it is in quarantine"}
	var note archive.QuarantineNote
	if ijson.Unmarshal(rec.Note, &note) == nil && note.Code != "" {
		h.Missing += ": " + note.Code
	}
	return h
}

// missingBody says why an entry has no body to show.
func missingBody(err error) string {
	switch {
	case errors.Is(err, archive.ErrDisposed):
		return "it was disposed of"
	case errors.Is(err, archive.ErrNoBody):
		return "the archive no longer holds its body"
	}
	return "its body is damaged; run `holdfast verify`"
}

// maxShown bounds the entries that one request is shown, in bytes of their
// bodies and notes, unless it is one entry.
const maxShown = 48 << 20

// Show implements Shower.
func (r *Renderer) Show(ctx context.Context, seqs []uint64) ([]Shown, error) {
	if err := r.State.CatchUp(ctx, r.Log.Size()); err != nil {
		return nil, err
	}
	entries := make([]Shown, 0, len(seqs))
	size := 0
	for _, seq := range seqs {
		rec, err := r.Log.Record(ctx, seq)
		missing := ""
		switch {
		case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDisposed), errors.Is(err, archive.ErrDamaged) && rec.Leaf.Kind.Valid():
			missing = missingBody(err)
		case err != nil:
			return nil, fmt.Errorf("show: %w", err)
		}
		if size += len(rec.Body) + len(rec.Note); size > maxShown && len(entries) > 0 {
			return nil, &Problem{Title: "these entries are too large to be shown at once", Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Exit: ExitUsage,
				Hint: "ask for fewer of them at a time, or export them"}
		}
		shown, err := r.shown(ctx, rec, missing)
		if errors.Is(err, errKin) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("show: %w", &archive.SeqError{Seq: seq, Err: errors.Join(archive.ErrDamaged, err)})
		}
		entries = append(entries, *shown)
	}
	return entries, nil
}

func (r *Renderer) shown(ctx context.Context, rec archive.Record, missing string) (*Shown, error) {
	leaf, err := rec.Leaf.Marshal()
	if err != nil {
		return nil, err
	}
	hash := proof.LeafHash(leaf)
	s := &Shown{
		Seq: rec.Leaf.Seq, Kind: rec.Leaf.Kind.String(), Class: rec.Leaf.Class, Received: rec.Leaf.ReceivedTime(),
		Epoch: rec.Leaf.Epoch, RelaySeq: rec.Leaf.RelaySeq, LeafHash: hex.EncodeToString(hash[:]), Missing: missing,
	}
	if missing == "" && rec.Leaf.Kind == proof.KindCredential {
		s.Missing = "it holds a second factor, which is shown to nobody"
	}
	if s.Missing != "" {
		return s, nil
	}
	if len(rec.Note) > 0 {
		s.Note = rec.Note
	}
	if rec.Leaf.Kind == proof.KindMessage {
		return s, r.message(ctx, s, rec)
	}
	if ijson.Check(rec.Body) == nil {
		s.Body = rec.Body
	} else {
		s.Raw = rec.Body
	}
	return s, nil
}

// payload returns a message's payload without the keys of its attachments:
// whoever may see a message need not be handed keys that open files elsewhere.
func payload(body []byte) (json.RawMessage, error) {
	c, err := jws.Parse(body, envelope.TypMessage)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := ijson.Unmarshal(c.Payload, &members); err != nil {
		return nil, err
	}
	if members["att"] == nil {
		return c.Payload, nil
	}
	var files []map[string]json.RawMessage
	if err := ijson.Unmarshal(members["att"], &files); err != nil {
		return nil, err
	}
	for _, f := range files {
		delete(f, "key")
	}
	if members["att"], err = json.Marshal(files); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// label is how a person is named in one string.
func label(p export.Person) string {
	for _, s := range []string{p.Name, p.UPN, p.Mail} {
		if s != "" {
			return s
		}
	}
	return p.Usr
}

// asOf answers from the state what rows ask about people and attachments.
type asOf struct {
	state *state.State
	below uint64
}

func (a asOf) User(usr string, at proof.Leaf) (export.Person, bool) {
	place, ok := a.state.Position(at)
	if !ok {
		return export.Person{}, false
	}
	u, ok := a.state.Directory().User(usr, place)
	if !ok {
		return export.Person{}, false
	}
	entry, _ := a.state.UserEntry(usr, at)
	return export.Person{Usr: u.Usr, UPN: u.UPN, Mail: u.Mail, Name: u.Name, Entry: entry}, true
}

// Approval says nothing: a hit has its assurance from the entry's note, and
// does not name the approval that it rests on.
func (a asOf) Approval(string, proof.Leaf) (uint64, bool) { return 0, false }

func (a asOf) Blob(at proof.Leaf, bid string) (status string, entry uint64, ok bool) {
	b, ok := a.state.Blob(at, bid, a.below)
	return b.Status, b.Seq, ok
}
