package daemon

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/internal/api"
)

// firstStore is a store as the first release wrote it, with its credentials and
// what it held: made once by `go test -tags first -run TestMakeFirstStore
// ./internal/daemon`, never again.
const firstStore = "testdata/first.tar.gz"

// firstFacts is what it holds.
type firstFacts struct {
	Size    uint64            `json:"size"`
	Root    string            `json:"root"` // as archive.Report has it
	Phrases map[string]uint64 `json:"phrases"`
	Holds   int               `json:"holds"`
	Schema  uint32            `json:"schema"`
}

// unpackFirst puts the store into the ward's folder in place of its own.
func (w *ward) unpackFirst() (facts firstFacts) {
	w.t.Helper()
	for _, own := range []string{"data", "cred"} {
		if err := os.RemoveAll(w.path(own)); err != nil {
			w.t.Fatal(err)
		}
	}
	f, err := os.Open(firstStore)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			w.t.Error(err)
		}
	}()
	z, err := gzip.NewReader(f)
	if err != nil {
		w.t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || !filepath.IsLocal(h.Name) {
			w.t.Fatal(h, err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			w.t.Fatal(err)
		}
		switch {
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(w.path(h.Name), 0o700)
		case h.Name == "facts.json":
			err = json.Unmarshal(text, &facts)
		default:
			err = os.WriteFile(w.path(h.Name), text, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return facts
}

// A store that the first release wrote opens with this one: every entry as it
// was, what was said is found, what was decided is in force, and it goes on.
func TestFirstReleaseOpens(t *testing.T) {
	w := newWard(t)
	facts := w.unpackFirst()
	w.config.Relay = nil // it knows another archive
	if n, err := archive.SchemaOf(w.path("data")); err != nil || n != facts.Schema || n > archive.Schema {
		t.Fatalf("schema %d, %v", n, err)
	}
	a := w.open()
	report, err := a.Check(t.Context(), archive.CheckOptions{Bodies: true})
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Size != facts.Size || report.Root != facts.Root {
		t.Fatalf("%+v; size %d and root %s were due", report, facts.Size, facts.Root)
	}
	w.start()
	for phrase, n := range facts.Phrases {
		if got := w.search(phrase, 1); got.Total != n {
			t.Errorf("%d of %d hits", got.Total, n)
		}
	}
	holds, err := w.client.Holds(t.Context(), api.HoldsRequest{})
	if err != nil || len(holds.Holds) != facts.Holds {
		t.Errorf("%d holds, %v; %d were due", len(holds.Holds), err, facts.Holds)
	}
	w.stop()
	if strings.Contains(w.logs.String(), "level=ERROR") {
		t.Error(w.logs)
	}
	a = w.open()
	report, err = a.Check(t.Context(), archive.CheckOptions{Bodies: true})
	if err := errors.Join(err, a.Close()); err != nil || !report.OK() || report.Size <= facts.Size {
		t.Errorf("after it was used: %+v, %v", report, err)
	}
}
