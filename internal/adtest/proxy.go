package adtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Counts are what has gone through a Proxy.
type Counts struct {
	Connections int
	Binds       int            // bind requests, after TLS
	BindNames   map[string]int // the same by the name that was bound
	PlainBinds  int            // bind requests before TLS: each is a leaked password
	Searches    int            // search requests; each page is one
	Pages       int            // search requests with the paging control
	Cut         int            // connections that a fault has cut
	Handshakes  int            // TLS handshakes that were completed
}

// Proxy stands in front of a Fake or a DC. It shows a certificate of its own,
// reads every message that passes, enforces Limits and commits Faults.
type Proxy struct {
	target    string // LDAPS address
	authority *Authority
	stranger  *Authority // somebody else's
	limits    Limits
	secure    net.Listener
	plain     net.Listener
	group     sync.WaitGroup
	ctx       context.Context // ended by Close; says to the connections that it is over
	cancel    context.CancelFunc

	mu     sync.Mutex
	fault  Fault
	config *tls.Config // nil: no TLS at all
	counts Counts
	raw    []byte // what clients have sent outside of TLS, and their handshakes
	conns  map[net.Conn]bool
}

// NewProxy starts a Proxy in front of a directory. Its certificate is of the
// directory's own authority, so that a client need not know. dir is for the
// files of another authority. Close ends it.
func NewProxy(dir string, target Directory, limits Limits) (*Proxy, error) {
	u, err := url.Parse(target.URL())
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: u.Host, authority: target.Authority(), limits: limits, conns: map[net.Conn]bool{}, counts: Counts{BindNames: map[string]int{}}}
	if p.stranger, err = NewAuthority(dir, "stranger.pem"); err != nil {
		return nil, err
	}
	if err := p.SetTLS(TLSRight); err != nil {
		return nil, err
	}
	if p.secure, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if p.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, firstOf(err, p.secure.Close())
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.group.Go(func() { p.accept(p.secure, true) })
	p.group.Go(func() { p.accept(p.plain, false) })
	return p, nil
}

// URL is the proxy's ldaps:// address, StartTLSURL its ldap:// address.
func (p *Proxy) URL() string { return "ldaps://" + p.secure.Addr().String() }

// StartTLSURL is described at URL.
func (p *Proxy) StartTLSURL() string { return "ldap://" + p.plain.Addr().String() }

// Set changes the fault, for connections that are open too.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// SetTLS changes what the next connections see of TLS.
func (p *Proxy) SetTLS(kind TLSKind) error {
	config, err := p.serverConfig(kind)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = config
	return nil
}

// Counts returns what has gone through, Reset forgets it.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.BindNames = map[string]int{}
	for k, v := range p.counts.BindNames {
		c.BindNames[k] = v
	}
	return c
}

// Reset is described at Counts.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts, p.raw = Counts{BindNames: map[string]int{}}, nil
}

// Raw is every byte that clients have put on the wire, encrypted or not, since
// Reset: a secret that stands in it has leaked.
func (p *Proxy) Raw() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]byte(nil), p.raw...)
}

// Close ends the proxy: from then on connections are refused.
func (p *Proxy) Close() {
	p.cancel()
	_, _ = p.secure.Close(), p.plain.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.group.Wait()
}

func (p *Proxy) accept(l net.Listener, secure bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p.keep(c)
		p.group.Go(func() {
			p.count(func(c *Counts) { c.Connections++ })
			s := &passage{proxy: p, client: &tap{Conn: c, proxy: p}, base: c, ldaps: secure, searches: map[int64]*passing{}}
			if s.begin() == nil {
				s.toServer()
			}
			s.end()
			p.drop(c)
		})
	}
}

// keep notes a connection, so that Close ends it.
func (p *Proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	if p.ctx.Err() != nil {
		_ = c.Close()
	}
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

func (p *Proxy) now() (Fault, *tls.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.config
}

// tap keeps what a client puts on the wire.
type tap struct {
	net.Conn
	proxy *Proxy
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.proxy.mu.Lock()
	defer t.proxy.mu.Unlock()
	t.proxy.raw = append(t.proxy.raw, b[:n]...)
	return n, err
}

// passage is one client's connection through the proxy.
type passage struct {
	proxy  *Proxy
	client net.Conn // the tap, then TLS over it
	base   net.Conn // the TCP connection below
	read   *bufio.Reader
	ldaps  bool // TLS comes first
	secure bool // TLS is there
	server net.Conn
	done   sync.WaitGroup

	mu       sync.Mutex // guards writing to the client, and what follows
	searches map[int64]*passing
	sent     int  // messages passed to the client
	pages    int  // paged searches begun
	last     bool // the next message from the server is not passed: the connection is cut
	over     bool
}

var errCut = errors.New("cut")

// begin shakes hands with the client, unless the fault is not to.
func (s *passage) begin() error {
	fault, config := s.proxy.now()
	if fault.SilentAfter < 0 {
		_, err := io.Copy(io.Discard, s.client) // until the client gives up
		return firstOf(err, errCut)
	}
	if s.ldaps && config != nil {
		if err := s.shake(config); err != nil {
			return err
		}
	}
	s.read = bufio.NewReader(s.client)
	return nil
}

func (s *passage) shake(config *tls.Config) error {
	c := tls.Server(s.client, config)
	if err := c.HandshakeContext(s.proxy.ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.client, s.secure = c, true
	s.mu.Unlock()
	s.proxy.count(func(c *Counts) { c.Handshakes++ })
	return nil
}

// dial connects to the server behind, when the first message has come.
func (s *passage) dial() error {
	if s.server != nil {
		return nil
	}
	d := tls.Dialer{Config: s.proxy.authority.client()}
	c, err := d.DialContext(s.proxy.ctx, "tcp", s.proxy.target)
	if err != nil {
		return fmt.Errorf("the proxy's server: %w", err)
	}
	s.server = c
	s.proxy.keep(c)
	s.done.Go(s.answers)
	return nil
}

func (s *passage) end() {
	_ = s.client.Close()
	if s.server != nil {
		_ = s.server.Close()
	}
	s.done.Wait()
	if s.server != nil {
		s.proxy.drop(s.server)
	}
}

// toServer passes the client's messages.
func (s *passage) toServer() {
	for {
		packet, err := ber.ReadPacket(s.read)
		if err != nil {
			return
		}
		m, err := parse(packet)
		if err != nil {
			return
		}
		answered, err := s.request(&m)
		if err != nil {
			return
		}
		if answered {
			continue
		}
		if s.dial() != nil {
			return
		}
		if _, err := s.server.Write(m.packet().Bytes()); err != nil {
			return
		}
	}
}

// request looks at one of the client's messages, and answers some itself.
func (s *passage) request(m *message) (answered bool, err error) {
	fault, config := s.proxy.now()
	switch m.op.Tag {
	case opBind:
		return s.bind(m, fault)
	case opExtended:
		if s.secure || len(m.op.Children) == 0 || text(m.op.Children[0]) != oidStartTLS {
			return false, nil
		}
		if fault.StartTLSCode != 0 {
			return true, s.answer(result(m.id, opExtendedDone, fault.StartTLSCode, "StartTLS is refused"))
		}
		if err := s.answer(result(m.id, opExtendedDone, codeSuccess, "")); err != nil {
			return false, err
		}
		if config != nil { // else the rest stays plain: an attacker who strips TLS
			if err := s.shake(config); err != nil {
				return false, err
			}
			s.read = bufio.NewReader(s.client)
		}
		return true, nil
	case opSearch:
		return false, s.search(m)
	}
	return false, nil
}

func (s *passage) bind(m *message, fault Fault) (bool, error) {
	if len(m.op.Children) < 2 {
		return false, errPacket
	}
	name := text(m.op.Children[1])
	person := name != BindDN && name != BindUPN
	plain := !s.secure
	s.proxy.count(func(c *Counts) {
		if plain {
			c.PlainBinds++
			return
		}
		c.Binds++
		c.BindNames[name]++
	})
	switch {
	case plain: // a thief would say yes
		return true, s.answer(result(m.id, opBindDone, codeSuccess, ""))
	case fault.BindCode != 0:
		return true, s.answer(result(m.id, opBindDone, fault.BindCode, ""))
	case person && fault.PersonCode != "":
		return true, s.answer(result(m.id, opBindDone, codeCredentials, SubCodeText(fault.PersonCode)))
	case person && fault.PersonCut:
		s.mu.Lock()
		s.last = true
		s.mu.Unlock()
	}
	return false, nil
}

// answer sends a message of the proxy's own.
func (s *passage) answer(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.client.Write(m.packet().Bytes())
	return err
}
