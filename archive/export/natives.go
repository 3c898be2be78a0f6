package export

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/archive"
)

// unavailable reports whether err means that an attachment's content cannot be
// had: the production is then made without it, and says so.
func unavailable(err error) bool {
	return errors.Is(err, archive.ErrNoBlob) || errors.Is(err, archive.ErrDamaged)
}

func joinClose(err error, c io.Closer) error { return errors.Join(err, c.Close()) }

// writeNatives writes the files that stand beside the records: attachments, and
// the texts of formats that have them apart.
func (p *producer) writeNatives(ctx context.Context) error {
	if !p.format.Texts && (p.format.Embeds || len(p.attached) == 0) {
		return nil
	}
	p.begin()
	var ordinal uint64
	v := -1
	return p.eachUnit(ctx, func(*item) {}, func(u *unit) error {
		for v+1 < len(p.volumes) && p.volumes[v+1].from <= ordinal {
			v++
		}
		ordinal++
		p.complete(u, p.volumes[v].prefix)
		for _, it := range u.items {
			if err := p.writeFiles(ctx, it); err != nil {
				return fmt.Errorf("entry %d: %w", it.row.Seq, err)
			}
		}
		return nil
	})
}

// writeFiles writes what stands beside one item.
func (p *producer) writeFiles(ctx context.Context, it *item) error {
	if it.says.Text != "" {
		if err := p.writeListed(it.says.Text, func(w io.Writer) error {
			_, err := io.WriteString(w, it.row.Text)
			return err
		}); err != nil {
			return err
		}
	}
	for i := range it.says.Attachments {
		c, a := &it.says.Attachments[i], &it.payload.Att[i]
		if c.Path != "" {
			if err := p.writeListed(c.Path, func(w io.Writer) error {
				var again attached
				if err := p.measure(ctx, a, &again, w); err != nil {
					return err
				}
				if !again.there || again.sum != p.attached[it.row.Seq][i].sum {
					return ErrChanged
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if c.Text != "" {
			if err := p.writeListed(c.Text, func(w io.Writer) error {
				_, err := io.WriteString(w, p.req.FileText(a))
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeListed writes one file that files.jsonl lists.
func (p *producer) writeListed(name string, fill func(w io.Writer) error) error {
	if !validFile(name) {
		return fmt.Errorf("%q is no name of a file", name)
	}
	w, err := create(p.sink, name)
	if err != nil {
		return err
	}
	if err := fill(w); err != nil {
		return w.abandon(err)
	}
	sum, err := w.end()
	if err == nil {
		p.list.add(name, w.size, 1, sum)
	}
	return err
}
