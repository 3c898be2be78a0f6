package api

import "time"

// ActWipeOverride is the act of wiping a departed person's device although the
// person is a custodian under hold.
const ActWipeOverride = "wipe-override"

// WipesResponse lists the wipes of departed people's devices, in the order in
// which they came up.
type WipesResponse struct {
	Wipes []Wipe `json:"wipes"`
}

// Wipe is the wipe of one device, as the relay is or was asked for it, or is
// not because of a hold.
type Wipe struct {
	ID     string    `json:"id"`
	Usr    string    `json:"usr"`
	Dev    string    `json:"dev"`
	Kid    string    `json:"kid"`              // of the device's key
	Person string    `json:"person,omitempty"` // GUID of the person whom the usr belongs to
	Name   string    `json:"name,omitempty"`
	State  string    `json:"state"`          // wanted, accepted, refused or withdrawn
	Code   string    `json:"code,omitempty"` // why it was refused, or "overridden"; Held for whoever may not know of the matter
	Seq    uint64    `json:"seq"`            // newest entry about it
	At     time.Time `json:"at"`             // received time of that entry
	// Request is the request to wipe all the same that is open.
	Request uint64 `json:"request,omitempty"`

	// Stopped says that a hold stops it: two people may let it go ahead.
	Stopped bool `json:"-"`
	// Told says that its code tells of a hold.
	Told bool `json:"-"`
	// Digest is what two people approve: SHA-256 of exactly this wipe, hex.
	Digest string `json:"-"`
}

// OverrideWipeRequest asks that a wipe go ahead although a hold stops it.
type OverrideWipeRequest struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}
