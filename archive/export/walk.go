package export

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/internal/ijson"
)

// A walk goes through proofs.json unit by unit, proves each record, makes its
// row and renders it anew, comparing what comes with the files that are there.
type walk struct {
	book
	proofs  *lineReader
	loose   *lineReader // unproven.jsonl; nil if there is none
	format  render.Format
	options render.Options
	writer  render.Writer // of the volume; nil: none is begun, or it failed
	out     *compareSink
	volume  int
	bates   uint64 // the next number
	listed  uint64 // entries of proofs.json
	counts  map[string]uint64
}

// walkUnit is one unit as proofs.json has it.
type walkUnit struct {
	line  uint64
	head  proofEntry
	made  unit
	err   bool // something of it was found to be wrong already
	count int  // items that came, good or bad

	placed       bool // an item has its own place
	conversation string
}

func newWalk(v *verifier, proofs *lineReader) *walk {
	return &walk{book: newBook(v), proofs: proofs, counts: map[string]uint64{}}
}

func (w *walk) run() {
	var err error
	v := w.v
	w.format, _ = formatOf(v.m.Format)
	w.options = render.Options{Origin: v.m.Origin, Tool: v.m.Tool, Legend: v.m.Legend}
	if w.options.Zone, err = time.LoadLocation(v.m.Zone); err != nil || v.m.Zone == "Local" {
		v.v.file(fileManifest, Unproven, "this machine does not know its time zone")
		return
	}
	if v.m.Bates != nil {
		w.bates = v.m.Bates.Start
	}
	w.out = &compareSink{v: v}
	if _, ok := v.m.file(fileUnproven); ok {
		if w.loose, err = openLines(v.fsys, fileUnproven, v.limit(fileUnproven)); err != nil {
			v.v.file(fileUnproven, problemOf(err), "its rows cannot be read")
		} else {
			defer w.loose.Close()
		}
	}
	ended := w.entries()
	if v.ctx.Err() != nil {
		w.out.abandon()
		return
	}
	if w.volume == 0 {
		// Nothing was produced: the one volume holds a heading, if anything.
		if err := w.beginVolume(1); err != nil {
			v.file(fileList, Unproven, err.Error())
		}
	}
	w.endVolume()
	if w.loose != nil {
		if _, more, _ := w.loose.next(); more {
			v.v.add(Finding{File: fileUnproven, Line: w.loose.line, Problem: Added, Detail: "it holds more rows than the production has"})
		}
	}
	if !ended {
		v.file(fileProofs, Changed, "it does not end as a list of proofs does")
	}
	w.total()
}

// file is a shorter way to name what is wrong with a file.
func (v *verifier) file(name string, p Problem, detail string) { v.v.file(name, p, "%s", detail) }

// entries reads the list of proofs to its end; false if that is missing.
func (w *walk) entries() bool {
	var u *walkUnit
	for w.v.ctx.Err() == nil {
		text, ok, err := w.proofs.next()
		if !ok {
			w.finish(u)
			return false
		}
		if err == nil && string(text) == proofsClose {
			w.finish(u)
			if _, more, _ := w.proofs.next(); more {
				w.v.v.add(Finding{File: fileProofs, Line: w.proofs.line, Problem: Added, Detail: "something follows the end of the list"})
			}
			return true
		}
		if err == nil && len(text) == 0 && w.listed == 0 && u == nil {
			continue // the list is empty
		}
		var e proofEntry
		if err == nil {
			e, err = parseProofEntry(bytes.TrimSuffix(text, []byte{','}))
		}
		if err != nil {
			w.v.v.add(Finding{File: fileProofs, Line: w.proofs.line, Problem: Changed, Detail: err.Error()})
			w.listed++
			if u != nil {
				u.err = true
				u.count++
			}
			continue
		}
		if e.As == asUnit {
			w.finish(u)
			u = &walkUnit{line: w.proofs.line, head: e}
			continue
		}
		w.entry(u, &e)
	}
	return false
}

// entry takes in one entry that is no unit.
func (w *walk) entry(u *walkUnit, e *proofEntry) {
	bad := func(detail string) {
		w.v.v.entry(fileProofs, w.proofs.line, e.Seq, Changed, detail)
		if u != nil {
			u.err = true
		}
	}
	if e.As == asEvidence {
		w.listed++
		if err := w.take(e); err != nil {
			bad(err.Error())
		}
		return
	}
	if u == nil {
		bad("it belongs to no unit")
		return
	}
	if u.count++; u.count > maxUnit {
		if u.count == maxUnit+1 {
			bad("its unit has more entries than one may have")
		}
		return
	}
	switch e.As {
	case asRecord:
		w.listed++
		it, err := w.record(e)
		if err == nil {
			err = w.accept(u, it)
		}
		if err != nil {
			bad(err.Error())
			return
		}
	case asUnproven:
		it, err := w.unproven(e)
		if err == nil {
			err = w.accept(u, it)
		}
		if err != nil {
			w.v.v.entry(fileUnproven, w.looseLine(), e.Seq, Changed, err.Error())
			u.err = true
			return
		}
	default:
		bad("it is neither a record's proof nor evidence")
	}
}

// accept adds an item to its unit.
func (w *walk) accept(u *walkUnit, it *item) error {
	if !w.v.got.once(it.row.Seq) {
		return errTwice
	}
	if err := w.inPlace(u, it); err != nil {
		return err
	}
	if it.row.Redacted {
		w.v.got.redacted++
	}
	w.v.got.contentsOf(it.says.Attachments)
	u.made.items = append(u.made.items, it)
	return nil
}

func (w *walk) looseLine() uint64 {
	if w.loose == nil {
		return 0
	}
	return w.loose.line
}

// record proves one record and makes its row.
func (w *walk) record(e *proofEntry) (*item, error) {
	rec, err := e.open(w.v.point, []byte(e.Body))
	if err != nil {
		return nil, err
	}
	if !outward(rec.Leaf.Kind) || rec.Leaf.Kind == proof.KindQuarantine {
		return nil, errors.New("it is of a kind that no record has")
	}
	if m := w.v.m; e.Seq < m.First || e.Seq > m.last() {
		return nil, errors.New("it is outside the range that the manifest says was examined")
	}
	it := &item{rec: rec, device: e.Device, shown: true}
	said := &rested{book: &w.book, rests: e.Rests, at: w.v.m.At}
	if it.row, it.payload, err = rowOf(rec, said); err != nil {
		return nil, err
	}
	if !slices.Equal(it.row.rests(), e.Rests) {
		return nil, errors.New("it rests on other entries than it names")
	}
	if rec.Leaf.Kind == proof.KindMessage {
		if err := w.signed(rec, it.row.Device, it.row.Approved, e.Device); err != nil {
			return nil, err
		}
		w.v.v.Assurance[it.row.Assurance]++
	} else if e.Device != 0 {
		return nil, errors.New("it names a device, and no device signed it")
	}
	if it.row.Approved != 0 {
		w.v.v.Approved++
	}
	if e.Says != nil {
		it.says = *e.Says
	}
	if len(it.says.Attachments) > len(it.row.Attachments) {
		return nil, errors.New("it says more of attachments than it has")
	}
	w.v.v.Verified++
	w.v.v.Records++
	return it, nil
}

// unproven reads the next row that has no proof.
func (w *walk) unproven(e *proofEntry) (*item, error) {
	if w.loose == nil {
		return nil, errors.New("there is no row of it")
	}
	text, ok, err := w.loose.next()
	if !ok {
		return nil, errors.New("its row is missing")
	}
	it := &item{shown: true}
	if err == nil {
		err = ijson.UnmarshalStrict(text, &it.row)
	}
	if err != nil {
		return nil, err
	}
	row := &it.row
	again, err := row.line()
	loose := row.Withheld == "" && row.looseForm()
	if err != nil || !bytes.Equal(again, text) || row.Seq != e.Seq || !loose && !row.bareForm() || e.Leaf+e.Random+e.Note+e.Body != "" {
		return nil, errors.New("it is not a row without a proof, or one of another seq")
	}
	if e.Says != nil {
		it.says = *e.Says
	}
	if len(it.says.Attachments) > len(row.Attachments) {
		return nil, errors.New("it says more of attachments than it has")
	}
	w.v.v.Records++
	if loose {
		w.v.v.Unproven++
	} else {
		w.v.v.Withheld++
		w.counts[row.Kind.String()]++
	}
	return it, nil
}

// bareForm reports whether a row without its data is that and nothing else.
func (row *Row) bareForm() bool {
	bare := Row{
		Seq: row.Seq, Kind: row.Kind, Typ: row.Typ, Received: row.Received, Relayed: row.Relayed, Withheld: row.Withheld, Code: row.Code,
	}
	a, err := bare.line()
	b, err2 := row.line()
	return err == nil && err2 == nil && bytes.Equal(a, b) && (row.Kind == proof.KindQuarantine) == (row.Withheld == ReasonQuarantined)
}

// finish checks a unit whose items have all come, and renders it.
func (w *walk) finish(u *walkUnit) {
	if u == nil {
		return
	}
	if w.v.progress != nil {
		w.v.progress(w.v.v.Records, w.v.m.Counts.Produced)
	}
	u.made.place = placement{Stem: u.head.Stem, Day: u.head.Day, Part: max(u.head.Part, 1), Parts: max(u.head.Parts, 1)}
	if err := w.place(u); err != nil {
		w.v.v.entry(fileProofs, u.line, u.head.Seq, Changed, err.Error())
		u.err = true
	}
	if u.err {
		w.out.skip()
		return
	}
	for _, it := range u.made.items {
		w.natives(it)
	}
	if u.head.SHA256 != "" {
		w.opaque(u)
		return
	}
	w.render(u)
}

// place checks what a unit's line says of it.
func (w *walk) place(u *walkUnit) error {
	h, m := &u.head, w.v.m
	if h.Items != u.count {
		return fmt.Errorf("its unit has %d entries, and %d are there", h.Items, u.count)
	}
	if h.Stem != stemOf(render.UnitKind(m.Unit), h.Day, h.Seq) || (h.Day != "") != (m.Unit == string(render.ConversationDay)) {
		return errors.New("its unit has not the name of one")
	}
	if _, err := time.Parse(time.DateOnly, h.Day); h.Day != "" && err != nil {
		return errors.New("its unit's day is none")
	}
	if h.Volume != w.volume {
		if h.Volume != w.volume+1 || uint64(h.Volume) > m.Rendered.Volumes { // #nosec G115 -- one more than a number from 0
			return errors.New("it is in another volume than the next")
		}
		if err := w.beginVolume(h.Volume); err != nil {
			return err
		}
	}
	if m.Bates == nil {
		if h.Bates != 0 {
			return errors.New("it has Bates numbers, and the production has none")
		}
		return nil
	}
	ok := h.Bates >= w.bates
	w.bates = h.Bates
	for _, it := range u.made.items {
		if it.row.Withheld == "" {
			from, before := w.bates, it.row
			before.Attachments = slices.Clone(it.row.Attachments)
			w.bates = m.Bates.number(&it.row, w.bates, func(i int) bool {
				return i < len(it.says.Attachments) && it.says.Attachments[i].SHA256 != ""
			})
			w.v.got.numbers += w.bates - from
			// A row without a proof has its numbers already.
			ok = ok && (it.row.Unproven == "" || before.Bates == it.row.Bates && before.BatesEnd == it.row.BatesEnd)
		}
	}
	if !ok {
		return errors.New("its Bates numbers are not the next")
	}
	return nil
}

func (w *walk) beginVolume(n int) error {
	w.endVolume()
	w.volume = n
	w.out.prefix = w.v.m.volume(n)
	writer, err := w.format.New(w.options, w.out)
	if err != nil {
		w.writer = nil
		return fmt.Errorf("its volume cannot be rendered: %w", err)
	}
	w.writer = writer
	return nil
}

// endVolume ends the volume's files.
func (w *walk) endVolume() {
	if w.writer == nil {
		return
	}
	w.out.unit(nil)
	if err := w.writer.Close(); err != nil {
		w.v.file(fileList, Unproven, "a volume cannot be rendered to its end")
	}
	w.writer = nil
	w.out.abandon()
}

// render renders the unit anew.
func (w *walk) render(u *walkUnit) {
	if w.writer == nil {
		return
	}
	w.out.unit(&u.made)
	ru, err := u.made.render(render.UnitKind(w.v.m.Unit), w.text, func(*item, int) opener { return nil })
	if err == nil {
		err = w.writer.Unit(ru)
	}
	if err != nil {
		w.v.v.entry(fileProofs, u.line, u.head.Seq, Unproven, "it cannot be rendered")
		w.out.skip()
	}
}

// opaque compares a unit that embeds what the proofs do not hold with the hash
// that they state.
func (w *walk) opaque(u *walkUnit) {
	w.out.unit(&u.made)
	w.out.opaque(u.head.Size, u.head.SHA256)
	for _, it := range u.made.items {
		if it.proven() {
			w.v.v.Unrendered++
		}
	}
}

// total checks the counts of the manifest.
func (w *walk) total() {
	v, c := w.v.v, w.v.m.Counts
	var withheld uint64
	for kind, n := range c.Withheld {
		withheld += n
		if w.counts[kind] > n {
			v.file(fileUnproven, Changed, "it holds more rows without data than the manifest counts")
		}
	}
	if v.Verified+v.Unproven != c.Produced {
		v.file(fileProofs, Changed, "it holds %d rows with data, and the manifest counts %d", v.Verified+v.Unproven, c.Produced)
	}
	if v.Withheld <= withheld {
		v.Excluded = withheld - v.Withheld
	}
	w.v.totals(w.listed)
	w.v.checkCounts(w.bates)
}
