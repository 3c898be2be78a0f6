package api

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Timeouts of a connection. A stream has no timeout as a whole, but each of
// its writes has one, so that a client that stopped reading holds nothing up.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	writeTimeout  = time.Minute
	stopTimeout   = 10 * time.Second
	maxHeader     = 16 << 10
)

// maxConns bounds the connections over HTTPS that are open at once: whoever
// opens more waits, and takes no file descriptor from the archive. One address
// gets maxConnsFrom of them, so that it keeps nobody else waiting.
const (
	maxConns     = 512
	maxConnsFrom = 64
)

// Serve answers at the socket l until ctx ends; then requests under way get some
// time before they are cut off. It closes l and returns nil after such a stop.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.run(ctx, l, &http.Server{ConnContext: withPeer, ReadHeaderTimeout: headerTimeout})
}

// ServeTLS is Serve for the network: TLS 1.3 and HTTP/1.1, nothing else.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, c *Certificate) error {
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	conf := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		MaxVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
		// Nobody's session outlives a change of the certificate.
		SessionTicketsDisabled: true,
	}
	return s.run(ctx, tls.NewListener(limited(l, maxConns, maxConnsFrom), conf), &http.Server{ConnContext: withAddress, ReadHeaderTimeout: headerTimeout, Protocols: http1, TLSConfig: conf})
}

func (s *Server) run(ctx context.Context, l net.Listener, srv *http.Server) error {
	requests, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(http.ErrServerClosed)
	var running sync.WaitGroup // handlers
	h := s.Handler()
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		h.ServeHTTP(w, r)
	})
	base := context.WithValue(requests, stopping{}, requests)
	srv.BaseContext = func(net.Listener) context.Context { return base }
	srv.ReadTimeout, srv.IdleTimeout = headerTimeout+bodyTimeout, idleTimeout
	srv.MaxHeaderBytes = maxHeader
	srv.ErrorLog = slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug) // broken handshakes: anybody can make any number of them
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the API server ended: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	err := srv.Shutdown(grace)
	abort(http.ErrServerClosed) // long tasks notice that the daemon stops, and record how far they came
	if err != nil {
		err = srv.Close()
	}
	<-ended
	running.Wait() // the store is closed after this: no outcome is appended to a closed log
	return err
}

// stopping is under what a request's context has the one that ends when the
// daemon stops, and not when the client hangs up.
type stopping struct{}

// limited returns l with at most n connections open, and at most each of them
// from one address.
func limited(l net.Listener, n, each int) net.Listener {
	return &limitedListener{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{}), each: each, from: map[netip.Prefix]int{}}
}

type limitedListener struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
	each   int

	mu   sync.Mutex
	from map[netip.Prefix]int // open connections, by address
}

// Accept waits for a place, then for a connection from an address that has not
// as many as it gets; others are closed.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		if place := placeOfConn(c); l.enter(place) {
			return &placedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(place) })}, nil
		}
		_ = c.Close() // nothing was read or written that could be lost
	}
}

func placeOfConn(c net.Conn) netip.Prefix {
	a, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // those without an address are one place
	return placeOf(a.Addr().String())
}

func (l *limitedListener) enter(place netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from[place] >= l.each {
		return false
	}
	l.from[place]++
	return true
}

func (l *limitedListener) leave(place netip.Prefix) {
	l.mu.Lock()
	if l.from[place]--; l.from[place] == 0 {
		delete(l.from, place)
	}
	l.mu.Unlock()
	<-l.places
}

// Close ends the listener and whoever waits in Accept.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placedConn gives its place back when it is closed.
type placedConn struct {
	net.Conn
	leave func()
}

// Close ends the connection.
func (c *placedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
