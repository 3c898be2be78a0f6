package export

import (
	"encoding/json"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// MaxLine bounds a line of records.jsonl and of proofs.json, in bytes.
const MaxLine = 16 << 20

// maxPath bounds an inclusion path: the log has fewer than 2^63 leaves.
const maxPath = 63

// The lines of proofs.json that stand around its entries. One entry, the
// checkpoint and the genesis entry each fill one line, so that the document
// can be read line by line in little memory.
const (
	proofsOpen1   = `{"v":1,`
	proofsOpen    = `{"v":2,`
	proofsNote    = `"checkpoint":`
	proofsGenesis = `"genesis":`
	proofsEntries = `"entries":[`
	proofsClose   = `]}`
)

// The roles of an entry in proofs.json.
const (
	asGenesis  = "genesis"  // leaf 0
	asEvidence = "evidence" // an entry that a record rests on: who signed, who is who, what became of an attachment
	asRecord   = "record"   // a row
	asUnit     = "unit"     // no entry: the next ones are rendered as one document
	asUnproven = "unproven" // a row that has no proof: it stands in unproven.jsonl
)

// A proofEntry is one entry of proofs.json. Binary members are unpadded
// base64url; note and body are the entry's bytes as text.
type proofEntry struct {
	As     string   `json:"as"`
	Seq    uint64   `json:"seq"`
	Leaf   string   `json:"leaf,omitempty"`
	Random string   `json:"random,omitempty"`
	Note   string   `json:"note,omitempty"`
	Body   string   `json:"body,omitempty"`   // not of a record whose row holds it, and not of an approval
	Device uint64   `json:"device,omitempty"` // of a message: the seq of its sender's device.add entry
	Path   []string `json:"path,omitempty"`
	Rests  []uint64 `json:"rests,omitempty"` // evidence that the row rests on, beside the device; where no row tells it
	Says   *says    `json:"says,omitempty"`

	// Of a unit alone.
	Stem   string `json:"stem,omitempty"`
	Day    string `json:"day,omitempty"`
	Part   int    `json:"part,omitempty"` // 0: it is the only one
	Parts  int    `json:"parts,omitempty"`
	Volume int    `json:"volume,omitempty"` // from 1
	Items  int    `json:"items,omitempty"`  // how many rows
	Bates  uint64 `json:"bates,omitempty"`  // the first number of those
	Size   uint64 `json:"size,omitempty"`   // of what was rendered, where it embeds what proofs do not hold; bytes
	SHA256 string `json:"sha256,omitempty"` // likewise, hex
}

// newProofEntry makes the proof of rec with the given inclusion path.
func newProofEntry(as string, rec archive.Record, path []proof.Hash) (proofEntry, error) {
	leaf, err := rec.Leaf.Marshal()
	if err != nil {
		return proofEntry{}, err
	}
	e := proofEntry{
		As: as, Seq: rec.Leaf.Seq, Leaf: jws.EncodeB64(leaf), Random: jws.EncodeB64(rec.Random[:]),
		Note: string(rec.Note), Path: make([]string, len(path)),
	}
	if as != asRecord && !withholdsBody(rec.Leaf.Kind) {
		e.Body = string(rec.Body)
	}
	for i, h := range path {
		e.Path[i] = jws.EncodeB64(h[:])
	}
	return e, nil
}

// open checks e against the checkpoint and returns the entry that it proves,
// with the given body: its leaf stands at seq in the log, and the leaf commits
// to the body and to the note.
func (e *proofEntry) open(c proof.Checkpoint, body []byte) (archive.Record, error) {
	rec, err := e.openLeaf(c)
	if err != nil {
		return rec, err
	}
	return rec, checkBody(&rec, body)
}

// openEvidence checks an evidence's entry, and the body where it is shown.
func (e *proofEntry) openEvidence(c proof.Checkpoint) (archive.Record, error) {
	rec, err := e.openLeaf(c)
	if err != nil {
		return rec, err
	}
	if !withholdsBody(rec.Leaf.Kind) {
		return rec, checkBody(&rec, []byte(e.Body))
	}
	if e.Body != "" {
		return rec, fmt.Errorf("it holds a body that must not leave the house")
	}
	return rec, nil
}

// checkBody gives rec the body that its leaf commits to.
func checkBody(rec *archive.Record, body []byte) error {
	rec.Body = body
	if proof.ContentCommitment(&rec.Random, body) != rec.Leaf.Content || proof.RoundBody(len(body)) != rec.Leaf.BodyLen {
		return errBody
	}
	return nil
}

var errBody = fmt.Errorf("its content is not what the log's entry commits to")

// openLeaf checks everything but the body.
func (e *proofEntry) openLeaf(c proof.Checkpoint) (archive.Record, error) {
	var rec archive.Record
	leaf, err := jws.DecodeB64(e.Leaf)
	if err != nil {
		return rec, fmt.Errorf("its leaf: %w", err)
	}
	if rec.Leaf, err = proof.ParseLeaf(leaf); err != nil {
		return rec, fmt.Errorf("its leaf: %w", err)
	}
	if rec.Leaf.Seq != e.Seq {
		return rec, fmt.Errorf("its leaf is that of another seq")
	}
	path := make([]proof.Hash, len(e.Path))
	if len(path) > maxPath {
		return rec, fmt.Errorf("its inclusion path is longer than any tree is high")
	}
	for i := range path {
		if err := decode32(path[i][:], e.Path[i]); err != nil {
			return rec, fmt.Errorf("its inclusion path: %w", err)
		}
	}
	if err := proof.CheckInclusion(path, c, e.Seq, proof.LeafHash(leaf)); err != nil {
		return rec, fmt.Errorf("the log does not hold it: %w", err)
	}
	if err := decode32(rec.Random[:], e.Random); err != nil {
		return rec, fmt.Errorf("its random bytes: %w", err)
	}
	rec.Note = []byte(e.Note)
	if proof.NoteCommitment(&rec.Random, rec.Note) != rec.Leaf.Note {
		return rec, fmt.Errorf("its note is not what the log's entry commits to")
	}
	return rec, nil
}

func decode32(dst []byte, s string) error {
	b, err := jws.DecodeB64(s)
	if err != nil {
		return err
	}
	if len(b) != len(dst) {
		return fmt.Errorf("%d bytes instead of %d", len(b), len(dst))
	}
	copy(dst, b)
	return nil
}

// A proofFault is a fault of proofs.json, where others are of records.jsonl.
type proofFault struct{ err error }

func (f *proofFault) Error() string { return f.err.Error() }
func (f *proofFault) Unwrap() error { return f.err }

// parseProofEntry reads one entry's line without its comma.
func parseProofEntry(line []byte) (proofEntry, error) {
	var e proofEntry
	err := ijson.UnmarshalStrict(line, &e)
	return e, err
}

// proofsHead returns what precedes the entries.
func proofsHead(checkpoint []byte, genesis proofEntry) ([]byte, error) {
	note, err := json.Marshal(string(checkpoint))
	if err != nil {
		return nil, err
	}
	first, err := marshalLine(genesis)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s\n%s%s,\n%s%s,\n%s\n", proofsOpen, proofsNote, note, proofsGenesis, first, proofsEntries), nil
}
