package daemon

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive/proof"
	"holdfast/archive/state"
)

// duty is something that the daemon does beside ingest, search and the API.
// Each of its parts may be left out.
type duty struct {
	appliers map[proof.Kind]state.Applier // of the entries that it follows
	metrics  []prometheus.Collector
	start    func(ctx context.Context) error // once, before the API answers; an error refuses the start
	run      func(ctx context.Context) error // until ctx ends
	chores   []chore                         // looked after every hour
}

// newDuties makes them. Nothing of p but its archive, logger and version is
// there yet.
func (p *parts) newDuties(o Options) error {
	for _, make := range []func(Options) (duty, error){
		p.pauseDuty, p.restoreDuty, p.backupDuty, p.anchorDuty, p.noticeDuty, p.watchDuty, p.doctorDuty,
	} {
		d, err := make(o)
		if err != nil {
			return err
		}
		p.duties = append(p.duties, d)
	}
	return nil
}

// startDuties begins them, in their order.
func (p *parts) startDuties(ctx context.Context) error {
	for _, d := range p.duties {
		if d.start == nil {
			continue
		}
		if err := d.start(ctx); err != nil {
			return err
		}
	}
	return nil
}
