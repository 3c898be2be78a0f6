package export

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// The typs of the two manifests' signatures.
const (
	typManifest = "holdfast+manifest"
	typAnnex    = "holdfast+annex"
)

// Version is the version of the production's format. Version 1 is still
// verified.
const Version = 2

// maxManifest and maxSignature bound manifest.json and manifest.jws, in bytes.
const (
	maxManifest  = 64 << 10
	maxSignature = 2 << 10
)

// A Manifest says what a production is. manifest.json is its bytes exactly as
// signed; manifest.jws is the signature, a compact JWS with detached content.
type Manifest struct {
	V          int    `json:"v"`                // Version
	Format     string `json:"format"`           // one of FormatNames
	Origin     string `json:"origin"`           // of the log
	Tool       string `json:"tool"`             // what made the production
	Created    string `json:"created"`          // AMX/1 section 0
	Checkpoint string `json:"checkpoint"`       // C2SP signed note, the one in proofs.json
	At         uint64 `json:"at"`               // size of the log that the production is as of
	First      uint64 `json:"first"`            // first seq examined
	Last       uint64 `json:"last"`             // last seq examined
	Through    uint64 `json:"through"`          // up to which seq the search had seen everything
	Scoped     bool   `json:"scoped,omitempty"` // matched among the messages of some people alone
	Counts     Counts `json:"counts"`
	Files      []File `json:"files"` // a production's own; in version 1 the records as well
	AnnexHash  string `json:"annex_hash"`

	Unit      string      `json:"unit,omitempty"`      // what is rendered as one document
	Zone      string      `json:"zone,omitempty"`      // of days and local times
	Legend    string      `json:"legend,omitempty"`    // stamped on what people read
	Recipient string      `json:"recipient,omitempty"` // who gets it
	Split     *Split      `json:"split,omitempty"`
	Bates     *Bates      `json:"bates,omitempty"`
	Numbers   *BatesRange `json:"numbers,omitempty"`  // the Bates numbers that were given
	Rendered  *Rendered   `json:"rendered,omitempty"` // what files.jsonl lists

	Patient *PatientAccess `json:"patient_access,omitempty"` // it is a patient's own package
}

// Rendered is what a production's files.jsonl lists: the records in their
// format, and the natives and texts beside them.
type Rendered struct {
	Volumes uint64 `json:"volumes"` // 1 where it is not split
	Files   uint64 `json:"files"`
	Bytes   uint64 `json:"bytes"`
}

// Counts are in entries. Matched = Produced + the sum of Withheld.
type Counts struct {
	Matched     uint64            `json:"matched"`
	Produced    uint64            `json:"produced"`    // with their data
	Withheld    map[string]uint64 `json:"withheld"`    // by kind of entry
	Quarantined uint64            `json:"quarantined"` // quarantine entries from First to Last, matched or not

	Hanging     uint64            `json:"hanging,omitempty"`     // of those matched: because they hang at one that did
	Redacted    uint64            `json:"redacted,omitempty"`    // of those produced: text of them is covered
	Unproven    uint64            `json:"unproven,omitempty"`    // likewise: there is no proof of them
	WithheldBy  map[string]uint64 `json:"withheld_by,omitempty"` // of those withheld: by tag, as in privilege-log.csv
	Attachments uint64            `json:"attachments,omitempty"` // contents produced
	Unavailable uint64            `json:"unavailable,omitempty"` // attachments that were stored and could not be read
}

// AnnexManifest is annex/manifest.json: it ties the annex to its production.
type AnnexManifest struct {
	V       int    `json:"v"`
	Origin  string `json:"origin"`
	Created string `json:"created"`
	Records string `json:"records"` // SHA-256 of files.jsonl, in version 1 of records.jsonl; hex
	Files   []File `json:"files"`   // annex/annex.json, and annex/near.csv of a patient's package
}

// listed1 are the files that a manifest of version 1 lists, in its order.
var listed1 = []string{fileRecords, fileProofs, fileCustody, fileSums}

// marshalManifest returns the readable bytes of either manifest.
func marshalManifest(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// parseManifest reads manifest.json. It must list files of a production's own
// and no others: no path out of it is ever opened.
func parseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := ijson.UnmarshalStrict(b, &m); err != nil {
		return nil, err
	}
	var err error
	switch m.V {
	case 1:
		err = m.check1()
	case Version:
		err = m.check2()
	default:
		err = fmt.Errorf("its version is %d; this program reads version %d", m.V, Version)
	}
	if err != nil {
		return nil, err
	}
	left := m.Counts.Matched - m.Counts.Produced
	if m.Counts.Produced > m.Counts.Matched {
		return nil, errors.New("its counts contradict each other")
	}
	for _, n := range m.Counts.Withheld {
		if n > left {
			return nil, errors.New("its counts contradict each other")
		}
		left -= n
	}
	if left != 0 || m.First > m.Last || m.Last >= m.At {
		return nil, errors.New("its counts or its range contradict each other")
	}
	return &m, nil
}

func (m *Manifest) check1() error {
	if m.Format != JSONL || m.Rendered != nil || m.Split != nil || m.Bates != nil || m.Patient != nil {
		return errors.New("it is not a manifest of version 1")
	}
	return checkFiles(m.Files, listed1)
}

func (m *Manifest) check2() error {
	if !slices.Contains(FormatNames(), m.Format) {
		return errors.New("this program does not know its format")
	}
	if m.Rendered == nil || m.Bates != nil && !m.Bates.valid() {
		return errors.New("it does not say how its records are rendered")
	}
	if _, about := m.file(fileAbout); about != (m.Patient != nil) || about && !m.Patient.valid() {
		return errors.New("it does not say which patient's package it is, or the package lacks what it says of itself")
	}
	var want []string
	for _, name := range own {
		if !slices.Contains(sometimes, name) || slices.ContainsFunc(m.Files, func(f File) bool { return f.Path == name }) {
			want = append(want, name)
		}
	}
	return checkFiles(m.Files, want)
}

// file returns what the manifest says of one of its files; false if the
// production has none of that name.
func (m *Manifest) file(name string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Path == name })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

// main returns the name of the file by which an annex names its production.
func (m *Manifest) main() string {
	if m.V == 1 {
		return fileRecords
	}
	return fileList
}

// last returns the last seq that can have a row: what hangs at a match may come
// later than what was examined.
func (m *Manifest) last() uint64 {
	if m.Counts.Hanging > 0 {
		return m.At - 1
	}
	return m.Last
}

// volume returns the prefix of the names of the n-th volume's files, from 1.
func (m *Manifest) volume(n int) string {
	if m.Split == nil {
		return ""
	}
	return m.Split.volume(n)
}

func parseAnnexManifest(b []byte) (*AnnexManifest, error) {
	var m AnnexManifest
	if err := ijson.UnmarshalStrict(b, &m); err != nil {
		return nil, err
	}
	if m.V < 1 || m.V > Version {
		return nil, fmt.Errorf("its version is %d; this program reads version %d", m.V, Version)
	}
	want := []string{fileAnnex}
	if len(m.Files) > 1 {
		want = append(want, fileNear)
	}
	return &m, checkFiles(m.Files, want)
}

func checkFiles(files []File, want []string) error {
	if len(files) != len(want) {
		return errors.New("it does not list the files of a production")
	}
	for i, f := range files {
		if f.Path != want[i] {
			return errors.New("it lists a file that is not of a production")
		}
	}
	return nil
}

// signDetached returns the signature file of payload: header, two dots,
// signature, newline (RFC 7515 appendix F).
func signDetached(typ string, key crypto.Signer, payload []byte) ([]byte, error) {
	compact, err := jws.Sign(typ, key, payload)
	if err != nil {
		return nil, err
	}
	first, last := bytes.IndexByte(compact, '.'), bytes.LastIndexByte(compact, '.')
	out := append(compact[:first+1:first+1], compact[last:]...)
	return append(out, '\n'), nil
}

// verifyDetached checks a signature file over payload. The signer must be key.
func verifyDetached(typ string, key ed25519.PublicKey, sig, payload []byte) error {
	header, rest, ok := bytes.Cut(sig, []byte(".."))
	signature, tail, line := bytes.Cut(rest, []byte{'\n'})
	if !ok || !line || len(tail) != 0 || bytes.IndexByte(signature, '.') >= 0 || bytes.IndexByte(header, '.') >= 0 {
		return errors.New("it is not a compact JWS with detached content")
	}
	compact := make([]byte, 0, len(sig)+2*len(payload))
	compact = append(append(compact, header...), '.')
	compact = append(append(compact, jws.EncodeB64(payload)...), '.')
	c, err := jws.Parse(append(compact, signature...), typ)
	if err != nil {
		return err
	}
	kid, err := jws.Thumbprint(key)
	if err != nil {
		return err
	}
	if c.Header.Kid != kid {
		return errors.New("it is signed by another key than the archive's identity key")
	}
	return c.Verify(key)
}
