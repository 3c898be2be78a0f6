package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// withBlob adds a message with one attachment and returns its blob id and ciphertext.
func (r *rig) withBlob(sn *sender, size int) (bid string, ct []byte) {
	r.t.Helper()
	bid = newID16()
	att, ct := attach(r.t, bid, bytes.Repeat([]byte("scan"), size/4))
	r.st.say(sn, "see the scan", att)
	return bid, ct
}

// blobStates returns what the newest message's note says of its attachments, and the states that KindBlob entries gave, in order.
func (r *rig) blobStates() (note []string, later []string) {
	r.t.Helper()
	messages := r.records(proof.KindMessage)
	if len(messages) == 0 {
		return nil, nil
	}
	var m archive.MessageNote
	check(r.t, ijson.Unmarshal(messages[len(messages)-1].Note, &m))
	for _, b := range m.Blobs {
		note = append(note, b.Status)
	}
	for _, rec := range r.records(proof.KindBlob) {
		var b archive.BlobBody
		check(r.t, ijson.Unmarshal(rec.Body, &b))
		later = append(later, b.Status)
	}
	return note, later
}

func (r *rig) wantBlob(ct []byte, bid string, note string, later ...string) {
	r.t.Helper()
	gotNote, gotLater := r.blobStates()
	if !slices.Equal(gotNote, []string{note}) || !slices.Equal(gotLater, later) {
		r.t.Errorf("note %v, later %v; want %s, then %v", gotNote, gotLater, note, later)
	}
	if ct == nil {
		return
	}
	compact, err := jws.Parse(r.records(proof.KindMessage)[0].Body, envelope.TypMessage)
	check(r.t, err)
	p, err := envelope.ParsePayload(compact.Payload)
	check(r.t, err)
	sum, err := p.Att[0].Sum()
	check(r.t, err)
	blob, err := r.archive.OpenBlob(bid, sum)
	check(r.t, err)
	defer blob.Close()
	got, err := io.ReadAll(blob)
	check(r.t, err)
	if !bytes.Equal(got, ct) {
		r.t.Error("the stored blob is not the relay's")
	}
}

// flaky breaks after n bytes, each time it is opened.
type flaky struct {
	r io.Reader
	n int
}

func (f *flaky) Read(p []byte) (int, error) {
	if f.n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := f.r.Read(p[:min(len(p), f.n)])
	f.n -= n
	return n, err
}

func (f *flaky) Close() error { return nil }

// stall gives no byte for a while, as a connection does until its guard ends it.
type stall struct{ t testing.TB }

func (s stall) Read([]byte) (int, error) {
	check(s.t, sleep(context.Background(), 30*time.Second))
	return 0, errStalled
}

func (s stall) Close() error { return nil }

func TestBlobInTime(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		bid, ct := r.withBlob(ann, 200_000)
		r.relay.blobs[bid] = ct
		stop := r.start()
		r.untilAcked(3)
		stop()
		r.wantBlob(ct, bid, archive.BlobStored)
	})
}

func TestBlobIsResumed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		bid, ct := r.withBlob(ann, 200_000)
		var offsets []int64
		r.relay.onBlob = func(_ string, offset int64) (*blobPart, error, bool) {
			offsets = append(offsets, offset)
			return &blobPart{body: &flaky{bytes.NewReader(ct[offset:]), 70_000}, offset: offset, etag: `"1"`}, nil, true
		}
		stop := r.start()
		r.untilAcked(3)
		stop()
		r.wantBlob(ct, bid, archive.BlobStored)
		if !slices.Equal(offsets, []int64{0, 70_000, 140_000}) {
			t.Errorf("offsets %v", offsets)
		}
	})
}

func TestBlobChangedWhileItIsResumed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		bid, ct := r.withBlob(ann, 100_000)
		opened := 0
		r.relay.onBlob = func(_ string, offset int64) (*blobPart, error, bool) {
			opened++
			tag := fmt.Sprintf(`"%d"`, opened)
			if opened == 1 {
				return &blobPart{body: &flaky{bytes.NewReader(ct), 50_000}, etag: tag}, nil, true
			}
			return &blobPart{body: io.NopCloser(bytes.NewReader(ct[offset:])), offset: offset, etag: tag}, nil, true
		}
		stop := r.start()
		r.until("stored", func() bool { _, later := r.blobStates(); return len(later) == 2 })
		stop()
		r.wantBlob(ct, bid, archive.BlobPending, archive.BlobPending, archive.BlobStored)
	})
}

func TestStalledBlobDoesNotStallTheStream(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		blobs := map[string][]byte{}
		for range 10 {
			bid, ct := r.withBlob(ann, 1000)
			blobs[bid] = ct
			r.st.say(ann, "not waiting")
		}
		working := false
		r.relay.onBlob = func(bid string, offset int64) (*blobPart, error, bool) {
			r.relay.mu.Lock()
			now := working
			r.relay.mu.Unlock()
			if now {
				return &blobPart{body: io.NopCloser(bytes.NewReader(blobs[bid][offset:])), offset: offset}, nil, true
			}
			return &blobPart{body: stall{t}}, nil, true
		}
		began := time.Now()
		stop := r.start(func(o *Options) { o.PageLimit = 2 })
		r.untilAcked(22)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("ten pages with stalled blobs took %v", took)
		}
		r.relay.mu.Lock()
		working = true
		r.relay.mu.Unlock()
		r.until("all stored", func() bool { return len(r.records(proof.KindBlob)) == 20 })
		stop()
		if pending, err := r.PendingBlobs(t.Context()); err != nil || len(pending) != 0 {
			t.Errorf("still pending: %v %v", pending, err)
		}
	})
}

func TestPendingBlobSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		bid, ct := r.withBlob(ann, 5000)
		stop := r.start(func(o *Options) { o.BlobDeadline = -1 })
		r.untilAcked(3)
		stop()
		if pending, err := r.PendingBlobs(t.Context()); err != nil || len(pending) != 1 {
			t.Fatalf("pending: %v %v", pending, err)
		}
		r.reopen()
		r.relay.blobs[bid] = ct
		stop = r.start()
		r.until("stored", func() bool { return len(r.records(proof.KindBlob)) == 2 })
		stop()
		r.wantBlob(ct, bid, archive.BlobPending, archive.BlobPending, archive.BlobStored)
	})
}

func TestBlobGone(t *testing.T) {
	for _, c := range []struct {
		name    string
		problem *wire.Problem
		note    string
		later   []string
		least   time.Duration
	}{
		{"410", &wire.Problem{Status: 410, Code: wire.CodeGone}, archive.BlobMissing, nil, 0},
		{"404", &wire.Problem{Status: 404, Code: wire.CodeNotFound}, archive.BlobPending,
			[]string{archive.BlobPending, archive.BlobMissing}, 10 * time.Minute},
		{"never", &wire.Problem{Status: 503}, archive.BlobPending, []string{archive.BlobPending, archive.BlobMissing}, 12 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				ann := r.st.join("u-ann", jws.EdDSA)
				r.withBlob(ann, 5000)
				r.relay.onBlob = func(string, int64) (*blobPart, error, bool) { return nil, c.problem, true }
				began := time.Now()
				stop := r.start(func(o *Options) { o.BlobGiveUp = 12 * time.Hour })
				r.untilAcked(3)
				for !slices.Contains(r.alarmNames(), AlarmBlobLost) {
					check(t, sleep(t.Context(), max(time.Second, c.least/100)))
				}
				stop()
				r.wantBlob(nil, "", c.note, c.later...)
				if took := time.Since(began); took < c.least || took > c.least+3*time.Hour {
					t.Errorf("given up after %v", took)
				}
			})
		})
	}
}

func TestBlobCorrupt(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"altered": func(ct []byte) []byte { ct[100] ^= 1; return ct },
		"short":   func(ct []byte) []byte { return ct[:len(ct)-1] },
		"long":    func(ct []byte) []byte { return append(ct, make([]byte, 1<<20)...) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				ann := r.st.join("u-ann", jws.EdDSA)
				bid, ct := r.withBlob(ann, 5000)
				r.relay.blobs[bid] = spoil(ct)
				stop := r.start()
				r.until("given up", func() bool { return len(r.records(proof.KindBlob)) == 2 })
				stop()
				r.wantBlob(nil, "", archive.BlobPending, archive.BlobPending, archive.BlobCorrupt)
				if got := r.alarmNames(); !slices.Equal(got, []string{AlarmBlobLost}) {
					t.Errorf("alarms %v", got)
				}
			})
		})
	}
}

// A page whose messages have more pending attachments than a batch can hold goes in as several, without a gap, each with the head that the
// relay's chain has there.
func TestMorePendingBlobsThanABatchHolds(t *testing.T) {
	st := &stream{epoch: "e1", heads: []wire.Head{wire.Genesis(testArc, "e1", "", wire.Head{})}}
	for range 95 {
		st.add(wire.KindEnv, "unread here")
	}
	o := &opener{epoch: "e1", head: st.heads[0]}
	outcomes := make([]outcome, len(st.events))
	states := map[blobKey]string{}
	for i := range outcomes {
		outcomes[i].note = &archive.MessageNote{}
		outcomes[i].entry = archive.Entry{Kind: proof.KindMessage, Class: proof.ClassGeneral, Epoch: "e1", RelaySeq: uint64(i + 1)}
		for j := range envelope.MaxAttachments {
			job := blobJob{key: blobKey{"e1", uint64(i + 1), fmt.Sprint(j)}}
			outcomes[i].blobs = append(outcomes[i].blobs, job)
			states[job.key] = archive.BlobPending
		}
	}
	options := Options{Metrics: newMetrics()}
	c := &Client{alarms: newAlarms(options.Log, options.Logger, options.Metrics)}
	page := &wire.Page{Events: st.events, End: wire.End{Next: 95, Head: st.heads[95]}}
	parts := c.assemble(o, page, outcomes, states)
	seq, blobs := uint64(0), 0
	for _, part := range parts {
		if len(part.batch.Entries) > archive.MaxBatch {
			t.Errorf("a batch of %d entries", len(part.batch.Entries))
		}
		for _, e := range part.batch.Entries {
			if e.Kind == proof.KindBlob {
				blobs++
			} else if seq++; e.RelaySeq != seq {
				t.Fatalf("relay seq %d where %d was due", e.RelaySeq, seq)
			}
		}
		cur := part.batch.Cursor
		if cur.Seq != seq || cur.Head != st.heads[seq] || part.mark.seq != seq || part.mark.head != st.heads[seq] {
			t.Errorf("the cursor after %d is %d, with the right head: %v", seq, cur.Seq, cur.Head == st.heads[seq])
		}
	}
	if len(parts) != 3 || seq != 95 || blobs != 95*envelope.MaxAttachments || o.head != st.heads[95] {
		t.Errorf("%d batches, %d events, %d pending attachments", len(parts), seq, blobs)
	}
}

func TestBlobReaderGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		dead := errors.New("dead line")
		opened := 0
		r.relay.onBlob = func(string, int64) (*blobPart, error, bool) { opened++; return nil, dead, true }
		stop := r.start()
		defer stop()
		reader := &blobReader{ctx: t.Context(), relay: r.relay, pause: r.client.newBackoff(), job: &blobJob{size: 10}}
		if _, err := io.ReadAll(reader); !errors.Is(err, dead) || opened != maxTries {
			t.Errorf("%v after %d connections", err, opened)
		}
	})
}
