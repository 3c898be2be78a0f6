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

// BenchmarkBackupDuringIngest makes whole backups while pages of 100 messages
// are appended one after the other. It reports the longest time that a page
// waited, beside the longest without a backup and with a plain copy, and the
// bytes a second, beside those of the plain copy: the same folder, file by file,
// each synced at its end, in the same run.
func BenchmarkBackupDuringIngest(b *testing.B) {
	w := newWard(b)
	check(b, w.Close())
	w.options.LogFileLeaves = benchEntries / 2
	w.open()
	for w.relay < benchEntries {
		w.append(benchPage(w, 4000))
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	var longest atomic.Int64
	var pages atomic.Int64
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			p := benchPage(w, 100)
			begun := time.Now()
			if _, err := w.Append(context.Background(), p); err != nil {
				b.Error(err)
				return
			}
			pages.Add(1)
			if took := int64(time.Since(begun)); took > longest.Load() {
				longest.Store(took)
			}
		}
	}()
	worst := func(do func() (int64, error)) (ms, mbs, rate float64) {
		longest.Store(0)
		pages.Store(0)
		begun := time.Now()
		n, err := do()
		check(b, err)
		took := time.Since(begun).Seconds()
		return float64(longest.Load()) / 1e6, float64(n) / 1e6 / took, 100 * float64(pages.Load()) / took
	}
	quiet, _, quietRate := worst(func() (int64, error) {
		<-time.After(3 * time.Second)
		return 0, nil
	})
	i := 0
	plain, plainMBs, _ := worst(func() (int64, error) { return plainCopy(w.dir, filepath.Join(filepath.Dir(w.dir), "plain")) })
	var pause, mbs, rate float64
	for b.Loop() {
		o := w.backup()
		o.To = filepath.Join(filepath.Dir(w.dir), fmt.Sprintf("to%d", i))
		i++
		check(b, os.Mkdir(o.To, 0o700))
		p, m, r := worst(func() (int64, error) {
			r, err := Make(context.Background(), o)
			if err != nil {
				return 0, err
			}
			return r.Bytes, nil
		})
		pause, mbs, rate = max(pause, p), max(mbs, m), r
	}
	close(stop)
	<-done
	b.ReportMetric(pause, "pause-ms")
	b.ReportMetric(quiet, "quiet-ms")
	b.ReportMetric(plain, "plain-pause-ms")
	b.ReportMetric(mbs, "MB/s")
	b.ReportMetric(plainMBs, "plain-MB/s")
	b.ReportMetric(rate, "msg/s")
	b.ReportMetric(quietRate, "quiet-msg/s")
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
