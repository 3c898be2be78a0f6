package export

import (
	"encoding/hex"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

func hexOf(h proof.Hash) string { return hex.EncodeToString(h[:]) }

// entryOf returns what a format renders of a row: the one way from a row to a
// document, for Produce and for Verify alike.
func entryOf(row *Row, s *says) (render.Entry, error) {
	e := render.Entry{
		Seq: row.Seq, Kind: row.Kind.String(), Typ: row.Typ, Mid: row.Mid, Dev: row.Dev,
		Text: row.Text, Lang: row.Lang, Prio: row.Prio, TextPath: s.Text, Target: s.Target,
		Status: row.Status, Flags: row.Flags, Assurance: row.Assurance, Device: row.Device,
		Custodians: s.Custodians, Holds: s.Holds, Bates: row.Bates, BatesEnd: row.BatesEnd,
		Redacted: row.Redacted, Withheld: row.Withheld, Body: row.Body,
	}
	for _, t := range []struct {
		dst  *time.Time
		text string
	}{{&e.Received, row.Received}, {&e.Relayed, row.Relayed}, {&e.Sent, row.Sent}, {&e.StatusAt, row.StatusAt}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.dst, err = envelope.ParseTime(t.text); err != nil {
			return e, err
		}
	}
	people := map[string]render.Person{}
	one := func(who Person) render.Person {
		r := render.Person{Usr: who.Usr, UPN: who.UPN, Mail: who.Mail, Name: who.Name}
		people[who.Usr] = r
		return r
	}
	if row.From != nil {
		from := one(*row.From)
		e.From = &from
	}
	for _, who := range row.To {
		e.To = append(e.To, one(who))
	}
	if c := row.Conversation; c != nil {
		e.Conversation = &render.Conversation{ID: c.ID, Kind: c.Kind, Name: c.Name}
		for _, usr := range c.Members {
			who, ok := people[usr]
			if !ok {
				who.Usr = usr
			}
			e.Conversation.Members = append(e.Conversation.Members, who)
		}
	}
	if row.Subject != nil {
		e.Subject = &render.Subject{MRN: row.Subject.MRN, Encounter: row.Subject.Encounter, Born: row.Subject.Born}
	}
	e.Attachments = attachmentsOf(row, s)
	return e, nil
}

func attachmentsOf(row *Row, s *says) []render.Attachment {
	var out []render.Attachment
	for i, a := range row.Attachments {
		r := render.Attachment{BID: a.BID, Name: a.Name, MIME: a.MIME, Size: a.Size, Status: a.Status, Bates: a.Bates}
		if i < len(s.Attachments) {
			c := &s.Attachments[i]
			r.Path, r.TextPath, r.MD5, r.SHA256 = c.Path, c.Text, c.MD5, c.SHA256
		}
		out = append(out, r)
	}
	return out
}
