package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// longFiles are a production's, those at the end different each time.
func longFiles(made int) []string {
	return []string{
		"records.jsonl", strings.Repeat(`{"seq":1,"text":"some text"}`+"\n", 120),
		"natives/000000000001-1.bin", strings.Repeat("\x00\xff\r\n", 700),
		"natives/000000000002-1.bin", "",
		"proofs.json", strings.Repeat("proof\n", 300),
		"custody.csv", fmt.Sprintf("made the %dth time\n", made),
		"annex/annex.json", fmt.Sprintf(`{"salt":%d}`, made),
		"manifest.json", fmt.Sprintf(`{"v":%d}`, made),
	}
}

// begunHouse makes a production that can be resumed, and tells it apart each
// time that it is made.
func begunHouse(t *testing.T) (h *house, resumed *[]*Resume) {
	t.Helper()
	h = newHouse(t)
	resumed = new([]*Resume)
	h.produce = func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
		*resumed = append(*resumed, p.Asked.Resume)
		p.Begin(Begun{Production: 42, At: 1})
		return files(longFiles(len(*resumed))...)(ctx, p, sink)
	}
	return h, resumed
}

func resumable() ExportRequest {
	return ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}
}

// An export that was cut off anywhere is gone on with: the production is that of
// one that was not, and what had come is not sent again.
func TestExportResumes(t *testing.T) {
	h, _ := begunHouse(t)
	w := asAccount(h.server(), 0, "POST", "/v1/export", `{"query":"x","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`)
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	contentType, whole := w.Header().Get("Content-Type"), w.Body.Bytes()
	house, resumed := begunHouse(t)
	real, _ := serve(t, house.server())
	cut := 0
	broken := replay(t, contentType, func() []byte { return whole[:cut] }, true)
	base := t.TempDir()
	for at := range 40 {
		cut = (at + 1) * len(whole) / 41
		dir := filepath.Join(base, fmt.Sprint(cut))
		_, err := broken.Export(t.Context(), resumable(), dir, false, Hearing{})
		if p := problem(t, err); p.Code != CodeInterrupted || !strings.Contains(p.Hint, "--resume") {
			t.Fatalf("cut at %d: %+v", cut, p)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("cut at %d: it looks whole", cut)
		}
		var came uint64
		done, err := real.Export(t.Context(), resumable(), dir, true, Hearing{Progress: func(_ Progress, bytes uint64) { came = bytes }})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := map[string]string{}
		for i, list := 0, longFiles(len(*resumed)); i < len(list); i += 2 {
			want[list[i]] = list[i+1]
		}
		if got := tree(t, dir); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: %d files", cut, len(got))
		}
		r := (*resumed)[len(*resumed)-1]
		if r == nil || r.Production != 42 || came != done.Bytes {
			t.Fatalf("cut at %d: %+v, %d of %d bytes", cut, r, came, done.Bytes)
		}
		if at == 20 && (r.Part == nil || r.Part.Size == 0) && r.Files == 0 {
			t.Errorf("cut at %d: nothing of what came was kept: %+v", cut, r)
		}
	}
}

// What had come is not sent a second time.
func TestResumedStreamIsShort(t *testing.T) {
	h, _ := begunHouse(t)
	list := longFiles(1)
	l := newListing()
	for i := 0; i < 4; i += 2 {
		l.addHex(list[i], sumOf(list[i+1]), uint64(len(list[i+1])))
	}
	body := fmt.Sprintf(`{"query":"x","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena","at":1,"resume":{"production":42,"files":2,"sha256":"%s"}}`, l.digest())
	w := asAccount(h.server(), 0, "POST", "/v1/export", body)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "some text") || !strings.Contains(w.Body.String(), "proof\n") || !strings.Contains(w.Body.String(), partComplete) {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	for name, resume := range map[string]string{
		"other files":     fmt.Sprintf(`{"production":42,"files":2,"sha256":"%s"}`, newListingDigest()),
		"other beginning": fmt.Sprintf(`{"production":42,"files":0,"sha256":"%s","part":{"size":3,"sha256":"%s"}}`, newListingDigest(), sumOf("abc")),
		"too much":        fmt.Sprintf(`{"production":42,"files":2,"sha256":"%s","part":{"size":3,"sha256":"%s"}}`, l.digest(), sumOf("abc")),
	} {
		w := asAccount(h.server(), 0, "POST", "/v1/export", `{"query":"x","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena","at":1,"resume":`+resume+`}`)
		if text := w.Body.String(); !strings.Contains(text, errResume.Title) || strings.Contains(text, partComplete) {
			t.Errorf("%s: %d %.200s", name, w.Code, text)
		}
	}
}

// A partial folder that somebody changed is not believed: what is not as it
// came is sent again.
func TestResumeAfterDamage(t *testing.T) {
	h, resumed := begunHouse(t)
	c, _ := serve(t, h.server())
	w := asAccount(h.server(), 0, "POST", "/v1/export", `{"query":"x","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`)
	contentType, whole := w.Header().Get("Content-Type"), w.Body.Bytes()
	cut := bytes.Index(whole, []byte("proof\nproof"))
	broken := replay(t, contentType, func() []byte { return whole[:cut] }, true)
	for name, damage := range map[string]func(partial string) error{
		"a file changed":   func(p string) error { return os.WriteFile(filepath.Join(p, "records.jsonl"), []byte("x"), 0o600) },
		"a file removed":   func(p string) error { return os.Remove(filepath.Join(p, "natives/000000000001-1.bin")) },
		"the list cut":     func(p string) error { return os.Truncate(filepath.Join(p, fileCame), 30) },
		"the list rubbish": func(p string) error { return os.WriteFile(filepath.Join(p, fileCame), []byte("{}\n../x\n"), 0o600) },
		"a file added":     func(p string) error { return os.WriteFile(filepath.Join(p, "custody.csv"), []byte("x"), 0o600) },
	} {
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := broken.Export(t.Context(), resumable(), dir, false, Hearing{}); err == nil {
			t.Fatal("whole")
		}
		if err := damage(dir + partialSuffix); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Export(t.Context(), resumable(), dir, true, Hearing{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list := longFiles(len(*resumed))
		if got := tree(t, dir); len(got) != len(list)/2 || got["records.jsonl"] != list[1] {
			t.Errorf("%s: %d files", name, len(got))
		}
	}
	dir := filepath.Join(t.TempDir(), "never")
	if _, err := c.Export(t.Context(), resumable(), dir, true, Hearing{}); problem(t, err).Exit != ExitCreate {
		t.Errorf("nothing to resume: %v", err)
	}
}

// A resumption that is refused, or that finds no daemon, leaves what came: the
// right one then goes on with it.
func TestRefusedResumeLeavesWhatCame(t *testing.T) {
	h, resumed := begunHouse(t)
	c, _ := serve(t, h.server())
	w := asAccount(h.server(), 0, "POST", "/v1/export", `{"query":"x","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`)
	contentType, whole := w.Header().Get("Content-Type"), w.Body.Bytes()
	cut := bytes.Index(whole, []byte("proof\nproof"))
	broken := replay(t, contentType, func() []byte { return whole[:cut] }, true)
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := broken.Export(t.Context(), resumable(), dir, false, Hearing{}); err == nil {
		t.Fatal("whole")
	}
	before := tree(t, dir+partialSuffix)
	nobody := NewClient(socketPath(t))
	defer nobody.Close()
	if _, err := nobody.Export(t.Context(), resumable(), dir, true, Hearing{}); problem(t, err).Exit != ExitUnreachable {
		t.Errorf("no daemon: %v", err)
	}
	wrong := resumable()
	wrong.Purpose = "no such purpose"
	if _, err := c.Export(t.Context(), wrong, dir, true, Hearing{}); problem(t, err).Exit != ExitUsage {
		t.Errorf("another request: %v", err)
	}
	if after := tree(t, dir+partialSuffix); !reflect.DeepEqual(after, before) {
		t.Fatalf("%d files are left of %d", len(after), len(before))
	}
	if _, err := c.Export(t.Context(), resumable(), dir, true, Hearing{}); err != nil {
		t.Fatal(err)
	}
	if r := (*resumed)[len(*resumed)-1]; r == nil || r.Files == 0 {
		t.Errorf("it did not go on: %+v", r)
	}
}

// A disk that takes no more leaves what came: with room the export goes on.
func TestExportResumesAfterFullDisk(t *testing.T) {
	h, resumed := begunHouse(t)
	c, _ := serve(t, h.server())
	dir := filepath.Join(t.TempDir(), "out")
	inTheWay := filepath.Join(dir+partialSuffix, "proofs.json")
	_, err := c.Export(t.Context(), resumable(), dir, false, Hearing{Begun: func(Begun) error { return os.Mkdir(inTheWay, 0o700) }})
	if p := problem(t, err); p.Code != CodeOutput || !strings.Contains(p.Hint, "--resume") {
		t.Fatalf("%+v", p)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Export(t.Context(), resumable(), dir, true, Hearing{}); err != nil {
		t.Fatal(err)
	}
	if r := (*resumed)[len(*resumed)-1]; r == nil || r.Files == 0 {
		t.Errorf("it did not go on: %+v", r)
	}
}

// Long work says how far it has come, in the middle of a file as well.
func TestExportTellsProgress(t *testing.T) {
	h := newHouse(t)
	h.produce = func(_ context.Context, p Production, sink Sink) (*Produced, error) {
		w, err := sink.Create("records.jsonl")
		if err != nil {
			return nil, err
		}
		parts := sink.(*partSink)
		for i := range 4 {
			p.Progress(uint64(i), 4)
			parts.told = parts.told.Add(-2 * time.Second)
			if _, err := w.Write(bytes.Repeat([]byte("x"), 10)); err != nil {
				return nil, err
			}
		}
		return &Produced{}, w.Close()
	}
	c, _ := serve(t, h.server())
	dir := filepath.Join(t.TempDir(), "out")
	var seen []Progress
	_, err := c.Export(t.Context(), resumable(), dir, false, Hearing{Progress: func(p Progress, _ uint64) {
		if n := len(seen); n == 0 || seen[n-1] != p {
			seen = append(seen, p)
		}
	}})
	if want := []Progress{{Total: 4}, {Done: 1, Total: 4}, {Done: 2, Total: 4}, {Done: 3, Total: 4}}; err != nil || !reflect.DeepEqual(seen, want) {
		t.Errorf("%+v, %v", seen, err)
	}
	if got := tree(t, dir)["records.jsonl"]; got != strings.Repeat("x", 40) {
		t.Errorf("%q", got)
	}
}

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func newListingDigest() string {
	l := newListing()
	return l.digest()
}
