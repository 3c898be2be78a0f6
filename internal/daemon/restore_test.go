package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
)

// disaster is a ward whose archive is backed up, goes on, is anchored, and
// burns.
type disaster struct{ *ward }

func newDisaster(t *testing.T) *disaster {
	t.Helper()
	d := &disaster{newWard(t)}
	for _, dir := range []string{"to", "keys"} {
		d.must(os.Mkdir(d.path(dir), 0o700))
	}
	return d
}

func (d *disaster) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *disaster) master() [seal.MasterSize]byte {
	key, err := ReadMaster(d.path("cred"))
	d.must(err)
	return key
}

// offline opens the stopped archive.
func (d *disaster) offline(f func(a *archive.Archive)) {
	d.t.Helper()
	a, err := archive.Open(d.t.Context(), d.config.Data, archive.Options{Master: d.master()})
	d.must(err)
	f(a)
	d.must(a.Close())
}

// backup makes one of the stopped archive.
func (d *disaster) backup() {
	d.t.Helper()
	d.offline(func(a *archive.Archive) {
		_, err := backup.Make(d.t.Context(), backup.Options{
			Archive: a, Keys: &backup.Keeper{Archive: a, Dir: d.path("keys")}, To: d.path("to"), Spool: d.path("spool"), Version: "test",
		})
		d.must(err)
	})
}

// anchored appends the stopped archive's checkpoint to the file of anchors.
func (d *disaster) anchored() (c proof.Checkpoint) {
	d.t.Helper()
	d.offline(func(a *archive.Archive) {
		signed, err := a.Checkpoint(d.t.Context())
		d.must(err)
		key, err := a.Identity().LogVerifier()
		d.must(err)
		c, err = proof.OpenCheckpoint(signed, key)
		d.must(err)
		text, err := anchor.NewLine(time.Now(), c, signed).Marshal()
		d.must(err)
		f, err := os.OpenFile(d.path("anchors"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		d.must(err)
		_, err = f.Write(append(text, '\n'))
		d.must(errors.Join(err, f.Close()))
	})
	d.config.Anchor.File = d.path("anchors")
	return c
}

// restored burns the archive and puts the newest backup back, under a new
// master key.
func (d *disaster) restored(signed []byte) *backup.Outcome {
	d.t.Helper()
	d.must(os.RemoveAll(d.config.Data))
	key := seal.NewKey()
	d.must(os.WriteFile(filepath.Join(d.path("cred"), MasterFile), []byte(hex.EncodeToString(key[:])+"\n"), 0o600))
	out, err := backup.Restore(d.t.Context(), backup.RestoreOptions{
		From: d.path("to"), Keys: d.path("keys"), To: d.config.Data, Recovery: d.recovery, Master: key, Anchor: signed,
	})
	d.must(err)
	return out
}

// approve decides a request by another person, over the stopped archive.
func (d *disaster) approve(request uint64) {
	d.t.Helper()
	d.offline(func(a *archive.Archive) {
		p, err := newParts(d.t.Context(), a, Options{Config: d.config, Version: "test", Logger: slog.New(slog.NewTextHandler(d.logs, nil))})
		d.must(err)
		d.must(p.requests.Decide(d.t.Context(), a, approver, request, true, "compared"))
		d.must(p.index.Close())
	})
}

func (d *disaster) standing() *api.RestoreResponse {
	d.t.Helper()
	r, err := d.client.Restored(d.t.Context())
	d.must(err)
	return r
}

// until waits for what happens by itself.
func (d *disaster) until(what string, ok func(r *api.RestoreResponse) bool) *api.RestoreResponse {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if r := d.standing(); ok(r) {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("%s: %+v\n%s", what, d.standing(), d.logs)
		}
	}
}

// A log that is older than its last anchor waits for two people, whoever starts
// it how often; then it says so by an entry and by its name, and has everything
// that the relay still has.
func TestRestoredOlderLog(t *testing.T) {
	d := newDisaster(t)
	all := lines(40)
	d.start()
	d.load(all[:20])
	d.acked()
	d.stop()
	d.backup()
	d.start()
	d.load(all[20:])
	d.acked()
	d.stop()
	last := d.anchored()
	before := d.restored(nil)

	d.start()
	w := d.until("waiting", func(r *api.RestoreResponse) bool { return r.State == api.RestoreWaiting && r.Relay != nil })
	if w.Times != 1 || w.Size != before.Manifest.Size || w.Lost == nil || *w.Lost != (archive.Lost{From: w.Size, To: last.Size}) || w.Relay.Told <= w.Relay.Had {
		t.Fatalf("%+v, %+v, %+v", w, w.Lost, w.Relay)
	}
	if in, err := d.client.Ingest(t.Context()); err != nil || len(in.Reasons) != 1 || in.Reasons[0] != reasonRestored {
		t.Errorf("ingest: %+v, %v", in, err)
	}
	_, err := d.client.PlanDisposition(t.Context(), api.PlanDispositionRequest{Reason: "r"}, nil)
	var p *api.Problem
	if !errors.As(err, &p) || p.Title != errRestored.Title {
		t.Errorf("a disposition: %v", err)
	}
	if got := d.search("received>=1900-01-01", 1).Total; got != 20 {
		t.Errorf("%d messages are found", got)
	}
	if _, err := d.client.GoOn(t.Context(), api.GoOnRequest{Request: 1}); err == nil {
		t.Error("it went on without a request")
	}
	asked, err := d.client.AskRestore(t.Context(), api.AskRestoreRequest{Reason: "fire"})
	d.must(err)
	if _, err := d.client.GoOn(t.Context(), api.GoOnRequest{Request: asked.Request}); err == nil {
		t.Error("it went on by one person")
	}
	d.stop()
	d.anchored() // of what it signs meanwhile: that says nothing of what is lost
	d.approve(asked.Request)
	d.start()
	if r := d.until("waiting again", func(r *api.RestoreResponse) bool { return r.Relay != nil }); r.State != api.RestoreWaiting {
		t.Fatalf("after a start: %+v", r)
	}
	done, err := d.client.GoOn(t.Context(), api.GoOnRequest{Request: asked.Request})
	d.must(err)
	if done.State != api.RestoreSettled || len(done.History) != 1 || done.History[0].Request != asked.Request || done.History[0].Lost == nil {
		t.Errorf("%+v", done)
	}
	if r, err := d.client.Request(t.Context(), asked.Request); err != nil || r.Status != "executed" {
		t.Errorf("the approval is good for more than one use: %+v, %v", r, err)
	}
	d.until("pulled", func(r *api.RestoreResponse) bool { return r.Relay.Pulled })
	if got := d.search("received>=1900-01-01", 1).Total; got != 40 {
		t.Errorf("%d messages are found", got)
	}
	report, err := d.client.Verify(t.Context(), api.VerifyRequest{}, nil)
	if err != nil || report.Damage > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	cp, err := d.client.Checkpoint(t.Context())
	d.must(err)
	if first, _, _ := strings.Cut(cp.Checkpoint, "\n"); !strings.HasSuffix(first, "/r1") {
		t.Errorf("it signs as %q", first)
	}
	d.stop()
	d.anchored()
	d.start() // it went on already
	if r := d.standing(); r.State != api.RestoreSettled {
		t.Errorf("%+v", r)
	}
	d.stop()
	// The same backup again: the name was used.
	line, err := anchor.Last(d.path("anchors"))
	d.must(err)
	if out := d.restored([]byte(line.Checkpoint)); out.Mark.Times() != 2 {
		t.Errorf("the second restore signs as /r%d", out.Mark.Times())
	}
}

// A log of which nothing is missing goes on by itself.
func TestRestoredWhole(t *testing.T) {
	d := newDisaster(t)
	d.start()
	d.load(lines(10))
	d.acked()
	d.stop()
	d.anchored()
	d.backup()
	d.restored(nil)
	d.start()
	r := d.until("going on", func(r *api.RestoreResponse) bool { return r.State == api.RestoreSettled })
	if len(r.History) > 0 && (r.History[0].Request != 0 || r.History[0].Lost != nil) {
		t.Errorf("%+v", r.History)
	}
	if in, err := d.client.Ingest(t.Context()); err != nil || len(in.Reasons) > 0 {
		t.Errorf("ingest: %+v, %v", in, err)
	}
}

// A log that lost its end, or was rewritten, is not started.
func TestAnchoredLogIsNotRolledBack(t *testing.T) {
	d := newDisaster(t)
	d.offline(func(a *archive.Archive) { d.must(appendAlarm(t.Context(), a)) })
	older := d.path("older")
	d.must(os.CopyFS(older, os.DirFS(d.config.Data)))
	d.offline(func(a *archive.Archive) { d.must(appendAlarm(t.Context(), a)) })
	d.anchored()
	d.start()
	d.stop()
	d.must(os.RemoveAll(d.config.Data))
	d.must(os.Rename(older, d.config.Data))
	try := func(what string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a daemon that starts after all
		defer cancel()
		err := Run(ctx, Options{Config: d.config, Version: "test", Logger: slog.New(slog.NewTextHandler(d.logs, nil))})
		if !errors.Is(err, archive.ErrAnchor) {
			t.Errorf("%s: %v", what, err)
		}
	}
	try("shorter")
	d.offline(func(a *archive.Archive) {
		d.must(errors.Join(appendAlarm(t.Context(), a), appendAlarm(t.Context(), a)))
	})
	try("another")
}

func appendAlarm(ctx context.Context, a *archive.Archive) error {
	_, err := a.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: []byte(`{"name":"n","severity":"warning","text":"t","fix":"f"}`)}}})
	return err
}
