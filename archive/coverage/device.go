package coverage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// message notes one message in its device's list.
func (v *survey) message(rec archive.Record) {
	seq := rec.Leaf.Seq
	c, err := jws.Parse(rec.Body, envelope.TypMessage)
	var p *envelope.Payload
	if err == nil {
		p, err = envelope.ParsePayload(c.Payload)
	}
	digest, derr := envelope.Digest(rec.Body)
	if err != nil || derr != nil {
		if seq >= v.first {
			v.inPeriod.Unreadable = append(v.inPeriod.Unreadable, seq)
		}
		return
	}
	key := deviceKey{p.Usr, p.Dev}
	d := v.devices[key]
	if d == nil {
		d = &device{}
		v.devices[key] = d
	}
	s := said{n: p.N, seq: seq, digest: binary.BigEndian.Uint64(digest[:])}
	if prev, err := jws.DecodeB64(p.Prev); err == nil && len(prev) == len(digest) {
		s.prev = binary.BigEndian.Uint64(prev)
	}
	d.said = append(d.said, s)
	if p.Typ == envelope.TypCheckpoint && (d.sealed == nil || p.N > d.sealed.N) {
		d.sealed = &Checkpointed{N: p.N, Seq: seq, Sent: p.Sent, Received: envelope.FormatTime(rec.Leaf.ReceivedTime())}
	}
}

// disposed counts a message that was disposed of.
func (v *survey) disposed(leaf proof.Leaf, in bool) {
	if leaf.Kind != proof.KindMessage {
		return
	}
	v.gone++
	if !in {
		return
	}
	v.inPeriod.Disposed.Messages++
	for _, seq := range v.certificates(leaf.Seq) {
		v.by[seq] = true
	}
}

func (v *survey) certificates(seq uint64) []uint64 {
	if v.r.Certificates == nil {
		return nil
	}
	return v.r.Certificates(seq)
}

// conclude fills in what was found.
func (v *survey) conclude(s *Statement) error {
	s.Streams = v.streamed()
	s.Devices = []Device{}
	s.Quarantined = append([]Quarantine{}, v.inPeriod.Quarantined...)
	s.Unreadable = append([]uint64{}, v.inPeriod.Unreadable...)
	s.Disposed = Disposed{v.inPeriod.Disposed.Messages, append([]uint64{}, slices.Sorted(maps.Keys(v.by))...)}
	keys := map[deviceKey][]DeviceKey{}
	for _, k := range v.r.Keys {
		if k.Added >= v.next {
			continue // it was added after the period
		}
		at := deviceKey{k.Usr, k.Dev}
		keys[at] = append(keys[at], DeviceKey{k.Kid, k.Added, k.Assurance, k.Revoked})
		if v.devices[at] == nil {
			v.devices[at] = &device{}
		}
	}
	order := slices.SortedFunc(maps.Keys(v.devices), func(a, b deviceKey) int { return cmp.Or(cmp.Compare(a.usr, b.usr), cmp.Compare(a.dev, b.dev)) })
	for _, at := range order {
		d, err := v.judge(at, v.devices[at])
		if err != nil {
			return err
		}
		if slices.Contains(v.r.Usrs, at.usr) {
			d.Keys = append([]DeviceKey{}, keys[at]...)
			s.Devices = append(s.Devices, *d)
		} else if d.Last > 0 {
			s.Others.add(d.Standing)
		}
	}
	s.CannotShow = cannotShow
	return nil
}

func (o *Others) add(standing string) {
	o.Devices++
	switch standing {
	case Sealed:
		o.Sealed++
	case Open:
		o.Open++
	case Gaps:
		o.Gaps++
	}
}

// judge says what the numbers of one device come to.
func (v *survey) judge(at deviceKey, d *device) (*Device, error) {
	out := &Device{Usr: at.usr, Dev: at.dev, Missing: []Gap{}, Twice: []uint64{}, Broken: []uint64{}, Sealed: d.sealed, After: Unknown}
	slices.SortFunc(d.said, func(a, b said) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.seq, b.seq)) })
	var before *said
	by := map[uint64]bool{}
	for i := range d.said {
		s := &d.said[i]
		if s.seq >= v.first {
			out.Present++
			if out.First == 0 {
				out.First = s.n
			}
			out.Last = s.n
		}
		if before != nil && before.n == s.n {
			out.Twice = append(out.Twice, s.n)
			continue
		}
		from := uint64(1)
		if before != nil {
			from = before.n + 1
		}
		if from < s.n {
			if err := v.between(at.dev, from, s.n-1, out, by); err != nil {
				return nil, err
			}
		} else if before != nil && before.digest != s.prev {
			out.Broken = append(out.Broken, s.n)
		}
		before = s
	}
	if before != nil {
		out.Newest = before.n
	}
	if err := v.beyond(at.dev, out, by); err != nil {
		return nil, err
	}
	out.By = slices.Sorted(maps.Keys(by))
	out.Standing = standing(out)
	return out, nil
}

// beyond looks for numbers behind the newest that can be read: they were
// disposed of, or came after the period.
func (v *survey) beyond(dev string, out *Device, by map[uint64]bool) error {
	for n := out.Newest + 1; ; n++ {
		seq, ok, err := v.log.Delivered(dev, n)
		if err != nil {
			return fmt.Errorf("look up a number: %w", err)
		}
		if !ok || seq >= v.next {
			return nil
		}
		v.went(n, seq, out, by)
		out.Newest = n
	}
}

// between looks for the numbers from and to and those between them: they were
// disposed of, or are missing. No more were disposed of than leaves say.
func (v *survey) between(dev string, from, to uint64, out *Device, by map[uint64]bool) error {
	missing := from
	for n, left := from, v.gone; n <= to && left > 0; n++ {
		seq, ok, err := v.log.Delivered(dev, n)
		if err != nil {
			return fmt.Errorf("look up a number: %w", err)
		}
		if !ok || seq >= v.next {
			if n-from > maxLookups {
				break
			}
			continue
		}
		left--
		v.went(n, seq, out, by)
		if missing < n {
			out.Missing = append(out.Missing, Gap{missing, n - 1})
		}
		missing = n + 1
	}
	if missing <= to {
		out.Missing = append(out.Missing, Gap{missing, to})
	}
	return nil
}

// maxLookups bounds how many numbers that are not there are looked up in one
// gap: a device may count as it likes.
const maxLookups = 1 << 20

// went counts a number whose message was disposed of.
func (v *survey) went(n, seq uint64, out *Device, by map[uint64]bool) {
	out.Disposed++
	for _, c := range v.certificates(seq) {
		by[c] = true
	}
	if seq < v.first {
		return
	}
	if out.First == 0 || n < out.First {
		out.First = n
	}
	out.Last = max(out.Last, n)
}

func standing(d *Device) string {
	switch {
	case d.Newest == 0:
		return Unknown
	case len(d.Missing)+len(d.Twice)+len(d.Broken) > 0:
		return Gaps
	case d.Sealed == nil || d.Sealed.N < d.Last:
		return Open
	}
	return Sealed
}

// cannotShow is what every statement ends with.
var cannotShow = []string{
	"what a device sent after its last sealed checkpoint, or after its newest number where there is none",
	"messages of devices that the relay never named to the archive",
	"messages that others sent to the custodian, beyond what the counters of the others' own devices show",
	"what was said outside of the app, or sealed to no archive",
	"whose the quarantined and unreadable entries are",
	"that the time at which a device says it sent a message is right: the period goes by when the archive received it",
	"what the relay had of an epoch that ended, beyond the last number pulled from it",
	"what the messages that were disposed of said: their leaves and numbers are all that is left",
}
