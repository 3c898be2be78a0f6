package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/notice"
	"holdfast/internal/outward"
)

// The credential files of the ways out.
const (
	credentialSMTP    = "holdfast.smtp" // #nosec G101 -- a file's name
	credentialWebhook = "holdfast.webhook"
	maxCredential     = 4 << 10
)

// mirrorFile remembers, in the archive's directory, how far the audit has been
// copied. It holds a number, and is no part of a backup.
const mirrorFile = "mirror.json"

// notices are the ways by which something leaves the machine.
type notices struct {
	ways   []notice.Way // the mirror's included
	sender *notice.Sender
	mirror *notice.Mirror // nil without one
}

// noticeDuty sends alarms out, and mirrors the audit.
func (p *parts) noticeDuty(o Options) (duty, error) {
	n := &notices{}
	ways, err := newWays(o.Config)
	if err != nil {
		return duty{}, fmt.Errorf("%w: notify: %w", config.ErrConfig, err)
	}
	id := p.archive.Identity().ArchiveID
	n.ways = ways
	n.sender = notice.NewSender(notice.Options{ArchiveID: id, Ways: ways, Open: p.openAlarms, Repeat: o.Config.Notify.Repeat.Duration, Logger: p.logger})
	if c := o.Config.Mirror.Syslog; c != nil {
		to, err := newSyslog(c)
		if err != nil {
			return duty{}, fmt.Errorf("%w: mirror: %w", config.ErrConfig, err)
		}
		n.mirror = notice.NewMirror(notice.MirrorOptions{Log: p.archive, To: to, Path: filepath.Join(o.Config.Data, mirrorFile), ArchiveID: id, Logger: p.logger})
		n.ways = append(n.ways, n.mirror.Way())
	}
	p.notices = n
	certificates := &certificates{config: o.Config, archive: p.archive}
	return duty{
		metrics: []prometheus.Collector{noticeFigures{n}, certificates},
		run:     n.run,
		chores:  []chore{p.certificateChore(certificates)},
	}, nil
}

// newWays makes the configured ways of alarms.
func newWays(c *config.Config) ([]notice.Way, error) {
	var out []notice.Way
	dir := CredentialsDir(c.Credentials, c.Data)
	if m := c.Notify.SMTP; m != nil {
		roots, err := outward.Authorities(m.CA)
		if err != nil {
			return nil, err
		}
		password, err := secret(dir, credentialSMTP, m.User != "")
		if err != nil {
			return nil, err
		}
		way, err := notice.NewSMTP(notice.SMTPOptions{
			Address: m.Address, Implicit: m.TLS == "tls", Roots: roots, From: m.From, To: m.To, User: m.User, Password: string(password),
		})
		if err != nil {
			return nil, err
		}
		out = append(out, way)
	}
	if w := c.Notify.Webhook; w != nil {
		roots, err := outward.Authorities(w.CA)
		if err != nil {
			return nil, err
		}
		key, err := secret(dir, credentialWebhook, false)
		if err != nil {
			return nil, err
		}
		way, err := notice.NewWebhook(w.URL, key, outward.HTTP(roots))
		if err != nil {
			return nil, err
		}
		out = append(out, way)
	}
	if s := c.Notify.Syslog; s != nil {
		way, err := newSyslog(s)
		if err != nil {
			return nil, err
		}
		out = append(out, way)
	}
	return out, nil
}

func newSyslog(c *config.Syslog) (*notice.Syslog, error) {
	roots, err := outward.Authorities(c.CA)
	if err != nil {
		return nil, err
	}
	return notice.NewSyslog(notice.SyslogOptions{Address: c.Address, Network: c.Network, Roots: roots})
}

// secret reads the first line of a credential; nil when there is none and none
// is needed.
func secret(dir, name string, needed bool) ([]byte, error) {
	text, err := ReadCredential(dir, name, maxCredential)
	if errors.Is(err, fs.ErrNotExist) && !needed {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the credential %s: %w; put it beside the master key, or hand it over with systemd's LoadCredential=", name, err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimRight(line, "\r"), nil
}

// openAlarms returns what nobody has acknowledged. The facts of alarms, in
// which there may be names, are left behind here.
func (p *parts) openAlarms(ctx context.Context) ([]notice.Alarm, error) {
	if err := p.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []notice.Alarm
	for _, a := range p.state.Alarms(false) {
		out = append(out, notice.Alarm{Seq: a.Seq, Name: a.Name, Severity: a.Severity, Text: a.Text, Fix: a.Fix, Raised: a.Raised})
	}
	return out, nil
}

// run sends until ctx ends.
func (n *notices) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.sender.Run(ctx) })
	if n.mirror != nil {
		g.Go(func() error { return n.mirror.Run(ctx) })
	}
	return g.Wait()
}

// noticeFigures are the metrics of the ways out.
type noticeFigures struct{ n *notices }

var noticeFailing = prometheus.NewDesc("holdfast_notice_failing", "1 while what was last to leave by this way has not been taken.", []string{"way"}, nil)

// Describe implements prometheus.Collector.
func (f noticeFigures) Describe(ch chan<- *prometheus.Desc) { ch <- noticeFailing }

// Collect implements prometheus.Collector.
func (f noticeFigures) Collect(ch chan<- prometheus.Metric) {
	failing := f.n.sender.Failing()
	if f.n.mirror != nil {
		failing[notice.WayMirror] = f.n.mirror.Failing()
	}
	for way, class := range failing {
		value := float64(0)
		if class != "" {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(noticeFailing, prometheus.GaugeValue, value, way)
	}
}

// noticeAPI returns what the API needs of it.
func (p *parts) noticeAPI() api.NoticeParts { return api.NoticeParts{Notices: noticesAPI{p}} }

type noticesAPI struct{ *parts }

// TestNotices sends a test by each way.
func (n noticesAPI) TestNotices(ctx context.Context) ([]api.NoticeResult, error) {
	out := []api.NoticeResult{}
	for _, r := range notice.Test(ctx, n.archive.Identity().ArchiveID, n.notices.ways, n.logger) {
		out = append(out, api.NoticeResult{Way: r.Way, Failed: r.Failed})
	}
	return out, nil
}
