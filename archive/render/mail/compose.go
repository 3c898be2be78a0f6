package mail

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"holdfast/archive/render"
)

// errNothing is returned for a unit without entries.
var errNothing = errors.New("a unit of no entries cannot be a mail")

// headOf returns the entry that a unit is about: what hangs may have come first.
func headOf(u *render.Unit) (*render.Entry, error) {
	if len(u.Entries) == 0 {
		return nil, errNothing
	}
	return render.Families(u.Entries)[0].Head, nil
}

// A composer writes mails. It keeps nothing from one to the next but its
// buffers.
type composer struct {
	options render.Options
	zone    *time.Location
	domain  string // right of the @ in every Message-ID
	read    []byte // of an attachment
	lines   []byte // of base64
}

func newComposer(o render.Options) *composer {
	c := &composer{options: o, zone: o.Zone, domain: render.Token(o.Origin)}
	if c.zone == nil {
		c.zone = time.UTC
	}
	return c
}

// archivist sends what nobody sent: the relay's events.
var archivist = render.Person{Usr: "holdfast-archive", Name: "Holdfast archive"}

func sender(e *render.Entry) *render.Person {
	if e.From == nil {
		return &archivist
	}
	return e.From
}

// dated returns the time in a mail's Date field: the entry's, where a mail can
// have it (RFC 5322 section 3.3: from 1900, four digits), else the archive's.
func dated(e *render.Entry) time.Time {
	for _, at := range []time.Time{e.When(), e.Received} {
		if y := at.Year(); 1900 <= y && y < 9999 {
			return at
		}
	}
	return time.Unix(0, 0)
}

// date returns a time as a Date field has it, in the production's zone where
// that is whole minutes from UTC.
func (c *composer) date(at time.Time) string {
	at = at.In(c.zone)
	if _, offset := at.Zone(); offset%60 != 0 {
		at = at.UTC()
	}
	return at.Format(time.RFC1123Z)
}

// stamp returns a time as text has it; "" for none.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(render.Stamp)
}

// id returns the Message-ID of an entry: seq.mid@origin.
func (c *composer) id(e *render.Entry) string {
	left := fmt.Sprint(e.Seq)
	if e.Mid != "" {
		left += "." + render.Token(e.Mid)
	}
	return "<" + left + "@" + c.domain + ">"
}

// compose writes a unit as one mail: its head, and as parts of it what hangs
// there and the attachments.
func (c *composer) compose(w io.Writer, u *render.Unit) error {
	e, err := headOf(u)
	if err != nil {
		return err
	}
	var head strings.Builder
	c.envelope(&head, e)
	c.particulars(&head, e)
	head.WriteString("MIME-Version: 1.0\r\n")

	hanging := history(u, e)
	files := false
	for i := range u.Entries {
		for n := range u.Entries[i].Attachments {
			files = files || u.Entries[i].Attachments[n].Open != nil
		}
	}
	if hanging == "" && !files {
		return text(w, head.String(), c.said(e), "")
	}
	// No line of quoted-printable or base64 can hold "=_": the boundary stands in no part.
	boundary := fmt.Sprintf("=_holdfast_%012d", e.Seq)
	head.WriteString("Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n")
	open := "--" + boundary + "\r\n"
	if err := text(w, head.String()+open, c.said(e), ""); err != nil {
		return err
	}
	open = "\r\n" + open
	if hanging != "" {
		if err := text(w, open, hanging, "history.txt"); err != nil {
			return err
		}
	}
	for i := range u.Entries {
		if err := c.attachments(w, open, &u.Entries[i]); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "\r\n--"+boundary+"--\r\n")
	return err
}

// envelope writes the fields that mail programs know.
func (c *composer) envelope(b *strings.Builder, e *render.Entry) {
	mailboxes(b, "From", []render.Person{*sender(e)})
	if len(e.To) > 0 {
		mailboxes(b, "To", e.To)
	} else {
		b.WriteString("To: undisclosed-recipients:;\r\n")
	}
	header(b, "Subject", e.Title())
	b.WriteString("Date: " + c.date(dated(e)) + "\r\n")
	b.WriteString("Message-ID: " + c.id(e) + "\r\n")
	if e.Conversation != nil {
		// Mail programs thread what refers to the same, even if it is not there.
		root := "<conversation." + render.Token(e.Conversation.ID) + "@" + c.domain + ">"
		field(b, "In-Reply-To", []string{root})
		field(b, "References", []string{root})
	}
	if e.Prio == "urgent" || e.Prio == "stat" {
		b.WriteString("Importance: high\r\n")
	}
}

// particulars writes what only the archive knows.
func (c *composer) particulars(b *strings.Builder, e *render.Entry) {
	put := func(name, value string) { header(b, "X-Holdfast-"+name, value) }
	put("Seq", fmt.Sprint(e.Seq))
	put("Leaf-Hash", e.LeafHash)
	put("Kind", e.Kind)
	put("Event-Type", e.Typ)
	if conv := e.Conversation; conv != nil {
		put("Conversation-ID", conv.ID)
		put("Conversation-Type", conv.Kind)
		put("Conversation-Name", conv.Name)
		headers(b, "X-Holdfast-Members", usrs(conv.Members))
		headers(b, "X-Holdfast-Member-Names", names(conv.Members))
	}
	headers(b, "X-Holdfast-Custodian", e.Custodians)
	if f := e.From; f != nil {
		put("From", f.Usr)
		put("From-UPN", f.UPN)
		put("From-Mail", f.Mail)
		put("From-Name", f.Name)
	}
	headers(b, "X-Holdfast-To", usrs(e.To))
	headers(b, "X-Holdfast-To-Names", names(e.To))
	put("Sent", stamp(e.Sent))
	put("Relayed", stamp(e.Relayed))
	put("Received", stamp(e.Received))
	put("Device-ID", e.Dev)
	put("Device-Key", e.Device)
	put("Assurance", e.Assurance)
	headers(b, "X-Holdfast-Flags", e.Flags)
	if e.Target != nil {
		put("Target-Seq", fmt.Sprint(*e.Target))
	}
	put("Status", e.Status)
	put("Status-At", stamp(e.StatusAt))
	put("Language", e.Lang)
	put("Priority", e.Prio)
	if s := e.Subject; s != nil {
		put("MRN", s.MRN)
		put("Encounter", s.Encounter)
		if s.Born != 0 {
			put("Born", fmt.Sprint(s.Born))
		}
	}
	headers(b, "X-Holdfast-Holds", e.Holds)
	put("Bates", e.Bates)
	if e.BatesEnd != e.Bates {
		put("Bates-End", e.BatesEnd)
	}
	if e.Redacted {
		put("Redacted", "yes")
	}
	put("Withheld", e.Withheld)
	put("Legend", c.options.Legend)
}

// usrs returns the relay user ids of people, names what they are called.
func usrs(people []render.Person) []string {
	out := make([]string, len(people))
	for i := range people {
		out[i] = people[i].Usr
	}
	return out
}

func names(people []render.Person) []string {
	out := make([]string, len(people))
	for i := range people {
		out[i] = people[i].Called()
	}
	return out
}

// said is the text of an entry as the first part of its mail has it.
func (c *composer) said(e *render.Entry) string {
	legend := ""
	if c.options.Legend != "" {
		legend = render.Visible(c.options.Legend) + "\n\n"
	}
	return legend + content(e) + "\n"
}

// content is what an entry says: its text, why there is none, or the relay's
// event.
func content(e *render.Entry) string {
	switch {
	case e.Withheld != "":
		return "[withheld: " + render.Visible(e.Withheld) + "]"
	case e.Body != "":
		return render.Lines(e.Body)
	}
	return render.Lines(e.Text)
}

// text writes a part of text in lines that end LF. A part with a name is shown
// in place and saved under it.
func text(w io.Writer, head, s, name string) error {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\n")
	if name != "" {
		disposition(&b, "inline", name)
	}
	ascii := 0
	for i := range len(s) {
		if s[i] < 0x80 {
			ascii++
		}
	}
	if ascii < len(s)*2/3 {
		b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		_, err := w.Write(base64Lines(nil, []byte(strings.ReplaceAll(s, "\n", "\r\n"))))
		return err
	}
	b.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	q := quotedprintable.NewWriter(w)
	if _, err := io.WriteString(q, s); err != nil {
		return err
	}
	return q.Close()
}

// mimeType returns a sender's word for what a file is where it is a media type
// that a base64 part may have (RFC 2045 section 6.4: no multipart, no message),
// without parameters.
func mimeType(s string) string {
	kind, _, err := mime.ParseMediaType(s)
	top, sub, ok := strings.Cut(kind, "/")
	if err != nil || !ok || len(kind) > 100 || sub == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789/.+-_") != "" {
		return "application/octet-stream"
	}
	switch top {
	case "application", "audio", "chemical", "font", "image", "model", "text", "video":
		return kind
	}
	return "application/octet-stream"
}
