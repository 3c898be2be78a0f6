//go:build scale

package search

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestScale asks 200 queries of both corpora in the folder that CORPUS names,
// mixed with messages in other languages, and prints how many the index and the
// oracle answer differently. See make scale.
func TestScale(t *testing.T) {
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Fatal("say where the corpora are: make scale CORPUS=DIR")
	}
	var lines []scaleLine
	for _, name := range []string{"nus-sms-en.jsonl.gz", "mts-dialog-train.jsonl.gz"} {
		lines = append(lines, scaleCorpus(t, filepath.Join(dir, name))...)
	}
	docs := scaleDocs(scaleMixed(lines, 250))
	queries := scaleAsked(docs)
	scaleCovers(t, queries)
	differ := scaleCompare(t, docs, 18_000, 3500, queries)
	fmt.Printf("scale: %d queries, %d messages, %d differ\n", len(queries), len(docs), differ)
	if len(queries) != scaleQueries {
		t.Errorf("these are not %d queries", scaleQueries)
	}
}

func scaleCorpus(t *testing.T, path string) (lines []scaleLine) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("%v; name the folder that holds both corpora", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(z)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var l scaleLine
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		lines = append(lines, l)
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
