package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
	"holdfast/internal/config"
)

// ErrHTTPS is returned when the API cannot be served over the network.
var ErrHTTPS = errors.New("https")

// desk is the listener for compliance desks.
type desk struct {
	net.Listener
	certificate *api.Certificate
}

// listenHTTPS makes it; nil when the configuration has none.
func (p *parts) listenHTTPS(c *config.HTTPS) (*desk, error) {
	if c == nil {
		return nil, nil
	}
	certificate, err := api.LoadCertificate(c.Cert, c.Key, p.logger, p.certificateFailed)
	if err != nil {
		return nil, fmt.Errorf("%w: https.cert and https.key: %w", config.ErrConfig, err)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: https.listen: %w", ErrHTTPS, err)
	}
	p.logger.Info("serving over HTTPS", "address", l.Addr().String())
	return &desk{l, certificate}, nil
}

// AlarmCertificate is the name of the alarm that a renewed certificate cannot
// be used.
const AlarmCertificate = "certificate-unusable"

func (p *parts) certificateFailed(error) {
	err := p.raise(context.Background(), archive.AlarmBody{
		Name: AlarmCertificate, Severity: "warning", Text: "the changed certificate of the HTTPS side cannot be used; the one before it goes on serving until it ends",
		Fix: "See the daemon's log for what is wrong with the files that https.cert and https.key name, and write the right ones: they are read again by themselves.",
	})
	if err != nil {
		p.logger.Error("the alarm of an unusable certificate was not raised", "err", err)
	}
}

// approvals gives ingest what people approved while it runs.
func (p *parts) approvals(ctx context.Context, n int) ([]envelope.Approval, error) {
	if err := p.caughtUp(ctx); err != nil {
		return nil, err
	}
	return p.state.Approvals(n), nil
}
