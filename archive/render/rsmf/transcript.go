package rsmf

import (
	"fmt"
	"strings"

	"holdfast/archive/render"
)

// transcript returns the text of a part, which review tools search: what was
// said when by whom, with its versions and what became of it. No line break in
// a text can make a line look like one of ours: further lines are indented.
func (w *writer) transcript(u *render.Unit, p *part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nArchive %s, times in %s\n", w.subject(u, p), w.o.Origin, w.zone)
	by := map[string]string{}
	for i := range p.people {
		by[p.people[i].Usr] = name(&p.people[i])
	}
	line := func(format string, args ...any) {
		b.WriteString(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n    ") + "\n")
	}
	for i := range p.items {
		ev := &p.items[i].ev
		b.WriteString("\n")
		if ev.Participant == "" {
			line("%s %s", ev.Timestamp, ev.Body)
		} else {
			line("%s %s: %s", ev.Timestamp, by[ev.Participant], ev.Body)
		}
		if ev.Deleted {
			line("  recalled by its sender")
		}
		for _, e := range ev.Edits {
			line("  edited %s by %s: before: %s\nafter: %s", e.Timestamp, by[e.Participant], e.Previous, e.New)
		}
		for _, a := range ev.Attachments {
			line("  attachment %s, %d bytes: %s", a.ID, a.Size, a.Display)
		}
		for _, r := range ev.Reactions {
			line("  reaction %s by %s", r.Value, called(by, r.Participants))
		}
		for _, r := range ev.Receipts {
			line("  %s %s by %s", r.Action, r.Timestamp, by[r.Participant])
		}
	}
	return b.String()
}

func called(by map[string]string, usrs []string) string {
	names := make([]string, len(usrs))
	for i, usr := range usrs {
		names[i] = by[usr]
	}
	return strings.Join(names, "; ")
}
