package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"

	"holdfast/archive/audit"
	"holdfast/internal/role"
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

type endKey struct{}

// end is who is at the other end of a connection, or why that is unknown.
type end struct {
	via     string // role.ViaSocket or role.ViaHTTPS
	uid     uint32 // over the socket
	name    string // of the account
	address string // over HTTPS: IP address, without a zone
	err     error
}

// withPeer is the socket's ConnContext: it asks the kernel once a connection
// who opened it. The answer cannot be forged by the peer (unix(7), SO_PEERCRED).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	e := end{via: role.ViaSocket}
	e.uid, e.err = credentials(c)
	if e.err == nil {
		e.name = userName(e.uid)
	}
	return context.WithValue(ctx, endKey{}, e)
}

// withAddress is the ConnContext of HTTPS.
func withAddress(ctx context.Context, c net.Conn) context.Context {
	e := end{via: role.ViaHTTPS}
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	e.address, e.err = a.Addr().Unmap().WithZone("").String(), err
	return context.WithValue(ctx, endKey{}, e)
}

func credentials(c net.Conn) (uint32, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("the connection is not over a Unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) // #nosec G115 -- a file descriptor
	}); err != nil {
		return 0, err
	}
	if sockErr != nil {
		return 0, sockErr
	}
	return cred.Uid, nil
}

// userName returns the name that the machine's user database has for uid.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil || u.Username == "" || len(u.Username) > audit.MaxName {
		return "uid " + id
	}
	return u.Username
}

// endOf returns who is at the other end of a request's connection.
func endOf(ctx context.Context) end {
	e, ok := ctx.Value(endKey{}).(end)
	if !ok {
		e.err = errors.New("the connection's peer was not asked for")
	}
	return e
}
