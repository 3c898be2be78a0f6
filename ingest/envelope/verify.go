package envelope

import (
	"errors"
	"fmt"

	"holdfast/internal/jws"
)

// Flags of a message that is kept although something about it needs a person's eye.
const (
	FlagRevokedDevice = "revoked-device"  // its key had been revoked at the message's place
	FlagEditByOther   = "edit-by-other"   // an edit of a message that no device of the sender's sent
	FlagRecallByOther = "recall-by-other" // likewise a recall
)

// Message is a message whose signature and bindings hold.
type Message struct {
	Payload Payload
	JWS     []byte   // verbatim: the evidence that the device's holder signed it
	Digest  [32]byte // SHA-256 of the JWS signing input: for dedupe, prev and ref
	Device  Device   // as of the message's place
	Flags   []string
}

// Verify checks what an envelope held: the signature by a device that the directory had at that place, the payload's form, and that
// header, payload and device name the same archive, message, person and device. Every failure is an *Error that carries the opened
// bytes. Whether an edit or recall refers to another's message is told by ref.dev; who has the message itself should compare its sender.
func (d *Directory) Verify(o *Opened, at Position) (*Message, error) {
	m, err := d.verify(o, at)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Code: Malformed, Err: err}
		}
		return nil, &Error{Code: e.Code, Opened: o.padded, Err: e.Err}
	}
	return m, nil
}

func (d *Directory) verify(o *Opened, at Position) (*Message, error) {
	c, err := jws.Parse(o.Plaintext, TypMessage)
	if err != nil {
		return nil, &Error{Code: Malformed, Err: err}
	}
	device, ok := d.Device(c.Header.Kid, at)
	if !ok {
		return nil, refuse(UnknownDeviceKey, "signed by a key that the directory did not have at that place")
	}
	if err := c.Verify(device.Key); err != nil {
		return nil, &Error{Code: BadSignature, Err: fmt.Errorf("message: %w", err)}
	}
	p, err := ParsePayload(c.Payload)
	if err != nil {
		return nil, err
	}
	if p.Arc != o.Header.Arc || p.Arc != d.arc || p.Mid != o.Header.Mid {
		return nil, refuse(BindingMismatch, "the payload's arc or mid is not the header's")
	}
	if p.Usr != device.Usr || p.Dev != device.Dev {
		return nil, refuse(BindingMismatch, "the payload's usr or dev is not the owner of the key")
	}
	m := &Message{Payload: *p, JWS: o.Plaintext, Digest: c.Digest(), Device: device}
	if device.Revoked {
		m.Flags = append(m.Flags, FlagRevokedDevice)
	}
	if p.Ref != nil && (p.Typ == TypEdit || p.Typ == TypRecall) && !d.ownDevice(p.Usr, p.Ref.Dev, at) {
		flag := FlagEditByOther
		if p.Typ == TypRecall {
			flag = FlagRecallByOther
		}
		m.Flags = append(m.Flags, flag)
	}
	return m, nil
}
