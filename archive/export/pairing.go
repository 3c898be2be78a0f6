package export

import (
	"bytes"
	"errors"
	"path"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// rowLine is one line of records.jsonl. bad says why it is not a row.
type rowLine struct {
	file string
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
	book
	records *rowFiles
	proofs  *lineReader
	rows    []*rowLine   // read ahead, at most 2
	entries []*proofLine // likewise

	lastRow  uint64
	lastFile string
	bates    uint64 // the next number
	anyRow   bool
	ended    bool // the closing line of proofs.json was read
	listed   uint64
	withheld map[string]uint64
}

func newPairing(v *verifier, records *rowFiles, proofs *lineReader) *pairing {
	return &pairing{book: newBook(v), records: records, proofs: proofs, withheld: map[string]uint64{}}
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
		p.v.v.add(Finding{File: r.file, Line: r.line, Problem: Changed, Detail: r.bad.Error()})
		p.v.v.add(Finding{File: fileProofs, Line: e.line, Problem: Changed, Detail: e.bad.Error()})
	case r.bad != nil:
		p.v.v.entry(r.file, r.line, e.entry.Seq, Changed, r.bad.Error())
	case e.bad != nil:
		p.v.v.entry(fileProofs, e.line, r.row.Seq, Changed, e.bad.Error())
	default:
		if _, err := e.entry.openLeaf(p.v.point); err == nil {
			p.v.v.entry(r.file, r.line, e.entry.Seq, Changed, "the row says another seq")
			return
		}
		p.v.v.entry(fileProofs, e.line, r.row.Seq, Changed, "the proof says another seq")
	}
}

func (p *pairing) lonelyRow(r *rowLine) {
	if r.bad != nil {
		p.v.v.add(Finding{File: r.file, Line: r.line, Problem: Changed, Detail: r.bad.Error()})
		return
	}
	p.v.v.entry(r.file, r.line, r.row.Seq, Added, "there is no proof of it")
}

func (p *pairing) lonelyProof(e *proofLine) {
	if e.bad != nil {
		p.v.v.add(Finding{File: fileProofs, Line: e.line, Problem: Changed, Detail: e.bad.Error()})
		return
	}
	p.v.v.entry(p.records.name, 0, e.entry.Seq, Missing, "its proof is there and its row is not")
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
	if listed := p.v.rows(); listed != v.Records {
		v.file(fileRecords, Changed, "it holds %d rows, and the manifest lists %d", v.Records, listed)
	}
	p.v.totals(p.listed)
	if p.v.m.Bates != nil {
		p.bates = max(p.bates, p.v.m.Bates.Start)
	}
	p.v.checkCounts(p.bates)
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
		r := &rowLine{file: p.records.name, line: p.records.line(), text: text, bad: err}
		if err == nil {
			r.bad = ijson.UnmarshalStrict(text, &r.row)
		}
		if r.bad != nil {
			return r
		}
		if p.anyRow && r.row.Seq <= p.lastRow && r.file == p.lastFile {
			p.v.v.entry(r.file, r.line, r.row.Seq, Added, "it is repeated or out of order")
		}
		if !p.v.got.once(r.row.Seq) && r.file != p.lastFile {
			p.v.v.entry(r.file, r.line, r.row.Seq, Added, errTwice.Error())
		}
		p.lastRow, p.lastFile, p.anyRow = r.row.Seq, r.file, true
		p.tally(r)
		p.numbers(r)
		if m := p.v.m; m != nil && (r.row.Seq < m.First || r.row.Seq > m.last()) {
			p.v.v.entry(r.file, r.line, r.row.Seq, Added, "it is outside the range that the manifest says was examined")
		}
		switch {
		case r.row.Withheld != "":
			p.withheldRow(r)
		case r.row.Unproven != "" && p.v.m != nil && p.v.m.V > 1:
			p.unprovenRow(r)
		default:
			return r
		}
	}
	return nil
}

// tally counts what the row holds.
func (p *pairing) tally(r *rowLine) {
	if r.row.Redacted {
		p.v.got.redacted++
	}
	for i := range r.row.Attachments {
		if r.row.Attachments[i].SHA256 != "" {
			p.v.got.contents++
		}
	}
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
		p.v.v.entry(r.file, r.line, r.row.Seq, Changed, "it is not a row whose data is withheld, nor one that has any")
	}
}

// unprovenRow checks that a row without a proof holds nothing that would be one.
func (p *pairing) unprovenRow(r *rowLine) {
	p.v.v.Unproven++
	text, err := r.row.line()
	if err != nil || !bytes.Equal(text, r.text) || !r.row.looseForm() {
		p.v.v.entry(r.file, r.line, r.row.Seq, Changed, "it is not a row without a proof, nor one that has any")
	}
}

// looseForm reports whether a row without a proof holds nothing of its entry's
// own bytes.
func (row *Row) looseForm() bool {
	return (row.Unproven == UnprovenRedacted) == row.Redacted && (row.Redacted || row.Unproven == UnprovenNames || row.Unproven == UnprovenThirdParties) &&
		row.JWS+row.Body+row.Mid+row.Dev+row.Device == "" && row.Ref == nil
}

// numbers checks that Bates numbers ascend: no two rows have one.
func (p *pairing) numbers(r *rowLine) {
	if p.v.m == nil || p.v.m.Bates == nil || r.row.Withheld != "" {
		return
	}
	b := p.v.m.Bates
	n, ok := b.parse(r.row.Bates)
	same := r.row
	same.Attachments = slices.Clone(r.row.Attachments)
	next := b.number(&same, n, func(i int) bool { return r.row.Attachments[i].Bates != "" })
	if !ok || n < max(p.bates, b.Start) || same.BatesEnd != r.row.BatesEnd ||
		!slices.Equal(same.Attachments, r.row.Attachments) {
		p.v.v.entry(r.file, r.line, r.row.Seq, Changed, "its Bates numbers are not the next")
	}
	p.v.got.numbers += next - n
	p.bates = next
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
			if err := p.take(&e.entry); err != nil {
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

// judge checks one row against its proof.
func (p *pairing) judge(r *rowLine, e *proofLine) {
	if err := p.prove(r, &e.entry); err != nil {
		file, line := r.file, r.line
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
		if err := p.signed(rec, r.row.Device, r.row.Approved, e.Device); err != nil {
			return err
		}
	} else if e.Device != 0 {
		return &proofFault{errors.New("it names a device, and no device signed it")}
	}
	return p.rendered(r, rec)
}

// rendered makes the row anew and compares.
func (p *pairing) rendered(r *rowLine, rec archive.Record) error {
	row, payload, err := rowOf(rec, newClaimed(&r.row, &p.book))
	if err != nil {
		return err
	}
	if m := p.v.m; m != nil && m.V > 1 {
		row.Bates, row.BatesEnd = r.row.Bates, r.row.BatesEnd
		for i := range min(len(row.Attachments), len(r.row.Attachments)) {
			a, of := &row.Attachments[i], r.row.Attachments[i]
			a.Bates, a.Path, a.SHA256 = of.Bates, of.Path, of.SHA256
			if a.Path != "" {
				p.v.native(path.Dir(r.file), rec.Leaf.Seq, i, &payload.Att[i], a.Path, a.SHA256)
			}
		}
	} else {
		row.Lang = ""
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
