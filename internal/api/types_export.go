package api

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/archive/audit"
	"holdfast/archive/docket"
)

// FormatJSONL is the format of a production as JSON lines.
const FormatJSONL = "jsonl"

// Formats are the formats of productions.
func Formats() []string {
	return []string{FormatJSONL, "csv", "eml", "mbox", "rsmf", "dat", "pdf", "html"}
}

// Purposes are the categories of what a production is for.
func Purposes() []string {
	var out []string
	for _, c := range docket.Categories() {
		out = append(out, string(c))
	}
	return out
}

// ExportRequest asks for a production.
type ExportRequest struct {
	// Query is read in the site's zone, as a search's; words such as today are
	// read when it is exported, so that an approved one of them is exported while
	// they mean what they meant. It is empty with MRN.
	Query  string `json:"query"`
	Reason string `json:"reason,omitempty"`
	Matter string `json:"matter,omitempty"`
	As     string `json:"as"`           // the format: one of Formats
	At     uint64 `json:"at,omitempty"` // size of the log that the production is as of; 0 is the present size

	Recipient string   `json:"recipient"`        // who gets it: name and address, for the accounting of disclosures
	Purpose   string   `json:"purpose"`          // what for: one of the docket's categories
	About     string   `json:"about,omitempty"`  // a brief statement of it
	Unit      string   `json:"unit,omitempty"`   // what is one document: message, day or conversation; the format's own if empty
	Split     Split    `json:"split,omitzero"`   // into volumes
	Bates     string   `json:"bates,omitempty"`  // prefix of Bates numbers; they take a matter
	Legend    string   `json:"legend,omitempty"` // of a protective order, stamped on what people read
	Redact    []Redact `json:"redact,omitempty"`
	Include   []string `json:"include,omitempty"`   // tags whose messages are produced all the same
	Authority string   `json:"authority,omitempty"` // by what right they are

	Patient

	Request uint64  `json:"request,omitempty"` // the approved request, of an export that takes two people
	Resume  *Resume `json:"resume,omitempty"`  // of one that was cut off
}

// Split says how a production is cut into volumes; zero: not at all.
type Split struct {
	Bytes     uint64 `json:"bytes,omitempty"`     // a volume ends behind the entry with which it has so many
	Custodian bool   `json:"custodian,omitempty"` // one for each custodian
}

// Redact covers text of what is produced. Seqs alone cover the whole text.
type Redact struct {
	Seqs    []uint64 `json:"seqs,omitempty"`
	Pattern string   `json:"pattern,omitempty"` // RE2
	Reason  string   `json:"reason"`            // stands beside what is covered, and in the log of redactions
}

// Resume says what came of an export before it was cut off.
type Resume struct {
	Production uint64    `json:"production"`     // as Begun named it
	Files      uint64    `json:"files"`          // that came whole
	SHA256     string    `json:"sha256"`         // over them, as Completion's
	Part       *Received `json:"part,omitempty"` // of the file after them
}

// Received is the beginning of a file.
type Received struct {
	Size   uint64 `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Begun is the first part of a production: by what it can be gone on with when
// it is cut off.
type Begun struct {
	Production uint64 `json:"production"` // seq of the entry that began it
	At         uint64 `json:"at"`         // size of the log that it is as of
}

// Limits of what an export may ask for.
const (
	maxLegend  = 500 // runes
	maxWhom    = 500
	maxRedacts = 100
)

var batesPrefix = regexp.MustCompile(`^[A-Z0-9-]{0,15}[A-Z-]$`)

// check refuses what no production can be made of.
func (r *ExportRequest) check() error {
	says := func(s string, most int) bool { return audit.Says(s) && utf8.RuneCountInString(s) <= most }
	switch {
	case !slices.Contains(Formats(), r.As):
		return badRequest("a format that this version does not make", "formats are: "+strings.Join(Formats(), ", "))
	case !says(r.Recipient, maxWhom):
		return badRequest("it does not say who gets the production", "give the recipient's name and address, in at most 500 characters (--recipient)")
	case !slices.Contains(Purposes(), r.Purpose):
		return badRequest("it does not say what the production is for", "give its purpose (--purpose): "+strings.Join(Purposes(), ", "))
	case utf8.RuneCountInString(r.About) > maxWhom, utf8.RuneCountInString(r.Authority) > maxWhom:
		return badRequest("a statement of more than 500 characters", "say it shorter")
	case utf8.RuneCountInString(r.Legend) > maxLegend:
		return badRequest(fmt.Sprintf("a legend of more than %d characters", maxLegend), "say it shorter: it stands on every page")
	case r.patientFault() != nil:
		return r.patientFault()
	case r.Bates != "" && !batesPrefix.MatchString(r.Bates):
		return badRequest("a prefix that no Bates number has", "give capital letters, digits and hyphens, at most 16, and no digit last: numbers follow")
	case r.Bates != "" && r.Matter == "":
		return badRequest("Bates numbers without a matter", "name the matter: numbers are never given twice within one")
	case len(r.Include) > 0 && !audit.Says(r.Authority):
		return badRequest("it does not say by what right tagged messages are produced", "give the authority, such as a consent or an order (--authority)")
	case len(r.Redact) > maxRedacts:
		return badRequest(fmt.Sprintf("more than %d redactions", maxRedacts), "join their patterns")
	}
	for i := range r.Redact {
		if err := r.Redact[i].check(); err != nil {
			return nth(err, "redaction", i)
		}
	}
	return nil
}

func (r *Redact) check() error {
	if !audit.Says(r.Reason) || utf8.RuneCountInString(r.Reason) > maxWhom {
		return badRequest("a redaction without a reason", "say why the text is covered, in at most 500 characters: it stands in the log of redactions")
	}
	if len(r.Seqs) == 0 && r.Pattern == "" {
		return badRequest("a redaction of nothing", "give seqs or a pattern")
	}
	if _, err := regexp.Compile(r.Pattern); err != nil {
		return badRequest("a pattern that cannot be read", "write it as RE2 has it: https://github.com/google/re2/wiki/Syntax")
	}
	return nil
}

// Completion ends a production that is whole.
type Completion struct {
	Files    uint64 `json:"files"`       // parts before this one
	Bytes    uint64 `json:"bytes"`       // in them
	SHA256   string `json:"sha256"`      // over a line "hex of the file's SHA-256, two spaces, name, LF" a file, in order; hex
	Access   uint64 `json:"access"`      // seq of the access entry
	Matched  uint64 `json:"matched"`     // entries
	Produced uint64 `json:"produced"`    // entries
	Withheld uint64 `json:"withheld"`    // entries
	Redacted uint64 `json:"redacted"`    // entries, of those produced: with covered text
	Through  uint64 `json:"through_seq"` // the log was examined through this entry

	Quarantined uint64 `json:"quarantined"` // quarantined entries up to there, which might have matched

	Production uint64 `json:"production,omitempty"` // seq of the entry that began it
	Bates      string `json:"bates,omitempty"`      // first and last number
	Near       uint64 `json:"near,omitempty"`       // near matches of a patient access package, in its annex
}
