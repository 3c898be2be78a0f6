package coverage

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteText writes s for people, the same for the same statement. No name in it
// begins a line; a terminal needs the rest of what is hostile escaped.
func (s *Statement) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s%s\n", name, strings.Map(unbroken, fmt.Sprintf(format, args...)))
	}
	line("archive", "%s", s.Origin)
	line("custodian", "%s %s", s.Custodian.Name, s.Custodian.Person)
	line("relay users", "%s", strings.Join(s.Custodian.Usrs, ", "))
	line("period", "received from %s to before %s", s.From, s.To)
	line("examined", "%d entries of a log of %d, made %s", s.Next-s.First, s.Size, s.Made)
	for i := range s.Streams {
		t := &s.Streams[i]
		line("relay", "epoch %s, %d to %d: %d entries, missing %s, lost by the relay %s%s", t.Epoch, t.First, t.Last, t.Entries, gaps(t.Missing), gaps(t.Lost), ended(t))
	}
	for i := range s.Devices {
		s.Devices[i].write(line)
	}
	line("others", "%d other devices sent in the period: %d sealed, %d open, %d with gaps", s.Others.Devices, s.Others.Sealed, s.Others.Open, s.Others.Gaps)
	line("quarantined", "%d entries, which may be the custodian's", len(s.Quarantined))
	line("unreadable", "%d entries, which may be the custodian's", len(s.Unreadable))
	line("disposed", "%d messages of everybody's, by certificates %s", s.Disposed.Messages, numbers(s.Disposed.Certificates))
	for _, what := range s.CannotShow {
		line("cannot show", "%s", what)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Device) write(line func(name, format string, args ...any)) {
	line("device", "%s of %s: %s; numbers %d to %d in the period, %d there, %d disposed of, missing %s, twice %s, not following %s",
		d.Dev, d.Usr, strings.ToUpper(d.Standing), d.First, d.Last, d.Present, d.Disposed, gaps(d.Missing), numbers(d.Twice), numbers(d.Broken))
	if d.Sealed != nil {
		line("", "sealed through number %d by its checkpoint received %s; after it unknown", d.Sealed.N, d.Sealed.Received)
	} else {
		line("", "never sealed by a checkpoint; after number %d unknown", d.Newest)
	}
}

func unbroken(r rune) rune {
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
		return '\ufffd'
	}
	return r
}

func ended(t *Stream) string {
	if t.Ended {
		return "; the epoch ended"
	}
	return ""
}

func gaps(list []Gap) string {
	text := make([]string, 0, len(list))
	for _, g := range list {
		if g.From == g.To {
			text = append(text, fmt.Sprint(g.From))
		} else {
			text = append(text, fmt.Sprintf("%d to %d", g.From, g.To))
		}
	}
	return listed(text)
}

func numbers(list []uint64) string {
	text := make([]string, 0, len(list))
	for _, n := range list {
		text = append(text, fmt.Sprint(n))
	}
	return listed(text)
}

// maxListed is how many of a kind a text names.
const maxListed = 20

func listed(text []string) string {
	switch {
	case len(text) == 0:
		return "none"
	case len(text) > maxListed:
		return strings.Join(text[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(text)-maxListed)
	}
	return strings.Join(text, ", ")
}
