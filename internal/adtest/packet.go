package adtest

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// The operations of RFC 4511, section 4.2 on, as application tags.
const (
	opBind         = 0
	opBindDone     = 1
	opUnbind       = 2
	opSearch       = 3
	opEntry        = 4
	opSearchDone   = 5
	opModify       = 6
	opModifyDone   = 7
	opAdd          = 8
	opAddDone      = 9
	opDelete       = 10
	opDeleteDone   = 11
	opRename       = 12
	opRenameDone   = 13
	opAbandon      = 16
	opReference    = 19
	opExtended     = 23
	opExtendedDone = 24
)

// The result codes of RFC 4511, appendix A, that are used here.
const (
	codeSuccess      = 0
	codeOperations   = 1
	codeProtocol     = 2
	codeSizeLimit    = 4
	codeStronger     = 8
	codeCritical     = 12
	codeNoObject     = 32
	codeCredentials  = 49
	codeInsufficient = 50
	codeUnwilling    = 53
	codeExists       = 68
	oidStartTLS      = "1.3.6.1.4.1.1466.20037"
	oidPaged         = "1.2.840.113556.1.4.319"
	oidRelax         = "1.3.6.1.4.1.4203.666.5.12"
	oidBitAnd        = "1.2.840.113556.1.4.803"
	oidBitOr         = "1.2.840.113556.1.4.804"
)

var errPacket = errors.New("not an LDAP message")

// message is an LDAP message, taken apart.
type message struct {
	id       int64
	op       *ber.Packet
	controls []control
	raw      []byte // if not nil, the message as it came; then op has its tag alone
}

type control struct {
	oid      string
	critical bool
	value    string
}

// parse takes an LDAP message apart.
func parse(p *ber.Packet) (message, error) {
	if len(p.Children) < 2 || len(p.Children) > 3 {
		return message{}, errPacket
	}
	id, ok := p.Children[0].Value.(int64)
	if !ok || p.Children[1].ClassType != ber.ClassApplication {
		return message{}, errPacket
	}
	m := message{id: id, op: p.Children[1]}
	if len(p.Children) == 2 {
		return m, nil
	}
	for _, c := range p.Children[2].Children {
		if len(c.Children) == 0 {
			return message{}, errPacket
		}
		out := control{oid: text(c.Children[0])}
		for _, f := range c.Children[1:] {
			if b, ok := f.Value.(bool); ok {
				out.critical = b
			} else {
				out.value = text(f)
			}
		}
		m.controls = append(m.controls, out)
	}
	return m, nil
}

// packet puts the message together again.
func (m message) packet() *ber.Packet {
	p := sequence(integer(m.id), m.op)
	if len(m.controls) == 0 {
		return p
	}
	list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	for _, c := range m.controls {
		out := sequence(octets(c.oid))
		if c.critical {
			out.AppendChild(ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""))
		}
		out.AppendChild(octets(c.value))
		list.AppendChild(out)
	}
	p.AppendChild(list)
	return p
}

// bytes is the message as it goes over the wire.
func (m message) bytes() []byte {
	if m.raw != nil {
		return m.raw
	}
	return m.packet().Bytes()
}

// small is how long an entry may be that a proxy passes as it came: one with
// more than maxRange values is longer.
const small = 4096

// readMessage reads a message. An entry that is small is not taken apart if
// raw says so: taking 3,000 of them apart is most of what a proxy does.
func readMessage(r *bufio.Reader, raw bool) (message, error) {
	head, err := r.Peek(2)
	if raw && err == nil && head[0] == 0x30 {
		if b, err := r.Peek(min(r.Buffered(), 24)); err == nil {
			if m, length, ok := peekEntry(b); ok && length <= small {
				m.raw = make([]byte, length)
				_, err := io.ReadFull(r, m.raw)
				return m, err
			}
		}
	}
	p, err := ber.ReadPacket(r)
	if err != nil {
		return message{}, err
	}
	return parse(p)
}

// peekEntry reads the head of a message: if it is an entry, its id and the
// message's length.
func peekEntry(b []byte) (m message, length int, ok bool) {
	size, head, ok := lengthOf(b[1:])
	if !ok {
		return message{}, 0, false
	}
	length = 1 + head + size
	b = b[1+head:]
	if len(b) < 2 || b[0] != 0x02 || b[1] > 4 || len(b) < 3+int(b[1]) {
		return message{}, 0, false
	}
	for _, d := range b[2 : 2+b[1]] {
		m.id = m.id<<8 | int64(d)
	}
	const entry = 0x60 | opEntry
	if b[2+b[1]] != entry {
		return message{}, 0, false
	}
	m.op = &ber.Packet{Identifier: ber.Identifier{ClassType: ber.ClassApplication, TagType: ber.TypeConstructed, Tag: opEntry}}
	return m, length, true
}

// lengthOf reads a definite length of up to four bytes.
func lengthOf(b []byte) (size, head int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	if b[0] < 0x80 {
		return int(b[0]), 1, true
	}
	n := int(b[0] & 0x7f)
	if n == 0 || n > 4 || len(b) < 1+n {
		return 0, 0, false
	}
	for _, d := range b[1 : 1+n] {
		size = size<<8 | int(d)
	}
	return size, 1 + n, true
}

// text is the content of a primitive packet.
func text(p *ber.Packet) string { return p.Data.String() }

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func integer(n int64) *ber.Packet {
	return ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, n, "")
}

func enumerated(n int64) *ber.Packet {
	return ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, n, "")
}

func sequence(children ...*ber.Packet) *ber.Packet {
	return with(ber.NewSequence(""), children...)
}

func set(values ...string) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		p.AppendChild(octets(v))
	}
	return p
}

// operation is a constructed packet of the application class.
func operation(tag ber.Tag, children ...*ber.Packet) *ber.Packet {
	return with(ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, ""), children...)
}

// tagged is a primitive packet of the context class.
func tagged(tag ber.Tag, value string) *ber.Packet {
	return ber.NewString(ber.ClassContext, ber.TypePrimitive, tag, value, "")
}

func with(p *ber.Packet, children ...*ber.Packet) *ber.Packet {
	for _, c := range children {
		p.AppendChild(c)
	}
	return p
}

// result is the end of an operation: code, no matched DN, and what the server
// says about it.
func result(id int64, tag ber.Tag, code int64, says string) message {
	return message{id: id, op: operation(tag, enumerated(code), octets(""), octets(says))}
}

// attribute is one attribute of an entry in a response.
type attribute struct {
	name   string
	values []string
}

// entryMessage is a search's answer with one entry.
func entryMessage(id int64, dn string, attributes []attribute) message {
	list := sequence()
	for _, a := range attributes {
		list.AppendChild(sequence(octets(a.name), set(a.values...)))
	}
	return message{id: id, op: operation(opEntry, octets(dn), list)}
}

// referenceMessage is a search's answer that sends the client elsewhere.
func referenceMessage(id int64, url string) message {
	return message{id: id, op: operation(opReference, octets(url))}
}

// searchRequest is a search, taken apart.
type searchRequest struct {
	base       string
	scope      int64
	size       int64
	filter     *ber.Packet
	attributes []string
}

func parseSearch(op *ber.Packet) (searchRequest, error) {
	if len(op.Children) != 8 {
		return searchRequest{}, errPacket
	}
	scope, ok1 := op.Children[1].Value.(int64)
	size, ok2 := op.Children[3].Value.(int64)
	if !ok1 || !ok2 {
		return searchRequest{}, errPacket
	}
	r := searchRequest{base: text(op.Children[0]), scope: scope, size: size, filter: op.Children[6]}
	for _, a := range op.Children[7].Children {
		r.attributes = append(r.attributes, text(a))
	}
	return r, nil
}

// pageControl reads the paged-results control (RFC 2696).
func pageControl(controls []control) (size int64, cookie string, paged bool, err error) {
	for _, c := range controls {
		if c.oid != oidPaged {
			continue
		}
		p, err := ber.DecodePacketErr([]byte(c.value))
		if err != nil || len(p.Children) != 2 {
			return 0, "", true, errPacket
		}
		size, ok := p.Children[0].Value.(int64)
		if !ok {
			return 0, "", true, errPacket
		}
		return size, text(p.Children[1]), true, nil
	}
	return 0, "", false, nil
}

func newPageControl(size int64, cookie string) control {
	return control{oid: oidPaged, value: string(sequence(integer(size), octets(cookie)).Bytes())}
}

// rangeOf reads the range option of an attribute's name: member;range=1500-*.
// The end is -1 for a star.
func rangeOf(name string) (plain string, from, to int, ranged bool) {
	plain, option, ok := strings.Cut(name, ";")
	if !ok || len(option) < 6 || !strings.EqualFold(option[:6], "range=") {
		return name, 0, -1, false
	}
	a, b, ok := strings.Cut(option[6:], "-")
	from, err := strconv.Atoi(a)
	if !ok || err != nil || from < 0 {
		return name, 0, -1, false
	}
	if b == "*" {
		return plain, from, -1, true
	}
	to, err = strconv.Atoi(b)
	if err != nil || to < from {
		return name, 0, -1, false
	}
	return plain, from, to, true
}
