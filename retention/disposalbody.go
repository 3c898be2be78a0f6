package retention

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// The bodies of the entries (archive/FORMAT.md section 6).
type (
	planBody struct {
		Version int             `json:"v"` // 1
		Request uint64          `json:"request"`
		Plan    json.RawMessage `json:"plan"` // planText; its bytes are what the request's digest covers
	}
	planText struct {
		Kind     PlanKind       `json:"kind"`
		AsOf     time.Time      `json:"as_of"`
		Through  uint64         `json:"through"`
		Schedule uint64         `json:"schedule_seq"`
		By       role.Principal `json:"by"`
		Reason   string         `json:"reason"`
		Class    string         `json:"to_class,omitempty"`
		Lines    []planLineBody `json:"lines"`
		Total    uint64         `json:"total"`
	}
	planLineBody struct {
		PlanLine
		Seqs string `json:"seqs"` // the exact entries planned, as spans
	}
	intentBody struct {
		Version    int              `json:"v"` // 1
		Plan       uint64           `json:"plan"`
		Request    uint64           `json:"request"`
		By         role.Principal   `json:"by"`
		Approver   role.Principal   `json:"approver"`
		Since      uint64           `json:"since"`             // log size on which holds and periods were judged
		Checkpoint string           `json:"checkpoint_before"` // C2SP signed note
		Lines      []intentLineBody `json:"lines"`
	}
	intentLineBody struct {
		Class     string `json:"class"`
		Month     string `json:"month"`
		From      uint32 `json:"from"` // generation before
		To        uint32 `json:"to"`   // and after the switch
		Count     uint64 `json:"count"`
		First     uint64 `json:"first"`
		Last      uint64 `json:"last"`
		Ranges    string `json:"ranges"` // what goes, as spans
		Survivors uint64 `json:"survivors"`
	}
	abandonedBody struct {
		Version int                  `json:"v"` // 1
		Intent  uint64               `json:"intent"`
		Months  []archive.ClassMonth `json:"months"`
		Why     []TakenOut           `json:"why"`
	}
	certificateBody struct {
		Version int    `json:"v"` // 1
		Intent  uint64 `json:"intent"`
		JWS     string `json:"jws"`
	}
	copyBody struct {
		Version int            `json:"v"`  // 1
		Op      string         `json:"op"` // "made" or "gone"
		ID      string         `json:"id"`
		What    string         `json:"what,omitempty"`
		Where   string         `json:"where,omitempty"`
		Keyring uint64         `json:"keyring,omitempty"`
		Keyless bool           `json:"keyless,omitempty"`
		By      role.Principal `json:"by"`
		Reason  string         `json:"reason,omitempty"`
	}
	reclassBody struct {
		Version int            `json:"v"` // 1
		Plan    uint64         `json:"plan"`
		Request uint64         `json:"request"`
		By      role.Principal `json:"by"`
		Class   string         `json:"class"`
		Seqs    string         `json:"seqs"` // spans that are one entry each
	}
)

// readDisposal reads a body of version 1.
func readDisposal(rec archive.Record, v any, version *int) error {
	if err := ijson.Unmarshal(rec.Body, v); err != nil {
		return err
	}
	if *version != 1 {
		return fmt.Errorf("a body of version %d, which this version cannot read", *version)
	}
	return nil
}

// controlEntry returns the entry of a body that may be long.
func controlEntry(kind proof.Kind, body any) (archive.Entry, error) {
	e, err := entry(kind, body)
	if err == nil && len(e.Body) > archive.MaxBody {
		return e, fmt.Errorf("%w: this %s would be larger than an entry may be; plan fewer months or classes at once", ErrInvalid, kind)
	}
	return e, err
}

// planDigest is what the second person approves: SHA-256("holdfast plan v1\0"
// ‖ the bytes of the member "plan" of the plan's entry), hex.
func planDigest(text []byte) string { return hexDigest("holdfast plan v1\x00", text) }

// digest is SHA-256("holdfast ranges v1\0" ‖ the canonical bytes), hex.
func (s spans) digest() string { return hexDigest("holdfast ranges v1\x00", s.bytes()) }

func hexDigest(label string, b []byte) string {
	h := sha256.New()
	h.Write([]byte(label))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}
