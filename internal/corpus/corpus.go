// Package corpus gives benchmarks and tests a body of short text messages:
// read from a file of JSON lines, or generated with the lengths and word
// frequencies of real ones. Only tests and benchmarks import it.
package corpus

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"strings"
)

// maxLine bounds a line of a corpus file, in bytes.
const maxLine = 1 << 20

// Line is one message. From and To are empty when the file does not name them.
type Line struct {
	Text string `json:"text"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Open reads a .jsonl or .jsonl.gz file, one object with a "text" member a
// line. The first error ends the sequence.
func Open(path string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		f, err := os.Open(path) // #nosec G304 -- for tests; whoever runs them names it
		if err != nil {
			yield(Line{}, err)
			return
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(f)
			if err != nil {
				yield(Line{}, fmt.Errorf("%s: %w", path, err))
				return
			}
			r = z
		}
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		for n := 1; lines.Scan(); n++ {
			var l Line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				yield(Line{}, fmt.Errorf("%s:%d: %w", path, n, err))
				return
			}
			if !yield(l, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Line{}, fmt.Errorf("%s: %w", path, err))
		}
	}
}

// common are the words that a generated corpus always has, most frequent
// first; the rest of its vocabulary is made of syllables.
var common = strings.Fields(`the to i you a and in is it u me my for of that on so
	have at not we be can are do will ok pls no get just with if but up what when
	now go time good thanks see please patient ward call bed doctor pain blood dose
	labs result consult discharge stable review morning tonight nurse chart x-ray
	insulin morphine heparin sodium fever fall family transfer telemetry`)

const (
	vocabulary = 40_000 // distinct words; SMS corpora have about that many
	zipfS      = 1.07   // exponent of the word frequencies

	medianWords = 7.5  // of a message; with wordsSigma the lengths are log-normal
	wordsSigma  = 0.86 // so that one message in twenty has more than 30 words
)

// Generate yields n messages; the same seed gives the same messages. Lengths
// follow those of the NUS SMS corpus: half have at most seven words, one in
// twenty more than thirty.
func Generate(n int, seed uint64) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		rng := rand.New(rand.NewPCG(seed, 0x686f6c6466617374)) // #nosec G404 -- the same messages again are the purpose
		words := makeVocabulary(rng)
		zipf := rand.NewZipf(rng, zipfS, 4, uint64(len(words)-1))
		for range n {
			length := max(1, int(medianWords*math.Exp(wordsSigma*rng.NormFloat64())))
			var b strings.Builder
			for i := range min(length, 120) {
				if i > 0 {
					b.WriteString([]string{" ", " ", " ", " ", " ", " ", ", ", ". ", "... "}[rng.IntN(9)])
				}
				b.WriteString(words[zipf.Uint64()])
			}
			l := Line{Text: b.String(), From: person(rng), To: person(rng)}
			if !yield(l) {
				return
			}
		}
	}
}

// person names one of two thousand people.
func person(rng *rand.Rand) string { return fmt.Sprintf("p%04d", rng.IntN(2000)) }

func makeVocabulary(rng *rand.Rand) []string {
	syllables := strings.Fields("ba ce di fo gu ha ki lo me nu pa ra si to va we xi yo za shi tra ple con der ing")
	words := append([]string(nil), common...)
	seen := map[string]bool{}
	for len(words) < vocabulary {
		var b strings.Builder
		for range 2 + rng.IntN(3) {
			b.WriteString(syllables[rng.IntN(len(syllables))])
		}
		if w := b.String(); !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	return words
}
