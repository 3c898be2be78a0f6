package command

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast/internal/api"
)

// way is how a command reaches the daemon.
type way struct {
	Kind    string `json:"kind"`    // waySocket or wayHTTPS
	Address string `json:"address"` // the socket's path, or the server
	Why     string `json:"why"`     // by which rule
	login   *login // over HTTPS
}

const (
	waySocket = "socket"
	wayHTTPS  = "https"
)

// wayRule is how the way is chosen, for the help.
const wayRule = `Which way a command goes to the daemon, by the first of these that applies:
  1. --socket PATH: the Unix socket
  2. --server https://HOST:PORT: the network, with the session that login saved for that server
  3. a saved session: the network, to the server that it was logged in to
  4. a socket at ` + DefaultSocket + `: that one
A session that has ended is not passed over for the socket: exit code 77 asks for a new login.
So does having logged out where there is no such socket.`

// chooseWay applies wayRule.
func (g *globals) chooseWay() (*way, error) {
	if g.socketGiven {
		if g.server != "" {
			return nil, usage("--socket and --server are two ways to the daemon: give one of them")
		}
		return &way{Kind: waySocket, Address: g.socket, Why: "--socket was given"}, nil
	}
	l, err := g.Desk.read()
	if err != nil {
		return nil, err
	}
	if g.server != "" {
		server, err := serverURL(g.server)
		switch {
		case err != nil:
			return nil, err
		case l == nil || l.Server != server || l.Kept == "":
			return nil, loggedOut()
		}
		return &way{Kind: wayHTTPS, Address: server, Why: "--server was given", login: l}, nil
	}
	if l != nil && l.Kept != "" {
		return &way{Kind: wayHTTPS, Address: l.Server, Why: "a session is saved", login: l}, nil
	}
	if _, err := os.Lstat(g.socket); l != nil && errors.Is(err, fs.ErrNotExist) {
		return nil, loggedOut()
	}
	return &way{Kind: waySocket, Address: g.socket, Why: "no session is saved"}, nil
}

func loggedOut() error {
	return &api.Problem{Title: "you are not logged in", Exit: api.ExitPermission, Hint: "log in with `holdfast login`"}
}

// client returns a client that goes a way; the caller closes it.
func (g *globals) client(ctx context.Context, w *way) (*api.Client, error) {
	if w.Kind == waySocket {
		return api.NewClient(w.Address), nil
	}
	token, err := g.Desk.token(ctx, w.login)
	if err != nil {
		return nil, err
	}
	return g.Desk.client(w.login, token)
}

// client returns a client of l's server with a token, or with none to log in.
func (d *Desk) client(l *login, token string) (*api.Client, error) {
	o := api.HTTPSOptions{Address: l.Server, Token: token}
	if l.CA != "" {
		o.CA = filepath.Join(d.Dir, l.CA)
	}
	return api.NewHTTPSClient(o)
}

// ask runs f with a client of the daemon.
func ask[T any](ctx context.Context, g *globals, f func(c *api.Client) (T, error)) (T, error) {
	w, err := g.chooseWay()
	if err != nil {
		var none T
		return none, err
	}
	return askBy(ctx, g, w, f)
}

// askBy is ask by a way that is chosen already.
func askBy[T any](ctx context.Context, g *globals, w *way, f func(c *api.Client) (T, error)) (T, error) {
	c, err := g.client(ctx, w)
	if err != nil {
		var none T
		return none, err
	}
	defer c.Close()
	return f(c)
}
