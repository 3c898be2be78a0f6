package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/retention"
)

// housekeepEvery is how often what the passing of time brings about is looked
// at: keys whose time has come, certificates of which no copy is left.
const housekeepEvery = time.Hour

// housekeep does it until ctx ends.
func (p *parts) housekeep(ctx context.Context) error {
	tick := time.NewTicker(housekeepEvery)
	defer tick.Stop()
	for {
		p.tend(ctx, p.chores())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.housekeepSoon:
		}
	}
}

// chore is one thing that is looked after, and the alarm that it could not be.
type chore struct {
	what  string
	alarm archive.AlarmBody
	do    func(ctx context.Context) error
}

// AlarmUnfinished is the name of the alarm that a disposition has begun and
// cannot be finished.
const AlarmUnfinished = "disposition-unfinished"

// AlarmHousekeeping is the name of the alarm that something is not looked after
// that the passing of time brings about.
const AlarmHousekeeping = "housekeeping-failing"

// resume is the chore that everything else about disposition rests on.
func (p *parts) resume() chore {
	return chore{what: "a disposition that was under way", do: p.salvage.unlessWaiting(p.book.Resume), alarm: archive.AlarmBody{
		Name: AlarmUnfinished, Severity: "critical", Text: "a disposition has begun and cannot be finished: keys that should be gone may still be there, and nothing else is disposed of",
		Fix: "See the daemon's log for what fails, and run `holdfast verify`. It is tried again every hour and at every start, and undone where a hold has come in.",
	}}
}

func (p *parts) chores() []chore {
	failing := func(what string, do func(ctx context.Context) error) chore {
		return chore{what: what, do: p.salvage.unlessWaiting(do), alarm: archive.AlarmBody{
			Name: AlarmHousekeeping, Severity: "warning", Text: "what the passing of time brings about is not looked after: keys, certificates, or what is due",
			Fix: "See the daemon's log for which of them fails, and why. It is tried again every hour.",
		}}
	}
	out := []chore{
		p.resume(), failing("recipient keys", p.rotate), failing("certificates", p.book.Complete), failing("what is due", p.reckon),
	}
	for _, d := range p.duties {
		out = append(out, d.chores...)
	}
	return out
}

// tend does each chore, whether or not the one before could be done.
func (p *parts) tend(ctx context.Context, chores []chore) {
	for _, c := range chores {
		err := c.do(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, retention.ErrRunning) { // a run finishes what was under way first, and the next hour the rest
			continue
		}
		p.logger.Error(c.what+" could not be looked after; the next hour will", "err", err)
		if errors.Is(err, retention.ErrUnsettled) || errors.Is(err, retention.ErrBusy) {
			continue // the log was busy just now
		}
		if err := p.raiseOnce(ctx, c.alarm); err != nil {
			p.logger.Error("the alarm of it was not raised", "err", err)
		}
	}
}

// raiseOnce raises an alarm unless one of that name stands that nobody has
// acknowledged.
func (p *parts) raiseOnce(ctx context.Context, alarm archive.AlarmBody) error {
	if err := p.caughtUp(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(p.state.Alarms(false), func(a state.Alarm) bool { return a.Name == alarm.Name }) {
		return nil
	}
	return p.raise(ctx, alarm)
}

// raise puts an alarm into the log, durable once it returns.
func (p *parts) raise(ctx context.Context, alarm archive.AlarmBody) error {
	body, err := json.Marshal(alarm)
	if err != nil {
		return fmt.Errorf("alarm %s: %w", alarm.Name, err)
	}
	_, err = p.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}})
	return err
}

// reckonEvery is how often it is found out what is due, which opens every body
// that may be.
const reckonEvery = 24 * time.Hour

func (p *parts) reckon(ctx context.Context) error {
	if at := p.book.Gauges().AsOf; at != nil && p.archive.Now().Sub(*at) < reckonEvery {
		return nil
	}
	if err := p.book.Reckon(ctx); err != nil && !errors.Is(err, retention.ErrFrozen) && !errors.Is(err, retention.ErrNothing) {
		return err
	}
	return nil
}
