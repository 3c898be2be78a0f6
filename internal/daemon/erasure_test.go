package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/seal"
	"holdfast/archive/search"
)

// erasureProof is what was looked for and found.
type erasureProof struct {
	sought, before, after int      // canaries of what was disposed of
	lost                  int      // canaries of survivors that are not found after it
	read                  int64    // bytes, of all scans
	opened, pieces        int      // with the old copy and the new keyring: records, index pieces and attachments that held such a canary
	readable              int      // canaries found in it so, wherever
	where                 []string // of the first few that were found and must not be
}

// String is the line that is printed.
func (p *erasureProof) String() string {
	return fmt.Sprintf("erasure: canaries %d, found before %d, found after %d, bytes read %d; old copy with new keyring: opened %d of %d",
		p.sought, p.before, p.after, p.read, p.opened, p.pieces)
}

// ok reports whether it proves that everything is gone, and that it would have
// been found.
func (p *erasureProof) ok() bool {
	return p.sought > 0 && p.before == p.sought && p.after == 0 && p.lost == 0 && p.pieces > 0 && p.opened == 0 && p.readable == 0
}

// prove compares a data directory from before a disposition with the one from
// after it, and opens the former with the latter's keyrings. before is a scan
// of the former.
func (w *erasureWard) prove(before *scan, after string, gone, kept []string) *erasureProof {
	w.t.Helper()
	now := scanData(w.t, after, w.holds, os.TempDir(), w.logFolder())
	mixed := filepath.Join(w.t.TempDir(), "old")
	copyData(w.t, before.dir, mixed)
	keyrings, err := filepath.Glob(filepath.Join(after, "keyring*"))
	w.must(err)
	stale, err := filepath.Glob(filepath.Join(mixed, "keyring*"))
	w.must(err)
	for _, path := range stale {
		w.must(os.Remove(path))
	}
	for _, path := range keyrings {
		b, err := os.ReadFile(path)
		w.must(err)
		w.must(os.WriteFile(filepath.Join(mixed, filepath.Base(path)), b, 0o600))
	}
	old := scanData(w.t, mixed, w.holds)
	p := &erasureProof{sought: len(gone), read: before.read + now.read + old.read}
	dead := map[string]bool{}
	for _, c := range gone {
		dead[c] = true
		if w.foundWhole(before, c) {
			p.before++
		}
		if at := now.found[c]; len(at) > 0 {
			p.after++
			p.where = append(p.where, fmt.Sprint("after it, in ", at))
		}
		if at := old.found[c]; len(at) > 0 {
			p.readable++
			p.where = append(p.where, fmt.Sprint("in the old copy, in ", at))
		}
	}
	for _, c := range kept {
		if !w.foundWhole(now, c) {
			p.lost++
		}
	}
	for at, canaries := range before.pieces {
		for _, c := range canaries {
			if !dead[c] {
				continue
			}
			p.pieces++
			if _, opens := old.pieces[at]; opens {
				p.opened++
				p.where = append(p.where, fmt.Sprintf("%+v opens", at))
			}
			break
		}
	}
	if len(p.where) > 5 {
		p.where = p.where[:5]
	}
	return p
}

// foundWhole reports whether a scan found a canary wherever it belongs, so that
// none of the ways of looking is blind.
func (w *erasureWard) foundWhole(s *scan, canary string) bool {
	at := s.found[canary]
	if w.filed[canary] {
		return at[inBlob] && at[inText] && at[inIndex] && at[inPostings]
	}
	if w.indexed[canary] {
		return at[inRecord] && at[inIndex] && at[inPostings]
	}
	return at[inRecord] || at[inBlob]
}

// logFolder puts what the daemon logged into a folder of its own.
func (w *erasureWard) logFolder() string {
	dir := w.t.TempDir()
	w.must(os.WriteFile(filepath.Join(dir, "log"), []byte(w.logs.String()), 0o600))
	return dir
}

// copyData copies a data directory with the holes of its files.
func copyData(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the running daemon removed it meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(to, name), 0o700))
		}
		b, size, err := readData(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		out, err := os.Create(filepath.Join(to, name))
		if err != nil {
			return err
		}
		_, err = out.Write(b)
		return errors.Join(err, out.Truncate(size), out.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// erasureRun is an archive before and after something was disposed of.
type erasureRun struct {
	*erasureWard
	before     *scan
	gone, kept []string
	stays      []bool
}

// newErasureRun makes an archive of the past and of now, and disposes of
// everything that is due; some of now it erases.
func newErasureRun(t *testing.T, months, messages int) *erasureRun {
	t.Helper()
	w := newErasureWard(t, 16)
	order := w.past(months, messages)
	return w.around(w.stays(order...), func(s *serving) { s.dispose(); s.erase(order...) })
}

// past fills the archive, and returns what a court will have erased.
func (w *erasureWard) past(months, messages int) []*saying {
	w.t.Helper()
	w.in2019(func() {
		for m := range months {
			w.month(m, messages)
		}
		// One that is held forwards the attachment of one that goes.
		w.say(months-1, erasureSender, nil, w.said[0].files[0])
	})
	s := w.serve()
	s.begin()
	var now []*saying
	for range 6 {
		now = append(now, w.say(-1, "u1", nil))
	}
	s.indexedAll()
	s.stop()
	return now[1:3]
}

// around copies and scans the archive, which nobody has open, and has act
// dispose of what does not stay.
func (w *erasureWard) around(stays []bool, act func(s *serving)) *erasureRun {
	w.t.Helper()
	r := &erasureRun{erasureWard: w, stays: stays}
	r.gone, r.kept = w.fates(stays)
	old := filepath.Join(w.t.TempDir(), "before")
	copyData(w.t, w.dir, old)
	r.before = scanData(w.t, old, w.holds, os.TempDir(), w.logFolder())
	s := w.serve()
	act(s)
	// Nothing may be left at once, not only after everything was closed.
	running := filepath.Join(w.t.TempDir(), "running")
	copyData(w.t, w.dir, running)
	s.indexedAll()
	r.compare(s)
	s.stop()
	at := scanBytes(w.t, running, w.holds)
	for _, c := range r.gone {
		if len(at.found[c]) > 0 {
			w.t.Errorf("when the run had ended, a canary stood in %v", at.found[c])
		}
	}
	return r
}

// compare compares what the archive says of each entry with what the test
// expects.
func (r *erasureRun) compare(s *serving) {
	r.t.Helper()
	for i, said := range r.said {
		_, err := s.archive.Record(r.t.Context(), said.seq)
		switch {
		case r.stays[i] && err != nil:
			r.t.Errorf("entry %d, which stays: %v", said.seq, err)
		case !r.stays[i] && !errors.Is(err, archive.ErrDisposed):
			r.t.Errorf("entry %d, which goes: %v", said.seq, err)
		}
	}
	// A survivor is found by the index, which was built anew, and not by scanning.
	for _, c := range r.kept {
		if found := r.search(s, c); r.indexed[c] && (found.Total == 0 || found.Unindexed != 0) {
			r.t.Errorf("a survivor is not found: %+v", found)
		}
	}
	for _, c := range r.gone {
		if found := r.search(s, c); found.Total != 0 || found.Unindexed != 0 {
			r.t.Errorf("what went is found: %+v", found)
		}
	}
}

func (r *erasureRun) search(s *serving, canary string) search.Result {
	r.t.Helper()
	q, err := query.Parse(canary + " OR conversation:" + canary)
	r.must(err)
	found, err := s.index.Search(r.t.Context(), q, search.SearchOptions{Limit: 1})
	r.must(err)
	return found
}

// Nothing of what was disposed of or erased is left in search, index, blobs,
// spool and free pages; nor does the keyring from after open anything of it in
// a copy from before.
func TestErasure(t *testing.T) {
	r := newErasureRun(t, 2, 8)
	p := r.prove(r.before, r.dir, r.gone, r.kept)
	t.Log(p)
	if !p.ok() {
		t.Fatalf("%+v", p)
	}
	t.Run("files", r.filesGone)
	for name, tamper := range tampers {
		t.Run("a scan sees "+name, func(t *testing.T) {
			sub := *r
			ward := *r.erasureWard
			ward.t, sub.erasureWard = t, &ward
			dir := filepath.Join(t.TempDir(), "after")
			copyData(t, r.dir, dir)
			tamper(&sub, dir)
			if p := sub.prove(r.before, dir, r.gone, r.kept); p.ok() || p.after+p.opened+p.readable == 0 {
				t.Errorf("not seen: %+v", p)
			}
		})
	}
}

// What is erased goes from the index that covers its seq also where a file of
// the log was closed before it was full, so that the log's files and the
// indexes cover different seqs.
func TestErasureWhereLogFilesCloseEarly(t *testing.T) {
	const leaves = 32
	w := newErasureWard(t, leaves)
	var erased *saying
	w.in2019(func() {
		// The log's file 1 begins at 28 and file 2 at 60; the index's at 32 and at 64.
		for _, size := range []uint64{28, 38, 58} {
			w.append(slices.Repeat([]archive.Entry{{Kind: proof.KindStart, Class: proof.ClassControl, Body: []byte("{}")}}, int(size-w.log.Size()))...)
		}
		for w.log.Size() < 68 {
			if s := w.say(-1, "u1", nil); s.seq == 61 {
				erased = s
			}
		}
	})
	s := w.serve()
	s.begin()
	s.indexedAll()
	s.stop()
	r := w.around(w.stays(erased), func(s *serving) { s.erase(erased) })
	for at, canaries := range r.before.pieces {
		if at.what == inIndex && slices.ContainsFunc(canaries, func(c string) bool { return slices.Contains(r.gone, c) }) &&
			!strings.HasPrefix(at.path, "index/000001/") {
			t.Fatalf("the index of %d is not where the test expects it: %s", erased.seq, at.path)
		}
	}
	if p := r.prove(r.before, r.dir, r.gone, r.kept); !p.ok() {
		t.Fatalf("%+v", p)
	}
}

// filesGone checks that no file of a former generation, of a destroyed index or
// of an attachment that went is there any more, besides not opening.
func (r *erasureRun) filesGone(t *testing.T) {
	dead := map[string]bool{}
	for _, c := range r.gone {
		dead[c] = true
	}
	var unlinked int
	for at, canaries := range r.before.pieces {
		for _, c := range canaries {
			if !dead[c] {
				continue
			}
			unlinked++
			b, _, err := readData(filepath.Join(r.dir, at.path))
			if err == nil && bytes.Equal(b, r.before.files[at.path]) {
				t.Errorf("%s is there as it was", at.path)
			} else if err == nil && !strings.HasSuffix(at.path, ".zap") || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", at.path, err)
			}
		}
	}
	if unlinked == 0 {
		t.Error("nothing was looked for")
	}
}

// ring returns a directory's keyring.
func (w *erasureWard) ring(dir string) (*seal.Keyring, string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "identity.json"))
	w.must(err)
	id, err := proof.ParseIdentity(text)
	w.must(err)
	b, err := os.ReadFile(filepath.Join(dir, "keyring"))
	w.must(err)
	ring, err := seal.Unwrap(b, w.holds.master, id.Origin)
	w.must(err)
	return ring, id.Origin
}

// rewrap changes a directory's keyring.
func (w *erasureWard) rewrap(dir string, change func(ring *seal.Keyring)) {
	w.t.Helper()
	ring, origin := w.ring(dir)
	change(ring)
	b, err := ring.Wrap(w.holds.master, origin)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(dir, "keyring"), b, 0o600))
}

// put puts a file of the directory from before into another.
func (r *erasureRun) put(dir, path string, b []byte) {
	r.t.Helper()
	r.must(os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
	r.must(os.WriteFile(filepath.Join(dir, path), b, 0o600))
}

// holding returns the path of a file from before that has a canary of what went
// in a kind of place, and the key of its body file.
func (r *erasureRun) holding(what string, not func(path string) bool) place {
	r.t.Helper()
	for _, c := range r.gone {
		for at, canaries := range r.before.pieces {
			for _, have := range canaries {
				if have == c && at.what == what && !not(at.path) {
					return at
				}
			}
		}
	}
	r.t.Fatalf("nothing in a %s went", what)
	return place{}
}

func bodyOf(path string) string { return strings.TrimSuffix(filepath.Base(path), ".db") }
