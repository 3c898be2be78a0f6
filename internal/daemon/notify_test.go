package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A service manager that reads nothing holds the daemon up for a moment, and no
// longer; none at all, not even that.
func TestNotifyGivesUp(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without one: %v", err)
	}
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"}
	t.Setenv("NOTIFY_SOCKET", address.Name)
	if err := Notify("READY=1"); err == nil {
		t.Error("one that is not there was told")
	}
	deaf, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	ended := make(chan error, 1)
	go func() {
		for {
			if err := Notify("STATUS=x"); err != nil {
				ended <- err
				return
			}
		}
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	case <-time.After(notifyTimeout + 20*time.Second):
		t.Error("it waits for a service manager that reads nothing")
		deaf.Close()
		<-ended
	}
}
