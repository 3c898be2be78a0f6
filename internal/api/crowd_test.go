package api

import (
	"context"
	"net"
	"testing"
	"time"
)

// Whoever holds as many connections as one address gets keeps nobody else out:
// more of them are closed at once, and take no place from others.
func TestOneAddressTakesNotEveryConnection(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited(inner, 3, 2)
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		c, err := d.DialContext(context.Background(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	closed := func(c net.Conn) bool {
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		timeout, ok := err.(net.Error)
		return err != nil && !(ok && timeout.Timeout())
	}
	dial("127.0.0.1")
	first := <-accepted
	dial("127.0.0.1")
	second := <-accepted
	for range 5 {
		if !closed(dial("127.0.0.1")) {
			t.Fatal("one address has more connections than it gets")
		}
	}
	dial("127.0.0.2")
	other := <-accepted
	if got := other.RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.2" {
		t.Fatalf("%s got in", got)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	dial("127.0.0.1")
	third := <-accepted // its place is free again
	for _, c := range []net.Conn{second, third, other} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if c, ok := <-accepted; ok {
		t.Errorf("%v after the end", c)
	}
}

// What serves the network has both bounds.
func TestTheNetworkIsServedWithinBounds(t *testing.T) {
	desk := serveTLS(t, newTown(t).server())
	for range maxConnsFrom {
		c, err := net.Dial("tcp", desk.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	resp, err := desk.client(t, "").http.Get("https://" + desk.addr + "/healthz")
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("one more connection than an address gets was served: %d", resp.StatusCode)
	}
}
