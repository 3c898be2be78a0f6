package envelope

import "holdfast/internal/ijson"

// KeyID returns the kid that an envelope's header names, whatever else is wrong
// with the envelope; false when there is no header to be read. Until it is
// decided what becomes of an envelope that was not opened, that key is needed.
func KeyID(envelope []byte) (kid string, ok bool) {
	header, _, err := split(envelope)
	if err != nil {
		return "", false
	}
	text, err := decode(header)
	if err != nil {
		return "", false
	}
	var h struct {
		KID string `json:"kid"`
	}
	if ijson.Unmarshal(text, &h) != nil || h.KID == "" {
		return "", false
	}
	return h.KID, true
}
