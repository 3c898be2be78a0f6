package export

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/archive/query"
	"holdfast/ingest/envelope"
)

// ThirdParties says how a patient's package shows people who are not the
// patient.
type ThirdParties string

// The policies.
const (
	ShowThirdParties     ThirdParties = "show"     // as the directory names them, with proofs
	InitialsThirdParties ThirdParties = "initials" // by initials and a number
	HideThirdParties     ThirdParties = "hide"     // by a number
)

// Patient makes a production a patient's own package (45 CFR 164.524).
type Patient struct {
	MRN          string
	ThirdParties ThirdParties
	Usrs         []string // relay users who are the patient: shown as they are
	Contact      string   // whom the patient is told to ask; "": the office that handed it out
}

// PatientAccess is what the manifest says of a patient's package.
type PatientAccess struct {
	MRN          string       `json:"mrn"`
	ThirdParties ThirdParties `json:"third_parties"`
	Contact      string       `json:"contact,omitempty"`
}

// TagOtherPatient is why a message of somebody else's is not in a patient's
// package: an edit that moved it to another number, or what hangs at it there.
const TagOtherPatient = "other-patient"

// UnprovenThirdParties is why a row of a patient's package has no proof: that
// would name third parties.
const UnprovenThirdParties = "third-parties"

// Limits of what a manifest says of a patient.
const (
	maxPatientMRN = 4 << 10 // bytes
	maxContact    = 4 << 10 // bytes
)

func (a *PatientAccess) valid() bool {
	return a.MRN != "" && len(a.MRN) <= maxPatientMRN && len(a.Contact) <= maxContact &&
		slices.Contains([]ThirdParties{ShowThirdParties, InitialsThirdParties, HideThirdParties}, a.ThirdParties)
}

// reduces reports whether people who are not the patient are shown otherwise
// than by name.
func (r *Request) reduces() bool {
	return r.Patient != nil && r.Patient.ThirdParties != ShowThirdParties
}

func (r *Request) checkPatient() error {
	if r.Patient == nil {
		if r.Near != nil {
			return fmt.Errorf("%w: near matches without a patient", ErrRequest)
		}
		return nil
	}
	switch {
	case !r.access().valid():
		return fmt.Errorf("%w: a patient's package names the patient, and how third parties are shown", ErrRequest)
	case r.reduces() && r.Split.Custodian:
		return fmt.Errorf("%w: volumes by custodian name third parties", ErrRequest)
	}
	return nil
}

// access is what the manifest says of the patient; nil without one.
func (r *Request) access() *PatientAccess {
	if r.Patient == nil {
		return nil
	}
	return &PatientAccess{r.Patient.MRN, r.Patient.ThirdParties, r.Patient.Contact}
}

// foreign reports whether a message is about another patient, by the number
// that its sender's device gave.
func (t *Patient) foreign(p *envelope.Payload) bool {
	return t != nil && p != nil && p.Subject != nil && p.Subject.MRN != "" && query.FoldKey(p.Subject.MRN) != query.FoldKey(t.MRN)
}

var otherPatient = Withheld{Tag: TagOtherPatient, Basis: "it carries another medical record number", Description: "a message that concerns another patient"}

// crowd gives the people and conversations of a patient's package the labels
// under which they are shown, in the order in which they come up: the same
// request gives the same labels.
type crowd struct {
	people map[string]int // by usr
	talks  map[string]int // by conversation id
}

func label(known *map[string]int, kind, of string) string {
	if *known == nil {
		*known = map[string]int{}
	}
	n, ok := (*known)[of]
	if !ok {
		n = len(*known) + 1
		(*known)[of] = n
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

// reduce takes from the item's row whom a third party could be known by, and
// with that its own bytes, which name them.
func (p *producer) reduce(it *item) {
	row := &it.row
	if !p.req.reduces() || row.Withheld != "" {
		return
	}
	it.usrs = row.people()
	if c := row.Conversation; c != nil {
		shown := *c
		row.Conversation, shown.Members = &shown, nil
		for _, usr := range c.Members {
			shown.Members = append(shown.Members, p.shownAs(Person{Usr: usr}).Usr)
		}
		shown.ID = label(&p.crowd.talks, "conversation", c.ID)
		shown.Name = ""
		if known, ok := p.hints(it); ok {
			shown.Name = groupName(c, known)
		}
	}
	if row.From != nil {
		who := p.shownAs(*row.From)
		row.From = &who
	}
	for i := range row.To {
		row.To[i] = p.shownAs(row.To[i])
	}
	it.bare(UnprovenThirdParties)
	if row.Redacted {
		row.Unproven = UnprovenRedacted
	}
}

// shownAs returns the person as the package shows them.
func (p *producer) shownAs(who Person) Person {
	if slices.Contains(p.req.Patient.Usrs, who.Usr) {
		return who
	}
	out := Person{Usr: label(&p.crowd.people, "person", who.Usr)}
	if p.req.Patient.ThirdParties == InitialsThirdParties {
		if letters := initials(who.Name); letters != "" {
			out.Name = letters + " (" + out.Usr + ")"
		}
	}
	return out
}

// maxInitials is how many initials of a name are shown.
const maxInitials = 3

// initials returns the first letters of a name's words; "" where they would be
// the name, or as good as that: in scripts in which a sign is a syllable or a
// word, and of names of single letters.
func initials(name string) string {
	var b strings.Builder
	n, more := 0, false
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '\'' && r != '’' }) {
		r, size := utf8.DecodeRuneInString(word)
		switch {
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Yi, unicode.Bopomofo):
			return ""
		case !unicode.IsLetter(r):
			continue
		}
		more = more || size < len(word)
		if n++; n <= maxInitials {
			if n > 1 {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToUpper(r))
			b.WriteByte('.')
		}
	}
	if !more {
		return ""
	}
	return b.String()
}

// hints are by what the people of a message are known.
type hints struct {
	ids   []string // as wholes: relay users, addresses and the part before their @
	names []string // word by word
}

func (h *hints) add(who Person) {
	h.names = append(h.names, who.Name)
	for _, id := range []string{who.Usr, who.UPN, who.Mail} {
		local, _, _ := strings.Cut(id, "@")
		h.ids = append(h.ids, id, local)
	}
}

// hints returns by what the item's people are known, to the directory and to
// the sender; false if the directory's entry of one cannot be read.
func (p *producer) hints(it *item) (h hints, ok bool) {
	row := &it.row
	if row.From != nil {
		h.add(*row.From)
	}
	for _, who := range row.To {
		h.add(who)
	}
	if it.payload == nil {
		return h, true
	}
	for _, who := range it.payload.To {
		h.add(Person{Usr: who.Usr, Name: who.Name})
	}
	p.known.err = nil
	if it.payload.Conv != nil {
		for _, who := range it.payload.Conv.Members {
			h.add(Person{Usr: who.Usr, Name: who.Name})
			h.add(person(who.Usr, it.rec.Leaf, p.known))
		}
	}
	ok = p.known.err == nil
	p.known.err = nil
	return h, ok
}

// groupName returns the name of a conversation as the package shows it: of a
// group, unless it names one of the message's people, whole or by a word of
// their name. A conversation of two is named after one of them, and one about a
// patient after a patient, who may be another.
func groupName(c *Conversation, known hints) string {
	if c.Kind != "group" {
		return ""
	}
	folded, words := query.FoldKey(c.Name), map[string]bool{}
	for _, w := range nameWords(c.Name) {
		words[w] = true
	}
	for _, id := range known.ids {
		if id = query.FoldKey(id); len(id) > 1 && strings.Contains(folded, id) || words[id] {
			return ""
		}
	}
	for _, name := range known.names {
		if name != "" && strings.Contains(folded, query.FoldKey(name)) || slices.ContainsFunc(nameWords(name), func(w string) bool { return words[w] }) {
			return ""
		}
	}
	return c.Name
}

// nameWords returns the folded words of a name.
func nameWords(s string) []string {
	return strings.FieldsFunc(query.FoldKey(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) })
}
