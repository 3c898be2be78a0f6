package daemon

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/internal/api"
	"holdfast/internal/config"
)

// The alarms of backups.
const (
	AlarmBackup        = "backup-failed"
	AlarmBackupDamage  = "backup-unreadable-entries"
	AlarmKeysBackup    = "keys-backup-failed"
	AlarmBackupPruning = "backup-pruning-failed"
	AlarmKeysUnseen    = "keys-copy-not-seen"
)

// How the keyring's own backup is kept.
const (
	keysEvery = 10 * time.Minute    // a look whether it is still there
	keysAgain = 15 * time.Second    // after a failure
	keysAhead = 14 * 24 * time.Hour // before a month begins its keys are made
)

// backups makes backups and keeps the keyring's own.
type backups struct {
	p      *parts
	config config.Backup
	whole  *config.Config
	spool  string
	book   *backupBook
	keeper *backup.Keeper // nil without keys_to

	making   sync.Mutex // one backup at a time
	drilling sync.Mutex // one drill at a time
	running  atomic.Bool
	current  atomic.Bool   // the keyring's own backup has every key
	owed     chan struct{} // capacity 1: an older keyring copy waits for the next backup
}

// backupDuty makes backups, and keeps account of them and of drills.
func (p *parts) backupDuty(o Options) (duty, error) {
	c := o.Config.Backup
	b := &backups{p: p, config: c, whole: o.Config, book: &backupBook{}, owed: make(chan struct{}, 1), spool: filepath.Join(o.Config.Data, "spool")}
	if c.Spool != "" {
		b.spool = filepath.Join(c.Spool, "holdfast-spool") // a folder of our own: it is emptied
	}
	p.backups = b
	d := duty{appliers: map[proof.Kind]state.Applier{proof.KindBackup: b.book}, metrics: b.metrics()}
	d.chores = []chore{{what: "what a drill left", do: func(context.Context) error { return tidyTemp(o.Config.Data) }, alarm: archive.AlarmBody{
		Name: AlarmHousekeeping, Severity: "warning", Text: "what a restore drill left behind could not be removed: it may hold a copy of the keyring",
		Fix: "Remove the folder `drill` in the archive's folder. It is tried again every hour.",
	}}}
	if c.KeysTo == "" {
		return d, nil
	}
	b.keeper = &backup.Keeper{Archive: p.archive, Dir: c.KeysTo, Copies: copyBook{p}}
	// From here on nothing from the relay is acknowledged whose key is not in a copy.
	p.archive.HoldForKeys()
	d.run = b.run
	d.chores = append(d.chores, chore{what: "keys of the month to come", do: func(ctx context.Context) error { return p.archive.PrepareKeys(ctx, keysAhead) }, alarm: archive.AlarmBody{
		Name: AlarmHousekeeping, Severity: "warning", Text: "the keys of the month to come could not be made",
		Fix: "See the daemon's log for why. It is tried again every hour.",
	}})
	return d, nil
}

// backupAPI returns what the API needs of it.
func (p *parts) backupAPI() api.BackupParts { return api.BackupParts{Backups: p.backups} }

func (b *backups) metrics() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	at := func(what string) func() float64 {
		return func() float64 {
			good, _ := b.book.of(what)
			if good.At.IsZero() {
				return 0
			}
			return float64(good.At.UnixMilli()) / 1000
		}
	}
	failed := func(what string) func() float64 {
		return func() float64 {
			_, failed := b.book.of(what)
			return oneIf(failed)
		}
	}
	good := func() api.Backup {
		good, _ := b.book.of(backupMade)
		return good
	}
	out := []prometheus.Collector{
		gauge("holdfast_backup_last_success_timestamp_seconds", "When the last backup was made; 0: never.", at(backupMade)),
		gauge("holdfast_backup_failed", "1 if the last try at a backup failed.", failed(backupMade)),
		gauge("holdfast_backup_duration_seconds", "How long the last backup took.", func() float64 { return float64(good().MS) / 1000 }),
		gauge("holdfast_backup_bytes", "Size of the last backup, what it shares with others included.", func() float64 { return float64(good().Bytes) }),
		gauge("holdfast_drill_last_success_timestamp_seconds", "When a restore drill last came off; 0: never.", at(drillMade)),
		gauge("holdfast_drill_failed", "1 if the last restore drill failed.", failed(drillMade)),
	}
	if b.config.KeysTo != "" {
		out = append(out, gauge("holdfast_keys_backup_current", "1 while the keyring's own backup has every key.", func() float64 { return oneIf(b.current.Load()) }))
	}
	return out
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// keepKeys keeps the keyring's own backup until ctx ends.
func (b *backups) keepKeys(ctx context.Context) error {
	for {
		changed := b.p.archive.KeysChanged()
		pause := keysEvery
		if err := b.keep(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			pause = keysAgain
			b.p.logger.Error("the keyring's own backup could not be kept", "class", backupClass(err), "err", err)
			if err := b.p.raiseOnce(ctx, keysAlarm); err != nil {
				b.p.logger.Error("the alarm of it was not raised", "err", err)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

var keysAlarm = archive.AlarmBody{
	Name: AlarmKeysBackup, Severity: "critical", Text: "the keyring's own backup cannot be written: what a new month brings is not taken from the relay, and what people do is kept under keys that no backup has",
	Fix: "See that the folder of backup.keys_to is mounted, has room and belongs to the daemon's account. It is tried again every 15 seconds.",
}

func (b *backups) keep(ctx context.Context) error {
	if err := b.p.caughtUp(ctx); err != nil {
		return err
	}
	s, err := b.keeper.Keep(ctx)
	if s != nil {
		// An older copy that could not be removed is one copy too many, not one too few.
		b.p.archive.KeysCopied(s.Keys)
	}
	b.current.Store(err == nil)
	if b.config.To != "" && b.keeper.Owed() {
		wake(b.owed)
	}
	if unseen := b.keeper.Unseen(); err == nil && len(unseen) > 0 {
		b.p.logger.Warn("copies of the keyring are noted and not in their folder", "first", unseen[0].ID, "copies", len(unseen))
		return b.p.raiseOnce(ctx, archive.AlarmBody{
			Name: AlarmKeysUnseen, Severity: "warning", Text: "a copy of the keyring was taken out of its folder, and not by the archive: certificates of disposition name it as long as nobody says that it is gone",
			Fix: "Find it, overwrite it, and say `holdfast copies gone` with its id.", Facts: map[string]string{"copy": unseen[0].ID},
		})
	}
	return err
}

// Backup makes a backup and notes what came of it.
func (b *backups) Backup(ctx context.Context, req api.BackupRequest, progress func(api.Progress)) (*api.Backup, error) {
	to, keysTo := cmp.Or(req.To, b.config.To), cmp.Or(req.KeysTo, b.config.KeysTo)
	if to == "" || keysTo == "" {
		return nil, api.ErrBackupFolders
	}
	if !b.making.TryLock() {
		return nil, backup.ErrRunning
	}
	defer b.making.Unlock()
	b.running.Store(true)
	defer b.running.Store(false)
	if err := b.p.caughtUp(ctx); err != nil {
		return nil, err
	}
	keeper := b.keeper
	if keeper == nil || keeper.Dir != keysTo {
		keeper = &backup.Keeper{Archive: b.p.archive, Dir: keysTo, Copies: copyBook{b.p}}
	}
	begun := time.Now()
	made, err := backup.Make(ctx, backup.Options{
		Archive: b.p.archive, Keys: keeper, To: to, Spool: b.spool, Keep: b.config.Keep, Version: b.p.version, Copies: copyBook{b.p}, Reread: b.book.drillFailed(),
		Progress: func(p backup.Progress) {
			if progress != nil {
				progress(api.Progress{Step: p.Doing, Done: uint64(max(p.Done, 0)), Total: uint64(max(p.Of, 0))}) // #nosec G115 -- not negative
			}
		},
	})
	body := backupBody{What: backupMade, To: filepath.Base(to), MS: time.Since(begun).Milliseconds()}
	if made == nil && noBackupVerdict(b.config, req, err) {
		return nil, err
	}
	if made == nil {
		body.ErrorClass = backupClass(err)
		return nil, errors.Join(err, b.failed(ctx, body))
	}
	return b.made(ctx, body, made, err)
}

// failed notes a backup that was not made, and raises the alarm of it.
func (b *backups) failed(ctx context.Context, body backupBody) error {
	b.p.logger.Error("no backup was made", "class", body.ErrorClass)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(b.p.noteBackup(ctx, body), b.p.raiseOnce(ctx, archive.AlarmBody{
		Name: AlarmBackup, Severity: "critical", Text: "a backup could not be made; those that were there are as they were",
		Fix: "Run `holdfastd backup`, which says why: most often a folder is not mounted, is full or is not the daemon's to write to, or dispositions came in between.", Facts: map[string]string{"class": body.ErrorClass},
	}))
}

// made notes a backup. after is what went wrong once it was there: while older
// ones were pruned.
func (b *backups) made(ctx context.Context, body backupBody, r *backup.Result, after error) (*api.Backup, error) {
	m := r.Manifest
	body.ID, body.Size, body.Root, body.OK, body.Bytes = m.ID, m.Size, m.Root, true, r.Bytes
	if m.Cursor != nil {
		body.Epoch, body.RelaySeq = m.Cursor.Epoch, m.Cursor.Seq
	}
	if err := b.p.noteBackup(ctx, body); err != nil {
		return nil, err
	}
	if b.p.client != nil {
		b.p.client.TellBackedUp()
	}
	wake(b.p.housekeepSoon) // a certificate may be complete now
	b.p.logger.Info("a backup was made", "id", m.ID, "entries", m.Size, "bytes", r.Bytes, "written", r.Written, "ms", body.MS, "pruned", len(r.Pruned))
	if after != nil {
		b.p.logger.Error("older backups could not be pruned", "class", backupClass(after), "err", after)
		if err := b.p.raiseOnce(ctx, archive.AlarmBody{Name: AlarmBackupPruning, Severity: "warning", Text: "a backup was made, but older ones could not be removed",
			Fix: "See the daemon's log for why. If a backup in the folder is damaged, make sure of another copy, then move its file away from the folder `backups`."}); err != nil {
			return nil, err
		}
	}
	if n := len(r.Damaged); n > 0 {
		if err := b.p.raiseOnce(ctx, archive.AlarmBody{Name: AlarmBackupDamage, Severity: "critical", Text: "a backup was made, and some entries in it do not open: the archive itself cannot open them",
			Fix: "Run `holdfast verify`, which names every entry at fault, and put the file back from an older backup that has it whole."}); err != nil {
			return nil, err
		}
	}
	row, _ := b.book.of(backupMade)
	row.Files, row.Written, row.Damaged, row.Pruned = r.Files, r.Written, uint64(len(r.Damaged)), r.Pruned
	return &row, nil
}

// Drilled notes what a restore drill came to.
func (b *backups) Drilled(ctx context.Context, d api.Drilled) error {
	return b.p.noteBackup(ctx, backupBody{What: drillMade, ID: d.ID, Size: d.Size, Root: d.Root, OK: d.OK, ErrorClass: d.ErrorClass, Bytes: d.Bytes, MS: d.MS})
}

// Backups says which backups and drills there were.
func (b *backups) Backups(ctx context.Context) (*api.BackupsResponse, error) {
	if err := b.p.caughtUp(ctx); err != nil {
		return nil, err
	}
	out := b.book.show()
	out.Running = b.running.Load()
	if b.keeper != nil {
		current := b.current.Load()
		out.KeysCurrent = &current
	}
	return out, nil
}

// backupClass names what kind of failure err is: for metrics and the log, free
// of paths.
func backupClass(err error) string {
	for _, c := range []struct {
		err   error
		class string
	}{
		{backup.ErrRunning, "running"}, {backup.ErrForeign, "foreign"}, {backup.ErrKeysUncopied, "keys"}, {backup.ErrNoKeys, "keys"}, {backup.ErrDamaged, "damaged"},
		{archive.ErrDiskFull, "spool_full"}, {syscall.ENOSPC, "full"}, {syscall.EDQUOT, "full"}, {syscall.EROFS, "read_only"}, {fs.ErrPermission, "permission"},
		{archive.ErrChanged, "changed"}, {archive.ErrDamaged, "archive_damaged"}, {archive.ErrFailed, "log"}, {archive.ErrClosed, "stopping"},
		{context.Canceled, "stopping"}, {backup.ErrTarget, "folder"}, {fs.ErrNotExist, "folder"}, {syscall.ESTALE, "folder"}, {syscall.EIO, "io"},
	} {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	return "other"
}
