package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLog is how much of a log goes out at most, in bytes: its end.
const maxLog = 4 << 20

// The keys of log lines whose values go out: figures, and words of the program.
var (
	logFigures = []string{"entries", "seq", "size", "from", "to", "count", "bytes", "files", "attempt", "took", "lag", "pid"}
	logWords   = []string{"class", "code", "endpoint", "version", "kind", "step", "way", "anchor", "certificate"}
)

// single are the messages of one word.
var single = []string{"serving", "stopped"}

var (
	pair  = regexp.MustCompile(`([A-Za-z_.]+)=("(?:[^"\\]|\\.)*"|[^ ]*)`)
	stamp = regexp.MustCompile(`^[0-9]{9,11}(?:\.[0-9]+)? `)
)

// scrubLog keeps of each line what may go out: when, how bad, the program's own
// sentence, and figures. Of other lines it says only how many there were.
func scrubLog(text []byte, own Lexicon) []byte {
	if len(text) > maxLog {
		text = text[len(text)-maxLog:]
	}
	var b strings.Builder
	out := 0
	for line := range strings.Lines(string(text)) {
		if kept := scrubLine(strings.TrimSuffix(line, "\n"), own); kept != "" {
			b.WriteString(kept + "\n")
		} else {
			out++
		}
	}
	fmt.Fprintf(&b, "# %d lines left out\n", out)
	return []byte(b.String())
}

func scrubLine(line string, own Lexicon) string {
	var at, level, msg string
	var more []string
	if m := stamp.FindString(line); m != "" {
		at = strings.TrimSpace(m)
	}
	for _, p := range pair.FindAllStringSubmatch(line, -1) {
		key, value := p[1], p[2]
		if text, err := strconv.Unquote(value); err == nil {
			value = text
		}
		switch {
		case key == "time":
			if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
				at = t.UTC().Format(time.RFC3339)
			}
		case key == "level" && level == "":
			if slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, value) {
				level = value
			}
		case key == "msg" && msg == "":
			msg = leftOut
			if slices.Contains(single, value) || strings.Contains(value, " ") && own.Has(value) {
				msg = value
			}
		case slices.Contains(logFigures, key) && figure(value), slices.Contains(logWords, key) && own.Has(value):
			more = append(more, key+"="+strconv.Quote(value))
		}
	}
	if level == "" || msg == "" {
		return ""
	}
	return strings.TrimSpace(strings.Join(append([]string{at, level, strconv.Quote(msg)}, more...), " "))
}

// figure reports whether a value is a number or a length of time.
func figure(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	if err != nil {
		_, err = time.ParseDuration(s)
	}
	return err == nil
}
