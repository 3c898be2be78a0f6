package sheet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"holdfast/archive/render"
)

// DAT is a Concordance load file, loadfile.dat: UTF-8 with a byte order mark,
// each value between þ, values separated by U+0014, rows that end CR LF; a row
// for each entry and, behind it, one for each of its attachments. Natives and
// texts lie beside it.
func DAT() render.Format {
	return render.Format{
		Name:  "dat",
		Units: []render.UnitKind{render.Message},
		Texts: true,
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			return create(o, sink, "loadfile.dat", (*table).datHeading, (*table).datUnit)
		},
	}
}

const (
	quote     = "\u00fe" // around each value
	separator = "\u0014" // between values
	newline   = "\u00ae" // instead of a line break inside a value
)

// datFields are the names in the first row.
var datFields = []string{
	"BEGDOC", "ENDDOC", "BEGATTACH", "ENDATTACH", "PARENTID", "CUSTODIAN", "ALLCUSTODIANS", "FROM", "TO", "SUBJECT",
	"DATESENT", "TIMESENT", "TIMEZONE", "CONVERSATION_ID", "CONVERSATION_NAME", "CONVERSATION_TYPE", "MESSAGE_ID", "EVENT_TYPE",
	"PARTICIPANTS", "CONTAINS_EDITED", "CONTAINS_DELETED", "FILENAME", "FILEEXT", "FILESIZE", "MD5HASH", "SHA256HASH",
	"NATIVEPATH", "TEXTPATH", "HOLD_NAMES", "CHAIN_SEQ", "CHAIN_HASH", "ASSURANCE", fieldStripped,
}

// fieldStripped logs what was taken out of the row's values.
const fieldStripped = "STRIPPED"

// A document is one row: its values by field, each a list.
type document map[string][]string

func (d document) set(field string, values ...string) { d[field] = values }

func (t *table) datHeading() {
	for i, name := range datFields {
		t.value(name, i)
	}
	t.rows.WriteString("\r\n")
}

// datUnit writes the rows of a unit. A message, its attachments and what hangs
// at it are one family.
func (t *table) datUnit(u *render.Unit) {
	families := render.Families(u.Entries)
	kin := make(map[uint64]*render.Family, len(u.Entries))
	for i := range families {
		f := &families[i]
		for _, list := range [][]*render.Entry{{f.Head}, f.Edits, f.Recalls, f.Receipts, f.Reactions, f.Others} {
			for _, e := range list {
				kin[e.Seq] = f
			}
		}
	}
	ends := make(map[*render.Family]string, len(families))
	for i := range u.Entries {
		ends[kin[u.Entries[i].Seq]] = lastNumber(&u.Entries[i])
	}
	for i := range u.Entries {
		e := &u.Entries[i]
		f := kin[e.Seq]
		d := t.document(e)
		if f.Head != e {
			d.set("PARENTID", firstNumber(f.Head))
		}
		d.set("BEGATTACH", firstNumber(f.Head))
		d.set("ENDATTACH", ends[f])
		d.set("CONTAINS_EDITED", yesNo(len(f.Edits) > 0))
		d.set("CONTAINS_DELETED", yesNo(len(f.Recalls) > 0 || slices.ContainsFunc(f.Others, func(o *render.Entry) bool { return o.Typ == "expiry" })))
		t.datRow(d)
		for n := range e.Attachments {
			d.attachment(e, n)
			t.datRow(d)
		}
	}
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}

// firstNumber is the Bates number of an entry, else its seq in twelve digits:
// a load file's documents must have one.
func firstNumber(e *render.Entry) string { return cmp.Or(e.Bates, fmt.Sprintf("%012d", e.Seq)) }

// fileNumber is likewise that of the n-th attachment, from 0.
func fileNumber(e *render.Entry, n int) string {
	return cmp.Or(e.Attachments[n].Bates, fmt.Sprintf("%012d-%d", e.Seq, n+1))
}

// lastNumber is the number of the entry's last attachment, else its own.
func lastNumber(e *render.Entry) string {
	if n := len(e.Attachments); n > 0 {
		return cmp.Or(e.BatesEnd, fileNumber(e, n-1))
	}
	return cmp.Or(e.BatesEnd, firstNumber(e))
}

// document returns what is known of an entry without its family.
func (t *table) document(e *render.Entry) document {
	d := document{}
	d.set("BEGDOC", firstNumber(e))
	d.set("ENDDOC", firstNumber(e))
	d.set("ALLCUSTODIANS", e.Custodians...)
	if len(e.Custodians) > 0 {
		d.set("CUSTODIAN", e.Custodians[0])
	}
	everybody := each(e.To, mailbox)
	d.set("TO", everybody...)
	if e.From != nil {
		d.set("FROM", mailbox(e.From))
		everybody = append(everybody, mailbox(e.From))
	}
	if c := e.Conversation; c != nil {
		d.set("CONVERSATION_ID", c.ID)
		d.set("CONVERSATION_NAME", c.Name)
		d.set("CONVERSATION_TYPE", c.Kind)
		everybody = append(everybody, each(c.Members, mailbox)...)
	}
	slices.Sort(everybody)
	d.set("PARTICIPANTS", slices.Compact(everybody)...)
	d.set("SUBJECT", e.Title())
	at := e.When()
	if !at.IsZero() {
		at = at.In(t.zone)
		d.set("DATESENT", at.Format("2006-01-02"))
		d.set("TIMESENT", at.Format("15:04:05"))
		d.set("TIMEZONE", t.zone.String()+at.Format(" UTC-07:00"))
	}
	d.set("MESSAGE_ID", e.Mid)
	d.set("EVENT_TYPE", cmp.Or(e.Typ, e.Kind))
	d.set("TEXTPATH", e.TextPath)
	d.set("HOLD_NAMES", e.Holds...)
	d.set("CHAIN_SEQ", number(e.Seq))
	d.set("CHAIN_HASH", e.LeafHash)
	d.set("ASSURANCE", e.Assurance)
	return d
}

// attachment turns the row of e into that of its n-th attachment, which has
// its message's particulars.
func (d document) attachment(e *render.Entry, n int) {
	a := &e.Attachments[n]
	d.set("BEGDOC", fileNumber(e, n))
	d.set("ENDDOC", fileNumber(e, n))
	d.set("PARENTID", firstNumber(e))
	d.set("EVENT_TYPE", "attachment")
	d.set("FILENAME", a.Name)
	d.set("FILEEXT", render.Extension(a.Name))
	d.set("FILESIZE", strconv.FormatInt(a.Size, 10))
	d.set("MD5HASH", a.MD5)
	d.set("SHA256HASH", a.SHA256)
	d.set("NATIVEPATH", a.Path)
	d.set("TEXTPATH", a.TextPath)
}

// mailbox is a person as a reviewer reads it: name and address.
func mailbox(p *render.Person) string {
	return p.Called() + " <" + p.Address() + ">"
}

func (t *table) datRow(d document) {
	var stripped []string
	for i, field := range datFields {
		if field == fieldStripped {
			t.value(strings.Join(stripped, ";"), i)
			continue
		}
		values := slices.Clone(d[field])
		var taken [3]int
		for j, v := range values {
			if !plain(v) {
				for k, sign := range signs {
					taken[k] += strings.Count(v, sign)
				}
			}
			values[j] = render.Item(inRow(v))
		}
		for k, n := range taken {
			if n > 0 {
				stripped = append(stripped, fmt.Sprintf("%s %U x%d", field, []rune(signs[k])[0], n))
			}
		}
		t.value(strings.Join(values, ";"), i)
	}
	t.rows.WriteString("\r\n")
}

// signs have a meaning in a load file.
var signs = [3]string{separator, quote, newline}

var (
	strip  = strings.NewReplacer(separator, "", quote, "", newline, "")
	breaks = strings.NewReplacer("\r\n", newline, "\n", newline)
)

// inRow returns v as one line without the signs that have a meaning in a load
// file; a line break is newline.
func inRow(v string) string {
	if plain(v) {
		return v
	}
	lines := strings.Split(breaks.Replace(strip.Replace(v)), newline)
	for i := range lines {
		lines[i] = render.Visible(lines[i])
	}
	return strings.Join(lines, newline)
}

// plain reports whether v stands in a row as it is: it is nothing but ASCII
// without controls and backslashes.
func plain(v string) bool {
	for i := range len(v) {
		if v[i] < 0x20 || v[i] >= 0x7f || v[i] == '\\' {
			return false
		}
	}
	return true
}

// value writes the i-th value of a row.
func (t *table) value(v string, i int) {
	if i > 0 {
		t.rows.WriteString(separator)
	}
	t.rows.WriteString(quote)
	t.rows.WriteString(v)
	t.rows.WriteString(quote)
}
