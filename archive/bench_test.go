package archive

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

const (
	benchBody    = 1 << 10
	benchCallers = 64
)

func benchArchive(b *testing.B) (*Archive, string) {
	b.Helper()
	dir := b.TempDir()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		b.Fatal(err)
	}
	o := Options{Master: seal.NewKey()}
	if _, err := Create(b.Context(), dir, CreateOptions{ArchiveID: "bench", Master: o.Master, Recovery: recovery.Public()}); err != nil {
		b.Fatal(err)
	}
	a, err := Open(b.Context(), dir, o)
	if err != nil {
		b.Fatal(err)
	}
	return a, dir
}

// from64 calls f n times from 64 callers and returns how long that took.
func from64(n int, f func(i int) error) (time.Duration, error) {
	var taken atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range benchCallers {
		wg.Go(func() {
			for i := taken.Add(1); i <= int64(n); i = taken.Add(1) {
				if err := f(int(i)); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(start), nil
}

// BenchmarkAppendGroup appends entries of 1 KB from 64 callers; x-batch is how
// many times bbolt's DB.Batch, in the same run, that is.
func BenchmarkAppendGroup(b *testing.B) {
	a, _ := benchArchive(b)
	body := make([]byte, benchBody)
	rand.Read(body)
	const settled = 4096
	add := func(int) error {
		_, err := a.Append(b.Context(), Batch{Entries: []Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}})
		return err
	}
	if _, err := from64(settled, add); err != nil {
		b.Fatal(err)
	}
	put, closeBatch := batcher(b, body)
	var ours, theirs time.Duration
	n := max(b.N, settled)
	b.ResetTimer()
	for range benchRounds { // in turns, because the disk is not equally busy all the time
		took, err := from64(n/benchRounds, add)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		other, err := from64(batchPuts, put)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		ours, theirs = ours+took, theirs+other
	}
	b.StopTimer()
	closeBatch()
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	rate := float64(n) / ours.Seconds()
	b.ReportMetric(rate, "entries/s")
	b.ReportMetric(rate*theirs.Seconds()/(batchPuts*benchRounds), "x-batch")
}

const (
	benchRounds = 8
	batchPuts   = benchCallers * 16
)

// batcher returns a function that stores a value with DB.Batch.
func batcher(b *testing.B, body []byte) (put func(int) error, done func()) {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "batch.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	bucket := []byte("b")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }); err != nil {
		b.Fatal(err)
	}
	var next atomic.Uint64
	put = func(int) error {
		seq := next.Add(1)
		return db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(u64(seq), body) })
	}
	return put, func() {
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheck checks a log with bodies of 1 KB; x-sha256 is its throughput
// over leaves and bodies relative to one core's plain SHA-256 of as many bytes,
// in the same run. It also reports what the log takes a leaf and the body file
// a byte of payload.
func BenchmarkCheck(b *testing.B) {
	a, dir := benchArchive(b)
	const batches, each = 25, 4096
	body := make([]byte, benchBody)
	for range batches {
		var batch Batch
		for range each {
			rand.Read(body)
			batch.Entries = append(batch.Entries, Entry{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: bytes.Clone(body)})
		}
		if _, err := a.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	leaf, err := a.Leaf(a.Size() - 1)
	if err != nil {
		b.Fatal(err)
	}
	text, err := leaf.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	total := a.Size() * uint64(len(text)+benchBody)
	b.SetBytes(int64(total))
	b.ResetTimer()
	best := time.Duration(1<<63 - 1)
	for range b.N {
		start := time.Now()
		r, err := a.Check(b.Context(), CheckOptions{Bodies: true})
		if err != nil || !r.OK() {
			b.Fatalf("%+v, %v", r, err)
		}
		best = min(best, time.Since(start))
	}
	b.StopTimer()
	b.ReportMetric(shaTime(total).Seconds()/best.Seconds(), "x-sha256") // the best of each: others use the cores too
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(disk(b, logPath(dir, 0)))/float64(a.Size()), "log-B/leaf")
	found, err := filepath.Glob(filepath.Join(dir, "bodies", "*.db"))
	if err != nil || len(found) != 1 {
		b.Fatal(found, err)
	}
	b.ReportMetric(float64(disk(b, found[0]))/float64(a.Size()*benchBody), "body-B/B")
}

// shaTime returns how long SHA-256 of so many bytes takes, the best of five.
func shaTime(total uint64) time.Duration {
	block := make([]byte, 1<<20)
	best := time.Duration(1<<63 - 1)
	for range 5 {
		start := time.Now()
		h := sha256.New()
		for n := uint64(0); n < total; n += uint64(len(block)) {
			h.Write(block)
		}
		h.Sum(nil)
		best = min(best, time.Since(start))
	}
	return best
}

// disk returns what a file takes, without its holes.
func disk(b *testing.B, path string) int64 {
	b.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		b.Fatal(err)
	}
	return st.Blocks * 512
}
