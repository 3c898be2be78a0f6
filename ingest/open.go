package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
)

// opener turns verified pages into entries. One goroutine calls open, page after page; the work on one page's envelopes is spread over all
// cores.
type opener struct {
	epoch   string
	ordinal uint32
	head    wire.Head                  // before the page that is being opened
	dir     *envelope.Directory        // ahead of the log by the pages in flight
	given   func() []envelope.Approval // people's approvals of devices since it was last called
	opener  envelope.Opener
	keys    *keyRing
	workers int
	classes Classes // nil: everything is of class general
	targets targets
}

// outcome is what one event came to.
type outcome struct {
	entry   archive.Entry
	code    envelope.Code      // of a quarantined event, else ""
	message *envelope.Message  // of a message
	note    any                // the entry's note, which is written when class and attachments' states are known
	class   *archive.ClassNote // by what the entry's class was decided
	blobs   []blobJob
}

// open judges and applies the page's directory events in order, then opens and verifies its envelopes in parallel. Each is verified as of
// its own place: a directory event behind it on the page changes nothing for it, since the directory answers for a place in its history.
// Last, each entry gets its record class.
func (o *opener) open(ctx context.Context, events []wire.Event) ([]outcome, error) {
	// Each message of this page comes after them in the log, whatever page k-1 is still waiting for.
	for _, a := range o.given() {
		o.dir.Approve(a)
	}
	out := make([]outcome, len(events))
	for i := range events {
		if events[i].Kind != wire.KindDir {
			continue
		}
		if err := o.directory(&events[i], &out[i]); err != nil {
			return nil, err
		}
	}
	o.keys.refresh()
	inParallel(len(events), o.workers, func(i int) {
		switch e := &events[i]; e.Kind {
		case wire.KindDir:
		case wire.KindEnv:
			o.envelope(e, &out[i])
		default:
			o.other(e, &out[i])
		}
	})
	return out, o.classify(ctx, out)
}

func (o *opener) place(e *wire.Event) envelope.Position {
	return envelope.Position{Epoch: o.ordinal, Seq: e.Seq}
}

// directory takes in a dir event. One that is refused is quarantined: it changes nothing, and the ack tells the relay why.
func (o *opener) directory(e *wire.Event, out *outcome) error {
	data := []byte(e.Data)
	verdict := o.dir.Judge(o.place(e), data)
	if err := o.dir.Apply(o.place(e), data, verdict); err != nil {
		return fmt.Errorf("directory event at relay seq %d: %w", e.Seq, err)
	}
	if !verdict.Accepted {
		o.quarantine(e, out, &envelope.Error{Code: verdict.Code, Err: errors.New(verdict.Reason)})
		return nil
	}
	text, err := json.Marshal(verdict)
	if err != nil {
		return fmt.Errorf("directory event at relay seq %d: %w", e.Seq, err)
	}
	out.entry = o.entry(e, proof.KindDirectory, proof.ClassControl)
	out.note = &archive.DirectoryNote{ID: e.ID, Time: e.Time, Verdict: text}
	out.entry.Body = data
	return nil
}

func (o *opener) envelope(e *wire.Event, out *outcome) {
	opened, err := o.opener.Open([]byte(e.Data))
	if err != nil {
		o.quarantine(e, out, err)
		return
	}
	m, err := o.dir.Verify(opened, o.place(e))
	if err != nil {
		o.quarantine(e, out, err)
		return
	}
	jobs, err := o.blobs(e, m)
	if err != nil {
		o.quarantine(e, out, err)
		return
	}
	out.message, out.blobs = m, jobs
	out.note = &archive.MessageNote{ID: e.ID, Time: e.Time, Assurance: string(m.Device.Assurance), Device: m.Device.Kid, Flags: m.Flags}
	out.entry = o.entry(e, proof.KindMessage, proof.ClassGeneral)
	out.entry.Envelope = opened.Hash
	out.entry.Body = m.JWS
	// Dedupe comes after the signature: a stranger's envelope must not take a device's number.
	out.entry.Dedupe = &archive.Dedupe{Device: m.Payload.Dev, N: m.Payload.N, Digest: m.Digest}
}

// blobs lists what a message's attachments need to be fetched.
func (o *opener) blobs(e *wire.Event, m *envelope.Message) ([]blobJob, error) {
	var jobs []blobJob
	for i := range m.Payload.Att {
		job, err := newBlobJob(o.epoch, e.Seq, &m.Payload.Att[i])
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// other takes in what the relay says of itself and of deliveries. A kind that is not known here is kept like the known ones: the chain
// covers it, and one unknown event must not hold up the stream.
func (o *opener) other(e *wire.Event, out *outcome) {
	if err := ijson.Check([]byte(e.Data)); err != nil {
		o.quarantine(e, out, &envelope.Error{Code: envelope.Malformed, Err: err})
		return
	}
	out.entry = o.entry(e, proof.KindRelay, proof.ClassGeneral)
	out.note = &archive.RelayNote{ID: e.ID, Kind: e.Kind, Time: e.Time}
	out.entry.Body = []byte(e.Data)
}

// quarantine keeps an event under its code: the bytes that HPKE opened, where it did, else the event's data.
func (o *opener) quarantine(e *wire.Event, out *outcome, cause error) {
	out.code = envelope.CodeOf(cause)
	var failed *envelope.Error
	opened := errors.As(cause, &failed) && failed.Opened != nil
	out.note = &archive.QuarantineNote{ID: e.ID, Kind: e.Kind, Time: e.Time, Code: string(out.code), Opened: opened}
	out.entry = o.entry(e, proof.KindQuarantine, proof.ClassGeneral)
	if opened {
		out.entry.Body = failed.Opened
		out.entry.Envelope = sha256.Sum256([]byte(e.Data))
		return
	}
	out.entry.Body = []byte(e.Data)
	// The note and the body share one limit. Only data that a page could just hold comes near it; its beginning is kept, and the relay's
	// chain, which covered the whole, shows that it is not all.
	if room := archive.MaxBody - maxNote; len(out.entry.Body) > room {
		out.entry.Body = out.entry.Body[:room]
	}
}

// maxNote is more than a quarantine note can take, in bytes.
const maxNote = 4 << 10

func (o *opener) entry(e *wire.Event, kind proof.Kind, class string) archive.Entry {
	return archive.Entry{Kind: kind, Class: class, Epoch: o.epoch, RelaySeq: e.Seq}
}

// marshal writes one of the archive's notes, which hold strings, booleans and lists of them: it cannot fail.
func marshal(note any) []byte {
	b, err := json.Marshal(note)
	if err != nil {
		return fmt.Appendf(nil, `{"error":%q}`, "unmarshalable note")
	}
	return b
}

// inParallel calls f for 0 to n-1, a few at a time in each of the workers, and returns when all calls have.
func inParallel(n, workers int, f func(int)) {
	const run = 4
	workers = min(workers, (n+run-1)/run)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				end := int(next.Add(run))
				for i := end - run; i < min(end, n); i++ {
					f(i)
				}
				if end >= n {
					return
				}
			}
		})
	}
	wg.Wait()
}

// keyRing holds the archive's HPKE keys ready for use. refresh is called by the opener's goroutine between pages, when no worker reads.
type keyRing struct {
	source Keys
	byKID  map[string]*envelope.PrivateKey
	failed map[string]bool
}

func newKeyRing(source Keys) *keyRing {
	return &keyRing{source: source, byKID: map[string]*envelope.PrivateKey{}, failed: map[string]bool{}}
}

// refresh takes in new keys and lets go of destroyed ones. A key that cannot be read opens nothing; what it should have opened is
// quarantined as unknown_archive_key and can be re-driven.
func (k *keyRing) refresh() {
	current := map[string]*envelope.PrivateKey{}
	for _, r := range k.source.RecipientKeys() {
		key := k.byKID[r.KID]
		if key == nil && !k.failed[r.KID] {
			var err error
			if key, err = envelope.NewPrivateKey(envelope.KEM(r.KEM), r.Private); err != nil {
				k.failed[r.KID] = true
			}
		}
		if key != nil {
			current[r.KID] = key
		}
	}
	k.byKID = current
}

func (k *keyRing) get(kid string) (*envelope.PrivateKey, bool) {
	key, ok := k.byKID[kid]
	return key, ok
}
