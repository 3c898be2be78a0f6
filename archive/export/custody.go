package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"fmt"

	"holdfast/archive/render"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// byteOrderMark makes spreadsheets read a CSV file as UTF-8.
const byteOrderMark = "\ufeff"

// kid names the identity key.
func (p *producer) kid() (string, error) { return jws.Thumbprint(p.key) }

// createdText is when the production was made.
func (p *producer) createdText() string { return envelope.FormatTime(p.created) }

// writeCustody writes the chain of custody of this production (RFC 4180): who
// did what to which file, all at the time at which the production was begun, so
// that one that was cut off ends as it would have. The manifest's own hash
// cannot stand here.
func (p *producer) writeCustody(context.Context) error {
	kid, err := p.kid()
	if err != nil {
		return err
	}
	root := hex.EncodeToString(p.point.Root[:])
	at, who := p.createdText(), p.req.Principal
	if p.req.reduces() {
		who = "an officer of the archive, whom its annex names"
	}
	rows := [][]string{
		{"time", "who", "what", "object", "sha256"},
		{at, who, "checkpoint signed", fmt.Sprintf("%s, %d entries", p.point.Origin, p.point.Size), root},
	}
	if p.req.Recipient != "" {
		rows = append(rows, []string{at, who, "production for", p.req.Recipient, ""})
	}
	for _, f := range p.files {
		object := f.Path
		if f.Path == fileList {
			object = fmt.Sprintf("%s, which lists %d files", f.Path, len(p.list.files))
		}
		rows = append(rows, []string{at, who, "file produced", object, f.SHA256})
	}
	rows = append(rows, []string{at, who, "manifest signed", "identity key " + kid, ""})
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
			row[i] = render.Cell(row[i])
		}
		// Write fails only when its destination does, and a buffer does not.
		_ = w.Write(row)
	}
	w.Flush()
	return buf.Bytes()
}
