package adtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// requestTime bounds each request of the administrator's connection.
const requestTime = 20 * time.Second

// client is a plain LDAP client, enough to administer a domain controller.
type client struct {
	mu   sync.Mutex
	conn net.Conn
	read *bufio.Reader
	id   int64
}

// resultError is a server's refusal.
type resultError struct {
	code int64
	says string
}

func (e *resultError) Error() string { return fmt.Sprintf("LDAP result %d: %s", e.code, e.says) }

// dial connects by TLS.
func dial(address string, config *tls.Config) (*client, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: requestTime}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	return &client{conn: c, read: bufio.NewReader(c)}, nil
}

func (c *client) close() error { return c.conn.Close() }

// do sends one request and returns what comes before its end. An end that is
// no success is a *resultError.
func (c *client) do(op *ber.Packet, controls ...control) ([]message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id++
	if err := c.conn.SetDeadline(time.Now().Add(requestTime)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(message{id: c.id, op: op, controls: controls}.packet().Bytes()); err != nil {
		return nil, err
	}
	var out []message
	for {
		p, err := ber.ReadPacket(c.read)
		if err != nil {
			return nil, err
		}
		m, err := parse(p)
		if err != nil {
			return nil, err
		}
		if m.op.Tag == opEntry || m.op.Tag == opReference {
			out = append(out, m)
			continue
		}
		if len(m.op.Children) < 3 {
			return nil, errPacket
		}
		if code, _ := m.op.Children[0].Value.(int64); code != codeSuccess {
			return nil, &resultError{code: code, says: text(m.op.Children[2])}
		}
		return out, nil
	}
}

func (c *client) bind(name, password string) error {
	_, err := c.do(operation(opBind, integer(3), octets(name), tagged(0, password)))
	return err
}

func (c *client) add(dn string, attributes ...attribute) error {
	list := sequence()
	for _, a := range attributes {
		if len(a.values) > 0 && a.values[0] != "" {
			list.AppendChild(sequence(octets(a.name), set(a.values...)))
		}
	}
	_, err := c.do(operation(opAdd, octets(dn), list))
	return err
}

// The kinds of a modification (RFC 4511, section 4.6).
const (
	modAdd     = 0
	modDelete  = 1
	modReplace = 2
)

func (c *client) modify(dn string, kind int64, name string, values ...string) error {
	_, err := c.do(operation(opModify, octets(dn), sequence(sequence(enumerated(kind), sequence(octets(name), set(values...))))))
	return err
}

func (c *client) delete(dn string) error {
	_, err := c.do(ber.NewString(ber.ClassApplication, ber.TypePrimitive, opDelete, dn, ""))
	return err
}

// rename gives an entry another RDN, another parent, or both.
func (c *client) rename(dn, rdn, parent string) error {
	_, err := c.do(operation(opRename, octets(dn), octets(rdn), ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""), tagged(0, parent)))
	return err
}

// search finds the entries with an attribute of this value.
func (c *client) search(base string, scope int64, name, value string, attributes ...string) ([]found, error) {
	filter := with(ber.Encode(ber.ClassContext, ber.TypeConstructed, filterEqual, nil, ""), octets(name), octets(value))
	if value == "*" {
		filter = tagged(filterPresent, name)
	}
	list := sequence()
	for _, a := range attributes {
		list.AppendChild(octets(a))
	}
	messages, err := c.do(operation(opSearch, octets(base), enumerated(scope), enumerated(0), integer(0), integer(0),
		ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, ""), filter, list))
	if err != nil {
		return nil, err
	}
	var out []found
	for _, m := range messages {
		if m.op.Tag != opEntry {
			continue
		}
		e, err := parseEntry(m.op)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// parseEntry takes a search's answer apart.
func parseEntry(op *ber.Packet) (found, error) {
	if len(op.Children) != 2 {
		return found{}, errPacket
	}
	e := found{dn: text(op.Children[0])}
	for _, a := range op.Children[1].Children {
		if len(a.Children) != 2 {
			return found{}, errPacket
		}
		out := attribute{name: text(a.Children[0])}
		for _, v := range a.Children[1].Children {
			out.values = append(out.values, text(v))
		}
		e.attributes = append(e.attributes, out)
	}
	return e, nil
}

// first is the first value of an attribute of an entry, or nothing.
func (e found) first(name string) string {
	for _, a := range e.attributes {
		if strings.EqualFold(a.name, name) && len(a.values) > 0 {
			return a.values[0]
		}
	}
	return ""
}
