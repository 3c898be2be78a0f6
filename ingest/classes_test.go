package ingest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/ingest/wire"
)

func TestClassesOfFailures(t *testing.T) {
	for _, c := range []struct {
		err   error
		class string
	}{
		{nil, ""},
		{fmt.Errorf("x: %w", archive.ErrDiskFull), "disk_full"},
		{fmt.Errorf("x: %w", archive.ErrFailed), "log"},
		{&wire.HeadError{}, "page_head"},
		{&wire.Problem{Status: 401}, "refused"},
		{&wire.Problem{Status: 404}, "not_found"},
		{&wire.Problem{Status: 410}, "gone"},
		{&wire.Problem{Status: 410, Code: wire.CodeCursorExpired}, "cursor_expired"},
		{&wire.Problem{Status: 409, Code: wire.CodeKeysetVersion}, "conflict"},
		{&wire.Problem{Status: 409, Code: wire.CodeAckAhead}, "ack_ahead"},
		{&wire.Problem{Status: 413}, "page_too_large"},
		{&wire.Problem{Status: 429}, "slow_down"},
		{&wire.Problem{Status: 500}, "bad_answer"},
		{&url.Error{Op: "Get", Err: x509.UnknownAuthorityError{}}, "tls"},
		{&url.Error{Op: "Get", Err: &net.OpError{Op: "remote error", Err: tls.AlertError(42)}}, "tls"},
		{&url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}}, "network"},
		{&url.Error{Op: "Get", Err: io.ErrUnexpectedEOF}, "network"},
		{fmt.Errorf("x: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}), "log"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "disk_full"},
		{&url.Error{Op: "Get", Err: &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}}, "network"},
		{errors.New("nobody knows"), "internal"},
	} {
		if got := classOf(c.err); got != c.class {
			t.Errorf("class of %v: %q; want %q", c.err, got, c.class)
		}
	}
}

func TestBackoffGrowsAndListens(t *testing.T) {
	b := backoff{low: time.Second, high: time.Minute}
	var last time.Duration
	for _, full := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		d := b.pause(nil)
		if d < full*time.Second/2 || d > full*time.Second {
			t.Errorf("pause %v after %v; want up to %d s", d, last, full)
		}
		last = d
	}
	if d := b.pause(&wire.Problem{Status: 429, RetryAfter: time.Hour}); d != time.Hour {
		t.Errorf("pause %v; the relay said an hour", d)
	}
	b.reset()
	if d := b.pause(nil); d > time.Second {
		t.Errorf("pause %v after a success", d)
	}
}
