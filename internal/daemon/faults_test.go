//go:build faults

package daemon

import (
	"context"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/jws"
)

const childConfig = "HOLDFAST_TEST_DAEMON"

// init turns the test binary into a daemon when a test starts it as one: a
// process of its own can be killed.
func init() {
	text := os.Getenv(childConfig)
	if text == "" {
		return
	}
	var c config.Config
	if err := gob.NewDecoder(hex.NewDecoder(strings.NewReader(text))).Decode(&c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := Run(ctx, Options{Config: &c, Version: "child", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (w *ward) child() *exec.Cmd {
	w.t.Helper()
	var text strings.Builder
	if err := gob.NewEncoder(hex.NewEncoder(&text)).Encode(w.config); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childConfig+"="+text.String())
	cmd.Stderr = w.logs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return cmd
}

// kill -9 at a hundred moments of ingest: nothing acked is lost, nothing is
// doubled, no orphan is left, verify passes.
func TestFaultKill(t *testing.T) {
	const rounds, perRound = 100, 60
	w := newWard(t)
	first := w.child()
	w.load(lines(perRound)) // waits for the first keyset
	all := lines(perRound * (rounds + 1))
	sent := perRound
	lost := 0
	for round := range rounds {
		cmd := first
		if round > 0 {
			cmd = w.child()
		}
		w.load(all[sent : sent+perRound])
		sent += perRound
		<-time.After(time.Duration(rand.IntN(400)) * time.Millisecond) // the moment of the kill is what is random
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: the daemon ended by itself: %v\n%s", round, err, w.logs)
		}
		lost += w.lostAcked(round)
	}
	w.start()
	w.acked()
	report, err := w.client.Verify(t.Context(), api.VerifyRequest{}, nil)
	if err != nil || !report.OK || report.Bodies != report.Size {
		t.Fatalf("verify: %+v, %v", report, err)
	}
	w.stop()
	messages, redelivered := w.countMessages()
	t.Logf("%d rounds, %d messages sent, %d archived, %d redelivered, %d acked and lost", rounds, sent, messages, redelivered, lost)
	if messages != sent || redelivered != 0 || lost != 0 {
		t.Fatalf("%d messages for %d lines, %d of them twice, %d lost", messages, sent, redelivered, lost)
	}
}

// lostAcked compares what the relay was told with what the stopped archive
// holds, and checks the archive as the crash left it.
func (w *ward) lostAcked(round int) int {
	w.t.Helper()
	s, err := w.relay.Status()
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.open()
	c, ok := a.Cursor()
	if err := a.Close(); err != nil {
		w.t.Fatal(err)
	}
	if s.Acked > 0 && (!ok || c.Seq < s.Acked) {
		w.t.Errorf("round %d: %d is acked, the archive ends at %d", round, s.Acked, c.Seq)
		return int(s.Acked - c.Seq)
	}
	if round%10 == 0 {
		w.checkStopped(round)
	}
	return 0
}

// checkStopped checks the store as it lies there: also that a start has left
// no orphan.
func (w *ward) checkStopped(round int) {
	w.t.Helper()
	master, err := ReadMaster(w.config.Credentials)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := archive.Open(w.t.Context(), w.config.Data, archive.Options{Master: master, ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	r, err := a.Check(w.t.Context(), archive.CheckOptions{Bodies: true})
	if err != nil || !r.OK() || r.Orphans != 0 {
		w.t.Fatalf("round %d: %+v, %v", round, r, err)
	}
}

// countMessages counts text messages, each (device, n) once.
func (w *ward) countMessages() (messages, redelivered int) {
	w.t.Helper()
	a := w.open()
	defer a.Close()
	for r, err := range a.Records(w.t.Context(), 0, a.Size()) {
		if err != nil {
			w.t.Fatal(err)
		}
		switch {
		case r.Leaf.Kind == proof.KindRedelivery:
			redelivered++
		case r.Leaf.Kind == proof.KindMessage && textMessage(r.Body):
			messages++
		}
	}
	return messages, redelivered
}

func textMessage(body []byte) bool {
	c, err := jws.Parse(body, envelope.TypMessage)
	if err != nil {
		return false
	}
	p, err := envelope.ParsePayload(c.Payload)
	return err == nil && p.Typ == envelope.TypMsg
}

// The disk fills up: nothing is acked that is not there, looking goes on from
// the reserve and is audited, and ingest resumes by itself.
func TestFaultDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test mounts a small file system: run it as root")
	}
	w := newWard(t)
	w.smallDisk(96 << 20)
	w.start()
	first := lines(400)
	w.load(first)
	w.acked()
	ballast := filepath.Join(w.config.Data, "ballast")
	w.fill(ballast)
	w.load(lines(600)[400:])
	w.waitStatus("the disk is full", func(s *api.Status) bool { return !s.Accepting })
	relayed, err := w.relay.Status()
	if err != nil {
		t.Fatal(err)
	}
	if relayed.Acked >= relayed.High {
		t.Fatalf("all %d were acked on a full disk", relayed.High)
	}
	for range 20 {
		if r := w.search("NOT zzzz", 3); r.Total < 400 {
			t.Fatalf("a search on a full disk finds %d", r.Total)
		}
	}
	a, err := w.client.Audit(t.Context(), api.AuditRequest{})
	if err != nil || len(a.Accesses) != 20 {
		t.Fatalf("20 searches left %d accesses, %v", len(a.Accesses), err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	w.acked()
	t.Logf("ingest resumed %v after there was room", time.Since(freed).Round(time.Millisecond))
	if r := w.search("NOT zzzz", 1); r.Total != 600 {
		t.Fatalf("%d messages for 600 lines", r.Total)
	}
	report, err := w.client.Verify(t.Context(), api.VerifyRequest{}, nil)
	if err != nil || !report.OK {
		t.Fatalf("verify: %+v, %v", report, err)
	}
}

// smallDisk moves the data directory onto a file system of its own.
func (w *ward) smallDisk(size int64) {
	w.t.Helper()
	disk := w.path("disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if w.stop != nil {
			w.stop()
		}
		// An index whose background work panicked for want of room is abandoned with
		// its files open (archive/search): the mount goes when the process does.
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	})
	if err := os.CopyFS(filepath.Join(disk, "data"), os.DirFS(w.config.Data)); err != nil {
		w.t.Fatal(err)
	}
	w.config.Data = filepath.Join(disk, "data")
	if err := os.Truncate(filepath.Join(w.config.Data, "reserve"), 0); err != nil {
		w.t.Fatal(err)
	}
}

// fill writes a file until the disk has no room.
func (w *ward) fill(path string) {
	w.t.Helper()
	f, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		w.t.Fatal(err)
	}
}

func (w *ward) waitStatus(what string, ok func(*api.Status) bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		s, err := w.client.Status(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if ok(s) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%s: never seen; %+v\n%s", what, s, w.logs)
		}
	}
}
