package export

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// crowd appends n messages of one device in large pages.
func (w *ward) crowd(n int) {
	w.t.Helper()
	kid, err := jws.Thumbprint(w.keys["anna"].Public())
	must(w.t, err)
	text, err := json.Marshal(archive.MessageNote{ID: "m", Time: relayTime, Assurance: "enrolled", Device: kid})
	must(w.t, err)
	for n > 0 {
		var b archive.Batch
		for range min(n, 1000) {
			compact, p := w.compose("anna", fmt.Sprintf("message %d of a crowd, about as long as they are on a ward", n), nil)
			c, err := jws.Parse(compact, envelope.TypMessage)
			must(w.t, err)
			w.relay++
			b.Entries = append(b.Entries, archive.Entry{
				Kind: proof.KindMessage, Class: proof.ClassGeneral, Epoch: "e1", RelaySeq: w.relay, Note: text, Body: compact,
				Dedupe: &archive.Dedupe{Device: p.Dev, N: p.N, Digest: c.Digest()},
			})
			n--
		}
		b.Cursor = &archive.Cursor{Epoch: "e1", Seq: w.relay}
		_, err := w.a.Append(w.t.Context(), b)
		must(w.t, err)
	}
}

func crowded(t testing.TB, n int) *ward {
	w := newWard(t)
	w.user("anna", "anna@ward.test", "Anna Lund")
	w.user("li", "li@ward.test", "李小龍")
	w.addDevice("anna", edKey(t), w.enrol)
	w.crowd(n)
	return w
}

// folderSink writes a production into a folder.
type folderSink string

func (d folderSink) Create(name string) (io.WriteCloser, error) {
	path := filepath.Join(string(d), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.Create(path)
}

// peak is the largest live heap seen, in bytes, at every so many calls.
type peak struct {
	every, calls, most uint64
}

func (p *peak) progress(done, _ uint64) {
	if p.calls++; p.calls%p.every != 0 {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.most = max(p.most, m.HeapAlloc)
}

// measure produces and verifies everything in w and returns the largest live
// heap while doing so, in bytes.
func measure(t testing.TB, w *ward, dir string) (produced, verified uint64) {
	t.Helper()
	n := w.a.Size()
	making, checking := &peak{every: n / 4}, &peak{every: n / 8}
	req := request(all(n))
	req.Progress = making.progress
	_, err := Produce(t.Context(), w.source(), req, folderSink(dir))
	must(t, err)
	v, err := Verify(t.Context(), os.DirFS(dir), VerifyKeys{Log: w.logKey()}, checking.progress)
	must(t, err)
	if !v.OK() || v.Records != n-1 {
		t.Fatalf("%s: %v", v.Result, v.Findings)
	}
	return making.most, checking.most
}

// Ten times the records take no more memory: neither to produce nor to verify.
func TestMemoryDoesNotGrow(t *testing.T) {
	small, large := crowded(t, crowdSize/10), crowded(t, crowdSize)
	p1, v1 := measure(t, small, t.TempDir())
	p2, v2 := measure(t, large, t.TempDir())
	const slack = crowdSize * 700 // bytes: less than half of a row and its proof, were all of them kept
	if p2 > p1+slack || v2 > v1+slack {
		t.Errorf("produce: %d, then %d bytes; verify: %d, then %d bytes", p1, p2, v1, v2)
	}
}

// BenchmarkProduce prints, for productions of several sizes, how much of the
// speed of SHA-256 they reach, both by bytes of the outward part in a second of
// a core's time, whichever core, and how much memory the process has had at most. 1,000,000 messages take
// HOLDFAST_BENCH_LARGE=1.
func BenchmarkProduce(b *testing.B) {
	sizes := []int{1_000, 10_000, 100_000}
	if os.Getenv("HOLDFAST_BENCH_LARGE") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		w := crowded(b, n)
		for _, format := range []string{JSONL, "csv"} {
			b.Run(fmt.Sprintf("%s/%d", format, n), func(b *testing.B) {
				debug.FreeOSMemory()
				resetPeak(b)
				before := memory(b, "VmRSS")
				req := request(all(w.a.Size()))
				req.Format = format
				anon, calls := uint64(0), 0
				rss := memory(b, "RssAnon")
				req.Progress = func(uint64, uint64) {
					if calls++; calls%2000 == 0 {
						anon = max(anon, memory(b, "RssAnon"))
					}
				}
				var bytes uint64
				begun := cpuTime(b)
				for b.Loop() {
					s, err := Produce(b.Context(), w.source(), req, nowhere{})
					must(b, err)
					bytes += s.Bytes
				}
				used := cpuTime(b) - begun
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64(used.Microseconds())/float64(n*b.N), "us-CPU/record")
				b.ReportMetric(float64(bytes)/float64(n*b.N), "B/record")
				b.ReportMetric(float64(bytes)/used.Seconds()/hashSpeed(b), "of-SHA-256")
				b.ReportMetric(float64(memory(b, "VmHWM"))/1024, "MiB-peak")
				b.ReportMetric(float64(memory(b, "VmHWM")-before)/1024, "MiB-grown")
				// Without the pages of the archive's files, which the kernel counts as well.
				b.ReportMetric((float64(anon)-float64(rss))/1024, "MiB-own-grown")
			})
		}
	}
}

// nowhere is a Sink that keeps nothing: what is measured is not the disk.
type nowhere struct{}

func (nowhere) Create(string) (io.WriteCloser, error) { return nowhere{}, nil }
func (nowhere) Write(b []byte) (int, error)           { return len(b), nil }
func (nowhere) Close() error                          { return nil }

// hashSpeed is that of SHA-256 over blocks of 16 KiB, in bytes a second of a
// core's time.
func hashSpeed(b *testing.B) float64 {
	block := make([]byte, 16<<10)
	begun, n := cpuTime(b), 0
	used := time.Duration(0)
	for used < 500*time.Millisecond {
		for range 1024 {
			sha256.Sum256(block)
		}
		n += 1024 * len(block)
		used = cpuTime(b) - begun
	}
	return float64(n) / used.Seconds()
}

// cpuTime is what the process has had of all cores, in its own code and in the
// kernel's (getrusage(2)): what others do on the machine does not count, and
// what the garbage collector does beside the one goroutine does.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory returns a value of /proc/self/status, in KiB.
func memory(b *testing.B, name string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	must(b, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			must(b, err)
			return n
		}
	}
	b.Fatal("no " + name)
	return 0
}

// resetPeak makes VmHWM begin anew (proc(5), clear_refs).
func resetPeak(b *testing.B) { must(b, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) }

func BenchmarkVerify(b *testing.B) {
	w := crowded(b, 5000)
	dir := b.TempDir()
	_, err := Produce(b.Context(), w.source(), request(all(w.a.Size())), folderSink(dir))
	must(b, err)
	for b.Loop() {
		v, err := Verify(b.Context(), os.DirFS(dir), VerifyKeys{Log: w.logKey()}, nil)
		must(b, err)
		if !v.OK() {
			b.Fatal(v.Findings)
		}
	}
	b.ReportMetric(float64(5000*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkMemory reports the largest live heap of a production of 20,000
// records as a multiple of one of 2,000.
func BenchmarkMemory(b *testing.B) {
	small, large := crowded(b, 2000), crowded(b, 20000)
	for b.Loop() {
		p1, v1 := measure(b, small, b.TempDir())
		p2, v2 := measure(b, large, b.TempDir())
		b.ReportMetric(float64(p2)/float64(p1), "x-produce")
		b.ReportMetric(float64(v2)/float64(v1), "x-verify")
	}
}
