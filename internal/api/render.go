package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

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

// Renderer turns entries into what people and scripts see, with the names that
// held at each entry's place. It is the daemon's Shower, and renders the hits
// of its Searcher. The state must have caught up with what is rendered.
type Renderer struct {
	Log   Records
	State *state.State
}

// Hits renders the messages with the given seqs, in their order.
func (r *Renderer) Hits(ctx context.Context, seqs []uint64) ([]Hit, error) {
	hits := make([]Hit, 0, len(seqs))
	for _, seq := range seqs {
		rec, err := r.Log.Record(ctx, seq)
		if (errors.Is(err, archive.ErrNoBody) || errors.Is(err, archive.ErrDisposed) || errors.Is(err, archive.ErrDamaged)) && rec.Leaf.Kind.Valid() {
			// One entry at fault shall not hide the others.
			hits = append(hits, Hit{Seq: seq, Received: rec.Leaf.ReceivedTime(), Kind: rec.Leaf.Kind.String(), Missing: missingBody(err)})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("render: %w", err)
		}
		h, err := r.hit(rec)
		if err != nil {
			return nil, fmt.Errorf("render: %w", &archive.SeqError{Seq: seq, Err: errors.Join(archive.ErrDamaged, err)})
		}
		hits = append(hits, *h)
	}
	return hits, nil
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
		shown, err := r.shown(rec, missing)
		if err != nil {
			return nil, fmt.Errorf("show: %w", &archive.SeqError{Seq: seq, Err: errors.Join(archive.ErrDamaged, err)})
		}
		entries = append(entries, *shown)
	}
	return entries, nil
}

func (r *Renderer) shown(rec archive.Record, missing string) (*Shown, error) {
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
		if s.Message, err = r.hit(rec); err != nil {
			return nil, err
		}
		s.Body, err = payload(rec.Body)
		return s, err
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

func (r *Renderer) hit(rec archive.Record) (*Hit, error) {
	row, err := export.RowOf(rec, asOf{r.State, r.Log.Size()})
	if err != nil {
		return nil, err
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
	h.fill()
	return h, nil
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
