package export

import (
	"bytes"
	"errors"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// Limits of what a production can make its reader hold.
const (
	maxEvidence      = 1 << 20   // entries
	maxEvidenceBytes = 256 << 20 // as evidence.bytes counts
)

// rowLine is one line of records.jsonl. bad says why it is not a row.
type rowLine struct {
	line uint64
	text []byte
	row  Row
	bad  error
}

// proofLine is one record's entry of proofs.json. bad says why it is not one.
type proofLine struct {
	line  uint64
	entry proofEntry
	bad   error
}

// A pairing goes through records and proofs side by side, both ascending by
// seq, with one line of each ahead, so that one changed line is named and the
// rest is still checked. Rows have to be in order, and so the proofs that fit
// them are.
type pairing struct {
	v       *verifier
	records *lineReader
	proofs  *lineReader
	rows    []*rowLine   // read ahead, at most 2
	entries []*proofLine // likewise

	seen     map[uint64]*evidence
	bytes    int
	lastRow  uint64
	anyRow   bool
	ended    bool // the closing line of proofs.json was read
	listed   uint64
	withheld map[string]uint64
}

func newPairing(v *verifier, records, proofs *lineReader) *pairing {
	return &pairing{v: v, records: records, proofs: proofs, seen: map[uint64]*evidence{}, withheld: map[string]uint64{}}
}

func (p *pairing) run() {
	for p.v.ctx.Err() == nil {
		r, e := p.peek(0)
		if r == nil && e == nil {
			break
		}
		p.step(r, e)
		if p.v.progress != nil && p.v.m != nil {
			p.v.progress(p.v.v.Records, p.v.m.Counts.Produced)
		}
	}
	if p.v.ctx.Err() == nil {
		p.total()
	}
}

// step takes one row, one proof or one of both.
func (p *pairing) step(r *rowLine, e *proofLine) {
	r2, e2 := p.peek(1)
	both := r != nil && e != nil
	switch {
	case both && r.bad == nil && e.bad == nil && r.row.Seq == e.entry.Seq:
		p.judge(r, e)
		p.drop(1, 1)
	case both && same(r2, e2):
		p.differ(r, e)
		p.drop(1, 1)
	case e == nil || r != nil && r.bad != nil || both && e.bad == nil && r.row.Seq < e.entry.Seq:
		p.lonelyRow(r)
		p.drop(1, 0)
	default:
		p.lonelyProof(e)
		p.drop(0, 1)
	}
}

// same reports whether the two lines ahead fit together, so that the two
// before them do as well, one of them changed.
func same(r *rowLine, e *proofLine) bool {
	if r == nil || e == nil {
		return r == nil && e == nil
	}
	return r.bad == nil && e.bad == nil && r.row.Seq == e.entry.Seq
}

// differ names a row and a proof that belong together and do not fit.
func (p *pairing) differ(r *rowLine, e *proofLine) {
	switch {
	case r.bad != nil && e.bad != nil:
		p.v.v.add(Finding{File: fileRecords, Line: r.line, Problem: Changed, Detail: r.bad.Error()})
		p.v.v.add(Finding{File: fileProofs, Line: e.line, Problem: Changed, Detail: e.bad.Error()})
	case r.bad != nil:
		p.v.v.entry(fileRecords, r.line, e.entry.Seq, Changed, r.bad.Error())
	case e.bad != nil:
		p.v.v.entry(fileProofs, e.line, r.row.Seq, Changed, e.bad.Error())
	default:
		if _, err := e.entry.openLeaf(p.v.point); err == nil {
			p.v.v.entry(fileRecords, r.line, e.entry.Seq, Changed, "the row says another seq")
			return
		}
		p.v.v.entry(fileProofs, e.line, r.row.Seq, Changed, "the proof says another seq")
	}
}

func (p *pairing) lonelyRow(r *rowLine) {
	if r.bad != nil {
		p.v.v.add(Finding{File: fileRecords, Line: r.line, Problem: Changed, Detail: r.bad.Error()})
		return
	}
	p.v.v.entry(fileRecords, r.line, r.row.Seq, Added, "there is no proof of it")
}

func (p *pairing) lonelyProof(e *proofLine) {
	if e.bad != nil {
		p.v.v.add(Finding{File: fileProofs, Line: e.line, Problem: Changed, Detail: e.bad.Error()})
		return
	}
	p.v.v.entry(fileRecords, 0, e.entry.Seq, Missing, "its proof is there and its row is not")
}

// total checks the counts of the manifest.
func (p *pairing) total() {
	v := p.v.v
	if !p.ended {
		v.file(fileProofs, Changed, "it does not end as a list of proofs does")
	}
	if p.v.m == nil {
		return
	}
	c := p.v.m.Counts
	var withheld uint64
	for kind, n := range c.Withheld {
		withheld += n
		if p.withheld[kind] > n {
			v.file(fileRecords, Changed, "it holds more rows without data than the manifest counts")
		}
		delete(p.withheld, kind)
	}
	if len(p.withheld) > 0 {
		v.file(fileRecords, Changed, "it holds rows without data that the manifest does not count")
	}
	if v.Records-v.Withheld != c.Produced {
		v.file(fileRecords, Changed, "it holds %d rows with data, and the manifest counts %d", v.Records-v.Withheld, c.Produced)
	}
	if v.Withheld <= withheld {
		v.Excluded = withheld - v.Withheld
	}
	if p.v.listed(fileRecords).Seqs != v.Records {
		v.file(fileRecords, Changed, "it holds %d rows, and the manifest lists %d", v.Records, p.v.listed(fileRecords).Seqs)
	}
	if p.v.listed(fileProofs).Seqs != p.listed+1 {
		v.file(fileProofs, Changed, "it holds %d entries, and the manifest lists %d", p.listed+1, p.v.listed(fileProofs).Seqs)
	}
}

// peek returns the i-th row and proof ahead, nil past the end.
func (p *pairing) peek(i int) (*rowLine, *proofLine) {
	for len(p.rows) <= i {
		r := p.nextRow()
		if r == nil {
			break
		}
		p.rows = append(p.rows, r)
	}
	for len(p.entries) <= i {
		e := p.nextProof()
		if e == nil {
			break
		}
		p.entries = append(p.entries, e)
	}
	var r *rowLine
	var e *proofLine
	if i < len(p.rows) {
		r = p.rows[i]
	}
	if i < len(p.entries) {
		e = p.entries[i]
	}
	return r, e
}

func (p *pairing) drop(rows, entries int) {
	p.rows, p.entries = p.rows[rows:], p.entries[entries:]
}

// nextRow reads rows up to the next that must have a proof. Rows whose data is
// withheld have none; they are checked here.
func (p *pairing) nextRow() *rowLine {
	for p.v.ctx.Err() == nil {
		text, ok, err := p.records.next()
		if !ok {
			return nil
		}
		p.v.v.Records++
		r := &rowLine{line: p.records.line, text: text, bad: err}
		if err == nil {
			r.bad = ijson.UnmarshalStrict(text, &r.row)
		}
		if r.bad != nil {
			return r
		}
		if p.anyRow && r.row.Seq <= p.lastRow {
			p.v.v.entry(fileRecords, r.line, r.row.Seq, Added, "it is repeated or out of order")
		}
		p.lastRow, p.anyRow = r.row.Seq, true
		if m := p.v.m; m != nil && (r.row.Seq < m.First || r.row.Seq > m.Last) {
			p.v.v.entry(fileRecords, r.line, r.row.Seq, Added, "it is outside the range that the manifest says was examined")
		}
		if r.row.Withheld == "" {
			return r
		}
		p.withheldRow(r)
	}
	return nil
}

// withheldRow checks that a row without data is that and nothing else.
func (p *pairing) withheldRow(r *rowLine) {
	p.v.v.Withheld++
	p.withheld[r.row.Kind.String()]++
	bare := Row{
		Seq: r.row.Seq, Kind: r.row.Kind, Typ: r.row.Typ, Received: r.row.Received, Relayed: r.row.Relayed,
		Withheld: r.row.Withheld, Code: r.row.Code,
	}
	text, err := bare.line()
	if err != nil || !bytes.Equal(text, r.text) || bare.Kind != proof.KindQuarantine || bare.Withheld != ReasonQuarantined {
		p.v.v.entry(fileRecords, r.line, r.row.Seq, Changed, "it is not a row whose data is withheld, nor one that has any")
	}
}

// nextProof reads entries up to the next record's, taking in the evidence.
func (p *pairing) nextProof() *proofLine {
	for p.v.ctx.Err() == nil && !p.ended {
		text, ok, err := p.proofs.next()
		if !ok {
			return nil
		}
		e := &proofLine{line: p.proofs.line, bad: err}
		if err != nil {
			return e
		}
		if string(text) == proofsClose {
			p.ended = true
			if _, more, _ := p.proofs.next(); more {
				return &proofLine{line: p.proofs.line, bad: errors.New("something follows the end of the list")}
			}
			return nil
		}
		if len(text) == 0 && p.listed == 0 {
			continue // the list is empty
		}
		p.listed++
		e.entry, e.bad = parseProofEntry(bytes.TrimSuffix(text, []byte{','}))
		switch {
		case e.bad != nil:
			return e
		case e.entry.As == asEvidence:
			if err := p.takeEvidence(&e.entry); err != nil {
				p.v.v.entry(fileProofs, e.line, e.entry.Seq, Changed, err.Error())
			}
			continue
		case e.entry.As != asRecord:
			e.bad = errors.New("it is neither a record's proof nor evidence")
			return e
		}
		return e
	}
	return nil
}

// takeEvidence checks one entry that records rest on and keeps what it says.
func (p *pairing) takeEvidence(e *proofEntry) error {
	if _, ok := p.seen[e.Seq]; ok {
		return errors.New("it is there twice")
	}
	rec, err := e.openEvidence(p.v.point)
	if err != nil {
		return err
	}
	ev, err := readEvidence(rec, p.v.id.ArchiveID)
	if err != nil {
		return err
	}
	p.bytes += ev.bytes()
	if len(p.seen) >= maxEvidence || p.bytes > maxEvidenceBytes {
		return errors.New("there is more evidence than a production may have")
	}
	p.seen[e.Seq] = ev
	return nil
}

// judge checks one row against its proof.
func (p *pairing) judge(r *rowLine, e *proofLine) {
	if err := p.prove(r, &e.entry); err != nil {
		file, line := fileRecords, r.line
		var f *proofFault
		if errors.As(err, &f) {
			file, line = fileProofs, e.line
		}
		p.v.v.entry(file, line, r.row.Seq, Changed, err.Error())
		return
	}
	p.v.v.Verified++
	if r.row.Kind == proof.KindMessage {
		p.v.v.Assurance[r.row.Assurance]++
	}
	if r.row.Approved != 0 {
		p.v.v.Approved++
	}
}

// prove checks one row: its body's place in the log, its sender's signature,
// and that it says what its body says.
func (p *pairing) prove(r *rowLine, e *proofEntry) error {
	body := []byte(r.row.Body)
	if r.row.Kind == proof.KindMessage {
		body = []byte(r.row.JWS)
	}
	rec, err := e.open(p.v.point, body)
	switch {
	case errors.Is(err, errBody):
		return err
	case err != nil:
		return &proofFault{err}
	case e.Body != "":
		return &proofFault{errors.New("it holds a body, which belongs in the row")}
	case rec.Leaf.Kind != r.row.Kind || !outward(rec.Leaf.Kind) || rec.Leaf.Kind == proof.KindQuarantine:
		return errors.New("it is not of the kind of its entry")
	}
	if rec.Leaf.Kind == proof.KindMessage {
		if err := p.signed(rec, &r.row, e.Device); err != nil {
			return err
		}
	} else if e.Device != 0 {
		return &proofFault{errors.New("it names a device, and no device signed it")}
	}
	return p.rendered(r, rec)
}

// signed checks a message's signature by the device that the log names.
func (p *pairing) signed(rec archive.Record, row *Row, device uint64) error {
	c, err := jws.Parse(rec.Body, envelope.TypMessage)
	if err != nil {
		return err
	}
	d := p.seen[device].asDevice(c.Header.Kid, rec.Leaf)
	if d == nil {
		return &proofFault{errors.New("the entry that added the key which signed it is not there")}
	}
	if err := c.Verify(d.Key); err != nil {
		return fmt.Errorf("its sender's signature: %w", err)
	}
	payload, err := envelope.ParsePayload(c.Payload)
	if err != nil {
		return err
	}
	if a := p.seen[row.Approved].asApproval(c.Header.Kid, rec.Leaf); row.Approved != 0 &&
		(a == nil || a.Usr != d.Usr || a.Dev != d.Dev || a.Added != device) {
		return errors.New("the entry that it names is no person's approval of its device")
	}
	if c.Header.Kid != row.Device || payload.Arc != p.v.id.ArchiveID || payload.Usr != d.Usr || payload.Dev != d.Dev {
		return errors.New("its sender's signature is for another archive, person or device")
	}
	return nil
}

// rendered makes the row anew and compares.
func (p *pairing) rendered(r *rowLine, rec archive.Record) error {
	row, err := RowOf(rec, newClaimed(&r.row, p))
	if err != nil {
		return err
	}
	text, err := row.line()
	if err != nil {
		return err
	}
	if !bytes.Equal(text, r.text) {
		return errors.New("it does not say what its entry, and those that it names, say")
	}
	return nil
}
