package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"holdfast/archive"
)

// A proofsWriter writes the entries of proofs.json.
type proofsWriter struct {
	p       *producer
	w       *fileWriter
	any     bool
	written map[uint64]bool // evidence
	seqs    uint64
}

func (p *producer) writeProofs(ctx context.Context) error {
	again := sha256.New()
	f, err := writeFile(p.sink, fileProofs, func(w *fileWriter) (uint64, error) {
		out := &proofsWriter{p: p, w: w, written: map[uint64]bool{}}
		if err := out.head(ctx); err != nil {
			return 0, err
		}
		err := p.each(ctx, func(it *item) error {
			p.step()
			if it.line == nil {
				return nil
			}
			again.Write(append(it.line, '\n'))
			if it.reason != "" {
				return nil
			}
			return out.record(ctx, it)
		})
		if err != nil {
			return 0, err
		}
		if hex.EncodeToString(again.Sum(nil)) != p.files[0].SHA256 {
			return 0, ErrChanged
		}
		_, err = fmt.Fprintf(w, "\n%s\n", proofsClose)
		return out.seqs, err
	})
	p.files = append(p.files, f)
	return err
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
	path, err := o.p.log.Prove(ctx, rec.Leaf.Seq, o.p.point.Size)
	if err != nil {
		return proofEntry{}, fmt.Errorf("prove entry %d: %w", rec.Leaf.Seq, err)
	}
	return newProofEntry(as, rec, path)
}

// record writes the proof of one record, after the evidence that it is the
// first to rest on.
func (o *proofsWriter) record(ctx context.Context, it *item) error {
	e, err := o.prove(ctx, asRecord, it.rec)
	if err != nil {
		return err
	}
	e.Device = it.device
	for _, seq := range it.row.rests(e.Device) {
		if err := o.evidence(ctx, seq); err != nil {
			return err
		}
	}
	o.seqs++
	return o.write(e)
}

// rests returns the seqs of the entries that the row rests on.
func (row *Row) rests(device uint64) []uint64 {
	var out []uint64
	add := func(seq uint64) {
		if seq != 0 {
			out = append(out, seq)
		}
	}
	add(device)
	add(row.Approved)
	if row.From != nil {
		add(row.From.Entry)
	}
	for _, p := range row.To {
		add(p.Entry)
	}
	for _, a := range row.Attachments {
		add(a.Entry)
	}
	return out
}

func (o *proofsWriter) evidence(ctx context.Context, seq uint64) error {
	if o.written[seq] {
		return nil
	}
	o.written[seq] = true
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
	b, err := marshalLine(e)
	if err != nil {
		return err
	}
	if o.any {
		b = append([]byte(",\n"), b...)
	}
	o.any = true
	_, err = o.w.Write(b)
	return err
}
