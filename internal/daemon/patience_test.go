package daemon

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/internal/config"
	"holdfast/internal/extract"
)

// Whoever sends attachments that are never read to their end keeps the index
// from their own, for a while, and from nobody else's.
func TestOneSenderDoesNotHoldUpTheIndex(t *testing.T) {
	w := newErasureWard(t, 16)
	w.in2019(func() { w.month(0, 8) })
	w.serve().stop()
	found, err := filepath.Glob(filepath.Join(w.dir, "blobs", "*", "*"+".text"))
	w.must(err)
	for _, path := range found {
		w.must(os.Remove(path))
	}
	w.log, err = archive.Open(t.Context(), w.dir, w.opts)
	w.must(err)
	p, err := newParts(t.Context(), w.log, Options{Config: &config.Config{Data: w.dir}, Extract: extractor, Logger: slog.New(slog.DiscardHandler)})
	w.must(err)
	defer func() { w.must(errors.Join(p.index.Close(), w.log.Close())) }()
	read := func() map[string]int { // texts by sender; 0 for those of whom none is there
		texts := map[string]int{}
		for doc, err := range (docs{p}).Docs(whileReading(t.Context()), 0, w.log.Size()) {
			w.must(err)
			for _, f := range doc.Files {
				if usr := doc.From[0].Usr; f.Text != "" {
					texts[usr]++
				} else if texts[usr] += 0; !f.Unread {
					t.Errorf("%d: nobody has read it, and nobody is told", doc.Seq)
				}
			}
		}
		return texts
	}
	able := p.texts.reader
	p.texts.reader = extract.NewReader(extract.Options{Command: []string{"/bin/sleep", "60"}, Deadline: 50 * time.Millisecond})
	if n := read(); len(p.texts.patient.spent) == 0 {
		t.Fatalf("what hung was not noted: %v", n)
	}
	found, err = filepath.Glob(filepath.Join(w.dir, "blobs", "*", "*"+".text"))
	w.must(err)
	for _, path := range found {
		w.must(os.Remove(path))
	}
	p.texts.reader = able
	all := []string{}
	for usr := range p.texts.patient.spent {
		all = append(all, usr)
	}
	hostile := all[0]
	p.texts.patient.waited(hostile, patienceFor)
	for usr, n := range read() {
		if (n == 0) != (usr == hostile) {
			t.Errorf("%d texts of one of %d senders, whose patience is used up: %v", n, len(all), usr == hostile)
		}
	}
	p.texts.patient.since = time.Now().Add(-patienceEach)
	if n := read()[hostile]; n == 0 {
		t.Error("an hour later it is still not read")
	}
}
