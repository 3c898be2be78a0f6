package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/export"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/corpus"
	"holdfast/internal/extract"
	"holdfast/internal/relay"
	"holdfast/internal/relay/load"
)

// TestMain is also the process that reads attachments' text.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == extractor[1] {
		if err := extract.Child(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	// An index whose background work panicked is abandoned: its Close waits for ever.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("holdfast/archive/search.(*part).closeStore.func1"))
}

var extractor = []string{os.Args[0], "extract-for-tests"}

// ward is a whole installation in one folder: relay, archive, daemon, client.
type ward struct {
	t      *testing.T
	dir    string
	relay  *relay.Relay
	config *config.Config
	client *api.Client
	logs   *lockedBuffer
	stop   func()

	recovery *seal.RecoveryKey
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWard(t *testing.T) *ward {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{t: t, dir: dir, logs: &lockedBuffer{}}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	master, _, err := EnsureMaster(w.path("cred"))
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	w.recovery = recovery
	id, err := archive.Create(t.Context(), w.path("data"), archive.CreateOptions{ArchiveID: "ward", Master: master, Recovery: recovery.Public()})
	if err != nil {
		t.Fatal(err)
	}
	key, err := id.Key()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Init(w.path("relay"), relay.Params{Arc: "ward", Listen: "127.0.0.1:0", Identity: key}); err != nil {
		t.Fatal(err)
	}
	if w.relay, err = relay.New(w.path("relay"), relay.Options{}); err != nil {
		t.Fatal(err)
	}
	running, err := w.relay.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := w.relay.Close(); err != nil {
			t.Error(err)
		}
	})
	pki := func(name string) string { return w.path("relay/pki/" + name) }
	w.config = &config.Config{Data: w.path("data"), Socket: w.path("s"), Credentials: w.path("cred"), Relay: &config.Relay{
		URL: running.URL, CA: pki("ca.pem"), Cert: pki("archive.pem"), Key: pki("archive.key"),
		HeadKey: pki("head.pem"), EnrolKey: pki("enrol.pem"),
	}}
	return w
}

func (w *ward) path(name string) string { return filepath.Join(w.dir, name) }

// start runs the daemon until stop or the test's end.
func (w *ward) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Config: w.config, Version: "test", Extract: extractor, Logger: slog.New(slog.NewTextHandler(w.logs, nil)), Ready: func() { close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		w.t.Fatalf("the daemon did not start: %v\n%s", err, w.logs)
	}
	w.client = api.NewClient(w.config.Socket)
	w.stop = sync.OnceFunc(func() {
		w.client.Close()
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the daemon ended: %v", err)
		}
	})
	w.t.Cleanup(func() { w.stop() })
}

// load hands lines to the relay as the clients would.
func (w *ward) load(lines []corpus.Line) load.Summary {
	w.t.Helper()
	path := w.path("lines.jsonl")
	var b bytes.Buffer
	for i, l := range lines {
		if err := json.NewEncoder(&b).Encode(map[string]string{"id": fmt.Sprint(i), "from": l.From, "to": l.To, "country": "SG", "time": "unknown", "collected": "2011", "text": l.Text}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.loadFile(path)
}

func (w *ward) loadFile(path string) load.Summary {
	w.t.Helper()
	enrol, err := relay.EnrolmentKey(w.path("relay"))
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := relay.NewClient(w.path("relay"), w.config.Relay.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	identity, err := relay.PinnedIdentity(w.path("relay"))
	if err != nil {
		w.t.Fatal(err)
	}
	sum, err := load.Run(w.t.Context(), load.Options{Dir: w.path("relay"), Client: client, Identity: identity, Enrol: enrol, Wait: time.Minute}, path)
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// acked waits until the relay has heard that everything it has is durable.
func (w *ward) acked() {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		s, err := w.relay.Status()
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Acked == s.High && s.High > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("the relay has %d, acked are %d\n%s", s.High, s.Acked, w.logs)
		}
	}
}

func (w *ward) search(query string, limit int) *api.SearchResponse {
	w.t.Helper()
	r, err := w.client.Search(w.t.Context(), api.SearchRequest{Query: query, Reason: "test", Limit: limit})
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return r
}

func lines(n int) []corpus.Line { return slices.Collect(corpus.Generate(n, 7)) }

// count is the truth that searches are compared with, written apart from
// them: how many lines have the words one after the other.
func count(lines []corpus.Line, phrase string) (n uint64) {
	want := " " + words(phrase) + " "
	for _, l := range lines {
		if strings.Contains(" "+words(l.Text)+" ", want) {
			n++
		}
	}
	return n
}

func words(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
}

// phrases picks words and pairs of words that stand in the lines.
func phrases(lines []corpus.Line) (out []string) {
	for i := 0; i < len(lines) && len(out) < 20; i += 1 + len(lines)/20 {
		if w := strings.Fields(words(lines[i].Text)); len(w) >= 2 {
			out = append(out, w[0], w[0]+" "+w[1])
		}
	}
	return out
}

// The main job: sealed messages travel from the relay into the chain, are
// found exactly as often as they are there, also by a daemon that starts again
// and by one whose index was deleted.
func TestMessagesAreArchivedAndFound(t *testing.T) {
	w := newWard(t)
	w.start()
	all := lines(200)
	sum := w.load(all)
	if sum.Messages != len(all) {
		t.Fatalf("%d messages were sent for %d lines", sum.Messages, len(all))
	}
	w.acked()
	compare := func(when string) {
		t.Helper()
		for _, p := range phrases(all) {
			q := `"` + p + `"` // in quotes: without, a word finds its other forms too
			if r, want := w.search(q, 1), count(all, p); r.Total != want || want == 0 || r.Unindexed != 0 || r.Quarantined != 0 {
				t.Errorf("%s: a search finds %d (unindexed %d), a count %d", when, r.Total, r.Unindexed, want)
			}
		}
	}
	compare("at once")
	before := w.search(phrases(all)[0], 10)
	w.stop()
	if err := os.RemoveAll(w.path("data/index")); err != nil {
		t.Fatal(err)
	}
	w.start()
	compare("after the index was deleted")
	if after := w.search(phrases(all)[0], 10); !sameHits(before.Hits, after.Hits) {
		t.Error("the same search gives other hits after a rebuild")
	}
	report, err := w.client.Verify(t.Context(), api.VerifyRequest{}, nil)
	if err != nil || !report.OK || report.Bodies != report.Size {
		t.Fatalf("verify: %+v, %v", report, err)
	}
	w.nothingReadable(all)
}

func sameHits(a, b []api.Hit) bool {
	return slices.EqualFunc(a, b, func(x, y api.Hit) bool { return x.Seq == y.Seq && x.Text == y.Text && x.From == y.From })
}

// nothingReadable seeks texts of messages and the queries in every file of the
// data directory and in the log output.
func (w *ward) nothingReadable(all []corpus.Line) {
	w.t.Helper()
	var canaries [][]byte
	for _, l := range all {
		if len(l.Text) >= 24 && len(canaries) < 60 {
			canaries = append(canaries, []byte(l.Text))
		}
	}
	if len(canaries) < 50 {
		w.t.Fatal("too few canaries")
	}
	read := 0
	err := filepath.WalkDir(w.path("data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		read += len(b)
		for _, c := range canaries {
			if bytes.Contains(b, c) {
				w.t.Errorf("%s holds a message's text", path)
				break
			}
		}
		return err
	})
	if err != nil || read < 1<<20 {
		w.t.Fatalf("read %d bytes: %v", read, err)
	}
	for _, p := range phrases(all) {
		if strings.Contains(p, " ") && strings.Contains(w.logs.String(), p) {
			w.t.Error("the log output holds a query")
		}
	}
}

// A production leaves the house and is verified by somebody who has the log's
// key and nothing else.
func TestProductionIsVerifiedElsewhere(t *testing.T) {
	w := newWard(t)
	w.start()
	all := lines(60)
	w.load(all)
	w.acked()
	phrase := phrases(all)[0]
	out := w.path("production")
	done, err := w.client.Export(t.Context(), api.ExportRequest{Query: phrase, Reason: "test", As: api.FormatJSONL, Recipient: "court", Purpose: "subpoena"}, out, false, api.Hearing{})
	if err != nil {
		t.Fatal(err)
	}
	if want := count(all, phrase); done.Matched != want || done.Produced != want {
		t.Fatalf("%+v; a count gives %d", done, want)
	}
	cp, err := w.client.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if err := os.RemoveAll(w.path("data")); err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseLogKey([]byte(cp.LogKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := export.Verify(t.Context(), os.DirFS(out), export.VerifyKeys{Log: key}, nil)
	if err != nil || !v.OK() {
		t.Fatalf("%+v, %v", v, err)
	}
	records := filepath.Join(out, "records.jsonl")
	b, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte(`"text":"`)) + len(`"text":"`)
	b[i] ^= 1
	if err := os.WriteFile(records, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err = export.Verify(t.Context(), os.DirFS(out), export.VerifyKeys{Log: key}, nil); err != nil || v.OK() || len(v.Findings) == 0 {
		t.Fatalf("a changed record was verified: %+v, %v", v, err)
	}
}

// Every look is in the log before its result is shown.
func TestLooksAreAudited(t *testing.T) {
	w := newWard(t)
	w.start()
	w.load(lines(20))
	w.acked()
	if _, err := w.client.Search(t.Context(), api.SearchRequest{Query: "a"}); err == nil {
		t.Fatal("a search without a reason was answered")
	}
	r := w.search("NOT zzzz", 5)
	if _, err := w.client.Show(t.Context(), api.ShowRequest{Seqs: []uint64{r.Hits[0].Seq}, Matter: "M-1"}); err == nil {
		t.Fatal("a message was shown for a matter that there is not")
	}
	if _, err := w.client.OpenMatter(t.Context(), api.OpenMatterRequest{ID: "M-1", Reason: "a lawsuit"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Show(t.Context(), api.ShowRequest{Seqs: []uint64{r.Hits[0].Seq}, Matter: "M-1"}); err != nil {
		t.Fatal(err)
	}
	a, err := w.client.Audit(t.Context(), api.AuditRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range a.Accesses {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	// newest first: the look, the matter's opening, the look that was refused, the search
	if len(got) != 4 || !strings.Contains(got[0], `"show"`) || !strings.Contains(got[1], `"matter"`) || !strings.Contains(got[2], `"refused"`) ||
		!strings.Contains(got[3], "NOT zzzz") {
		t.Fatalf("audit: %s", strings.Join(got, "\n"))
	}
}

// The set that ships with the relay goes in whole: edits, recalls, receipts,
// an attachment.
func TestWardSet(t *testing.T) {
	w := newWard(t)
	w.start()
	path := filepath.Join("..", "..", "cmd", "holdfast-relay", "testdata", "ward.jsonl")
	sum := w.loadFile(path)
	w.acked()
	s, err := w.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Quarantined != 0 || s.Pending != 0 || s.Alarms != 0 {
		t.Fatalf("%+v\n%s", s, w.logs)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for scan := bufio.NewScanner(f); scan.Scan(); {
		n++
	}
	if sum.Messages == 0 || n < 100 {
		t.Fatalf("%d lines, %+v", n, sum)
	}
	if r := w.search("NOT zzzz", 1); r.Total < 100 {
		t.Fatalf("only %d messages are found", r.Total)
	}
}

// A message that has rotted is missing from no search or production in
// silence, also after a restart and with the index built anew.
func TestRottenMessageIsTold(t *testing.T) {
	w := newWard(t)
	w.start()
	w.load(lines(40))
	w.acked()
	all := w.search("NOT zzzz", 100)
	w.stop()
	w.rot(all.Hits[5].Seq)
	if err := os.RemoveAll(w.path("data/index")); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"index built anew", "started again"} {
		w.start()
		if r := w.search("NOT zzzz", 100); r.Total != all.Total-1 || r.Unindexed != 1 {
			t.Errorf("%s: total %d, unindexed %d of %d", when, r.Total, r.Unindexed, all.Total)
		}
		out := w.path("production " + when)
		done, err := w.client.Export(t.Context(), api.ExportRequest{Query: "NOT zzzz", Reason: "test", As: api.FormatJSONL, Recipient: "court", Purpose: "subpoena"}, out, false, api.Hearing{})
		if err != nil {
			t.Fatal(err)
		}
		if done.Produced != all.Total-1 || done.Withheld != 1 {
			t.Errorf("%s: %+v", when, done)
		}
		alarms, err := w.client.Alarms(t.Context(), api.AlarmsRequest{})
		if err != nil || len(alarms.Alarms) != 1 || alarms.Alarms[0].Name != AlarmUnreadable {
			t.Errorf("%s: alarms %+v, %v", when, alarms, err)
		}
		w.stop()
	}
}

// What cannot be opened is named by every search, and counted by every
// production that it might belong to.
func TestQuarantineIsNamed(t *testing.T) {
	w := newWard(t)
	w.start()
	if _, err := w.relay.Submit(t.Context(), []relay.Submission{{ID: "x", Kind: "env", Data: "AMX1.no.envelope"}}); err != nil {
		t.Fatal(err)
	}
	w.load(lines(5))
	w.acked()
	r := w.search("zzzz", 1)
	if r.Total != 0 || r.Quarantined != 1 || len(r.Quarantine) != 1 || r.Quarantine[0].Code != "malformed" {
		t.Fatalf("%+v", r)
	}
	shown, err := w.client.Show(t.Context(), api.ShowRequest{Seqs: []uint64{r.Quarantine[0].Seq}, Reason: "test"})
	if err != nil || shown.Entries[0].Kind != "quarantine" {
		t.Fatalf("%+v, %v", shown, err)
	}
	done, err := w.client.Export(t.Context(), api.ExportRequest{Query: "NOT zzzz", Reason: "test", As: api.FormatJSONL, Recipient: "court", Purpose: "subpoena"}, w.path("production"), false, api.Hearing{})
	if err != nil || done.Quarantined != 1 || done.Produced != 5 {
		t.Fatalf("%+v, %v", done, err)
	}
}

// rot changes one bit of a message's sealed record, after so many more entries
// that it is not among those that every start checks.
func (w *ward) rot(seq uint64) {
	w.t.Helper()
	a := w.open()
	batch := archive.Batch{Entries: slices.Repeat([]archive.Entry{{Kind: proof.KindStart, Class: proof.ClassControl, Body: []byte("{}")}}, 1100)}
	if _, err := a.Append(w.t.Context(), batch); err != nil {
		w.t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		w.t.Fatal(err)
	}
	names, err := filepath.Glob(w.path("data/bodies/*.general.g1.db"))
	if err != nil || len(names) != 1 {
		w.t.Fatalf("%v, %v", names, err)
	}
	db, err := bbolt.Open(names[0], 0o600, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error {
		b, key := tx.Bucket([]byte("record")), binary.BigEndian.AppendUint64(nil, seq)
		v := bytes.Clone(b.Get(key))
		v[len(v)/2] ^= 1
		return b.Put(key, v)
	}); err != nil {
		w.t.Fatal(err)
	}
}

// open opens the store as the next start would, orphans dropped.
func (w *ward) open() *archive.Archive {
	w.t.Helper()
	master, err := ReadMaster(w.config.Credentials)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := archive.Open(w.t.Context(), w.config.Data, archive.Options{Master: master})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}
