package export

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// errUnreadable is returned for an entry whose body or note is not of its
// kind's form.
var errUnreadable = errors.New("the entry is not of its kind's form")

// A Row is one line of records.jsonl, members in this order.
type Row struct {
	Seq          uint64        `json:"seq"`
	Kind         proof.Kind    `json:"kind"`
	Typ          string        `json:"typ,omitempty"`     // the message's type, AMX/1 section 2; else the relay event's kind
	Received     string        `json:"received"`          // by the archive's clock
	Relayed      string        `json:"relayed,omitempty"` // by the relay's clock, as the relay said
	Sent         string        `json:"sent,omitempty"`    // by the sender's clock, as the sender said
	Mid          string        `json:"mid,omitempty"`     // with dev, what a ref names
	Dev          string        `json:"dev,omitempty"`
	From         *Person       `json:"from,omitempty"`
	To           []Person      `json:"to,omitempty"`
	Conversation *Conversation `json:"conversation,omitempty"`
	Text         string        `json:"text,omitempty"`
	Lang         string        `json:"lang,omitempty"` // not in version 1
	Prio         string        `json:"prio,omitempty"`
	Subject      *Subject      `json:"subject,omitempty"`
	Attachments  []Attachment  `json:"attachments,omitempty"`
	Ref          *Ref          `json:"ref,omitempty"`
	Status       string        `json:"status,omitempty"` // of a receipt: delivered, read or acknowledged
	StatusAt     string        `json:"status_at,omitempty"`
	Flags        []string      `json:"flags,omitempty"`
	Assurance    string        `json:"assurance,omitempty"` // as the archive concluded when it took the message in
	Device       string        `json:"device,omitempty"`    // RFC 7638 thumbprint of the key that signed
	Approved     uint64        `json:"approved,omitempty"`  // the entry by which a person approved the device, where it is enrolled by that
	JWS          string        `json:"jws,omitempty"`       // of a message: the sender's, verbatim
	Body         string        `json:"body,omitempty"`      // of any other kind: the entry's body, verbatim
	Withheld     string        `json:"withheld,omitempty"`  // why the data is not here
	Code         string        `json:"code,omitempty"`      // of a quarantine entry: AMX/1 section 5
	Redacted     bool          `json:"redacted,omitempty"`  // text of it is covered
	Unproven     string        `json:"unproven,omitempty"`  // why there is no proof of it, beside Withheld
	Target       *uint64       `json:"target,omitempty"`    // in place of Ref, of a row that has no proof
	Bates        string        `json:"bates,omitempty"`
	BatesEnd     string        `json:"bates_end,omitempty"` // of its last attachment
}

// A Person is a relay user with the particulars that the directory had as of
// the entry's place. Entry is the seq of the directory entry that says so; 0
// with no particulars when the directory did not know the user.
type Person struct {
	Usr   string `json:"usr"`
	UPN   string `json:"upn,omitempty"`
	Mail  string `json:"mail,omitempty"`
	Name  string `json:"name,omitempty"`
	Entry uint64 `json:"entry,omitempty"`
}

// Conversation is where a message was said, as its sender's device named it.
type Conversation struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind,omitempty"`
	Name    string   `json:"name,omitempty"`
	Members []string `json:"members,omitempty"` // relay user ids, at the time of sending
}

// Subject is the patient that a message is about.
type Subject struct {
	MRN       string `json:"mrn,omitempty"`
	Encounter string `json:"encounter,omitempty"`
	Born      int64  `json:"born,omitempty"` // year
}

// An Attachment is listed with what became of it: the note's status, or that
// of the later blob entry named by Entry.
type Attachment struct {
	BID    string `json:"bid"`
	Name   string `json:"name"`
	MIME   string `json:"mime"`
	Size   int64  `json:"size"` // bytes
	Status string `json:"status"`
	Entry  uint64 `json:"entry,omitempty"`
	Bates  string `json:"bates,omitempty"`
	Path   string `json:"path,omitempty"`   // of its content in this production
	SHA256 string `json:"sha256,omitempty"` // of the content, hex
}

// Ref names the message that an edit, recall, receipt, reaction or expiry is
// about.
type Ref struct {
	Dev    string `json:"dev"`
	Mid    string `json:"mid"`
	Digest string `json:"digest"`
}

// AsOf answers, for the row of one entry, what the log said about people,
// devices and attachments as of that entry's place.
type AsOf interface {
	// Approval returns the seq of the entry by which a person approved the
	// device kid, if its assurance rests on that.
	Approval(kid string, at proof.Leaf) (entry uint64, ok bool)
	User(usr string, at proof.Leaf) (Person, bool)
	Blob(at proof.Leaf, bid string) (status string, entry uint64, ok bool)
}

// relayNote is what the notes of all entries from the relay have in common.
type relayNote struct {
	Kind string `json:"kind"` // the relay event's; not of messages and directory entries
	Time string `json:"time"`
	Code string `json:"code"` // of a quarantine entry
}

// RowOf returns the row of an entry. The same record and the same answers of
// asof give the same row.
func RowOf(rec archive.Record, asof AsOf) (Row, error) {
	row, _, err := rowOf(rec, asof)
	return row, err
}

// rowOf is RowOf, and returns a message's payload as well.
func rowOf(rec archive.Record, asof AsOf) (Row, *envelope.Payload, error) {
	row := Row{Seq: rec.Leaf.Seq, Kind: rec.Leaf.Kind, Received: envelope.FormatTime(rec.Leaf.ReceivedTime())}
	if rec.Leaf.Kind == proof.KindMessage {
		payload, err := row.message(rec, asof)
		return row, payload, err
	}
	return row, nil, row.event(rec)
}

// event fills in what an entry that is no message says.
func (row *Row) event(rec archive.Record) error {
	if rec.Leaf.Kind.FromRelay() && len(rec.Note) > 0 {
		var note relayNote
		if err := ijson.Unmarshal(rec.Note, &note); err != nil {
			return fmt.Errorf("%w: note: %w", errUnreadable, err)
		}
		row.Typ, row.Relayed, row.Code = note.Kind, note.Time, note.Code
	}
	if rec.Leaf.Kind == proof.KindQuarantine {
		row.Withheld = ReasonQuarantined
		return nil
	}
	if !utf8.Valid(rec.Body) {
		return fmt.Errorf("%w: body", errUnreadable)
	}
	row.Body = string(rec.Body)
	return nil
}

// message fills in what a message's payload and note say.
func (row *Row) message(rec archive.Record, asof AsOf) (*envelope.Payload, error) {
	note, err := readNote(rec.Note)
	if err != nil {
		return nil, fmt.Errorf("%w: note: %w", errUnreadable, err)
	}
	compact, err := jws.Parse(rec.Body, envelope.TypMessage)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	p, err := envelope.ParsePayload(compact.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	from := person(p.Usr, rec.Leaf, asof)
	row.Typ, row.Relayed, row.Sent, row.Mid, row.Dev, row.From = p.Typ, note.Time, p.Sent, p.Mid, p.Dev, &from
	for _, to := range p.To {
		row.To = append(row.To, person(to.Usr, rec.Leaf, asof))
	}
	if p.Conv != nil {
		row.Conversation = &Conversation{ID: p.Conv.ID, Kind: p.Conv.Kind, Name: p.Conv.Name}
		for _, m := range p.Conv.Members {
			row.Conversation.Members = append(row.Conversation.Members, m.Usr)
		}
	}
	if p.Body != nil {
		row.Text, row.Lang = p.Body.Text, p.Body.Lang
	}
	if p.Subject != nil {
		row.Subject = &Subject{MRN: p.Subject.MRN, Encounter: p.Subject.Encounter, Born: p.Subject.Born}
	}
	if p.Ref != nil {
		row.Ref = &Ref{Dev: p.Ref.Dev, Mid: p.Ref.Mid, Digest: p.Ref.Digest}
	}
	row.attachments(p.Att, note.Blobs, rec.Leaf, asof)
	row.Prio, row.Status, row.StatusAt = p.Prio, p.Status, p.At
	row.Flags, row.Assurance, row.Device, row.JWS = note.Flags, note.Assurance, note.Device, string(rec.Body)
	// A message that was under way when the device was approved is what its note says.
	if note.Assurance == string(envelope.Enrolled) {
		if entry, ok := asof.Approval(note.Device, rec.Leaf); ok {
			row.Approved = entry
		}
	}
	return p, nil
}

func (row *Row) attachments(att []envelope.Attachment, blobs []archive.BlobNote, leaf proof.Leaf, asof AsOf) {
	for _, a := range att {
		out := Attachment{BID: a.BID, Name: a.Name, MIME: a.MIME, Size: a.Size}
		for _, b := range blobs {
			if b.BID == a.BID {
				out.Status = b.Status
			}
		}
		if out.Status == archive.BlobPending || out.Status == "" {
			if status, entry, ok := asof.Blob(leaf, a.BID); ok {
				out.Status, out.Entry = status, entry
			}
		}
		row.Attachments = append(row.Attachments, out)
	}
}

func person(usr string, at proof.Leaf, asof AsOf) Person {
	if p, ok := asof.User(usr, at); ok {
		return p
	}
	return Person{Usr: usr}
}

// size is a lower bound of the row's length as a line, in bytes: a row that
// cannot fit is never rendered.
func (row *Row) size() int {
	n := len(row.Text) + len(row.JWS) + len(row.Body)
	for _, p := range row.To {
		n += len(p.Usr) + len(p.UPN) + len(p.Mail) + len(p.Name)
	}
	return n
}

// maxRow bounds a row as a line, in bytes: its proof, which may hold its body,
// needs some more.
const maxRow = MaxLine - 64<<10

// tooLarge reports whether the row cannot be produced. Escapes make six bytes
// of one at most, so that a row of few is not rendered to know.
func (row *Row) tooLarge() bool {
	if row.size() < MaxLine/16 {
		return false
	}
	b, err := row.line()
	return err != nil || len(b) > maxRow
}

// errTooLarge is returned for a row beyond MaxLine.
var errTooLarge = errors.New("the row is larger than a line may be")

// line returns the row as its line of records.jsonl, without the line break.
func (row *Row) line() ([]byte, error) {
	if row.size() > MaxLine {
		return nil, errTooLarge
	}
	b := row.appendTo(make([]byte, 0, row.size()+512))
	if len(b) > MaxLine {
		return nil, errTooLarge
	}
	return b, nil
}
