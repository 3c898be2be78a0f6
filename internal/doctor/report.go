package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what an examination came to, as `--json` writes it. Members are
// added, never renamed or taken away.
type Report struct {
	Version   string     `json:"v"`                   // "1"
	At        time.Time  `json:"at"`                  // by this machine's clock
	Severity  string     `json:"severity"`            // the worst of all
	Installed string     `json:"installed"`           // version of the program that asks
	Running   string     `json:"running,omitempty"`   // version of the daemon that answered; not there: none did
	Started   *time.Time `json:"started,omitempty"`   // of that daemon
	Preflight bool       `json:"preflight,omitempty"` // it was asked for before there is an archive
	Findings  []Finding  `json:"findings"`
}

// NewReport puts a report together.
func NewReport(at time.Time, installed string, findings []Finding) *Report {
	return &Report{Version: "1", At: at.UTC(), Severity: Worst(findings), Installed: installed, Findings: findings}
}

// The exit codes of `holdfastd doctor`, in every form: those of monitoring
// plugins.
const (
	ExitOK       = 0
	ExitWarning  = 1
	ExitCritical = 2
)

// Exit returns the exit code that a report ends with.
func (r *Report) Exit() int { return rank(r.Severity) }

// WriteJSON writes the report as one JSON text.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people: what is wrong first, each with its fix.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, severity := range []string{Critical, Warning, OK} {
		for _, f := range r.Findings {
			if f.Severity != severity {
				continue
			}
			fmt.Fprintf(&b, "%-8s  %s: %s\n", strings.ToUpper(severity), f.ID, oneLine(f.Text))
			if f.Fix != "" {
				fmt.Fprintf(&b, "          do: %s\n", oneLine(f.Fix))
			}
		}
	}
	fmt.Fprintf(&b, "%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) count(severity string) (n int) {
	for _, f := range r.Findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

func (r *Report) summary() string {
	if r.Severity == OK {
		return fmt.Sprintf("all is well: %d checks", len(r.Findings))
	}
	return fmt.Sprintf("%d critical, %d warnings, %d well", r.count(Critical), r.count(Warning), r.count(OK))
}

// WriteNagios writes the report as a monitoring plugin does (Monitoring Plugins
// Development Guidelines, "Plugin Output for Nagios"): one line with the state
// and, behind a bar, the performance data; then a line for each finding that is
// not well.
func (r *Report) WriteNagios(w io.Writer) error {
	var ids, data []string
	var more strings.Builder
	for _, severity := range []string{Critical, Warning} {
		for _, f := range r.Findings {
			if f.Severity == severity {
				ids = append(ids, f.ID)
				fmt.Fprintf(&more, "%s: %s: %s - %s\n", strings.ToUpper(severity), f.ID, plain(f.Text), plain(f.Fix))
			}
		}
	}
	for _, f := range r.Findings {
		for _, name := range slices.Sorted(maps.Keys(f.Figures)) {
			data = append(data, fmt.Sprintf("'%s_%s'=%s", f.ID, name, strconv.FormatFloat(f.Figures[name], 'f', -1, 64)))
		}
	}
	line := fmt.Sprintf("HOLDFAST %s - %s", strings.ToUpper(r.Severity), r.summary())
	if len(ids) > 0 {
		line += ": " + strings.Join(ids, ", ")
	}
	if len(data) > 0 {
		line += " | " + strings.Join(data, " ")
	}
	_, err := io.WriteString(w, line+"\n"+more.String())
	return err
}

// plain makes one line of a text, without the bar that begins performance data.
func plain(s string) string { return strings.ReplaceAll(oneLine(s), "|", "/") }

// oneLine makes one line of a text that may quote a file name or an error.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
