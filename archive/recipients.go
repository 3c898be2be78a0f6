package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
)

// The life of an HPKE key that envelopes are sealed to: it is offered for
// RecipientLife, the next one is made RecipientOverlap before that ends, and it
// is destroyed once nothing under it can come any more.
const (
	RecipientLife    = 365 * 24 * time.Hour
	RecipientOverlap = 60 * 24 * time.Hour
	RelayBuffering   = 60 * 24 * time.Hour // longest that the relay keeps an envelope
)

// The acts of a KindKey entry, in KeyBody.Op.
const (
	KeyMade      = "made"
	KeyDestroyed = "destroyed"
)

// KeyBody is the body of a KindKey entry.
type KeyBody struct {
	Version  int    `json:"v"` // 1
	Op       string `json:"op"`
	KID      string `json:"kid"`
	KEM      uint16 `json:"kem"`       // HPKE KEM id
	NotAfter string `json:"not_after"` // RFC 3339, milliseconds
}

// RecipientKey is one HPKE key that envelopes may be sealed to.
type RecipientKey struct {
	KID      string
	KEM      uint16
	Private  []byte
	NotAfter time.Time
	Made     time.Time // NotAfter − RecipientLife
}

// RecipientKeys returns the archive's HPKE keys, the retired ones that may
// still be needed included.
func (a *Archive) RecipientKeys() []RecipientKey {
	var out []RecipientKey
	for _, r := range a.keys.snapshot().Recipients {
		if unnamed(r) || gone(r) {
			continue
		}
		out = append(out, RecipientKey{KID: r.KID, KEM: r.KEM, Private: r.Private, NotAfter: r.NotAfter, Made: r.NotAfter.Add(-RecipientLife)})
	}
	return out
}

// A key passes through two states of the keyring that nobody else sees, so that
// a crash at any point leaves no entry of the log that is not true: a fresh one
// has no end until its entry is in the log, and of a destroyed one all but the
// private key stays until its entry is.
func unnamed(r seal.Recipient) bool { return r.NotAfter.IsZero() }
func gone(r seal.Recipient) bool    { return len(r.Private) == 0 }

// Rotation is what one call of RotateRecipients did, by kid.
type Rotation struct{ Made, Destroyed []string }

// RotateRecipients makes a new HPKE key of each suite in use whose newest key
// ends within RecipientOverlap, and destroys the keys that ended more than
// RelayBuffering ago, unless something that was not opened yet needs one. Each
// is an entry of KindKey. It goes by Now, and does nothing while the clock is
// suspect. What a crash cut short is finished by the next call.
func (a *Archive) RotateRecipients(ctx context.Context, needed func(kid string) bool) (*Rotation, error) {
	a.rotating.Lock()
	defer a.rotating.Unlock()
	out := &Rotation{}
	if a.opts.ReadOnly {
		return nil, fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	}
	if a.Clock().Suspect {
		return out, nil
	}
	now := a.Now()
	if err := a.makeRecipients(ctx, now, out); err != nil {
		return out, fmt.Errorf("making the keys that envelopes are sealed to: %w", err)
	}
	if err := a.destroyRecipients(ctx, now, needed, out); err != nil {
		return out, fmt.Errorf("destroying keys that envelopes were sealed to: %w", err)
	}
	return out, nil
}

// makeRecipients makes what is due, in three steps.
func (a *Archive) makeRecipients(ctx context.Context, now time.Time, out *Rotation) error {
	var fresh []seal.Recipient
	for _, kem := range dueKEMs(a.keys.snapshot().Recipients, now) {
		key, err := envelope.GenerateKey(kem)
		if err != nil {
			return err
		}
		private, err := key.Bytes()
		if err != nil {
			return err
		}
		fresh = append(fresh, seal.Recipient{KID: key.KID(), KEM: uint16(kem), Private: private})
	}
	if len(fresh) > 0 {
		err := a.keys.changeRecipients(func(all []seal.Recipient) []seal.Recipient { return append(all, fresh...) })
		if err != nil {
			return err
		}
	}
	if err := a.faultAt("key made"); err != nil {
		return err
	}
	// A crash here leaves keys that are offered to nobody; they are named next time.
	end := now.Truncate(time.Second).Add(RecipientLife)
	var bodies []KeyBody
	for _, r := range a.keys.snapshot().Recipients {
		if unnamed(r) {
			bodies = append(bodies, KeyBody{Version: 1, Op: KeyMade, KID: r.KID, KEM: r.KEM, NotAfter: envelope.FormatTime(end)})
		}
	}
	if len(bodies) == 0 {
		return nil
	}
	if err := a.appendKeys(ctx, bodies); err != nil {
		return err
	}
	if err := a.faultAt("key named"); err != nil {
		return err
	}
	// A crash here leaves them named and still offered to nobody; they are named once more, with the end that counts.
	err := a.keys.changeRecipients(func(all []seal.Recipient) []seal.Recipient {
		for i := range all {
			if unnamed(all[i]) {
				all[i].NotAfter = end
			}
		}
		return all
	})
	if err != nil {
		return err
	}
	for _, b := range bodies {
		out.Made = append(out.Made, b.KID)
	}
	return nil
}

// dueKEMs returns the suites in use that have neither a key which lasts beyond
// the overlap nor one that was begun.
func dueKEMs(all []seal.Recipient, now time.Time) []envelope.KEM {
	lasts := map[uint16]bool{}
	for _, r := range all {
		lasts[r.KEM] = lasts[r.KEM] || unnamed(r) || !gone(r) && r.NotAfter.Sub(now) > RecipientOverlap
	}
	var due []envelope.KEM
	for kem, ok := range lasts {
		if !ok {
			due = append(due, envelope.KEM(kem))
		}
	}
	slices.Sort(due)
	return due
}

// destroyRecipients destroys what has ended: private keys first, then the
// entries that say so, then what was left of the keys.
func (a *Archive) destroyRecipients(ctx context.Context, now time.Time, needed func(kid string) bool, out *Rotation) error {
	due := map[string]bool{}
	for _, r := range a.keys.snapshot().Recipients {
		if !unnamed(r) && !gone(r) && now.After(r.NotAfter.Add(RelayBuffering)) && (needed == nil || !needed(r.KID)) {
			due[r.KID] = true
		}
	}
	if len(due) > 0 {
		err := a.keys.changeRecipients(func(all []seal.Recipient) []seal.Recipient {
			for i := range all {
				if due[all[i].KID] {
					all[i].Private = nil
				}
			}
			return all
		})
		if err != nil {
			return err
		}
	}
	if err := a.faultAt("key destroyed"); err != nil {
		return err
	}
	// A crash here leaves keys that are gone and not named as such; the rest of them tells which.
	var bodies []KeyBody
	for _, r := range a.keys.snapshot().Recipients {
		if gone(r) {
			bodies = append(bodies, KeyBody{Version: 1, Op: KeyDestroyed, KID: r.KID, KEM: r.KEM, NotAfter: envelope.FormatTime(r.NotAfter)})
		}
	}
	if len(bodies) == 0 {
		return nil
	}
	if err := a.appendKeys(ctx, bodies); err != nil {
		return err
	}
	if err := a.faultAt("key's end named"); err != nil {
		return err
	}
	// A crash here has them named once more.
	err := a.keys.changeRecipients(func(all []seal.Recipient) []seal.Recipient { return slices.DeleteFunc(all, gone) })
	if err != nil {
		return err
	}
	for _, b := range bodies {
		out.Destroyed = append(out.Destroyed, b.KID)
	}
	return nil
}

// appendKeys appends an entry for each body, all or none.
func (a *Archive) appendKeys(ctx context.Context, bodies []KeyBody) error {
	var b Batch
	for i := range bodies {
		text, err := json.Marshal(&bodies[i])
		if err != nil {
			return err
		}
		b.Entries = append(b.Entries, Entry{Kind: proof.KindKey, Class: proof.ClassControl, Body: text})
	}
	_, err := a.Append(ctx, b)
	return err
}

// changeRecipients replaces the keyring by one with other HPKE keys; f may
// change the slice that it is given. Durable once it returns.
func (k *keys) changeRecipients(f func([]seal.Recipient) []seal.Recipient) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.change(func(r *seal.Keyring) { r.Recipients = f(r.Recipients) })
}
