package corpus

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	const lines = `{"id":"1","from":"51","to":"unknown","text":"Meet after lunch la..."}` + "\n" + `{"text":"二"}` + "\n"
	plain := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(plain, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	zipped := plain + ".gz"
	f, err := os.Create(zipped)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	z.Write([]byte(lines))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	want := []Line{{Text: "Meet after lunch la...", From: "51", To: "unknown"}, {Text: "二"}}
	for _, path := range []string{plain, zipped} {
		var got []Line
		for l, err := range Open(path) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\"text\":\"a\"}\n{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, wantLines := range map[string]int{bad: 1, bad + ".missing": 0} {
		lines, failed := 0, false
		for _, err := range Open(path) {
			if err != nil {
				failed = true
			} else {
				lines++
			}
		}
		if lines != wantLines || !failed {
			t.Errorf("%s: %d lines, failed %v", filepath.Base(path), lines, failed)
		}
	}
}

func TestGenerate(t *testing.T) {
	a, b := slices.Collect(Generate(5000, 7)), slices.Collect(Generate(5000, 7))
	if !slices.Equal(a, b) {
		t.Fatal("the same seed gave other messages")
	}
	if c := slices.Collect(Generate(5000, 8)); slices.Equal(a, c) {
		t.Fatal("another seed gave the same messages")
	}
	var words []int
	for _, l := range a {
		words = append(words, len(strings.Fields(l.Text)))
	}
	slices.Sort(words)
	median, p95 := words[len(words)/2], words[len(words)*95/100]
	if median < 6 || median > 9 || p95 < 24 || p95 > 36 {
		t.Errorf("median %d words, 95th percentile %d", median, p95)
	}
}
