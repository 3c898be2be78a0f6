package state

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
	"holdfast/internal/role"
)

// Why a device cannot be approved.
var (
	ErrNoDevice = errors.New("there is no device of that key; list the devices for their keys")
	ErrRevoked  = errors.New("the device is revoked, which is for ever; have the person add it anew under another key")
	ErrEnrolled = errors.New("the device is enrolled already; there is nothing to approve")
	ErrReason   = errors.New("say in 1 to 500 characters how the fingerprint was compared")
)

// maxReason bounds a reason, in runes.
const maxReason = 500

// Device is a device's key as the directory has it now, and what people said
// of it.
type Device struct {
	Kid         string // RFC 7638 thumbprint
	Fingerprint string // the same in groups of four
	Usr, Dev    string
	UPN         string // of the person, as the relay says now
	Mail        string
	Name        string
	Assurance   envelope.Assurance
	Tainted     bool // the person's upn or mail changed, and nobody has approved a device since
	Revoked     bool
	Added       time.Time // received time of the entry that added it
	AddedSeq    uint64
	Approval    *Approval // the newest; nil if nobody ever approved it
}

// Approval is a person's approval of a device.
type Approval struct {
	Seq     uint64
	At      time.Time // received time of its entry
	By      role.Principal
	Reason  string
	UPN     string // the particulars that the device was approved under
	Mail    string
	InForce bool // false: the person's upn or mail changed since, or had by the time it was logged
}

// approvalBody is the body of a KindDevice entry. Its note repeats what may
// leave the house.
type approvalBody struct {
	envelope.ApprovalNote
	UPN       string         `json:"upn"`
	Mail      string         `json:"mail"`
	Principal role.Principal `json:"principal"`
	Reason    string         `json:"reason"`
	Salt      string         `json:"salt"` // 16 random bytes: the leaf's commitment must not let a reader of the note guess the rest
}

// ApproveDevice returns the entry by which a person approves the device kid,
// whose fingerprint was compared. at is the log's cursor. Whoever appends it
// catches up afterwards, so that the next page from the relay is judged by it.
func (s *State) ApproveDevice(kid string, at archive.Cursor, by role.Principal, reason string) (archive.Entry, error) {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n == 0 || n > maxReason || !utf8.ValidString(reason) {
		return archive.Entry{}, ErrReason
	}
	d, ok := s.device(kid)
	switch {
	case !ok:
		return archive.Entry{}, ErrNoDevice
	case d.Revoked:
		return archive.Entry{}, ErrRevoked
	case d.Assurance == envelope.Enrolled && !d.Tainted:
		return archive.Entry{}, ErrEnrolled
	}
	if _, known := s.Ordinal(at.Epoch); !known {
		return archive.Entry{}, fmt.Errorf("approve a device: the state has not caught up with the relay's epoch")
	}
	salt := make([]byte, 16)
	// crypto/rand's Read never fails.
	_, _ = rand.Read(salt)
	body := approvalBody{
		ApprovalNote: envelope.ApprovalNote{
			V: 1, Kid: kid, Usr: d.Usr, Dev: d.Dev, Added: d.AddedSeq, Epoch: at.Epoch, RelaySeq: at.Seq,
		},
		UPN: d.UPN, Mail: d.Mail, Principal: by, Reason: reason, Salt: jws.EncodeB64(salt),
	}
	note, err := json.Marshal(body.ApprovalNote)
	if err != nil {
		return archive.Entry{}, fmt.Errorf("approve a device: %w", err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return archive.Entry{}, fmt.Errorf("approve a device: %w", err)
	}
	return archive.Entry{Kind: proof.KindDevice, Class: proof.ClassControl, Note: note, Body: text}, nil
}

func (s *State) applyApproval(rec archive.Record) error {
	note, err := envelope.ParseApprovalNote(rec.Note)
	if err != nil {
		return fmt.Errorf("note: %w", err)
	}
	var body approvalBody
	if err := ijson.Unmarshal(rec.Body, &body); err != nil {
		return err
	}
	ordinal, ok := s.epochs[note.Epoch]
	owner, known := s.dir.NewestDevice(note.Kid)
	switch {
	case body.ApprovalNote != note:
		return errors.New("its note is not of its body")
	case !ok:
		return errors.New("no entry before it began its epoch")
	case !known || owner.Usr != note.Usr || owner.Dev != note.Dev:
		return ErrNoDevice
	}
	given := envelope.Approval{Kid: note.Kid, At: envelope.Position{Epoch: ordinal, Seq: note.RelaySeq}, When: rec.Leaf.ReceivedTime()}
	entry := placedEntry{
		seq: rec.Leaf.Seq, received: given.When, assurance: envelope.Enrolled,
		approval: &Approval{Seq: rec.Leaf.Seq, At: given.When, By: body.Principal, Reason: body.Reason, UPN: body.UPN, Mail: body.Mail},
	}
	if entry.at, ok = s.dir.Approve(given); !ok {
		// It was given for somebody of another name than the person has now: it stays on record and changes nothing.
		s.idle[note.Kid] = entry.approval
		return nil
	}
	delete(s.idle, note.Kid)
	s.granted = append(s.granted, given)
	s.devices[note.Kid] = append(s.devices[note.Kid], entry)
	return nil
}

// Approvals returns the approvals of devices in the log's order, without the
// first n: for whoever runs ahead of the log on a clone of Directory and has
// taken in those.
func (s *State) Approvals(n int) []envelope.Approval {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n >= len(s.granted) {
		return nil
	}
	return slices.Clone(s.granted[n:])
}

// Devices returns every device that the relay ever told of, by person and
// device, then by key.
func (s *State) Devices() []Device {
	var out []Device
	for d := range s.dir.Devices() {
		if shown, ok := s.device(d.Kid); ok {
			out = append(out, shown)
		}
	}
	slices.SortFunc(out, func(a, b Device) int {
		return strings.Compare(a.Usr+"\x00"+a.Dev+"\x00"+a.Kid, b.Usr+"\x00"+b.Dev+"\x00"+b.Kid)
	})
	return out
}

func (s *State) device(kid string) (Device, bool) {
	d, ok := s.dir.NewestDevice(kid)
	if !ok {
		return Device{}, false
	}
	out := Device{
		Kid: kid, Fingerprint: envelope.Fingerprint(kid), Usr: d.Usr, Dev: d.Dev,
		Assurance: d.Assurance, Tainted: s.dir.Tainted(d.Usr), Revoked: d.Revoked,
	}
	if u, ok := s.dir.NewestUser(d.Usr); ok {
		out.UPN, out.Mail, out.Name = u.UPN, u.Mail, u.Name
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	entries := s.devices[kid]
	if len(entries) == 0 {
		return Device{}, false // it is being applied right now
	}
	out.Added, out.AddedSeq = entries[0].received, entries[0].seq
	for _, e := range entries {
		if e.approval != nil {
			given := *e.approval
			given.InForce = d.Assurance == envelope.Enrolled
			out.Approval = &given
		} else {
			out.AddedSeq = e.seq
		}
	}
	if given := s.idle[kid]; given != nil {
		copied := *given
		out.Approval = &copied
	}
	return out, true
}
