package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/api"
	"holdfast/internal/config"
)

// vault is an archive whose master key is not where the daemon looks.
type vault struct {
	t      *testing.T
	dir    string
	master [seal.MasterSize]byte
	Options
	logs  *lockedBuffer
	ready chan struct{} // one for each time the daemon says that it is ready
}

func newVault(t *testing.T) *vault {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	v := &vault{t: t, dir: dir, master: seal.NewKey(), logs: &lockedBuffer{}, ready: make(chan struct{}, 4)}
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Create(t.Context(), filepath.Join(dir, "data"), archive.CreateOptions{ArchiveID: "ward", Master: v.master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "cred"), 0o700); err != nil {
		t.Fatal(err)
	}
	v.Options = Options{
		Config:  &config.Config{Data: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "s"), Credentials: filepath.Join(dir, "cred")},
		Version: "test", Extract: extractor, Logger: slog.New(slog.NewTextHandler(v.logs, nil)), Ready: func() { v.ready <- struct{}{} },
	}
	return v
}

// put makes the credential's file.
func (v *vault) put(text string) {
	v.t.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, "cred", MasterFile), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// run starts the daemon and waits until it says that it is ready, or ended.
func (v *vault) run() (stop func() error) {
	v.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, v.Options) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	v.t.Cleanup(func() { _ = stop() })
	select {
	case <-v.ready:
	case err := <-ended:
		ended <- err
	}
	return stop
}

// health is what /healthz says at the socket.
func (v *vault) health() string {
	v.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", v.Config.Socket)
	}}}
	r, err := client.Get("http://holdfast/healthz")
	if err != nil {
		v.t.Fatal(err)
	}
	defer r.Body.Close()
	var h api.Health
	if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
		v.t.Fatal(err)
	}
	return h.Status
}

func (v *vault) unlock(key [seal.MasterSize]byte) error {
	c := api.NewClient(v.Config.Socket)
	defer c.Close()
	_, err := c.Unlock(v.t.Context(), api.UnlockRequest{Master: hex.EncodeToString(key[:]), Way: api.WayPassphrase})
	return err
}

// systemd plays it for the daemon: it counts what it is told.
type systemd struct {
	mu   sync.Mutex
	told map[string]int
	came chan struct{}
}

func newSystemd(t *testing.T, dir string) *systemd {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &systemd{told: map[string]int{}, came: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.told[string(b[:n])]++
			s.mu.Unlock()
			select {
			case s.came <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	t.Setenv("NOTIFY_SOCKET", address.Name)
	return s
}

func (s *systemd) count(state string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[state]
}

// until waits until systemd was told state more than n times.
func (s *systemd) until(t *testing.T, state string, n int) {
	t.Helper()
	late := time.After(30 * time.Second)
	for s.count(state) <= n {
		select {
		case <-s.came:
		case <-late:
			t.Fatalf("systemd was not told %q", state)
		}
	}
}

// A daemon without its key waits, is seen to live, takes the right key alone, and
// serves then as any other.
func TestLockedUntilUnlocked(t *testing.T) {
	v := newVault(t)
	v.Config.Metrics.Listen = "127.0.0.1:0"
	systemd := newSystemd(t, v.dir)
	t.Setenv("WATCHDOG_USEC", "300000")
	stop := v.run()
	if got := v.health(); got != api.StatusLocked {
		t.Fatalf("it is %s\n%s", got, v.logs)
	}
	systemd.until(t, "STATUS=locked: waiting for the master key; run `sudo holdfastd unlock`", 0)
	systemd.until(t, "WATCHDOG=1", 2)
	m := regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(v.logs.String())
	if m == nil {
		t.Fatalf("no address:\n%s", v.logs)
	}
	for path, want := range map[string]struct {
		code int
		text string
	}{"/healthz": {200, "locked"}, "/readyz": {503, "holdfastd unlock"}, "/metrics": {200, "holdfast_locked 1\n"}} {
		if code, body := get(t, "http://"+m[1]+path); code != want.code || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	var p *api.Problem
	if err := v.unlock(seal.NewKey()); !errors.As(err, &p) || p.Exit != api.ExitPermission {
		t.Errorf("another key: %v", err)
	}
	if got := v.health(); got != api.StatusLocked {
		t.Errorf("after another key it is %s", got)
	}
	if err := v.unlock(v.master); err != nil {
		t.Fatal(err)
	}
	<-v.ready
	if got := v.health(); got != "ok" {
		t.Errorf("unlocked, it is %s", got)
	}
	systemd.until(t, "WATCHDOG=1", systemd.count("WATCHDOG=1"))
	systemd.until(t, "STATUS=unlocked: opening the archive", 0)
	if err := v.unlock(v.master); !errors.As(err, &p) || p.Code != api.CodeNotFound {
		t.Errorf("unlocked again: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(v.logs.String(), hex.EncodeToString(v.master[:])[:16]) {
		t.Error("the key is in the log")
	}
	v.noted(archive.KeeperBody{Version: 1, Op: archive.KeyUnlocked, By: uint32(os.Geteuid()), Way: api.WayPassphrase})
}

// noted looks whether that is the one entry about the master key in the log.
func (v *vault) noted(want archive.KeeperBody) {
	v.t.Helper()
	a, err := archive.Open(v.t.Context(), v.Config.Data, archive.Options{Master: v.master})
	if err != nil {
		v.t.Fatal(err)
	}
	defer a.Close()
	var got []archive.KeeperBody
	for r, err := range a.Records(v.t.Context(), 0, a.Size()) {
		if err != nil {
			v.t.Fatal(err)
		}
		var b archive.KeeperBody
		if r.Leaf.Kind == proof.KindKey && json.Unmarshal(r.Body, &b) == nil && b.Op == want.Op {
			got = append(got, b)
		}
	}
	if len(got) != 1 || got[0] != want {
		v.t.Errorf("noted %+v, not %+v", got, want)
	}
}

// Whatever stands in place of the key: the daemon waits. Where there is nothing
// to wait for it ends.
func TestWhatLocks(t *testing.T) {
	v := newVault(t)
	other := seal.NewKey()
	for name, text := range map[string]string{
		"none": "", "the unit's word": credentialAbsent + "\n", "not hexadecimal": "what\n", "short": "00ff\n", "another archive's": hex.EncodeToString(other[:]) + "\n",
		"too long": strings.Repeat("0", 300),
	} {
		v.put(text)
		stop := v.run()
		if got := v.health(); got != api.StatusLocked {
			t.Errorf("%s: it is %s", name, got)
		}
		if err := stop(); err != nil {
			t.Errorf("%s: stopped while locked: %v", name, err)
		}
		if _, err := os.Lstat(v.Config.Socket); err == nil {
			t.Errorf("%s: the socket was left", name)
		}
	}
	v.put(hex.EncodeToString(v.master[:]) + "\n")
	stop := v.run()
	if got := v.health(); got != "ok" {
		t.Errorf("with the key it is %s", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for name, path := range map[string]*string{"no archive": &v.Config.Data, "a key, and no archive": &v.Config.Data} {
		*path = filepath.Join(v.dir, "nothing")
		if err := v.run()(); err == nil {
			t.Errorf("%s: it waits", name)
		}
		v.Config.Credentials = filepath.Join(v.dir, "none")
	}
}

// Two who come at once: both are told that it opens, and it opens once.
func TestUnlockedTwiceAtOnce(t *testing.T) {
	v := newVault(t)
	l := &locked{Options: v.Options, got: make(chan struct{})}
	r := api.UnlockRequest{Master: hex.EncodeToString(v.master[:]), Way: api.WayShares}
	var g sync.WaitGroup
	for uid := range uint32(4) {
		g.Go(func() {
			if err := l.unlock(t.Context(), r, uid); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	<-l.got
	if l.key.key != v.master || l.key.unlocked.Way != api.WayShares {
		t.Errorf("%+v", l.key.unlocked)
	}
	wrong := api.UnlockRequest{Master: strings.Repeat("00", seal.MasterSize), Way: api.WayKey}
	if err := (&locked{Options: v.Options, got: make(chan struct{})}).unlock(t.Context(), wrong, 0); !errors.Is(err, api.ErrWrongKey) {
		t.Errorf("a wrong key: %v", err)
	}
	if !strings.Contains(v.logs.String(), "was refused") {
		t.Errorf("a wrong key is not in the log: %s", v.logs)
	}
}

// Nothing goes on when a locked daemon ends, by its context or because its
// socket cannot be made.
func TestLockedLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	v := newVault(t)
	if err := v.run()(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
	v.Config.Socket = filepath.Join(v.dir, "none", "s")
	if err := v.run()(); !errors.Is(err, ErrSocket) {
		t.Errorf("no socket: %v", err)
	}
	v.Config.Socket, v.Config.Metrics.Listen = filepath.Join(v.dir, "s"), "127.0.0.1:99999"
	if err := v.run()(); !errors.Is(err, ErrMetrics) {
		t.Errorf("no address: %v", err)
	}
	if _, err := os.Lstat(v.Config.Socket); err == nil {
		t.Error("the socket was left")
	}
	goleak.VerifyNone(t, before)
}

// Locked, the daemon counts as alive for as long as it takes; unlocked, for as
// long as opening may take.
func TestLockedIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &locked{got: make(chan struct{})}
		alive := l.alive()
		look := func(after time.Duration, want error) {
			t.Helper()
			time.Sleep(after)
			if err := alive(t.Context()); !errors.Is(err, want) {
				t.Errorf("%v", err)
			}
		}
		look(0, nil)
		look(1000*time.Hour, nil)
		close(l.got)
		look(time.Hour, nil) // the first look: from here on it is counted
		look(openingLimit, nil)
		look(time.Second, errPulse)
	})
}
