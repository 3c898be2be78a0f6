package ldapsync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"holdfast/internal/regular"
)

var (
	errHandshake = errors.New("the TLS handshake failed")
	errBytes     = errors.New("the domain controller sent more bytes than are taken")
)

const maxCA = 1 << 20 // bytes of the file of authorities

func joinHostPort(host, port string) string { return net.JoinHostPort(host, port) }

// readCA reads the authorities that alone may certify a domain controller.
func readCA(path string) (*x509.CertPool, error) {
	text, err := regular.Read(path, maxCA)
	if err != nil {
		return nil, fmt.Errorf("%w: ca: %w", errOptions, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w: ca holds no PEM certificate", errOptions)
	}
	return pool, nil
}

// meter is a connection that ends once it has received what it may, and whose
// writes do not wait for ever for a server that reads nothing.
type meter struct {
	net.Conn
	left    atomic.Int64
	broken  atomic.Bool // reading or writing has failed
	timeout time.Duration
}

func (m *meter) Read(b []byte) (int, error) {
	if m.left.Load() <= 0 {
		return 0, errBytes
	}
	n, err := m.Conn.Read(b)
	m.left.Add(-int64(n))
	if err != nil {
		m.broken.Store(true)
	}
	return n, err
}

func (m *meter) Write(b []byte) (int, error) {
	err := m.SetWriteDeadline(time.Now().Add(m.timeout))
	n := 0
	if err == nil {
		n, err = m.Conn.Write(b)
	}
	if err != nil {
		m.broken.Store(true)
	}
	return n, err
}

// conn is a connection to one domain controller over TLS.
type conn struct {
	host    string
	ldap    *ldap.Conn
	meter   *meter
	timeout time.Duration
}

// dial connects and brings TLS up before it returns: nothing but the request for
// StartTLS is sent in the clear.
func (o *Options) dial(ctx context.Context, t target) (_ *conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	pool, err := readCA(o.CA)
	if err != nil {
		return nil, fail(ClassTLS, "read the authorities", err)
	}
	config := &tls.Config{RootCAs: pool, ServerName: t.host, MinVersion: tls.VersionTLS12}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, fail(dialClass(ctx, err), "connect", err)
	}
	m := &meter{Conn: raw, timeout: o.Timeout}
	m.left.Store(o.bounds.bytes)
	c := &conn{host: t.host, meter: m, timeout: o.Timeout}
	if t.startTLS {
		err = c.startTLS(ctx, config)
	} else {
		err = c.handshake(ctx, config)
	}
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(raw.Close()))
	}
	c.ldap.SetTimeout(2 * o.Timeout) // request ends it before; this is for what go-ldap waits for by itself
	return c, nil
}

func dialClass(ctx context.Context, err error) Class {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ClassStopped
	}
	var n net.Error
	if ctx.Err() != nil || errors.As(err, &n) && n.Timeout() {
		return ClassTimeout
	}
	return ClassUnreachable
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *conn) handshake(ctx context.Context, config *tls.Config) error {
	secure := tls.Client(c.meter, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return handshakeFailed(ctx, err)
	}
	c.ldap = ldap.NewConn(secure, true)
	c.ldap.Start()
	return nil
}

// startTLS asks for TLS and does the handshake. go-ldap does both without a
// limit of its own: the connection's deadline is the limit.
func (c *conn) startTLS(ctx context.Context, config *tls.Config) error {
	c.ldap = ldap.NewConn(c.meter, false)
	c.ldap.Start()
	stop := context.AfterFunc(ctx, func() { _ = c.meter.Close() })
	defer stop()
	err := c.ldap.StartTLS(config)
	if err == nil {
		if _, up := c.ldap.TLSConnectionState(); up {
			return nil
		}
		err = errHandshake
	}
	_ = c.ldap.Close()
	if code := answerCode(err); code != 0 {
		// The server answered and refused. There is no plain LDAP to fall back to.
		return &Failure{Class: ClassTLS, Code: code, What: "StartTLS", Err: err}
	}
	return handshakeFailed(ctx, err)
}

// handshakeFailed classifies: a handshake that ran out of time is a silent
// server, one that was cut is an unreachable one, the rest is TLS's.
func handshakeFailed(ctx context.Context, err error) error {
	class := ClassTLS
	if !isTLS(err) {
		if c := dialClass(ctx, err); c != ClassUnreachable {
			class = c
		} else if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			class = ClassUnreachable
		}
	}
	return &Failure{Class: class, What: "secure the connection", Err: errors.Join(errHandshake, err)}
}

// close ends the connection. What it may report is of no use to anybody: all
// that was wanted has been read.
func (c *conn) close() { _ = c.ldap.Close() }

// request runs one request with the time limit. When the time is up, or the
// caller gives up, the connection is cut, which ends whatever go-ldap waits for.
func (c *conn) request(ctx context.Context, what string, f func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	stop := context.AfterFunc(limited, func() { _ = c.meter.Close() })
	err := f(limited)
	if !stop() && err == nil {
		err = limited.Err()
	}
	var found *Failure
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &Failure{Class: classOf(ctx.Err()), What: what, Err: ctx.Err()}
	case limited.Err() != nil:
		return &Failure{Class: ClassTimeout, What: what, Err: limited.Err()}
	case c.meter.left.Load() <= 0:
		return &Failure{Class: ClassLimit, What: what, Err: errBytes}
	case errors.As(err, &found):
		return err
	case answerCode(err) == 0 && (c.meter.broken.Load() || c.ldap.IsClosing()):
		// go-ldap makes plain text of the network's errors.
		return &Failure{Class: ClassUnreachable, What: what, Err: err}
	}
	return failed(what, err)
}

// bind sends one bind request.
func (c *conn) bind(ctx context.Context, name, password string) error {
	return c.request(ctx, "bind", func(context.Context) error {
		_, err := c.ldap.SimpleBind(&ldap.SimpleBindRequest{Username: name, Password: password})
		return err
	})
}

// connect returns a connection bound as the reading account.
func (o *Options) connect(ctx context.Context, t target) (*conn, error) {
	password, err := o.Password()
	if err != nil {
		return nil, fail(ClassCredential, "read the credential", err)
	}
	if password == "" {
		// Active Directory takes an empty password for an anonymous bind.
		return nil, fail(ClassCredential, "read the credential", errEmpty)
	}
	c, err := o.dial(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := c.bind(ctx, o.Bind, password); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

var errEmpty = errors.New("an empty password")
