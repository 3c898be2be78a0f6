package api

import (
	"context"
	"encoding/json"
	"testing"

	"holdfast/archive"
)

func TestVerifyStreams(t *testing.T) {
	h := newHouse(t)
	h.check = func(_ context.Context, o archive.CheckOptions) (*archive.Report, error) {
		if !o.Bodies {
			t.Error("bodies are left out")
		}
		o.Progress(5, 9)
		return &archive.Report{Size: 9, Damage: 1, Findings: []archive.Finding{{Seq: 4, What: "the leaf is not what the tree holds"}}}, nil
	}
	c, _ := serve(t, h.server())
	var heard []Progress
	r, err := c.Verify(t.Context(), VerifyRequest{}, func(p Progress) { heard = append(heard, p) })
	if err != nil || r.OK || r.Size != 9 || len(r.Findings) != 1 || r.Findings[0].Seq != 4 {
		t.Errorf("report %+v, %v", r, err)
	}
	if len(heard) != 1 || heard[0] != (Progress{Done: 5, Total: 9}) {
		t.Errorf("progress %v", heard)
	}
	h.check = func(_ context.Context, o archive.CheckOptions) (*archive.Report, error) {
		if o.Bodies {
			t.Error("bodies are opened")
		}
		return &archive.Report{Size: 9}, nil
	}
	if r, err := c.Verify(t.Context(), VerifyRequest{LeavesOnly: true}, nil); err != nil || !r.OK {
		t.Errorf("report %+v, %v", r, err)
	}
	h.check = func(context.Context, archive.CheckOptions) (*archive.Report, error) { return nil, archive.ErrFailed }
	if _, err := c.Verify(t.Context(), VerifyRequest{}, nil); problem(t, err).Code != CodeFailed {
		t.Errorf("a check that fails: %v", err)
	}
}

func TestVerifyCutOff(t *testing.T) {
	line, err := json.Marshal(VerifyLine{Report: &CheckReport{OK: true}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ body, code string }{
		"nothing":   {"", CodeInterrupted},
		"progress":  {`{"progress":{"done":1,"total":2}}` + "\n", CodeInterrupted},
		"half line": {string(line), CodeInterrupted},
		"no JSON":   {"hello\n", CodeProtocol},
	} {
		c := replay(t, "application/x-ndjson", func() []byte { return []byte(tt.body) }, false)
		if _, err := c.Verify(t.Context(), VerifyRequest{}, nil); problem(t, err).Code != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A client that hangs up ends the check.
func TestVerifyEndsWithItsClient(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	h.check = func(ctx context.Context, _ archive.CheckOptions) (*archive.Report, error) {
		cancel()
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}
	c, _ := serve(t, h.server())
	if _, err := c.Verify(ctx, VerifyRequest{}, nil); problem(t, err).Exit != ExitTemporary {
		t.Errorf("Verify: %v", err)
	}
	<-ended
}

func TestTooManyLongTasks(t *testing.T) {
	h := newHouse(t)
	began, release := make(chan struct{}), make(chan struct{})
	h.check = func(context.Context, archive.CheckOptions) (*archive.Report, error) {
		began <- struct{}{}
		<-release
		return &archive.Report{}, nil
	}
	c, _ := serve(t, h.server())
	done := make(chan error, heavyTasks)
	for range heavyTasks {
		go func() {
			_, err := c.Verify(context.Background(), VerifyRequest{}, nil)
			done <- err
		}()
		<-began
	}
	if _, err := c.Verify(t.Context(), VerifyRequest{}, nil); problem(t, err).Code != CodeBusy || problem(t, err).Exit != ExitTemporary {
		t.Errorf("one too many: %v", err)
	}
	if _, err := exportTo(t, c, t.TempDir()+"/out"); problem(t, err).Code != CodeBusy {
		t.Errorf("one too many: %v", err)
	}
	close(release)
	for range heavyTasks {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if trace := h.traced(); len(trace) != 0 {
		t.Errorf("trace %q: what is refused as busy is no look", trace)
	}
}

func TestCheckpoint(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	cp, err := c.Checkpoint(t.Context())
	if err != nil || cp.Checkpoint != "origin\n5\nroot\n\n— sig\n" || cp.LogKey != h.Identity().LogKey {
		t.Errorf("checkpoint %+v, %v", cp, err)
	}
	var id map[string]int
	if err := json.Unmarshal(cp.Identity, &id); err != nil || id["v"] != 1 {
		t.Errorf("identity %s, %v", cp.Identity, err)
	}
	st, err := c.Status(t.Context())
	if err != nil || st.ArchiveID != "st-elsewhere" || !st.Accepting {
		t.Errorf("status %+v, %v", st, err)
	}
}
