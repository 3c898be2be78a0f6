package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/retention"
)

// keptWard is an archive of the past with the folders of its backups, and the
// daemon that makes them.
func keptWard(t *testing.T) *erasureWard {
	t.Helper()
	w := newErasureWard(t, 1<<10)
	home := t.TempDir()
	w.backup = config.Backup{To: filepath.Join(home, "to"), KeysTo: filepath.Join(home, "keys"), Keep: 5}
	w.must(errors.Join(os.Mkdir(w.backup.To, 0o700), os.Mkdir(w.backup.KeysTo, 0o700)))
	w.in2019(func() {
		for m := range 2 {
			w.month(m, 8)
		}
	})
	return w
}

// untilTrue waits for what the daemon does by itself.
func (s *serving) untilTrue(what string, ok func() bool) {
	s.w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			s.w.t.Fatalf("not yet: %s\n%s", what, s.w.logs)
		}
	}
}

// disposeByTwo disposes of what is due as two people do it: neither of them can
// do it alone.
func (s *serving) disposeByTwo() *retention.Ran {
	s.w.t.Helper()
	ctx := s.w.t.Context()
	var p *retention.Plan
	s.untilTrue("what is due is planned", func() bool {
		var err error
		p, err = s.book.PlanDisposition(ctx, planner, retention.PlanOptions{Reason: "due"})
		if err != nil && !errors.Is(err, retention.ErrBusy) && !errors.Is(err, retention.ErrUnsettled) && !errors.Is(err, retention.ErrRunning) {
			s.w.t.Fatal(err)
		}
		return err == nil
	})
	if _, err := s.book.Run(ctx, planner, p.Seq, nil); err == nil {
		s.w.t.Fatal("one person alone disposed of messages")
	}
	if err := s.requests.Decide(ctx, s.archive, planner, p.Request, true, "I think so"); err == nil {
		s.w.t.Fatal("who planned it approved it")
	}
	s.w.must(s.requests.Decide(ctx, s.archive, approver, p.Request, true, "as it should be"))
	ran, err := s.book.Run(ctx, planner, p.Seq, nil)
	s.w.must(err)
	return ran
}

// The backup that a disposition calls for waits until that is over: what is
// copied meanwhile is out of date before it is whole.
func TestBackupWaitsForTheDisposition(t *testing.T) {
	w := keptWard(t)
	w.still = true
	s := w.serve()
	s.begin()
	_, err := s.backups.Backup(t.Context(), api.BackupRequest{}, nil)
	w.must(err)
	p, err := s.book.PlanDisposition(t.Context(), planner, retention.PlanOptions{Reason: "due"})
	w.must(err)
	w.must(s.requests.Decide(t.Context(), s.archive, approver, p.Request, true, "as it should be"))
	destroyed := false
	_, err = s.book.Run(t.Context(), planner, p.Seq, func(step string, _, _ uint64) {
		if step != retention.StepCertify {
			return
		}
		destroyed = true
		w.must(s.backups.keep(t.Context()))
		if !s.backups.keeper.Owed() || len(s.backups.owed) != 1 {
			t.Error("keys were destroyed under which alone a backup has what survived, and no backup is called for")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		s.backups.pay(ctx)
		if shown, err := s.backups.Backups(t.Context()); err != nil || len(shown.Backups) != 1 {
			t.Errorf("a backup was tried amid a disposition: %+v, %v", shown, err)
		}
	})
	w.must(err)
	if !destroyed {
		t.Error("nothing was destroyed")
	}
}

// first returns the certificates that continue no other.
func (s *serving) first() []retention.Certificate {
	return slices.DeleteFunc(s.book.Certificates(), func(c retention.Certificate) bool { return c.Of != 0 })
}

// What two people dispose of is gone from the backups' folders too, by itself:
// the certificate names the keyring copy that still opens it, for what survived
// is in no backup yet under another key; the next backup is made at once, the
// copy is erased, and a further certificate says that nothing is left. What
// survived is in that backup, and what went opens from neither (archive/backup/
// FORMAT.md section 3).
func TestDisposedOfGoesFromBackupsToo(t *testing.T) {
	w := keptWard(t)
	s := w.serve()
	s.begin()
	before, err := s.backups.Backup(t.Context(), api.BackupRequest{}, nil)
	w.must(err)
	s.disposeByTwo()
	s.untilTrue("further certificates say that it is complete", func() bool {
		return !slices.ContainsFunc(s.first(), func(c retention.Certificate) bool { return c.Continued == 0 })
	})
	certificates := s.certified()
	s.indexedAll()
	s.untilTrue("the newest keyring is copied, and nothing is left beside copies", func() bool {
		dir := backup.KeysDir(w.backup.KeysTo, s.archive.Identity().Origin)
		generations, err := backup.Generations(dir)
		w.must(err)
		entries, err := os.ReadDir(dir)
		w.must(err)
		return slices.Max(generations) == s.archive.KeyringGeneration() && len(entries) == 2*len(generations)
	})
	shown, err := s.backups.Backups(t.Context())
	w.must(err)
	if len(shown.Backups) != 2 || !shown.Backups[0].OK || shown.Backups[1].ID != before.ID {
		t.Fatalf("one backup before and one after: %+v", shown.Backups)
	}
	s.stop()

	w.copiesLack(certificates)
	if _, err := backup.Restore(t.Context(), w.again(before.ID)); !errors.Is(err, backup.ErrLostKeys) {
		t.Errorf("the backup from before it can still be put back: %v", err)
	}
	o := w.again("")
	out, err := backup.Restore(t.Context(), o)
	w.must(err)
	if out.Manifest.ID != shown.Backups[0].ID || !out.Report.OK() || len(out.Missing) != 0 {
		t.Fatalf("%+v, %+v", out.Manifest, out.Report)
	}
	w.asDisposed(o, out.Report.Disposed)
}

// certified looks at the certificates of one disposition, with the order of
// what the log says about copies, and returns the further ones.
func (s *serving) certified() (further []*retention.Certificate) {
	t := s.w.t
	t.Helper()
	var backups []uint64
	for seq := range s.archive.Size() {
		leaf, err := s.archive.Leaf(seq)
		s.w.must(err)
		if leaf.Kind == proof.KindBackup {
			backups = append(backups, seq)
		}
	}
	left := map[string]*retention.Copy{}
	for _, c := range s.book.Copies() {
		left[c.ID] = &c
	}
	survivors, spent := uint64(0), uint64(0)
	for _, c := range s.first() {
		survivors, spent = survivors+c.Survivors, spent+c.Count
		if c.Complete || len(c.Copies) == 0 {
			t.Errorf("%s %s: nothing else opened it: %+v", c.Class, c.Month, c.Copies)
		}
		for _, r := range c.Copies {
			known := left[r.ID]
			if r.What != retention.CopyRecovery || r.Where != s.w.backup.KeysTo || known == nil || known.Gone == nil {
				t.Errorf("%s %s: it names %+v, of which is known %+v", c.Class, c.Month, r, known)
			}
		}
		next, ok := s.book.Certificate(c.Continued)
		if !ok || next.Of != c.Seq || !next.Complete || len(next.Copies) != 0 || next.RangesDigest != c.RangesDigest || next.Keyring != c.Keyring || next.Continued != 0 {
			t.Fatalf("%+v is followed by %+v", c, next)
		}
		if _, err := retention.VerifyCertificate([]byte(next.JWS), s.archive.Identity()); err != nil {
			t.Error(err)
		}
		// The second backup lies between: until it was there the copy was needed.
		if len(backups) != 2 || c.Seq > backups[1] || next.Seq < backups[1] {
			t.Errorf("certificates %d and %d, backups %v", c.Seq, next.Seq, backups)
		}
		further = append(further, next)
	}
	if survivors == 0 || spent == 0 || len(further) < 2 {
		t.Fatalf("%d survivors of %d class-months, %d went: the test shows nothing", survivors, len(further), spent)
	}
	for _, c := range left {
		if c.Gone == nil && c.What == retention.CopyRecovery && c.Keyring < further[0].Keyring {
			t.Errorf("a copy is left that has destroyed keys: %+v", c)
		}
	}
	return further
}

// copiesLack opens every keyring copy that is left with the kit, and looks for
// the keys that certificates have as destroyed.
func (w *erasureWard) copiesLack(certificates []*retention.Certificate) {
	w.t.Helper()
	_, id, err := backup.Chosen(w.backup.To, "")
	w.must(err)
	dir := backup.KeysDir(w.backup.KeysTo, id.Origin)
	generations, err := backup.Generations(dir)
	w.must(err)
	for _, n := range generations {
		sealed, sidecar, err := backup.OpenKeys(dir, n, id)
		w.must(err)
		ring, err := seal.Recover(sealed, w.holds.recovery, id.Origin)
		w.must(err)
		for _, c := range certificates {
			if len(sidecar.Missing(c.Keys)) != len(c.Keys) {
				w.t.Errorf("copy %d says that it has one of %v", n, c.Keys)
			}
			for _, key := range c.Keys {
				if _, there := ring.Bodies[filepath.Base(key.Name)]; there && filepath.Dir(key.Name) == "bodies" {
					w.t.Errorf("copy %d has %s", n, key.Name)
				}
			}
		}
	}
}

// again says how to put a backup back into a folder of its own.
func (w *erasureWard) again(id string) backup.RestoreOptions {
	return backup.RestoreOptions{
		From: w.backup.To, Backup: id, Keys: w.backup.KeysTo, To: filepath.Join(w.t.TempDir(), "fresh"), Recovery: w.holds.recovery, Master: seal.NewKey(),
	}
}

// asDisposed opens what was put back: what survived is there, and what went is
// disposed of.
func (w *erasureWard) asDisposed(o backup.RestoreOptions, disposed uint64) {
	w.t.Helper()
	opts := w.opts
	opts.Master = o.Master
	a, err := archive.Open(w.t.Context(), o.To, opts)
	w.must(err)
	stays, went := w.stays(), uint64(0)
	for i, said := range w.said {
		_, err := a.Record(w.t.Context(), said.seq)
		switch {
		case stays[i] && err != nil:
			w.t.Errorf("entry %d, which stays: %v", said.seq, err)
		case !stays[i] && !errors.Is(err, archive.ErrDisposed):
			w.t.Errorf("entry %d, which went: %v", said.seq, err)
		case !stays[i]:
			went++
		}
	}
	if went == 0 || went != disposed {
		w.t.Errorf("%d went, and the restore found %d disposed of", went, disposed)
	}
	w.must(a.Close())
}
