package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"

	"holdfast/archive/audit"
)

// socketMode lets the socket's group in; who of them may do what is decided by
// the peer's uid on every request.
const socketMode = 0o660

// Listen makes the daemon's socket at path. A socket that an earlier process
// left behind is replaced; one at which somebody still answers is not. The
// caller holds the store's lock, so that two daemons of one store never come
// here at once.
func Listen(path string) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s is there and is not a socket; remove it, or set another path for the socket", path)
		}
		if c, err := net.Dial("unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("another daemon answers at %s; stop it first", path), c.Close())
		}
		// A crash after this leaves no socket, as after a clean stop.
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of an earlier process: %w", err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w; the folder must exist and be writable for the daemon", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

type peerKey struct{}

// peer is who is at the other end of a connection, or why that is unknown.
type peer struct {
	principal audit.Principal
	err       error
}

// withPeer is the server's ConnContext: it asks the kernel once a connection
// who opened it. The answer cannot be forged by the peer (unix(7), SO_PEERCRED).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	var p peer
	p.principal, p.err = credentials(c)
	return context.WithValue(ctx, peerKey{}, p)
}

func credentials(c net.Conn) (audit.Principal, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return audit.Principal{}, errors.New("the connection is not over a Unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return audit.Principal{}, err
	}
	var cred *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) // #nosec G115 -- a file descriptor
	}); err != nil {
		return audit.Principal{}, err
	}
	if sockErr != nil {
		return audit.Principal{}, sockErr
	}
	return audit.Principal{UID: &cred.Uid, Name: userName(cred.Uid)}, nil
}

// userName returns the name that the machine's user database has for uid.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil || u.Username == "" || len(u.Username) > 256 {
		return "uid " + id
	}
	return u.Username
}

// peerOf returns the principal of a request's connection.
func peerOf(ctx context.Context) (audit.Principal, error) {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return audit.Principal{}, errors.New("the connection's peer was not asked for")
	}
	return p.principal, p.err
}
