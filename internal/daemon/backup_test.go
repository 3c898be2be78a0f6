package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/retention"
)

// kept gives the ward's daemon the two folders of its backups.
func kept(t *testing.T) *disaster {
	t.Helper()
	d := newDisaster(t)
	d.config.Backup.To, d.config.Backup.KeysTo = d.path("to"), d.path("keys")
	d.config.Backup.Keep, d.config.Backup.DrillSample = 5, 100
	return d
}

func (d *disaster) run() *api.Backup {
	d.t.Helper()
	b, err := d.client.Backup(d.t.Context(), api.BackupRequest{}, nil)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.logs)
	}
	return b
}

// metric reads one figure that the running daemon shows.
func (d *disaster) metric(name string) float64 {
	d.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.config.Socket)
	}}}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://socket/metrics", nil)
	d.must(err)
	resp, err := client.Do(req)
	d.must(err)
	text, err := io.ReadAll(resp.Body)
	d.must(errors.Join(err, resp.Body.Close()))
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		d.t.Fatalf("there is no %s", name)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	d.must(err)
	return v
}

// backedUp waits until the relay has heard that so much is backed up: what is,
// it does not keep any longer.
func (d *disaster) backedUp(seq uint64) {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		s, err := d.relay.Status()
		d.must(err)
		if s.Oldest > seq {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("the relay still has event %d, and %d are backed up\n%s", s.Oldest, seq, d.logs)
		}
	}
}

// relaySeq is how far the relay's stream is in the newest backup.
func (d *disaster) relaySeq() uint64 {
	d.t.Helper()
	m, _, err := backup.Chosen(d.path("to"), "")
	d.must(err)
	return m.Cursor.Seq
}

// Everything that a site does with backups, once: two of them while messages
// come in, what the relay and the metrics hear of it, a drill; then the machine
// is gone, and the two folders and the kit bring it back.
func TestBackupAndRestoreWhileRunning(t *testing.T) {
	d := kept(t)
	all := lines(60)
	d.start()
	d.load(all[:20])
	d.acked()
	if got := d.metric("holdfast_backup_last_success_timestamp_seconds"); got != 0 {
		t.Errorf("before the first backup its time is %f", got)
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		d.load(all[20:40])
	}()
	first := d.run()
	<-loaded
	if !first.OK || first.Size == 0 || first.Written == 0 || first.Files == 0 || first.To != "to" {
		t.Errorf("the first backup: %+v", first)
	}
	d.backedUp(d.relaySeq())
	d.acked()
	second := d.run()
	if second.Size <= first.Size || second.ID <= first.ID {
		t.Errorf("%+v after %+v", second, first)
	}
	d.backedUp(d.relaySeq())
	if s, err := d.relay.Status(); err != nil || s.Oldest != s.High+1 {
		t.Errorf("the relay keeps events from %d to %d, which are all backed up: %v", s.Oldest, s.High, err)
	}
	d.shown(first, second)
	d.drilledTwice(second)

	d.stop()
	made := d.burnt()
	if made.Manifest.ID != second.ID || made.Manifest.Size != second.Size || !made.Report.OK() || made.Report.Bodies != second.Size {
		t.Fatalf("%+v", made.Report)
	}
	d.start()
	d.until("going on", func(r *api.RestoreResponse) bool { return r.State == api.RestoreSettled })
	if got := d.search("received>=1900-01-01", 1).Total; got != 40 {
		t.Errorf("of 40 messages %d are found", got)
	}
	d.load(all[40:])
	d.acked()
	for _, p := range phrases(all) {
		if r, want := d.search(`"`+p+`"`, 1), count(all, p); r.Total != want || want == 0 {
			t.Errorf("a search finds %d, a count %d", r.Total, want)
		}
	}
	report, err := d.client.Verify(t.Context(), api.VerifyRequest{}, nil)
	if err != nil || !report.OK || report.Bodies != report.Size {
		t.Errorf("%+v, %v", report, err)
	}
	// It is backed up in its turn, into the same folders.
	if third := d.run(); third.ID <= second.ID || third.Size <= second.Size {
		t.Errorf("%+v", third)
	}
}

// shown looks at what people and metrics are told of two backups.
func (d *disaster) shown(first, second *api.Backup) {
	d.t.Helper()
	r, err := d.client.Backups(d.t.Context())
	d.must(err)
	if len(r.Backups) != 2 || r.Backups[0].ID != second.ID || r.Backups[1].ID != first.ID || r.LastBackup == nil || r.LastBackup.ID != second.ID ||
		r.LastDrill != nil || r.KeysCurrent == nil || !*r.KeysCurrent || r.Running {
		d.t.Errorf("shown: %+v", r)
	}
	for name, ok := range map[string]func(v float64) bool{
		"holdfast_backup_last_success_timestamp_seconds": func(v float64) bool { return time.Since(time.UnixMilli(int64(v*1000))).Abs() < time.Hour },
		"holdfast_backup_failed":                         func(v float64) bool { return v == 0 },
		"holdfast_backup_duration_seconds":               func(v float64) bool { return v > 0 },
		"holdfast_backup_bytes":                          func(v float64) bool { return v == float64(second.Bytes) },
		"holdfast_drill_last_success_timestamp_seconds":  func(v float64) bool { return v == 0 },
		"holdfast_keys_backup_current":                   func(v float64) bool { return v == 1 },
	} {
		if v := d.metric(name); !ok(v) {
			d.t.Errorf("%s is %f", name, v)
		}
	}
}

// drilledTwice drills as the command does, in a process of its own with the
// master key from its file, and in the daemon's.
func (d *disaster) drilledTwice(of *api.Backup) {
	d.t.Helper()
	o, done, err := PrepareDrill(d.config, api.DrillRequest{})
	d.must(err)
	if _, _, err := PrepareDrill(d.config, api.DrillRequest{}); !errors.Is(err, api.ErrDrillRunning) {
		d.t.Errorf("a drill beside another: %v", err)
	}
	if _, err := d.client.Drill(d.t.Context(), api.DrillRequest{}, nil); err == nil {
		d.t.Error("the daemon drills beside another")
	}
	o.Live, o.Master = d.config.Data, d.master()
	alone, err := backup.Drill(d.t.Context(), o)
	d.must(errors.Join(err, done()))
	if alone.Manifest.ID != of.ID || alone.Bodies != min(100, of.Size) || !alone.Report.OK() {
		d.t.Errorf("%+v", alone)
	}
	if d.metric("holdfast_drill_failed") != 0 {
		d.t.Error("a drill beside another counts as one that failed")
	}
	there, err := d.client.Drill(d.t.Context(), api.DrillRequest{}, nil)
	d.must(err)
	if !there.OK || there.ID != of.ID || there.Size != of.Size || there.Bodies != alone.Bodies || there.Bytes != alone.Bytes {
		d.t.Errorf("%+v", there)
	}
	if _, err := os.Stat(filepath.Join(d.config.Data, "drill")); !errors.Is(err, os.ErrNotExist) {
		d.t.Errorf("what a drill left: %v", err)
	}
	if d.metric("holdfast_drill_last_success_timestamp_seconds") == 0 || d.metric("holdfast_drill_failed") != 0 {
		d.t.Error("a drill came off and no metric says so")
	}
	r, err := d.client.Backups(d.t.Context())
	d.must(err)
	if r.LastDrill == nil || r.LastDrill.ID != of.ID || !r.Backups[0].OK {
		d.t.Errorf("shown: %+v", r.LastDrill)
	}
}

// burnt loses the data and the credentials, and puts the newest backup back into
// another folder under another master key.
func (d *disaster) burnt() *backup.Outcome {
	d.t.Helper()
	d.must(errors.Join(os.RemoveAll(d.path("data")), os.RemoveAll(d.path("cred"))))
	d.config.Data, d.config.Credentials = d.path("fresh"), d.path("cred2")
	key := seal.NewKey()
	d.must(os.Mkdir(d.path("cred2"), 0o700))
	d.must(os.WriteFile(filepath.Join(d.path("cred2"), MasterFile), []byte(hex.EncodeToString(key[:])+"\n"), 0o600))
	out, err := backup.Restore(d.t.Context(), backup.RestoreOptions{From: d.path("to"), Keys: d.path("keys"), To: d.config.Data, Recovery: d.recovery, Master: key})
	d.must(err)
	return out
}

// A backup that cannot be made says why, is on record, and alarms; so is a drill
// of one that is damaged, and the file at fault is named.
func TestBackupsAndDrillsThatFail(t *testing.T) {
	d := kept(t)
	d.start()
	d.loadWard(d.attached("m1", "see the note", "note.txt", "text/plain", "seen at nine"))
	d.acked()
	made := d.run()

	m, _, err := backup.Chosen(d.path("to"), made.ID)
	d.must(err)
	at := slices.IndexFunc(m.Files, func(f backup.File) bool { return f.Path == "log/000000.db" })
	object := backup.ObjectPath(d.path("to"), m.Files[at].SHA256)
	whole := d.flip(object)
	_, err = d.client.Drill(t.Context(), api.DrillRequest{}, nil)
	var p *api.Problem
	if !errors.As(err, &p) || p.Exit != api.ExitData || !regexp.MustCompile(`log/000000\.db.*another content`).MatchString(p.Detail) {
		t.Errorf("a flipped byte: %v", err)
	}
	d.must(os.WriteFile(object, whole, 0o600))
	if d.metric("holdfast_drill_failed") != 1 || d.metric("holdfast_backup_failed") != 0 {
		t.Error("the metrics of a failed drill")
	}
	// What no backup reads again, and no drill, is read again after a failed one.
	object = d.attachment()
	whole = d.flip(object)
	d.run()
	if now, err := os.ReadFile(object); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("after a drill that failed the next backup believes the one before: %v", err)
	}
	d.flip(object)
	made = d.run()
	if now, err := os.ReadFile(object); err != nil || bytes.Equal(now, whole) {
		t.Errorf("each backup after a failed drill reads everything again: %v", err)
	}

	d.must(os.Rename(d.path("to"), d.path("unmounted")))
	d.must(os.Mkdir(d.path("to"), 0o700))
	_, err = d.client.Backup(t.Context(), api.BackupRequest{}, nil)
	if !errors.As(err, &p) || p.Exit != api.ExitCreate || !regexp.MustCompile(`had backups and has none`).MatchString(p.Detail) {
		t.Errorf("a disk that is not mounted: %v", err)
	}
	r, err := d.client.Backups(t.Context())
	d.must(err)
	if r.Backups[0].OK || r.Backups[0].ErrorClass != "folder" || r.LastBackup.ID != made.ID || d.metric("holdfast_backup_failed") != 1 {
		t.Errorf("shown: %+v", r.Backups[0])
	}
	if !d.alarmed(AlarmBackup) {
		t.Error("a backup failed and nobody is told")
	}
}

// flip spoils a bit of a file, and returns what it held.
func (d *disaster) flip(path string) []byte {
	d.t.Helper()
	whole, err := os.ReadFile(path)
	d.must(err)
	flipped := slices.Clone(whole)
	flipped[len(flipped)/3] ^= 1
	d.must(os.WriteFile(path, flipped, 0o600))
	return whole
}

// attachment returns where the one attachment is in the backups.
func (d *disaster) attachment() string {
	d.t.Helper()
	found, err := filepath.Glob(d.path("data/blobs/??/" + strings.Repeat("?", 64)))
	d.must(err)
	if len(found) != 1 {
		d.t.Fatalf("%d attachments", len(found))
	}
	text, err := os.ReadFile(found[0])
	d.must(err)
	sum := sha256.Sum256(text)
	return backup.ObjectPath(d.path("to"), hex.EncodeToString(sum[:]))
}

func (d *disaster) alarmed(name string) bool {
	d.t.Helper()
	r, err := d.client.Alarms(d.t.Context(), api.AlarmsRequest{})
	d.must(err)
	return slices.ContainsFunc(r.Alarms, func(a api.Alarm) bool { return a.Name == name })
}

// Where the keyring's own backup cannot be written, what comes under a new key
// waits, and goes on by itself.
func TestIngestWaitsForTheKeysBackup(t *testing.T) {
	d := kept(t)
	d.must(os.Remove(d.path("keys")))
	d.start()
	d.load(lines(3))
	d.untilTrue("somebody is told", func() bool { return d.alarmed(AlarmKeysBackup) })
	if s, err := d.relay.Status(); err != nil || s.Acked != 0 || d.metric("holdfast_keys_backup_current") != 0 {
		t.Errorf("%d events are acknowledged whose keys are in no copy: %v", s.Acked, err)
	}
	d.must(os.Mkdir(d.path("keys"), 0o700))
	d.acked()
	if d.metric("holdfast_keys_backup_current") != 1 {
		t.Error("the keys' backup is there, and no metric says so")
	}
	d.stop()
	d.offline(func(a *archive.Archive) {
		_, sidecar, err := backup.NewestKeys(d.path("keys"), a.Identity())
		d.must(err)
		if sidecar.Generation != a.KeyringGeneration() {
			t.Errorf("the copy is of keyring %d, the archive's is %d", sidecar.Generation, a.KeyringGeneration())
		}
		// The log has the order: a copy was made, and only then came what the relay has.
		copied := false
		for seq := range a.Size() {
			leaf, err := a.Leaf(seq)
			d.must(err)
			copied = copied || leaf.Kind == proof.KindCopy
			if leaf.RelaySeq > 0 && !copied {
				t.Fatalf("entry %d came from the relay before there was any copy of its key", seq)
			}
		}
	})
}

// A copy of the keyring that somebody took away is told of once, by its id, at
// the next look; another is made in its place at once, and it is told of for as
// long as nobody says that it is gone.
func TestKeysCopyTakenAwayIsTold(t *testing.T) {
	d := kept(t)
	d.start()
	d.load(lines(3))
	d.acked()
	left := func() (out []string) {
		t.Helper()
		r, err := d.client.Copies(t.Context())
		d.must(err)
		for _, c := range r.Copies {
			if c.Gone == nil && c.What == retention.CopyRecovery {
				out = append(out, c.ID)
			}
		}
		return out
	}
	unseen := func() (out []api.Alarm) {
		t.Helper()
		r, err := d.client.Alarms(t.Context(), api.AlarmsRequest{All: true})
		d.must(err)
		return slices.DeleteFunc(r.Alarms, func(a api.Alarm) bool { return a.Name != AlarmKeysUnseen })
	}
	// looked has the daemon look at the folder anew, and waits until it has.
	looked := func() {
		t.Helper()
		d.stop()
		d.start()
		d.untilTrue("the keyring is copied", func() bool { return d.metric("holdfast_keys_backup_current") == 1 })
		d.run() // a backup looks again, and waits for nobody else who does
	}
	looked()
	if a := unseen(); len(a) != 0 {
		t.Fatalf("every copy is there: %+v", a)
	}
	d.stop()
	var taken string
	d.offline(func(a *archive.Archive) {
		// The daemon may have been stopped before it had copied the newest keyring.
		p, err := newParts(t.Context(), a, Options{Config: d.config, Version: "test", Logger: slog.New(slog.NewTextHandler(d.logs, nil))})
		d.must(err)
		s, err := p.backups.keeper.Keep(t.Context())
		d.must(errors.Join(err, p.index.Close()))
		dir, newest := backup.KeysDir(d.path("keys"), a.Identity().Origin), s.Generation
		for _, path := range []string{backup.KeyCopyPath(dir, newest), backup.SidecarPath(dir, newest)} {
			d.must(os.Rename(path, filepath.Join(t.TempDir(), "taken")))
		}
		taken = fmt.Sprintf("keys-%d-", newest)
	})
	d.start()
	d.untilTrue("it is told of", func() bool { return len(unseen()) > 0 })
	told := unseen()[0]
	named := left()
	if !slices.Contains(named, told.Facts["copy"]) || !strings.HasPrefix(told.Facts["copy"], taken) || told.Severity != "warning" || told.Ack != nil || !strings.Contains(told.Fix, "holdfast copies gone") {
		t.Errorf("%+v; left are %v, and %s was taken", told, named, taken)
	}
	if d.metric("holdfast_keys_backup_current") != 1 {
		t.Error("another copy was made, and the metric says that there is none")
	}
	looked()
	if a := unseen(); len(a) != 1 || !slices.Contains(left(), told.Facts["copy"]) {
		t.Errorf("%d alarms of it, left are %v", len(a), left())
	}
	// Acknowledged is not gone: it is told of again.
	_, err := d.client.AckAlarm(t.Context(), api.AckRequest{Seq: told.Seq, Reason: "looking for it"})
	d.must(err)
	looked()
	d.untilTrue("it is told of again", func() bool { return len(unseen()) == 2 })
	_, err = d.client.AckAlarm(t.Context(), api.AckRequest{Seq: unseen()[0].Seq, Reason: "found"})
	d.must(err)
	_, err = d.client.CopyGone(t.Context(), api.CopyGoneRequest{ID: told.Facts["copy"], Reason: "overwritten"})
	d.must(err)
	looked()
	if a := unseen(); len(a) != 2 || slices.Contains(left(), told.Facts["copy"]) {
		t.Errorf("it is gone, and told of: %d, left are %v", len(a), left())
	}
}

// untilTrue waits for what happens by itself.
func (d *disaster) untilTrue(what string, ok func() bool) {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("not yet: %s\n%s", what, d.logs)
		}
	}
}

// A disposition is followed by a backup at once: what survived it is in the one
// before under keys alone that were destroyed, a copy of which goes then.
func TestDisposedOfIsBackedUpAtOnce(t *testing.T) {
	d := kept(t)
	d.start()
	d.load(lines(12))
	d.acked()
	made := d.run()
	d.stop()
	var destroyed uint64
	d.offline(func(a *archive.Archive) {
		m, _, err := backup.Chosen(d.path("to"), made.ID)
		d.must(err)
		at := slices.IndexFunc(m.Files, func(f backup.File) bool { return regexp.MustCompile(`^bodies/.*\.general\.`).MatchString(f.Path) })
		cm := archive.ClassMonth{Class: "general", Month: filepath.Base(m.Files[at].Path)[:7]}
		r, err := a.Reseal(t.Context(), cm, archive.ResealOptions{Keep: func(r archive.Record) (bool, error) { return r.Leaf.Seq%2 == 0, nil }})
		d.must(err)
		body, err := json.Marshal(archive.AlarmBody{Name: "test", Severity: "info", Text: "begun"})
		d.must(err)
		_, err = a.Switch(t.Context(), []*archive.Resealed{r}, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}})
		d.must(err)
		gone, err := a.Destroy(t.Context(), []archive.ClassMonth{cm}, nil)
		d.must(err)
		destroyed = gone.Keyring
	})
	d.start()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		r, err := d.client.Copies(t.Context())
		d.must(err)
		named := slices.ContainsFunc(r.Copies, func(c retention.Copy) bool { return c.Gone == nil && !c.Keyless && c.Keyring < destroyed })
		if b, err := d.client.Backups(t.Context()); err == nil && len(b.Backups) == 2 && b.Backups[0].OK && !named {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("copies: %+v\n%s", r.Copies, d.logs)
		}
	}
	d.stop()
	if made := d.burnt(); !made.Report.OK() || made.Report.Disposed == 0 || len(made.Missing) != 0 {
		t.Errorf("%+v", made.Report)
	}
}
