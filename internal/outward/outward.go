// Package outward reaches machines of other people that the archive tells
// something: witnesses, time-stamping authorities, webhooks, mail servers and
// log collectors. None of them is trusted with more than what it is told: they
// are certified by authorities that the site names, lead nowhere else, and are
// heard for a bounded time and a bounded number of bytes.
//
// internal/anchor, internal/notice and internal/daemon import it.
package outward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"holdfast/internal/regular"
)

// MaxCA bounds a file of authorities, in bytes.
const MaxCA = 1 << 20

// Timeout bounds one exchange with one of them, from the first byte of looking
// up its name to the last of its answer.
const Timeout = 30 * time.Second

// ErrTooLong is returned for an answer longer than its bound.
var ErrTooLong = errors.New("the answer is longer than any that is due")

// Authorities reads a PEM file with the only authorities that may certify a
// server. Without a path it returns nil: the machine's.
func Authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := regular.Read(path, MaxCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return pool, nil
}

// TLS returns how a server of the given name is spoken to: TLS 1.2 at least,
// for mail servers and collectors of hospitals are old, certified by roots.
func TLS(name string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots}
}

// HTTP returns a client for one server. It follows no redirect: what is told
// goes where the configuration says. It keeps no connection, for it speaks once
// in a while, and goes through the proxy that the environment names.
func HTTP(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: Timeout / 2}
	return &http.Client{
		Timeout: Timeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        TLS("", roots),
			TLSHandshakeTimeout:    Timeout / 2,
			ResponseHeaderTimeout:  Timeout / 2,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// An Answer is what a server said over HTTP.
type Answer struct {
	Status int
	Type   string // its Content-Type
	Body   []byte
}

// Post sends body and reads an answer of at most limit bytes, or returns
// ErrTooLong. An error's text says nothing of what was sent or to which address,
// and nothing that the server or a proxy wrote; what it wraps is for errors.As.
func Post(ctx context.Context, client *http.Client, url string, header http.Header, body io.Reader, limit int64) (*Answer, error) {
	answer, err := post(ctx, client, url, header, body, limit)
	return answer, failed(err)
}

func post(ctx context.Context, client *http.Client, url string, header http.Header, body io.Reader, limit int64) (answer *Answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "holdfast")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, ErrTooLong
	}
	return &Answer{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type"), Body: b}, nil
}
