package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// childEnv makes the test binary a writer that others kill: DIR MASTER PAGES.
const childEnv = "HOLDFAST_TEST_WRITER"

// victim is an archive that a child process writes to.
type victim struct {
	dir     string
	options Options
}

const victimLeaves = 60 // in a log file: rolling is part of what is interrupted

func newVictim(t testing.TB, dir string) *victim {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{dir: dir, options: Options{Master: seal.NewKey(), LogFileLeaves: victimLeaves, Reserve: 64 << 10, LowWater: 64 << 10}}
	if _, err := Create(t.Context(), dir, CreateOptions{ArchiveID: "ward.test", Master: v.options.Master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "reserve")); err != nil {
		t.Fatal(err)
	}
	return v
}

// command returns the command that appends pages, and prints what it was told
// is durable.
func (v *victim) command(t testing.TB, pages int) (*exec.Cmd, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(exe), fmt.Sprintf("%s=%s %s %d", childEnv, v.dir, hex.EncodeToString(v.options.Master[:]), pages)
}

// runWriter is the child: it reads on from the cursor, as ingest does, and says
// at once what it found there, as ingest acks it.
func runWriter(args string) error {
	var o Options
	var dir, master string
	var pages int
	if _, err := fmt.Sscan(args, &dir, &master, &pages); err != nil {
		return err
	}
	if _, err := hex.Decode(o.Master[:], []byte(master)); err != nil {
		return err
	}
	o.LogFileLeaves, o.Reserve, o.LowWater = victimLeaves, 64<<10, 64<<10
	a, err := Open(context.Background(), dir, o)
	if err != nil {
		return err
	}
	acked := func() error {
		c, _ := a.Cursor()
		_, err := fmt.Printf("acked %d %d %d\n", c.Seq, a.Size(), destroyed(a))
		return err
	}
	if err := acked(); err != nil {
		return err
	}
	for i := range pages {
		c, _ := a.Cursor()
		if _, err := a.Append(context.Background(), crashPage(c.Seq, 1+(c.Seq+uint64(i))%5)); err != nil {
			fmt.Printf("refused %q\n", err.Error())
			continue
		}
		if err := acked(); err != nil {
			return err
		}
		if i%3 == 1 {
			look := Batch{Entries: []Entry{{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: []byte("a look")}}}
			if _, err := a.Append(context.Background(), look); err != nil {
				fmt.Printf("refused %q\n", err.Error())
				continue
			}
			if err := acked(); err != nil {
				return err
			}
		}
		if i%8 == 6 {
			if err := disposeSome(a); err != nil {
				fmt.Printf("refused %q\n", err.Error())
				continue
			}
			if err := acked(); err != nil {
				return err
			}
		}
		if i%7 == 3 {
			if _, err := a.Checkpoint(context.Background()); err != nil {
				fmt.Printf("refused %q\n", err.Error())
			}
		}
	}
	return a.Close()
}

// crashPage returns the page after the given relay seq. Its classes are met at
// different times, so that body files and their keys are made under way.
func crashPage(after, n uint64) Batch {
	b := Batch{Cursor: &Cursor{Epoch: "e1", Seq: after + n, Head: proof.LeafHash(u64(after + n))}}
	for seq := after + 1; seq <= after+n; seq++ {
		e := message(seq, fmt.Sprintf("dev%d", seq%3), seq)
		e.Body = crashBody(seq)
		e.Dedupe.Digest = proof.LeafHash(e.Body)
		if seq > 20 && seq%4 == 0 {
			e.Class = "late"
		}
		b.Entries = append(b.Entries, e)
	}
	return b
}

func crashBody(seq uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "message %d. ", seq), 1+int(seq%40))
}

// ack is the last thing a writer was told to be durable.
type ack struct {
	relay, size uint64
	destroyed   uint32 // generation of body files of class general below which no key is left
}

func parseAck(line string) (a ack, ok bool) {
	n, err := fmt.Sscanf(line, "acked %d %d %d", &a.relay, &a.size, &a.destroyed)
	return a, err == nil && n == 3
}

// audit opens what is left of an archive and returns what is wrong with it:
// nothing acked may be lost, nothing doubled, no orphan left, and Check finds
// nothing.
func (v *victim) audit(dir string, last ack) error {
	a, err := Open(context.Background(), dir, v.options)
	if err != nil {
		return fmt.Errorf("it does not open: %w", err)
	}
	err = v.auditOpen(a, dir, last)
	if pending := a.PendingDisposals(); err == nil && len(pending) > 0 {
		// Of what a crash left of a disposition, either all was done or it is finished now.
		if _, err = a.Destroy(context.Background(), pending, nil); err == nil {
			err = v.auditOpen(a, dir, ack{last.relay, last.size, destroyed(a)})
		}
	}
	return errors.Join(err, a.Close())
}

func (v *victim) auditOpen(a *Archive, dir string, last ack) error {
	c, _ := a.Cursor()
	if c.Seq < last.relay || a.Size() < last.size {
		return fmt.Errorf("acked were relay seq %d and %d entries; here are %d and %d", last.relay, last.size, c.Seq, a.Size())
	}
	relay := uint64(0)
	for r, err := range a.Records(context.Background(), 0, a.Size()) {
		disposed := errors.Is(err, ErrDisposed)
		if err != nil && (!disposed || !goes(&r.Leaf)) {
			return err
		}
		if !r.Leaf.Kind.FromRelay() {
			continue
		}
		if relay++; disposed && r.Leaf.RelaySeq == relay {
			continue
		}
		if r.Leaf.RelaySeq != relay || r.Leaf.Kind != proof.KindMessage || !bytes.Equal(r.Body, crashBody(relay)) {
			return fmt.Errorf("entry %d is %v of relay seq %d where %d was due, %q", r.Leaf.Seq, r.Leaf.Kind, r.Leaf.RelaySeq, relay, r.Body)
		}
	}
	if relay != c.Seq {
		return fmt.Errorf("%d relay entries, but a cursor at %d", relay, c.Seq)
	}
	r, err := a.Check(context.Background(), CheckOptions{Bodies: true})
	if err != nil {
		return err
	}
	if !r.OK() || r.Bodies+r.Disposed != r.Size {
		return fmt.Errorf("check: %+v", r)
	}
	records, err := a.countRecords()
	if err != nil {
		return err
	}
	if records != a.Size()-r.Disposed {
		return fmt.Errorf("%d records for %d entries of which %d were disposed of: orphans", records, a.Size(), r.Disposed)
	}
	for name := range a.keys.ring.Bodies {
		m := bodyFileName.FindStringSubmatch(name + ".db")
		id, err := parseBodyName(m)
		if err != nil || id.Class == proof.ClassGeneral && id.generation < last.destroyed {
			return errors.Join(err, fmt.Errorf("the key of %s is there, which was destroyed", name))
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"+newSuffix))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left over: %v", left)
	}
	return err
}

func (a *Archive) countRecords() (n uint64, err error) {
	names, err := bodyNames(a.dir)
	if err != nil {
		return 0, err
	}
	for _, id := range names {
		if id.name != a.st.bodyName(id.ClassMonth) {
			continue // the former file of a switch
		}
		f, err := a.st.bodies.get(id.name)
		if err != nil {
			return 0, err
		}
		err = f.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketRecord).ForEach(func(_, _ []byte) error { n++; return nil })
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// killRounds kills the writer at a random moment, round after round, and looks
// at what is left each time.
func killRounds(t *testing.T, rounds int, longest time.Duration) {
	v := newVictim(t, t.TempDir())
	rnd := rand.New(rand.NewPCG(7, 7))
	var last ack
	acks := 0
	for round := range rounds {
		cmd, env := v.command(t, 1<<20)
		cmd.Env = append(os.Environ(), env)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		// From its first word on it has a random while to live; until then as long as it takes.
		kill := time.AfterFunc(time.Hour, func() { _ = cmd.Process.Kill() })
		for first := true; lines.Scan(); first = false {
			if first {
				kill.Reset(time.Duration(rnd.Int64N(int64(longest))))
			}
			a, ok := parseAck(lines.Text())
			if !ok {
				t.Fatalf("round %d: the writer said %q", round, lines.Text())
			}
			if a.relay < last.relay || a.size < last.size {
				t.Fatalf("round %d: %+v after %+v", round, a, last)
			}
			last = a
			acks++
		}
		_ = cmd.Wait() // killed
		kill.Stop()
		if err := v.audit(v.dir, last); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d kills, %d acks, %d entries", rounds, acks, last.size)
}

func TestKilledWriter(t *testing.T) { killRounds(t, 4, 150*time.Millisecond) }

// Below the low-water mark relay pages are refused and what must be audited
// goes on; with room again the same page is taken.
func TestLowWater(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 5))
	mark := a.disk.lowWater
	a.disk.lowWater = 1 << 60
	if _, err := a.Append(t.Context(), page(6, 10)); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("a page was taken: %v", err)
	}
	mustAppend(t, a, control("a hold"))
	mustAppend(t, a, Batch{Entries: []Entry{{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: []byte("a look")}}})
	if c, _ := a.Cursor(); c.Seq != 5 {
		t.Fatalf("the cursor moved to %d", c.Seq)
	}
	a.disk.lowWater = mark
	for _, p := range mustAppend(t, a, page(6, 10)) {
		if p.Skipped {
			t.Fatal("a refused page was taken for present")
		}
	}
}

// A commit counts what it has admitted already: many small batches together
// cannot go below the mark.
func TestAdmitAddsUp(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	b := page(1, 1)
	free, err := a.disk.free()
	if err != nil {
		t.Fatal(err)
	}
	a.disk.lowWater = free / 2
	if err := a.admit(&b, 0); err != nil {
		t.Fatal(err)
	}
	if err := a.admit(&b, free/4); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("admitted beyond the mark: %v", err)
	}
}

// The reserve is spent on audit entries down to its last quarter, on control
// entries to the end, and refilled when there is room.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	d, err := newDiskSpace(dir, 8<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if d.have != 8<<20 {
		t.Fatalf("%d bytes kept", d.have)
	}
	if err := d.admit(claimAudit, 1<<10); err != nil || d.have != 8<<20 {
		t.Fatalf("with room, %d kept, %v", d.have, err)
	}
	info, err := os.Stat(d.path)
	if err != nil || info.Size() != 8<<20 {
		t.Fatalf("%v, %v", info, err)
	}
	d.have = 4 << 20 // as after giving half away
	if err := os.Truncate(d.path, d.have); err != nil {
		t.Fatal(err)
	}
	if err := d.refill(); err != nil || d.have != 8<<20 {
		t.Fatalf("refilled to %d, %v", d.have, err)
	}
	again, err := newDiskSpace(dir, 8<<20, 1<<60)
	if err != nil || again.have != 8<<20 {
		t.Fatalf("a start found %d, %v", again.have, err)
	}
}
