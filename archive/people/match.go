package people

import (
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// What a match does.
const (
	OpMatch   = "match"
	OpUnmatch = "unmatch" // only a person does
)

// How a relay user was found to be a person.
const (
	ByUPN    = "upn"
	ByMail   = "mail"
	ByPerson = "person" // a person said so
)

// MatchBody is the body of a KindMatch entry: which person a relay user is.
type MatchBody struct {
	Version int    `json:"v"`  // 1
	Op      string `json:"op"` // OpMatch or OpUnmatch
	Usr     string `json:"usr"`
	GUID    GUID   `json:"guid"`
	By      string `json:"by"`             // ByUPN, ByMail or ByPerson
	UPN     string `json:"upn,omitempty"`  // what the relay said of the user then
	Mail    string `json:"mail,omitempty"` //

	Principal role.Principal `json:"principal,omitzero"` // ByPerson: who said so, and why
	Reason    string         `json:"reason,omitempty"`
}

// Matched is a relay user's match as it stands, or one that once stood.
type Matched struct {
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"` // received time of its entry
	MatchBody
}

// Entry returns the entry that b is appended as, class control.
func (b MatchBody) Entry() (archive.Entry, error) {
	b.Version = 1
	return entryOf(proof.KindMatch, &b)
}

func parseMatch(body []byte) (*MatchBody, error) {
	b := new(MatchBody)
	return b, parseInto(b, body)
}

func (b *MatchBody) check() error {
	switch {
	case b.Version != 1:
		return invalid("a version that this program does not know; use a newer one")
	case b.Op != OpMatch && b.Op != OpUnmatch:
		return invalid("an op that matches do not have")
	case b.Usr == "" || len(b.Usr) > maxUsr || !utf8.ValidString(b.Usr):
		return invalid("usr is empty, too long or not UTF-8")
	case !b.GUID.Valid():
		return invalid("guid is not one")
	case !isText(b.UPN) || !isText(b.Mail):
		return invalid("upn or mail is too long or not UTF-8")
	case b.By == ByPerson:
		return checkDecision(b.Principal, b.Reason)
	case b.By != ByUPN && b.By != ByMail || b.Op != OpMatch:
		return invalid("only a person unmatches, and a match is by upn, by mail or by a person")
	case b.Principal != (role.Principal{}) || b.Reason != "":
		return invalid("principal and reason go with what a person said")
	}
	return nil
}

// Unmatched is a relay user that is nobody's, or somebody's under doubt, and why.
type Unmatched struct {
	Usr    string `json:"usr"`
	UPN    string `json:"upn"`
	Mail   string `json:"mail"`
	Name   string `json:"name"`
	Reason string `json:"reason"`         // one of the constants below
	GUID   GUID   `json:"guid,omitempty"` // ReasonConflict: whose the user stays
}

// Why a relay user is not matched.
const (
	ReasonNoAddress     = "no-address"    // the relay gives neither upn nor mail
	ReasonUnknown       = "unknown"       // nobody ever had either
	ReasonDeparted      = "departed"      // only people who departed had them
	ReasonFormer        = "former"        // nobody has them now; somebody who has not departed had
	ReasonAmbiguous     = "ambiguous"     // several people have it
	ReasonContradiction = "contradiction" // the upn is one person's, the mail another's
	ReasonReused        = "reused"        // it was another person's before, who has no relay user
	ReasonConflict      = "conflict"      // the user is matched, and its upn or mail is somebody else's now
	ReasonUndone        = "undone"        // a person unmatched it; a person must match it
)
