package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"holdfast/archive/audit"
	"holdfast/archive/export"
)

var someFiles = []string{
	"records.jsonl", strings.Repeat(`{"seq":1,"text":"\r\n--x"}`+"\n", 200),
	"annex/annex.json", "{}",
	"annex/deep/er/empty", "",
	"manifest.json", `{"v":1}`,
}

func exportTo(t *testing.T, c *Client, dir string) (*Completion, error) {
	t.Helper()
	return c.Export(t.Context(), ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, dir, false, Hearing{})
}

// tree returns the files below dir with their content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, relErr := filepath.Rel(dir, path)
		out[filepath.ToSlash(name)] = string(b)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExportArrivesWhole(t *testing.T) {
	h := newHouse(t)
	var asked Production
	h.produce = func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
		asked = p
		return files(someFiles...)(ctx, p, sink)
	}
	c, _ := serve(t, h.server())
	dir := filepath.Join(t.TempDir(), "out")
	var lastBytes uint64
	done, err := c.Export(t.Context(), ExportRequest{Query: "x  y", Matter: "M", As: FormatJSONL, Recipient: "court", Purpose: "subpoena", At: 1}, dir+"/", false, Hearing{Progress: func(_ Progress, bytes uint64) { lastBytes = bytes }})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	var size uint64
	for i := 0; i < len(someFiles); i += 2 {
		want[someFiles[i]] = someFiles[i+1]
		size += uint64(len(someFiles[i+1]))
	}
	if got := tree(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("files %q", got)
	}
	if done.Files != 4 || done.Bytes != size || done.Matched != 5 || done.Produced != 4 || done.Withheld != 1 || done.Through != 99 || done.Access != 1 {
		t.Errorf("completion %+v", done)
	}
	if lastBytes != size {
		t.Errorf("progress ended at %d bytes", lastBytes)
	}
	if asked.Typed != "x  y" || asked.Matter != "M" || asked.At != 1 || asked.Access != 1 || *asked.Principal.UID != uint32(os.Getuid()) {
		t.Errorf("production %+v", asked)
	}
	if o := outcomeOf(t, h.records[2]); o.Total != 5 || o.Shown != 4 || o.Through != 99 {
		t.Errorf("outcome %+v", o)
	}
	if _, err := os.Lstat(dir + partialSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("partial: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "records.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder's mode %v, %v", info.Mode(), err)
	}
}

func TestNamesOfAProductionAreTaken(t *testing.T) {
	for _, name := range export.Names() {
		if !ValidFile(name) {
			t.Errorf("%s is refused", name)
		}
	}
}

// An output that cannot be made is found before the daemon is asked, so that
// no access is recorded for nothing.
func TestExportIntoWhatExists(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	base := t.TempDir()
	for _, name := range []string{"there", "half.partial"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, name, "precious"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"there", "half", "no/parent"} {
		_, err := exportTo(t, c, filepath.Join(base, name))
		if p := problem(t, err); p.Exit != ExitCreate || p.Code != CodeOutput || p.Hint == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if got := tree(t, base); len(got) != 2 {
		t.Errorf("left %q", got)
	}
	if trace := h.traced(); len(trace) != 0 {
		t.Errorf("trace %q", trace)
	}
}

// A producer that fails: before its first file it is an ordinary problem,
// later the stream says so. Either way nothing is left.
func TestExportThatFails(t *testing.T) {
	tests := map[string]func(ctx context.Context, p Production, sink Sink) (*Produced, error){
		"at once": func(context.Context, Production, Sink) (*Produced, error) { return nil, export.ErrChanged },
		"after the manifest": func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
			made, err := files(someFiles...)(ctx, p, sink)
			return made, errors.Join(err, export.ErrChanged)
		},
		"in a file": func(_ context.Context, _ Production, sink Sink) (*Produced, error) {
			w, err := sink.Create("records.jsonl")
			if err == nil {
				_, err = io.WriteString(w, "half a li")
			}
			return nil, errors.Join(err, export.ErrChanged)
		},
	}
	for name, produce := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.produce = produce
			c, _ := serve(t, h.server())
			base := t.TempDir()
			_, err := exportTo(t, c, filepath.Join(base, "out"))
			if p := problem(t, err); p.Code != CodeChanged || p.Exit != ExitTemporary {
				t.Errorf("problem %+v", p)
			}
			if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
			if o := outcomeOf(t, h.records[2]); o.Result != audit.ResultFailed || o.Code != CodeChanged {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A producer that breaks the sink's rules never makes something that looks
// whole.
func TestSinkRules(t *testing.T) {
	tests := map[string]func(ctx context.Context, p Production, sink Sink) (*Produced, error){
		"hostile name": files("../../etc/passwd", "x"),
		"no file":      files(),
		"no summary": func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
			_, err := files(someFiles...)(ctx, p, sink)
			return nil, err
		},
		"not closed": func(_ context.Context, _ Production, sink Sink) (*Produced, error) {
			_, err := sink.Create("manifest.json")
			return &Produced{}, err
		},
		"two at once": func(_ context.Context, _ Production, sink Sink) (*Produced, error) {
			if _, err := sink.Create("records.jsonl"); err != nil {
				return nil, err
			}
			_, err := sink.Create("manifest.json")
			return &Produced{}, err
		},
		"closed twice": func(_ context.Context, _ Production, sink Sink) (*Produced, error) {
			w, err := sink.Create("records.jsonl")
			return &Produced{}, errors.Join(err, w.Close(), w.Close())
		},
	}
	for name, produce := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.produce = produce
			c, _ := serve(t, h.server())
			base := t.TempDir()
			_, err := exportTo(t, c, filepath.Join(base, "out"))
			if p := problem(t, err); p.Code != CodeInternal || p.Exit != ExitIO {
				t.Errorf("problem %+v", p)
			}
			if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
}

// replay serves one fixed answer to every export.
func replay(t *testing.T, contentType string, body func() []byte, abrupt bool) *Client {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, err := w.Write(body())
		if err == nil && abrupt {
			err = http.NewResponseController(w).Flush()
		}
		if err != nil || abrupt {
			panic(http.ErrAbortHandler)
		}
	})}
	var g errgroup.Group
	g.Go(func() error { return srv.Serve(l) })
	c := NewClient(path)
	t.Cleanup(func() {
		c.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := g.Wait(); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return c
}

// captured returns what a server sends for an export of someFiles.
func captured(t *testing.T) (contentType string, body []byte) {
	t.Helper()
	h := newHouse(t)
	h.produce = files(someFiles...)
	w := asAccount(h.server(), 0, "POST", "/v1/export", `{"query":"x","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`)
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	return w.Header().Get("Content-Type"), w.Body.Bytes()
}

// The connection is cut at every boundary between parts, beside it, and in the
// middle: nothing that looks whole is ever there, and nothing is left.
func TestExportCutAnywhere(t *testing.T) {
	contentType, whole := captured(t)
	boundary := []byte("--" + contentType[strings.Index(contentType, "boundary=")+len("boundary="):])
	cuts := map[int]bool{0: true, 1: true, len(whole) - 3: true}
	for at := 0; ; {
		i := bytes.Index(whole[at:], boundary)
		if i < 0 {
			break
		}
		at += i
		for _, d := range []int{-2, -1, 0, 1, len(boundary) - 1, len(boundary), len(boundary) + 2, len(boundary) + 40} {
			if cut := at + d; cut >= 0 && cut < len(whole)-4 {
				cuts[cut] = true
			}
		}
		at += len(boundary)
	}
	for cut := 0; cut < len(whole)-4; cut += 509 {
		cuts[cut] = true
	}
	for _, abrupt := range []bool{false, true} {
		cut := 0
		c := replay(t, contentType, func() []byte { return whole[:cut] }, abrupt)
		base := t.TempDir()
		for cut = range cuts {
			_, err := exportTo(t, c, filepath.Join(base, "out"))
			if err == nil {
				t.Fatalf("cut at %d of %d (abrupt %v): taken as whole", cut, len(whole), abrupt)
			}
			if p := problem(t, err); p.Code != CodeInterrupted || p.Exit != ExitTemporary {
				t.Errorf("cut at %d: %+v", cut, p)
			}
			if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
				t.Fatalf("cut at %d: left over: %v, %v", cut, left, err)
			}
		}
		cut = len(whole)
		if _, err := exportTo(t, c, filepath.Join(base, "out")); err != nil {
			t.Errorf("whole (abrupt %v): %v", abrupt, err)
		}
	}
}

// While a production is on its way it is under its partial name only.
func TestExportIsPartialUntilWhole(t *testing.T) {
	h := newHouse(t)
	base := t.TempDir()
	dir := filepath.Join(base, "out")
	h.produce = func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
		for i := 0; i < len(someFiles); i += 2 {
			if err := writeFile(sink, someFiles[i], someFiles[i+1]); err != nil {
				return nil, err
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after %s the production looks whole: %v", someFiles[i], err)
			}
			if info, err := os.Lstat(dir + partialSuffix); err != nil || !info.IsDir() {
				t.Errorf("after %s there is no partial folder: %v", someFiles[i], err)
			}
		}
		return &Produced{}, nil
	}
	c, _ := serve(t, h.server())
	if _, err := exportTo(t, c, dir); err != nil {
		t.Fatal(err)
	}
}

func TestExportInterrupted(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	h.produce = func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
		err := writeFile(sink, "records.jsonl", "{}\n")
		cancel() // as Ctrl-C would
		<-ctx.Done()
		ended <- err
		return nil, ctx.Err()
	}
	c, _ := serve(t, h.server())
	base := t.TempDir()
	_, err := c.Export(ctx, ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, filepath.Join(base, "out"), false, Hearing{})
	if p := problem(t, err); p.Exit != ExitTemporary || !errors.Is(err, context.Canceled) {
		t.Errorf("problem %+v", p)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// What a hostile or broken daemon could send.
func TestExportRefusesWhatIsNoProduction(t *testing.T) {
	contentType, whole := captured(t)
	change := func(old, with string) []byte {
		out := bytes.Replace(whole, []byte(old), []byte(with), 1)
		if bytes.Equal(out, whole) {
			t.Fatalf("%q does not occur", old)
		}
		return out
	}
	tests := map[string]struct {
		contentType string
		body        []byte
		code        string
	}{
		"flipped content":   {contentType, change(`"text"`, `"tExt"`), CodeInterrupted},
		"another name":      {contentType, change(`filename=manifest.json`, `filename=manifest.jsom`), CodeInterrupted},
		"name twice":        {contentType, change(`filename=manifest.json`, `filename=records.jsonl`), CodeProtocol},
		"out of the folder": {contentType, change(`filename=manifest.json`, `filename="../manifest.json"`), CodeProtocol},
		"absolute":          {contentType, change(`filename=manifest.json`, `filename="/tmp/manifest.json"`), CodeProtocol},
		"hidden":            {contentType, change(`filename=manifest.json`, `filename=.manifest`), CodeProtocol},
		"dots inside":       {contentType, change(`filename=manifest.json`, `filename="annex/../../x"`), CodeProtocol},
		"no name":           {contentType, change(`; filename=manifest.json`, ``), CodeProtocol},
		"unknown part":      {contentType, change(`name=holdfast-complete`, `name=holdfast-else`), CodeProtocol},
		"completion broken": {contentType, change(`{"files":4`, `{"files":x`), CodeProtocol},
		"completion lies":   {contentType, change(`{"files":4`, `{"files":3`), CodeInterrupted},
		"a failure":         {contentType, change(`name=holdfast-complete`, `name=holdfast-failed`), CodeProtocol},
		"other type":        {"text/plain", whole, CodeProtocol},
		"no boundary":       {"multipart/mixed", whole, CodeProtocol},
		"more after it":     {contentType, appendPart(t, contentType, whole), CodeInterrupted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := replay(t, tt.contentType, func() []byte { return tt.body }, false)
			base := t.TempDir()
			_, err := exportTo(t, c, filepath.Join(base, "in", "out"))
			if err == nil {
				t.Fatal("a folder was made in one that does not exist")
			}
			if err := os.Mkdir(filepath.Join(base, "in"), 0o700); err != nil {
				t.Fatal(err)
			}
			_, err = exportTo(t, c, filepath.Join(base, "in", "out"))
			if p := problem(t, err); p.Code != tt.code {
				t.Errorf("problem %+v", p)
			}
			if got := tree(t, base); len(got) != 0 {
				t.Errorf("left over: %v", got)
			}
		})
	}
}

// appendPart puts one more file after the completion.
func appendPart(t *testing.T, contentType string, whole []byte) []byte {
	t.Helper()
	boundary := contentType[strings.Index(contentType, "boundary=")+len("boundary="):]
	end := []byte("\r\n--" + boundary + "--")
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(bytes.TrimSuffix(whole, []byte("\r\n")), end))
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(boundary); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\r\n")
	if _, err := w.CreatePart(map[string][]string{"Content-Disposition": {"attachment; filename=late.json"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
