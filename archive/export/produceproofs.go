package export

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// A proofsWriter writes the entries of proofs.json.
type proofsWriter struct {
	p    *producer
	w    *fileWriter
	any  bool
	seqs uint64

	paths     pathFinder
	buf, leaf []byte
}

// writeProofs goes over everything again and writes why it can be believed:
// first what records rest on, then the records in the order of rendering.
func (p *producer) writeProofs(ctx context.Context) error {
	f, err := writeFile(p.sink, fileProofs, func(w *fileWriter) (uint64, error) {
		out := &proofsWriter{p: p, w: w, paths: pathFinder{entries: &p.entries, size: p.point.Size}}
		if err := out.head(ctx); err != nil {
			return 0, err
		}
		for _, seq := range slices.Sorted(maps.Keys(p.rests)) {
			if err := out.evidence(ctx, seq); err != nil {
				return 0, err
			}
		}
		given := p.number
		p.begin()
		pass := out.units
		if p.lines && p.planned == nil {
			pass, p.number = out.rows, given // which the rows have already
		}
		err := pass(ctx)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(p.check.Sum(nil), p.first[:]) {
			return 0, ErrChanged
		}
		_, err = fmt.Fprintf(w, "\n%s\n", proofsClose)
		return out.seqs, err
	})
	p.files = append(p.files, f)
	return err
}

// units writes the proofs of all units.
func (o *proofsWriter) units(ctx context.Context) error {
	p := o.p
	var ordinal uint64
	v := -1
	return p.eachUnit(ctx, func(*item) { p.step() }, func(u *unit) error {
		for v+1 < len(p.volumes) && p.volumes[v+1].from <= ordinal {
			v++
		}
		u.volume = v
		p.complete(u, p.volumes[v].prefix)
		ordinal++
		return o.unit(ctx, u, ordinal-1)
	})
}

// rows writes the proofs of JSON lines, which hold all else that there is to
// say of an entry: it makes no row again.
func (o *proofsWriter) rows(ctx context.Context) error {
	p, it := o.p, new(item)
	return p.eachMember(ctx, func(m member) error {
		p.step()
		if _, ok := p.unlisted[m.seq]; ok {
			return nil
		}
		rec, err := p.entries.record(ctx, m.seq)
		if lost(err) {
			return ErrChanged
		}
		if err != nil {
			return fmt.Errorf("read entry %d: %w", m.seq, err)
		}
		*it = item{rec: rec, shown: true}
		if rec.Leaf.Kind == proof.KindMessage {
			note, err := readNote(rec.Note)
			if err != nil {
				return ErrChanged
			}
			p.known.err = nil
			if it.device = p.known.device(note.Device, rec.Leaf); p.known.err != nil {
				return p.known.err
			}
		}
		p.passed(it)
		return o.item(ctx, it)
	})
}

func (o *proofsWriter) head(ctx context.Context) error {
	rec, err := o.p.log.Record(ctx, 0)
	if err != nil {
		return fmt.Errorf("read the genesis entry: %w", err)
	}
	genesis, err := o.prove(ctx, asGenesis, rec)
	if err != nil {
		return err
	}
	b, err := proofsHead(o.p.signed, genesis)
	if err != nil {
		return err
	}
	o.seqs++
	_, err = o.w.Write(b)
	return err
}

func (o *proofsWriter) prove(ctx context.Context, as string, rec archive.Record) (proofEntry, error) {
	path, err := o.path(ctx, rec.Leaf.Seq)
	if err != nil {
		return proofEntry{}, err
	}
	return newProofEntry(as, rec, path)
}

func (o *proofsWriter) path(ctx context.Context, seq uint64) ([]proof.Hash, error) {
	path, err := o.paths.path(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("prove entry %d: %w", seq, err)
	}
	return path, nil
}

// unit writes what one unit is, and the proofs of its items.
func (o *proofsWriter) unit(ctx context.Context, u *unit, ordinal uint64) error {
	if !o.p.lines {
		line := proofEntry{As: asUnit, Seq: u.first, Stem: u.place.Stem, Day: u.place.Day, Volume: u.volume + 1, Items: len(u.items)}
		if o.p.req.Bates.Prefix != "" {
			line.Bates = u.bates
		}
		if u.place.Parts > 1 {
			line.Part, line.Parts = u.place.Part, u.place.Parts
		}
		if r, ok := o.p.hashes[ordinal]; ok {
			line.Size, line.SHA256 = r.size, hex.EncodeToString(r.sum[:])
		}
		if err := o.write(line); err != nil {
			return err
		}
	}
	for _, it := range u.items {
		if err := o.item(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// item writes the proof of one row, or that it has none.
func (o *proofsWriter) item(ctx context.Context, it *item) error {
	if !it.proven() {
		if o.p.lines {
			return nil
		}
		return o.write(proofEntry{As: asUnproven, Seq: it.row.Seq, Says: it.says.orNil()})
	}
	path, err := o.path(ctx, it.rec.Leaf.Seq)
	if err != nil {
		return err
	}
	o.leaf = it.rec.Leaf.AppendTo(o.leaf[:0]) // a leaf that was read is well formed
	r := recordProof{rec: &it.rec, leaf: o.leaf, path: path, device: it.device}
	if !o.p.lines {
		r.body, r.rests, r.says = true, it.row.rests(), it.says.orNil()
	}
	o.seqs++
	return o.line(it.rec.Leaf.Seq, r.appendTo)
}

// orNil returns s, or nil if it says nothing.
func (s *says) orNil() *says {
	if s.Target == nil && len(s.Custodians) == 0 && len(s.Holds) == 0 && s.Text == "" && len(s.Attachments) == 0 {
		return nil
	}
	return s
}

// rests returns the seqs of the entries that the row rests on, ascending.
func (row *Row) rests() []uint64 {
	var out []uint64
	row.eachRest(func(seq uint64) { out = append(out, seq) })
	slices.Sort(out)
	return slices.Compact(out)
}

// eachRest tells of each entry that the row rests on, in no order and some
// more than once.
func (row *Row) eachRest(tell func(seq uint64)) {
	add := func(seq uint64) {
		if seq != 0 {
			tell(seq)
		}
	}
	add(row.Approved)
	if row.From != nil {
		add(row.From.Entry)
	}
	for i := range row.To {
		add(row.To[i].Entry)
	}
	for i := range row.Attachments {
		add(row.Attachments[i].Entry)
	}
}

// people returns the relay users who sent or got what the row shows.
func (row *Row) people() []string {
	var out []string
	if row.From != nil {
		out = append(out, row.From.Usr)
	}
	for _, to := range row.To {
		out = append(out, to.Usr)
	}
	return out
}

func (o *proofsWriter) evidence(ctx context.Context, seq uint64) error {
	rec, err := o.p.log.Record(ctx, seq)
	if err != nil {
		return fmt.Errorf("read entry %d, which others rest on: %w", seq, err)
	}
	e, err := o.prove(ctx, asEvidence, rec)
	if err != nil {
		return err
	}
	o.seqs++
	return o.write(e)
}

func (o *proofsWriter) write(e proofEntry) error {
	return o.line(e.Seq, func(b []byte) ([]byte, error) {
		line, err := marshalLine(e)
		return append(b, line...), err
	})
}

// line writes one line of the list.
func (o *proofsWriter) line(seq uint64, appendTo func([]byte) ([]byte, error)) error {
	var err error
	o.buf = o.buf[:0]
	if o.any {
		o.buf = append(o.buf, ',', '\n')
	}
	o.any = true
	if o.buf, err = appendTo(o.buf); err != nil {
		return err
	}
	if len(o.buf) > MaxLine {
		return fmt.Errorf("%w: the proof of entry %d would be longer than a line may be", ErrRequest, seq)
	}
	_, err = o.w.Write(o.buf)
	return err
}
