package daemon

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/internal/config"
	"holdfast/internal/doctor"
	"holdfast/internal/outward"
	"holdfast/internal/regular"
)

// How long before its end a certificate is told of: once at each.
const (
	certificateSoon = 30 * 24 * time.Hour
	certificateLast = 7 * 24 * time.Hour
)

// certificatesEvery is how often their ends are looked at.
const certificatesEvery = 24 * time.Hour

// Names of the alarms about certificates and keys that end.
const (
	AlarmCertificateSoon = "certificate-ends-soon"
	AlarmCertificateLast = "certificate-ends"
)

// endings says of each certificate what ends with it, and what to do. Alarms
// leave the machine without their facts, so the text names which one it is.
var endings = map[string]struct{ soon, last, fix string }{
	"relay-client": {
		"the archive's client certificate for the relay ends within 30 days", "the archive's client certificate for the relay ends within 7 days, or has ended: nothing is pulled without it",
		doctor.RenewRelayClient,
	},
	"https": {
		"the certificate of the HTTPS side ends within 30 days", "the certificate of the HTTPS side ends within 7 days, or has ended: compliance desks cannot log in without it",
		"Have a new one signed, and write it where https.cert and https.key say: the files are read again by themselves.",
	},
	"relay-ca": {
		"an authority that certifies the relay ends within 30 days", "an authority that certifies the relay ends within 7 days, or has ended: the relay is not trusted without it",
		"Ask the relay's operator for the authority that follows, compare its fingerprint over the phone, put it into the file that relay.ca names, beside the old one, and restart the daemon.",
	},
	"directory-ca": {
		"an authority that certifies the directory ends within 30 days", "an authority that certifies the directory ends within 7 days, or has ended: nobody can log in without it",
		"Export the authority that follows from the domain's certificate services into the file that directory.ca names, beside the old one.",
	},
	"recipient": {
		"the newest key to which messages are sealed ends within 30 days and was not followed by another", "the newest key to which messages are sealed ends within 7 days, or has ended: phones will have no key to seal to",
		"Keys follow one another by themselves, but not while the clock is frozen or the disk is full: see `holdfast clock show`, `holdfast alarms list` and the daemon's log.",
	},
}

// certificates looks at the ends of the certificates and keys that the archive
// works with. It is a prometheus.Collector.
type certificates struct {
	config  *config.Config
	archive *archive.Archive

	mu     sync.Mutex
	looked time.Time // when alarms were last thought of
}

var certificateEnd = prometheus.NewDesc("holdfast_certificate_not_after_timestamp_seconds", "When the certificate or key ends; of several the first.", []string{"certificate"}, nil)

// Describe implements prometheus.Collector.
func (c *certificates) Describe(ch chan<- *prometheus.Desc) { ch <- certificateEnd }

// Collect implements prometheus.Collector.
func (c *certificates) Collect(ch chan<- prometheus.Metric) {
	ends, _ := c.ends(time.Now()) // a file that cannot be read has no figure; the daily look logs why
	for name, end := range ends {
		ch <- prometheus.MustNewConstMetric(certificateEnd, prometheus.GaugeValue, float64(end.Unix()), name)
	}
}

// ends returns the end of each, as far as it can be read.
func (c *certificates) ends(now time.Time) (map[string]time.Time, error) {
	files := map[string]string{}
	if r := c.config.Relay; r != nil {
		files["relay-client"], files["relay-ca"] = r.Cert, r.CA
	}
	if d := c.config.Directory; d != nil {
		files["directory-ca"] = d.CA
	}
	if h := c.config.HTTPS; h != nil {
		files["https"] = h.Cert
	}
	out := map[string]time.Time{}
	var failed error
	for name, path := range files {
		end, err := firstEnd(path, now)
		if err != nil {
			failed = fmt.Errorf("the certificate %s: %w", name, err)
			continue
		}
		out[name] = end
	}
	newest := map[uint16]time.Time{}
	for _, k := range c.archive.RecipientKeys() {
		if k.NotAfter.After(newest[k.KEM]) {
			newest[k.KEM] = k.NotAfter
		}
	}
	for _, end := range newest {
		if old, ok := out["recipient"]; !ok || end.Before(old) {
			out["recipient"] = end
		}
	}
	return out, failed
}

// firstEnd returns the first end of a PEM file's certificates that is still to
// come; of a file in which all have ended, the last. A file of authorities may
// go on holding one that ended.
func firstEnd(path string, now time.Time) (time.Time, error) {
	text, err := regular.Read(path, outward.MaxCA)
	if err != nil {
		return time.Time{}, err
	}
	var next, ended time.Time
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", path, err)
		}
		switch end := cert.NotAfter; {
		case end.After(now) && (next.IsZero() || end.Before(next)):
			next = end
		case !end.After(now) && end.After(ended):
			ended = end
		}
	}
	switch {
	case !next.IsZero():
		return next, nil
	case !ended.IsZero():
		return ended, nil
	}
	return time.Time{}, fmt.Errorf("%s holds no certificate", path)
}

// certificateChore looks once a day.
func (p *parts) certificateChore(c *certificates) chore {
	return chore{what: "the ends of certificates", do: func(ctx context.Context) error { return p.tellEnds(ctx, c, time.Now()) }, alarm: archive.AlarmBody{
		Name: AlarmHousekeeping, Severity: "warning", Text: "what the passing of time brings about is not looked after: keys, certificates, or what is due",
		Fix: "See the daemon's log for which of them fails, and why. It is tried again every hour.",
	}}
}

// tellEnds raises what alarms are due about certificates that end. Each end is
// told of twice, whatever was acknowledged: 30 days and 7 days before it.
func (p *parts) tellEnds(ctx context.Context, c *certificates, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.looked.IsZero() && now.Sub(c.looked).Abs() < certificatesEvery {
		return nil
	}
	ends, failed := c.ends(now)
	if err := p.caughtUp(ctx); err != nil {
		return err
	}
	for name, end := range ends {
		about, left := endings[name], end.Sub(now)
		alarm := archive.AlarmBody{Name: AlarmCertificateSoon, Severity: "warning", Text: about.soon, Fix: about.fix}
		switch {
		case left > certificateSoon:
			continue
		case left <= certificateLast:
			alarm.Name, alarm.Severity, alarm.Text = AlarmCertificateLast, "critical", about.last
		}
		alarm.Facts = map[string]string{"certificate": name, "not_after": end.UTC().Format(time.RFC3339)}
		if p.told(alarm) {
			continue
		}
		if err := p.raise(ctx, alarm); err != nil {
			return err
		}
	}
	if failed == nil {
		c.looked = now
	}
	return failed
}

// told reports whether an alarm of the same name and facts was ever raised.
func (p *parts) told(alarm archive.AlarmBody) bool {
	for _, a := range p.state.Alarms(true) {
		if a.Name == alarm.Name && a.Facts["certificate"] == alarm.Facts["certificate"] && a.Facts["not_after"] == alarm.Facts["not_after"] {
			return true
		}
	}
	return false
}
