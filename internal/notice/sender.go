package notice

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options says what a Sender sends, and by which ways.
type Options struct {
	ArchiveID string
	Ways      []Way
	// Open returns the alarms that nobody has acknowledged, as of now.
	Open func(ctx context.Context) ([]Alarm, error)
	// Repeat is after how long an alarm that is still open is sent again.
	Repeat time.Duration
	Logger *slog.Logger
}

// The pace of a Sender.
const (
	lookEvery = 10 * time.Second // how often it looks for what is due
	spacing   = time.Minute      // between two parcels of one way: a burst of alarms becomes one
	firstWait = time.Minute      // after a failure; twice as long after each further one
	maxWait   = 15 * time.Minute
)

// A Sender sends open alarms by all its ways until they are acknowledged, each
// way by itself. What it sent is not kept: after a restart it sends what is
// open again. A way that fails makes no alarm, which would have to go out by it;
// it shows in Failing and in the daemon's log.
type Sender struct {
	o    Options
	ways []*outbox
}

// outbox is a way and what went out by it.
type outbox struct {
	Way

	sent map[uint64]delivery // open alarms that went out; used by Run alone

	mu      sync.Mutex
	failing string // class of the newest failure since the last success
}

type delivery struct {
	at    time.Time
	times int
}

// NewSender returns one.
func NewSender(o Options) *Sender {
	s := &Sender{o: o}
	for _, w := range o.Ways {
		s.ways = append(s.ways, &outbox{Way: w, sent: map[uint64]delivery{}})
	}
	return s
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, b := range s.ways {
		g.Go(func() error {
			s.send(ctx, b)
			return nil
		})
	}
	return g.Wait()
}

// send serves one way until ctx ends.
func (s *Sender) send(ctx context.Context, b *outbox) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var after time.Time
	wait := firstWait
	for {
		if !time.Now().Before(after) {
			switch sent, err := s.round(ctx, b); {
			case ctx.Err() != nil:
				return
			case err != nil:
				after, wait = time.Now().Add(wait), min(2*wait, maxWait)
			case sent:
				after, wait = time.Now().Add(spacing), firstWait
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round sends by one way what is due.
func (s *Sender) round(ctx context.Context, b *outbox) (sent bool, err error) {
	open, err := s.o.Open(ctx)
	if err != nil {
		s.o.Logger.Warn("the open alarms could not be read", "way", b.Name(), "error", err)
		return false, err
	}
	now := time.Now()
	due := b.due(open, now, s.o.Repeat)
	if len(due) == 0 {
		return false, nil
	}
	err = b.Send(ctx, Parcel{ArchiveID: s.o.ArchiveID, Sent: now, Alarms: due})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	b.note(err)
	if err != nil {
		s.o.Logger.Error("alarms could not be sent", "way", b.Name(), "class", Class(err), "alarms", len(due), "error", err)
		return false, err
	}
	for _, a := range due {
		b.sent[a.Seq] = delivery{at: now, times: a.Repeat + 1}
	}
	return true, nil
}

// due returns what is to be sent now, and forgets what is no longer open.
func (b *outbox) due(open []Alarm, now time.Time, repeat time.Duration) []Alarm {
	still := make(map[uint64]delivery, len(open))
	var out []Alarm
	for _, a := range open {
		last, before := b.sent[a.Seq]
		if before {
			still[a.Seq] = last
		}
		if !before || now.Sub(last.at) >= repeat {
			a.Repeat = last.times
			out = append(out, a)
		}
	}
	b.sent = still
	slices.SortStableFunc(out, func(x, y Alarm) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(y.Seq, x.Seq))
	})
	return out
}

func rank(a Alarm) int {
	if a.Severity == "critical" {
		return 0
	}
	return 1
}

func (b *outbox) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = Class(err)
}

// Failing returns the class of the newest failure of each way since its last
// success, "" for none.
func (s *Sender) Failing() map[string]string {
	out := map[string]string{}
	for _, b := range s.ways {
		b.mu.Lock()
		out[b.Name()] = b.failing
		b.mu.Unlock()
	}
	return out
}

// Result is what became of a test by one way.
type Result struct {
	Way    string
	Failed string // class; "": the other end took it
}

// Test sends a test by each of the ways, at a person's word.
func Test(ctx context.Context, archiveID string, ways []Way, logger *slog.Logger) []Result {
	now := time.Now()
	p := Parcel{ArchiveID: archiveID, Sent: now, Test: true, Alarms: []Alarm{{
		Name: "test", Severity: "test", Raised: now, Text: "a test of the way by which alarms leave the archive", Fix: "Nothing is wrong.",
	}}}
	out := make([]Result, len(ways))
	var g errgroup.Group
	for i, w := range ways {
		g.Go(func() error {
			err := w.Send(ctx, p)
			if err != nil {
				logger.Warn("the test was not taken", "way", w.Name(), "class", Class(err), "error", err)
			}
			out[i] = Result{Way: w.Name(), Failed: Class(err)}
			return nil
		})
	}
	_ = g.Wait() // what failed is in the results
	return out
}

// The classes of failures: they hold nothing that anybody sent.
const (
	FailedTimeout     = "timeout"
	FailedCertificate = "certificate"
	FailedTLS         = "tls" // it answers, and speaks no TLS that the archive does
	FailedNotTaken    = "not-taken"
	FailedOther       = "unreachable"
)

// Class returns the class of a way's error, "" for none.
func Class(err error) string {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var network net.Error
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &verify), errors.As(err, &unknown):
		return FailedCertificate
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return FailedTimeout
	case errors.Is(err, ErrNotTaken), errors.Is(err, ErrGone):
		return FailedNotTaken
	case errors.Is(err, ErrPlain), errors.As(err, &record), errors.As(err, &alert):
		return FailedTLS
	}
	return FailedOther
}
