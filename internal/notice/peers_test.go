package notice

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quiet    = slog.New(slog.NewTextHandler(io.Discard, nil))
	quietLog = slog.NewLogLogger(quiet.Handler(), slog.LevelError)
)

// certified returns a certificate for 127.0.0.1, and who trusts it.
func certified(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}, s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
}

// listen serves each connection with f until the test ends.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().String()
}

// mailServer is an SMTP server (RFC 5321, STARTTLS of RFC 3207, AUTH of RFC
// 4954) that takes what it is sent, unless told otherwise.
type mailServer struct {
	tls      *tls.Config
	implicit bool   // TLS from the first byte
	plain    bool   // offers no STARTTLS
	password string // asked for when not empty
	reject   string // the command that is refused
	hangUp   bool   // after the mail, without a goodbye

	mu    sync.Mutex
	heard []string // commands
	mails []string
}

func (m *mailServer) note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, line)
}

// all returns everything that came, in one text.
func (m *mailServer) all() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.heard, "\n") + strings.Join(m.mails, "\n")
}

func (m *mailServer) serve(c net.Conn) {
	secure := m.implicit
	if m.implicit {
		c = tls.Server(c, m.tls)
	}
	in := bufio.NewReader(c)
	say := func(s string) { io.WriteString(c, s+"\r\n") }
	say("220 mail.test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		m.note(line)
		verb, rest, _ := strings.Cut(line, " ")
		if strings.EqualFold(verb, m.reject) {
			say("550 no")
			continue
		}
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-mail.test")
			if !secure && !m.plain {
				say("250-STARTTLS")
			}
			if m.password != "" {
				say("250-AUTH PLAIN LOGIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			c = tls.Server(c, m.tls)
			in, secure = bufio.NewReader(c), true
		case "AUTH":
			b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			if err != nil || string(b) != "\x00holdfast\x00"+m.password {
				say("535 no")
				continue
			}
			say("235 ok")
		case "DATA":
			say("354 go ahead")
			var mail strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				mail.WriteString(strings.TrimPrefix(line, "."))
			}
			m.mu.Lock()
			m.mails = append(m.mails, mail.String())
			m.mu.Unlock()
			say("250 taken")
			if m.hangUp {
				return
			}
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// slowly says one byte a while, for ever.
func slowly(c net.Conn) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(c, "2"); err != nil {
			return
		}
	}
}

// endlessly says one line that does not end.
func endlessly(c net.Conn) {
	for {
		if _, err := c.Write(make([]byte, 32<<10)); err != nil {
			return
		}
	}
}

// soon is a context for what must not take long.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// The hostile alarm, as nothing in the tree writes one: every field tries to be
// something else where it arrives.
var nasty = Alarm{
	Seq: 7, Severity: "critical\r\nBcc: x@evil.test", Name: "relay-gap\r\nSubject: free\n\n<1>1 - evil",
	Text: "text\r\n.\r\nMAIL FROM:<x@evil.test>\r\n\x1b[2J\u202e] \"\\ [x@1 a=\"b\"]", Fix: strings.Repeat("f", 10_000) + "\xff", Raised: time.Unix(1_800_000_000, 0),
}

func parcel(alarms ...Alarm) Parcel {
	return Parcel{ArchiveID: "st-elsewhere", Sent: time.Unix(1_800_000_100, 0), Alarms: alarms}
}

var gap = Alarm{
	Seq: 4711, Name: "relay-gap", Severity: "critical", Text: "events are missing in the relay's stream", Fix: "Ask the vendor for the missing range.", Raised: time.Unix(1_800_000_000, 0),
}
