package anchor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
	"holdfast/internal/outward"
)

// testWitness is a witness as C2SP tlog-witness has it, of parts that are not
// ours: it cosigns nothing that did not grow in front of it.
type testWitness struct {
	t      *testing.T
	log    note.Verifier
	signer note.Signer
	key    *proof.Witness

	mu    sync.Mutex
	seen  map[string]tlog.Tree
	asked int
}

// cosigner signs as C2SP tlog-cosignature has it, cosignature/v1.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

func (c cosigner) Sign(msg []byte) ([]byte, error) {
	at := time.Now().Unix()
	sig := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, msg))
	return append(binary.BigEndian.AppendUint64(nil, uint64(at)), sig...), nil
}

func newTestWitness(t *testing.T, log note.Verifier) *testWitness {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const name = "witness.example/w1"
	typed := append([]byte{4}, public...)
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	w := &testWitness{t: t, log: log, seen: map[string]tlog.Tree{}, signer: cosigner{name, binary.BigEndian.Uint32(sum[:]), private}}
	vkey := fmt.Sprintf("%s+%08x+%s\n", name, w.signer.KeyHash(), base64.StdEncoding.EncodeToString(typed))
	if w.key, err = proof.ParseWitnessKey([]byte(vkey)); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *testWitness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/w/add-checkpoint" {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !ok || err != nil || lines[0] != fmt.Sprintf("old %d", old) {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	var path tlog.TreeProof
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		path = append(path, tlog.Hash(h))
	}
	n, err := note.Open(signed, note.VerifierList(w.log))
	if err != nil {
		rw.WriteHeader(http.StatusForbidden)
		return
	}
	text := strings.Split(n.Text, "\n")
	size, err1 := strconv.ParseInt(text[1], 10, 64)
	hash, err2 := tlog.ParseHash(text[2])
	if err := errors.Join(err1, err2); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	w.answer(rw, n, text[0], old, tlog.Tree{N: size, Hash: hash}, path)
}

func (w *testWitness) answer(rw http.ResponseWriter, n *note.Note, from string, old int64, now tlog.Tree, path tlog.TreeProof) {
	last := w.seen[from]
	switch {
	case last.N != old:
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", last.N)
		return
	case old > now.N:
		rw.WriteHeader(http.StatusBadRequest)
		return
	case old == now.N && old > 0 && last.Hash != now.Hash:
		rw.WriteHeader(http.StatusConflict)
		return
	case (old == 0 || old == now.N) && len(path) > 0:
		rw.WriteHeader(http.StatusBadRequest)
		return
	case 0 < old && old < now.N && tlog.CheckTree(path, now.N, now.Hash, old, last.Hash) != nil:
		rw.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	cosigned, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.seen[from] = now
	rw.Write(cosigned[len(n.Text)+1:])
}

func TestWitness(t *testing.T) {
	l := newTree(t, "a", "b", "c")
	theirs := newTestWitness(t, l.key)
	srv, client := server(t, theirs)
	w := NewWitness(srv.URL+"/w/", theirs.key, client)
	for range 3 {
		a := l.ask()
		line, err := w.Anchor(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		cosigned := Cosigned(a.Signed, line)
		if _, ok, err := theirs.key.Cosigned(cosigned); !ok || err != nil {
			t.Errorf("the cosigned checkpoint: %v, %v", ok, err)
		}
		if c, err := proof.OpenCheckpoint(cosigned, l.key); err != nil || c != a.Checkpoint {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := w.Anchor(t.Context(), a); err != nil {
			t.Errorf("the same checkpoint once more: %v", err)
		}
		l.grow("d", "e", "f", "g")
	}
	if theirs.asked != 6 {
		t.Errorf("%d requests for 6 anchors", theirs.asked)
	}
	// After a restart the witness says where it stands.
	if _, err := NewWitness(srv.URL+"/w", theirs.key, client).Anchor(t.Context(), l.ask()); err != nil {
		t.Error(err)
	}
	size := theirs.seen[origin].N
	for name, other := range map[string]*tree{
		"a shorter log":    l.rewritten(entries("a", 4)...),
		"a rewritten log":  l.rewritten(entries("x", int(size)+3)...),
		"of the same size": l.rewritten(entries("x", int(size))...),
	} {
		for again, w := range []*Witness{NewWitness(srv.URL+"/w", theirs.key, client), w} {
			if _, err := w.Anchor(t.Context(), other.ask()); !errors.Is(err, ErrRefused) {
				t.Errorf("%s, %d: %v", name, again, err)
			}
		}
	}
	if theirs.seen[origin].N != size {
		t.Error("the witness took another log")
	}
	if _, err := w.Anchor(t.Context(), newTree(t, "a").ask()); !errors.Is(err, ErrUnknown) {
		t.Errorf("a log that it does not know: %v", err)
	}
	// A restored log is another log to the witness, and begins anew.
	l.restored = 1
	if _, err := w.Anchor(t.Context(), l.ask()); err != nil {
		t.Errorf("a restored log: %v", err)
	}
}

func TestWitnessHostile(t *testing.T) {
	l := newTree(t, "a", "b", "c")
	a := l.ask()
	known := newTestWitness(t, l.key)
	for name, h := range hostile {
		srv, client := server(t, h)
		if line, err := NewWitness(srv.URL, known.key, client).Anchor(t.Context(), a); err == nil || errors.Is(err, ErrRefused) || line != nil {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
	// One that names the very size it is asked for has seen another log of that size.
	same, client := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeSize)
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "3\n")
	}))
	if _, err := NewWitness(same.URL, known.key, client).Anchor(t.Context(), a); !errors.Is(err, ErrRefused) {
		t.Errorf("another log of the same size: %v", err)
	}
	another := newTestWitness(t, l.key)
	srv, client := server(t, another)
	if _, err := NewWitness(srv.URL+"/w", known.key, client).Anchor(t.Context(), a); !errors.Is(err, ErrAnswer) {
		t.Errorf("another witness of the same name: %v", err)
	}
	if _, err := NewWitness(srv.URL+"/w", known.key, outward.HTTP(nil)).Anchor(t.Context(), a); err == nil {
		t.Error("a server that nobody certifies was believed")
	}
	// Over this checkpoint, not over another; and under a name that ends a line.
	good, err := note.Sign(&note.Note{Text: newTree(t, "z").ask().Checkpoint.Text()}, known.signer)
	if err != nil {
		t.Fatal(err)
	}
	_, stale, _ := bytes.Cut(good, []byte("\n\n"))
	for _, answer := range []string{string(stale), strings.TrimSuffix(string(stale), "\n"), "— x\n" + string(stale), "\n\n", string(good)} {
		srv, client := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		if line, err := NewWitness(srv.URL, known.key, client).Anchor(t.Context(), a); !errors.Is(err, ErrAnswer) {
			t.Errorf("%q: %q, %v", answer, line, err)
		}
	}
	// One that does not answer holds up its caller as long as that waits.
	stuck := make(chan struct{})
	srv, client = server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := NewWitness(srv.URL, known.key, client).Anchor(ctx, a); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(stuck)
}
