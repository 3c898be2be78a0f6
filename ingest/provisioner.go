package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"holdfast/archive"
)

// ProvisionRelay asks the relay for one thing. *Client is one.
type ProvisionRelay interface {
	Provision(ctx context.Context, r ProvisionRequest) error
}

// ProvisionLog is the log that requests and answers go to. *archive.Archive is one.
type ProvisionLog interface {
	// Append is durable once it returns nil.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	Size() uint64
}

// ProvisionerOptions says what a Provisioner works with. A zero duration stands for its default.
type ProvisionerOptions struct {
	Relay ProvisionRelay
	Log   ProvisionLog
	Book  *ProvisionBook
	// CatchUp has Book take in every entry below size.
	CatchUp func(ctx context.Context, size uint64) error
	// Plan says what the relay is to be asked for now: PlanProvision over the newest state. It is called before anything is sent, so that a
	// hold placed meanwhile stops a wipe.
	Plan func(ctx context.Context) ([]ProvisionDecision, error)
	// Override returns the entry by which the approval of a wipe under hold is used up; it is appended with the request, and done hears
	// whether it was. Optional: without it nothing is used up.
	Override func(ctx context.Context, r ProvisionRequest) (entry archive.Entry, done func(appended bool), err error)

	Metrics *Metrics     // optional
	Logger  *slog.Logger // optional; gets no name and no id of a person

	Interval   time.Duration // between two plans when nobody calls Wake, default 5 min
	BackoffMin time.Duration // first pause after a failure, default 5 s; doubled up to BackoffMax, with jitter
	BackoffMax time.Duration // default 10 min
}

// stalledAfter is how many rounds in a row may fail before it is told.
const stalledAfter = 3

// Provisioner has the relay act on departed people's accounts and devices. What is wanted is in the log before it is sent, and the answer
// after; what a crash leaves without an answer is sent again under the same id, which the relay takes once.
type Provisioner struct {
	o      ProvisionerOptions
	alarms *alarms
	wake   chan struct{} // capacity 1
}

// NewProvisioner checks the options; it sends nothing.
func NewProvisioner(o ProvisionerOptions) (*Provisioner, error) {
	if o.Relay == nil || o.Log == nil || o.Book == nil || o.CatchUp == nil || o.Plan == nil {
		return nil, fmt.Errorf("%w: Relay, Log, Book, CatchUp and Plan are needed", errOptions)
	}
	for d, by := range map[*time.Duration]time.Duration{
		&o.Interval: 5 * time.Minute, &o.BackoffMin: 5 * time.Second, &o.BackoffMax: 10 * time.Minute,
	} {
		if *d == 0 {
			*d = by
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = newMetrics()
	}
	return &Provisioner{o: o, alarms: newAlarms(o.Log, o.Logger, o.Metrics), wake: make(chan struct{}, 1)}, nil
}

// Wake has the next round begin now: somebody departed or came back, a hold was placed or released, a wipe was approved.
func (p *Provisioner) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and then returns nil.
func (p *Provisioner) Run(ctx context.Context) error {
	pause, failures := &backoff{low: p.o.BackoffMin, high: p.o.BackoffMax}, 0
	for {
		err := p.Round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := p.o.Interval
		if err == nil {
			pause.reset()
			failures = 0
			p.alarms.clear(AlarmProvisionStall, "")
		} else {
			wait = pause.pause(err)
			p.o.Logger.Warn("provision requests wait", "class", classOf(err))
			if failures++; failures >= stalledAfter {
				p.alarms.raise(ctx, AlarmProvisionStall, "", map[string]string{
					"class": classOf(err), "waiting": decimal(uint64(len(p.o.Book.Wanted())))})
			}
		}
		if !p.rest(ctx, wait, err == nil) {
			return nil
		}
	}
}

// rest waits, or less when woken; after a failure nothing cuts the pause short. It reports whether ctx goes on.
func (p *Provisioner) rest(ctx context.Context, wait time.Duration, wakes bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	wake := p.wake
	if !wakes {
		wake = nil
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// Round brings the book in line with the plan, sends what is wanted and records the answers. It returns at the first request that has no
// answer: the relay that did not answer this one will not answer the next.
func (p *Provisioner) Round(ctx context.Context) error {
	if err := p.o.CatchUp(ctx, p.o.Log.Size()); err != nil {
		return fmt.Errorf("provision: %w", err)
	}
	plan, err := p.o.Plan(ctx)
	if err != nil {
		return fmt.Errorf("provision: plan: %w", err)
	}
	// A crash right after this leaves requests that are wanted and not sent: the next round sends them, if they are still in its plan.
	unapproved, err := p.record(ctx, p.o.Book.Changes(plan))
	if err != nil {
		return err
	}
	for _, wanted := range p.o.Book.Wanted() {
		if err := p.send(ctx, wanted.ProvisionRequest); err != nil {
			return err
		}
	}
	return unapproved
}

// record appends what the plan changes. unapproved says that an approval could not be used; that holds up nothing else.
func (p *Provisioner) record(ctx context.Context, changes []ProvisionDecision) (unapproved, err error) {
	var entries []archive.Entry
	for _, d := range changes {
		if d.Code != CodeOverridden || p.o.Override == nil {
			entries = append(entries, d.entry())
			continue
		}
		used, done, err := p.o.Override(ctx, d.ProvisionRequest)
		if err != nil {
			unapproved = fmt.Errorf("provision: use an approval: %w", err)
			continue
		}
		// One batch: the approval is used up if and only if the wipe is wanted.
		err = p.append(ctx, []archive.Entry{used, d.entry()})
		done(err == nil)
		if err != nil {
			return unapproved, err
		}
	}
	return unapproved, p.append(ctx, entries)
}

// send asks for one thing and records the answer.
func (p *Provisioner) send(ctx context.Context, r ProvisionRequest) error {
	err := p.o.Relay.Provision(ctx, r)
	if err == nil {
		// A crash right before this append leaves the request wanted: it is sent again, and the relay answers as before.
		return p.append(ctx, []archive.Entry{ProvisionDecision{r, ProvisionAccepted, ""}.entry()})
	}
	code, final := refusalCode(err)
	if !final {
		return fmt.Errorf("provision: %w", err)
	}
	alarm := p.alarms.inBatch(AlarmProvision, map[string]string{"request": r.ID, "op": r.Op, "code": code})
	return p.append(ctx, []archive.Entry{ProvisionDecision{r, ProvisionRefused, code}.entry(), alarm})
}

// append makes entries durable, at most maxEntries in one batch, and has the book take them in.
func (p *Provisioner) append(ctx context.Context, entries []archive.Entry) error {
	for len(entries) > 0 {
		n := min(len(entries), maxEntries)
		if _, err := p.o.Log.Append(ctx, archive.Batch{Entries: entries[:n]}); err != nil {
			return fmt.Errorf("record a provision request: %w", err)
		}
		entries = entries[n:]
		if err := p.o.CatchUp(ctx, p.o.Log.Size()); err != nil {
			return fmt.Errorf("provision: %w", err)
		}
	}
	return nil
}
