package notice

import (
	"errors"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

func newMail(t *testing.T, m *mailServer, change func(*SMTPOptions)) *SMTP {
	t.Helper()
	config, roots := certified(t)
	m.tls = config
	o := SMTPOptions{Address: listen(t, m.serve), Implicit: m.implicit, Roots: roots, From: "holdfast@st-elsewhere.test", To: []string{"it@st-elsewhere.test", "Night Shift <night@st-elsewhere.test>"}}
	if m.password != "" {
		o.User, o.Password = "holdfast", m.password
	}
	if change != nil {
		change(&o)
	}
	s, err := NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns a mail's header and its text.
func read(t *testing.T, text string) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, string(body)
}

func TestMail(t *testing.T) {
	for name, m := range map[string]*mailServer{
		"STARTTLS":           {},
		"STARTTLS and login": {password: "correct horse"},
		"TLS and login":      {implicit: true, password: "correct horse"},
		"hangs up":           {hangUp: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMail(t, m, nil)
			repeated := gap
			repeated.Seq, repeated.Repeat = 4700, 3
			if err := s.Send(t.Context(), parcel(gap, repeated)); err != nil {
				t.Fatal(err)
			}
			if len(m.mails) != 1 {
				t.Fatalf("%d mails", len(m.mails))
			}
			header, body := read(t, m.mails[0])
			if got := header.Get("Subject"); got != "[holdfast st-elsewhere] critical: 2 alarms are open" || header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("%q, %v", got, header)
			}
			for _, want := range []string{"relay-gap", "entry 4711", gap.Text, gap.Fix, "sent 3 times before", "holdfast alarms ack", "2027-01-15T08:00:00Z"} {
				if !strings.Contains(body, want) {
					t.Errorf("it does not say %q:\n%s", want, body)
				}
			}
			if to, err := header.AddressList("To"); err != nil || len(to) != 2 {
				t.Errorf("%v, %v", to, err)
			}
		})
	}
}

func TestMailOfMany(t *testing.T) {
	m := &mailServer{}
	s := newMail(t, m, nil)
	if err := s.Send(t.Context(), parcel(make([]Alarm, maxMail+9)...)); err != nil {
		t.Fatal(err)
	}
	if _, body := read(t, m.mails[0]); !strings.Contains(body, "9 more alarms are open") {
		t.Errorf("%s", body)
	}
}

// Whatever an alarm holds, it is one mail with our header and our lines.
func TestMailCannotBeInjected(t *testing.T) {
	m := &mailServer{}
	s := newMail(t, m, nil)
	p := parcel(nasty)
	p.ArchiveID = "x\r\nBcc: x@evil.test"
	if err := s.Send(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(m.mails) != 1 {
		t.Fatalf("%d mails", len(m.mails))
	}
	header, body := read(t, m.mails[0])
	if header.Get("Bcc") != "" || len(header["Subject"]) != 1 || strings.Contains(body, "\x1b") || strings.Contains(body, "\n.") || strings.Contains(body, "Subject: free") || len(body) > 4096 {
		t.Errorf("%v\n%q", header, body)
	}
	rcpt := 0
	for _, line := range m.heard {
		if strings.HasPrefix(line, "RCPT") {
			rcpt++
		}
		if strings.Contains(line, "evil") {
			t.Errorf("the server was told %q", line)
		}
	}
	if rcpt != 2 {
		t.Errorf("%d recipients", rcpt)
	}
}

func TestMailHostile(t *testing.T) {
	for name, c := range map[string]struct {
		m      *mailServer
		change func(*SMTPOptions)
		class  string
	}{
		"without TLS":                                {m: &mailServer{plain: true, password: "correct horse"}, class: FailedTLS},
		"says that it is without":                    {m: &mailServer{reject: "STARTTLS"}, class: FailedOther},
		"TLS from the first byte, and there is none": {m: &mailServer{plain: true, password: "correct horse"}, change: func(o *SMTPOptions) { o.Implicit = true }, class: FailedTLS},
		"certified for another":                      {m: &mailServer{password: "correct horse"}, change: func(o *SMTPOptions) { o.Address = strings.Replace(o.Address, "127.0.0.1", "localhost", 1) }, class: FailedCertificate},
		"certified by nobody here":                   {m: &mailServer{implicit: true, password: "correct horse"}, change: func(o *SMTPOptions) { o.Roots = nil }, class: FailedCertificate},
		"refuses the recipient":                      {m: &mailServer{reject: "RCPT"}, class: FailedOther},
		"refuses the mail":                           {m: &mailServer{reject: "DATA"}, class: FailedOther},
		"refuses the login":                          {m: &mailServer{password: "correct horse"}, change: func(o *SMTPOptions) { o.Password = "wrong" }, class: FailedOther},
	} {
		s := newMail(t, c.m, c.change)
		err := s.Send(t.Context(), parcel(gap))
		if err == nil || Class(err) != c.class {
			t.Errorf("%s: %v", name, err)
		}
		if all := c.m.all(); len(c.m.mails) != 0 || c.m.password != "" && strings.Contains(all, "AUTH") && c.change == nil || strings.Contains(all, "relay-gap") {
			t.Errorf("%s: the server was told %q", name, all)
		}
	}
	for name, f := range map[string]func(net.Conn){"endless": endlessly, "slow": slowly} {
		s := newMail(t, &mailServer{}, func(o *SMTPOptions) { o.Address = listen(t, f) })
		began := time.Now()
		if err := s.Send(soon(t), parcel(gap)); err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
	}
}

func TestMailSettings(t *testing.T) {
	good := SMTPOptions{Address: "mail.test:587", From: "a@b.test", To: []string{"c@d.test"}}
	if _, err := NewSMTP(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*SMTPOptions){
		"no port":             func(o *SMTPOptions) { o.Address = "mail.test" },
		"a service":           func(o *SMTPOptions) { o.Address = "mail.test:smtp" },
		"a header for sender": func(o *SMTPOptions) { o.From = "a@b.test\r\nBcc: x@evil.test" },
		"no address":          func(o *SMTPOptions) { o.To = []string{"@"} },
		"nobody":              func(o *SMTPOptions) { o.To = nil },
		"no password":         func(o *SMTPOptions) { o.User = "u" },
	} {
		o := good
		change(&o)
		if _, err := NewSMTP(o); !errors.Is(err, ErrSettings) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
