package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/outward"
	"holdfast/internal/regular"
)

// Names of the alarms about anchors.
const (
	AlarmAnchorRefused = "anchor-refused"
	AlarmAnchorSilent  = "anchor-silent"
)

// anchorDuty anchors the log outside the machine.
func (p *parts) anchorDuty(o Options) (duty, error) {
	key, err := p.archive.Identity().LogVerifier()
	if err != nil {
		return duty{}, err
	}
	c := o.Config.Anchor
	var places []anchor.Place
	if c.File != "" {
		places = append(places, anchor.NewFile(c.File, key))
	}
	for _, w := range c.Witnesses {
		place, err := newWitness(w)
		if err != nil {
			return duty{}, fmt.Errorf("%w: anchor.witness: %w", config.ErrConfig, err)
		}
		places = append(places, place)
	}
	if c.Timestamp != nil {
		place, err := newAuthority(c.Timestamp)
		if err != nil {
			return duty{}, fmt.Errorf("%w: anchor.timestamp: %w", config.ErrConfig, err)
		}
		places = append(places, place)
	}
	book := anchor.NewBook()
	p.anchors = anchor.NewKeeper(anchor.Options{
		Log: p.archive, Key: key, Places: places, Every: c.Every.Duration, Book: book,
		Record: p.recordAnchor, Held: p.salvage.waits, Refused: p.anchorRefused, Silent: p.anchorSilent, Logger: p.logger,
	})
	return duty{
		appliers: map[proof.Kind]state.Applier{proof.KindAnchor: book},
		metrics:  []prometheus.Collector{anchorFigures{p}},
		run:      p.anchors.Run,
	}, nil
}

func newWitness(w config.Witness) (anchor.Place, error) {
	text, err := regular.Read(w.Key, proof.MaxWitnessKey)
	if err != nil {
		return nil, err
	}
	key, err := proof.ParseWitnessKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.Key, err)
	}
	roots, err := outward.Authorities(w.CA)
	if err != nil {
		return nil, err
	}
	return anchor.NewWitness(w.URL, key, outward.HTTP(roots)), nil
}

func newAuthority(t *config.Timestamp) (anchor.Place, error) {
	roots, err := outward.Authorities(t.CA)
	if err != nil {
		return nil, err
	}
	// The answer is signed by whom t.CA certifies; the server, where it speaks TLS at all, is certified for the web.
	return anchor.NewAuthority(t.URL, roots, outward.HTTP(nil))
}

// recordAnchor puts an anchor into the log.
func (p *parts) recordAnchor(ctx context.Context, b anchor.Body) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if _, err := p.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAnchor, Class: proof.ClassControl, Body: body}}}); err != nil {
		return err
	}
	return p.caughtUp(ctx)
}

func (p *parts) anchorRefused(ctx context.Context, kind, name string) {
	p.raiseAbout(ctx, archive.AlarmBody{
		Name: AlarmAnchorRefused, Severity: "critical",
		Text: "a place outside the machine holds an anchor of another log than the one that is here: the log was rewritten, or an older copy was put in its place",
		Fix: "Touch nothing, and keep the disk as it is. `holdfast anchors list` says which place; compare its last anchor with `holdfast verify`, and ask who had root on this machine since. " +
			"If an older copy was put back on purpose, restore it with `holdfastd restore` instead, so that two people approve it.",
		Facts: map[string]string{"anchor": kind, "name": name},
	})
}

func (p *parts) anchorSilent(ctx context.Context, kind, name string) {
	p.raiseAbout(ctx, archive.AlarmBody{
		Name: AlarmAnchorSilent, Severity: "warning",
		Text:  "a place outside the machine has taken no anchor for three times as long as it should have: what happened since could be rewritten",
		Fix:   "`holdfast anchors list` says which place and what fails; see that it is reachable, then `holdfast anchors make`.",
		Facts: map[string]string{"anchor": kind, "name": name},
	})
}

// raiseAbout raises an alarm that may stand already.
func (p *parts) raiseAbout(ctx context.Context, alarm archive.AlarmBody) {
	if err := p.raiseOnce(ctx, alarm); err != nil {
		p.logger.Error("an alarm was not raised", "alarm", alarm.Name, "err", err)
	}
}

// anchorFigures are the metrics of anchors: of each kind of place the one that
// stands worst.
type anchorFigures struct{ p *parts }

var (
	anchorLast    = prometheus.NewDesc("holdfast_anchor_last_success_timestamp_seconds", "When the log was last anchored there; 0 before the first time.", []string{"anchor"}, nil)
	anchorFailing = prometheus.NewDesc("holdfast_anchor_failing", "1 while the newest attempt to anchor there failed.", []string{"anchor"}, nil)
)

// Describe implements prometheus.Collector.
func (f anchorFigures) Describe(ch chan<- *prometheus.Desc) { ch <- anchorLast; ch <- anchorFailing }

// Collect implements prometheus.Collector.
func (f anchorFigures) Collect(ch chan<- prometheus.Metric) {
	last, failing := map[string]float64{}, map[string]float64{}
	for _, a := range f.p.anchorStandings() {
		at := float64(0)
		if a.Last != nil {
			at = float64(a.Last.At.Unix())
		}
		if old, ok := last[a.Kind]; !ok || at < old {
			last[a.Kind] = at
		}
		if failing[a.Kind] += 0; a.Failing != "" {
			failing[a.Kind] = 1
		}
	}
	for kind, at := range last {
		ch <- prometheus.MustNewConstMetric(anchorLast, prometheus.GaugeValue, at, kind)
		ch <- prometheus.MustNewConstMetric(anchorFailing, prometheus.GaugeValue, failing[kind], kind)
	}
}

// anchorStandings returns the places and, where there is one, the relay, which
// gets a checkpoint with each ack.
func (p *parts) anchorStandings() []api.Anchor {
	var out []api.Anchor
	for _, s := range p.anchors.Standings() {
		a := api.Anchor{Kind: s.Kind, Name: s.Name, Failing: s.Failing}
		if s.Last != nil {
			a.Last = &api.Anchored{
				Entry: s.Last.Seq, At: s.Last.At, Size: s.Last.Size, Root: s.Last.Root, Checkpoint: s.Last.Checkpoint,
				Cosigned: string(s.Last.Cosigned()), Proof: s.Last.Proof,
			}
		}
		out = append(out, a)
	}
	if p.client != nil {
		in := p.client.Status()
		a := api.Anchor{Kind: anchor.KindRelay, Failing: in.LastError}
		if !in.LastAck.IsZero() {
			a.Last = &api.Anchored{At: in.LastAck.UTC()}
		}
		out = append(out, a)
	}
	return out
}

// anchorAPI returns what the API needs of it.
func (p *parts) anchorAPI() api.AnchorParts { return api.AnchorParts{AnchorKeeper: anchorsAPI{p}} }

type anchorsAPI struct{ *parts }

// Anchored says how the places stand.
func (a anchorsAPI) Anchored(ctx context.Context) ([]api.Anchor, error) {
	if err := a.caughtUp(ctx); err != nil {
		return nil, err
	}
	return a.anchorStandings(), nil
}

// Anchor anchors at all places now.
func (a anchorsAPI) Anchor(ctx context.Context) ([]api.AnchorResult, error) {
	out := []api.AnchorResult{}
	for _, r := range a.anchors.Make(ctx) {
		out = append(out, api.AnchorResult{Kind: r.Kind, Name: r.Name, Failed: r.Failed})
	}
	return out, nil
}
