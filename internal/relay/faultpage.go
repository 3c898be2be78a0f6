package relay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"holdfast/ingest/wire"
)

// on takes a fault that is aimed at one of a page's events and returns that event's index, or -1. A page without events can be hit at @0
// alone, by a fault that needs no event.
func (f *Faults) on(name string, d *draft) int {
	one := f.take(name, func(one *fault) bool {
		return len(d.lines) > 0 && (one.n == 0 || d.first() <= one.n && one.n <= d.last())
	})
	switch {
	case one == nil:
		return -1
	case one.n == 0:
		return 0
	}
	return int(one.n - d.first())
}

// anywhere takes a fault of a page as a whole: when the page holds event N, or any page at @0.
func (f *Faults) anywhere(name string, d *draft) *fault {
	return f.take(name, func(one *fault) bool { return one.n == 0 || d.first() <= one.n && one.n <= d.last() })
}

// refusal returns the error to answer instead of the page, with its Retry-After, or nil.
func (f *Faults) refusal(d *draft) *wire.Problem {
	for _, p := range []wire.Problem{
		{Status: http.StatusTooManyRequests, Code: wire.CodeSlowDown},
		{Status: http.StatusServiceUnavailable, Code: wire.CodeUnavailable},
	} {
		if one := f.anywhere(fmt.Sprint(p.Status), d); one != nil {
			p.Detail, p.RetryAfter = "an injected fault", max(one.duration, time.Second)
			return &p
		}
	}
	return nil
}

// beforeSigning changes what is signed: the head, the clock, an event.
func (f *Faults) beforeSigning(d *draft, now *time.Time) error {
	if one := f.take(faultClockSkew, func(*fault) bool { return true }); one != nil {
		*now = now.Add(one.duration)
	}
	if i := f.on(faultEquivocate, d); i >= 0 {
		e, err := d.event(i)
		if err != nil {
			return err
		}
		e.ID = "other-" + e.ID[:min(len(e.ID), wire.MaxID-len("other-"))]
		if d.lines[i], err = wire.AppendEvent(nil, e); err != nil {
			return err
		}
		d.end.Head = d.head
		for i := range d.lines {
			if e, err = d.event(i); err != nil {
				return err
			}
			d.end.Head = d.end.Head.Next(e)
		}
	}
	if f.anywhere(faultWrongHead, d) != nil {
		d.end.Head[0] ^= 1
	}
	return nil
}

// afterSigning spoils the signature.
func (f *Faults) afterSigning(d *draft) {
	if f.anywhere(faultWrongSig, d) != nil {
		d.end.Sig[0] ^= 1
	}
}

// onLines changes what is sent under a good signature. The lines are the draft's and the end line.
func (f *Faults) onLines(d *draft, lines [][]byte) ([][]byte, error) {
	if len(d.lines) > 1 {
		if i := f.on(faultSwap, d); i >= 0 {
			i = min(i, len(d.lines)-2)
			lines[i], lines[i+1] = lines[i+1], lines[i]
		}
	}
	if i := f.on(faultMalformed, d); i >= 0 {
		lines[i] = []byte("{\"seq\":\n")
	}
	if i := f.on(faultTruncate, d); i >= 0 {
		lines = lines[:i+1]
	}
	if i := f.on(faultRepeat, d); i >= 0 && i < len(lines) {
		lines = slices.Insert(lines, i, lines[i])
	}
	if i := f.on(faultGap, d); i >= 0 && i < len(lines) {
		lines = slices.Delete(lines, i, i+1)
	}
	if i := f.on(faultDrop, d); i >= 0 && i < len(lines) {
		for j := len(d.lines) - 1; j > i; j-- {
			e, err := d.event(j)
			if err != nil {
				return nil, err
			}
			e.Seq--
			if lines[j], err = wire.AppendEvent(nil, e); err != nil {
				return nil, err
			}
		}
		lines = slices.Delete(lines, i, i+1)
	}
	return lines, nil
}

// slow returns how long to wait before an answer.
func (f *Faults) slow() time.Duration {
	if one := f.take(faultSlow, func(*fault) bool { return true }); one != nil {
		return one.duration
	}
	return 0
}

// endsEpoch reports whether the epoch is to end now that seq is queued.
func (f *Faults) endsEpoch(seq uint64) bool {
	return f.take(faultEpochChange, func(one *fault) bool { return one.n <= seq }) != nil
}

// onSubmit changes an event before it enters the chain: what it becomes is what the relay then holds.
func (f *Faults) onSubmit(e *wire.Event) {
	here := func(one *fault) bool { return one.n == 0 || one.n == e.Seq }
	if f.take(faultCorrupt, here) != nil {
		e.Data = corrupted(e.Data)
	}
	if f.take(faultOversize, here) != nil {
		e.Data += strings.Repeat("A", max(0, wire.MaxEnvelope+1-len(e.Data)))
	}
	if f.take(faultLost, here) != nil {
		// Marshal of a struct of a string and a number cannot fail.
		data, _ := json.Marshal(struct {
			ID  string `json:"id"`
			Seq uint64 `json:"seq"`
		}{e.ID, e.Seq})
		e.Kind, e.Data = wire.KindLost, string(data)
	}
}

// corrupted changes one character in the last part of an envelope, where the sealed bytes are, or of any other text.
func corrupted(data string) string {
	if data == "" {
		return "?"
	}
	b := []byte(data)
	i := len(b) - min(len(b), 40)
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// blob takes a fault of that name for a blob.
func (f *Faults) blob(name, bid string) bool {
	return f.take(name, func(one *fault) bool { return one.text == "" || one.text == bid }) != nil
}
