// Package reading says what a query sees of an entry: it is the one place that
// makes a query.Doc. The index's source, retention's facts and tests import it,
// so that a search and a hold never disagree on what an entry says.
//
// It reads nothing itself. What the directory knows of people and what was read
// of attachments its callers look up; which of an entry's words a query asks
// for is specified in archive/query/QUERY.md.
package reading

import (
	"slices"

	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
)

// Doc returns what a query sees of the message at leaf. party returns what
// the directory knew of a relay user at the message's place; file what is known
// of an attachment, which has to have its name.
//
// A message that says nothing of its own, as a receipt, hangs at the one that
// its ref names.
func Doc(leaf proof.Leaf, p *envelope.Payload, digest [32]byte, party func(usr string) query.Party, file func(a *envelope.Attachment) query.File) query.Doc {
	d := query.Doc{
		Seq: leaf.Seq, Typ: p.Typ, Prio: p.Prio, Digest: digest,
		From: query.Parties{party(p.Usr)},
		Sent: p.SentTime(), Received: leaf.ReceivedTime(),
		Hangs: !says(p.Typ),
	}
	for _, to := range p.To {
		d.To = append(d.To, party(to.Usr))
	}
	if p.Conv != nil {
		d.Conversation = query.ConversationRef{ID: p.Conv.ID, Name: p.Conv.Name, Kind: p.Conv.Kind}
		for _, m := range p.Conv.Members {
			d.Members = append(d.Members, party(m.Usr))
		}
	}
	if p.Subject != nil {
		d.MRN, d.Encounter = p.Subject.MRN, p.Subject.Encounter
	}
	if p.Body != nil && !d.Hangs {
		d.Text, d.Lang = p.Body.Text, p.Body.Lang
	}
	for i := range p.Att {
		d.Files = append(d.Files, file(&p.Att[i]))
	}
	d.Unread = slices.ContainsFunc(d.Files, func(f query.File) bool { return f.Unread })
	if p.Ref != nil {
		d.Ref, _ = p.Ref.Sum() // ParsePayload has checked its form
	}
	return d
}

// says reports whether messages of the type have something to say of their own.
func says(typ string) bool { return typ == envelope.TypMsg || typ == envelope.TypEdit }

// Late returns what a query sees of the entry at leaf, which says that an
// attachment of the message d has come in: the message, with what is known of
// its attachments then.
func Late(leaf proof.Leaf, d query.Doc) query.Doc {
	d.Of, d.Seq, d.Late = d.Seq, leaf.Seq, true
	return d
}

// Quarantined returns what a query sees of the quarantined entry at leaf; code is
// why it is there.
func Quarantined(leaf proof.Leaf, code string) query.Doc {
	return query.Doc{Seq: leaf.Seq, Received: leaf.ReceivedTime(), Quarantined: true, Code: code}
}

// Unread returns an attachment of which nothing but its name is known.
func Unread(a *envelope.Attachment) query.File { return query.File{Name: a.Name, Unread: true} }
