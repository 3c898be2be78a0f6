package search

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"holdfast/archive/query"
	"holdfast/internal/corpus"
)

// How much the benchmarks index: as many messages as a hospital of some size
// sends in seven years, unless MESSAGES says another number.
const (
	benchMessages = 1_000_000
	benchMonths   = 84
)

// Targets of the benchmarks: medians of the first 50 hits with exact totals,
// messages indexed a second, and bytes a message once bleve has merged.
const (
	targetTerm   = 2 * time.Millisecond
	targetAnd    = 2 * time.Millisecond
	targetCommon = 10 * time.Millisecond
	targetPhrase = 40 * time.Millisecond
	targetNear   = 60 * time.Millisecond
	targetBuild  = 5000
	targetBytes  = 1000
)

// benchLines reads the messages of CORPUS, a file or a folder of such; generated
// ones when it is empty.
func benchLines(b *testing.B, n int) (lines []corpus.Line) {
	b.Helper()
	path := os.Getenv("CORPUS")
	if path == "" {
		corpus.Generate(n, 1)(func(l corpus.Line) bool {
			lines = append(lines, l)
			return true
		})
		return lines
	}
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		b.Fatal(err)
	} else if info.IsDir() {
		files, _ = filepath.Glob(filepath.Join(path, "*.jsonl.gz"))
	}
	for _, file := range files {
		for l, err := range corpus.Open(file) {
			if err != nil {
				b.Fatal(err)
			}
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		b.Fatal("the corpus is empty")
	}
	return lines
}

// benchSource is a log of messages over benchMonths, the corpus as often over as
// it takes.
func benchSource(b *testing.B) *memSource {
	b.Helper()
	n := benchMessages
	if s := os.Getenv("MESSAGES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	lines := benchLines(b, n)
	begin := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	step := begin.AddDate(0, benchMonths, 0).Sub(begin) / time.Duration(n)
	src := newSource(1 << 22)
	docs := make([]*query.Doc, n)
	for i := range docs {
		l := lines[i%len(lines)]
		if l.From == "" {
			l.From = fmt.Sprintf("p%04d", i*7919%2000)
		}
		if l.To == "" {
			l.To = fmt.Sprintf("p%04d", i*104729%2000)
		}
		person := func(name string) query.Parties {
			return query.Parties{{Usr: "u-" + name, UPN: name + "@ward.example", Mail: name + "@ward.example", Name: "Person " + name}}
		}
		at := begin.Add(time.Duration(i) * step)
		docs[i] = &query.Doc{
			Text: l.Text, Typ: "msg", Prio: "routine", Lang: "en", From: person(l.From), To: person(l.To),
			Conversation: query.ConversationRef{ID: "c-" + l.From + "-" + l.To, Kind: "direct"},
			Sent:         at, Received: at.Add(900 * time.Millisecond),
			Digest: sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))),
		}
		docs[i].Members = slices.Concat(docs[i].From, docs[i].To)
		if i%20 == 0 {
			docs[i].Files = []query.File{{Name: fmt.Sprintf("scan %d.jpg", i), Unread: true}}
		}
	}
	src.append(docs...)
	return src
}

func dirSize(b *testing.B, dir string) (size int64) {
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if os.IsNotExist(err) {
			return nil // merged meanwhile
		}
		size += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// settled returns the size of an index once it stays the same.
func settled(b *testing.B, dir string) int64 {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for size := dirSize(b, dir); ; {
		<-tick.C
		now := dirSize(b, dir)
		if now == size {
			return size
		}
		size = now
	}
}

// benchQueries are queries made of a log's own words, from a sample.
func benchQueries(src *memSource) map[string][]string {
	words, pairs := map[string]int{}, map[string]int{}
	sample := src.docs[:min(len(src.docs), 60_000)]
	for _, d := range sample {
		seen := map[string]bool{}
		last := ""
		for _, w := range query.Words(d.Text) {
			if last != "" && !seen[last+" "+w] {
				seen[last+" "+w] = true
				pairs[last+" "+w]++
			}
			if !seen[w] {
				seen[w] = true
				words[w]++
			}
			last = w
		}
	}
	byCount := func(of map[string]int) []string {
		return slices.SortedFunc(maps.Keys(of), func(a, b string) int {
			if c := of[b] - of[a]; c != 0 {
				return c
			}
			return len(a) - len(b)
		})
	}
	frequent, phrases := byCount(words), byCount(pairs)
	rare := frequent[slices.IndexFunc(frequent, func(w string) bool { return words[w] <= max(2, len(sample)/10_000) }):]
	of := map[string][]string{}
	for i := range 20 {
		of["term"] = append(of["term"], rare[i*7])
		of["and"] = append(of["and"], frequent[i]+" "+rare[i*11], frequent[100+i]+" "+frequent[200+i*3])
		of["common-term"] = append(of["common-term"], frequent[i])
		of["common-and"] = append(of["common-and"], frequent[i]+" "+frequent[20+i])
		of["common-phrase"] = append(of["common-phrase"], `"`+phrases[i]+`"`)
		of["near"] = append(of["near"], frequent[i]+" NEAR(5) "+frequent[20+i])
		of["prefix"] = append(of["prefix"], (frequent[300+i] + "in")[:2]+"*")
		of["infix"] = append(of["infix"], "*"+(frequent[300+i] + "ing")[:3]+"*")
		of["fuzzy"] = append(of["fuzzy"], frequent[400+i]+"ing~1")
	}
	return of
}

// cpuTime is what the process has worked: on a machine that does other things
// besides, it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIndex builds the index once and then searches it for the first 50
// hits. Each metric stands beside its target. INDEX names a folder in which the
// index is kept for the next run.
func BenchmarkIndex(b *testing.B) {
	src := benchSource(b)
	dir := os.Getenv("INDEX")
	if dir == "" {
		dir = b.TempDir()
	}
	x := openIndex(b, dir, src, Options{})
	n, lag := float64(len(src.docs)), float64(x.Lag())
	start, worked := time.Now(), cpuTime()
	catchUp(b, x)
	took, worked := time.Since(start), cpuTime()-worked
	size := float64(settled(b, dir)) / n
	b.Run("build", func(b *testing.B) {
		for b.Loop() { // it was built once, above
		}
		if lag > 0 {
			b.ReportMetric(lag/took.Seconds(), "msg/s")
			b.ReportMetric(lag/worked.Seconds(), "msg/cpu-s")
			b.ReportMetric(targetBuild, "target-msg/s")
		}
		b.ReportMetric(size, "index-B/msg")
		b.ReportMetric(targetBytes, "target-B/msg")
	})
	queries := benchQueries(src)
	for _, kind := range []struct {
		name   string
		target time.Duration
		opts   SearchOptions
	}{
		{"term", targetTerm, SearchOptions{Limit: 50}},
		{"and", targetAnd, SearchOptions{Limit: 50}},
		{"common-term", targetCommon, SearchOptions{Limit: 50}},
		{"common-and", 0, SearchOptions{Limit: 50}},
		{"common-term", 0, SearchOptions{Limit: 50, Sort: BySent}},
		{"common-phrase", targetPhrase, SearchOptions{Limit: 50}},
		{"near", targetNear, SearchOptions{Limit: 50}},
		{"prefix", 0, SearchOptions{Limit: 50}},
		{"infix", 0, SearchOptions{Limit: 50}},
		{"fuzzy", 0, SearchOptions{Limit: 50}},
	} {
		name := kind.name
		if kind.opts.Sort == BySent {
			name += "-by-sent"
		}
		b.Run(name, func(b *testing.B) { benchSearch(b, x, queries[kind.name], kind.opts, kind.target) })
	}
}

func benchSearch(b *testing.B, x *Index, texts []string, opts SearchOptions, target time.Duration) {
	var queries []*query.Query
	for _, s := range texts {
		q, err := query.Parse(s)
		if err != nil {
			continue // a word of the corpus that is no query
		}
		queries = append(queries, q)
		if _, err := x.Search(context.Background(), q, opts); err != nil { // dictionaries and columns are read once
			b.Fatal(err)
		}
	}
	var took []time.Duration
	found, worked := uint64(0), cpuTime()
	for b.Loop() {
		for _, q := range queries {
			start := time.Now()
			r, err := x.Search(context.Background(), q, opts)
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
	worked = cpuTime() - worked
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100])/1e6, "p95-ms")
	if target > 0 {
		b.ReportMetric(float64(target)/1e6, "target-ms")
	}
	b.ReportMetric(float64(worked)/float64(len(took))/1e6, "cpu-ms/query")
	b.ReportMetric(float64(found)/float64(len(took)), "hits/query")
}
