package daemon

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
	"holdfast/internal/config"
	"holdfast/internal/jws"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// erasureWard is an archive of 2019 in which every content is a canary, and
// after it one of now.
type erasureWard struct {
	t     *testing.T
	dir   string
	logs  *lockedBuffer
	holds keyHolder
	opts  archive.Options

	log     *archive.Archive
	n       uint64 // messages said
	relay   uint64
	key     ed25519.PrivateKey
	prev    map[string]string
	said    []*saying
	canary  map[string][]int // canary → the sayings that keep it alive, by place in said
	indexed map[string]bool  // canaries that the index has
}

// saying is one entry with canaries.
type saying struct {
	seq    uint64
	from   string
	month  int // from 0; -1: now
	family int // of the saying that it is about, or its own place
	digest [32]byte
	mid    string
	files  []file
	closed bool // a quarantined body: nobody knows whom it concerns
}

// file is an attachment.
type file struct {
	said    envelope.Attachment
	canary  string
	content string
}

const (
	erasureEpoch  = "2019"
	erasureSender = "u3" // whose messages are held from the second month on
	erasureArc    = "ward"
)

const erasureSchedule = `version = 1
name = "erasure"
otherwise = "general"

[[class]]
name = "general"
period = "1y"
trigger = "received"

[[class]]
name = "patient"
period = "2y"
trigger = "received"

[[rule]]
name = "patients"
class = "patient"
conversation = ["patient"]
`

func newErasureWard(t *testing.T, leaves uint64) *erasureWard {
	t.Helper()
	// What the process writes elsewhere is looked at as well.
	temp := filepath.Join(t.TempDir(), "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &erasureWard{
		t: t, dir: filepath.Join(filepath.Dir(temp), "data"), logs: &lockedBuffer{}, holds: keyHolder{recovery: recovery},
		prev: map[string]string{}, canary: map[string][]int{}, indexed: map[string]bool{},
	}
	rand.Read(w.holds.master[:])
	w.opts = archive.Options{Master: w.holds.master, Reserve: 1, LowWater: 1, LogFileLeaves: leaves}
	if _, w.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *erasureWard) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// in2019 has f fill the archive in a bubble whose clock shows the year 2019:
// received times cannot be made up.
func (w *erasureWard) in2019(f func()) {
	w.t.Helper()
	synctest.Test(w.t, func(t *testing.T) {
		outer := w.t
		w.t = t
		defer func() { w.t = outer }()
		time.Sleep(time.Until(time.Date(2019, 1, 7, 8, 0, 0, 0, time.UTC)))
		_, err := archive.Create(context.Background(), w.dir, archive.CreateOptions{
			ArchiveID: erasureArc, Master: w.holds.master, Recovery: w.holds.recovery.Public(),
		})
		w.must(err)
		w.log, err = archive.Open(context.Background(), w.dir, w.opts)
		w.must(err)
		body, err := json.Marshal(archive.EpochBody{Epoch: erasureEpoch})
		w.must(err)
		w.append(archive.Entry{Kind: proof.KindEpoch, Class: proof.ClassControl, Body: body})
		f()
		w.must(w.log.Close())
	})
}

// month fills a month of the bubble with so many messages, their edits, their
// attachments and a quarantined body.
func (w *erasureWard) month(m, messages int) {
	for i := range messages {
		s := w.say(m, fmt.Sprintf("u%d", i%5), nil)
		if i%4 == 3 {
			w.say(m, s.from, s)
		}
	}
	w.quarantine(m)
	for now := time.Now(); time.Now().Month() == now.Month(); {
		time.Sleep(24 * time.Hour)
	}
}

// newCanary makes a canary that a saying keeps alive.
func (w *erasureWard) newCanary(indexed bool, of ...int) string {
	var b [canaryLength - len(canaryMark)]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	c := canaryMark + string(b[:])
	w.canary[c], w.indexed[c] = of, indexed
	return c
}

// attach seals an attachment into the archive.
func (w *erasureWard) attach(of int) file {
	content := w.newCanary(false, of)
	var key, bid [32]byte
	rand.Read(key[:])
	rand.Read(bid[:])
	var sealed bytes.Buffer
	text := strings.Repeat("scan ", 20) + content
	if of == 0 {
		text = strings.Repeat("page ", envelope.ChunkSize/5+1) + content // in the second chunk
	}
	sum, size, err := envelope.SealAttachment(&sealed, strings.NewReader(text), key)
	w.must(err)
	f := file{canary: content, content: text, said: envelope.Attachment{
		BID: jws.EncodeB64(bid[:16]), Name: w.newCanary(true, of) + ".pdf", MIME: "application/pdf", Size: size,
		Alg: envelope.AttachmentAlg, Key: jws.EncodeB64(key[:]), CTSHA256: jws.EncodeB64(sum[:]),
	}}
	w.must(w.log.PutBlob(context.Background(), f.said.BID, sum, &sealed))
	return f
}

// say appends a message, or an edit of one, with canaries in all it has.
func (w *erasureWard) say(month int, from string, edits *saying, files ...file) *saying {
	of := len(w.said)
	s := &saying{from: from, month: month, family: of, files: files}
	w.n++
	var mid [16]byte
	rand.Read(mid[:])
	s.mid = jws.EncodeB64(mid[:])
	p := &envelope.Payload{
		V: 1, Typ: envelope.TypMsg, Arc: erasureArc, Mid: s.mid, Usr: from, Dev: from + "-phone", N: w.n, Prev: w.prev[from],
		Sent: envelope.FormatTime(time.Now()), Body: &envelope.Body{Text: "call about " + w.newCanary(true, of) + " please"},
		Conv: &envelope.Conv{ID: "c-" + from, Kind: "group", Name: "Ward " + w.newCanary(true, of)},
		To:   []envelope.Party{{Usr: "u9"}},
	}
	class := proof.ClassGeneral
	if of%3 == 1 {
		p.Conv.Kind, class = "patient", "patient"
	}
	if edits != nil {
		p.Typ, p.Ref = envelope.TypEdit, &envelope.Ref{Dev: edits.from + "-phone", Mid: edits.mid, Digest: jws.EncodeB64(edits.digest[:])}
		s.family = edits.family
	} else if of%2 == 0 {
		s.files = append(s.files, w.attach(of))
	}
	var blobs []archive.BlobNote
	for _, f := range s.files {
		p.Att = append(p.Att, f.said)
		blobs = append(blobs, archive.BlobNote{BID: f.said.BID, Status: archive.BlobStored})
	}
	for _, f := range files { // of another message, too
		name := strings.TrimSuffix(f.said.Name, ".pdf")
		w.canary[name], w.canary[f.canary] = append(w.canary[name], of), append(w.canary[f.canary], of)
	}
	compact, err := envelope.SignMessage(w.key, p)
	w.must(err)
	s.digest, err = envelope.Digest(compact)
	w.must(err)
	w.prev[from] = jws.EncodeB64(s.digest[:])
	note, err := json.Marshal(archive.MessageNote{
		ID: fmt.Sprint(w.n), Time: p.Sent, Assurance: string(envelope.RelayAsserted), Device: "phone", Blobs: blobs,
	})
	w.must(err)
	s.seq = w.take(archive.Entry{
		Kind: proof.KindMessage, Class: class, Note: note, Body: compact, Envelope: sha256.Sum256(compact),
		Dedupe: &archive.Dedupe{Device: p.Dev, N: p.N, Digest: s.digest},
	})
	w.said = append(w.said, s)
	return s
}

// quarantine appends what HPKE opened and nobody understood.
func (w *erasureWard) quarantine(month int) {
	s := &saying{month: month, family: len(w.said), closed: true}
	note, err := json.Marshal(archive.QuarantineNote{ID: "q", Kind: "env", Time: envelope.FormatTime(time.Now()), Code: "malformed", Opened: true})
	w.must(err)
	body := "eyJ" + strings.Repeat("no message ", 9) + w.newCanary(false, len(w.said))
	s.seq = w.take(archive.Entry{Kind: proof.KindQuarantine, Class: proof.ClassGeneral, Note: note, Body: []byte(body), Envelope: sha256.Sum256([]byte(body))})
	w.said = append(w.said, s)
}

// take appends an entry as the relay's next event.
func (w *erasureWard) take(e archive.Entry) uint64 {
	if len(e.Body)+len(e.Note)+noteAt+seal.Overhead > erasureWindow {
		w.t.Fatal("a record is longer than what is decrypted from each place")
	}
	w.relay++
	e.Epoch, e.RelaySeq = erasureEpoch, w.relay
	return w.append(e)
}

func (w *erasureWard) append(entries ...archive.Entry) uint64 {
	b := archive.Batch{Entries: entries}
	if w.relay > 0 {
		b.Cursor = &archive.Cursor{Epoch: erasureEpoch, Seq: w.relay}
	}
	placed, err := w.log.Append(context.Background(), b)
	w.must(err)
	return placed[len(placed)-1].Seq
}

// serving is the archive with the daemon's parts over it.
type serving struct {
	*parts
	w    *erasureWard
	stop func()
}

// serve opens the archive as the daemon does, and has its followers run.
func (w *erasureWard) serve() *serving {
	w.t.Helper()
	var err error
	w.log, err = archive.Open(w.t.Context(), w.dir, w.opts)
	w.must(err)
	logger := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, err := newParts(w.t.Context(), w.log, Options{Config: &config.Config{Data: w.dir}, Logger: logger})
	w.must(err)
	w.must(p.book.Resume(w.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(running, p.index.Follow(running)) })
	g.Go(func() error { return ended(running, p.book.Follow(running)) })
	stopped := false
	s := &serving{parts: p, w: w, stop: func() {
		w.t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		w.must(errors.Join(g.Wait(), p.index.Close(), w.log.Close()))
	}}
	w.t.Cleanup(s.stop)
	return s
}

// indexedAll waits until the index has seen everything.
func (s *serving) indexedAll() {
	s.w.t.Helper()
	ctx, cancel := context.WithTimeout(s.w.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.index.Lag() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.w.t.Fatalf("the index lags by %d", s.index.Lag())
		}
	}
}

func erasurePerson(uid uint32, name string) role.Principal {
	return role.Principal{UID: &uid, Name: name, Via: role.ViaSocket}
}

var (
	planner  = erasurePerson(1001, "rita")
	approver = erasurePerson(1002, "omar")
)

// begin makes people believe the clock again and puts the schedule and a hold
// into force.
func (s *serving) begin() {
	s.w.t.Helper()
	ctx := s.w.t.Context()
	s.w.must(s.book.ReleaseClock(ctx, planner, "the archive stood still"))
	_, err := s.book.ApplySchedule(ctx, planner, []byte(erasureSchedule), "begin", false)
	s.w.must(err)
	_, err = s.book.OpenMatter(ctx, planner, retention.NewMatter{ID: "M-1", Reason: "a lawsuit"})
	s.w.must(err)
	from := time.Date(2019, 2, 1, 0, 0, 0, 0, time.UTC)
	_, err = s.book.PlaceHold(ctx, planner, retention.NewHold{
		Matter: "M-1", Reason: "preserve", Scope: hold.Scope{Custodians: []string{"usr:" + erasureSender}, From: &from},
	})
	s.w.must(err)
}

// run approves a plan by the second person and carries it out.
func (s *serving) run(p *retention.Plan, err error) *retention.Ran {
	s.w.t.Helper()
	s.w.must(err)
	s.w.must(s.requests.Decide(s.w.t.Context(), s.archive, approver, p.Request, true, "as it should be"))
	ran, err := s.book.Run(s.w.t.Context(), planner, p.Seq, nil)
	s.w.must(err)
	return ran
}

// dispose disposes of everything that is due and not held.
func (s *serving) dispose() *retention.Ran {
	s.w.t.Helper()
	return s.run(s.book.PlanDisposition(s.w.t.Context(), planner, retention.PlanOptions{Reason: "due"}))
}

// erase erases sayings by order of a court.
func (s *serving) erase(said ...*saying) *retention.Ran {
	s.w.t.Helper()
	var seqs []uint64
	for _, x := range said {
		seqs = append(seqs, x.seq)
	}
	return s.run(s.book.PlanErasure(s.w.t.Context(), planner, seqs, "a court's order"))
}

// stays tells, by the test's own reading of the hold, which sayings survive.
func (w *erasureWard) stays(erased ...*saying) []bool {
	held := map[int]bool{}
	for _, s := range w.said {
		if s.month >= 1 && (s.closed || s.from == erasureSender) {
			held[s.family] = true
		}
	}
	out := make([]bool, len(w.said))
	for i, s := range w.said {
		out[i] = s.month < 0 || held[s.family]
		for _, e := range erased {
			out[i] = out[i] && e != s
		}
	}
	return out
}

// fates tells which canaries go and which stay.
func (w *erasureWard) fates(stays []bool) (gone, kept []string) {
	for c, of := range w.canary {
		alive := false
		for _, i := range of {
			alive = alive || stays[i]
		}
		if alive {
			kept = append(kept, c)
		} else {
			gone = append(gone, c)
		}
	}
	return gone, kept
}
