package peers

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"holdfast/archive/query"
	"holdfast/internal/corpus"
)

// message is what every peer indexes.
type message struct {
	text, from, to string
	sent           time.Time
}

// number reads a count from the environment.
func number(name string, otherwise int) (int, error) {
	s := os.Getenv(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s is no count", name)
	}
	return n, nil
}

func messageCount() (int, error) { return number("MESSAGES", 50_000) }

// readMessages makes MESSAGES messages over 84 months: those of CORPUS, a file
// or a folder, as often over as it takes, or generated ones.
func readMessages() ([]message, error) {
	n, err := messageCount()
	if err != nil {
		return nil, err
	}
	var lines []corpus.Line
	if path := os.Getenv("CORPUS"); path == "" {
		lines = slices.AppendSeq(lines, corpus.Generate(n, 1))
	} else if lines, err = readCorpus(path); err != nil {
		return nil, err
	}
	begin := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	step := begin.AddDate(0, 84, 0).Sub(begin) / time.Duration(n)
	messages := make([]message, n)
	for i := range messages {
		l := lines[i%len(lines)]
		messages[i] = message{
			text: l.Text, sent: begin.Add(time.Duration(i) * step),
			from: cmp.Or(l.From, fmt.Sprintf("p%04d", i*7919%2000)), to: cmp.Or(l.To, fmt.Sprintf("p%04d", i*104729%2000)),
		}
	}
	return messages, nil
}

func readCorpus(path string) (lines []corpus.Line, err error) {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.jsonl.gz")); err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		for l, err := range corpus.Open(file) {
			if err != nil {
				return nil, err
			}
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: the corpus is empty", path)
	}
	return lines, nil
}

// asked is a query: its words anywhere in a message, as a phrase, or at most
// near words apart.
type asked struct {
	words  []string
	phrase bool
	near   int
}

// The kinds of queries, in the order in which they are asked.
const (
	selectiveTerm = "selective term"
	and           = "AND"
	commonTerm    = "common term"
	commonPhrase  = "common phrase"
	near          = "NEAR(5)"
)

var kinds = []string{selectiveTerm, and, commonTerm, commonPhrase, near}

// makeQueries takes 20 queries of each kind from the words of a sample.
func makeQueries(messages []message) map[string][]asked {
	words, pairs := map[string]int{}, map[[2]string]int{}
	sample := messages[:min(len(messages), 60_000)]
	for _, m := range sample {
		tokens := slices.DeleteFunc(query.Words(m.text), func(w string) bool { return !simple(w) })
		for i := 1; i < len(tokens); i++ {
			pairs[[2]string{tokens[i-1], tokens[i]}]++
		}
		slices.Sort(tokens)
		for _, w := range slices.Compact(tokens) {
			words[w]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(words), func(a, b string) int { return cmp.Or(words[b]-words[a], cmp.Compare(a, b)) })
	phrases := slices.SortedFunc(maps.Keys(pairs), func(a, b [2]string) int {
		return cmp.Or(pairs[b]-pairs[a], cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	rare := frequent[slices.IndexFunc(frequent, func(w string) bool { return words[w] <= max(2, len(sample)/10_000) }):]
	of := map[string][]asked{}
	for i := range 20 {
		of[selectiveTerm] = append(of[selectiveTerm], asked{words: []string{rare[i*7]}})
		of[and] = append(of[and], asked{words: []string{frequent[100+i], frequent[200+i*3]}})
		of[commonTerm] = append(of[commonTerm], asked{words: []string{frequent[i]}})
		of[commonPhrase] = append(of[commonPhrase], asked{words: phrases[i][:], phrase: true})
		of[near] = append(of[near], asked{words: []string{frequent[i], frequent[20+i]}, near: 5})
	}
	return of
}

// simple says whether every peer takes a word for the same one.
func simple(word string) bool {
	return len(word) > 1 && !slices.ContainsFunc([]byte(word), func(c byte) bool { return c < 'a' || c > 'z' })
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// settled returns the size of a folder once it stays the same.
func settled(dir string) (int64, error) {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for last := int64(-1); ; <-tick.C {
		size := int64(0)
		err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if os.IsNotExist(err) {
				return nil // merged meanwhile
			}
			if err == nil {
				size += info.Size()
			}
			return err
		})
		if err != nil || size == last {
			return size, err
		}
		last = size
	}
}
