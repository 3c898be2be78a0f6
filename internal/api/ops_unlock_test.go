package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/role"
)

// bolted is a Locked whose key is right, and what it logged.
type bolted struct {
	Locked
	logs  bytes.Buffer
	taken []UnlockRequest
	fails error
}

const daemonUID = 990

var rightKey = strings.Repeat("5a", 32)

func newBolted() *bolted {
	b := &bolted{}
	b.Locked = Locked{Own: daemonUID, Monitor: Monitor{
		Registry: prometheus.NewRegistry(), Status: StatusLocked, Log: slog.New(slog.NewTextHandler(&b.logs, nil)),
		Ready: func(context.Context) error { return NotUnlocked() },
	}}
	b.Unlock = func(_ context.Context, r UnlockRequest, _ uint32) error {
		switch {
		case b.fails != nil:
			return b.fails
		case r.Master != rightKey:
			return ErrWrongKey
		}
		b.taken = append(b.taken, r)
		return nil
	}
	return b
}

const unlockBody = `{"master":"KEY","way":"shares"}`

// Root and the daemon's own account may hand the key over; nobody else, whatever
// they know.
func TestUnlockIsForRoot(t *testing.T) {
	body := strings.Replace(unlockBody, "KEY", rightKey, 1)
	for name, one := range map[string]struct {
		end
		code int
	}{
		"root":         {end{via: role.ViaSocket, uid: 0}, http.StatusOK},
		"the daemon":   {end{via: role.ViaSocket, uid: daemonUID}, http.StatusOK},
		"a user":       {end{via: role.ViaSocket, uid: 1000}, http.StatusForbidden},
		"unknown":      {end{err: errors.New("nobody knows")}, http.StatusForbidden},
		"unknown root": {end{uid: 0, err: errors.New("nobody knows")}, http.StatusForbidden},
	} {
		b := newBolted()
		w := as(b.handler(), one.end, "", "POST", "/v1/unlock", body)
		if w.Code != one.code || (len(b.taken) == 1) != (one.code == http.StatusOK) {
			t.Errorf("%s: %d %s, taken %d", name, w.Code, w.Body, len(b.taken))
		}
		if one.code != http.StatusOK && !strings.Contains(w.Body.String(), "sudo holdfastd unlock") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	b := newBolted()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/unlock", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.unlock(nil, r); err == nil || len(b.taken) > 0 {
		t.Errorf("a connection of which nothing is known: %v", err)
	}
}

// What is no request is refused before the key is looked at, and no answer and
// no log line repeats any of it.
func TestUnlockRequestsAreStrict(t *testing.T) {
	wrong := strings.Repeat("a5", 32)
	for name, one := range map[string]struct {
		body string
		code int
	}{
		"another key":   {strings.Replace(unlockBody, "KEY", wrong, 1), http.StatusForbidden},
		"short":         {strings.Replace(unlockBody, "KEY", wrong[2:], 1), http.StatusBadRequest},
		"long":          {strings.Replace(unlockBody, "KEY", wrong+"a5", 1), http.StatusBadRequest},
		"not a number":  {strings.Replace(unlockBody, "KEY", wrong[1:]+"g", 1), http.StatusBadRequest},
		"no way":        {`{"master":"` + wrong + `"}`, http.StatusBadRequest},
		"another way":   {`{"master":"` + wrong + `","way":"guess"}`, http.StatusBadRequest},
		"unknown":       {`{"master":"` + wrong + `","way":"key","x":1}`, http.StatusBadRequest},
		"twice":         {`{"master":"` + wrong + `","master":"` + wrong + `","way":"key"}`, http.StatusBadRequest},
		"two of them":   {strings.Repeat(strings.Replace(unlockBody, "KEY", wrong, 1), 2), http.StatusBadRequest},
		"empty":         {"", http.StatusBadRequest},
		"too long":      {`{"master":"` + strings.Repeat(wrong, 40) + `","way":"key"}`, http.StatusRequestEntityTooLarge},
		"only too long": {strings.Repeat(" ", maxUnlock+1), http.StatusRequestEntityTooLarge},
	} {
		b := newBolted()
		w := as(b.handler(), end{via: role.ViaSocket}, "", "POST", "/v1/unlock", one.body)
		if w.Code != one.code || len(b.taken) > 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if shown := w.Body.String() + b.logs.String(); strings.Contains(shown, "a5a5") {
			t.Errorf("%s: the key is in %s", name, shown)
		}
	}
	b := newBolted()
	b.fails = errors.New("the disk failed")
	if w := as(b.handler(), end{via: role.ViaSocket}, "", "POST", "/v1/unlock", strings.Replace(unlockBody, "KEY", rightKey, 1)); w.Code != http.StatusInternalServerError ||
		strings.Contains(w.Body.String()+b.logs.String(), "5a5a") || !strings.Contains(b.logs.String(), "could not be unlocked") {
		t.Errorf("%d %s\n%s", w.Code, w.Body, &b.logs)
	}
}

// Everything else says that the archive is locked, and what to do; the monitor's
// three addresses answer anybody who reaches the socket.
func TestLockedAnswers(t *testing.T) {
	b := newBolted()
	for at, want := range map[string]struct {
		code int
		text string
	}{
		"GET /healthz":    {200, `{"status":"locked"}`},
		"GET /readyz":     {503, "holdfastd unlock"},
		"GET /metrics":    {200, ""},
		"GET /v1/status":  {503, `"code":"locked"`},
		"POST /v1/search": {503, `"code":"locked"`},
		"GET /v1/unlock":  {503, `"code":"locked"`},
		"POST /healthz":   {503, `"code":"locked"`},
		"GET /":           {503, `"code":"locked"`},
	} {
		method, path, _ := strings.Cut(at, " ")
		w := as(b.handler(), end{via: role.ViaSocket, uid: 1000}, "", method, path, "{}")
		if w.Code != want.code || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", at, w.Code, w.Body)
		}
		if want.code == 503 && !strings.Contains(w.Body.String(), "sudo holdfastd unlock") {
			t.Errorf("%s: no way out: %s", at, w.Body)
		}
	}
}

// Over a real socket: the peer's account is asked from the kernel; once the key
// is there the socket is free for the daemon itself.
func TestLockedServes(t *testing.T) {
	b, path, got := newBolted(), socketPath(t), make(chan struct{})
	b.Own = uint32(os.Geteuid())
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	inner := b.Unlock
	b.Unlock = func(ctx context.Context, r UnlockRequest, uid uint32) error {
		if uid != b.Own {
			t.Errorf("the account is %d", uid)
		}
		err := inner(ctx, r, uid)
		if err == nil {
			close(got)
		}
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(t.Context(), got, listener) }()
	c := NewClient(path)
	defer c.Close()
	_, err = c.Unlock(t.Context(), UnlockRequest{Master: hex.EncodeToString(make([]byte, 32)), Way: WayKey})
	var p *Problem
	if !errors.As(err, &p) || p.Exit != ExitPermission || !strings.Contains(p.Hint, "--by-shares") {
		t.Errorf("another key: %v", err)
	}
	if _, err := c.Status(t.Context()); !errors.As(err, &p) || p.Code != CodeLocked || p.Exit != ExitTemporary {
		t.Errorf("a question: %v", err)
	}
	r, err := c.Unlock(t.Context(), UnlockRequest{Master: rightKey, Way: WayKey})
	if err != nil || r.Status != "opening" {
		t.Errorf("the key: %+v, %v", r, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if again, err := Listen(path); err != nil {
		t.Errorf("the socket is not free: %v", err)
	} else if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// It ends with its context, and says so when its listener ends by itself.
func TestLockedEnds(t *testing.T) {
	b := newBolted()
	at := func() net.Listener {
		l, err := Listen(socketPath(t))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Serve(ctx, nil, at()); err != nil {
		t.Error(err)
	}
	gone := at()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(t.Context(), nil, gone); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Error(err)
	}
}
