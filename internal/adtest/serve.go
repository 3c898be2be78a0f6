package adtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// session is one client of a Fake.
type session struct {
	fake   *Fake
	conn   net.Conn
	read   *bufio.Reader
	secure bool
	bound  bool
	pages  map[string][]found // what remains of paged searches, by cookie
	cookie int
}

func (f *Fake) accept(ctx context.Context, l net.Listener, secure bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.sessions[c] = true
		f.mu.Unlock()
		if ctx.Err() != nil { // Close has already passed over the sessions
			_ = c.Close()
		}
		f.group.Go(func() {
			s := &session{fake: f, conn: c, secure: secure, pages: map[string][]found{}}
			if secure {
				s.conn = tls.Server(c, f.config)
			}
			s.serve()
			_ = s.conn.Close()
			f.mu.Lock()
			delete(f.sessions, c)
			f.mu.Unlock()
		})
	}
}

// serve answers until the client leaves or says something that is no LDAP.
func (s *session) serve() {
	s.read = bufio.NewReader(s.conn)
	for {
		p, err := ber.ReadPacket(s.read)
		if err != nil {
			return
		}
		m, err := parse(p)
		if err != nil || m.op.Tag == opUnbind {
			return
		}
		if m.op.Tag == opAbandon {
			continue
		}
		var out []message
		switch m.op.Tag {
		case opBind:
			out = append(out, s.bind(m))
		case opSearch:
			out = s.search(m)
		case opExtended:
			if !s.extended(m) {
				return
			}
			continue
		default:
			out = append(out, result(m.id, m.op.Tag+1, codeInsufficient, "00000005: SecErr: DSID-03152492, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0"))
		}
		if s.write(out...) != nil {
			return
		}
	}
}

func (s *session) write(messages ...message) error {
	w := bufio.NewWriter(s.conn)
	for _, m := range messages {
		if _, err := w.Write(m.packet().Bytes()); err != nil {
			return err
		}
	}
	return w.Flush()
}

// bind answers as a domain controller does: an empty password is no login at
// all but success, the reason of a refusal is a sub-code in the text.
func (s *session) bind(m message) message {
	done := func(code int64, says string) message { return result(m.id, opBindDone, code, says) }
	s.bound = false
	if !s.secure {
		s.fake.mu.Lock()
		s.fake.refused++
		s.fake.mu.Unlock()
		return done(codeStronger, "00002028: LdapErr: DSID-0C090259, comment: The server requires binds to turn on integrity checking if SSL\\TLS are not already active on the connection, data 0, v4563")
	}
	if len(m.op.Children) != 3 || m.op.Children[2].Tag != 0 {
		return done(codeProtocol, "only simple binds are answered")
	}
	name, password := text(m.op.Children[1]), text(m.op.Children[2])
	if password == "" {
		return done(codeSuccess, "")
	}
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	code := subUnknown
	if o := s.fake.resolve(name); o != nil {
		code = o.check(password, time.Now())
	}
	if code != "" {
		return done(codeCredentials, SubCodeText(code))
	}
	s.bound = true
	return done(codeSuccess, "")
}

// SubCodeText is what a domain controller says when it refuses a bind.
func SubCodeText(code string) string {
	return fmt.Sprintf("80090308: LdapErr: DSID-0C090449, comment: AcceptSecurityContext error, data %s, v4563", code)
}

// extended answers StartTLS; false ends the connection.
func (s *session) extended(m message) bool {
	if len(m.op.Children) == 0 || text(m.op.Children[0]) != oidStartTLS || s.secure {
		return s.write(result(m.id, opExtendedDone, codeProtocol, "no such extended operation")) == nil
	}
	if s.write(result(m.id, opExtendedDone, codeSuccess, "")) != nil {
		return false
	}
	s.conn = tls.Server(s.conn, s.fake.config)
	s.read, s.secure = bufio.NewReader(s.conn), true
	return true
}

// rootDSE is what anyone may read (MS-ADTS 3.1.1.3.2).
func (f *Fake) rootDSE() []attribute {
	configuration := "CN=Configuration," + BaseDN
	return []attribute{
		{"defaultNamingContext", []string{BaseDN}},
		{"rootDomainNamingContext", []string{BaseDN}},
		{"configurationNamingContext", []string{configuration}},
		{"schemaNamingContext", []string{"CN=Schema," + configuration}},
		{"namingContexts", []string{BaseDN, configuration, "CN=Schema," + configuration}},
		{"dnsHostName", []string{hostName}},
		{"ldapServiceName", []string{domain + ":dc1$@" + strings.ToUpper(domain)}},
		{"dsServiceName", []string{"CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites," + configuration}},
		{"highestCommittedUSN", []string{fmt.Sprint(f.usn)}},
		{"currentTime", []string{time.Now().UTC().Format("20060102150405.0Z")}},
		{"supportedLDAPVersion", []string{"3", "2"}},
		{"supportedControl", []string{oidPaged}},
		{"supportedExtension", []string{oidStartTLS}},
		{"supportedCapabilities", []string{"1.2.840.113556.1.4.800"}},
	}
}
