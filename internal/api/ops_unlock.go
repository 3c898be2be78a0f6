package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"holdfast/archive/seal"
)

// StatusLocked is what /healthz says of a daemon that waits for its master key.
const StatusLocked = "locked"

// CodeLocked is the code of the problem that such a daemon answers all else with.
const CodeLocked = "locked"

// ErrWrongKey is what a Locked's Unlock returns for a key that is not the archive's.
var ErrWrongKey = errors.New("the keyring does not open with this master key")

// The ways in which a master key came to who hands it over, in UnlockRequest.Way.
const (
	WayPassphrase = "passphrase"
	WayShares     = "shares"
	WayKey        = "key" // the credential, put right
)

// UnlockRequest hands the master key to a daemon that waits for it.
type UnlockRequest struct {
	Master string `json:"master"` // 64 hexadecimal digits
	Way    string `json:"way"`    // one of the Way constants
}

// UnlockResponse says that the daemon has it and opens the archive.
type UnlockResponse struct {
	Status string `json:"status"` // "opening"
}

// maxUnlock bounds an UnlockRequest, in bytes.
const maxUnlock = 1 << 10

// Key returns the request's master key, or a problem.
func (u UnlockRequest) Key() (key [seal.MasterSize]byte, err error) {
	b, err := hex.DecodeString(u.Master)
	if err != nil || len(b) != len(key) {
		return key, badRequest("the master key is 64 hexadecimal digits", "use `holdfastd unlock`")
	}
	switch u.Way {
	case WayPassphrase, WayShares, WayKey:
	default:
		return key, badRequest("way is passphrase, shares or key", "use `holdfastd unlock`")
	}
	return [seal.MasterSize]byte(b), nil
}

// Locked answers at the daemon's socket while it waits for its master key: what
// a Monitor answers, POST /v1/unlock for root and the daemon's own account, and
// the same problem for everything else.
type Locked struct {
	Monitor
	Own uint32 // the daemon's own account
	// Unlock takes the key of an account: ErrWrongKey if it is another archive's.
	Unlock func(ctx context.Context, r UnlockRequest, uid uint32) error
}

// Serve answers at the socket l until ctx ends or done is closed: requests under
// way are answered first. It closes l and returns nil after either.
func (l *Locked) Serve(ctx context.Context, done <-chan struct{}, listener net.Listener) error {
	srv := &http.Server{
		Handler: l.handler(), ConnContext: withPeer, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: monitorTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(l.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the API server ended: %w", err)
	case <-ctx.Done():
	case <-done:
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-ended
	return err
}

func (l *Locked) handler() http.Handler {
	monitor := l.Monitor.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /metrics", "GET /healthz", "GET /readyz":
			monitor.ServeHTTP(w, r)
			return
		}
		harden(w.Header())
		err := error(locked())
		if r.Method+" "+r.URL.Path == "POST /v1/unlock" {
			err = l.unlock(w, r)
		}
		if err == nil {
			return
		}
		p := problemOf(err)
		if p.Code == CodeInternal {
			l.Log.Error("the daemon could not be unlocked", "error", err)
		}
		if err := writeProblem(w, p); err != nil {
			l.Log.Debug("a client hung up")
		}
	})
}

func (l *Locked) unlock(w http.ResponseWriter, r *http.Request) error {
	e := endOf(r.Context())
	if e.err != nil || e.uid != 0 && e.uid != l.Own {
		return &Problem{Title: "only root may unlock the archive", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "run `sudo holdfastd unlock`"}
	}
	var req UnlockRequest
	if err := decodeUpTo(w, r, &req, maxUnlock); err != nil {
		return err
	}
	if _, err := req.Key(); err != nil {
		return err
	}
	err := l.Unlock(r.Context(), req, e.uid)
	if errors.Is(err, ErrWrongKey) {
		return &Problem{Title: ErrWrongKey.Error(), Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "it is another archive's, or from before the archive was unlocked by shares; `holdfastd unlock --by-shares` makes a new one"}
	}
	if err != nil {
		return err
	}
	return reply(w, UnlockResponse{Status: "opening"})
}

// Unlock hands the master key to a daemon that waits for it. One that does not
// wait answers with CodeNotFound.
func (c *Client) Unlock(ctx context.Context, req UnlockRequest) (*UnlockResponse, error) {
	return ask[UnlockResponse](ctx, c, http.MethodPost, "/v1/unlock", req)
}

// locked is the answer to everything else.
func locked() *Problem {
	return &Problem{Title: "the archive is locked: the daemon waits for its master key", Status: http.StatusServiceUnavailable, Code: CodeLocked, Exit: ExitTemporary,
		Hint: "run `sudo holdfastd unlock` on the archive's machine: it takes the passphrase, or shares of the recovery kit"}
}

// NotUnlocked is why a locked daemon is not ready.
func NotUnlocked() error { return locked() }
