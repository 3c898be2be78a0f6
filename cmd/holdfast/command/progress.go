package command

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// bar is a progress bar on stderr; nil when that is not a terminal.
type bar struct {
	w       progress.Writer
	tracker *progress.Tracker
	ended   chan struct{}
}

// startBar begins a bar; the caller must stop it. A total of 0 is unknown.
func (t *Terminal) startBar(message string, total uint64, units progress.Units) *bar {
	if !t.ErrTTY {
		return nil
	}
	b := &bar{w: progress.NewWriter(), ended: make(chan struct{})}
	b.w.SetOutputWriter(t.Err)
	b.w.SetUpdateFrequency(100 * time.Millisecond)
	b.w.SetAutoStop(true) // not Stop: called before Render has begun, that would be lost
	b.w.SetStyle(progress.StyleDefault)
	b.w.Style().Visibility.ETA = true
	b.tracker = &progress.Tracker{Message: message, Total: signed(total), Units: units}
	b.w.AppendTracker(b.tracker)
	go func() {
		b.w.Render()
		close(b.ended)
	}()
	return b
}

// set says how far the work has come.
func (b *bar) set(done, total uint64) {
	if b == nil {
		return
	}
	if total > 0 {
		b.tracker.UpdateTotal(signed(total))
	}
	b.tracker.SetValue(signed(done))
}

// step says what the work is at now; an empty step changes nothing.
func (b *bar) step(name string) {
	if b != nil && name != "" {
		b.tracker.UpdateMessage(visible(name))
	}
}

// stop ends the bar, drawn full when the work is done.
func (b *bar) stop(done bool) {
	if b == nil {
		return
	}
	if done {
		b.tracker.MarkAsDone()
	} else {
		b.tracker.MarkAsErrored()
	}
	<-b.ended
}

func signed(n uint64) int64 { return int64(min(n, 1<<62)) } // #nosec G115 -- bounded
