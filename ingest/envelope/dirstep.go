package envelope

import (
	"crypto"
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"

	"github.com/go-json-experiment/json/jsontext"
)

// The operations of a dir event, and the typs of the JWS in it.
const (
	OpUserUpsert   = "user.upsert"
	OpDeviceAdd    = "device.add"
	OpDeviceRevoke = "device.revoke"

	TypDevice = "amx+device" // proof
	TypEnrol  = "amx+enrol"  // by
)

// MaxDirEvent is the largest data of a dir event, in bytes.
const MaxDirEvent = 64 << 10

// ErrOutOfOrder: Apply was given an event that does not come after the newest one.
var ErrOutOfOrder = errors.New("directory event out of the stream's order")

// A Verdict is what a dir event did, with the reason. It is stored with the event's entry, so that the directory can be rebuilt without
// checking a signature again, and so that a later pin or rule does not change what held then. It has no names and no keys.
type Verdict struct {
	Op        string    `json:"op,omitempty"`
	Accepted  bool      `json:"accepted"`
	Assurance Assurance `json:"assurance,omitempty"` // of the device, for device.add
	Code      Code      `json:"code,omitempty"`      // when not accepted
	Reason    string    `json:"reason,omitempty"`
}

type dirEvent struct {
	Op    string         `json:"op"`
	Usr   string         `json:"usr"`
	UPN   string         `json:"upn,omitempty"`
	Mail  string         `json:"mail,omitempty"`
	Name  string         `json:"name,omitempty"`
	Dev   string         `json:"dev,omitempty"`
	JWK   jsontext.Value `json:"jwk,omitempty"`
	Kid   string         `json:"kid,omitempty"`
	At    string         `json:"at,omitempty"`
	Proof string         `json:"proof,omitempty"`
	By    string         `json:"by,omitempty"`
}

// claims is what proof and by sign.
type claims struct {
	Arc string `json:"arc"`
	Usr string `json:"usr"`
	Dev string `json:"dev"`
	Jkt string `json:"jkt"`
	At  string `json:"at"`
}

func parseEvent(data []byte) (*dirEvent, error) {
	if len(data) > MaxDirEvent {
		return nil, refuse(TooLarge, "a directory event larger than 64 KiB")
	}
	e := new(dirEvent)
	if err := ijson.Unmarshal(data, e); err != nil {
		return nil, &Error{Code: Malformed, Err: fmt.Errorf("directory event: %w", err)}
	}
	switch e.Op {
	case OpUserUpsert:
		if !validName(e.Usr) {
			return nil, refuse(Malformed, "usr is empty or too long")
		}
		return e, nil
	case OpDeviceAdd, OpDeviceRevoke:
		if !validName(e.Usr) || !validName(e.Dev) {
			return nil, refuse(Malformed, "usr or dev is empty or too long")
		}
		if _, err := ParseTime(e.At); err != nil {
			return nil, refuse(Malformed, "at is not a time")
		}
		return e, nil
	}
	return nil, refuse(Malformed, "an operation that AMX/1 does not have")
}

func refused(op string, err error) Verdict {
	return Verdict{Op: op, Code: CodeOf(err), Reason: reasonOf(err)}
}

func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// Judge says what Apply at that place would do with a dir event. It changes nothing. at must come after the newest event applied.
func (d *Directory) Judge(at Position, data []byte) Verdict {
	e, err := parseEvent(data)
	if err != nil {
		return refused("", err)
	}
	switch e.Op {
	case OpUserUpsert:
		v := Verdict{Op: e.Op, Accepted: true}
		if d.renames(e) {
			v.Reason = "upn or mail changed: this person's devices are relay-asserted from here on"
		}
		return v
	case OpDeviceRevoke:
		v := d.device(e.Kid)
		switch {
		case v == nil:
			return refused(e.Op, refuse(UnknownDeviceKey, "revokes a key that was never added"))
		case v.usr != e.Usr || v.dev != e.Dev:
			return refused(e.Op, refuse(BindingMismatch, "the key belongs to another device"))
		case v.revoked:
			return Verdict{Op: e.Op, Accepted: true, Reason: "already revoked: the first revocation holds"}
		}
		return Verdict{Op: e.Op, Accepted: true}
	default:
		return d.judgeAdd(at, e)
	}
}

// renames reports whether e gives another upn or mail to a usr that the directory has. A usr with devices but not yet a name counts: else
// the relay could have a device enrolled first and say whose it is afterwards.
func (d *Directory) renames(e *dirEvent) bool {
	p := d.person(e.Usr)
	if p == nil {
		return false
	}
	var now User
	if len(p.known) > 0 {
		now = p.known[len(p.known)-1].user
	}
	return now.UPN != e.UPN || now.Mail != e.Mail
}

func (d *Directory) judgeAdd(at Position, e *dirEvent) Verdict {
	_, kid, err := e.deviceKey(d.arc)
	if err != nil {
		return refused(e.Op, err)
	}
	v := Verdict{Op: e.Op, Accepted: true, Assurance: RelayAsserted}
	by := d.trusted(e)
	if by == nil {
		by = d.vouched(at, e, kid)
	}
	if by == nil {
		v.Assurance = Enrolled
	} else {
		v.Reason = by.Error()
	}
	old := d.device(kid)
	if old == nil {
		return v
	}
	switch now := old.assured[len(old.assured)-1].assurance; {
	case old.usr != e.Usr || old.dev != e.Dev:
		return refused(e.Op, refuse(BindingMismatch, "the key belongs to another device for ever"))
	case old.revoked:
		return refused(e.Op, refuse(BindingMismatch, "the key was revoked, which is for ever"))
	case now == Enrolled || v.Assurance == now:
		return Verdict{Op: e.Op, Accepted: true, Assurance: now, Reason: "already known"}
	case old.demoted:
		// The vouching may be older than the change of name; the relay could show it again at will.
		v.Assurance, v.Reason = RelayAsserted, "the person's upn or mail changed since the key was added: a person must approve it"
	}
	return v
}

// deviceKey returns the new key after its proof has been checked.
func (e *dirEvent) deviceKey(arc string) (crypto.PublicKey, string, error) {
	pub, err := jws.ParseJWK(e.JWK)
	if err != nil {
		return nil, "", &Error{Code: Malformed, Err: fmt.Errorf("jwk: %w", err)}
	}
	kid, err := jws.Thumbprint(pub)
	if err != nil {
		return nil, "", &Error{Code: Malformed, Err: fmt.Errorf("jwk: %w", err)}
	}
	if e.Proof == "" {
		return nil, "", refuse(BadSignature, "no proof that the key was there")
	}
	c, err := jws.Parse([]byte(e.Proof), TypDevice)
	if err != nil {
		return nil, "", &Error{Code: Malformed, Err: fmt.Errorf("proof: %w", err)}
	}
	if c.Header.Kid != kid {
		return nil, "", refuse(BindingMismatch, "proof: not by the key that is added")
	}
	if err := c.Verify(pub); err != nil {
		return nil, "", &Error{Code: BadSignature, Err: fmt.Errorf("proof: %w", err)}
	}
	if err := e.binds(c, arc, kid); err != nil {
		return nil, "", &Error{Code: BindingMismatch, Err: fmt.Errorf("proof: %w", err)}
	}
	return pub, kid, nil
}

// binds checks that a proof or by says the same as the event.
func (e *dirEvent) binds(c *jws.Compact, arc, kid string) error {
	var said claims
	if err := ijson.UnmarshalStrict(c.Payload, &said); err != nil {
		return err
	}
	if said != (claims{Arc: arc, Usr: e.Usr, Dev: e.Dev, Jkt: kid, At: e.At}) {
		return errors.New("it is for another archive, person, device, key or time")
	}
	return nil
}

// trusted returns nil if a valid by can make a device of e's usr enrolled, else why none can. A by says that a key is a usr's, not who the
// usr is: whoever held one back could give the usr another upn and mail first and have the device enrolled under them.
func (d *Directory) trusted(e *dirEvent) error {
	p := d.person(e.Usr)
	if p == nil {
		return nil
	}
	if p.tainted {
		return errors.New("the person's upn or mail changed: a person must approve a device first")
	}
	if p.settled.IsZero() || e.By == "" {
		return nil
	}
	if at, err := ParseTime(e.At); err != nil || !at.After(p.settled) {
		return errors.New("by: signed before a person approved a device under the present upn and mail")
	}
	return nil
}

// vouched returns nil if by makes the key enrolled, else why not.
func (d *Directory) vouched(at Position, e *dirEvent, kid string) error {
	if e.By == "" {
		return errors.New("nobody vouched for the key")
	}
	c, err := jws.Parse([]byte(e.By), TypEnrol)
	if err != nil {
		return fmt.Errorf("by: %w", err)
	}
	key := d.pins.Enrol
	if d.enrolKid == "" || c.Header.Kid != d.enrolKid {
		sponsor, ok := d.Device(c.Header.Kid, at)
		switch {
		case !ok:
			return errors.New("by: neither the enrolment key nor a device that the directory has")
		case sponsor.Usr != e.Usr:
			return errors.New("by: a device of another person")
		case sponsor.Revoked:
			return errors.New("by: a revoked device")
		case sponsor.Assurance != Enrolled:
			return errors.New("by: a device that is itself not enrolled")
		}
		key = sponsor.Key
	}
	if err := c.Verify(key); err != nil {
		return fmt.Errorf("by: %w", err)
	}
	if err := e.binds(c, d.arc, kid); err != nil {
		return fmt.Errorf("by: %w", err)
	}
	return nil
}

// Apply takes a dir event in, as its verdict says. Signatures are not checked again: v is what Judge said at this place, now or when the
// event was first seen. An event that was not accepted moves only the place.
func (d *Directory) Apply(at Position, data []byte, v Verdict) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.some && !d.last.Before(at) {
		return fmt.Errorf("%w: epoch %d seq %d after epoch %d seq %d", ErrOutOfOrder, at.Epoch, at.Seq, d.last.Epoch, d.last.Seq)
	}
	if v.Accepted {
		e, err := parseEvent(data)
		if err != nil {
			return fmt.Errorf("apply an accepted directory event: %w", err)
		}
		if e.Op != v.Op {
			return fmt.Errorf("apply a directory event: %w: the verdict is of another operation", ErrVerdict)
		}
		if err := d.apply(at, e, v); err != nil {
			return fmt.Errorf("apply %s: %w", e.Op, err)
		}
	}
	d.last, d.some = at, true
	return nil
}

// ErrVerdict: a verdict that does not fit its event or the directory it is applied to.
var ErrVerdict = errors.New("the verdict does not fit the event")

// apply runs with mu held. Each record that changes is replaced by a new one; slices are clipped before they grow, since clones share them.
func (d *Directory) apply(at Position, e *dirEvent, v Verdict) error {
	switch e.Op {
	case OpUserUpsert:
		d.upsert(at, e)
	case OpDeviceAdd:
		return d.add(at, e, v)
	case OpDeviceRevoke:
		old := d.heldDevice(e.Kid)
		if old == nil {
			return fmt.Errorf("%w: no such key", ErrVerdict)
		}
		if !old.revoked {
			next := *old
			next.revoked, next.revokedAt = true, at
			d.over.devices[e.Kid] = &next
		}
	}
	return nil
}

func (d *Directory) upsert(at Position, e *dirEvent) {
	next, changed := person{}, false
	if old := d.heldPerson(e.Usr); old != nil {
		next = *old
		var now User
		if len(old.known) > 0 {
			now = old.known[len(old.known)-1].user
		}
		changed = now.UPN != e.UPN || now.Mail != e.Mail
	}
	if changed {
		next.tainted, next.changed = true, at
	}
	next.known = append(slices.Clip(next.known), userAt{at, User{Usr: e.Usr, UPN: e.UPN, Mail: e.Mail, Name: e.Name}})
	d.over.people[e.Usr] = &next
	if !changed {
		return
	}
	for _, kid := range next.kids {
		v := *d.heldDevice(kid)
		v.demoted = true
		if v.assured[len(v.assured)-1].assurance != RelayAsserted {
			v.assured = append(slices.Clip(v.assured), assuranceAt{at, RelayAsserted})
		}
		d.over.devices[kid] = &v
	}
}

func (d *Directory) add(at Position, e *dirEvent, v Verdict) error {
	if v.Assurance != Enrolled && v.Assurance != RelayAsserted {
		return fmt.Errorf("%w: no assurance", ErrVerdict)
	}
	pub, err := jws.ParseJWK(e.JWK)
	if err != nil {
		return err
	}
	kid, err := jws.Thumbprint(pub)
	if err != nil {
		return err
	}
	if old := d.heldDevice(kid); old != nil {
		if old.usr != e.Usr || old.dev != e.Dev {
			return fmt.Errorf("%w: the key belongs to another device", ErrVerdict)
		}
		if old.assured[len(old.assured)-1].assurance != v.Assurance {
			next := *old
			next.assured = append(slices.Clip(next.assured), assuranceAt{at, v.Assurance})
			d.over.devices[kid] = &next
		}
		return nil
	}
	d.over.devices[kid] = &device{usr: e.Usr, dev: e.Dev, kid: kid, key: pub, assured: []assuranceAt{{at, v.Assurance}}}
	owner := person{}
	if old := d.heldPerson(e.Usr); old != nil {
		owner = *old
	}
	owner.kids = append(slices.Clip(owner.kids), kid)
	d.over.people[e.Usr] = &owner
	return nil
}
