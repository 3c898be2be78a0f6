package command

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/export"
	"holdfast/archive/seal"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
)

// folder is a production's sink: a folder.
type folder string

func (f folder) Create(name string) (io.WriteCloser, error) {
	full := filepath.Join(string(f), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return nil, err
	}
	return os.Create(full)
}

// produce makes a production from a real archive, which is closed and gone
// afterwards, and returns it with the log's key and identity.json. Beside it lie
// witness.vkey, of the witness who cosigned its checkpoint, and stranger.vkey.
func produce(t *testing.T) (dir, logKey, identity string) {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	store := filepath.Join(base, "store")
	if _, err := archive.Create(t.Context(), store, archive.CreateOptions{ArchiveID: "st-elsewhere", Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), store, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir, logKey, identity = filepath.Join(base, "out"), filepath.Join(base, "log.key"), filepath.Join(base, "identity.json")
	point, err := a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stranger", "witness"} {
		text, _, _ := strings.Cut(string(point), "\n\n")
		vkey, line := cosigned(t, name+".test", text+"\n")
		if err := os.WriteFile(filepath.Join(base, name+".vkey"), []byte(vkey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "witness" {
			point = append(point, line...)
		}
	}
	none := iter.Seq2[uint64, error](func(func(uint64, error) bool) {})
	_, err = export.Produce(t.Context(), export.Source{Log: a, Places: state.New(a, envelope.Pins{}, nil)}, export.Request{
		Seqs: none, Principal: "jdoe (1000)", Tool: "test", Query: "x", Parsed: "x", Reason: "r", Anchor: point}, folder(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logKey, []byte(a.Identity().LogKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(identity, a.IdentityJSON(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	return dir, logKey, identity
}

// cosigned returns a new witness's public key, and its line on a checkpoint's
// text (C2SP signed-note, tlog-cosignature).
func cosigned(t *testing.T, name, text string) (vkey, line string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	typed := append([]byte{4}, public...)
	hash := sha256.Sum256(append([]byte(name+"\n"), typed...))
	at := uint64(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Unix())
	sig := binary.BigEndian.AppendUint64(hash[:4:4], at)
	sig = append(sig, ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))...)
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s+%x+%s", name, hash[:4], b64(typed)), "— " + name + " " + b64(sig) + "\n"
}

// pack returns a folder as a zip file.
func pack(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if err := errors.Join(z.AddFS(os.DirFS(dir)), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A production verifies with no daemon and no archive, as a folder and as a
// zip file, but only against a key from elsewhere.
func TestVerifyProductionOffline(t *testing.T) {
	dir, logKey, identity := produce(t)
	packed := dir + ".zip"
	if err := os.WriteFile(packed, pack(t, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	_, otherKey, _ := produce(t)
	witness, stranger := filepath.Join(filepath.Dir(dir), "witness.vkey"), filepath.Join(filepath.Dir(dir), "stranger.vkey")
	verify := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := Run(context.Background(), &Terminal{Out: &out, Err: &errs, ErrTTY: true}, append([]string{"verify"}, args...))
		return code, out.String()
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"log key":     {[]string{dir, "--log-key", logKey}, api.ExitOK, "VERIFIED\n"},
		"identity":    {[]string{dir, "--log-key", identity}, api.ExitOK, "VERIFIED\n"},
		"zip":         {[]string{packed, "--log-key", logKey}, api.ExitOK, "VERIFIED\n"},
		"no key":      {[]string{dir}, api.ExitData, "SELF-CONSISTENT ONLY\n"},
		"another key": {[]string{dir, "--log-key", otherKey}, api.ExitData, "FAILED\n"},
		"cosigned":    {[]string{dir, "--log-key", logKey, "--witness-key", witness}, api.ExitOK, "VERIFIED\n"},
	} {
		if code, out := verify(tt.args...); code != tt.code || !strings.HasPrefix(out, tt.want) {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
	}
	_, said := verify(dir, "--log-key", logKey, "--witness-key", witness, "--witness-key", stranger)
	if !strings.Contains(said, "\nanchored by witness.test at 2026-03-01T00:00:00Z\n") || !strings.Contains(said, "\nno anchor   of stranger.test\n") {
		t.Errorf("anchors are not said:\n%s", said)
	}
	custody := filepath.Join(dir, "custody.csv")
	b, err := os.ReadFile(custody)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(custody, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := verify(dir, "--log-key", logKey, "--format", "json")
	var verdict export.Verdict
	if err := json.Unmarshal([]byte(out), &verdict); err != nil || code != api.ExitData || verdict.Result != export.Failed || len(verdict.Findings) == 0 {
		t.Errorf("one bit of custody.csv flipped: exit code %d, %v\n%s", code, err, out)
	}
}
