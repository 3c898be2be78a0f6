package notice

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// collector of a SIEM: it takes the frames of RFC 5425 apart and parses each
// message by RFC 5424, strictly.
type siem struct {
	t    *testing.T
	tls  *tls.Config      // nil: plain TCP
	hang func(n int) bool // says after how many messages it hangs up

	mu   sync.Mutex
	got  []*rfc5424.SyslogMessage
	raw  []string
	came chan struct{}
}

func newSIEM(t *testing.T, config *tls.Config) *siem {
	return &siem{t: t, tls: config, came: make(chan struct{}, 1)}
}

func (s *siem) serve(c net.Conn) {
	if s.tls != nil {
		over := tls.Server(c, s.tls)
		defer over.Close()
		c = over
	}
	in := bufio.NewReader(c)
	for {
		size, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, " "))
		if err != nil || n < 1 || n > maxLine {
			s.t.Errorf("a frame of %q bytes", size)
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		if !s.take(b) {
			return
		}
	}
}

func (s *siem) take(b []byte) bool {
	m, err := rfc5424.NewParser().Parse(b)
	if err != nil {
		s.t.Errorf("%q: %v", b, err)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang != nil && s.hang(len(s.got)) {
		return false
	}
	s.got, s.raw = append(s.got, m.(*rfc5424.SyslogMessage)), append(s.raw, string(b))
	select {
	case s.came <- struct{}{}:
	default:
	}
	return true
}

// all returns what came, once there are n.
func (s *siem) all(n int) []*rfc5424.SyslogMessage {
	s.t.Helper()
	late := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		got := s.got
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-s.came:
		case <-late:
			s.t.Fatalf("%d messages came, and %d were due", len(got), n)
		}
	}
}

func newCollector(t *testing.T, network, address string, roots *x509.CertPool) *Syslog {
	t.Helper()
	s, err := NewSyslog(SyslogOptions{Address: address, Network: network, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func data(m *rfc5424.SyslogMessage) map[string]string { return (*m.StructuredData)[elementID] }

func TestSyslog(t *testing.T) {
	config, roots := certified(t)
	over, plain, packets := newSIEM(t, config), newSIEM(t, nil), newSIEM(t, nil)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, _, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			packets.take(bytes.Clone(b[:n]))
		}
	})
	t.Cleanup(func() { socket.Close(); reading.Wait() })
	for name, c := range map[string]struct {
		*siem
		to *Syslog
	}{
		"tls": {over, newCollector(t, "tls", listen(t, over.serve), roots)},
		"tcp": {plain, newCollector(t, "tcp", listen(t, plain.serve), nil)},
		"udp": {packets, newCollector(t, "udp", socket.LocalAddr().String(), nil)},
	} {
		t.Run(name, func(t *testing.T) {
			warning := gap
			warning.Severity, warning.Seq, warning.Repeat = "warning", 4712, 2
			if err := c.to.Send(t.Context(), parcel(gap, warning, nasty)); err != nil {
				t.Fatal(err)
			}
			got := c.all(3)
			m := got[0]
			if *m.Priority != 3*8+2 || *m.Appname != "holdfast" || *m.MsgID != "alarm" || m.Hostname == nil || !m.Timestamp.Equal(time.Unix(1_800_000_100, 0)) || *m.Message != gap.Text+" "+gap.Fix {
				t.Errorf("%+v", m)
			}
			if d := data(m); d["seq"] != "4711" || d["name"] != "relay-gap" || d["archive"] != "st-elsewhere" || d["raised"] != "2027-01-15T08:00:00Z" {
				t.Errorf("%v", d)
			}
			if *got[1].Priority != 3*8+4 || data(got[1])["repeat"] != "2" {
				t.Errorf("%+v", got[1])
			}
			if len(got) != 3 || strings.ContainsAny(c.raw[2], "\n\r\x1b") {
				t.Errorf("%d messages, %q", len(got), c.raw[2])
			}
		})
	}
}

func TestSyslogHostile(t *testing.T) {
	config, roots := certified(t)
	s := newSIEM(t, config)
	addr := listen(t, s.serve)
	if err := newCollector(t, "tls", addr, nil).Send(t.Context(), parcel(gap)); Class(err) != FailedCertificate {
		t.Errorf("certified by nobody here: %v", err)
	}
	if err := newCollector(t, "tls", strings.Replace(addr, "127.0.0.1", "localhost", 1), roots).Send(t.Context(), parcel(gap)); Class(err) != FailedCertificate {
		t.Errorf("certified for another: %v", err)
	}
	if err := newCollector(t, "tls", listen(t, func(net.Conn) {}), roots).Send(t.Context(), parcel(gap)); err == nil {
		t.Error("one that hangs up at once took it")
	}
	hangs := func(c net.Conn) {
		b := make([]byte, 1)
		_, _ = c.Read(b)
	}
	if err := newCollector(t, "tcp", listen(t, hangs), nil).Send(t.Context(), parcel(gap)); err == nil {
		t.Error("one that hangs up in the middle took it")
	}
	for name, f := range map[string]func(net.Conn){"endless": endlessly, "slow": slowly} {
		if err := newCollector(t, "tls", listen(t, f), roots).Send(soon(t), parcel(gap)); err == nil {
			t.Errorf("%s took it", name)
		}
	}
	// One that takes nothing more, once its buffers are full.
	full := newCollector(t, "tcp", listen(t, func(c net.Conn) { <-t.Context().Done() }), nil)
	if err := full.Send(soon(t), parcel(make([]Alarm, 100_000)...)); err == nil {
		t.Error("one that reads nothing took it all")
	}
	if _, err := NewSyslog(SyslogOptions{Address: "siem"}); !errors.Is(err, ErrSettings) {
		t.Errorf("%v", err)
	}
}

// Whatever an alarm holds, it is one message that a strict parser takes, with
// nothing in it that ends a line or a frame.
func FuzzLine(f *testing.F) {
	f.Add("st-elsewhere", "relay-gap", "a gap", "fix it")
	f.Add(nasty.Name, nasty.Severity, nasty.Text, nasty.Fix)
	f.Add("", "", "\ufeff\x00", "\xff]\"\\")
	s := &Syslog{own: "host\n"}
	f.Fuzz(func(t *testing.T, id, name, text, fix string) {
		p := Parcel{ArchiveID: id, Sent: time.Unix(1, 0), Alarms: []Alarm{{Name: name, Text: text, Fix: fix}}}.clean()
		line, err := s.alarm(p, p.Alarms[0])
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) || len(line) > maxLine {
			t.Errorf("%q", line)
		}
		if _, err := rfc5424.NewParser().Parse([]byte(line)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	})
}
