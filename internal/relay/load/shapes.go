package load

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"holdfast/ingest/envelope"
)

// phone is the name of a person's device where the line names none.
const phone = "phone"

// ward handles a line of Holdfast's own sets.
func (c *composer) ward(l *wardLine) error {
	switch {
	case l.User != "":
		c.bare[l.User] = l.RelayAsserted
		return c.person(person{Usr: l.User, UPN: l.UPN, Mail: l.Mail, Name: l.Name})
	case l.Conv != "":
		c.convs[l.Conv] = &envelope.Conv{ID: l.Conv, Kind: l.Kind, Name: l.Name, Members: c.parties(l.Members)}
		return nil
	case l.ID != "":
		return c.message(c.wardMessage(l))
	}
	return fmt.Errorf("%w: it has none of user, conv and id", ErrLine)
}

// person registers someone by a line of their own, which may also rename them.
func (c *composer) person(p person) error {
	if err := c.register(p); err != nil {
		return err
	}
	old := c.people[p.Usr]
	if (p.Name == "" || p.Name == old.Name) && (p.UPN == "" || p.UPN == old.UPN) && (p.Mail == "" || p.Mail == old.Mail) {
		return nil
	}
	return c.upsert(p)
}

// parties names people as the sender's client shows them.
func (c *composer) parties(usrs []string) []envelope.Party {
	var all []envelope.Party
	for _, usr := range usrs {
		all = append(all, envelope.Party{Usr: usr, Name: c.people[usr].Name})
	}
	return all
}

func (c *composer) wardMessage(l *wardLine) (*message, error) {
	at, err := envelope.ParseTime(l.Time)
	if err != nil {
		return nil, fmt.Errorf("%w: time is not of the form YYYY-MM-DDTHH:MM:SS.mmmZ", ErrLine)
	}
	conv, known := c.convs[l.In]
	if l.From == "" || !known {
		return nil, fmt.Errorf("%w: from is missing, or no earlier line has the conversation that in names", ErrLine)
	}
	if l.Members != nil {
		changed := *conv
		changed.Members = c.parties(l.Members)
		conv, c.convs[l.In] = &changed, &changed
	}
	m := &message{from: l.From, dev: l.Dev, at: at, vouched: !c.bare[l.From], files: l.Att, lineID: l.ID}
	if m.dev == "" {
		m.dev = phone
	}
	m.payload = envelope.Payload{Typ: l.Typ, Conv: conv, To: c.parties(l.To), Prio: l.Prio, TTL: l.TTL, Label: l.Label, Status: l.Status}
	if l.Typ == "" {
		m.payload.Typ = envelope.TypMsg
	}
	if l.To == nil {
		for _, p := range conv.Members {
			if p.Usr != l.From {
				m.payload.To = append(m.payload.To, p)
			}
		}
	}
	if l.Text != nil {
		m.payload.Body = &envelope.Body{Text: *l.Text, Lang: l.Lang, MIME: l.MIME}
	}
	if l.Subject != nil {
		m.payload.Subject = &envelope.Subject{MRN: l.Subject.MRN, Encounter: l.Subject.Encounter, Born: l.Subject.Born}
	}
	if m.payload.Typ == envelope.TypReceipt {
		m.payload.At = l.Time
	}
	if l.Ref != "" {
		ref, err := c.reference(l.Ref)
		if err != nil {
			return nil, err
		}
		m.payload.Ref = ref
	}
	return m, nil
}

// reference finds what an earlier line, of this file or of one loaded before, has become.
func (c *composer) reference(id string) (*envelope.Ref, error) {
	s, ok := c.lines[id]
	if !ok {
		found, err := c.l.state.get(bucketLines, []byte(id), &s)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("%w: ref names no earlier line", ErrLine)
		}
	}
	return &envelope.Ref{Dev: s.Dev, Mid: s.Mid, Digest: s.Digest}, nil
}

// sms turns a line of the NUS SMS corpus into one direct message with the line's text.
func (c *composer) sms(l *smsLine) (*message, error) {
	from, to := smsPerson(l.From), smsPerson(l.To)
	conv := &envelope.Conv{ID: pairID(from.Usr, to.Usr), Kind: "direct", Members: []envelope.Party{from, to}}
	return &message{from: from.Usr, dev: phone, at: smsTime(l), vouched: true, payload: envelope.Payload{
		Typ: envelope.TypMsg, Conv: conv, To: []envelope.Party{to}, Body: &envelope.Body{Text: l.Text},
	}}, nil
}

func smsPerson(id string) envelope.Party {
	if id == "" || id == "unknown" {
		return envelope.Party{Usr: "sms-unknown", Name: "unknown"}
	}
	short := id
	if len(short) > 8 {
		short = short[:8]
	}
	return envelope.Party{Usr: "sms-" + id, Name: "SMS " + short}
}

// pairID names the conversation of two people, whoever of them writes.
func pairID(a, b string) string {
	if a > b {
		a, b = b, a
	}
	sum := sha256.Sum256([]byte(a + "\x00" + b))
	return "sms-" + hex.EncodeToString(sum[:8])
}

// smsTimes are the notations of the corpus; the two with slashes are told apart by a month above 12 alone.
var smsTimes = []string{"2006.1.2 15:4:5", "2006.1.2 15:4", "1/2/2006 3:4:5 PM", "2/1/2006 3:4:5 PM"}

// smsTime returns the line's time as if it were UTC, or a minute of the month of collection that the line's id picks.
func smsTime(l *smsLine) time.Time {
	text := strings.TrimSpace(l.Time)
	for _, layout := range smsTimes {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= 1990 && at.Year() < 2100 {
			return at
		}
	}
	month, err := time.Parse("2006/1", l.Collected)
	if err != nil {
		month = time.Date(2003, 4, 1, 0, 0, 0, 0, time.UTC)
	}
	id, err := strconv.ParseUint(l.ID, 10, 63)
	if err != nil {
		id = 0
	}
	return month.Add(time.Duration(id%(28*24*60)) * time.Minute)
}

// turn turns a turn of MTS-Dialog into a message of its speaker to the others of that conversation: one visit, a minute a turn.
func (c *composer) turn(l *turnLine) (*message, error) {
	if l.Conversation == "" || len(l.Conversation) > 64 || len(l.Speaker) > 64 || l.Turn < 0 || l.Turn > 1<<20 {
		return nil, fmt.Errorf("%w: conversation, speaker or turn", ErrLine)
	}
	speaker := l.Speaker
	if speaker == "" {
		speaker = "Unnamed"
	}
	from := visitPerson(l.Conversation, speaker)
	id := "visit-" + l.Conversation
	conv, known := c.convs[id]
	if !known {
		conv = &envelope.Conv{ID: id, Kind: "patient", Name: "Visit " + l.Conversation, Members: []envelope.Party{
			visitPerson(l.Conversation, "Doctor"), visitPerson(l.Conversation, "Patient")}}
	}
	here := false
	for _, p := range conv.Members {
		here = here || p.Usr == from.Usr
	}
	if !here {
		grown := *conv
		grown.Members = append(append([]envelope.Party{}, conv.Members...), from)
		conv = &grown
	}
	c.convs[id] = conv
	m := &message{from: from.Usr, dev: phone, vouched: true, payload: envelope.Payload{
		Typ: envelope.TypMsg, Conv: conv, Label: []string{l.Section}, Body: &envelope.Body{Text: l.Text}}}
	for _, p := range conv.Members {
		if p.Usr != from.Usr {
			m.payload.To = append(m.payload.To, p)
		}
	}
	n, err := strconv.ParseUint(l.Conversation, 10, 20)
	if err != nil {
		n = 0
	}
	m.at = time.Date(2023, 1, 2, 8, 0, 0, 0, time.UTC).Add(time.Duration(n)*time.Hour + time.Duration(l.Turn)*time.Minute)
	return m, nil
}

func visitPerson(conversation, speaker string) envelope.Party {
	return envelope.Party{Usr: "visit-" + conversation + "-" + strings.ToLower(speaker), Name: speaker + " " + conversation}
}
