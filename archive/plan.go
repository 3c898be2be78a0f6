package archive

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// plan is a group of batches on its way into the log. It works on a copy of
// the log's end; the writer takes the copy over once all is committed.
type plan struct {
	w        *writer
	st       *store
	end      tip
	moved    bool        // the cursor did
	gens     generations // body files that count from this commit on
	requests []*request
	replies  []reply
	pending  []pending
	devices  map[deviceMAC]uint32 // first met in this group
	dedupe   map[dedupeKey]dedupeValue
	txs      []*bbolt.Tx // read transactions of dedupe lookups, newest file first
	mac      macs
}

// pending is one entry between its plan and its commit.
type pending struct {
	leaf   proof.Leaf
	body   Body
	file   *bodyFile
	sealed []byte
}

type (
	deviceMAC   [16]byte
	dedupeKey   [12]byte // device number ‖ n
	dedupeValue [24]byte // seq ‖ MAC of the digest
)

// macs computes what the log stores in place of device ids and digests.
type macs struct{ key []byte }

func (m *macs) sum(label, s string) deviceMAC {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(label))
	h.Write([]byte(s))
	return deviceMAC(h.Sum(nil)[:16])
}

func (m *macs) device(id string) deviceMAC   { return m.sum("holdfast device v1\x00", id) }
func (m *macs) digest(d *[32]byte) deviceMAC { return m.sum("holdfast digest v1\x00", string(d[:])) }

func newPlan(w *writer, st *store, key []byte) *plan {
	return &plan{w: w, st: st, end: w.end, devices: map[deviceMAC]uint32{}, dedupe: map[dedupeKey]dedupeValue{}, mac: macs{key}}
}

// next returns the seq of the next entry planned.
func (p *plan) next() uint64 { return p.w.end.size + uint64(len(p.pending)) }

// full reports whether the request would not fit into the newest log file any
// more. A batch is never divided, because one transaction holds its cursor; an
// empty file takes any batch.
func (p *plan) full(r *request, leaves uint64) bool {
	have := p.next() - p.end.first
	return have > 0 && have+uint64(len(r.batch.Entries)) > leaves
}

// add plans a request's entries. refused concerns this request alone; err is a
// failure to read the log.
func (p *plan) add(r *request) (refused, err error) {
	out := reply{}
	if !r.checkpoint {
		now := p.w.reading()
		if err := p.meetClock(now); err != nil {
			return nil, err
		}
		if err := p.followsCursor(&r.batch); err != nil {
			return err, nil
		}
		if refused, err := p.unchanged(r.batch.Guard); refused != nil || err != nil {
			return refused, err
		}
		received, refused := p.date(r, now)
		if refused != nil {
			return refused, nil
		}
		if refused, err := p.keyed(&r.batch, received); refused != nil || err != nil {
			return refused, err
		}
		if refused := p.goOn(r); refused != nil {
			return refused, nil
		}
		for i := range r.batch.Entries {
			placed, err := p.place(&r.batch, &r.batch.Entries[i], received)
			if err != nil {
				return nil, err
			}
			out.placed = append(out.placed, placed)
		}
		if c := r.batch.Cursor; c != nil && !p.passed(c.Ordinal, c.Seq) {
			next := *c
			p.end.cursor, p.moved = &next, true
		}
	}
	p.requests = append(p.requests, r)
	p.replies = append(p.replies, out)
	return nil, nil
}

// passed reports whether the stored cursor is at or past a place in the
// relay's stream.
func (p *plan) passed(ordinal uint32, seq uint64) bool {
	have := p.end.cursor
	return have != nil && (have.Ordinal > ordinal || have.Ordinal == ordinal && have.Seq >= seq)
}

// followsCursor refuses a relay page that would leave a gap: what of it is new
// must run densely from the stored cursor to its own.
func (p *plan) followsCursor(b *Batch) error {
	c, have := b.Cursor, p.end.cursor
	if c == nil || p.passed(c.Ordinal, c.Seq) {
		return nil
	}
	want := uint64(1)
	switch {
	case have == nil && c.Ordinal != 0:
		return fmt.Errorf("%w: the first epoch has ordinal 0", ErrStaleCursor)
	case have != nil && have.Ordinal == c.Ordinal && have.Epoch != c.Epoch:
		return fmt.Errorf("%w: another epoch under the same ordinal", ErrStaleCursor)
	case have != nil && have.Ordinal == c.Ordinal:
		want = have.Seq + 1
	case have != nil && c.Ordinal != have.Ordinal+1:
		return fmt.Errorf("%w: an epoch was left out", ErrStaleCursor)
	}
	for i := range b.Entries {
		seq := b.Entries[i].RelaySeq
		if seq == 0 || p.passed(c.Ordinal, seq) {
			continue
		}
		if seq != want {
			return fmt.Errorf("%w: relay seq %d where %d was due", ErrStaleCursor, seq, want)
		}
		want++
	}
	if want != c.Seq+1 {
		return fmt.Errorf("%w: the page ends at %d, its cursor at %d", ErrStaleCursor, want-1, c.Seq)
	}
	return nil
}

// place plans one entry.
func (p *plan) place(b *Batch, e *Entry, received int64) (Placed, error) {
	if c := b.Cursor; c != nil && (p.passed(c.Ordinal, c.Seq) || e.RelaySeq != 0 && p.passed(c.Ordinal, e.RelaySeq)) {
		return Placed{Kind: e.Kind, Skipped: true}, nil
	}
	out := Placed{Seq: p.next(), Kind: e.Kind}
	body := e.Body
	if e.Dedupe != nil {
		first, same, err := p.seen(e.Dedupe, out.Seq)
		if err != nil {
			return out, err
		}
		if first != out.Seq {
			out.Of, out.Conflict = first, !same
		}
		if same {
			out.Kind = proof.KindRedelivery
			if body, err = json.Marshal(RedeliveryBody{Of: first}); err != nil {
				return out, err
			}
		}
	}
	p.pending = append(p.pending, pending{
		leaf: proof.Leaf{
			Seq: out.Seq, Kind: out.Kind, Class: e.Class, Received: received, Epoch: e.Epoch, RelaySeq: e.RelaySeq,
			Envelope: e.Envelope, BodyLen: proof.RoundBody(len(body)),
		},
		body: Body{Note: e.Note, Bytes: body},
	})
	if out.Conflict {
		return out, p.alarmConflict(out, received)
	}
	return out, nil
}

// AlarmConflict is the name of the alarm that the archive itself raises: two
// messages of one device bear one number. It stands in the same transaction
// as the second of them, so that no crash can keep one without the other.
const AlarmConflict = "counter-conflict"

func (p *plan) alarmConflict(of Placed, received int64) error {
	return p.own(proof.KindAlarm, received, AlarmBody{
		Name: AlarmConflict, Severity: "critical",
		Text:  "two different messages bear one number of one device; both are kept",
		Fix:   "Show both entries. Either the device was cloned or restored, or somebody signs with its key: have its owner enrol it anew, and revoke the old key.",
		Facts: map[string]string{"entry": strconv.FormatUint(of.Seq, 10), "first": strconv.FormatUint(of.Of, 10)},
	})
}

// seen returns the seq of the first message with this device and n, which is
// seq itself when there was none, and whether its digest is the same.
func (p *plan) seen(d *Dedupe, seq uint64) (first uint64, same bool, err error) {
	mac := p.mac.device(d.Device)
	number, known := p.w.devices[mac]
	if !known {
		if number, known = p.devices[mac]; !known {
			number = uint32(len(p.w.devices) + len(p.devices)) // #nosec G115 -- devices, not messages
			p.devices[mac] = number
		}
	}
	var key dedupeKey
	binary.BigEndian.PutUint32(key[:], number)
	binary.BigEndian.PutUint64(key[4:], d.N)
	digest := p.mac.digest(&d.Digest)
	have, found := p.dedupe[key]
	if !found {
		if have, found, err = p.stored(key); err != nil {
			return 0, false, err
		}
	}
	if !found {
		var v dedupeValue
		binary.BigEndian.PutUint64(v[:], seq)
		copy(v[8:], digest[:])
		p.dedupe[key] = v
		return seq, false, nil
	}
	return binary.BigEndian.Uint64(have[:]), subtle.ConstantTimeCompare(have[8:], digest[:]) == 1, nil
}

// stored looks a dedupe key up in the log's files, newest first.
func (p *plan) stored(key dedupeKey) (v dedupeValue, found bool, err error) {
	err = guard(func() error {
		for i := range p.st.logs {
			if i == len(p.txs) {
				tx, err := p.st.logs[len(p.st.logs)-1-i].db.Begin(false)
				if err != nil {
					return err
				}
				p.txs = append(p.txs, tx)
			}
			b := p.txs[i].Bucket(bucketDedupe).Get(key[:])
			if b == nil {
				continue
			}
			if len(b) != len(v) {
				return fmt.Errorf("%w: a dedupe value", ErrDamaged)
			}
			v, found = dedupeValue(b), true
			return nil
		}
		return nil
	})
	return v, found, err
}

// close ends the lookups' read transactions.
func (p *plan) close() error {
	var errs []error
	for _, tx := range p.txs {
		errs = append(errs, tx.Rollback())
	}
	p.txs = nil
	return errors.Join(errs...)
}

// devices reads the numbers of every device that any log file names.
func (s *store) devices() (map[deviceMAC]uint32, error) {
	out := map[deviceMAC]uint32{}
	for _, f := range s.logs {
		err := guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketDevice).ForEach(func(k, v []byte) error {
					if len(k) != len(deviceMAC{}) || len(v) != 4 {
						return fmt.Errorf("%w: a device number", ErrDamaged)
					}
					out[deviceMAC(k)] = binary.BigEndian.Uint32(v)
					return nil
				})
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
