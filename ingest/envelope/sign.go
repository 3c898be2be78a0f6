package envelope

import (
	"crypto"
	"fmt"
	"time"

	"holdfast/internal/jws"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The sender's side: what a client or the reference relay's loader makes. The archive itself only reads these.

// SignMessage returns the compact JWS of p by a device's key. p is refused if ParsePayload would refuse it.
func SignMessage(key crypto.Signer, p *Payload) ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("sign a message: %w", err)
	}
	if _, err := ParsePayload(b); err != nil {
		return nil, fmt.Errorf("sign a message: %w", err)
	}
	return SignPayload(key, b)
}

// SignPayload returns the compact JWS over payload as it is, unknown members included. It does not look at the payload.
func SignPayload(key crypto.Signer, payload []byte) ([]byte, error) {
	return jws.Sign(TypMessage, key, payload)
}

// Digest returns the digest of a compact JWS, which prev and ref carry in base64url.
func Digest(compact []byte) ([32]byte, error) {
	c, err := jws.Parse(compact, TypMessage)
	if err != nil {
		return [32]byte{}, &Error{Code: Malformed, Err: err}
	}
	return c.Digest(), nil
}

// A DeviceAdd is what a device.add event is made of.
type DeviceAdd struct {
	Arc, Usr, Dev string
	At            time.Time
	Key           crypto.Signer // the new device's key; it makes proof
	By            crypto.Signer // the enrolment key or an enrolled device's key; nil makes an event without by
}

// Event returns the event's data.
func (a DeviceAdd) Event() ([]byte, error) {
	jwk, err := jws.MarshalJWK(a.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("device.add: %w", err)
	}
	jkt, err := jws.Thumbprint(a.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("device.add: %w", err)
	}
	c := claims{Arc: a.Arc, Usr: a.Usr, Dev: a.Dev, Jkt: jkt, At: FormatTime(a.At)}
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("device.add: %w", err)
	}
	e := dirEvent{Op: OpDeviceAdd, Usr: a.Usr, Dev: a.Dev, JWK: jsontext.Value(jwk), At: c.At}
	proof, err := jws.Sign(TypDevice, a.Key, payload)
	if err != nil {
		return nil, fmt.Errorf("device.add: proof: %w", err)
	}
	e.Proof = string(proof)
	if a.By != nil {
		by, err := jws.Sign(TypEnrol, a.By, payload)
		if err != nil {
			return nil, fmt.Errorf("device.add: by: %w", err)
		}
		e.By = string(by)
	}
	return json.Marshal(e)
}

// UserUpsertEvent returns the data of a user.upsert event.
func UserUpsertEvent(u User) ([]byte, error) {
	return json.Marshal(struct {
		Op   string `json:"op"`
		Usr  string `json:"usr"`
		UPN  string `json:"upn"`
		Mail string `json:"mail"`
		Name string `json:"name"`
	}{OpUserUpsert, u.Usr, u.UPN, u.Mail, u.Name})
}

// DeviceRevokeEvent returns the data of a device.revoke event for the key kid.
func DeviceRevokeEvent(usr, dev, kid string, at time.Time) ([]byte, error) {
	return json.Marshal(dirEvent{Op: OpDeviceRevoke, Usr: usr, Dev: dev, Kid: kid, At: FormatTime(at)})
}
