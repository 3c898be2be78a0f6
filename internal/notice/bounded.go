package notice

import (
	"context"
	"net"
	"time"

	"holdfast/internal/outward"
)

// bounded is a connection that ends with its context and hears a bounded
// number of bytes. Whoever speaks over it may set deadlines that are sooner.
type bounded struct {
	net.Conn
	left  int64
	until time.Time
	stop  func() bool
}

func newBounded(ctx context.Context, conn net.Conn, limit int64) *bounded {
	b := &bounded{Conn: conn, left: limit}
	b.until, _ = ctx.Deadline()
	b.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // what it fails by then is an error already
	return b
}

// Read reads what is left of the limit.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, outward.ErrTooLong
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// SetDeadline sets it, or the context's if that is sooner.
func (b *bounded) SetDeadline(t time.Time) error {
	if !b.until.IsZero() && (t.IsZero() || t.After(b.until)) {
		t = b.until
	}
	return b.Conn.SetDeadline(t)
}

// Close ends the connection.
func (b *bounded) Close() error {
	b.stop()
	return b.Conn.Close()
}
