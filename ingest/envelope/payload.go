package envelope

import (
	"fmt"
	"slices"
	"time"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of a payload beside the envelope's own.
const (
	MaxAttachments = 100
	MaxMembers     = 5000 // of conv.members, and of to
	MaxName        = 256  // bytes of a usr, dev or conversation id
)

// Payload is what a device signed (AMX/1 §2). Members that are not named here stay in the JWS, which is kept verbatim.
type Payload struct {
	V        int64        `json:"v"` // 1
	Typ      string       `json:"typ"`
	Arc      string       `json:"arc"`
	Mid      string       `json:"mid"`
	Usr      string       `json:"usr"`
	Dev      string       `json:"dev"`
	N        uint64       `json:"n"`    // counter per (dev, arc), from 1
	Prev     string       `json:"prev"` // digest of the device's previous JWS, "" for its first
	Sent     string       `json:"sent"` // the client's claim; see SentTime
	Conv     *Conv        `json:"conv,omitempty"`
	To       []Party      `json:"to,omitempty"`
	Prio     string       `json:"prio,omitempty"` // routine, urgent, stat or ""
	TTL      int64        `json:"ttl_s,omitzero"` // seconds
	Subject  *Subject     `json:"subject,omitempty"`
	Label    []string     `json:"label,omitempty"`
	Body     *Body        `json:"body,omitempty"`
	Ref      *Ref         `json:"ref,omitempty"`
	Status   string       `json:"status,omitempty"` // of a receipt: delivered, read, acknowledged
	At       string       `json:"at,omitempty"`     // when the receipt's status was reached
	Att      []Attachment `json:"att,omitempty"`
	sentTime time.Time
}

// Conv is the conversation as it was when the message was sent.
type Conv struct {
	ID      string  `json:"id"`
	Kind    string  `json:"kind"` // direct, group, patient
	Name    string  `json:"name,omitempty"`
	Members Members `json:"members,omitempty"`
}

// Party is one person of the relay's, with the name that the sender's client showed.
type Party struct {
	Usr  string `json:"usr"`
	Name string `json:"name,omitempty"`
}

// Members are a conversation's people. In JSON each is a Party or just its usr.
type Members []Party

// Subject is the patient that the message is about.
type Subject struct {
	MRN       string `json:"mrn,omitempty"`
	Encounter string `json:"encounter,omitempty"`
	Born      int64  `json:"born,omitzero"` // year
}

// Body is the text.
type Body struct {
	Text string `json:"text"`
	Lang string `json:"lang,omitempty"`
	MIME string `json:"mime,omitempty"`
}

// Ref names the message that an edit, recall, receipt, reaction or expiry is about.
type Ref struct {
	Dev    string `json:"dev"`
	Mid    string `json:"mid"`
	Digest string `json:"digest"` // b64u of 32 bytes
}

// Attachment is one sealed file at the relay.
type Attachment struct {
	BID      string `json:"bid"`
	Name     string `json:"name"`
	MIME     string `json:"mime"`
	Size     int64  `json:"size"` // bytes before sealing
	Alg      string `json:"alg"`
	Key      string `json:"key"`       // b64u of 32 bytes
	CTSHA256 string `json:"ct_sha256"` // b64u of the SHA-256 of the sealed bytes
}

// The types of message.
const (
	TypMsg        = "msg"
	TypEdit       = "edit"
	TypRecall     = "recall"
	TypReceipt    = "receipt"
	TypReaction   = "reaction"
	TypMember     = "member"
	TypClose      = "close"
	TypExpiry     = "expiry"
	TypCall       = "call"
	TypCheckpoint = "checkpoint"
)

// AttachmentAlg is the only alg of an attachment.
const AttachmentAlg = "A256GCM-STREAM64K"

var (
	typs      = []string{TypMsg, TypEdit, TypRecall, TypReceipt, TypReaction, TypMember, TypClose, TypExpiry, TypCall, TypCheckpoint}
	refTyps   = []string{TypEdit, TypRecall, TypReceipt, TypReaction, TypExpiry}
	convKinds = []string{"direct", "group", "patient"}
	prios     = []string{"", "routine", "urgent", "stat"}
	statuses  = []string{"delivered", "read", "acknowledged"}
)

// ParsePayload reads a payload. Every failure is an *Error with Malformed or UnsupportedVersion.
func ParsePayload(b []byte) (*Payload, error) {
	p := &Payload{V: -1}
	if err := ijson.Unmarshal(b, p); err != nil {
		return nil, &Error{Code: Malformed, Err: fmt.Errorf("payload: %w", err)}
	}
	if p.V == -1 {
		return nil, refuse(Malformed, "payload: no v")
	}
	if p.V != 1 {
		return nil, refuse(UnsupportedVersion, "payload: a version other than 1")
	}
	for _, fault := range []string{p.coreFault(), p.peopleFault(), p.refFault(), p.attFault()} {
		if fault != "" {
			return nil, refuse(Malformed, "payload: "+fault)
		}
	}
	return p, nil
}

// SentTime returns Sent as a time; it is the zero time unless p came from ParsePayload.
func (p *Payload) SentTime() time.Time { return p.sentTime }

func (p *Payload) coreFault() string {
	var err error
	switch {
	case !slices.Contains(typs, p.Typ):
		return "typ is not one of AMX/1"
	case !ValidArc(p.Arc), !ValidID16(p.Mid):
		return "arc or mid has not its form"
	case !validName(p.Usr), !validName(p.Dev):
		return "usr or dev is empty or too long"
	case p.N < 1:
		return "n does not count from 1"
	case p.Prev != "" && !jws.ValidB64(p.Prev, 32):
		return "prev is not a digest"
	case !slices.Contains(prios, p.Prio):
		return "prio is not routine, urgent or stat"
	case p.TTL < 0:
		return "ttl_s is negative"
	}
	if p.sentTime, err = ParseTime(p.Sent); err != nil {
		return "sent is not a time"
	}
	return ""
}

func (p *Payload) peopleFault() string {
	nameless := func(who Party) bool { return !validName(who.Usr) }
	switch {
	case len(p.To) > MaxMembers:
		return "to has more than 5,000 people"
	case slices.ContainsFunc(p.To, nameless):
		return "to has a usr that is empty or too long"
	case p.Conv == nil:
		return ""
	case !validName(p.Conv.ID):
		return "conv.id is empty or too long"
	case !slices.Contains(convKinds, p.Conv.Kind):
		return "conv.kind is not direct, group or patient"
	case len(p.Conv.Members) > MaxMembers:
		return "conv.members has more than 5,000 people"
	case slices.ContainsFunc(p.Conv.Members, nameless):
		return "conv.members has a usr that is empty or too long"
	}
	return ""
}

func (p *Payload) refFault() string {
	switch {
	case p.Ref == nil && slices.Contains(refTyps, p.Typ):
		return "no ref, which this typ needs"
	case p.Ref != nil && (!validName(p.Ref.Dev) || !ValidID16(p.Ref.Mid) || !jws.ValidB64(p.Ref.Digest, 32)):
		return "ref: dev, mid or digest has not its form"
	case p.Typ == TypReceipt && !slices.Contains(statuses, p.Status):
		return "status is not delivered, read or acknowledged"
	}
	if p.At != "" {
		if _, err := ParseTime(p.At); err != nil {
			return "at is not a time"
		}
	}
	return ""
}

func (p *Payload) attFault() string {
	if len(p.Att) > MaxAttachments {
		return "more than 100 attachments"
	}
	bids := make(map[string]bool, len(p.Att))
	for i := range p.Att {
		a := &p.Att[i]
		if !ValidID16(a.BID) || a.Size < 0 || a.Alg != AttachmentAlg || !jws.ValidB64(a.Key, 32) || !jws.ValidB64(a.CTSHA256, 32) {
			return "att: bid, size, alg, key or ct_sha256 has not its form"
		}
		if bids[a.BID] {
			return "att: two attachments have one bid"
		}
		bids[a.BID] = true
	}
	return ""
}

func validName(s string) bool { return len(s) >= 1 && len(s) <= MaxName }

// Secret returns the attachment's key.
func (a *Attachment) Secret() ([32]byte, error) { return bytes32(a.Key) }

// Sum returns the SHA-256 of the sealed bytes.
func (a *Attachment) Sum() ([32]byte, error) { return bytes32(a.CTSHA256) }

// Sum returns the digest of the message that the other one is about.
func (r *Ref) Sum() ([32]byte, error) { return bytes32(r.Digest) }

func bytes32(s string) ([32]byte, error) {
	b, err := jws.DecodeB64(s)
	if err != nil || len(b) != 32 {
		return [32]byte{}, refuse(Malformed, "not 32 bytes in base64url")
	}
	return [32]byte(b), nil
}

// ReadAs tells ijson that the elements are checked like those of to.
func (Members) ReadAs() any { return []Party(nil) }

// UnmarshalJSONFrom reads a list of people that are each a string, the usr, or an object as in to.
func (m *Members) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		*m = nil
		return dec.SkipValue()
	}
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '[' {
		return refuse(Malformed, "members is not an array")
	}
	out := Members{}
	for dec.PeekKind() != ']' {
		var who Party
		var err error
		if dec.PeekKind() == '"' {
			err = json.UnmarshalDecode(dec, &who.Usr)
		} else {
			err = json.UnmarshalDecode(dec, &who)
		}
		if err != nil {
			return err
		}
		out = append(out, who)
	}
	*m = out
	_, err := dec.ReadToken()
	return err
}
