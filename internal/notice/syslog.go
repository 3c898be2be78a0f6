package notice

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// Facilities and severities of RFC 5424 section 6.2.1.
const (
	facilityDaemon = 3
	facilityAudit  = 13

	severityCritical = 2
	severityWarning  = 4
	severityNotice   = 5
	severityInfo     = 6
)

// elementID is the structured data's (RFC 5424 section 7.2.2). 32473 is the
// number that RFC 5612 gives to examples: the project has none of its own.
const elementID = "holdfast@32473"

// maxLine is the longest message that every receiver of RFC 5424 should take
// (section 6.1), in bytes.
const maxLine = 2048

// SyslogOptions says where RFC 5424 messages go.
type SyslogOptions struct {
	Address string // host:port
	Network string // "tls" (RFC 5425), "tcp" (RFC 6587, octet counting) or "udp" (RFC 5426)
	Roots   *x509.CertPool
}

// Syslog sends RFC 5424 messages: one for each alarm, with MSGID "alarm", or
// "test". Their structured data are archive, seq, name, raised and repeat; the
// text is the alarm's and its fix.
type Syslog struct {
	o    SyslogOptions
	host string // of the collector
	own  string // this machine's name
}

// NewSyslog checks the options.
func NewSyslog(o SyslogOptions) (*Syslog, error) {
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	own, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return &Syslog{o: o, host: host, own: own}, nil
}

// Name implements Way.
func (s *Syslog) Name() string { return WaySyslog }

// Send implements Way.
func (s *Syslog) Send(ctx context.Context, p Parcel) error {
	l, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	p = p.clean()
	for _, a := range p.Alarms {
		text, err := s.alarm(p, a)
		if err == nil {
			err = l.write(text)
		}
		if err != nil {
			return err
		}
	}
	return l.settle(ctx)
}

func (s *Syslog) alarm(p Parcel, a Alarm) (string, error) {
	severity, id := severityWarning, "alarm"
	switch {
	case p.Test:
		severity, id = severityNotice, "test"
	case a.Severity == "critical":
		severity = severityCritical
	}
	return s.line(facilityDaemon*8+severity, p.Sent, id, [][2]string{
		{"archive", p.ArchiveID}, {"seq", strconv.FormatUint(a.Seq, 10)}, {"name", a.Name}, {"raised", a.Raised.Format(time.RFC3339)}, {"repeat", strconv.Itoa(a.Repeat)},
	}, a.Text+" "+a.Fix)
}

// line builds one message. The values of pairs are words; a pair without a
// value is left out.
func (s *Syslog) line(priority int, at time.Time, id string, pairs [][2]string, text string) (string, error) {
	m := &rfc5424.SyslogMessage{}
	m.SetPriority(uint8(priority)). // #nosec G115 -- of our own constants
					SetVersion(1).
					SetTimestamp(at.UTC().Format("2006-01-02T15:04:05.000000Z07:00")).
					SetHostname(word(s.own)).
					SetAppname("holdfast").
					SetMsgID(id)
	for _, p := range pairs {
		if p[1] != "" {
			m.SetParameter(elementID, p[0], word(p[1]))
		}
	}
	if text = sentence(text); text != "" {
		m.SetMessage(text)
	}
	out, err := m.String()
	if err != nil {
		return "", fmt.Errorf("a log line: %w", err)
	}
	return out[:min(len(out), maxLine)], nil
}
