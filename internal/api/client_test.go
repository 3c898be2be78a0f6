package api

import (
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestUnreachable(t *testing.T) {
	path := socketPath(t)
	c := NewClient(path)
	defer c.Close()
	_, err := c.Status(t.Context())
	if p := problem(t, err); p.Exit != ExitUnreachable || p.Detail != "there is no such socket" || !strings.Contains(p.Title, path) {
		t.Errorf("no socket: %+v", p)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	if p := problem(t, err); p.Exit != ExitUnreachable || p.Detail != "nobody listens there" {
		t.Errorf("nobody listens: %+v", p)
	}
	long := NewClient("/tmp/" + strings.Repeat("x", 200))
	defer long.Close()
	_, err = long.Status(t.Context())
	if p := problem(t, err); p.Exit != ExitUnreachable || p.Detail != "the path is too long for a socket" {
		t.Errorf("long path: %+v", p)
	}
	// Root passes every permission check, so the mapping is tried by itself.
	if p := problem(t, c.unreachable(&net.OpError{Op: "dial", Err: fs.ErrPermission})); p.Exit != ExitPermission {
		t.Errorf("no permission: %+v", p)
	}
}

func TestWhatIsNotTheDaemon(t *testing.T) {
	for name, tt := range map[string]struct{ contentType, body string }{
		"a page":       {"text/html", "<html>"},
		"null":         {"application/json", "null"},
		"a list":       {"application/json", "[]"},
		"member twice": {"application/json", `{"size":1,"size":2}`},
	} {
		c := replay(t, tt.contentType, func() []byte { return []byte(tt.body) }, false)
		_, err := c.Status(t.Context())
		if err == nil && name == "null" {
			continue // reads as an empty status; harmless
		}
		if p := problem(t, err); p.Code != CodeProtocol || p.Exit != ExitUnreachable {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestParseProblem(t *testing.T) {
	for _, bad := range []string{"", "{}", `{"title":"x","code":"y"}`, `{"title":"x","code":"y","exit":0}`, `{"title":"x","code":"y","exit":300}`, `{"title":"x","code":"","exit":64}`} {
		if p, err := parseProblem([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, p)
		}
	}
	p, err := parseProblem([]byte(`{"title":"x","code":"y","exit":64,"new":true}`))
	if err != nil || p.Error() != "x" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestNoRedirects(t *testing.T) {
	h := newHouse(t)
	c, _ := serve(t, h.server())
	resp, body := post(t, c, "POST", "//v1/search", "application/json", `{}`)
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, CodeNotFound) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
