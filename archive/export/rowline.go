package export

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/render"
)

// Rows and the proofs of records, of which there is one for each message, are
// written by hand: reflection would take longer than reading the entry does.
// What comes is marshalLine's to the byte.

// appendString appends s as a JSON string in which every unsafe rune is
// escaped. Bytes that are no UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		if c := s[i]; 0x20 <= c && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !(r == '"' || r == '\\' || r == utf8.RuneError && n == 1 || render.Unsafe(r)) {
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = appendEscape(b, r)
		}
		i += n
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// A lineAppender appends the members of JSON objects; those that are empty are
// left out.
type lineAppender struct{ b []byte }

// name begins a member: every name is one of ours.
func (l *lineAppender) name(name string) {
	if last := l.b[len(l.b)-1]; last != '{' {
		l.b = append(l.b, ',')
	}
	l.b = append(append(append(l.b, '"'), name...), '"', ':')
}

func (l *lineAppender) text(name, s string) {
	if s != "" {
		l.must(name, s)
	}
}

func (l *lineAppender) must(name, s string) {
	l.name(name)
	l.b = appendString(l.b, s)
}

func (l *lineAppender) number(name string, n uint64) {
	if n != 0 {
		l.name(name)
		l.b = strconv.AppendUint(l.b, n, 10)
	}
}

func (l *lineAppender) texts(name string, list []string) {
	for i, s := range list {
		if i == 0 {
			l.name(name)
			l.b = append(l.b, '[')
		} else {
			l.b = append(l.b, ',')
		}
		l.b = appendString(l.b, s)
	}
	if len(list) > 0 {
		l.b = append(l.b, ']')
	}
}

func (l *lineAppender) person(p *Person) {
	l.b = append(l.b, '{')
	l.must("usr", p.Usr)
	l.text("upn", p.UPN)
	l.text("mail", p.Mail)
	l.text("name", p.Name)
	l.number("entry", p.Entry)
	l.b = append(l.b, '}')
}

// appendTo appends the row as a line without its line break.
func (row *Row) appendTo(b []byte) []byte {
	l := &lineAppender{append(b, '{')}
	l.name("seq")
	l.b = strconv.AppendUint(l.b, row.Seq, 10)
	l.must("kind", row.Kind.String())
	l.text("typ", row.Typ)
	l.must("received", row.Received)
	l.text("relayed", row.Relayed)
	l.text("sent", row.Sent)
	l.text("mid", row.Mid)
	l.text("dev", row.Dev)
	row.appendPeople(l)
	l.text("text", row.Text)
	l.text("lang", row.Lang)
	l.text("prio", row.Prio)
	if s := row.Subject; s != nil {
		l.name("subject")
		l.b = append(l.b, '{')
		l.text("mrn", s.MRN)
		l.text("encounter", s.Encounter)
		if s.Born != 0 {
			l.name("born")
			l.b = strconv.AppendInt(l.b, s.Born, 10)
		}
		l.b = append(l.b, '}')
	}
	row.appendAttachments(l)
	if r := row.Ref; r != nil {
		l.name("ref")
		l.b = append(l.b, '{')
		l.must("dev", r.Dev)
		l.must("mid", r.Mid)
		l.must("digest", r.Digest)
		l.b = append(l.b, '}')
	}
	l.text("status", row.Status)
	l.text("status_at", row.StatusAt)
	l.texts("flags", row.Flags)
	l.text("assurance", row.Assurance)
	l.text("device", row.Device)
	l.number("approved", row.Approved)
	l.text("jws", row.JWS)
	l.text("body", row.Body)
	l.text("withheld", row.Withheld)
	l.text("code", row.Code)
	if row.Redacted {
		l.name("redacted")
		l.b = append(l.b, "true"...)
	}
	l.text("unproven", row.Unproven)
	if row.Target != nil {
		l.name("target")
		l.b = strconv.AppendUint(l.b, *row.Target, 10)
	}
	l.text("bates", row.Bates)
	l.text("bates_end", row.BatesEnd)
	return append(l.b, '}')
}

func (row *Row) appendPeople(l *lineAppender) {
	if row.From != nil {
		l.name("from")
		l.person(row.From)
	}
	for i := range row.To {
		if i == 0 {
			l.name("to")
			l.b = append(l.b, '[')
		} else {
			l.b = append(l.b, ',')
		}
		l.person(&row.To[i])
	}
	if len(row.To) > 0 {
		l.b = append(l.b, ']')
	}
	if c := row.Conversation; c != nil {
		l.name("conversation")
		l.b = append(l.b, '{')
		l.must("id", c.ID)
		l.text("kind", c.Kind)
		l.text("name", c.Name)
		l.texts("members", c.Members)
		l.b = append(l.b, '}')
	}
}

func (row *Row) appendAttachments(l *lineAppender) {
	for i := range row.Attachments {
		a := &row.Attachments[i]
		if i == 0 {
			l.name("attachments")
			l.b = append(l.b, '[')
		} else {
			l.b = append(l.b, ',')
		}
		l.b = append(l.b, '{')
		l.must("bid", a.BID)
		l.must("name", a.Name)
		l.must("mime", a.MIME)
		l.name("size")
		l.b = strconv.AppendInt(l.b, a.Size, 10)
		l.must("status", a.Status)
		l.number("entry", a.Entry)
		l.text("bates", a.Bates)
		l.text("path", a.Path)
		l.text("sha256", a.SHA256)
		l.b = append(l.b, '}')
	}
	if len(row.Attachments) > 0 {
		l.b = append(l.b, ']')
	}
}

// A recordProof is a record's entry of proofs.json, before it is text.
type recordProof struct {
	rec    *archive.Record
	leaf   []byte // canonical
	path   []proof.Hash
	device uint64
	body   bool // it stands here, and not in a row
	rests  []uint64
	says   *says
}

// appendTo appends the proof as its line, without comma and line break.
func (r *recordProof) appendTo(b []byte) ([]byte, error) {
	l := &lineAppender{append(b, `{"as":"record","seq":`...)}
	l.b = strconv.AppendUint(l.b, r.rec.Leaf.Seq, 10)
	l.name("leaf")
	l.base64(r.leaf)
	l.name("random")
	l.base64(r.rec.Random[:])
	if len(r.rec.Note) > 0 {
		l.must("note", string(r.rec.Note))
	}
	if r.body && len(r.rec.Body) > 0 {
		l.must("body", string(r.rec.Body))
	}
	l.number("device", r.device)
	for i := range r.path {
		if i == 0 {
			l.name("path")
			l.b = append(l.b, '[')
		} else {
			l.b = append(l.b, ',')
		}
		l.base64(r.path[i][:])
	}
	if len(r.path) > 0 {
		l.b = append(l.b, ']')
	}
	for i, seq := range r.rests {
		if i == 0 {
			l.name("rests")
			l.b = append(l.b, '[')
		} else {
			l.b = append(l.b, ',')
		}
		l.b = strconv.AppendUint(l.b, seq, 10)
	}
	if len(r.rests) > 0 {
		l.b = append(l.b, ']')
	}
	if r.says != nil {
		text, err := marshalLine(r.says)
		if err != nil {
			return l.b, err
		}
		l.name("says")
		l.b = append(l.b, text...)
	}
	return append(l.b, '}'), nil
}

func (l *lineAppender) base64(v []byte) {
	l.b = append(base64.RawURLEncoding.AppendEncode(append(l.b, '"'), v), '"')
}
