package export

import (
	"context"
	"crypto/md5" // #nosec G501 -- load files name it beside SHA-256; nothing rests on it
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"holdfast/archive"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// opener opens an attachment's content.
type opener = func() (io.ReadCloser, error)

// attached is one attachment of an entry that is produced.
type attached struct {
	there bool // its content could be read
	text  bool // something could be read of it
	size  uint64
	md5   [md5.Size]byte
	sum   [sha256.Size]byte
}

// writeRendered renders everything, unit by unit, and begins a volume where one
// is full.
func (p *producer) writeRendered(ctx context.Context) error {
	s := &renderSink{sink: p.sink, list: &p.list}
	var w render.Writer
	var l *lineWriter
	end := func() (err error) {
		if w != nil {
			err = w.Close()
		} else if l != nil {
			err = l.w.Close()
		}
		w, l = nil, nil
		return err
	}
	var ordinal uint64
	begin := func(owner int) (err error) {
		if err := end(); err != nil {
			return err
		}
		v := volume{owner: owner, from: ordinal, prefix: p.req.Split.volume(len(p.volumes) + 1)}
		p.volumes = append(p.volumes, v)
		s.begin(0, false)
		s.prefix, s.volume = v.prefix, 0
		if p.lines {
			l, err = newLines(s)
		} else {
			w, err = p.format.New(render.Options{Origin: p.id.Origin, Tool: p.req.Tool, Zone: p.zone, Legend: p.req.Legend}, s)
		}
		return err
	}
	p.begin()
	err := p.eachUnit(ctx, p.count, func(u *unit) error {
		full := p.req.Split.Bytes > 0 && s.volume >= p.req.Split.Bytes
		if len(p.volumes) == 0 || full || p.req.Split.Custodian && p.volumes[len(p.volumes)-1].owner != u.owner {
			if err := begin(u.owner); err != nil {
				return err
			}
		}
		u.volume = len(p.volumes) - 1
		for _, it := range u.items {
			if err := p.attach(ctx, it); err != nil {
				return err
			}
			s.volume += p.beside(it)
		}
		p.complete(u, p.volumes[u.volume].prefix)
		p.shown(u)
		s.begin(uint64(len(u.items)), u.embeds())
		defer func() { ordinal++ }()
		if l != nil {
			return l.row(&u.items[0].row)
		}
		return p.renderUnit(ctx, w, s, u, ordinal)
	})
	if err == nil && len(p.volumes) == 0 {
		err = begin(0)
	}
	if err == nil {
		err = end()
	}
	copy(p.first[:], p.check.Sum(nil))
	return s.abandon(err)
}

// renderUnit renders one unit, and remembers the hash of one that embeds what
// the proofs do not hold.
func (p *producer) renderUnit(ctx context.Context, w render.Writer, s *renderSink, u *unit, ordinal uint64) error {
	ru, err := u.render(p.unit, func(it *item, i int) string { return p.req.FileText(&it.payload.Att[i]) }, func(it *item, i int) opener {
		return func() (io.ReadCloser, error) { return p.req.Attachment(ctx, &it.payload.Att[i]) }
	})
	if err != nil {
		return err
	}
	if err := w.Unit(ru); err != nil {
		return fmt.Errorf("render entry %d: %w", u.items[0].row.Seq, err)
	}
	if s.sum != nil {
		p.hashes[ordinal] = rendered{s.unit, [sha256.Size]byte(s.sum.Sum(nil))}
	}
	return nil
}

// embeds reports whether the unit's document holds attachments.
func (u *unit) embeds() bool {
	for _, it := range u.items {
		if slices.ContainsFunc(it.says.Attachments, func(c content) bool { return c.SHA256 != "" && c.Path == "" }) {
			return true
		}
	}
	return false
}

// volume returns the prefix of the names of the n-th volume's files, from 1.
func (s Split) volume(n int) string {
	switch {
	case s.Custodian:
		return fmt.Sprintf("custodian-%04d/", n)
	case s.Bytes > 0:
		return fmt.Sprintf("vol-%04d/", n)
	}
	return ""
}

// attach reads what is attached to the item, once, to know what it is.
func (p *producer) attach(ctx context.Context, it *item) error {
	seq := it.row.Seq
	if _, known := p.attached[seq]; known || it.payload == nil || it.row.Redacted || it.row.Withheld != "" || len(it.payload.Att) == 0 {
		return nil
	}
	all := make([]attached, len(it.payload.Att))
	some := false
	for i := range it.payload.Att {
		a := &it.payload.Att[i]
		if p.req.FileText != nil && p.format.Texts {
			all[i].text = p.req.FileText(a) != ""
		}
		if p.req.Attachment != nil && it.row.Attachments[i].Status == archive.BlobStored {
			if err := p.measure(ctx, a, &all[i], io.Discard); err != nil {
				return fmt.Errorf("entry %d: %w", seq, err)
			}
			if all[i].there {
				p.contents++
			} else {
				p.unavailable++
			}
		}
		some = some || all[i].there || all[i].text
	}
	if some {
		p.attached[seq] = all
	}
	return nil
}

// measure reads one attachment into w. One that cannot be had is not there.
func (p *producer) measure(ctx context.Context, a *envelope.Attachment, to *attached, w io.Writer) error {
	r, err := p.req.Attachment(ctx, a)
	if unavailable(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open an attachment: %w", err)
	}
	weak, strong := md5.New(), sha256.New() // #nosec G401 -- see the import
	n, err := io.Copy(io.MultiWriter(weak, strong, w), r)
	if err := joinClose(err, r); unavailable(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read an attachment: %w", err)
	}
	to.there, to.size = true, uint64(n) // #nosec G115 -- a count of bytes read
	weak.Sum(to.md5[:0])
	strong.Sum(to.sum[:0])
	return nil
}

// beside returns how many bytes of files of their own the item has.
func (p *producer) beside(it *item) uint64 {
	var n uint64
	if p.format.Texts {
		n = uint64(len(it.row.Text))
	}
	if p.format.Embeds {
		return n
	}
	for _, a := range p.attached[it.row.Seq] {
		n += a.size
	}
	return n
}

// complete gives the unit's items their numbers and the names of their files.
func (p *producer) complete(u *unit, prefix string) {
	u.bates = p.number
	for _, it := range u.items {
		p.contentsOf(it, prefix)
		p.numbered(it)
		p.passed(it)
	}
}

// contentsOf says what was produced of the item's attachments and texts.
func (p *producer) contentsOf(it *item, prefix string) {
	seq := it.row.Seq
	if p.format.Texts && it.row.Text != "" {
		it.says.Text = fmt.Sprintf("%stexts/%012d.txt", prefix, seq)
	}
	for i, a := range p.attached[seq] {
		var c content
		if a.there {
			c = content{Size: a.size, MD5: hex.EncodeToString(a.md5[:]), SHA256: hex.EncodeToString(a.sum[:])}
			if !p.format.Embeds {
				c.Path = nativeName(prefix, seq, i, it.row.Attachments[i].Name)
			}
		}
		if a.text {
			c.Text = fmt.Sprintf("%stexts/%012d-%d.txt", prefix, seq, i+1)
		}
		it.says.Attachments = append(it.says.Attachments, c)
		if p.lines {
			it.row.Attachments[i].Path, it.row.Attachments[i].SHA256 = c.Path, c.SHA256
		}
	}
}

// extensions are those that a native keeps; with another it is a bin.
var extensions = []string{
	"aac", "bmp", "csv", "dcm", "doc", "docx", "eml", "gif", "heic", "jpeg", "jpg", "m4a", "mov", "mp3", "mp4", "odp", "ods", "odt", "ogg",
	"pdf", "png", "ppt", "pptx", "rtf", "tif", "tiff", "txt", "vcf", "wav", "webm", "webp", "xls", "xlsx", "zip",
}

// nativeName returns the name of the i-th attachment's own file.
func nativeName(prefix string, seq uint64, i int, name string) string {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
	if !slices.Contains(extensions, ext) {
		ext = "bin"
	}
	return fmt.Sprintf("%snatives/%012d-%d.%s", prefix, seq, i+1, ext)
}

// numbered gives the item its Bates numbers: its own, and one for each
// attachment that is produced.
func (p *producer) numbered(it *item) {
	if p.req.Bates.Prefix == "" || it.row.Withheld != "" {
		return
	}
	p.number = p.req.Bates.number(&it.row, p.number, func(i int) bool {
		all := p.attached[it.row.Seq]
		return i < len(all) && all[i].there
	})
}

// number gives a row the numbers from n on, and returns the next.
func (b *Bates) number(row *Row, n uint64, there func(i int) bool) uint64 {
	row.Bates = b.format(n)
	row.BatesEnd = row.Bates
	n++
	for i := range row.Attachments {
		if there(i) {
			row.Attachments[i].Bates = b.format(n)
			row.BatesEnd = row.Attachments[i].Bates
			n++
		}
	}
	return n
}

func (b *Bates) format(n uint64) string { return fmt.Sprintf("%s%0*d", b.Prefix, b.Digits, n) }
