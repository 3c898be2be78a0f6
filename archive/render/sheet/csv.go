package sheet

import (
	"strconv"
	"strings"

	"holdfast/archive/render"
)

// CSV is one table of entries, records.csv: UTF-8 with a byte order mark, rows
// that end CR LF (RFC 4180), a row for each entry in the order of the units.
// Every row is one line.
func CSV() render.Format {
	return render.Format{
		Name:  "csv",
		Units: []render.UnitKind{render.Message, render.ConversationDay, render.AConversation},
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			return create(o, sink, "records.csv", (*table).csvHeading, func(t *table, u *render.Unit) {
				for i := range u.Entries {
					t.csvRow(&u.Entries[i], o.Legend)
				}
			})
		},
	}
}

// csvColumns are the names in the first row, in the order of csvRow.
var csvColumns = []string{
	"seq", "kind", "type", "received", "relayed", "sent", "sent_local", "message_id", "device_id",
	"from_usr", "from_upn", "from_mail", "from_name", "to_usr", "to_mail", "to_name",
	"conversation_id", "conversation_kind", "conversation_name", "member_usr", "member_name",
	"text", "lang", "priority", "mrn", "encounter", "born",
	"target_seq", "status", "status_at", "flags", "assurance", "device_key",
	"attachment_name", "attachment_type", "attachment_size", "attachment_status", "attachment_bates", "attachment_path", "attachment_md5", "attachment_sha256",
	"leaf_hash", "custodians", "holds", "bates", "bates_end", "redacted", "withheld", "body", "legend",
}

func (t *table) csvHeading() {
	for _, name := range csvColumns {
		t.cell(name)
	}
	t.endRow()
}

func (t *table) csvRow(e *render.Entry, legend string) {
	local, target, redacted := "", "", ""
	if !e.Sent.IsZero() {
		local = e.Sent.In(t.zone).Format(render.Stamp)
	}
	if e.Target != nil {
		target = number(*e.Target)
	}
	if e.Redacted {
		redacted = "yes"
	}
	t.cells(number(e.Seq), e.Kind, e.Typ, stamp(e.Received), stamp(e.Relayed), stamp(e.Sent), local, e.Mid, e.Dev)
	t.csvPeople(e)
	conv := e.Conversation
	if conv == nil {
		conv = &render.Conversation{}
	}
	t.cells(conv.ID, conv.Kind, conv.Name)
	t.list(each(conv.Members, usr))
	t.list(each(conv.Members, name))
	t.cells(e.Text, e.Lang, e.Prio)
	t.csvSubject(e.Subject)
	t.cells(target, e.Status, stamp(e.StatusAt))
	t.list(e.Flags)
	t.cells(e.Assurance, e.Device)
	t.csvAttachments(e.Attachments)
	t.cells(e.LeafHash)
	t.list(e.Custodians)
	t.list(e.Holds)
	t.cells(e.Bates, e.BatesEnd, redacted, e.Withheld, e.Body, legend)
	t.endRow()
}

func (t *table) csvPeople(e *render.Entry) {
	from := e.From
	if from == nil {
		from = &render.Person{}
	}
	t.cells(from.Usr, from.UPN, from.Mail, from.Name)
	t.list(each(e.To, usr))
	t.list(each(e.To, func(p *render.Person) string { return p.Mail }))
	t.list(each(e.To, name))
}

func (t *table) csvSubject(s *render.Subject) {
	if s == nil {
		t.cells("", "", "")
		return
	}
	born := ""
	if s.Born != 0 {
		born = strconv.FormatInt(s.Born, 10)
	}
	t.cells(s.MRN, s.Encounter, born)
}

// csvAttachments writes lists that run side by side: the first of each column
// is of the first attachment.
func (t *table) csvAttachments(all []render.Attachment) {
	for _, of := range []func(*render.Attachment) string{
		func(a *render.Attachment) string { return a.Name },
		func(a *render.Attachment) string { return a.MIME },
		func(a *render.Attachment) string { return strconv.FormatInt(a.Size, 10) },
		func(a *render.Attachment) string { return a.Status },
		func(a *render.Attachment) string { return a.Bates },
		func(a *render.Attachment) string { return a.Path },
		func(a *render.Attachment) string { return a.MD5 },
		func(a *render.Attachment) string { return a.SHA256 },
	} {
		t.list(each(all, of))
	}
}

func usr(p *render.Person) string  { return p.Usr }
func name(p *render.Person) string { return p.Name }

func (t *table) cells(values ...string) {
	for _, v := range values {
		t.cell(render.Cell(v))
	}
}

func (t *table) list(values []string) { t.cell(render.Cells(values)) }

// cell writes a cell that is escaped already, in quotes where RFC 4180 asks for
// them, and where an implementation could drop spaces or cut at a semicolon.
func (t *table) cell(s string) {
	if s != "" && (strings.ContainsAny(s, "\",;") || s[0] == ' ' || s[len(s)-1] == ' ') {
		t.rows.WriteByte('"')
		t.rows.WriteString(strings.ReplaceAll(s, `"`, `""`))
		t.rows.WriteByte('"')
	} else {
		t.rows.WriteString(s)
	}
	t.rows.WriteByte(',')
}

func (t *table) endRow() {
	t.rows.Truncate(t.rows.Len() - 1)
	t.rows.WriteString("\r\n")
}
