package api

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever is told of a broken certificate may take their time, as a log on a
// slow disk does: other handshakes go on meanwhile, and the files are looked at.
func TestHandshakesGoOnWhileTheCertificateIsToldOf(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	ca.issue(cert, key, time.Now().AddDate(100, 0, 0))
	synctest.Test(t, func(t *testing.T) {
		told, free := make(chan error, 2), make(chan struct{})
		c, err := LoadCertificate(cert, key, slog.New(slog.DiscardHandler), func(err error) {
			told <- err
			<-free
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		c.current()
		time.Sleep(settle)
		go c.current()
		<-told
		passed := make(chan struct{})
		go func() {
			c.current()
			close(passed)
		}()
		select {
		case <-passed:
		case <-time.After(time.Hour):
			t.Error("a handshake waits for whoever is told")
		}
		close(free)
		synctest.Wait()
		if len(told) != 0 {
			t.Error("told twice")
		}
	})
}
