package command

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// hostile are values that somebody else chose, to write a line of their own.
var hostile = []string{
	"two\nlines", "<0>x\n<0>holdfastd: everything is fine", "a\rb", "\x1b[2J", "x\x00y", "\u2028z", "level=INFO msg=forged", "\xff\xfe", strings.Repeat("long ", 1000) + "\n",
}

// Each event is one line that begins with its priority, whatever its values
// hold; nothing in it moves a cursor.
func TestJournalLines(t *testing.T) {
	line := regexp.MustCompile(`^<([0-7])>level=(ERROR|WARN|INFO|DEBUG) msg=`)
	for _, value := range hostile {
		for _, tt := range []struct {
			log  func(*slog.Logger)
			want string
		}{
			{func(l *slog.Logger) { l.Error("m", "v", value) }, "3"},
			{func(l *slog.Logger) { l.Warn(value, "v", value) }, "4"},
			{func(l *slog.Logger) { l.Info("m", "err", errors.New(value)) }, "6"},
			{func(l *slog.Logger) { l.Debug("m", value, "key") }, "7"},
			{func(l *slog.Logger) {
				l.With("w", value).WithGroup("g").Error("m", "v", fmt.Errorf("x: %w", errors.New(value)))
			}, "3"},
		} {
			var out bytes.Buffer
			tt.log(slog.New(newJournal(&out, slog.LevelDebug)))
			text := out.String()
			m := line.FindStringSubmatch(text)
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || m == nil || m[1] != tt.want {
				t.Errorf("%q is logged as %q, want priority %s", value, text, tt.want)
			}
			if strings.ContainsAny(text, "\r\x00\x1b\u2028") {
				t.Errorf("%q is logged as %q", value, text)
			}
			if strings.Contains(text, "time=") || strings.Contains(text, " level=INFO msg=forged ") {
				t.Errorf("%q is logged as %q", value, text)
			}
		}
	}
}

// Lines of several goroutines are not mixed, and the level holds for all that
// descend from a logger, also when it changes.
func TestJournalTogether(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := slog.New(newJournal(&out, level))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				log.With("i", i).Warn("one", "text", strings.Repeat("x", 200))
				log.WithGroup("g").Debug("never")
			}
		})
	}
	all.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for _, l := range lines {
		if !strings.HasPrefix(l, "<4>level=WARN msg=one i=") || !strings.HasSuffix(l, "x") {
			t.Fatalf("%q", l)
		}
	}
	if len(lines) != 400 {
		t.Errorf("%d lines", len(lines))
	}
	level.Set(slog.LevelDebug)
	out.Reset()
	if log.Debug("now"); out.String() != "<7>level=DEBUG msg=now\n" {
		t.Errorf("%q", out.String())
	}
}

// Priorities are for the journal alone: what a file or a terminal gets has time
// and level.
func TestIsJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for stream, want := range map[string]bool{own: true, "": false, "1:2": false, own + "1": false, "x": false, fmt.Sprintf("%d:", st.Dev): false} {
		if isJournal(f, stream) != want {
			t.Errorf("JOURNAL_STREAM=%q: %v", stream, !want)
		}
	}
	if isJournal(&bytes.Buffer{}, own) {
		t.Error("a buffer is the journal")
	}
	t.Setenv("JOURNAL_STREAM", own)
	newLogger(f, slog.LevelInfo).Info("to the journal")
	t.Setenv("JOURNAL_STREAM", "")
	newLogger(f, slog.LevelInfo).Info("to a file", "v", "a\nb")
	text, err := os.ReadFile(f.Name())
	lines := strings.SplitAfter(string(text), "\n")
	if err != nil || len(lines) != 3 || lines[0] != "<6>level=INFO msg=\"to the journal\"\n" || !strings.HasPrefix(lines[1], "time=") || !strings.Contains(lines[1], `level=INFO`) {
		t.Errorf("%q, %v", text, err)
	}
}
