package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// An Approval is a person's word that a device is the one whose fingerprint was compared (AMX/1 §4).
type Approval struct {
	Kid  string    // RFC 7638 thumbprint of the device's key
	At   Position  // of the newest event of the relay's that the log held then
	When time.Time // when the approval was logged
}

// Approve takes in a person's approval of a device. The device is enrolled from the place behind a.At, or behind the newest event applied if
// that comes later, and the taint of its person ends: from a.When on others may be vouched for again.
//
// It returns that place, and false if the approval changes nothing: the directory has no such device, or the person's upn or mail changed
// behind a.At, so that it was given for somebody of another name. What was judged before keeps its verdict.
func (d *Directory) Approve(a Approval) (from Position, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.heldDevice(a.Kid)
	if old == nil {
		return Position{}, false
	}
	owner := person{}
	if p := d.heldPerson(old.usr); p != nil {
		owner = *p
	}
	if a.At.Before(owner.changed) {
		return Position{}, false
	}
	from = a.At
	if d.some && from.Before(d.last) {
		from = d.last
	}
	from.Seq++
	if owner.tainted {
		owner.tainted, owner.settled = false, a.When
	}
	d.over.people[old.usr] = &owner
	next := *old
	next.demoted = false
	if next.assured[len(next.assured)-1].assurance != Enrolled {
		next.assured = append(slices.Clip(next.assured), assuranceAt{from, Enrolled})
	}
	d.over.devices[a.Kid] = &next
	return from, true
}

// Tainted reports whether a usr's upn or mail changed and no person has approved a device of theirs since.
func (d *Directory) Tainted(usr string) bool {
	p := d.person(usr)
	return p != nil && p.tainted
}

// An ApprovalNote is the note of an approval's entry, of kind device: as much of it as may leave the house with a production that rests on it.
type ApprovalNote struct {
	V        int    `json:"v"` // 1
	Kid      string `json:"kid"`
	Usr      string `json:"usr"`
	Dev      string `json:"dev"`
	Added    uint64 `json:"added"`     // seq of the entry of its device.add
	Epoch    string `json:"epoch"`     // with RelaySeq, the newest event of the relay's that the log held then
	RelaySeq uint64 `json:"relay_seq"` //
}

var errApprovalNote = errors.New("not an approval of a device")

// ParseApprovalNote reads an ApprovalNote. Members that it does not have are ignored.
func ParseApprovalNote(b []byte) (ApprovalNote, error) {
	var n ApprovalNote
	if err := ijson.Unmarshal(b, &n); err != nil {
		return ApprovalNote{}, fmt.Errorf("%w: %w", errApprovalNote, err)
	}
	kid, err := jws.DecodeB64(n.Kid)
	if err != nil || len(kid) != 32 || n.V != 1 || !validName(n.Usr) || !validName(n.Dev) || n.Added == 0 || n.Epoch == "" {
		return ApprovalNote{}, errApprovalNote
	}
	return n, nil
}

// Fingerprint returns a key's thumbprint in groups of four, as people compare it aloud: upper and lower case differ.
func Fingerprint(kid string) string {
	var b strings.Builder
	for i, c := range kid {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// SameFingerprint reports whether what somebody typed is the fingerprint of kid, whatever the blanks.
func SameFingerprint(kid, typed string) bool {
	return kid != "" && strings.Join(strings.Fields(typed), "") == kid
}
