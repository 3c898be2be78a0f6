package command

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/api"
)

// tape keeps what is written, and says when something is.
type tape struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{}
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case t.written <- struct{}{}:
	default:
	}
	return t.text.Write(p)
}

func (t *tape) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// until waits until the tape says something.
func (t *tape) until(tb testing.TB, what string) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(t.String(), what) {
		select {
		case <-t.written:
		case <-deadline:
			tb.Fatalf("nothing of %q in\n%s", what, t)
		}
	}
}

// A watch shows what there is, then each new message once, in JSON one a line,
// and ends well when it is interrupted.
func TestWatch(t *testing.T) {
	h := newHouse()
	dir := t.TempDir()
	stop, err := h.start(dir + "/s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errs := &tape{written: make(chan struct{}, 1)}, &tape{written: make(chan struct{}, 1)}
	ended := make(chan int, 1)
	go func() {
		term := &Terminal{Out: out, Err: errs, In: strings.NewReader("")}
		ended <- Run(ctx, term, []string{"--socket", dir + "/s", "search", "potassium", "--watch", "--every", "1s", "--json", "--reason", "r"})
	}()
	errs.until(t, "watching for more")
	h.set(func() { h.late = []api.Hit{{Seq: 21, From: "Bo Dahl", Text: "potassium 7", Received: received}} })
	out.until(t, "potassium 7")
	h.set(func() {
		h.late = append([]api.Hit{{Seq: 23, Text: "potassium 9", Received: received}, {Seq: 22, Text: "potassium 8", Received: received}}, h.late...)
	})
	out.until(t, "potassium 9")
	cancel()
	if code := <-ended; code != api.ExitOK {
		t.Errorf("exit code %d: %s", code, errs)
	}
	var got []uint64
	for line := range strings.Lines(out.String()) {
		var hit api.Hit
		if err := json.Unmarshal([]byte(line), &hit); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got = append(got, hit.Seq)
	}
	want := []uint64{10, 12, 21, 22, 23}
	if len(got) != len(want) || got[0] != 10 || got[2] != 21 || got[3] != 22 || got[4] != 23 {
		t.Errorf("shown %v, want %v", got, want)
	}
}
