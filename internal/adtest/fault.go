package adtest

import (
	"crypto/tls"
	"net"
	"time"
)

// TLSKind is what a Proxy shows instead of a proper TLS server.
type TLSKind int

// The kinds of TLS servers. Only TLSRight is one that a client may go on with.
const (
	TLSRight     TLSKind = iota
	TLSWrongName         // certified for another host
	TLSWrongCA           // certified by somebody else's authority
	TLSExpired           // the certificate has expired
	TLSOld               // TLS 1.1 alone
	TLSPlain             // no TLS at all: whatever comes is answered as plain LDAP
)

// tlsKinds are their names in a test's output.
var tlsKinds = map[TLSKind]string{TLSRight: "right", TLSWrongName: "wrong name", TLSWrongCA: "wrong CA", TLSExpired: "expired", TLSOld: "TLS 1.1", TLSPlain: "plain text"}

// String is the kind's name.
func (k TLSKind) String() string { return tlsKinds[k] }

// Limits are what a Proxy enforces on what passes; zero means no limit.
type Limits struct {
	// Page is how many entries a page may have (MaxPageSize), and how many
	// entries a search without pages, which then ends with code 4.
	Page int
	// Range is how many values an attribute may have in one answer (MaxValRange).
	Range int
	// Referrals adds a reference to another server to each search of a subtree.
	Referrals bool
}

// Microsoft is the default query policy of Microsoft's domain controllers.
var Microsoft = Limits{Page: maxPage, Range: maxRange, Referrals: true}

// Fault is what a Proxy does wrong; the zero Fault is nothing. It can be
// changed at any time, and then holds for every message from there on.
type Fault struct {
	// CutMessage cuts each connection instead of passing its nth message from
	// the server, counted from 1 (a bind's answer is one).
	CutMessage int
	// CutPage cuts the connection in the middle of the nth page, counted from 1
	// over all searches of a connection: after half of its entries, or, with
	// CutPageEnd, after all of them but before the end.
	CutPage    int
	CutPageEnd bool
	// Clean makes a cut a proper end of TLS and TCP; otherwise it is a reset.
	Clean bool
	// SilentAfter passes so many messages from the server and then no more,
	// while the connection stays open. 0: no fault; -1: none at all, not even TLS.
	SilentAfter int
	// Delay comes before each message from the server.
	Delay time.Duration
	// Zero answers each paged search with success and no entry.
	Zero bool
	// Half leaves out every second entry and still says success.
	Half bool
	// Code ends each paged search with this code, after its first entries.
	Code int64
	// BindCode refuses each bind with this code, without asking the server.
	BindCode int64
	// PersonCode refuses the binds of everybody but the reading account with
	// code 49 and this sub-code, without asking the server.
	PersonCode string
	// PersonCut passes such a bind and cuts the connection instead of passing
	// the server's answer.
	PersonCut bool
	// ShortGUID takes the last byte off each objectGUID.
	ShortGUID bool
	// NoPaging takes the paging control off each answer: the cookie is lost.
	NoPaging bool
	// StaleRange answers a request for a range of members with the first one.
	StaleRange bool
	// StartTLSCode refuses StartTLS with this code.
	StartTLSCode int64
}

// serverConfig is the TLS configuration of a kind; nil for TLSPlain.
func (p *Proxy) serverConfig(kind TLSKind) (*tls.Config, error) {
	c, authority := rightName, p.authority
	switch kind {
	case TLSPlain:
		return nil, nil
	case TLSWrongName:
		c = certificate{names: []string{"dc2.elsewhere.test"}, ips: []net.IP{net.IPv4(127, 200, 200, 200)}}
	case TLSExpired:
		c.expired = true
	case TLSWrongCA:
		authority = p.stranger
	}
	config, err := authority.server(c)
	if err == nil && kind == TLSOld {
		config.MinVersion, config.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 // #nosec G402 -- the fault to refuse
	}
	return config, err
}
