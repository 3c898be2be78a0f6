package search

import (
	"testing"

	"holdfast/internal/corpus"
)

// The index gives what a plain reading of QUERY.md gives, which shares no code
// with it but the parser: on generated messages here, on real ones by make
// scale.
func TestEqualsOracle(t *testing.T) {
	t.Parallel()
	lines := make([]scaleLine, 0, 800)
	for l := range corpus.Generate(800, 5) {
		lines = append(lines, scaleLine{Text: l.Text, From: l.From, To: l.To})
	}
	docs := scaleDocs(scaleMixed(lines, 9))
	queries := scaleAsked(docs)
	scaleCovers(t, queries)
	if differ := scaleCompare(t, docs, 250, 160, queries); differ > 0 || len(queries) != scaleQueries {
		t.Errorf("%d queries of %d differ", differ, len(queries))
	}
}

// scaleMixed puts the strange messages among the lines, one after every so many.
func scaleMixed(lines []scaleLine, every int) (all []scaleLine) {
	for i := 0; len(lines) > 0; i++ {
		n := min(every, len(lines))
		all = append(append(all, lines[:n]...), scaleLine{Text: scaleStrange[i%len(scaleStrange)]})
		lines = lines[n:]
	}
	return all
}
