package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/ingest"
	"holdfast/internal/api"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
)

// reasonPaused is why ingest is held back when a person said so.
const reasonPaused = "paused"

// pauseBody is the body of a KindPause entry (archive/FORMAT.md section 6).
type pauseBody struct {
	Version int            `json:"v"` // 1
	Paused  bool           `json:"paused"`
	By      role.Principal `json:"by"`
	Reason  string         `json:"reason"`
}

// pauses follows who paused ingest: the newest entry counts, also after a
// restart.
type pauses struct {
	gate *ingest.Gate

	changing sync.Mutex // one change at a time

	mu     sync.Mutex
	paused bool
	entry  uint64
	since  time.Time
}

// Apply implements state.Applier.
func (b *pauses) Apply(rec archive.Record) error {
	var body pauseBody
	if err := ijson.UnmarshalStrict(rec.Body, &body); err != nil || body.Version != 1 {
		return fmt.Errorf("entry %d: %w: a pause that this version cannot read", rec.Leaf.Seq, archive.ErrDamaged)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused, b.entry, b.since = body.Paused, rec.Leaf.Seq, rec.Leaf.ReceivedTime()
	if body.Paused {
		b.gate.Close(reasonPaused)
	} else {
		b.gate.Open(reasonPaused)
	}
	return nil
}

// pauseDuty pauses ingest at a person's word.
func (p *parts) pauseDuty(_ Options) (duty, error) {
	p.paused = &pauses{gate: &p.gate}
	return duty{
		appliers: map[proof.Kind]state.Applier{proof.KindPause: p.paused},
		metrics: []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_ingest_paused", Help: "1 while nothing is pulled from the relay, for a person said so or a restored log waits for approval.",
		}, func() float64 {
			if len(p.gate.Reasons()) > 0 {
				return 1
			}
			return 0
		})},
	}, nil
}

// pauseAPI returns what the API needs of it.
func (p *parts) pauseAPI() api.PauseParts { return api.PauseParts{Pauser: pauser{p}} }

type pauser struct{ *parts }

// Paused says whether ingest is held back, and why.
func (r pauser) Paused(ctx context.Context) (*api.PauseResponse, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	b := r.paused
	b.mu.Lock()
	defer b.mu.Unlock()
	out := &api.PauseResponse{Paused: b.paused, Reasons: r.gate.Reasons(), Relay: r.client != nil}
	if b.paused {
		out.Entry, out.Since = b.entry, timeOrNil(b.since)
	}
	return out, nil
}

// Pause holds ingest back, or lets it go on.
func (r pauser) Pause(ctx context.Context, who role.Principal, paused bool, reason string) error {
	r.paused.changing.Lock()
	defer r.paused.changing.Unlock()
	now, err := r.Paused(ctx)
	if err != nil || now.Paused == paused {
		return err
	}
	body, err := json.Marshal(pauseBody{Version: 1, Paused: paused, By: who, Reason: reason})
	if err != nil {
		return err
	}
	if _, err := r.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindPause, Class: proof.ClassControl, Body: body}}}); err != nil {
		return err
	}
	return r.caughtUp(ctx)
}
