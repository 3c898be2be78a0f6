package export

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// lyingLog is a log in memory that takes in anything: what an archive could
// write whose operator holds all of its keys.
type lyingLog struct {
	t       testing.TB
	id      *proof.Identity
	text    []byte
	key     ed25519.PrivateKey
	signer  note.Signer
	records []archive.Record
	hashes  []tlog.Hash
	enrol   crypto.Signer

	cosigner note.Signer // of checkpoints; nil: none
}

func newLyingLog(t testing.TB) *lyingLog {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	pub := key.Public().(ed25519.PublicKey)
	l := &lyingLog{t: t, key: key, enrol: edKey(t)}
	skey, vkey, err := note.GenerateKey(rand.Reader, proof.Origin(arc, pub))
	must(t, err)
	l.signer, err = note.NewSigner(skey)
	must(t, err)
	l.id = &proof.Identity{
		Version: 1, ArchiveID: arc, Origin: proof.Origin(arc, pub), IdentityKey: jws.EncodeB64(pub), LogKey: vkey, Created: "2026-01-01T00:00:00Z",
	}
	l.text, err = l.id.Marshal()
	must(t, err)
	return l
}

// begin appends a genesis entry whose leaf change may alter.
func (l *lyingLog) begin(change func(leaf *proof.Leaf)) *lyingLog {
	l.add(proof.KindGenesis, "", l.text, func(leaf *proof.Leaf) {
		leaf.Prev = proof.GenesisPrev(l.text)
		if change != nil {
			change(leaf)
		}
	})
	return l
}

// add appends an entry; change may alter its leaf.
func (l *lyingLog) add(kind proof.Kind, note string, body []byte, change func(leaf *proof.Leaf)) uint64 {
	l.t.Helper()
	seq := uint64(len(l.records))
	rec := archive.Record{Note: []byte(note), Body: body}
	rand.Read(rec.Random[:])
	rec.Leaf = proof.Leaf{
		Seq: seq, Kind: kind, Class: proof.ClassGeneral, Received: 1_770_000_000_000, BodyLen: proof.RoundBody(len(body)),
		Content: proof.ContentCommitment(&rec.Random, body), Note: proof.NoteCommitment(&rec.Random, rec.Note),
	}
	if kind.FromRelay() {
		rec.Leaf.Epoch, rec.Leaf.RelaySeq = "e1", seq
	}
	if change != nil {
		change(&rec.Leaf)
	}
	leaf, err := rec.Leaf.Marshal()
	must(l.t, err)
	more, err := tlog.StoredHashesForRecordHash(int64(seq), proof.LeafHash(leaf), l.reader())
	must(l.t, err)
	l.hashes, l.records = append(l.hashes, more...), append(l.records, rec)
	return seq
}

func (l *lyingLog) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = l.hashes[at]
		}
		return out, nil
	})
}

func (l *lyingLog) user(usr, name, verdict string) uint64 {
	data, err := envelope.UserUpsertEvent(envelope.User{Usr: usr, UPN: usr, Mail: usr, Name: name})
	must(l.t, err)
	return l.add(proof.KindDirectory, fmt.Sprintf(`{"id":"d","time":"","verdict":{"op":"user.upsert","accepted":%s}}`, verdict), data, nil)
}

func (l *lyingLog) device(usr string, key crypto.Signer) uint64 {
	data, err := envelope.DeviceAdd{Arc: arc, Usr: usr, Dev: usr + "-phone", Key: key}.Event()
	must(l.t, err)
	return l.add(proof.KindDirectory, `{"id":"d","time":"","verdict":{"op":"device.add","accepted":true,"assurance":"enrolled"}}`, data, nil)
}

// message appends a message; device is the key that the note names.
func (l *lyingLog) message(key, device crypto.Signer, p *envelope.Payload, change func(compact []byte) []byte) uint64 {
	compact, err := envelope.SignMessage(key, p)
	must(l.t, err)
	if change != nil {
		compact = change(compact)
	}
	kid, err := jws.Thumbprint(device.Public())
	must(l.t, err)
	n, err := json.Marshal(archive.MessageNote{Assurance: "enrolled", Device: kid})
	must(l.t, err)
	return l.add(proof.KindMessage, string(n), compact, nil)
}

// withoutSignature puts zeros in place of a compact JWS's signature.
func withoutSignature(compact []byte) []byte {
	dot := bytes.LastIndexByte(compact, '.')
	return append(compact[:dot+1], jws.EncodeB64(make([]byte, ed25519.SignatureSize))...)
}

func said(usr, text string) *envelope.Payload {
	return &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: arc, Mid: id16(text, 1), Usr: usr, Dev: usr + "-phone", N: 1, Sent: relayTime, Body: &envelope.Body{Text: text},
	}
}

// production writes the given rows and proofs by hand, in the given order, and
// signs all of it: no check of Produce stands in its way.
func (l *lyingLog) production(rows []Row, entries []proofEntry) fstest.MapFS {
	l.t.Helper()
	signed, point := l.checkpoint(l.signer)
	genesis := l.prove(asGenesis, 0, point)
	head, err := proofsHead(signed, genesis)
	must(l.t, err)
	var list []string
	for _, e := range entries {
		b, err := marshalLine(e)
		must(l.t, err)
		list = append(list, string(b))
	}
	var records []byte
	for _, r := range rows {
		b, err := r.line()
		must(l.t, err)
		records = append(append(records, b...), '\n')
	}
	m := Manifest{
		V: Version, Format: JSONL, Unit: "message", Zone: "UTC", Origin: l.id.Origin, Created: relayTime, Checkpoint: string(signed), At: point.Size, Last: point.Size - 1,
		Counts:   Counts{Matched: uint64(len(rows)), Produced: uint64(len(rows))},
		Files:    []File{{Path: fileProofs, Seqs: uint64(len(entries)) + 1}, {Path: fileList}, {Path: fileCertificate}, {Path: fileCustody}, {Path: fileSums}},
		Rendered: &Rendered{Volumes: 1},
	}
	text, err := marshalManifest(m)
	must(l.t, err)
	files := fstest.MapFS{
		fileRecords:     {Data: records},
		fileProofs:      {Data: []byte(string(head) + strings.Join(list, ",\n") + "\n" + proofsClose + "\n")},
		fileList:        {Data: fmt.Appendf(nil, `{"path":"records.jsonl","seqs":%d}`+"\n", len(rows))},
		fileCertificate: {},
		fileCustody:     {},
		fileSums:        {},
		fileManifest:    {Data: text},
	}
	resign(l.t, files, l.key, nil)
	return files
}

// attached makes a production of one message whose attachment came later. The
// blob entry names the relay seq of, 0 for the message's own; the production
// is as of at, or of the whole log.
func (l *lyingLog) attached(anna crypto.Signer, of, at uint64) fstest.MapFS {
	l.t.Helper()
	dev := l.device("anna", anna)
	p := said("anna", "x")
	p.Att = []envelope.Attachment{attachment("late.jpg")}
	m := l.message(anna, anna, p, nil)
	body, err := json.Marshal(archive.BlobBody{Epoch: "e1", RelaySeq: cmp.Or(of, m), BID: p.Att[0].BID, Status: archive.BlobStored})
	must(l.t, err)
	blob := l.add(proof.KindBlob, "", body, nil)
	r := l.row(m, nil)
	r.Attachments[0].Status, r.Attachments[0].Entry = archive.BlobStored, blob
	files := l.production([]Row{r}, append(l.evidence(dev, blob), l.proofOf(m, dev)))
	resign(l.t, files, l.key, func(m *Manifest) {
		m.At = min(at, m.At)
		m.Last = m.At - 1
	})
	return files
}

func (l *lyingLog) checkpoint(signer note.Signer) ([]byte, proof.Checkpoint) {
	l.t.Helper()
	point := proof.Checkpoint{Origin: signer.Name(), Size: uint64(len(l.records))}
	var err error
	point.Root, err = tlog.TreeHash(int64(point.Size), l.reader())
	must(l.t, err)
	signers := []note.Signer{signer}
	if l.cosigner != nil {
		signers = append(signers, l.cosigner)
	}
	signed, err := proof.SignCheckpoint(point, signers...)
	must(l.t, err)
	return signed, point
}

func (l *lyingLog) prove(as string, seq uint64, point proof.Checkpoint) proofEntry {
	l.t.Helper()
	path, err := tlog.ProveRecord(int64(point.Size), int64(seq), l.reader())
	must(l.t, err)
	e, err := newProofEntry(as, l.records[seq], path)
	must(l.t, err)
	e.Seq = seq
	return e
}

func (l *lyingLog) evidence(seqs ...uint64) []proofEntry {
	_, point := l.checkpoint(l.signer)
	var out []proofEntry
	for _, seq := range seqs {
		out = append(out, l.prove(asEvidence, seq, point))
	}
	return out
}

func (l *lyingLog) proofOf(seq, device uint64) proofEntry {
	_, point := l.checkpoint(l.signer)
	e := l.prove(asRecord, seq, point)
	e.Device = device
	return e
}

// told answers as the forger wants.
type told map[string]Person

func (a told) User(usr string, _ proof.Leaf) (Person, bool) {
	p, ok := a[usr]
	return p, ok
}

func (a told) Approval(string, proof.Leaf) (uint64, bool) { return 0, false }

func (a told) Blob(proof.Leaf, string) (string, uint64, bool) { return "", 0, false }

func (l *lyingLog) row(seq uint64, asof told) Row {
	l.t.Helper()
	r, err := RowOf(l.records[seq], asof)
	must(l.t, err)
	return r
}
