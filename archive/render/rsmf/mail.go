package rsmf

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive/render"
)

// longestCustom is below what a value of one of our own X-RSMF headers may have.
const longestCustom = 254

// mail writes the mail that an RSMF file is (RFC 5322, RFC 2045).
func (w *writer) mail(out *bufio.Writer, u *render.Unit, p *part) error {
	sum := sha256.Sum256([]byte("holdfast rsmf file v1\x00" + w.o.Origin + "\x00" + p.name))
	id := hex.EncodeToString(sum[:16])
	// Neither quoted-printable nor base64 ever has "=_" in it.
	boundary := "=_holdfast_" + id
	w.head(out, u, p, id, boundary)
	fmt.Fprintf(out, "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	q := quotedprintable.NewWriter(out)
	if _, err := io.WriteString(q, strings.ReplaceAll(p.text, "\n", "\r\n")); err != nil {
		return err
	}
	if err := q.Close(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\r\n--%s\r\nContent-Type: application/zip; name=rsmf.zip\r\nContent-Disposition: attachment; filename=rsmf.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n", boundary)
	lines := &liner{out: out}
	b64 := base64.NewEncoder(base64.StdEncoding, lines)
	if err := pack(b64, p); err != nil {
		return err
	}
	if err := b64.Close(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\r\n--%s--\r\n", boundary)
	return err
}

// head writes the mail's header.
func (w *writer) head(out *bufio.Writer, u *render.Unit, p *part, id, boundary string) {
	first, last := &p.items[0], &p.items[len(p.items)-1]
	from, to := w.correspondents(p)
	field(out, "From", from)
	field(out, "To", to)
	field(out, "Subject", unstructured(w.subject(u, p)))
	field(out, "Date", first.at.In(w.zone).Format(time.RFC1123Z))
	field(out, "Message-ID", "<rsmf."+id+"@"+w.o.Origin+">")
	field(out, "MIME-Version", "1.0")
	field(out, "Content-Type", "multipart/mixed;\r\n boundary=\""+boundary+"\"")
	field(out, "X-RSMF-Version", version)
	field(out, "X-RSMF-Generator", unstructured(render.Visible(w.o.Tool)))
	field(out, "X-RSMF-BeginDate", w.time(first.at))
	field(out, "X-RSMF-EndDate", w.time(last.at))
	field(out, "X-RSMF-EventCount", strconv.Itoa(len(p.items)))
	field(out, "X-RSMF-AttachmentCount", strconv.Itoa(len(p.files)))
	field(out, "X-RSMF-Application", "Holdfast")
	field(out, "X-RSMF-Custodian", unstructured(cmp.Or(custodian(p.items, nil), "(none)")))
	field(out, "X-RSMF-Participants", cmp.Or(addresses(p.people), "(none)"))
	field(out, "X-RSMF-EventCollectionID", p.manifest.Collection)
	w.ours(out, u, p)
}

// ours writes the headers that RSMF leaves to the program.
func (w *writer) ours(out *bufio.Writer, u *render.Unit, p *part) {
	custom := func(name, value string) {
		if v := unstructured(render.Visible(value)); value != "" && len(v) <= longestCustom {
			field(out, "X-RSMF-"+name, v)
		}
	}
	custom("Archive", w.o.Origin)
	custom("Day", u.Day)
	custom("Part", fmt.Sprintf("%d of %d of part %d of %d", p.n, p.of, max(u.Part, 1), max(u.Parts, 1)))
	first, last := p.items[0].seq, p.items[0].seq
	var bates []string
	for i := range p.items {
		first, last = min(first, p.items[i].seq), max(last, p.items[i].seq)
		if e := p.items[i].entry; e.Bates != "" {
			bates = append(bates, e.Bates, max(e.Bates, e.BatesEnd))
		}
	}
	custom("FirstSeq", strconv.FormatUint(first, 10))
	custom("LastSeq", strconv.FormatUint(last, 10))
	if len(bates) > 0 {
		custom("BatesBegin", slices.Min(bates))
		custom("BatesEnd", slices.Max(bates))
	}
}

// subject returns what the file is of.
func (w *writer) subject(u *render.Unit, p *part) string {
	s := "Messages of no conversation"
	if len(p.manifest.Conversations) > 0 && p.manifest.Conversations[0].ID != "archive" {
		s = p.manifest.Conversations[0].Display
	}
	if u.Day != "" {
		s += ", " + u.Day
	}
	if n, of := max(u.Part, 1), max(u.Parts, 1); of > 1 {
		s += fmt.Sprintf(", part %d of %d", n, of)
	}
	if p.of > 1 {
		s += fmt.Sprintf(", file %d of %d", p.n, p.of)
	}
	return s
}

// correspondents returns who is named as the mail's sender, the first who said
// anything, and all others as its recipients.
func (w *writer) correspondents(p *part) (from, to string) {
	sender := ""
	for i := range p.items {
		if sender = p.items[i].ev.Participant; sender != "" {
			break
		}
	}
	var others []render.Person
	from = "\"Holdfast archive\" <archive@holdfast.invalid>"
	for i := range p.people {
		if p.people[i].Usr == sender {
			from = address(&p.people[i])
		} else {
			others = append(others, p.people[i])
		}
	}
	if len(others) == 0 {
		return from, "undisclosed-recipients:;"
	}
	return from, addresses(others)
}

func addresses(list []render.Person) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = address(&list[i])
	}
	return strings.Join(out, ",\r\n ")
}

// address returns a person as a mailbox (RFC 5322 section 3.4). The name is
// encoded whatever it is, so that none is read as anything but a name.
func address(p *render.Person) string {
	return words(name(p)) + "\r\n <" + p.Address() + ">"
}

// field writes a header field; its value has its folds already.
func field(out *bufio.Writer, name, value string) {
	fmt.Fprintf(out, "%s: %s\r\n", name, value)
}

// unstructured returns s, which is one line, as the value of an unstructured
// header: as it is if it is short and plain.
func unstructured(s string) string {
	plain := len(s) <= 60 && strings.TrimSpace(s) == s && !strings.Contains(s, "=?")
	for i := range len(s) {
		plain = plain && s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return words(s)
}

// words returns s as encoded words (RFC 2047), one a line, each of whole runes.
func words(s string) string {
	var out []string
	for len(s) > 0 {
		n := min(len(s), 45)
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		out = append(out, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(out, "\r\n ")
}

// A liner breaks what is written to it into lines of 76.
type liner struct {
	out *bufio.Writer
	at  int
}

func (l *liner) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if l.at == 76 {
			if _, err := l.out.WriteString("\r\n"); err != nil {
				return 0, err
			}
			l.at = 0
		}
		n := min(len(rest), 76-l.at)
		if _, err := l.out.Write(rest[:n]); err != nil {
			return 0, err
		}
		l.at += n
		rest = rest[n:]
	}
	return len(b), nil
}
