package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"testing"

	"holdfast/archive"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// many is in twelve messages of a town.
var many = regexp.MustCompile(`many, on a \w+`)

// files keeps what was attached, by bid.
type files map[string][]byte

func (f files) open(_ context.Context, a *envelope.Attachment) (io.ReadCloser, error) {
	b, ok := f[a.BID]
	if !ok {
		return nil, archive.ErrNoBlob
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (f files) text(a *envelope.Attachment) string {
	if b, ok := f[a.BID]; ok && a.MIME == "text/plain" {
		return string(b)
	}
	return ""
}

// attach seals content as a sender does.
func (f files) attach(t testing.TB, name, mime string, content []byte) envelope.Attachment {
	t.Helper()
	a := attachment(name)
	a.MIME, a.Size = mime, int64(len(content))
	key, err := jws.DecodeB64(a.Key)
	must(t, err)
	sum, _, err := envelope.SealAttachment(io.Discard, bytes.NewReader(content), [32]byte(key))
	must(t, err)
	a.CTSHA256 = jws.EncodeB64(sum[:])
	f[a.BID] = content
	return a
}

// family returns what hangs at a message, by reading the whole log.
func (w *ward) family(ctx context.Context, rec archive.Record) ([]uint64, error) {
	if w.hangs == nil || w.read != w.a.Size() {
		w.hangs, w.read = map[string][]uint64{}, w.a.Size()
		for r, err := range w.a.Records(ctx, 1, w.read) {
			if err != nil {
				return nil, err
			}
			if p, err := envelope.ParsePayload(payloadOf(r.Body)); err == nil && p.Ref != nil {
				w.hangs[p.Ref.Digest] = append(w.hangs[p.Ref.Digest], r.Leaf.Seq)
			}
		}
	}
	return w.hangs[digestOf(rec.Body)], nil
}

// town is a ward with families and files.
func town(t testing.TB) (*ward, files) {
	w, f := furnish(t), files{}
	w.send("anna", "with a picture", func(p *envelope.Payload) {
		p.Att = []envelope.Attachment{f.attach(t, "wound.png", "image/png", bytes.Repeat([]byte("pixel"), 30_000)), f.attach(t, "note.txt", "text/plain", []byte("seen at noon"))}
	})
	w.send("li", "and one that is gone", func(p *envelope.Payload) {
		p.Conv = &envelope.Conv{ID: "c2", Kind: "direct"}
		p.Att = []envelope.Attachment{attachment("gone.pdf")}
	})
	for i := range 12 {
		w.send("anna", fmt.Sprintf("line %d of many, on a long day", i), func(p *envelope.Payload) { p.Subject = &envelope.Subject{MRN: fmt.Sprint(i % 3)} })
	}
	return w, f
}

// full asks for all that a production can have.
func full(w *ward, f files, format string) Request {
	req := request(all(w.a.Size()))
	req.Format, req.Family, req.Attachment, req.FileText = format, w.family, f.open, f.text
	req.Legend, req.Recipient, req.Purpose = "CONFIDENTIAL - SUBJECT TO PROTECTIVE ORDER", "Opposing counsel", "litigation"
	req.Bates = Bates{Prefix: "ACME-"}
	req.Custodians = func(usrs []string) []string {
		if slices.Contains(usrs, "li") {
			return []string{"Li"}
		}
		return nil
	}
	req.Holds = func(uint64) []string { return []string{"Ward 7 hold"} }
	return req
}

func TestEveryFormatIsVerified(t *testing.T) {
	w, f := town(t)
	for _, format := range FormatNames() {
		units := []render.UnitKind{""}
		if known, ok := formatOf(format); ok {
			units = known.Units
		}
		splits := []Split{{}, {Bytes: 20_000}, {Custodian: true}, {Custodian: true, Bytes: 9_000}}
		if format == "pdf" { // which embeds fonts in each document
			units, splits = units[:1], splits[3:]
		}
		for i, unit := range units {
			for k, split := range splits {
				if len(units) > 1 && (i+k)%2 == 1 {
					continue // the next unit has it
				}
				t.Run(fmt.Sprintf("%s %s %v", format, unit, split), func(t *testing.T) {
					req := full(w, f, format)
					req.Unit, req.Split = unit, split
					s, files := produce(t, w, req)
					v := verify(t, files, w.logKey())
					if !v.OK() || len(v.Findings) != 0 {
						t.Fatalf("%s: %v", v.Result, v.Findings)
					}
					if s.Files != uint64(len(files)-3) || v.Verified+v.Unproven != s.Manifest.Counts.Produced {
						t.Errorf("%d files of %d, %d rows of %d", s.Files, len(files)-3, v.Verified, s.Manifest.Counts.Produced)
					}
				})
			}
		}
	}
}
