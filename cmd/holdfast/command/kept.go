package command

import (
	"slices"
	"strings"

	"holdfast/internal/api"
)

// keptFor is in a few words how long an entry is kept, and by what; "" when
// that is not known.
func keptFor(k *api.Kept) string {
	switch {
	case k.Disposed != nil:
		return "disposed of, certificate " + number(k.Disposed.Certificate)
	case len(k.HeldBy) > 0:
		return "held: " + holders(k.HeldBy)
	case k.DisposeAfter != nil:
		return "until " + bound(k.DisposeAfter, "")
	case k.HeldBy != nil:
		return "no date yet"
	}
	return ""
}

// holders names the matters for which something is held, each once.
func holders(list []api.HeldBy) string {
	names := make([]string, 0, len(list))
	for _, h := range list {
		if !slices.Contains(names, h.Matter) {
			names = append(names, h.Matter)
		}
	}
	return strings.Join(names, ", ")
}

// keptFields describe how long an entry is kept.
func keptFields(k *api.Kept) []field {
	if d := k.Disposed; d != nil {
		return []field{
			{"disposed of", stamp(d.At) + " UTC, of class " + d.Class + ", received in " + d.Month},
			{"certificate", number(d.Certificate) + ": holdfast certificate show " + number(d.Certificate)},
		}
	}
	var fields []field
	for _, h := range k.HeldBy {
		who := keeper(h.Hold, h.Matter, h.Why)
		if h.Why != "" && h.Matter != "" {
			who += ", by " + h.Why
		}
		fields = append(fields, field{"held by", who})
	}
	if k.DisposeAfter != nil {
		after := stamp(*k.DisposeAfter) + " UTC"
		if len(k.HeldBy) > 0 {
			after += ", once nothing holds it"
		}
		return append(fields, field{"dispose after", after})
	}
	if k.HeldBy != nil {
		fields = append(fields, field{"dispose after", "not known yet, or never"})
	}
	return fields
}
