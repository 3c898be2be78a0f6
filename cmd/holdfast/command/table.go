package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// minText is the narrowest that a table's last column is made.
const minText = 20

// writeTable writes rows under a header. Every cell is made visible. The last
// column is cut so that a row fits the terminal.
func (t *Terminal) writeTable(header []string, rows [][]string) error {
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	rest := t.Width
	head := make(table.Row, len(header))
	for i, h := range header {
		head[i] = h
		if i < len(header)-1 {
			rest -= columnWidth(h, rows, i) + len(style.Box.PaddingRight)
		}
	}
	w.AppendHeader(head)
	for _, cells := range rows {
		row := make(table.Row, len(cells))
		for i, c := range cells {
			c = visible(c)
			if t.Width > 0 && i == len(cells)-1 {
				c = text.Snip(c, max(rest, minText), "…")
			}
			row[i] = c
		}
		w.AppendRow(row)
	}
	_, err := fmt.Fprintln(t.Out, w.Render())
	return err
}

func columnWidth(header string, rows [][]string, i int) int {
	width := text.StringWidthWithoutEscSequences(header)
	for _, r := range rows {
		width = max(width, text.StringWidthWithoutEscSequences(visible(r[i])))
	}
	return width
}

// A field is one line of a description.
type field struct{ name, value string }

// writeFields writes the fields that have a value, one a line, names first.
func (t *Terminal) writeFields(fields []field) error {
	width := 0
	for _, f := range fields {
		if f.value != "" {
			width = max(width, len(f.name))
		}
	}
	var b strings.Builder
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(&b, "%-*s  %s\n", width, f.name, visible(f.value))
		}
	}
	_, err := fmt.Fprint(t.Out, b.String())
	return err
}

// writeText writes text that somebody else wrote: its lines stay lines, and
// are indented so that none passes for one of ours.
func (t *Terminal) writeText(s string) error {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		fmt.Fprintf(&b, "  | %s\n", visible(strings.TrimSuffix(line, "\r")))
	}
	_, err := fmt.Fprint(t.Out, b.String())
	return err
}

// stamp is how tables give times: UTC, to the second.
func stamp(tm time.Time) string { return tm.UTC().Format("2006-01-02 15:04:05") }

// sentStamp is stamp for a time that a sender claimed.
func sentStamp(s string) string {
	tm, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return s
	}
	return stamp(tm)
}
