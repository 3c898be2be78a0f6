package daemon

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
	"holdfast/internal/config"
	"holdfast/internal/jws"
)

// erasureWard is an archive of 2019 in which every content is a canary, and
// after it one of now.
type erasureWard struct {
	t     *testing.T
	dir   string
	logs  *lockedBuffer
	holds keyHolder
	opts  archive.Options
	// backup is where backups go; without its folders serve makes none.
	backup config.Backup
	still  bool // none is made by itself

	log     *archive.Archive
	n       uint64 // messages said
	relay   uint64
	key     ed25519.PrivateKey
	prev    map[string]string
	said    []*saying
	canary  map[string][]int // canary → the sayings that keep it alive, by place in said
	indexed map[string]bool  // canaries that the index has
	filed   map[string]bool  // canaries inside attachments
	awaited []archive.BlobBody
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
		prev: map[string]string{}, canary: map[string][]int{}, indexed: map[string]bool{}, filed: map[string]bool{},
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
	w.comeIn()
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

// attach seals an attachment into the archive: a text, a docx or a PDF.
func (w *erasureWard) attach(of int) file {
	content := w.newCanary(false, of)
	w.filed[content] = true
	var key, bid [32]byte
	rand.Read(key[:])
	rand.Read(bid[:])
	var sealed bytes.Buffer
	text := strings.Repeat("scan ", 20) + content
	switch {
	case of == 0:
		text = strings.Repeat("page ", envelope.ChunkSize/5+1) + content // in the second chunk
	case of%6 == 2:
		text = storedDocx(w.t, "seen on the ward "+content)
	case of%6 == 4:
		text = plainPDF(w.t, "seen on the ward "+content)
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

// comeIn has the attachments come in that are awaited, long after their
// messages.
func (w *erasureWard) comeIn() {
	for _, b := range w.awaited {
		b.Status = archive.BlobStored
		w.blobEntry(b)
	}
	w.awaited = nil
}

func (w *erasureWard) blobEntry(b archive.BlobBody) {
	body, err := json.Marshal(b)
	w.must(err)
	_, err = w.log.Append(context.Background(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindBlob, Class: proof.ClassControl, Body: body}}})
	w.must(err)
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
	status := archive.BlobStored
	if of%8 == 2 && month >= 0 {
		status = archive.BlobPending
	}
	for _, f := range s.files {
		p.Att = append(p.Att, f.said)
		blobs = append(blobs, archive.BlobNote{BID: f.said.BID, Status: status})
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
	for _, b := range blobs {
		if b.Status == archive.BlobPending {
			awaited := archive.BlobBody{Epoch: erasureEpoch, RelaySeq: w.relay, BID: b.BID, Status: b.Status}
			w.blobEntry(awaited)
			w.awaited = append(w.awaited, awaited)
		}
	}
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
