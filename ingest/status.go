package ingest

import (
	"context"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

// Status says how ingest stands.
type Status struct {
	Connected bool           // the last poll gave a page
	LastError string         // class of the newest failure since the last page that verified, "" without one
	Cursor    archive.Cursor // what is durable
	RelayHigh uint64         // last seq that the relay holds, as it signed it
	LagEvents uint64         // RelayHigh less the cursor's seq
	LagAge    time.Duration  // how far back in time the archive stands behind the relay, at most
	LastPoll  time.Time      // zero before the first page
	LastAck   time.Time      // zero before the first ack
	AckedSeq  uint64         // last seq that the relay knows to be durable
}

// Status returns how ingest stands now.
func (c *Client) Status() Status {
	s := c.status.snapshot()
	if cur, ok := c.o.Log.Cursor(); ok {
		s.Cursor = cur
	}
	s.LagEvents = s.RelayHigh - min(s.RelayHigh, s.Cursor.Seq)
	return s
}

// tracker collects what Status and the gauges tell.
type tracker struct {
	metrics *Metrics

	mu    sync.Mutex
	s     Status
	fresh time.Time // when the archive last held all that the relay had, or the relay's time of the newest event it holds
	heard time.Time // when the relay last answered anything, or this client began
}

func newTracker(m *Metrics) *tracker {
	now := time.Now()
	return &tracker{metrics: m, heard: now, fresh: now}
}

func (t *tracker) polled(page *wire.Page) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Connected, t.s.LastError, t.s.LastPoll = true, classNone, time.Now()
	t.heard = t.s.LastPoll
	t.s.RelayHigh = page.End.High
	if page.End.High <= t.s.Cursor.Seq {
		t.fresh = t.s.LastPoll
	}
	t.metrics.connected.Set(1)
	t.gauges()
}

func (t *tracker) failed(class string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.LastError = class
	switch class {
	case classDiskFull, classLog:
		t.heard = time.Now() // what the archive cannot take says nothing of the relay: its silence counts from when it is asked again
		return
	case classInternal:
		return
	case classNetwork, classTLS, classStalled:
	default:
		t.heard = time.Now()
	}
	t.s.Connected = false
	t.metrics.connected.Set(0)
}

// asked says that the relay is asked again after ingest was held back: its
// silence counts from now.
func (t *tracker) asked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = time.Now()
}

// committed takes the new cursor and the relay's time of the last event before it.
func (t *tracker) committed(cur archive.Cursor, eventTime string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Cursor = cur
	if t.s.LastError == classDiskFull || t.s.LastError == classLog {
		t.s.LastError = classNone
	}
	if cur.Seq >= t.s.RelayHigh {
		t.fresh = time.Now()
	} else if at, err := envelope.ParseTime(eventTime); err == nil && at.Before(time.Now()) {
		t.fresh = at
	}
	t.metrics.cursor.Set(float64(cur.Seq))
	t.gauges()
}

func (t *tracker) acked(epoch string, seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.LastAck = time.Now()
	if epoch == t.s.Cursor.Epoch {
		t.s.AckedSeq = seq
		t.metrics.acked.Set(float64(seq))
	}
}

// resumed takes what the log and the relay's status say when a session begins.
func (t *tracker) resumed(cur archive.Cursor, st wire.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Cursor, t.s.RelayHigh, t.s.AckedSeq = cur, st.High, 0
	if st.Epoch == cur.Epoch {
		t.s.AckedSeq = st.Acked
	}
	t.metrics.cursor.Set(float64(cur.Seq))
	t.metrics.acked.Set(float64(t.s.AckedSeq))
	t.gauges()
}

// gauges runs with mu held.
func (t *tracker) gauges() {
	t.metrics.lagEvents.Set(float64(t.s.RelayHigh - min(t.s.RelayHigh, t.s.Cursor.Seq)))
	t.metrics.lagSeconds.Set(time.Since(t.fresh).Seconds())
}

func (t *tracker) snapshot() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gauges()
	s := t.s
	s.LagAge = time.Since(t.fresh)
	return s
}

// silence returns for how long the relay has not answered; 0 while the last poll gave a page, however long ago that was: who waits for room
// on the disk, or for the log to be mended, asks nothing.
func (t *tracker) silence() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.s.Connected || t.s.LastError == classDiskFull || t.s.LastError == classLog {
		return 0
	}
	return time.Since(t.heard)
}

// lagSteps are the ages at which the lag is told of again.
var lagSteps = []struct {
	age    time.Duration
	detail string
}{{24 * time.Hour, "1d"}, {3 * 24 * time.Hour, "3d"}, {5 * 24 * time.Hour, "5d"}}

const lagTick = 15 * time.Second

// watchLag raises the alarms that are due by the clock alone.
func (c *Client) watchLag(ctx context.Context) error {
	for {
		if err := sleep(ctx, lagTick); err != nil {
			return err
		}
		s := c.Status()
		for _, step := range lagSteps {
			if s.LagAge < step.age {
				c.alarms.clear(AlarmLag, step.detail)
				continue
			}
			c.alarms.raise(ctx, AlarmLag, step.detail, map[string]string{
				"behind": step.detail, "events": decimal(s.LagEvents), "epoch": s.Cursor.Epoch, "cursor": decimal(s.Cursor.Seq)})
		}
		if c.status.silence() < c.o.UnreachableAfter || len(c.o.Gate.Reasons()) > 0 {
			c.alarms.clear(AlarmUnreachable, "")
			continue
		}
		c.alarms.raise(ctx, AlarmUnreachable, "", map[string]string{"class": s.LastError})
	}
}
