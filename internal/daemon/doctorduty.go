package daemon

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"holdfast/archive"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/doctor"
)

// examiner answers what the daemon finds out about itself. It is
// api.Examiner.
type examiner struct {
	p       *parts
	config  *config.Config
	started time.Time
	growth  atomic.Pointer[doctor.Growth] // as of the last hour
}

// doctorDuty examines the daemon from within.
func (p *parts) doctorDuty(o Options) (duty, error) {
	p.examiner = &examiner{p: p, config: o.Config, started: p.archive.Now()}
	return duty{chores: []chore{{what: "how fast the archive grows", do: p.examiner.measure, alarm: archive.AlarmBody{
		Name: AlarmHousekeeping, Severity: "warning", Text: "what the passing of time brings about is not looked after: how fast the archive grows",
		Fix: "See the daemon's log for why. It is tried again every hour.",
	}}}}, nil
}

// doctorAPI returns what the API needs of it.
func (p *parts) doctorAPI() api.DoctorParts { return api.DoctorParts{Doctor: p.examiner} }

// quarantineWithin is over how long quarantine may not have grown.
const quarantineWithin = 24 * time.Hour

// quarantinedLately returns how many entries came into quarantine within that.
func (e *examiner) quarantinedLately(ctx context.Context) (float64, error) {
	size := e.p.archive.Size()
	before, err := e.p.SizeAt(ctx, e.p.archive.Now().Add(-quarantineWithin))
	if err != nil {
		return 0, err
	}
	if err := e.p.counts.catchUp(ctx, e.p.archive); err != nil {
		return 0, err
	}
	return float64(len(e.p.counts.quarantineAmong(before, size))), nil
}

// measure finds out how much room there is and how fast it is used: it looks at
// every file of the archive.
func (e *examiner) measure(ctx context.Context) error {
	a := e.p.archive
	begun, err := e.begun()
	if err != nil {
		return err
	}
	g, err := doctor.Measure(e.config.Data, e.config.Disk.LowWater, a.Now(), begun, a.Size(), func(t time.Time) (uint64, error) { return e.p.SizeAt(ctx, t) })
	if err != nil {
		return err
	}
	e.growth.Store(g)
	return nil
}

// begun returns when the archive was made.
func (e *examiner) begun() (time.Time, error) {
	leaf, err := e.p.archive.Leaf(0)
	if err != nil {
		return time.Time{}, err
	}
	return leaf.ReceivedTime(), nil
}

// Examine implements api.Examiner.
func (e *examiner) Examine(ctx context.Context) (*api.DoctorResponse, error) {
	begun, err := e.begun()
	if err != nil {
		return nil, err
	}
	lately, err := e.quarantinedLately(ctx)
	if err != nil {
		return nil, err
	}
	if e.growth.Load() == nil { // the first hour has not begun yet
		if err := e.measure(ctx); err != nil {
			e.p.logger.Warn("how fast the archive grows was not found out", "err", err)
		}
	}
	growth := e.growth.Load()
	if growth != nil {
		now := *growth
		if now.Free, now.Size, err = doctor.Space(e.config.Data); err == nil {
			growth = &now
		}
	}
	samples, err := doctor.Gather(e.p.server.Registry)
	if err != nil {
		e.p.logger.Warn("the doctor saw only a part of the metrics", "err", err)
	}
	c, now := e.config, e.p.archive.Now()
	found := doctor.Live(doctor.Facts{
		Now: now, Started: e.started, Begun: begun, Head: e.head(ctx), Growth: growth, QuarantinedLately: lately,
		Relay: c.Relay != nil, Directory: c.Directory != nil, Backup: c.Backup.To != "", KeysBackup: c.Backup.KeysTo != "",
		Anchor:      c.Anchor.File != "" || len(c.Anchor.Witnesses) > 0 || c.Anchor.Timestamp != nil,
		Notices:     c.Notify.SMTP != nil || c.Notify.Webhook != nil || c.Notify.Syslog != nil,
		AnchorEvery: c.Anchor.Every.Duration,
	}, samples)
	resp := &api.DoctorResponse{Version: e.p.version, Started: e.p.started, At: now}
	for _, f := range found {
		resp.Findings = append(resp.Findings, api.Finding(f))
	}
	return resp, nil
}

// head reads the log's last entry and its body from disk, and proves that the
// tree's root includes it.
func (e *examiner) head(ctx context.Context) error {
	a := e.p.archive
	size := a.Size()
	if size == 0 {
		return archive.ErrNotFound
	}
	if _, err := a.Record(ctx, size-1); err != nil && !errors.Is(err, archive.ErrDisposed) {
		return err
	}
	return doctor.Included(ctx, a, size-1, size)
}
