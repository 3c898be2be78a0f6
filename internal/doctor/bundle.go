package doctor

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Bundle is what goes to whoever supports the product: figures about the
// installation, and nothing by which a person, a message or the hospital could
// be known. It is made by choosing what may go out, not by taking out what may
// not: a text goes out only if it stands word for word in the program (Words),
// a name only as a number.
type Bundle struct {
	Report  *Report            // of doctor
	Status  map[string]float64 // figures of the daemon's status
	Metrics []byte             // Prometheus's text format; nil: the daemon gave none
	Alarms  []Alarm            // newest first
	Log     []byte             // of the daemon, as slog writes it; nil: none
	Config  any                // *config.Config
	Data    string             // the archive's folder
	Machine map[string]string  // kernel, operating system: Identify
	Words   Lexicon            // what the program itself says
}

// Lexicon are the texts that may go out. *Words is one.
type Lexicon interface {
	// Has reports whether the program itself holds s word for word.
	Has(s string) bool
}

// Alarm is what may be told of an alarm.
type Alarm struct {
	Seq      uint64    `json:"seq"`
	Name     string    `json:"name"`
	Severity string    `json:"severity"`
	Raised   time.Time `json:"raised"`
	Acked    bool      `json:"acked"`
}

// File is one file of a bundle.
type File struct {
	Name, What string
	Text       []byte
}

// Files makes the files, in a fixed order. The first says what the others are.
func (b *Bundle) Files() ([]File, error) {
	var files []File
	var failed error
	add := func(name, what string, v any) {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, File{name, what, append(text, '\n')})
	}
	add("doctor.json", "what doctor found: ids, severities and figures, without its texts", b.findings())
	add("machine.json", "versions, kernel, processors and memory", b.Machine)
	add("status.json", "figures of the daemon's status", b.Status)
	add("config.json", "which keys the configuration sets; numbers, lengths of time and choices, but no other text", Shape(b.Config, b.Words))
	add("alarms.json", "the alarms' names, severities and times", b.alarms())
	store, err := inventory(b.Data)
	if err != nil {
		return nil, fmt.Errorf("list the archive's files: %w", err)
	}
	add("store.json", "how many files of each kind the archive has, and their sizes", store)
	files = append(files,
		File{"metrics.txt", "the daemon's metrics, with labels that are words of the program", scrubMetrics(b.Metrics, b.Words)},
		File{"log.txt", "the daemon's log: times, levels, the program's own sentences and figures; the rest is left out", scrubLog(b.Log, b.Words)})
	if failed != nil {
		return nil, failed
	}
	return append([]File{contents(files)}, files...), nil
}

// contents is the file that says what the others are.
func contents(files []File) File {
	text := "Holdfast support bundle. Read it before you give it away: every file is plain text.\n" +
		"It was made by choosing: texts that are not the program's own are left out, names are numbers.\n\n"
	for _, f := range files {
		text += fmt.Sprintf("%-14s %8d bytes  %s\n", f.Name, len(f.Text), f.What)
	}
	return File{"CONTENTS.txt", "this list", []byte(text)}
}

// findings are doctor's without their texts, which name files and hosts.
func (b *Bundle) findings() any {
	type finding struct {
		ID       string             `json:"id"`
		Severity string             `json:"severity"`
		Figures  map[string]float64 `json:"figures,omitempty"`
	}
	out := struct {
		At        time.Time `json:"at"`
		Severity  string    `json:"severity"`
		Installed string    `json:"installed"`
		Running   string    `json:"running"`
		Findings  []finding `json:"findings"`
	}{At: b.Report.At, Severity: b.Report.Severity, Installed: b.Report.Installed, Running: b.Report.Running}
	for _, f := range b.Report.Findings {
		out.Findings = append(out.Findings, finding{f.ID, f.Severity, f.Figures})
	}
	return out
}

// alarms leaves out the names that are not the program's.
func (b *Bundle) alarms() []Alarm {
	out := []Alarm{}
	for _, a := range b.Alarms {
		if !b.Words.Has(a.Name) {
			a.Name = "other"
		}
		if rank(a.Severity) < 0 {
			a.Severity = "other"
		}
		out = append(out, a)
	}
	return out
}

// WriteTar writes files as a gzipped tar archive (POSIX ustar).
func WriteTar(w io.Writer, files []File, at time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: "holdfast-support/" + f.Name, Mode: 0o600, Size: int64(len(f.Text)), ModTime: at.UTC().Truncate(time.Second), Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if _, err := t.Write(f.Text); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}
