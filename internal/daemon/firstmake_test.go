//go:build first

package daemon

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"holdfast/archive"
	"holdfast/internal/api"
)

// TestMakeFirstStore makes the store of TestFirstReleaseOpens. It was run for
// the first release, and refuses to replace what it made.
func TestMakeFirstStore(t *testing.T) {
	if _, err := os.Stat(firstStore); err == nil {
		t.Fatal("the first release's store is there: it is never made again")
	}
	w := newWard(t)
	w.start()
	said := lines(60)
	w.load(said)
	w.acked()
	facts := firstFacts{Phrases: map[string]uint64{}, Holds: 1, Schema: archive.Schema}
	for _, phrase := range phrases(said)[:3] {
		facts.Phrases[phrase] = w.search(phrase, 1).Total
	}
	if _, err := w.client.OpenMatter(t.Context(), api.OpenMatterRequest{ID: "M-1", Members: []string{"uid:0"}, Reason: "the first release"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.PlaceHold(t.Context(), api.PlaceHoldRequest{Matter: "M-1", Scope: api.ScopeRequest{All: true}, Reason: "the first release"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.PauseIngest(t.Context(), api.PauseRequest{Reason: "the first release"}); err != nil {
		t.Fatal(err)
	}
	w.stop()
	a := w.open()
	report, err := a.Check(t.Context(), archive.CheckOptions{Bodies: true})
	if err := errors.Join(err, a.Close()); err != nil || !report.OK() {
		t.Fatal(report, err)
	}
	facts.Size, facts.Root = report.Size, report.Root
	if err := pack(w, facts); err != nil {
		t.Fatal(err)
	}
}

// pack writes the store as it lies there, without what a start makes anew.
func pack(w *ward, facts firstFacts) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	out := tar.NewWriter(z)
	put := func(name string, kind byte, text []byte) error {
		err := out.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Mode: 0o600, Size: int64(len(text))})
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	}
	text, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	if err := put("facts.json", tar.TypeReg, text); err != nil {
		return err
	}
	for _, top := range []string{"data", "cred"} {
		err := filepath.WalkDir(w.path(top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(w.dir, path)
			switch {
			case err != nil:
				return err
			case d.Name() == "reserve" || d.Name() == "lock" || name == filepath.Join("data", "index"):
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			case d.IsDir():
				return put(name, tar.TypeDir, nil)
			case !d.Type().IsRegular():
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return put(name, tar.TypeReg, text)
		})
		if err != nil {
			return err
		}
	}
	if err := errors.Join(out.Close(), z.Close()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(firstStore), 0o755); err != nil {
		return err
	}
	return os.WriteFile(firstStore, b.Bytes(), 0o644)
}
