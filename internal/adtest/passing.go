package adtest

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// passing is one search on its way through the proxy.
type passing struct {
	paged   bool
	page    int   // which page of the connection it is, from 1
	size    int64 // entries that the page may have
	entries int   // passed so far
	subtree bool
	ended   bool // answered by the proxy; the rest is dropped
}

// search applies the limits to a search request on its way to the server.
func (s *passage) search(m *message) error {
	r, err := parseSearch(m.op)
	if err != nil {
		return err
	}
	size, _, paged, err := pageControl(m.controls)
	if err != nil {
		return err
	}
	fault, _ := s.proxy.now()
	limits := s.proxy.limits
	q := &passing{paged: paged, size: size, subtree: r.scope == 2}
	if !paged {
		q.size = int64(limits.Page)
	}
	if limits.Page > 0 && paged && size > int64(limits.Page) {
		q.size = int64(limits.Page)
		for i, c := range m.controls {
			if c.oid == oidPaged {
				p, err := ber.DecodePacketErr([]byte(c.value))
				if err != nil {
					return err
				}
				m.controls[i].value = newPageControl(q.size, text(p.Children[1])).value
			}
		}
	}
	narrowRanges(m.op, limits.Range, fault.StaleRange)
	s.mu.Lock()
	if paged {
		s.pages++
		q.page = s.pages
	}
	s.searches[m.id] = q
	s.mu.Unlock()
	s.proxy.count(func(c *Counts) {
		c.Searches++
		if paged {
			c.Pages++
		}
	})
	return nil
}

// narrowRanges makes a request for an attribute's range ask for no more than
// one answer may hold.
func narrowRanges(op *ber.Packet, limit int, stale bool) {
	list := sequence()
	for _, a := range op.Children[7].Children {
		name := text(a)
		if plain, from, to, ranged := rangeOf(name); ranged && limit > 0 {
			if stale {
				from = 0
			}
			if to < 0 || to >= from+limit {
				to = from + limit - 1
			}
			name = fmt.Sprintf("%s;range=%d-%d", plain, from, to)
		}
		list.AppendChild(octets(name))
	}
	changed := operation(opSearch, op.Children[:7]...)
	changed.AppendChild(list)
	*op = *changed
}

// toClient writes to the client of a passage.
type toClient struct{ s *passage }

// Write takes the lock under which the proxy's own answers are written.
func (t toClient) Write(b []byte) (int, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.s.client.Write(b)
}

// answers passes the server's messages.
func (s *passage) answers() {
	r := bufio.NewReader(s.server)
	w := bufio.NewWriterSize(toClient{s}, 16<<10)
	for {
		fault, _ := s.proxy.now()
		m, err := readMessage(r, !fault.ShortGUID)
		if err != nil || s.pass(m, w) != nil {
			break
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			break
		}
	}
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if !over {
		_ = s.client.Close()
	}
}

// pass gives one message to the client, or what the fault makes of it.
func (s *passage) pass(m message, w *bufio.Writer) error {
	fault, _ := s.proxy.now()
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-s.proxy.ctx.Done():
			return errCut
		}
	}
	pass, cut := s.judge(m, fault)
	for _, out := range pass {
		if _, err := w.Write(out.bytes()); err != nil {
			return err
		}
	}
	if cut || fault.Delay > 0 {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if cut {
		return s.cut(fault.Clean)
	}
	return nil
}

// judge says which messages the client gets for one of the server's, and
// whether the connection is cut then.
func (s *passage) judge(m message, fault Fault) (pass []message, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.limited(m, fault) {
		s.sent++
		switch {
		case fault.SilentAfter > 0 && s.sent > fault.SilentAfter:
			continue
		case s.last, fault.CutMessage > 0 && s.sent >= fault.CutMessage, s.cutsPage(out, fault):
			return pass, true
		}
		pass = append(pass, out)
	}
	return pass, false
}

// cut ends the connection.
func (s *passage) cut(clean bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.proxy.count(func(c *Counts) { c.Cut++ })
	if clean {
		_ = s.client.Close()
		return errCut
	}
	if t, ok := s.base.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset
	}
	_ = s.base.Close()
	return errCut
}

// cutsPage says whether the fault cuts the connection at this message. The
// caller holds the mutex.
func (s *passage) cutsPage(m message, fault Fault) bool {
	q := s.searches[m.id]
	if fault.CutPage == 0 || q == nil || q.page != fault.CutPage {
		return false
	}
	if m.op.Tag == opSearchDone {
		return true
	}
	return !fault.CutPageEnd && int64(q.entries) > q.size/2
}

// limited is what the client gets for one of the server's messages. The caller
// holds the mutex.
func (s *passage) limited(m message, fault Fault) []message {
	q := s.searches[m.id]
	if q == nil {
		return []message{m}
	}
	if q.ended {
		return nil
	}
	switch m.op.Tag {
	case opEntry:
		return s.entry(m, q, fault)
	case opSearchDone:
		q.ended = true
		return s.searchDone(m, q, fault)
	}
	return []message{m}
}

func (s *passage) entry(m message, q *passing, fault Fault) []message {
	q.entries++
	switch {
	case fault.Zero && q.paged, fault.Half && q.paged && q.entries%2 == 0:
		return nil
	case fault.Code != 0 && q.paged && q.entries > 10:
		q.ended = true
		return []message{result(m.id, opSearchDone, fault.Code, "")}
	case !q.paged && q.size > 0 && int64(q.entries) > q.size:
		q.ended = true
		return []message{result(m.id, opSearchDone, codeSizeLimit, "000020E1: SvcErr: DSID-03140C0F, problem 5003 (WILL_NOT_PERFORM), data 0")}
	}
	if m.raw != nil {
		return []message{m}
	}
	e, err := parseEntry(m.op)
	if err != nil {
		return []message{m}
	}
	changed := false
	var attributes []attribute
	for _, a := range e.attributes {
		if fault.ShortGUID && strings.EqualFold(a.name, "objectGUID") && len(a.values) == 1 && a.values[0] != "" {
			a.values, changed = []string{a.values[0][:len(a.values[0])-1]}, true
		}
		_, _, _, ranged := rangeOf(a.name)
		if limit := s.proxy.limits.Range; limit > 0 && len(a.values) > limit && !ranged {
			attributes, changed = append(attributes, cut(a.name, 0, -1, false, a.values)...), true
			continue
		}
		attributes = append(attributes, a)
	}
	if !changed {
		return []message{m}
	}
	return []message{entryMessage(m.id, e.dn, attributes)}
}

func (s *passage) searchDone(m message, q *passing, fault Fault) []message {
	switch {
	case fault.Zero && q.paged:
		d := result(m.id, opSearchDone, codeSuccess, "")
		d.controls = []control{newPageControl(0, "")}
		return []message{d}
	case fault.Code != 0 && q.paged:
		return []message{result(m.id, opSearchDone, fault.Code, "")}
	case fault.NoPaging:
		m.controls = slices.DeleteFunc(m.controls, func(c control) bool { return c.oid == oidPaged })
	}
	if _, cookie, _, err := pageControl(m.controls); err == nil && cookie == "" && q.subtree && s.proxy.limits.Referrals {
		return []message{referenceMessage(m.id, "ldap://"+domain+"/CN=Configuration,"+BaseDN), m}
	}
	return []message{m}
}
