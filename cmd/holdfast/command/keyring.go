package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zalando/go-keyring"

	"holdfast/internal/api"
)

// Keyring keeps tokens, one for each server. It answers within a few seconds
// or fails.
type Keyring interface {
	// Keep puts the token for server in place of what was there.
	Keep(ctx context.Context, server, token string) error
	// Token returns the token for server.
	Token(ctx context.Context, server string) (string, error)
	// Forget removes the token for server. That there is none is no error.
	Forget(ctx context.Context, server string) error
}

// keyringService is under what name tokens stand in the keyring.
const keyringService = "holdfast"

// keyringTimeout bounds each question to the keyring. One that is locked asks
// its owner first and may take longer; it is then as if there were none.
const keyringTimeout = 2 * time.Second

var errNoKeyring = &api.Problem{Title: "the keyring that holds your session's token does not answer", Exit: api.ExitPermission,
	Hint: "unlock it and try again, or log in again with `holdfast login`"}

// desktopKeyring is the keyring of a Linux desktop: the Secret Service of the
// session's D-Bus.
type desktopKeyring struct{}

// Keep implements Keyring.
func (desktopKeyring) Keep(ctx context.Context, server, token string) error {
	_, err := askKeyring(ctx, func() (string, error) { return "", keyring.Set(keyringService, server, token) })
	return err
}

// Token implements Keyring.
func (desktopKeyring) Token(ctx context.Context, server string) (string, error) {
	return askKeyring(ctx, func() (string, error) { return keyring.Get(keyringService, server) })
}

// Forget implements Keyring.
func (desktopKeyring) Forget(ctx context.Context, server string) error {
	_, err := askKeyring(ctx, func() (string, error) {
		err := keyring.Delete(keyringService, server)
		if errors.Is(err, keyring.ErrNotFound) {
			err = nil
		}
		return "", err
	})
	return err
}

// askKeyring asks the session's bus, if there is one, for as long as
// keyringTimeout. The library knows no deadline, so that one who does not
// answer is left behind. Its errors are not passed on: they are another
// program's words.
func askKeyring(ctx context.Context, f func() (string, error)) (string, error) {
	if !sessionBus(os.Getenv("DBUS_SESSION_BUS_ADDRESS"), filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus")) {
		return "", errNoKeyring
	}
	bounded, cancel := context.WithTimeout(ctx, keyringTimeout)
	defer cancel()
	s, err := wait(bounded, func() (s string, err error) {
		defer func() {
			if recover() != nil { // the library trusts the types of the bus's answers
				err = errNoKeyring
			}
		}()
		return f()
	})
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", errNoKeyring
	}
	return s, nil
}

// sessionBus reports whether there is a session bus at a socket. Without one
// the library would start a bus of its own, which nobody ends.
func sessionBus(address, path string) bool {
	if address != "" {
		return strings.HasPrefix(address, "unix:path=") || strings.HasPrefix(address, "unix:abstract=")
	}
	_, err := os.Stat(path)
	return err == nil
}
