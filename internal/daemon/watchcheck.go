package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/internal/durable"
	"holdfast/internal/ijson"
	"holdfast/internal/regular"
)

// When the daemon checks its own store, and how gently: after each step it
// rests for restOfCheck times as long as the step took, on one core.
const (
	checkChainEvery  = 24 * time.Hour
	checkBodiesEvery = 7 * 24 * time.Hour
	checkSettle      = 15 * time.Minute // after a start, which has enough to do
	checkAgain       = time.Hour        // after a check that could not go on
	restOfCheck      = 3
)

// AlarmCheck is the name of the alarm that a check of the store found damage.
const AlarmCheck = "check-failed"

// checkedFile is where it stands in the data directory when the store was last
// checked, so that the age survives a restart. It holds no secret, and nothing
// but the next check's time hangs on it.
const checkedFile = "checked.json"

// checked is checkedFile's content.
type checked struct {
	Version int       `json:"v"`               // 1
	Chain   time.Time `json:"chain,omitzero"`  // when a check of the chain last found nothing
	Bodies  time.Time `json:"bodies,omitzero"` // when one with the bodies did
	Failed  bool      `json:"failed"`          // the last that came to its end found damage
	Tried   time.Time `json:"tried,omitzero"`  // when that one ended
}

// checks checks the store by the clock: the chain every day, and every body
// every week.
type checks struct {
	path  string
	parts *parts
	check func(ctx context.Context, o archive.CheckOptions) (*archive.Report, error)

	mu     sync.Mutex
	stands checked
}

func newChecks(dir string, p *parts) (*checks, error) {
	c := &checks{path: filepath.Join(dir, checkedFile), parts: p, check: p.archive.Check, stands: checked{Version: 1}}
	text, err := regular.Read(c.path, 4<<10)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("when the store was last checked: %w", err)
	}
	var was checked
	if err := ijson.UnmarshalStrict(text, &was); err != nil || was.Version != 1 {
		p.logger.Warn("when the store was last checked cannot be read; it is checked anew", "file", c.path)
		return c, nil
	}
	c.stands = was
	return c, nil
}

func (c *checks) state() checked {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stands
}

func (c *checks) damaged() bool { return c.state().Failed }

// due returns in how long to check next, and whether to open every body. After
// damage every body is opened, once a day: nothing less could say that it is
// gone. A time ahead of the clock, which was set back since, counts for nothing.
func (s *checked) due(now time.Time) (wait time.Duration, bodies bool) {
	until := func(last time.Time, every time.Duration) time.Duration {
		if last.IsZero() || last.After(now) {
			return 0
		}
		return max(0, every-now.Sub(last))
	}
	if s.Failed {
		return until(s.Tried, checkChainEvery), true
	}
	chain, all := until(s.Chain, checkChainEvery), until(s.Bodies, checkBodiesEvery)
	return min(chain, all), all <= chain
}

// run checks until ctx ends.
func (c *checks) run(ctx context.Context) error {
	wait := checkSettle
	for {
		stands := c.state()
		due, bodies := stands.due(time.Now())
		if err := sleep(ctx, max(wait, due)); err != nil {
			return nil
		}
		wait = 0
		if err := c.once(ctx, bodies); err != nil && ctx.Err() == nil {
			wait = checkAgain
			c.parts.logger.Error("the store could not be checked; it is tried again", "err", err)
		}
	}
}

// once checks now. An error means that the check could not go on; damage is
// none, but an alarm.
func (c *checks) once(ctx context.Context, bodies bool) error {
	began := time.Now()
	report, err := c.check(ctx, archive.CheckOptions{Bodies: bodies, Rest: restOfCheck})
	if err != nil && !errors.Is(err, archive.ErrDamaged) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := c.state()
	now.Failed, now.Tried = err != nil || !report.OK(), time.Now().UTC().Truncate(time.Second)
	if now.Failed {
		return errors.Join(c.raise(ctx, report, bodies), c.keep(now))
	}
	now.Chain = now.Tried
	if bodies {
		now.Bodies = now.Tried
	}
	c.parts.logger.Info("the store was checked and is sound", "entries", report.Size, "bodies", report.Bodies, "took", time.Since(began).Round(time.Second))
	return c.keep(now)
}

// keep remembers what a check came to. A crash before it is on disk has the
// store checked once more.
func (c *checks) keep(now checked) error {
	c.mu.Lock()
	c.stands = now
	c.mu.Unlock()
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return durable.Replace(c.path, append(text, '\n'), 0o600)
}

// raise alarms. report is nil where the damage kept the check from going on.
func (c *checks) raise(ctx context.Context, report *archive.Report, bodies bool) error {
	facts := map[string]string{"bodies": strconv.FormatBool(bodies)}
	if report != nil {
		facts["findings"] = strconv.FormatUint(report.Damage, 10)
		if len(report.Findings) > 0 {
			facts["entry"] = strconv.FormatUint(report.Findings[0].Seq, 10)
		}
	}
	c.parts.logger.Error("a check of the store found damage", "findings", facts["findings"], "first", facts["entry"])
	return c.parts.raiseOnce(ctx, archive.AlarmBody{
		Name: AlarmCheck, Severity: "critical", Text: "the daemon checked its own store and found entries that are not as they were appended",
		Fix:   "Run `holdfast verify` to see every entry at fault, keep the disk as it is, and put a copy of the store back that verifies.",
		Facts: facts,
	})
}

// sleep waits; an error says that ctx ended before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
