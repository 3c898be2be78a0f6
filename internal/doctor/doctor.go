// Package doctor finds out whether all is well with an archive and the machine
// it runs on, and says of everything that is not what to do about it.
//
// It looks from three places. Live judges what the running daemon knows of
// itself: its metrics by their names, and the few facts that are no metric.
// Machine judges what an administrator can see with or without the daemon:
// files, their permissions, certificates, the clock, the store's log without its
// keys. Preflight judges, before there is an archive, what is between this
// machine and the relay, the directory and the time. Bundle writes what a
// stranger may read of all that.
//
// A Finding's text may name files and hosts of this machine when Machine or
// Preflight has found it; Live's names none. None ever names a person or has
// anything of a message, a query or a key. The checks' ids are stable, and
// every check that was made has a finding.
//
// Floor 3: internal/daemon and cmd/holdfastd import it. Of the project it
// imports archive, internal/config and what lies below them.
package doctor

import (
	"cmp"
	"slices"
)

// The severities of a finding.
const (
	OK       = "ok"
	Warning  = "warning"  // somebody should see to it within days
	Critical = "critical" // somebody should see to it now
)

// Finding is what one check came to.
type Finding struct {
	ID       string             `json:"id"`                // of the check; stable
	Severity string             `json:"severity"`          // OK, Warning or Critical
	Text     string             `json:"text"`              // what was found
	Fix      string             `json:"fix,omitempty"`     // what to do; empty where all is well
	Figures  map[string]float64 `json:"figures,omitempty"` // what it rests on; units are in the names
}

func fine(id, text string) Finding { return Finding{ID: id, Severity: OK, Text: text} }

func warn(id, text, fix string) Finding {
	return Finding{ID: id, Severity: Warning, Text: text, Fix: fix}
}

func fatal(id, text, fix string) Finding {
	return Finding{ID: id, Severity: Critical, Text: text, Fix: fix}
}

// unseen is the finding of what may not be looked at: whether it is well is not
// known, and nothing is to be mended yet.
func unseen(id, what string) Finding {
	return warn(id, what+" cannot be looked at from this account", "Run `holdfastd doctor` as root.")
}

// with adds a figure.
func (f Finding) with(name string, value float64) Finding {
	figures := map[string]float64{name: value}
	for k, v := range f.Figures {
		figures[k] = v
	}
	f.Figures = figures
	return f
}

func rank(severity string) int { return slices.Index([]string{OK, Warning, Critical}, severity) }

// Worst returns the worst severity of findings; OK when there are none.
func Worst(findings []Finding) string {
	worst := OK
	for _, f := range findings {
		if rank(f.Severity) > rank(worst) {
			worst = f.Severity
		}
	}
	return worst
}

// Merge puts findings together, of which two may be of one check: the worse one
// stays, and of two alike the later, at the place of the first.
func Merge(findings ...[]Finding) []Finding {
	var out []Finding
	for _, f := range slices.Concat(findings...) {
		at := slices.IndexFunc(out, func(o Finding) bool { return o.ID == f.ID })
		switch {
		case at < 0:
			out = append(out, f)
		case cmp.Compare(rank(f.Severity), rank(out[at].Severity)) >= 0:
			out[at] = f
		}
	}
	return out
}
