package rsmf

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"holdfast/archive/render"
)

// Format returns the format "rsmf": one file STEM.rsmf of each conversation's
// day, and further ones STEM-s0002.rsmf, ... where a day has more events or
// bytes than RSMF allows one file. Attachments stand in the files.
func Format() render.Format {
	return render.Format{Name: "rsmf", Units: []render.UnitKind{render.ConversationDay}, Embeds: true,
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			return newWriter(o, sink, allowed), nil
		}}
}

// writer keeps nothing between two units.
type writer struct {
	o      render.Options
	zone   *time.Location
	sink   render.Sink
	limits limits
}

func newWriter(o render.Options, sink render.Sink, l limits) *writer {
	w := &writer{o: o, zone: o.Zone, sink: sink, limits: l}
	if w.zone == nil {
		w.zone = time.UTC
	}
	return w
}

// Unit implements render.Writer.
func (w *writer) Unit(u *render.Unit) error {
	items, err := w.items(u)
	if err != nil {
		return err
	}
	var cuts [][]item
	for len(items) > 0 {
		n, err := w.cut(items)
		if err != nil {
			return err
		}
		cuts = append(cuts, items[:n:n])
		items = items[n:]
	}
	for i, events := range cuts {
		p := part{n: i + 1, of: len(cuts), name: u.Stem + ".rsmf", items: events}
		if i > 0 {
			p.name = fmt.Sprintf("%s-s%04d.rsmf", u.Stem, i+1)
		}
		if err := w.fill(u, &p); err != nil {
			return err
		}
		if err := w.write(u, &p); err != nil {
			return err
		}
	}
	return nil
}

// Close implements render.Writer: every file was whole when its unit was done.
func (w *writer) Close() error { return nil }

// write writes the file of a part.
func (w *writer) write(u *render.Unit, p *part) (err error) {
	f, err := w.sink.Create(p.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 64<<10)
	if err := w.mail(out, u, p); err != nil {
		return err
	}
	return out.Flush()
}
