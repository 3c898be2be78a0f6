package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
)

// shore is what an archive has outside its machine: places that keep its
// checkpoints, and ways out for its alarms.
type shore struct {
	mu      sync.Mutex
	anchors []api.Anchor
	made    []api.AnchorResult
	sent    []api.NoticeResult
}

func (s *shore) Anchored(context.Context) ([]api.Anchor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.anchors, nil
}

func (s *shore) Anchor(context.Context) ([]api.AnchorResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made, nil
}

func (s *shore) TestNotices(context.Context) ([]api.NoticeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, nil
}

// atShore serves an archive that has a shore, and returns what runs a command
// of its administrator's.
func atShore(t *testing.T) (*shore, *house, func(exit int, args ...string) (stdout, stderr string)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	s, h := &shore{}, newHouse()
	parts := api.Parts{
		Ledger: h, Store: h, Alarms: state.New(h, envelope.Pins{}, nil), Status: h, Search: h, Show: h, Produce: h,
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Auth: porter{h}, People: clerk{h},
		Watch: &audit.Watch{},
	}
	parts.AnchorKeeper, parts.Notices = s, s
	server, err := api.New(parts)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return s, h, func(exit int, args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := Run(t.Context(), &Terminal{In: strings.NewReader(""), Out: &out, Err: &errs}, append([]string{"--socket", socket}, args...)); code != exit {
			t.Errorf("holdfast %s ended with %d, want %d\n%s%s", strings.Join(args, " "), code, exit, &out, &errs)
		}
		return out.String(), errs.String()
	}
}

// matches fails unless text has each of the patterns.
func matches(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(text) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

// accesses counts the looks of an action that the house's log holds.
func (h *house) accesses(action audit.Action) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.records {
		var a audit.Access
		if r.Leaf.Kind == proof.KindAccess && json.Unmarshal(r.Body, &a) == nil && a.Action == action {
			n++
		}
	}
	return n
}

// Where the log is anchored is listed with what fails, on a terminal and for
// programs, and somebody who reads of nothing is told what to do.
func TestAnchorsList(t *testing.T) {
	s, h, run := atShore(t)
	out, errs := run(0, "anchors", "list")
	matches(t, errs, `anchored nowhere`, `\[anchor\]`)
	if out != "" {
		t.Errorf("%q", out)
	}
	s.anchors = []api.Anchor{
		{Kind: "file", Last: &api.Anchored{Entry: 5, At: received, Size: 4, Checkpoint: "c\n"}},
		{Kind: "witness", Name: "w.test/\x1b[2J", Failing: "refused"},
		{Kind: "timestamp", Name: "tsa.test", Failing: "timeout", Last: &api.Anchored{Entry: 1200, At: received, Size: 1199, Proof: []byte{1, 2, 3}}},
		{Kind: "relay", Last: &api.Anchored{At: received}},
	}
	out, errs = run(0, "anchors", "list")
	matches(t, out, `^ANCHOR +NAME +LAST \(UTC\) +LOG SIZE +ENTRY +FAILING`, `^file +2026-03-01 08:30:00 +4 +5`, `^witness +w\.test/\S* +never +refused`,
		`^timestamp +tsa\.test +2026-03-01 08:30:00 +1,?199 +1,?200 +timeout`, `^relay +2026-03-01 08:30:00 *$`)
	if strings.Contains(out, "\x1b") || errs != "" {
		t.Errorf("%q\n%s", out, errs)
	}
	out, _ = run(0, "anchors", "list", "--json")
	var list api.AnchorsResponse
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Anchors) != 4 || !bytes.Equal(list.Anchors[2].Last.Proof, []byte{1, 2, 3}) {
		t.Errorf("%s, %v", out, err)
	}
	run(64, "anchors", "list", "all")
	if n := h.accesses(audit.ActionAnchor); n != 0 {
		t.Errorf("listing is %d acts", n)
	}
}

// What was anchored is said of each place, and what failed is an exit code that
// a timer notices.
func TestAnchorsMake(t *testing.T) {
	s, h, run := atShore(t)
	s.made = []api.AnchorResult{{Kind: "file"}, {Kind: "witness", Name: "w.test"}}
	out, errs := run(0, "anchors", "make")
	matches(t, out, `^file +anchored`, `^witness +w\.test +anchored`)
	if errs != "" || h.accesses(audit.ActionAnchor) != 1 {
		t.Errorf("%q, %d acts", errs, h.accesses(audit.ActionAnchor))
	}
	s.made[1].Failed = "refused"
	out, errs = run(api.ExitTemporary, "anchors", "make")
	matches(t, out, `^file +anchored`, `^witness +w\.test +FAILED: refused`)
	matches(t, errs, `not every place took it`)
	out, _ = run(api.ExitTemporary, "anchors", "make", "--json")
	matches(t, out, `"failed":"refused"`)
}

// The cosigned checkpoint is written verbatim, the longest log's; without one
// nothing is written.
func TestAnchorsCosigned(t *testing.T) {
	s, _, run := atShore(t)
	s.anchors = []api.Anchor{{Kind: "file", Last: &api.Anchored{At: received, Size: 99, Checkpoint: "not cosigned\n"}}, {Kind: "witness", Failing: "timeout"}}
	out, errs := run(api.ExitTemporary, "anchors", "cosigned")
	matches(t, errs, `no witness has cosigned`, `holdfast anchors list`)
	if out != "" {
		t.Errorf("%q", out)
	}
	const newest = "o\n7\nr\n\n— log x\n— w2 y\n"
	for _, last := range []*api.Anchored{{At: received, Size: 5, Cosigned: "o\n5\nr\n\n— log x\n— w1 y\n"}, {At: received, Size: 7, Cosigned: newest}, {At: received, Size: 6, Cosigned: "old\n"}} {
		s.anchors = append(s.anchors, api.Anchor{Kind: "witness", Last: last})
	}
	if out, errs = run(0, "anchors", "cosigned"); out != newest || errs != "" {
		t.Errorf("%q\n%s", out, errs)
	}
	out, _ = run(0, "anchors", "cosigned", "--json")
	matches(t, out, `"size":7,`)
}

// A test of the alarms' ways out says what became of each, and fails when one
// did not take it.
func TestNotifyTest(t *testing.T) {
	s, h, run := atShore(t)
	s.sent = []api.NoticeResult{{Way: "smtp"}, {Way: "syslog"}}
	out, errs := run(0, "notify", "test")
	matches(t, out, `^WAY +RESULT`, `^smtp +taken`, `^syslog +taken`)
	if errs != "" || h.accesses(audit.ActionAnchor) != 1 {
		t.Errorf("%q, %d acts", errs, h.accesses(audit.ActionAnchor))
	}
	s.sent[0].Failed = "certificate"
	out, errs = run(api.ExitTemporary, "notify", "test")
	matches(t, out, `^smtp +FAILED: certificate`, `^syslog +taken`)
	matches(t, errs, `not every place took it`, `^smtp: that server's certificate`)
	out, errs = run(api.ExitTemporary, "notify", "test", "--json")
	matches(t, out, `"way":"smtp","failed":"certificate"`)
	if strings.Contains(errs, "smtp: ") {
		t.Errorf("%s", errs)
	}
	s.sent[0].Failed = "tls"
	out, errs = run(api.ExitTemporary, "notify", "test")
	matches(t, out, `^smtp +FAILED: tls`)
	matches(t, errs, `^smtp: .*has to offer STARTTLS.* notify.smtp.tls = "tls"`)
	run(64, "notify", "test", "smtp")
}
