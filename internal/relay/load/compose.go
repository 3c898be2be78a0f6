package load

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// message is a message that one line asks for, whatever its shape.
type message struct {
	from, dev string
	at        time.Time
	vouched   bool // whether the hospital vouches for the device
	payload   envelope.Payload
	files     []file
	lineID    string // "" where no later line can refer to it
}

// composer turns lines into batches, in order. One goroutine owns it.
type composer struct {
	l       *loader
	sum     Summary
	people  map[string]person
	devices map[string]*device
	convs   map[string]*envelope.Conv
	bare    map[string]bool // usr whose devices are left relay-asserted
	lines   map[string]sent // by line id, of batches on their way
	made    int             // devices ever made, which alternates their algorithm
	batch   *batch
}

func newComposer(l *loader) *composer {
	return &composer{l: l, people: map[string]person{}, devices: map[string]*device{}, convs: map[string]*envelope.Conv{},
		bare: map[string]bool{}, lines: map[string]sent{}, batch: newBatch()}
}

func newBatch() *batch {
	return &batch{people: map[string]person{}, device: map[string]deviceRow{}, lines: map[string]sent{}}
}

// compose reads the files and sends batches until the end or an error.
func (c *composer) compose(ctx context.Context, paths []string, batches chan<- *batch) error {
	total, err := totalSize(paths)
	if err != nil {
		return err
	}
	if c.made, err = c.l.state.devices(); err != nil {
		return err
	}
	read := int64(0)
	for _, path := range paths {
		for src, err := range readLines(path, &read) {
			if err != nil {
				return err
			}
			if err := c.line(src.bytes); err != nil {
				return src.fail(err)
			}
			if len(c.batch.out) < batchEvents && c.batch.bytes < batchBytes {
				continue
			}
			if err := c.flush(ctx, batches); err != nil {
				return err
			}
			if c.l.opts.Progress != nil {
				c.l.opts.Progress(read, total)
			}
		}
	}
	if err := c.checkpoints(ctx, batches); err != nil {
		return err
	}
	if c.l.opts.Progress != nil {
		c.l.opts.Progress(total, total)
	}
	return c.flush(ctx, batches)
}

// checkpoints closes what each device sent in this run, so that a dropped tail would show.
func (c *composer) checkpoints(ctx context.Context, batches chan<- *batch) error {
	for _, dev := range slices.Sorted(maps.Keys(c.devices)) {
		d := c.devices[dev]
		if !d.sent {
			continue
		}
		at := d.row.Last.Add(time.Minute)
		if _, err := c.send(d, at, envelope.Payload{Typ: envelope.TypCheckpoint}); err != nil {
			return err
		}
		c.sum.Checkpoints++
		if len(c.batch.out) >= batchEvents {
			if err := c.flush(ctx, batches); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush sends the batch, with the devices' state as of its end.
func (c *composer) flush(ctx context.Context, batches chan<- *batch) error {
	for dev, d := range c.devices {
		if d.dirty {
			c.batch.device[dev], d.dirty = d.row, false
		}
	}
	select {
	case batches <- c.batch:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.batch = newBatch()
	return nil
}

func (c *composer) line(b []byte) error {
	v, err := parseLine(b)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *smsLine:
		return c.message(c.sms(v))
	case *turnLine:
		return c.message(c.turn(v))
	case *wardLine:
		return c.ward(v)
	}
	return ErrLine
}

// message registers everyone in it and sends it.
func (c *composer) message(m *message, err error) error {
	if err != nil {
		return err
	}
	people := slices.Clone(m.payload.To)
	if m.payload.Conv != nil {
		people = append(people, m.payload.Conv.Members...)
	}
	for _, p := range append(people, envelope.Party{Usr: m.from}) {
		if err := c.register(person{Usr: p.Usr, Name: p.Name}); err != nil {
			return err
		}
	}
	d, err := c.device(m)
	if err != nil {
		return err
	}
	if err := c.attach(m); err != nil {
		return err
	}
	s, err := c.send(d, m.at, m.payload)
	if err != nil {
		return err
	}
	c.sum.Messages++
	if m.lineID != "" {
		c.batch.lines[m.lineID], c.lines[m.lineID] = s, s
	}
	return nil
}

// register sends a user.upsert when a person is new. A person who is known keeps what is known of them.
func (c *composer) register(p person) error {
	if _, known := c.people[p.Usr]; known {
		return nil
	}
	var old person
	found, err := c.l.state.get(bucketPeople, []byte(p.Usr), &old)
	if err != nil {
		return err
	}
	if found {
		c.people[p.Usr] = old
		return nil
	}
	if p.Name == "" {
		p.Name = p.Usr
	}
	return c.upsert(p)
}

// upsert sends a user.upsert.
func (c *composer) upsert(p person) error {
	if p.UPN == "" {
		p.UPN = p.Usr + "@ward.invalid"
	}
	if p.Mail == "" {
		p.Mail = p.UPN
	}
	data, err := envelope.UserUpsertEvent(envelope.User{Usr: p.Usr, UPN: p.UPN, Mail: p.Mail, Name: p.Name})
	if err != nil {
		return err
	}
	c.people[p.Usr], c.batch.people[p.Usr] = p, p
	c.sum.People++
	c.dir(data)
	return nil
}

// dir queues a directory event.
func (c *composer) dir(data []byte) {
	c.queue(outgoing{ID: newID(), Kind: wire.KindDir, Data: string(data)})
}

func (c *composer) queue(o outgoing) {
	c.batch.out = append(c.batch.out, o)
	c.batch.bytes += len(o.Data)
	c.sum.Events++
}

// device returns the sender's device, which is made and added to the directory before its first message.
func (c *composer) device(m *message) (*device, error) {
	dev := m.from + "-" + m.dev
	if d := c.devices[dev]; d != nil {
		return d, nil
	}
	d, err := c.l.state.device(dev)
	if err != nil {
		return nil, err
	}
	if d != nil {
		c.devices[dev] = d
		return d, nil
	}
	if d, err = newDevice(m.from, dev, c.made%2 == 1); err != nil {
		return nil, err
	}
	c.made++
	add := envelope.DeviceAdd{Arc: c.l.arc, Usr: m.from, Dev: dev, At: m.at, Key: d.signer}
	if m.vouched {
		add.By = c.l.opts.Enrol
	}
	data, err := add.Event()
	if err != nil {
		return nil, err
	}
	d.dirty = true
	c.devices[dev] = d
	c.sum.Devices++
	c.dir(data)
	return d, nil
}

// send signs a payload as the device's next and queues it.
func (c *composer) send(d *device, at time.Time, p envelope.Payload) (sent, error) {
	p.V, p.Arc, p.Mid = 1, c.l.arc, newID()
	p.Usr, p.Dev, p.N, p.Prev = d.row.Usr, d.row.Dev, d.row.N+1, d.row.Prev
	p.Sent = envelope.FormatTime(at)
	compact, err := envelope.SignMessage(d.signer, &p)
	if err != nil {
		return sent{}, err
	}
	sum := sha256.Sum256(compact[:bytes.LastIndexByte(compact, '.')])
	d.row.N, d.row.Prev, d.row.Last, d.dirty, d.sent = p.N, jws.EncodeB64(sum[:]), at, true, true
	kid, err := jws.Thumbprint(d.signer.Public())
	if err != nil {
		return sent{}, err
	}
	c.queue(outgoing{ID: p.Mid, Kind: wire.KindEnv, Data: string(compact), Usr: p.Usr, Key: kid})
	c.sum.Envelopes++
	return sent{Dev: p.Dev, Mid: p.Mid, Digest: d.row.Prev}, nil
}

// attach seals a message's files and queues them before it.
func (c *composer) attach(m *message) error {
	for _, f := range m.files {
		var key [32]byte
		// crypto/rand's Read never fails.
		_, _ = rand.Read(key[:])
		var sealed bytes.Buffer
		sum, size, err := envelope.SealAttachment(&sealed, bytes.NewReader(f.Data), key)
		if err != nil {
			return fmt.Errorf("seal an attachment: %w", err)
		}
		a := envelope.Attachment{BID: newID(), Name: f.Name, MIME: f.MIME, Size: size, Alg: envelope.AttachmentAlg,
			Key: jws.EncodeB64(key[:]), CTSHA256: jws.EncodeB64(sum[:])}
		m.payload.Att = append(m.payload.Att, a)
		c.batch.blobs = append(c.batch.blobs, blob{a.BID, sealed.Bytes()})
		c.batch.bytes += sealed.Len()
		c.sum.Attachments++
	}
	return nil
}

// newID returns 16 random bytes in base64url: a mid, a bid, or the id of a directory event.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return jws.EncodeB64(b[:])
}
