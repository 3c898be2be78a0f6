package archive

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// BenchmarkDispose reseals, switches and destroys a month of bodies of 1 KB of
// which every hundredth stays; x-copy is how many times as long as a synced
// copy of the same file, in the same run, that takes.
func BenchmarkDispose(b *testing.B) {
	const batches, each = 25, 4096
	body := make([]byte, benchBody)
	var ours, copied time.Duration
	var size int64
	for range b.N {
		b.StopTimer()
		a, dir := benchArchive(b)
		for range batches {
			batch := Batch{}
			for range each {
				id := seal.NewKey()
				copy(body, id[:])
				batch.Entries = append(batch.Entries, Entry{Kind: proof.KindAlarm, Class: proof.ClassGeneral, Body: bytes.Clone(body)})
			}
			mustAppend(b, a, batch)
		}
		leaf, err := a.Leaf(a.Size() - 1)
		if err != nil {
			b.Fatal(err)
		}
		cm := ClassMonth{leaf.Class, leaf.Month()}
		path := bodyPath(dir, bodyName(cm.Month, cm.Class, 1))
		start := time.Now()
		if err := copyFile(path, path+".copy"); err != nil {
			b.Fatal(err)
		}
		if err := syncFile(path + ".copy"); err != nil {
			b.Fatal(err)
		}
		copied += time.Since(start)
		b.StartTimer()
		start = time.Now()
		r, err := a.Reseal(b.Context(), cm, ResealOptions{Keep: func(r Record) (bool, error) { return r.Leaf.Seq%100 == 0, nil }})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := a.Switch(b.Context(), []*Resealed{r}, intent("an intent")); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Destroy(b.Context(), []ClassMonth{cm}, nil); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		b.StopTimer()
		size += r.Bytes
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(size)/1e6/ours.Seconds(), "MB/s")
	b.ReportMetric(ours.Seconds()/copied.Seconds(), "x-copy")
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
