package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/daemon"
	"holdfast/internal/doctor"
)

// trialTimeout bounds each connection of a preflight.
const trialTimeout = 10 * time.Second

// defaultData is where init proposes to put the archive.
const defaultData = "/var/lib/holdfast"

// trialOptions are what a preflight is told that no configuration says yet.
type trialOptions struct {
	relay, relayCA, data string
	daily, years         float64
}

func (o *trialOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.relay, "relay", "", "preflight: the relay, https://HOST[:PORT] (default: the configuration's)")
	f.StringVar(&o.relayCA, "relay-ca", "", "preflight: PEM file with the only authorities that may certify it (default: the configuration's)")
	f.StringVar(&o.data, "data", "", "preflight: folder in which the archive is going to lie (default: the configuration's, else "+defaultData+")")
	f.Float64Var(&o.daily, "daily", 0, "preflight: messages a day that are expected, receipts included")
	f.Float64Var(&o.years, "years", 7, "preflight: years for which they are kept")
}

func (o *trialOptions) check(preflight bool) error {
	if !preflight && (o.relay != "" || o.relayCA != "" || o.data != "" || o.daily != 0) {
		return fmt.Errorf("%w: --relay, --relay-ca, --data and --daily go with --preflight", errUsage)
	}
	if o.daily < 0 || o.daily > 1e9 || o.years <= 0 || o.years > 200 {
		return fmt.Errorf("%w: --daily is a number of messages, up to a billion; --years a number of years above 0, up to 200", errUsage)
	}
	return nil
}

// preflight returns what is tried. A configuration need not be there yet, unless
// it was named.
func (o *trialOptions) preflight(path string, named bool) (*doctor.Preflight, error) {
	p := &doctor.Preflight{Relay: o.relay, RelayCA: o.relayCA, Data: o.data, Daily: o.daily, Years: o.years, Timeout: trialTimeout}
	c, err := config.Load(path)
	if err != nil {
		if !named && errors.Is(err, fs.ErrNotExist) {
			p.Data = cmp.Or(p.Data, defaultData)
			return p, nil
		}
		return nil, err
	}
	if c.Relay != nil && p.Relay == "" {
		p.Relay = c.Relay.URL
	}
	if c.Relay != nil && p.RelayCA == "" {
		p.RelayCA = c.Relay.CA
	}
	if p.Data == "" {
		p.Data = c.Data
	}
	if c.Directory != nil {
		p.Directory = func(ctx context.Context) (*doctor.Rights, error) { return daemon.TryDirectory(ctx, c) }
	}
	return p, nil
}
