// Package sheet renders productions as tables: CSV for spreadsheets and
// databases (RFC 4180), and the Concordance load file by which review tools
// take in documents, natives and texts.
//
// It is pure: the same units and options give the same bytes. archive/export
// imports it, to produce and to verify. What each column holds is specified in
// archive/render/sheet/FORMAT.md.
package sheet

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"holdfast/archive/render"
)

// byteOrderMark makes readers take a file for UTF-8.
const byteOrderMark = "\ufeff"

// A table is one file of rows that is written unit by unit. It keeps the rows
// of one unit.
type table struct {
	file io.WriteCloser
	rows bytes.Buffer
	zone *time.Location
	row  func(t *table, u *render.Unit)
}

// create begins the table with its first row.
func create(o render.Options, sink render.Sink, name string, heading func(*table), row func(*table, *render.Unit)) (*table, error) {
	f, err := sink.Create(name)
	if err != nil {
		return nil, err
	}
	t := &table{file: f, zone: o.Zone, row: row}
	if t.zone == nil {
		t.zone = time.UTC
	}
	t.rows.WriteString(byteOrderMark)
	heading(t)
	return t, t.flush()
}

// Unit implements render.Writer.
func (t *table) Unit(u *render.Unit) error {
	t.row(t, u)
	return t.flush()
}

// Close implements render.Writer.
func (t *table) Close() error { return t.file.Close() }

// keptRows is how large the buffer of rows stays from unit to unit, in bytes.
const keptRows = 1 << 20

func (t *table) flush() error {
	_, err := t.file.Write(t.rows.Bytes())
	if t.rows.Cap() > keptRows {
		t.rows = bytes.Buffer{}
	}
	t.rows.Reset()
	return err
}

// stamp returns a time in UTC; "" for none.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(render.Stamp)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// each returns what of returns for each of list.
func each[T any](list []T, of func(*T) string) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = of(&list[i])
	}
	return out
}
