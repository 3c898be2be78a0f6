package export

import (
	"slices"

	"holdfast/archive/render"
	"holdfast/archive/render/mail"
	"holdfast/archive/render/page"
	"holdfast/archive/render/rsmf"
	"holdfast/archive/render/sheet"
)

// JSONL is the format of records as JSON lines, the only one that holds the
// senders' JWS itself.
const JSONL = "jsonl"

// Formats returns the formats that productions are rendered in, but JSONL.
func Formats() []render.Format { return formats }

var formats = []render.Format{sheet.CSV(), sheet.DAT(), mail.EML(), mail.MBOX(), rsmf.Format(), page.HTML(), page.PDF()}

// FormatNames returns the names of all formats, JSONL first.
func FormatNames() []string {
	names := []string{JSONL}
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

// formatOf returns the format of a name; false for JSONL and what is none.
func formatOf(name string) (render.Format, bool) {
	all := Formats()
	i := slices.IndexFunc(all, func(f render.Format) bool { return f.Name == name })
	if i < 0 {
		return render.Format{}, false
	}
	return all[i], true
}
