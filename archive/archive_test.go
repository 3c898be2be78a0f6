package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(childEnv); args != "" {
		if err := runWriter(args); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if patientZero != nil {
			if err := os.RemoveAll(patientZero.dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		os.Exit(code)
	}))
}

// makeArchive makes and opens an archive whose every test ends with a full Check.
func makeArchive(t testing.TB, o Options) (*Archive, string) {
	t.Helper()
	dir := t.TempDir()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	o.Master = seal.NewKey()
	if _, err := Create(t.Context(), dir, CreateOptions{ArchiveID: "ward.test", Master: o.Master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		last, err := Open(context.Background(), dir, o)
		if err != nil {
			t.Error(err)
			return
		}
		mustCheck(t, last)
		if err := last.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, dir
}

func mustCheck(t testing.TB, a *Archive) *Report {
	t.Helper()
	r, err := a.Check(context.Background(), CheckOptions{Bodies: true})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Fatalf("check: %d findings, first %v", r.Damage, r.Findings[0])
	}
	if r.Bodies != r.Size {
		t.Fatalf("check opened %d bodies of %d", r.Bodies, r.Size)
	}
	return r
}

// message returns a relay entry with the body and note that reading it back is
// compared with.
func message(relaySeq uint64, dev string, n uint64) Entry {
	body := fmt.Appendf(nil, "message %s/%d at %d", dev, n, relaySeq)
	return Entry{
		Kind: proof.KindMessage, Class: proof.ClassGeneral, Epoch: "e1", RelaySeq: relaySeq, Envelope: proof.LeafHash(body),
		Note: []byte(`{"id":"x"}`), Body: body, Dedupe: &Dedupe{Device: dev, N: n, Digest: proof.LeafHash(body[:len(body)-len(fmt.Sprint(relaySeq))])},
	}
}

func page(from, to uint64) Batch {
	b := Batch{Cursor: &Cursor{Epoch: "e1", Seq: to, Head: proof.LeafHash(u64(to))}}
	for seq := from; seq <= to; seq++ {
		b.Entries = append(b.Entries, message(seq, fmt.Sprintf("dev%d", seq%7), seq))
	}
	return b
}

func control(text string) Batch {
	return Batch{Entries: []Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: []byte(text)}}}
}

func mustAppend(t testing.TB, a *Archive, b Batch) []Placed {
	t.Helper()
	placed, err := a.Append(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func TestAppendReadProve(t *testing.T) {
	a, dir := makeArchive(t, Options{LogFileLeaves: 64})
	for i := range uint64(30) {
		mustAppend(t, a, page(i*10+1, i*10+10))
		mustAppend(t, a, control("between"))
	}
	if a.Size() != 331 {
		t.Fatalf("size %d", a.Size())
	}
	seq := uint64(0)
	for r, err := range a.Records(t.Context(), 0, a.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Leaf.Seq != seq {
			t.Fatalf("seq %d where %d was due", r.Leaf.Seq, seq)
		}
		if r.Leaf.Kind == proof.KindMessage && !bytes.HasSuffix(r.Body, fmt.Appendf(nil, " at %d", r.Leaf.RelaySeq)) {
			t.Fatalf("entry %d has another's body %q", seq, r.Body)
		}
		seq++
	}
	signed, err := a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.Identity().LogVerifier()
	if err != nil {
		t.Fatal(err)
	}
	cp, err := proof.OpenCheckpoint(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(0); seq < cp.Size; seq += 3 {
		path, err := a.Prove(t.Context(), seq, cp.Size)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := a.Leaf(seq)
		if err != nil {
			t.Fatal(err)
		}
		text, err := leaf.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.CheckInclusion(path, cp, seq, proof.LeafHash(text)); err != nil {
			t.Fatalf("seq %d: %v", seq, err)
		}
		text[9] ^= 1
		if proof.CheckInclusion(path, cp, seq, proof.LeafHash(text)) == nil {
			t.Fatalf("seq %d: another leaf was proven", seq)
		}
	}
	for older := uint64(1); older <= cp.Size; older += 13 {
		path, err := a.ProveConsistency(t.Context(), older, cp.Size)
		if err != nil {
			t.Fatal(err)
		}
		root, err := a.Root(older)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.CheckConsistency(path, proof.Checkpoint{Size: older, Root: root}, cp); err != nil {
			t.Fatalf("%d: %v", older, err)
		}
	}
	if n, err := openLogs(dir, a.id.Origin, true); err == nil || len(n) > 0 {
		t.Fatal("the files of a running archive were opened a second time")
	}
	if len(a.st.logs) < 5 {
		t.Fatalf("%d log files: nothing was rolled", len(a.st.logs))
	}
	mustCheck(t, a)
}

func TestRelayEntriesAreIdempotent(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 10))
	size := a.Size()
	for _, p := range mustAppend(t, a, page(1, 10)) {
		if !p.Skipped {
			t.Fatalf("%+v was appended twice", p)
		}
	}
	if a.Size() != size {
		t.Fatal("a page that was there already grew the log")
	}
	placed := mustAppend(t, a, page(6, 15))
	if !placed[4].Skipped || placed[5].Skipped || a.Size() != size+5 {
		t.Fatalf("overlapping page: %+v", placed)
	}
	for _, bad := range []Batch{page(17, 20), {Cursor: &Cursor{Epoch: "e1", Seq: 20}}, {Cursor: &Cursor{Epoch: "e2", Seq: 16}, Entries: []Entry{}}} {
		if _, err := a.Append(t.Context(), bad); !errors.Is(err, ErrStaleCursor) {
			t.Fatalf("a page with a gap: %v", err)
		}
	}
	c, ok := a.Cursor()
	if !ok || c.Seq != 15 || c.Head != proof.LeafHash(u64(15)) {
		t.Fatalf("cursor %+v", c)
	}
}

func TestDedupe(t *testing.T) {
	a, _ := makeArchive(t, Options{LogFileLeaves: 4})
	one := message(1, "dev", 1)
	first := mustAppend(t, a, Batch{Cursor: &Cursor{Epoch: "e1", Seq: 1}, Entries: []Entry{one}})[0]
	mustAppend(t, a, Batch{Cursor: &Cursor{Epoch: "e1", Seq: 6}, Entries: page(2, 6).Entries}) // into later log files
	again := one
	again.RelaySeq = 7
	other := one
	other.RelaySeq, other.Dedupe = 8, &Dedupe{Device: "dev", N: 1, Digest: [32]byte{1}}
	placed := mustAppend(t, a, Batch{Cursor: &Cursor{Epoch: "e1", Seq: 8}, Entries: []Entry{again, other}})
	if placed[0].Kind != proof.KindRedelivery || placed[0].Of != first.Seq {
		t.Fatalf("redelivery: %+v", placed[0])
	}
	if placed[1].Kind != proof.KindMessage || !placed[1].Conflict || placed[1].Of != first.Seq {
		t.Fatalf("conflict: %+v", placed[1])
	}
	alarm, err := a.Record(t.Context(), placed[1].Seq+1)
	if err != nil || alarm.Leaf.Kind != proof.KindAlarm || !bytes.Contains(alarm.Body, fmt.Appendf(nil, `"entry":"%d"`, placed[1].Seq)) {
		t.Fatalf("the conflict's alarm: %+v %s, %v", alarm.Leaf, alarm.Body, err)
	}
	b, err := a.OpenBody(t.Context(), placed[0].Seq)
	if err != nil {
		t.Fatal(err)
	}
	var r RedeliveryBody
	if err := json.Unmarshal(b.Bytes, &r); err != nil || r.Of != first.Seq {
		t.Fatalf("redelivery body %s: %v", b.Bytes, err)
	}
}

func TestConcurrentAppends(t *testing.T) {
	a, _ := makeArchive(t, Options{LogFileLeaves: 128})
	var wg sync.WaitGroup
	seen := make([]map[uint64]string, 16)
	for i := range seen {
		seen[i] = map[uint64]string{}
		wg.Go(func() {
			for j := range 40 {
				text := fmt.Sprintf("%d/%d", i, j)
				placed, err := a.Append(t.Context(), control(text))
				if err != nil {
					t.Error(err)
					return
				}
				seen[i][placed[0].Seq] = text
			}
		})
	}
	wg.Wait()
	for _, m := range seen {
		for seq, text := range m {
			b, err := a.OpenBody(t.Context(), seq)
			if err != nil || string(b.Bytes) != text {
				t.Fatalf("entry %d: %q, %v; appended %q", seq, b.Bytes, err, text)
			}
		}
	}
}

// Every step of a commit fails once before it was done and once after: nothing
// acked is lost, nothing is doubled, no orphan is left.
func TestCommitFails(t *testing.T) {
	for _, step := range []string{"before bodies", "after bodies", "after log"} {
		t.Run(step, func(t *testing.T) {
			a, _ := makeArchive(t, Options{})
			mustAppend(t, a, page(1, 5))
			failed := false
			a.fault = func(s string) error {
				if s == step && !failed {
					failed = true
					return errors.New("injected")
				}
				return nil
			}
			if _, err := a.Append(t.Context(), page(6, 10)); !errors.Is(err, ErrFailed) {
				t.Fatalf("a failed commit was acked: %v", err)
			}
			placed := mustAppend(t, a, page(6, 10))
			if placed[0].Skipped != (step == "after log") {
				t.Fatalf("%+v", placed[0])
			}
			if a.Size() != 11 {
				t.Fatalf("%d entries for 10 messages and genesis", a.Size())
			}
			mustCheck(t, a)
		})
	}
}

// Checks and readers go on beside a writer that fails, reopens and rolls.
func TestReadersBesideWriter(t *testing.T) {
	a, _ := makeArchive(t, Options{LogFileLeaves: 40})
	var commits atomic.Int64
	a.fault = func(step string) error {
		if commits.Add(1)%17 == 0 {
			return fmt.Errorf("injected %s", step)
		}
		return nil
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	reader := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				// A reader may come between a failure and the reopening.
				if err := f(); err != nil && !errors.Is(err, ErrFailed) {
					t.Error(err)
					return
				}
			}
		})
	}
	reader(func() error {
		r, err := a.Check(t.Context(), CheckOptions{Bodies: true})
		if err == nil && !r.OK() {
			err = fmt.Errorf("%+v", r.Findings)
		}
		return err
	})
	reader(func() error {
		for _, err := range a.Records(t.Context(), 0, a.Size()) {
			if err != nil {
				return err
			}
		}
		_, err := a.Prove(t.Context(), a.Size()/2, a.Size())
		return err
	})
	for i := uint64(0); i < 60; {
		_, err := a.Append(t.Context(), page(i+1, i+1))
		if err == nil {
			_, err = a.Checkpoint(t.Context())
		}
		switch {
		case err == nil:
			i++
		case !errors.Is(err, ErrFailed):
			t.Fatal(err)
		}
		if c, ok := a.Cursor(); ok {
			i = c.Seq
		}
	}
	close(done)
	wg.Wait()
	if a.Size() != 61 {
		t.Errorf("%d entries for 60 messages and genesis", a.Size())
	}
}
