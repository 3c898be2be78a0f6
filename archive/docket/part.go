package docket

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/cases"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// part judges the body of a part: its numbers are the production's own, and its
// entries are before it in the log.
func (p *production) part(body *productionBody, seq uint64) (part, error) {
	out := part{mrns: len(body.MRNs) > 0, rows: len(body.Rows) > 0}
	for _, row := range body.Rows {
		if len(row) < 3 {
			return part{}, ErrInvalid
		}
		if err := p.numbered(row[0], row[1]); err != nil {
			return part{}, err
		}
		for _, s := range row[2:] {
			if s >= seq {
				return part{}, ErrInvalid
			}
		}
		if row[0] != 0 && (out.first == 0 || row[0] < out.first) {
			out.first = row[0]
		}
		out.last = max(out.last, row[1])
	}
	return out, nil
}

// numbered refuses Bates numbers that are not the production's.
func (p *production) numbered(first, last uint64) error {
	switch {
	case first == 0 && last == 0:
		return nil
	case p.Bates == nil || first < p.Bates.First || last < first || last > p.Bates.Last():
		return ErrNoReservation
	}
	return nil
}

// partWriter writes what a production is of, entry by entry, so that no more
// of it is in memory than one.
type partWriter struct {
	book *Book
	of   uint64

	body   productionBody
	length int // about how long the body is as JSON

	parts       []uint64
	first, last uint64
	patients    uint64
}

func (w *partWriter) write(ctx context.Context, rows iter.Seq[Row], mrns []string) error {
	w.reset()
	if rows != nil {
		for row := range rows {
			if err := w.row(ctx, row); err != nil {
				return err
			}
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, mrn := range mrns {
		mrn = cut(mrn)
		key := mrnKey(mrn)
		if mrn == "" || seen[key] {
			continue
		}
		seen[key] = true
		w.patients++
		if err := w.mrn(ctx, mrn); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

func (w *partWriter) reset() {
	w.body, w.length = productionBody{Version: 1, Op: opPart, Of: w.of}, 0
}

// maxDecimal is how many characters a number and the comma after it have at most.
const maxDecimal = 21

func (w *partWriter) row(ctx context.Context, row Row) error {
	if len(row.Seqs) == 0 {
		return fmt.Errorf("%w: a row without entries", ErrInvalid)
	}
	if row.First != 0 && (w.first == 0 || row.First < w.first) {
		w.first = row.First
	}
	w.last = max(w.last, row.Last)
	// What is too long for one entry goes on in the next, under the same numbers.
	for seqs := row.Seqs; len(seqs) > 0; {
		n := min(len(seqs), partLength/maxDecimal)
		if err := w.room(ctx, (n+2)*maxDecimal+3); err != nil {
			return err
		}
		w.body.Rows = append(w.body.Rows, append([]uint64{row.First, row.Last}, seqs[:n]...))
		seqs = seqs[n:]
	}
	return nil
}

func (w *partWriter) mrn(ctx context.Context, mrn string) error {
	text, err := json.Marshal(mrn)
	if err != nil {
		return err
	}
	if err := w.room(ctx, len(text)+1); err != nil {
		return err
	}
	w.body.MRNs = append(w.body.MRNs, mrn)
	return nil
}

// room makes sure that the body may have n bytes more.
func (w *partWriter) room(ctx context.Context, n int) error {
	if w.length > 0 && w.length+n > w.book.length {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.length += n
	return nil
}

// flush writes the body, if there is anything in it.
func (w *partWriter) flush(ctx context.Context) error {
	if w.length == 0 {
		return nil
	}
	seq, err := w.book.change(ctx, func(time.Time) error {
		if err := w.book.running(w.of); err != nil {
			return err
		}
		p, err := w.book.findProduction(w.of)
		if err == nil {
			_, err = p.part(&w.body, w.book.options.Log.Size())
		}
		return err
	}, func() ([]archive.Entry, error) { return one(proof.KindProduction, w.body) })
	if err != nil {
		return err
	}
	w.parts = append(w.parts, seq)
	w.reset()
	return nil
}

// mrnKey is under what a medical record number is found: exactly but for the
// space around it and its case.
func mrnKey(mrn string) string { return cases.Fold().String(cut(mrn)) }

// cut returns a medical record number without the space around it. What a
// sender's device put there may have any length: the first MaxMRN bytes count.
func cut(mrn string) string {
	mrn = strings.TrimSpace(strings.ToValidUTF8(mrn, "\ufffd"))
	if len(mrn) <= MaxMRN {
		return mrn
	}
	n := MaxMRN
	for !utf8.RuneStart(mrn[n]) {
		n--
	}
	return strings.TrimSpace(mrn[:n])
}

// readPart reads an entry of parts anew.
func (b *Book) readPart(ctx context.Context, seq uint64) (*productionBody, error) {
	rec, err := b.options.Log.Record(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("read part %d of a production: %w", seq, err)
	}
	body := &productionBody{}
	if err := read(rec, body, &body.Version); err != nil {
		return nil, fmt.Errorf("read part %d of a production: %w", seq, err)
	}
	return body, nil
}
