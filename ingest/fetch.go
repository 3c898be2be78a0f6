package ingest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// fetcher asks for page after page. Its position runs ahead of the log by the pages in flight; it moves only past what verified.
type fetcher struct {
	c     *Client
	epoch string
	after uint64
	head  wire.Head
	limit int
	heads signedHeads
	pause *backoff
	row   int // polls in a row that gave a page or an answer to complain of
}

// run sends verified pages until ctx ends or the relay says that its epoch is over; then it returns nil, and what was sent before is still
// opened and committed. The first page of an epoch is sent even if it is empty: its signed head confirms how the epoch begins.
func (f *fetcher) run(ctx context.Context, first bool, pages chan<- *wire.Page) error {
	defer close(pages)
	for {
		if err := f.c.waitForIndex(ctx); err != nil {
			return err
		}
		began := time.Now()
		page, err := f.poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if f.failed(ctx, err) {
				return nil
			}
			if err := sleep(ctx, f.pause.pause(err)); err != nil {
				return err
			}
			continue
		}
		f.verified(ctx, page)
		if len(page.Events) > 0 || first {
			first = false
			select {
			case pages <- page:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		// A relay that answers at once although there is nothing new must not be asked without a pause.
		if idle := f.c.o.BackoffMin - time.Since(began); idle > 0 {
			if err := sleep(ctx, idle); err != nil {
				return err
			}
		}
	}
}

func (f *fetcher) poll(ctx context.Context) (*wire.Page, error) {
	want := wire.Expect{Arc: f.c.arc, Epoch: f.epoch, After: f.after, Head: f.head, Limit: f.limit, HeadKey: f.c.o.HeadKey}
	return f.c.relay.events(ctx, want, f.c.o.Wait)
}

// verified moves past a page. What the page's signed line says is looked at here, while it is fresh.
func (f *fetcher) verified(ctx context.Context, page *wire.Page) {
	f.equivocates(ctx, page.End)
	f.after, f.head = page.End.Next, page.End.Head
	f.row = 0
	f.pause.reset()
	f.limit = min(2*f.limit, f.c.o.PageLimit)
	for _, name := range pollAlarms {
		f.c.alarms.clear(name, "")
	}
	f.clock(ctx, page.End.Time)
	f.c.status.polled(page)
}

// failed takes note of a poll without a page and reports whether the epoch is over.
func (f *fetcher) failed(ctx context.Context, err error) (over bool) {
	class := classOf(err)
	f.c.status.failed(class)
	f.c.o.Metrics.refused.WithLabelValues(class).Inc()
	f.c.o.Logger.Warn("no page from the relay", "class", class, "after", f.after)
	if class == classEpochChanged {
		return true
	}
	var head *wire.HeadError
	if errors.As(err, &head) {
		f.equivocates(ctx, head.End)
	}
	switch class {
	case classTooLarge, classTruncated, classStalled, classNetwork, classAnswer:
		// Fewer events at once: the page may be too large for the relay, for the protocol or for the line.
		f.limit = max(1, f.limit/2)
	}
	if name, after := alarmFor(class); name != "" {
		if f.row++; f.row >= after {
			f.c.alarms.raise(ctx, name, "", f.facts(class))
		}
	}
	return false
}

func (f *fetcher) facts(class string) map[string]string {
	return map[string]string{"epoch": f.epoch, "after": decimal(f.after), "head": jws.EncodeB64(f.head[:]), "class": class}
}

// clock raises an alarm when the relay's signed time and this machine's differ by more than ten minutes.
func (f *fetcher) clock(ctx context.Context, signed string) {
	t, err := envelope.ParseTime(signed)
	if err != nil {
		return // ReadPage has refused such a page already
	}
	if off := time.Since(t).Abs(); off > wire.MaxSkew {
		f.c.alarms.raise(ctx, AlarmClock, "", map[string]string{
			"relay": signed, "here": envelope.FormatTime(time.Now()), "seconds": strconv.FormatInt(int64(off/time.Second), 10)})
		return
	}
	f.c.alarms.clear(AlarmClock, "")
}

// equivocates holds a validly signed head against those that were signed for the same seq before. Two that differ are proof, and both are
// kept with their signatures.
func (f *fetcher) equivocates(ctx context.Context, end wire.End) {
	other, differs := f.heads.add(end)
	if !differs {
		return
	}
	f.c.alarms.raise(ctx, AlarmEquivocation, decimal(end.Next), map[string]string{
		"epoch": f.epoch, "seq": decimal(end.Next),
		"first_head": jws.EncodeB64(other.Head[:]), "first_time": other.Time, "first_high": decimal(other.High),
		"first_oldest": decimal(other.Oldest), "first_sig": jws.EncodeB64(other.Sig),
		"second_head": jws.EncodeB64(end.Head[:]), "second_time": end.Time, "second_high": decimal(end.High),
		"second_oldest": decimal(end.Oldest), "second_sig": jws.EncodeB64(end.Sig),
	})
}

// signedHeads remembers the newest end lines whose signatures held, by seq.
type signedHeads struct {
	bySeq map[uint64]wire.End
	order []uint64
}

const rememberedHeads = 256

// add remembers end and returns the one with another head for the same seq, if there is one. The first of two is the one that stays.
func (s *signedHeads) add(end wire.End) (other wire.End, differs bool) {
	if known, ok := s.bySeq[end.Next]; ok {
		return known, known.Head != end.Head
	}
	if s.bySeq == nil {
		s.bySeq = map[uint64]wire.End{}
	}
	if len(s.order) == rememberedHeads {
		delete(s.bySeq, s.order[0])
		s.order = s.order[1:]
	}
	s.bySeq[end.Next] = end
	s.order = append(s.order, end.Next)
	return wire.End{}, false
}

// waitForIndex holds the next poll back while the index is too far behind, so that searches do not come to scan for ever. An index that
// does not move is broken and holds up nothing.
func (c *Client) waitForIndex(ctx context.Context) error {
	if c.o.Lag == nil {
		return ctx.Err()
	}
	least, moved := c.o.Lag(), time.Now()
	for least > maxIndexLag {
		if err := sleep(ctx, indexPoll); err != nil {
			return err
		}
		switch now := c.o.Lag(); {
		case now < least || now <= maxIndexLag:
			least, moved = now, time.Now()
		case time.Since(moved) > indexPatience:
			return nil
		}
	}
	return ctx.Err()
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
