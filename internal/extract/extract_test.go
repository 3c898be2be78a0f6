package extract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The real child reads a text.
func TestChildReads(t *testing.T) {
	for i, c := range []struct{ content, want string }{
		{"fever of 39\r\nsince Monday", "fever of 39\n\nsince Monday"},
		{"\xef\xbb\xbfniño", "niño"},
		{"ni\xf1o con fiebre", "niño con fiebre"},
		{"\xff\xfen\x00i\x00\xf1\x00o\x00", "niño"},
		{"\xfe\xff\x00n\x00i\x00\xf1\x00o", "niño"},
		{"w\x00a\x00r\x00d\x00 \x00f\x00o\x00u\x00r\x00", "ward four"},
		{"発熱三十九度", "発熱三十九度"},
	} {
		if got := real(t, "a.txt", "text/plain", []byte(c.content)); got != (Text{StatusText, c.want, Tool}) {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

// What needs no child is answered without one.
func TestNoChildNeeded(t *testing.T) {
	r := NewReader(Options{Command: []string{"/no/such/file"}, MaxFile: 1 << 20})
	for name, c := range map[string]struct {
		content, mime, want string
		size                int64
	}{
		"empty":          {"", "application/pdf", StatusText, 0},
		"photo.pdf":      {"\xff\xd8\xff\xe0 JFIF", "application/pdf", StatusNone, 9},
		"scan.heic":      {"\x00\x00\x00\x18ftypheic\x01\x02", "image/heic", StatusNone, 15},
		"voice":          {"\x1a\x45\xdf\xa3\x01\x02", "audio/x-unheard-of", StatusNone, 6},
		"program":        {"\x7fELF\x02\x01\x01\x00", "", StatusUnreadable, 8},
		"letter.rtf":     {`{\rtf1 hello}`, "application/rtf", StatusUnreadable, 12},
		"a gigabyte":     {"it ends here", "text/plain", StatusTooLarge, 1 << 30},
		"negative":       {"", "text/plain", StatusText, -1},
		"gzip of a text": {"\x1f\x8b\x08\x00", "text/plain", StatusUnreadable, 4},
	} {
		got, err := r.Read(t.Context(), name, c.mime, c.size, strings.NewReader(c.content))
		if err != nil || got != (Text{c.want, "", Tool}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := r.Read(t.Context(), "a.txt", "", 4, strings.NewReader("text")); !errors.Is(err, ErrStart) {
		t.Errorf("no child: %v", err)
	}
}

// Whatever the child does ends, soon, as a status, and nothing it wrote is
// taken for a text.
func TestHostileChildren(t *testing.T) {
	content := []byte("a name that is in no log")
	for child, want := range map[string]string{
		"child-hang": StatusTimeout, "child-grandchild": StatusTimeout, "child-cpu": StatusTimeout,
		"child-exit": StatusUnreadable, "child-garbage": StatusUnreadable, "child-nothing": StatusUnreadable,
		"child-endless": StatusUnreadable, "child-short": StatusUnreadable, "child-more": StatusUnreadable,
		"child-code": StatusUnreadable, "child-utf8": StatusUnreadable, "child-lies": StatusUnreadable,
		"child-panic": StatusUnreadable, "child-memory": StatusUnreadable, "child-stack": StatusUnreadable,
	} {
		t.Run(child, func(t *testing.T) {
			t.Parallel()
			r := reader(t, child, func(o *Options) {
				o.Memory = 256 << 20
				if want == StatusTimeout {
					o.Deadline = 300 * time.Millisecond
				}
				if child == "child-cpu" {
					o.Deadline = 4 * time.Second
				}
			})
			began := time.Now()
			got, err := r.Read(t.Context(), "a.txt", "text/plain", int64(len(content)), bytes.NewReader(content))
			if err != nil || got != (Text{want, "", Tool}) {
				t.Errorf("%+v, %v", got, err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A CPU limit ends a child that the deadline would leave running.
func TestCPULimit(t *testing.T) {
	r := reader(t, "child-cpu", nil)
	r.options.Deadline = 500 * time.Millisecond // one second of CPU
	q := request{kind: kindText, seconds: 1, memory: 1 << 30, text: 10}
	cmd := reader(t, "child-cpu", nil).options.Command
	out, err := runRaw(t, cmd, append(q.bytes(), "text"...))
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("%q, %v", out, err)
	}
}

// What a parser that was taken over can do is nothing: no file, no connection,
// no process, and nothing to see in the environment.
func TestNothingEscapes(t *testing.T) {
	t.Setenv("HOLDFAST_SECRET", "in the parent's environment")
	got, err := reader(t, "child-tries", nil).Read(t.Context(), "a.txt", "", 4, strings.NewReader("text"))
	if err != nil || got != (Text{StatusText, "escaped: ", Tool}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat("/tmp/holdfast-extract-escape"); err == nil {
		t.Error("a file was written")
	}
}

// Whatever of Go's runtime a parser makes work, works: more threads, collected
// memory.
func TestRuntimeWorks(t *testing.T) {
	for range 5 {
		got, err := reader(t, "child-threads", nil).Read(t.Context(), "a.txt", "", 4, strings.NewReader("text"))
		if err != nil || got != (Text{StatusText, "escaped: ", Tool}) {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

// Who waits no longer gets no answer, and the child goes.
func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := reader(t, "child-hang", nil).Read(ctx, "a.txt", "", 4, strings.NewReader("text")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// Content that cannot be read is an error of whoever gives it, no status of the
// file; and what is longer than a file may be is not handed over.
func TestContentThatFails(t *testing.T) {
	broken := errors.New("the disk")
	long := strings.Repeat("text ", 1000)
	for what, content := range map[string]io.Reader{
		"at once": iotest.ErrReader(broken),
		"later":   io.MultiReader(strings.NewReader(long), iotest.ErrReader(broken)),
	} {
		if got, err := reader(t, "child-real", nil).Read(t.Context(), "a.txt", "", 9, content); !errors.Is(err, broken) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	r := reader(t, "child-real", func(o *Options) { o.MaxFile = 4000 })
	if got, err := r.Read(t.Context(), "a.txt", "", 10, strings.NewReader(long)); err != nil || got.Status != StatusTooLarge {
		t.Errorf("too long: %+v, %v", got, err)
	}
	r = reader(t, "child-real", func(o *Options) { o.MaxText = 4000 })
	if got, err := r.Read(t.Context(), "a.txt", "", 10, strings.NewReader(long)); err != nil || got.Status != StatusTooLarge || got.Text != long[:4000] {
		t.Errorf("too much text: %+v, %v", got.Status, err)
	}
}

// An answer is read only in its one form.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"", "HFX1", "HFX1\x00\x00\x00\x00\x04text", "HFX1\x03\x00\x00\x00\x00", "HFX1\x00\xff\xff\xff\xfftext"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseAnswer(b, 1000)
		if !ok {
			return
		}
		var out bytes.Buffer
		if err := writeAnswer(&out, got); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("%q is read as %+v", b, got)
		}
	})
}
