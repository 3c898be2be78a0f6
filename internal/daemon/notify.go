package daemon

import (
	"errors"
	"net"
	"os"
	"time"
)

// notifyTimeout is how long a word to systemd may wait for room in its socket:
// nothing else of the daemon waits for a service manager that is busy.
const notifyTimeout = 2 * time.Second

// Notify tells the service manager a state, as sd_notify(3) has it, and nobody
// where there is none. Unlike the library's it gives up after two seconds.
func Notify(state string) (err error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}
