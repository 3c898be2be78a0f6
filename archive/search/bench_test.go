package search

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"holdfast/archive/query"
	"holdfast/internal/corpus"
)

// benchMessages is how many messages the benchmarks index.
const benchMessages = 100_000

// benchSource is a log of benchMessages real messages when CORPUS names a file
// (as often over as it takes), generated ones otherwise.
func benchSource(b *testing.B) *memSource {
	b.Helper()
	src := newSource(1 << 22)
	docs := make([]*query.Doc, 0, benchMessages)
	add := func(l corpus.Line) bool {
		i := len(docs)
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 1700 * time.Millisecond)
		docs = append(docs, &query.Doc{
			Text:         l.Text,
			From:         query.Parties{{Usr: "u-" + l.From, UPN: l.From + "@ward.example", Name: "Person " + l.From}},
			To:           query.Parties{{Usr: "u-" + l.To, UPN: l.To + "@ward.example", Name: "Person " + l.To}},
			Conversation: query.ConversationRef{ID: "c-" + l.From + "-" + l.To},
			Sent:         at, Received: at.Add(900 * time.Millisecond),
		})
		return len(docs) < benchMessages
	}
	path := os.Getenv("CORPUS")
	if path == "" {
		corpus.Generate(benchMessages, 1)(add)
	}
	for path != "" && len(docs) < benchMessages {
		before := len(docs)
		for l, err := range corpus.Open(path) {
			if err != nil {
				b.Fatal(err)
			}
			if !add(l) {
				break
			}
		}
		if len(docs) == before {
			b.Fatal("the corpus is empty")
		}
	}
	src.append(docs...)
	return src
}

func BenchmarkBuild(b *testing.B) {
	src := benchSource(b)
	for b.Loop() {
		dir := b.TempDir()
		x := openIndex(b, dir, src, Options{})
		start := time.Now()
		catchUp(b, x)
		b.ReportMetric(benchMessages/time.Since(start).Seconds(), "msg/s")
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(dirSize(b, dir))/benchMessages, "index-B/msg")
	}
}

func dirSize(b *testing.B, dir string) (size int64) {
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		size += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// BenchmarkSearch measures the median of searches for the first page of 50, on
// words from frequent to rare.
func BenchmarkSearch(b *testing.B) {
	src := benchSource(b)
	x := openIndex(b, b.TempDir(), src, Options{})
	catchUp(b, x)
	for _, kind := range []struct {
		metric  string
		queries []string
	}{
		{"p50-term-ms", []string{"the", "you", "see", "time", "doctor", "morning", "ward", "tonight"}},
		{"p50-and-ms", []string{"the you", "see you", "good morning", "call doctor", "time tonight", "at the ward"}},
		{"p50-phrase-ms", []string{`"of the"`, `"see you"`, `"good morning"`, `"on the way"`, `"i will"`, `"you are"`}},
	} {
		b.Run(kind.metric, func(b *testing.B) {
			var queries []*query.Query
			for _, s := range kind.queries {
				queries = append(queries, parse(b, s))
			}
			var took []time.Duration
			found := uint64(0)
			for b.Loop() {
				for _, q := range queries {
					start := time.Now()
					r, err := x.Search(context.Background(), q, SearchOptions{Limit: 50})
					took = append(took, time.Since(start))
					if err != nil {
						b.Fatal(err)
					}
					found += r.Total
				}
			}
			if found == 0 {
				b.Fatal("nothing found")
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e6, kind.metric)
			b.ReportMetric(float64(found)/float64(len(took)), "hits/query")
		})
	}
}
