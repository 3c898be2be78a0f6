// Package daemon wires Holdfast together: it is the only place that knows
// every part. It opens the store, lets ingest, the index and the API run in one
// errgroup, and closes everything in order when they end.
//
// Only the commands import it.
package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/search"
	"holdfast/archive/state"
	"holdfast/ingest"
	"holdfast/ingest/envelope"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/config"
)

// Options says what to run.
type Options struct {
	Config  *config.Config
	Version string
	Logger  *slog.Logger
	Ready   func() // called once the API answers; may be nil
	// Extract runs what reads attachments' text, internal/extract's Child: an
	// absolute path and arguments. Empty: no text is read, and searches say so.
	Extract []string
	// Reread reads the configuration's file anew, for a reload. Without it there
	// is none.
	Reread func() (*config.Config, error)
	// Level is Logger's, so that a reload can change it; may be nil.
	Level *slog.LevelVar
}

// ErrSocket is returned when the API's socket cannot be made.
var ErrSocket = errors.New("socket")

// Run serves until ctx ends and then stops cleanly: requests under way are
// answered, the page under way is committed or left to the relay, every file is
// closed.
func Run(ctx context.Context, o Options) (err error) {
	c := o.Config
	master, err := waitForMaster(ctx, o)
	if err != nil || master == nil {
		return err
	}
	defer master.opened()
	a, err := archive.Open(ctx, c.Data, archive.Options{Master: master.key, Reserve: c.Disk.Reserve, LowWater: c.Disk.LowWater, Logger: o.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	p, err := newParts(ctx, a, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.index.Close()) }()
	listener, err := api.Listen(c.Socket)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSocket, err)
	}
	desk, err := p.listenHTTPS(c.HTTPS)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := p.startDuties(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	p.noteStart(ctx)
	p.noteUnlocked(ctx, master)
	// What a disposition had begun is finished, or undone, before anybody can ask for anything.
	p.tend(ctx, []chore{p.resume()})
	o.Logger.Info("serving", "archive", a.Identity().ArchiveID, "entries", a.Size(), "version", o.Version)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return p.server.Serve(running, listener) })
	g.Go(func() error { return ended(running, p.index.Follow(whileReading(running))) })
	if desk != nil {
		g.Go(func() error { return p.server.ServeTLS(running, desk.Listener, desk.certificate) })
	}
	if p.client != nil {
		g.Go(func() error { return p.client.Run(running) })
	}
	g.Go(func() error { return p.folk.auth.Run(running) })
	g.Go(func() error { return p.followMatches(running) })
	g.Go(func() error { return ended(running, p.book.Follow(running)) })
	g.Go(func() error { return p.housekeep(running) })
	if p.syncer != nil {
		g.Go(func() error { return p.syncer.Run(running) })
	}
	if p.provisioner != nil {
		g.Go(func() error { return p.salvage.then(running, p.provisioner.Run) })
	}
	for _, d := range p.duties {
		if d.run != nil {
			g.Go(func() error { return ended(running, d.run(running)) })
		}
	}
	master.opened()
	if o.Ready != nil {
		o.Ready()
	}
	err = g.Wait()
	o.Logger.Info("stopped", "entries", a.Size())
	return err
}

// ended drops the error by which a part says that it was told to stop.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// parts is everything that runs, and what the API asks of it.
type parts struct {
	archive *archive.Archive
	state   *state.State
	index   *search.Index
	client  *ingest.Client // nil without a relay, like its metrics

	ingestMetrics *ingest.Metrics

	server   *api.Server
	render   *api.Renderer
	logger   *slog.Logger
	version  string
	started  time.Time
	counts   leafCounts
	damage   unreadable
	gone     gone
	texts    *fileTexts
	zone     *time.Location // the site's
	contact  string         // whom patients are told to ask
	making   sync.Map       // seq of each production that is on its way
	duties   []duty
	examiner *examiner
	gate     ingest.Gate // of what comes from the relay
	salvage  *salvage    // what a restored log waits for
	paused   *pauses
	backups  *backups
	watch    *watch
	anchors  *anchor.Keeper
	notices  *notices
	folk
}

func newParts(ctx context.Context, a *archive.Archive, o Options) (*parts, error) {
	c := o.Config
	pins, err := readPins(c.Relay)
	if err != nil {
		return nil, err
	}
	p := &parts{archive: a, logger: o.Logger, version: o.Version, started: time.Now().UTC(), zone: c.Zone(), contact: c.PatientAccess.Contact}
	catchUp := func(ctx context.Context, size uint64) error { return p.state.CatchUp(ctx, size) }
	p.texts = newTexts(a, o.Extract, o.Logger)
	p.registers = newRegisters(c.Directory != nil, catchUp)
	p.book = p.newBook(o, catchUp)
	p.docket = p.newDocket(catchUp)
	if err := p.newDuties(o); err != nil {
		return nil, err
	}
	p.state = state.New(a, pins, p.appliers())
	p.render = &api.Renderer{Log: a, State: p.state, Kin: kin{p}, FileText: p.texts.Status}
	if err := p.state.CatchUp(ctx, a.Size()); err != nil {
		return nil, err
	}
	p.damage.load(p.state.Alarms(true))
	if err := p.counts.catchUp(ctx, a); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := p.register(registry); err != nil {
		return nil, err
	}
	if p.client, err = p.newClient(c.Relay, registry); err != nil {
		return nil, err
	}
	if err := p.newFolk(ctx, o, registry); err != nil {
		return nil, err
	}
	watch, err := watchOf(c.Watch)
	if err != nil {
		return nil, err
	}
	p.server, err = api.New(api.Parts{
		Ledger: a, Store: a, Alarms: p.state, Status: p, Search: p, Show: p.render, Produce: p,
		Ready: p.ready, Registry: registry, Log: o.Logger,
		Auth: authAPI{p.folk.auth}, People: peopleAPI{p}, Register: peopleAPI{p}, Directory: directoryAPI{p}, Devices: devicesAPI{p}, Wipes: wipesAPI{p}, Approvals: approvalsAPI{p}, Docket: p.docket, Saved: p.docket, Coverage: coverageAPI{p},
		BackupParts: p.backupAPI(), RestoreParts: p.restoreAPI(), AnchorParts: p.anchorAPI(), NoticeParts: p.noticeAPI(), DoctorParts: p.doctorAPI(), PauseParts: p.pauseAPI(), KitParts: p.kitAPI(), WatchParts: p.watchAPI(),
		Zone: p.zone, GroupStays: peopleAPI{p}.GroupStays, SizeAt: p.SizeAt,
		Retention: p.retention(), Watch: watch, LargeExport: uint64(c.Watch.LargeExport), // #nosec G115 -- checked
		ThirdParties: string(c.PatientAccess.ThirdParties),
	})
	if err != nil {
		return nil, err
	}
	p.index, err = search.Open(ctx, filepath.Join(c.Data, "index"), a, docs{p}, search.Options{Log: o.Logger, Room: a.Room})
	return p, err
}

func readPins(r *config.Relay) (envelope.Pins, error) {
	if r == nil || r.EnrolKey == "" {
		return envelope.Pins{}, nil
	}
	key, err := readPublicKey(r.EnrolKey)
	if err != nil {
		return envelope.Pins{}, fmt.Errorf("%w: relay.enrol_key: %w", config.ErrConfig, err)
	}
	pins := envelope.Pins{Enrol: key}
	return pins, pins.Check()
}

func (p *parts) newClient(r *config.Relay, registry *prometheus.Registry) (*ingest.Client, error) {
	if r == nil {
		return nil, nil
	}
	head, err := readPublicKey(r.HeadKey)
	if err != nil {
		return nil, fmt.Errorf("%w: relay.head_key: %w", config.ErrConfig, err)
	}
	if p.ingestMetrics, err = ingest.NewMetrics(registry); err != nil {
		return nil, err
	}
	client, err := ingest.New(ingest.Options{
		URL: r.URL, CA: r.CA, Cert: r.Cert, Key: r.Key, HeadKey: head, AllowX25519: r.AllowX25519,
		Log: p.archive, Blobs: p.archive, Keys: p.archive, State: ingestState{p},
		Classes: classes{p}, Lag: p.lag, Metrics: p.ingestMetrics, Gate: &p.gate, BackedUp: p.backups.book.backedUp, Logger: p.logger, Approvals: p.approvals,
		// A checkpoint goes through the log's writer, which reopens the log first: after it the size is what a failed write left.
		Reopen: func(ctx context.Context) error {
			_, err := p.archive.Checkpoint(ctx)
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrConfig, err)
	}
	return client, nil
}

// lag returns how far the index is behind the log.
func (p *parts) lag() uint64 { return p.index.Lag() }

func (p *parts) register(r *prometheus.Registry) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	own := p.retentionMetrics(gauge)
	for _, d := range p.duties {
		own = append(own, d.metrics...)
	}
	for _, c := range append(own, []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("holdfast_log_entries", "Entries in the log.", func() float64 { return float64(p.archive.Size()) }),
		gauge("holdfast_index_lag_entries", "Entries that the index does not cover yet.", func() float64 { return float64(p.lag()) }),
		gauge("holdfast_alarms_open", "Alarms that nobody has acknowledged, as of the last look.", func() float64 { return float64(len(p.state.Alarms(false))) }),
	}...) {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// startBody is the body of a KindStart entry.
type startBody struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
}

// noteStart puts into the log that the daemon began. A full disk shall not
// keep it from serving what is there.
func (p *parts) noteStart(ctx context.Context) {
	body, err := json.Marshal(startBody{Version: p.version, PID: os.Getpid()})
	if err == nil {
		_, err = p.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindStart, Class: proof.ClassControl, Body: body}}})
	}
	if err != nil {
		p.logger.Warn("the start was not noted in the log", "err", err)
	}
}
