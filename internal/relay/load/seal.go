package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/relay"
)

// pollKeyset is the time between two looks for the archive's first keyset.
const pollKeyset = 200 * time.Millisecond

// fetchKey fetches and verifies the keyset and picks the key to seal to, waiting for the first one if need be.
func (l *loader) fetchKey(ctx context.Context, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	tick := time.NewTicker(pollKeyset)
	defer tick.Stop()
	for told := false; ; {
		compact, err := l.opts.Client.Keyset(ctx)
		if err == nil {
			return l.useKeyset(compact, time.Now())
		}
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != http.StatusNotFound {
			return fmt.Errorf("fetch the keyset: %w", err)
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%w: the archive has published none; start holdfastd, or wait longer with --wait", ErrKeyset)
		}
		if !told && l.opts.Waiting != nil {
			l.opts.Waiting()
		}
		told = true
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// useKeyset does what ingest/AMX.md §3 asks of a client: the pinned key, no lower version, not expired.
func (l *loader) useKeyset(compact []byte, now time.Time) error {
	k, err := wire.ParseKeyset(compact, l.opts.Identity)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrKeyset, err)
	case k.Arc != l.arc:
		return fmt.Errorf("%w: it is of another archive", ErrKeyset)
	case !now.Before(k.Expires):
		return fmt.Errorf("%w: it has expired; start holdfastd, which renews it", ErrKeyset)
	}
	if err := l.state.seenKeyset(k.Version); err != nil {
		return err
	}
	var best *wire.KeysetKey
	for i := range k.Keys {
		key := &k.Keys[i]
		if envelope.KEM(key.KEM) == l.opts.KEM && now.Before(key.NotAfter) && (best == nil || key.NotAfter.After(best.NotAfter)) {
			best = key
		}
	}
	if best == nil {
		return fmt.Errorf("%w: it has no key for %v that is still good", ErrKeyset, l.opts.KEM)
	}
	l.key = envelope.PublicKey{KEM: l.opts.KEM, Bytes: best.PK}
	if l.key.KID() != best.Kid {
		return fmt.Errorf("%w: a kid does not belong to its key", ErrKeyset)
	}
	return nil
}

// seal seals a batch's messages on all cores; the order stays.
func (l *loader) seal(ctx context.Context, out []outgoing) ([]relay.Submission, error) {
	sealed := make([]relay.Submission, len(out))
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(out) && ctx.Err() == nil; i += workers {
				s := relay.Submission{ID: out[i].ID, Kind: out[i].Kind, Data: out[i].Data, Usr: out[i].Usr, Key: out[i].Key}
				if s.Kind == wire.KindEnv {
					env, err := envelope.Seal(l.key, l.arc, s.ID, []byte(out[i].Data))
					if err != nil {
						return err
					}
					s.Data = string(env)
				}
				sealed[i] = s
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("seal a batch: %w", err)
	}
	return sealed, nil
}
