package doctor

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leftOut stands where a text was that may not go out.
const leftOut = "left-out"

// choices are the keys of the configuration whose values are choices among words
// of the program.
var choices = []string{"log_level", "tls", "network", "third_parties", "roles", "role"}

// Shape returns which keys of a configuration are set, by its toml tags: numbers,
// lengths of time, choices and yes or no as they are, of any other text that it
// is set.
func Shape(c any, words Lexicon) any {
	return shape(reflect.ValueOf(c), "", words)
}

func shape(v reflect.Value, key string, words Lexicon) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return shape(v.Elem(), key, words)
	case reflect.Struct:
		if d, ok := v.Interface().(interface{ Seconds() float64 }); ok {
			return time.Duration(d.Seconds() * float64(time.Second)).String()
		}
		out := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
			if name == "" {
				continue
			}
			if s := shape(v.Field(i), name, words); s != nil {
				out[name] = s
			}
		}
		return out
	case reflect.Slice:
		var out []any
		for i := range v.Len() {
			out = append(out, shape(v.Index(i), key, words))
		}
		if out == nil {
			return nil
		}
		return out
	case reflect.String:
		switch text := v.String(); {
		case text == "":
			return nil
		case slices.Contains(choices, key) && words.Has(text):
			return text
		}
		return "set"
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return v.Int()
	}
	return "set"
}

// stock is how much there is of one kind of file.
type stock struct {
	Files   int   `json:"files"`
	Bytes   int64 `json:"bytes"`
	Largest int64 `json:"largest_bytes"`
}

// storeParts are those of an archive's folder that are counted apart.
var storeParts = []string{"log", "bodies", "blobs", "index", "spool"}

// inventory counts an archive's files. Their names have record classes in them
// and stay here.
func inventory(data string) (map[string]*stock, error) {
	out := map[string]*stock{}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return missing(err)
		}
		info, err := d.Info()
		if err != nil {
			return missing(err)
		}
		kind := "other"
		if rel, err := filepath.Rel(data, path); err == nil {
			if top, _, below := strings.Cut(rel, string(filepath.Separator)); below && slices.Contains(storeParts, top) {
				kind = top
			}
		}
		if out[kind] == nil {
			out[kind] = &stock{}
		}
		s := out[kind]
		s.Files, s.Bytes, s.Largest = s.Files+1, s.Bytes+info.Size(), max(s.Largest, info.Size())
		return nil
	})
	return out, err
}

// labelNames are the names of labels whose values are words of the program.
var labelNames = []string{"anchor", "certificate", "class", "code", "endpoint", "goversion", "kind", "le", "op", "outcome", "quantile", "result", "severity", "stage", "status", "step", "version", "way", "what"}

var (
	sampleLine = regexp.MustCompile(`^((?:holdfast|go|process)_[a-z0-9_]+)(?:\{(.*)\})? ([-+0-9.eE]+|NaN|[-+]Inf)$`)
	labelPair  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// scrubMetrics keeps samples of the product's metrics, and of their labels those
// that are words of the program.
func scrubMetrics(text []byte, words Lexicon) []byte {
	var b strings.Builder
	out := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || !knownMetric(m[1], words) {
			out++
			continue
		}
		var pairs []string
		for _, p := range labelPair.FindAllStringSubmatch(m[2], -1) {
			pairs = append(pairs, labelText(p[1], p[2], words))
		}
		b.WriteString(m[1])
		if len(pairs) > 0 {
			b.WriteString("{" + strings.Join(pairs, ",") + "}")
		}
		b.WriteString(" " + m[3] + "\n")
	}
	fmt.Fprintf(&b, "# %d lines left out\n", out)
	return []byte(b.String())
}

func knownMetric(name string, words Lexicon) bool {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && words.Has(base) {
			return true
		}
	}
	return false
}

func labelText(name, value string, words Lexicon) string {
	if !slices.Contains(labelNames, name) {
		return "label=" + strconv.Quote(leftOut)
	}
	if _, err := strconv.ParseFloat(value, 64); err != nil && !words.Has(value) {
		value = leftOut
	}
	return name + "=" + strconv.Quote(value)
}
