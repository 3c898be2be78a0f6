package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/audit"
)

// A client that hangs up is no fault of the daemon's, whichever error that
// makes below: the trail says interrupted, and the log is not alarmed.
func TestTheTrailOfAClientThatHungUp(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, sink Sink) error{
		"noticed by context": func(ctx context.Context, _ Sink) error {
			<-ctx.Done()
			return fmt.Errorf("produce: %w", ctx.Err())
		},
		"noticed by a write": func(_ context.Context, sink Sink) error {
			for {
				if err := writeFile(sink, "records.jsonl", strings.Repeat("x", 1<<20)); err != nil {
					return err
				}
			}
		},
		"told as something else": func(ctx context.Context, _ Sink) error {
			<-ctx.Done()
			return errors.New("a read was cut off")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			ctx, cancel := context.WithCancel(t.Context())
			h.produce = func(inner context.Context, _ Production, sink Sink) (*Produced, error) {
				if err := writeFile(sink, "proofs.json", "{}\n"); err != nil {
					return nil, err
				}
				cancel()
				return nil, end(inner, sink)
			}
			s := h.server()
			var logged bytes.Buffer
			s.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelInfo}))
			c, stop := serve(t, s)
			_, err := c.Export(ctx, ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, filepath.Join(t.TempDir(), "out"), false, Hearing{})
			if p := problem(t, err); p.Code != CodeInterrupted {
				t.Errorf("problem %+v", p)
			}
			if err := stop(); err != nil { // the handler has ended
				t.Fatal(err)
			}
			if o := outcomeOf(t, h.records[2]); o.Result != audit.ResultFailed || o.Code != CodeInterrupted {
				t.Errorf("outcome %+v", o)
			}
			if logged.Len() > 0 {
				t.Errorf("logged %s", &logged)
			}
		})
	}
}

// What is wrong with the archive is told also when the client has gone.
func TestKnownCausesOutliveTheClient(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	broken := errors.New("broken pipe")
	if p := problemUnder(ctx, broken); p.Code != CodeInternal {
		t.Errorf("while the client is there: %+v", p)
	}
	cancel()
	if p := problemUnder(ctx, archive.ErrDamaged); p.Code != CodeDamaged {
		t.Errorf("a damaged archive: %+v", p)
	}
	if p := problemUnder(ctx, broken); p.Code != CodeInterrupted || p.Status != 503 || !errors.Is(p, broken) {
		t.Errorf("after the client has gone: %+v", p)
	}
}
