package wire

import (
	"crypto/ed25519"
	"fmt"
	"strconv"
)

// Event is one event of the relay's stream. Data is an envelope for kind env and a JSON text for the rest; ReadPage does not look into
// it, and an envelope above MaxEnvelope is legal here: it is the reader's to quarantine, not the page's to fail.
type Event struct {
	Seq  uint64 `json:"seq"`
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Time string `json:"time"`
	Data string `json:"data"`
}

// End is the signed last line of a page.
type End struct {
	Next   uint64 // last seq on the page, or the seq asked after when there is none
	High   uint64 // last seq that the relay holds
	Oldest uint64 // first seq that the relay still holds
	Head   Head   // head after Next
	Time   string // the relay's clock
	Sig    []byte // Ed25519, 64 bytes
}

// SignEnd sets e.Sig by the relay's head key.
func SignEnd(key ed25519.PrivateKey, arc, epoch string, e *End) {
	e.Sig = ed25519.Sign(key, e.signed(arc, epoch))
}

// Verify checks e.Sig by the relay's pinned head key. The error is ErrSignature.
func (e End) Verify(pub ed25519.PublicKey, arc, epoch string) error {
	if len(pub) != ed25519.PublicKeySize || len(e.Sig) != ed25519.SignatureSize || !ed25519.Verify(pub, e.signed(arc, epoch), e.Sig) {
		return ErrSignature
	}
	return nil
}

// signed is what the signature covers, ingest/AMX.md §3.
func (e End) signed(arc, epoch string) []byte {
	b := append([]byte(nil), "AMX1 head\x00"...)
	b = appendLP(b, arc)
	b = appendLP(b, epoch)
	b = appendLP(b, strconv.FormatUint(e.Next, 10))
	b = append(b, e.Head[:]...)
	b = appendLP(b, strconv.FormatUint(e.High, 10))
	b = appendLP(b, strconv.FormatUint(e.Oldest, 10))
	return appendLP(b, e.Time)
}

// Page is a verified page: its events follow Expect.After without a gap, and End is signed over their head.
type Page struct {
	Events []Event
	End    End
}

// Expect is what the reader of a page knows beforehand.
type Expect struct {
	Arc     string
	Epoch   string
	After   uint64            // the cursor: last seq already held
	Head    Head              // head after After
	Limit   int               // events asked for; 0 stands for MaxPageEvents
	HeadKey ed25519.PublicKey // the relay's pinned head key
}

// HeadError says that the relay signed a head that its events do not have. End's signature is valid: where the reader holds another
// signed head for the same seq, the two together prove that the relay equivocated. errors.Is(err, ErrHead) holds.
type HeadError struct {
	End      End
	Computed Head
}

func (e *HeadError) Error() string { return fmt.Sprintf("%v, at seq %d", ErrHead, e.End.Next) }

// Unwrap returns ErrHead.
func (e *HeadError) Unwrap() error { return ErrHead }
