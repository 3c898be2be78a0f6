package notice

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/outward"
)

// maxCollector bounds what a collector may say: the protocols have it say
// nothing.
const maxCollector = 16 << 10

// settleEvery is how often it is looked whether the other end took all.
const settleEvery = 5 * time.Millisecond

// ErrGone is returned when a collector ends the connection.
var ErrGone = errors.New("the collector ended the connection")

// link is a connection to a collector.
type link struct {
	conn  net.Conn
	tcp   syscall.Conn  // nil for datagrams
	heard chan struct{} // closed once the other end has hung up, or spoke too much
	done  sync.WaitGroup
	stop  func() bool
}

// connect opens one. The handshake is bounded in time; the link itself lasts
// until ctx ends, or close.
func (s *Syslog) connect(whole context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(whole, outward.Timeout)
	defer cancel()
	network := "tcp"
	if s.o.Network == "udp" {
		network = "udp"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, s.o.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(whole, func() { _ = conn.Close() }) // what is under way fails by that
	if network == "udp" {
		return &link{conn: conn, stop: stop}, nil
	}
	l := &link{conn: conn, stop: stop, heard: make(chan struct{})}
	l.tcp, _ = conn.(syscall.Conn)
	if s.o.Network == "tls" {
		over := tls.Client(conn, outward.TLS(s.host, s.o.Roots))
		if err := over.HandshakeContext(ctx); err != nil {
			stop()
			return nil, errors.Join(err, conn.Close())
		}
		l.conn = over
	}
	l.done.Go(l.listen)
	return l, nil
}

// listen notices that the other end hangs up: syslog has no acknowledgement,
// and what is written to a connection that has ended is lost without a word.
func (l *link) listen() {
	defer close(l.heard)
	_, _ = io.Copy(io.Discard, io.LimitReader(l.conn, maxCollector))
}

// gone reports whether the other end has hung up.
func (l *link) gone() bool {
	select {
	case <-l.heard:
		return true // never of datagrams: the channel is nil
	default:
		return false
	}
}

// write sends one message: a frame of octet counting (RFC 6587 section 3.4.1,
// RFC 5425 section 4.3), or a datagram.
func (l *link) write(text string) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(outward.Timeout)); err != nil {
		return err
	}
	if l.heard != nil {
		text = fmt.Sprintf("%d %s", len(text), text)
	}
	_, err := io.WriteString(l.conn, text)
	return err
}

// settle waits until the other end's kernel has taken all that was written, and
// is still there: more cannot be known of a syslog collector, and of one by
// datagrams not even that.
func (l *link) settle(ctx context.Context) error {
	if l.heard == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, outward.Timeout)
	defer cancel()
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		left, err := l.unsent()
		if err != nil {
			return err
		}
		select {
		case <-l.heard:
			return ErrGone
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if left == 0 {
				return nil
			}
		}
	}
}

// unsent returns how many bytes the other end has not acknowledged (tcp(7),
// SIOCOUTQ).
func (l *link) unsent() (n int, err error) {
	if l.tcp == nil {
		return 0, nil
	}
	raw, err := l.tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) // #nosec G115 -- a descriptor
	return n, errors.Join(err, failed)
}

// close ends the link. What had not settled may be lost.
func (l *link) close() {
	l.stop()
	_ = l.conn.Close() // whatever it says, the link is over
	l.done.Wait()
}
