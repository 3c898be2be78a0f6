package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/durable"
)

// benchEntries is how many messages of 700 bytes the archive has to begin with.
const benchEntries = 200_000

// BenchmarkBackupDuringIngest makes backups while pages of 100 messages are
// appended: ten pages a second, a hundred times what a large hospital writes, or
// one after the other without a break. It reports the longest time that a page
// waited for the first backup, which opens every body, and for the next, which
// opens what came since; beside them the longest without a backup, and with a
// plain copy: the same folder, file by file, each synced at its end, in the same
// run. Bytes a second are those of the objects written.
func BenchmarkBackupDuringIngest(b *testing.B) {
	b.Run("1000/s", func(b *testing.B) { benchDuringIngest(b, 100*time.Millisecond) })
	b.Run("flat-out", func(b *testing.B) { benchDuringIngest(b, 0) })
}

func benchDuringIngest(b *testing.B, every time.Duration) {
	w := newWard(b)
	check(b, w.Close())
	w.options.LogFileLeaves = benchEntries / 2
	w.open()
	for w.relay < benchEntries {
		w.append(benchPage(w, 4000))
	}
	feed := &benchFeed{w: w, every: every, stop: make(chan struct{}), done: make(chan struct{})}
	go feed.run(b)
	quiet, _, quietRate := feed.during(b, func() (int64, error) {
		<-time.After(3 * time.Second)
		return 0, nil
	})
	home := filepath.Dir(w.dir)
	plain, plainMBs, _ := feed.during(b, func() (int64, error) { return plainCopy(w.dir, filepath.Join(home, "plain")) })
	o := w.backup()
	written := func() (int64, error) {
		r, err := Make(context.Background(), o)
		if err != nil {
			return 0, err
		}
		return r.Written, nil
	}
	var first, firstMBs, pause, mbs, rate float64
	for i := 0; b.Loop(); i++ {
		o.To = filepath.Join(home, fmt.Sprint("to", i))
		check(b, os.Mkdir(o.To, 0o700))
		p, m, _ := feed.during(b, written)
		first, firstMBs = max(first, p), max(firstMBs, m)
		p, m, rate = feed.during(b, written)
		pause, mbs = max(pause, p), max(mbs, m)
	}
	close(feed.stop)
	<-feed.done
	b.ReportMetric(first, "first-pause-ms")
	b.ReportMetric(pause, "pause-ms")
	b.ReportMetric(quiet, "quiet-ms")
	b.ReportMetric(plain, "plain-pause-ms")
	b.ReportMetric(firstMBs, "first-MB/s")
	b.ReportMetric(mbs, "MB/s")
	b.ReportMetric(plainMBs, "plain-MB/s")
	b.ReportMetric(rate, "msg/s")
	b.ReportMetric(quietRate, "quiet-msg/s")
}

// benchFeed appends pages until it is stopped.
type benchFeed struct {
	w              *ward
	every          time.Duration // a page; 0: without a break
	stop, done     chan struct{}
	longest, pages atomic.Int64
}

func (f *benchFeed) run(b *testing.B) {
	defer close(f.done)
	for begun := time.Now(); ; begun = time.Now() {
		select {
		case <-f.stop:
			return
		default:
		}
		p := benchPage(f.w, 100)
		asked := time.Now()
		if _, err := f.w.Append(context.Background(), p); err != nil {
			b.Error(err)
			return
		}
		f.pages.Add(1)
		f.longest.Store(max(f.longest.Load(), int64(time.Since(asked))))
		<-time.After(f.every - time.Since(begun))
	}
}

// during returns the longest wait of a page while do runs, the bytes a second
// that do moved, and the messages a second.
func (f *benchFeed) during(b *testing.B, do func() (int64, error)) (ms, mbs, rate float64) {
	f.longest.Store(0)
	f.pages.Store(0)
	begun := time.Now()
	n, err := do()
	check(b, err)
	took := time.Since(begun).Seconds()
	return float64(f.longest.Load()) / 1e6, float64(n) / 1e6 / took, 100 * float64(f.pages.Load()) / took
}

// BenchmarkBackupOfFinishedFiles makes whole backups of a store nearly all of
// which is finished: attachments of 4 MB. It reports the bytes a second beside
// those of a plain copy of the same files, each synced at its end, and of one
// that reads each of them again from the disk and hashes it, as a backup does.
func BenchmarkBackupOfFinishedFiles(b *testing.B) {
	w := newWard(b)
	w.append(w.page(10))
	content := make([]byte, 4<<20)
	for i := range 64 {
		rand.Read(content)
		check(b, w.PutBlob(context.Background(), fmt.Sprint("attachment ", i), sha256.Sum256(content), bytes.NewReader(content)))
	}
	folder := func(name string) string {
		dir := filepath.Join(filepath.Dir(w.dir), name)
		check(b, os.Mkdir(dir, 0o700))
		return dir
	}
	rate := func(n int64, since time.Time) float64 { return float64(n) / 1e6 / time.Since(since).Seconds() }
	begun := time.Now()
	n, err := plainCopy(filepath.Join(w.dir, "blobs"), folder("plain"))
	check(b, err)
	plain := rate(n, begun)
	check(b, readAgain(filepath.Join(filepath.Dir(w.dir), "plain")))
	verified := rate(n, begun)
	var best float64
	for i := 0; b.Loop(); i++ {
		o := w.backup()
		o.To = folder(fmt.Sprint("to", i)) // each has nothing yet
		begun := time.Now()
		r, err := Make(context.Background(), o)
		check(b, err)
		best = max(best, rate(r.Bytes, begun))
	}
	b.ReportMetric(best, "MB/s")
	b.ReportMetric(plain, "plain-MB/s")
	b.ReportMetric(verified, "plain-verified-MB/s")
}

// readAgain reads every file of a folder from the disk, and hashes it.
func readAgain(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := durable.Settle(path); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(sha256.New(), f)
		return errors.Join(err, f.Close())
	})
}

func benchPage(w *ward, n int) archive.Batch {
	b := archive.Batch{Cursor: &archive.Cursor{Epoch: "e1", Seq: w.relay + uint64(n)}}
	for range n {
		w.relay++
		body := make([]byte, 700)
		rand.Read(body)
		b.Entries = append(b.Entries, archive.Entry{
			Kind: proof.KindMessage, Class: "general", Epoch: "e1", RelaySeq: w.relay, Body: body, Note: []byte(`{}`),
			Dedupe: &archive.Dedupe{Device: fmt.Sprintf("dev%d", w.relay%500), N: w.relay, Digest: sha256.Sum256(body)},
		})
	}
	return b
}

func plainCopy(from, to string) (n int64, err error) {
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, path[len(from):])
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if ext := filepath.Ext(path); ext != ".db" && len(d.Name()) != 64 {
			return nil // neither a database nor an attachment
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(target)
		if err != nil {
			return err
		}
		defer out.Close()
		m, err := io.Copy(out, in)
		n += m
		if err != nil {
			return err
		}
		return out.Sync()
	})
	return n, err
}
