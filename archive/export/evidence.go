package export

import (
	"errors"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
)

// An evidence is what one entry says that records rest on: a person's
// particulars, a device's key, that a person approved the device, or what
// became of an attachment.
type evidence struct {
	seq      uint64
	user     *envelope.User
	device   *envelope.Device
	approval *envelope.ApprovalNote
	blob     *archive.BlobBody
}

var errEvidence = errors.New("it is no evidence for what it is given for")

// withholdsBody reports whether evidence of kind k is shown without its body.
// That of an approval says who approved it and why, which is work product;
// its note says all that a record rests on.
func withholdsBody(k proof.Kind) bool { return k == proof.KindDevice }

// readEvidence reads what an entry says. A directory entry counts only if the
// archive accepted it, and a device only if its key proves that it was there.
func readEvidence(rec archive.Record, arc string) (*evidence, error) {
	e := &evidence{seq: rec.Leaf.Seq}
	switch rec.Leaf.Kind {
	case proof.KindBlob:
		e.blob = new(archive.BlobBody)
		if err := ijson.Unmarshal(rec.Body, e.blob); err != nil {
			return nil, fmt.Errorf("%w: %w", errEvidence, err)
		}
		return e, nil
	case proof.KindDevice:
		note, err := envelope.ParseApprovalNote(rec.Note)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errEvidence, err)
		}
		e.approval = &note
		return e, nil
	case proof.KindDirectory:
		if err := e.readDirectory(rec, arc); err != nil {
			return nil, fmt.Errorf("%w: %w", errEvidence, err)
		}
		return e, nil
	}
	return nil, fmt.Errorf("%w: an entry of kind %s", errEvidence, rec.Leaf.Kind)
}

// readDirectory judges the event alone, in a directory of its own: what it
// says and that its proof holds depends on no other event.
func (e *evidence) readDirectory(rec archive.Record, arc string) error {
	var note archive.DirectoryNote
	if err := ijson.Unmarshal(rec.Note, &note); err != nil {
		return fmt.Errorf("note: %w", err)
	}
	var concluded envelope.Verdict
	if err := ijson.Unmarshal(note.Verdict, &concluded); err != nil {
		return fmt.Errorf("note: %w", err)
	}
	if !concluded.Accepted {
		return errors.New("the archive did not accept it")
	}
	dir, at := envelope.NewDirectory(arc, envelope.Pins{}), envelope.Position{Seq: 1}
	verdict := dir.Judge(at, rec.Body)
	if !verdict.Accepted {
		return errors.New(verdict.Reason)
	}
	if err := dir.Apply(at, rec.Body, verdict); err != nil {
		return err
	}
	for u := range dir.Users() {
		e.user = &u
	}
	for d := range dir.Devices() {
		e.device = &d
	}
	return nil
}

// asUser returns the person that e names, if it is about usr and stands before
// the message at.
func (e *evidence) asUser(usr string, at proof.Leaf) (Person, bool) {
	if e == nil || e.user == nil || e.user.Usr != usr || e.seq >= at.Seq {
		return Person{}, false
	}
	return Person{Usr: usr, UPN: e.user.UPN, Mail: e.user.Mail, Name: e.user.Name, Entry: e.seq}, true
}

// asDevice returns the device that e added, if its key is kid and it stands
// before the message at.
func (e *evidence) asDevice(kid string, at proof.Leaf) *envelope.Device {
	if e == nil || e.device == nil || e.device.Kid != kid || e.seq >= at.Seq {
		return nil
	}
	return e.device
}

// asApproval returns the approval that e is, if it is of the device kid, stands
// before the message at in the log, and was given before the relay had sent it.
func (e *evidence) asApproval(kid string, at proof.Leaf) *envelope.ApprovalNote {
	if e == nil || e.approval == nil || e.approval.Kid != kid || e.seq >= at.Seq ||
		e.approval.Epoch == at.Epoch && e.approval.RelaySeq >= at.RelaySeq {
		return nil
	}
	return e.approval
}

// asBlob returns what e says of the attachment bid of the message at.
func (e *evidence) asBlob(at proof.Leaf, bid string) (status string, ok bool) {
	if e == nil || e.blob == nil || e.blob.BID != bid || e.blob.Epoch != at.Epoch || e.blob.RelaySeq != at.RelaySeq {
		return "", false
	}
	return e.blob.Status, true
}

// bytes is about what e takes in memory.
func (e *evidence) bytes() int {
	n := 256
	if e.user != nil {
		n += len(e.user.Usr) + len(e.user.UPN) + len(e.user.Mail) + len(e.user.Name)
	}
	if e.device != nil {
		n += len(e.device.Usr) + len(e.device.Dev) + 512
	}
	if e.approval != nil {
		n += len(e.approval.Usr) + len(e.approval.Dev) + len(e.approval.Epoch) + 64
	}
	if e.blob != nil {
		n += len(e.blob.Epoch) + len(e.blob.BID) + len(e.blob.Status)
	}
	return n
}
