package doctor

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var errSeen = errors.New("the certificates have been seen")

// relayTLS connects to the relay as the daemon will, looks at who certified what
// answers, and sends nothing.
func (p *Preflight) relayTLS(ctx context.Context) Finding {
	if p.Relay == "" || p.RelayCA == "" {
		return warn("relay-tls", "not tried: no relay is named, or no file with its authorities", "Give --relay https://HOST and --relay-ca FILE.")
	}
	base, err := url.Parse(p.Relay)
	if err != nil || base.Scheme != "https" || base.Hostname() == "" {
		return fatal("relay-tls", "the relay's address is not https://HOST[:PORT]", "Take it from the relay's operator.")
	}
	pins, err := readCertificates(p.RelayCA)
	if errors.Is(err, fs.ErrPermission) {
		return warn("relay-tls", p.RelayCA+" cannot be looked at from this account", "Run this as root.")
	}
	if err != nil {
		return fatal("relay-tls", err.Error(), "Take the file with the relay's authorities from its operator, and compare its fingerprint over the phone (`holdfast relay enroll`).")
	}
	chain, err := p.presented(ctx, base)
	if err != nil {
		return unreached(base.Host, err)
	}
	return p.judge(base.Hostname(), pins, chain)
}

// presented returns the certificates that what answers at base shows.
func (p *Preflight) presented(ctx context.Context, base *url.URL) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	var chain []*x509.Certificate
	transport := &http.Transport{
		Proxy:             p.Proxy,
		DialContext:       p.Dial,
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12, // what opens TLS may speak nothing newer, and is to be told from silence
			ServerName:         base.Hostname(),
			InsecureSkipVerify: true, // #nosec G402 -- the connection ends in VerifyConnection, before a byte is sent
			VerifyConnection: func(s tls.ConnectionState) error {
				chain = s.PeerCertificates
				return errSeen
			},
		},
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, base.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(r)
	if err == nil {
		err = errors.Join(resp.Body.Close(), errors.New("it answered before its certificate was looked at"))
	}
	if len(chain) > 0 {
		return chain, nil
	}
	return nil, err
}

// unreached judges a relay to which no TLS connection came about.
func unreached(host string, err error) Finding {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return fatal("relay-tls", "the relay's name "+host+" is not resolved", "Check this machine's DNS (`resolvectl query`), and the name with the relay's operator.")
	case errors.As(err, &record):
		return fatal("relay-tls", "what answers at "+host+" speaks no TLS", "Check the port with the relay's operator, and whether a captive portal or a proxy answers instead.")
	case errors.Is(err, context.DeadlineExceeded):
		return fatal("relay-tls", host+" does not answer in time", "Have the firewall let this machine out to the relay's address by TCP, without inspection; or set the proxy.")
	}
	return fatal("relay-tls", "there is no connection to "+host, "Have the firewall let this machine out to the relay's address by TCP, without inspection; or set the proxy. If a proxy answers, it refuses CONNECT to the relay.")
}

// judge compares a chain with the pinned authorities.
func (p *Preflight) judge(host string, pins, chain []*x509.Certificate) Finding {
	err := verify(host, p.Now(), pool(pins), chain)
	if err == nil {
		return certificateOf(chain[0], p.Now())
	}
	var ended x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return fatal("relay-tls", "what answers there has a certificate of the pinned authority, but not for "+host, "Check the relay's name with its operator.")
	case errors.As(err, &ended) && ended.Reason == x509.Expired:
		return fatal("relay-tls", "the relay's certificate is not good at this machine's time, "+p.Now().UTC().Format(time.RFC3339), "Compare the machine's clock with one that you trust; if it is right, call the relay's operator.")
	}
	const fix = "Compare this fingerprint with the relay's operator over the phone. If it is not theirs, have the relay's name taken out of TLS inspection (proxy, firewall): Holdfast believes the pinned authority alone, and must. If it is, take the operator's new file for relay.ca."
	last := chain[len(chain)-1]
	known := "an authority that neither the pins nor this machine know"
	if roots, rootsErr := p.systemRoots(); rootsErr == nil && verify(host, p.Now(), roots, chain) == nil {
		known = "an authority that this machine trusts and the pins do not"
	}
	return fatal("relay-tls", fmt.Sprintf("what answers at %s is certified by %s: TLS is opened on the way, or relay.ca is not the relay's. Issuer %q, SHA-256 of the topmost certificate %s",
		host, known, issuer(last), fingerprint(last)), fix)
}

// certificateOf judges the relay's own certificate, which is the operator's to renew.
func certificateOf(c *x509.Certificate, now time.Time) Finding {
	left := c.NotAfter.Sub(now)
	f := fine("relay-tls", "what answers is certified by the pinned authority: nothing opens TLS on the way")
	if left < certificateIn {
		f = warn("relay-tls", "the relay's own certificate ends on "+c.NotAfter.UTC().Format(time.DateOnly), "Call the relay's operator: they renew it.")
	}
	return f.with("seconds_left", left.Seconds())
}

func (p *Preflight) systemRoots() (*x509.CertPool, error) {
	if p.Roots != nil {
		return p.Roots, nil
	}
	return x509.SystemCertPool()
}

func verify(host string, now time.Time, roots *x509.CertPool, chain []*x509.Certificate) error {
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: pool(chain[1:]), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func issuer(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return strings.Join(c.Issuer.Organization, ", ")
}

// fingerprint writes a certificate's SHA-256 in groups of four, to be read over
// the phone.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	text := hex.EncodeToString(sum[:])
	var groups []string
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, " ")
}
