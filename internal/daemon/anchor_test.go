package daemon

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/outward"
)

// bystander is a witness on another administrator's machine (C2SP tlog-witness,
// cosignature/v1), of parts that are not ours.
type bystander struct {
	t    *testing.T
	log  note.Verifier
	name string
	hash uint32
	own  ed25519.PrivateKey

	mu   sync.Mutex
	seen tlog.Tree
}

func (b *bystander) Name() string    { return b.name }
func (b *bystander) KeyHash() uint32 { return b.hash }

func (b *bystander) Sign(msg []byte) ([]byte, error) {
	at := time.Now().Unix()
	sig := ed25519.Sign(b.own, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, msg))
	return append(binary.BigEndian.AppendUint64(nil, uint64(at)), sig...), nil
}

// newBystander returns a witness that knows the log, and its vkey.
func newBystander(t *testing.T, log note.Verifier) (b *bystander, vkey string) {
	t.Helper()
	public, own, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b = &bystander{t: t, log: log, name: "witness.test/w", own: own}
	typed := append([]byte{4}, public...)
	sum := sha256.Sum256(append([]byte(b.name+"\n"), typed...))
	b.hash = binary.BigEndian.Uint32(sum[:])
	return b, fmt.Sprintf("%s+%08x+%s\n", b.name, b.hash, base64.StdEncoding.EncodeToString(typed))
}

// set has the witness have seen another log; it returns what it had seen.
func (b *bystander) set(seen tlog.Tree) (before tlog.Tree) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, b.seen = b.seen, seen
	return before
}

func (b *bystander) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Error(err)
	}
	head, signed, _ := bytes.Cut(body, []byte("\n\n"))
	n, err := note.Open(signed, note.VerifierList(b.log))
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var old, size int64
	var from, root string
	lines := strings.Split(string(head), "\n")
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil {
		b.t.Error(err)
	}
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &from, &size, &root); err != nil {
		b.t.Error(err)
	}
	hash, err := tlog.ParseHash(root)
	if err != nil {
		b.t.Error(err)
	}
	var path tlog.TreeProof
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			b.t.Error(err)
		}
		path = append(path, h)
	}
	switch {
	case old != b.seen.N:
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", b.seen.N)
		return
	case 0 < old && old < size && tlog.CheckTree(path, size, hash, old, b.seen.Hash) != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	cosigned, err := note.Sign(&note.Note{Text: n.Text}, b)
	if err != nil {
		b.t.Error(err)
	}
	b.seen = tlog.Tree{N: size, Hash: hash}
	w.Write(cosigned[len(n.Text)+1:])
}

// stamper answers as a time-stamping authority, by OpenSSL.
func (w *ward) stamper() http.HandlerFunc {
	w.t.Helper()
	openssl := func(args ...string) {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = w.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Errorf("openssl %s: %v\n%s", args[0], err, out)
		}
	}
	conf := "[ tsa ]\nserial = tsa.serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3\ndigests = sha256\ness_cert_id_alg = sha256\n"
	for name, text := range map[string]string{"tsa.cnf": conf, "tsa.serial": "01\n", "tsa.ext": "extendedKeyUsage=critical,timeStamping\n"} {
		if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	curve := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	openssl(append([]string{"req", "-x509", "-keyout", "tsa-ca.key", "-out", "tsa-ca.pem", "-days", "9", "-subj", "/CN=ca"}, curve...)...)
	openssl(append([]string{"req", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa"}, curve...)...)
	openssl("x509", "-req", "-in", "tsa.csr", "-CA", "tsa-ca.pem", "-CAkey", "tsa-ca.key", "-days", "9", "-extfile", "tsa.ext", "-out", "tsa.pem")
	var mu sync.Mutex
	return func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		query, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(w.path("tsa.query"), query, 0o600)
		}
		openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "tsa.query", "-out", "tsa.reply")
		answer, failed := os.ReadFile(w.path("tsa.reply"))
		if err != nil || failed != nil {
			w.t.Error(err, failed)
		}
		rw.Header().Set("Content-Type", "application/timestamp-reply")
		rw.Write(answer)
	}
}

// outsideWard runs a daemon that anchors its log with a witness, an authority and
// in a file, once an hour.
func outsideWard(t *testing.T) (w *ward, theirs *bystander, key *proof.Witness) {
	t.Helper()
	w = newWard(t)
	a := w.open()
	verifier, err := a.Identity().LogVerifier()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	theirs, vkey := newBystander(t, verifier)
	if key, err = proof.ParseWitnessKey([]byte(vkey)); err != nil {
		t.Fatal(err)
	}
	witness, stamps := httptest.NewTLSServer(theirs), httptest.NewServer(w.stamper())
	t.Cleanup(witness.Close)
	t.Cleanup(stamps.Close)
	for name, text := range map[string]string{"w.vkey": vkey, "w.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: witness.Certificate().Raw}))} {
		if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.config.Anchor = config.Anchor{
		Every: config.Duration{Duration: time.Hour}, File: w.path("anchors"),
		Witnesses: []config.Witness{{URL: witness.URL, Key: w.path("w.vkey"), CA: w.path("w.pem")}},
		Timestamp: &config.Timestamp{URL: stamps.URL, CA: w.path("tsa-ca.pem")},
	}
	w.start()
	return w, theirs, key
}

// anchors has the log anchored, and returns what failed of which kind.
func (w *ward) anchors() map[string]string {
	w.t.Helper()
	made, err := w.client.AnchorsMake(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range made.Results {
		out[r.Kind] = r.Failed
	}
	return out
}

// raised returns the alarms of a name.
func (w *ward) raised(name string) (out []api.Alarm) {
	w.t.Helper()
	all, err := w.client.Alarms(w.t.Context(), api.AlarmsRequest{All: true})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all.Alarms {
		if a.Name == name {
			out = append(out, a)
		}
	}
	return out
}

// figures returns the daemon's metrics as text.
func (w *ward) figures() string {
	w.t.Helper()
	text, err := w.client.Metrics(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// Every place outside has the log, and each has given a proof of its own that
// stands in the log; a witness that saw another log is a critical alarm, once,
// and keeps no other place from being anchored at.
func TestAnchorsOutside(t *testing.T) {
	w, theirs, key := outsideWard(t)
	if got := w.anchors(); len(got) != 3 || got["file"]+got["witness"]+got["timestamp"] != "" {
		t.Fatalf("%v", got)
	}
	roots, err := outward.Authorities(w.path("tsa-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.client.AnchorsList(t.Context())
	if err != nil || len(list.Anchors) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, a := range list.Anchors {
		if a.Failing != "" || a.Last == nil && a.Kind != anchor.KindRelay {
			t.Fatalf("%+v", a)
		}
		switch a.Kind {
		case anchor.KindWitness:
			if _, ok, err := key.Cosigned([]byte(a.Last.Cosigned)); !ok || err != nil || a.Name != theirs.name {
				t.Errorf("the witness's line: %v, %v", ok, err)
			}
		case anchor.KindTimestamp:
			if _, err := anchor.VerifyToken(a.Last.Proof, []byte(a.Last.Checkpoint), roots); err != nil {
				t.Errorf("the token: %v", err)
			}
		}
		if a.Last != nil && a.Kind != anchor.KindRelay && (a.Last.Entry < a.Last.Size || a.Last.Size == 0) {
			t.Errorf("%s: %d entries were anchored in entry %d", a.Kind, a.Last.Size, a.Last.Entry)
		}
	}
	before := theirs.set(tlog.Tree{N: 1 << 30})
	for range 2 {
		if got := w.anchors(); got["witness"] != anchor.FailedRefused || got["file"]+got["timestamp"] != "" {
			t.Errorf("%v", got)
		}
	}
	if got := w.raised(AlarmAnchorRefused); len(got) != 1 || got[0].Severity != "critical" || got[0].Facts["anchor"] != "witness" {
		t.Errorf("%+v", got)
	}
	for series, want := range map[string]string{"witness": "1", "file": "0", "timestamp": "0"} {
		if got := value(t, w.figures(), `holdfast_anchor_failing{anchor="`+series+`"}`); got != want {
			t.Errorf("%s fails: %q, want %s", series, got, want)
		}
	}
	theirs.set(before)
	if got := w.anchors(); got["witness"] != "" || value(t, w.figures(), `holdfast_anchor_failing{anchor="witness"}`) != "0" {
		t.Errorf("the witness saw this log after all: %v", got)
	}
	before.Hash[0] ^= 1 // as long as before, and another one
	theirs.set(before)
	if got := w.anchors(); got["witness"] != anchor.FailedRefused {
		t.Errorf("%v", got)
	}
	w.stop()
	if strings.Contains(w.logs.String(), "panic") {
		t.Error(w.logs)
	}
}
