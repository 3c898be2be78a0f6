package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// HTTPSOptions say how a daemon is reached over the network.
type HTTPSOptions struct {
	// Address is HOST:PORT, or https://HOST[:PORT].
	Address string
	// CA is a PEM file with the only authorities that may certify the daemon;
	// empty for those of the machine.
	CA string
	// Token is a session's; empty for Login.
	Token string
}

// NewHTTPSClient returns a client of the daemon at an address of the network.
// It speaks TLS 1.3 alone and no proxy's language. Nothing is dialled before
// the first request.
func NewHTTPSClient(o HTTPSOptions) (*Client, error) {
	base, err := baseURL(o.Address)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	if o.CA != "" {
		b, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, &Problem{Title: "the file of the daemon's authority cannot be read", Detail: err.Error(), Code: CodeBadRequest, Exit: ExitConfig, err: err,
				Hint: "name the PEM file that the archive's administrator gave out with --ca"}
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(b) {
			return nil, &Problem{Title: "the file of the daemon's authority holds no certificate", Code: CodeBadRequest, Exit: ExitConfig,
				Hint: "name the PEM file that the archive's administrator gave out with --ca"}
		}
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{place: base, base: base, token: o.Token, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			TLSClientConfig:     conf,
			TLSHandshakeTimeout: dialTimeout,
			DisableCompression:  true,
		},
		CheckRedirect: noRedirects,
	}}, nil
}

// noRedirects keeps a token from following whoever answers.
func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func baseURL(address string) (string, error) {
	bad := &Problem{Title: "that is no address of a daemon", Code: CodeBadRequest, Exit: ExitUsage,
		Hint: "give HOST:PORT or https://HOST:PORT; there is no connection without TLS"}
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return "", bad
	}
	return "https://" + u.Host, nil
}

// untrusted tells a certificate that is not believed from a daemon that is not there.
func untrusted(err error, p *Problem) {
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &verify):
		p.Title, p.Code, p.Exit = "the daemon's certificate is not to be trusted", CodeUntrusted, ExitUnreachable
		p.Detail = reasonOf(verify.Err)
		p.Hint = "name the authority's PEM file with --ca and the host as it stands in the certificate; if both were right before, do not log in and tell the archive's administrator"
	case errors.As(err, &alert):
		p.Detail = fmt.Sprintf("TLS failed: %s", alert)
		p.Hint = "the daemon speaks TLS 1.3 alone; something between may not"
	}
}

func reasonOf(err error) string {
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		return "it is for another host"
	case errors.As(err, &authority):
		return "no known authority made it"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired, or is not valid yet"
	}
	return ""
}
