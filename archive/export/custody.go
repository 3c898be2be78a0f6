package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"fmt"

	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// byteOrderMark makes spreadsheets read a CSV file as UTF-8.
const byteOrderMark = "\ufeff"

// writeCustody writes the chain of custody of this production (RFC 4180): who
// did what to which file, when. The manifest's own hash cannot stand here.
func (p *producer) writeCustody(context.Context) error {
	kid, err := jws.Thumbprint(p.key)
	if err != nil {
		return err
	}
	root := hex.EncodeToString(p.point.Root[:])
	begun, now := envelope.FormatTime(p.created), envelope.FormatTime(clock())
	rows := [][]string{
		{"time", "who", "what", "object", "sha256"},
		{begun, p.req.Principal, "checkpoint signed", fmt.Sprintf("%s, %d entries", p.point.Origin, p.point.Size), root},
	}
	for _, f := range p.files {
		rows = append(rows, []string{now, p.req.Principal, "file produced", f.Path, f.SHA256})
	}
	rows = append(rows, []string{now, p.req.Principal, "manifest signed", "identity key " + kid, ""})
	f, err := writeBytes(p.sink, fileCustody, custodyBytes(rows))
	p.files = append(p.files, f)
	return err
}

func custodyBytes(rows [][]string) []byte {
	buf := bytes.NewBufferString(byteOrderMark)
	w := csv.NewWriter(buf)
	w.UseCRLF = true
	for _, row := range rows {
		for i := range row {
			row[i] = cell(row[i])
		}
		// Write fails only when its destination does, and a buffer does not.
		_ = w.Write(row)
	}
	w.Flush()
	return buf.Bytes()
}
