package anchor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
	"holdfast/internal/outward"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "holdfast.invalid/st-test/0011223344556677"

// tree is a log in memory.
type tree struct {
	t        *testing.T
	signer   note.Signer
	key      note.Verifier
	restored uint32

	mu     sync.Mutex
	size   int64
	hashes []tlog.Hash
}

func newTree(t *testing.T, entries ...string) *tree {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	l := &tree{t: t}
	if l.signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	if l.key, err = note.NewVerifier(vkey); err != nil {
		t.Fatal(err)
	}
	l.grow(entries...)
	return l
}

// rewritten returns another log under the same key.
func (l *tree) rewritten(entries ...string) *tree {
	other := &tree{t: l.t, signer: l.signer, key: l.key}
	other.grow(entries...)
	return other
}

func (l *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(l.hashes)) {
			return nil, errors.New("no such hash")
		}
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *tree) grow(entries ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		more, err := tlog.StoredHashes(l.size, []byte(e), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, more...)
		l.size++
	}
}

func (l *tree) Root(size uint64) (proof.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tlog.TreeHash(int64(size), l)
}

func (l *tree) Checkpoint(context.Context) ([]byte, error) {
	root, err := l.Root(uint64(l.size))
	if err != nil {
		return nil, err
	}
	return proof.SignCheckpoint(proof.Checkpoint{Origin: origin, Restored: l.restored, Size: uint64(l.size), Root: root}, l.signer)
}

func (l *tree) ProveConsistency(_ context.Context, older, newer uint64) ([]proof.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tlog.ProveTree(int64(newer), int64(older), l)
}

// ask is what a place is asked by this log now.
func (l *tree) ask() Ask {
	l.t.Helper()
	signed, err := l.Checkpoint(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	c, err := proof.OpenCheckpoint(signed, l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return Ask{Checkpoint: c, Signed: signed, At: time.Now(), Root: l.Root, Consistency: func(ctx context.Context, older uint64) ([]proof.Hash, error) {
		return l.ProveConsistency(ctx, older, c.Size)
	}}
}

// entries returns n entries of a log of the given name.
func entries(name string, n int) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat(name+" ", n), " "), " ")
}

// server serves h over TLS, and returns a client that trusts it alone.
func server(t *testing.T, h http.Handler) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, outward.HTTP(s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
}

// followed says that a redirect was followed.
var followed atomic.Bool

// hostile are servers that no place takes anything from. What they answer is
// an error, of no class but the ones given.
var hostile = map[string]http.HandlerFunc{
	"an endless answer": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	},
	"a redirect": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed.Store(true)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	},
	"nothing":    func(http.ResponseWriter, *http.Request) {},
	"an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
	"a web page": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>\n") },
	"a conflict of nothing": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeSize)
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "-1\n")
	},
	"a size that it was told": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeSize)
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "0\n")
	},
	"a size with noise": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeSize)
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "+3\n")
	},
}
