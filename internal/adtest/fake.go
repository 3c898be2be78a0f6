package adtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The names of the directory, the same in the Fake and in the DC: people are
// read below StaffDN, groups below GroupsDN; who moves to FormerDN has left
// what is read.
const (
	BaseDN   = "DC=hospital,DC=test"
	StaffDN  = "OU=Staff," + BaseDN
	GroupsDN = "OU=Groups," + BaseDN
	FormerDN = "OU=Former," + BaseDN
)

// The account that reads the directory, and its password.
const (
	BindDN       = "CN=holdfast reader,CN=Users," + BaseDN
	BindUPN      = "holdfast-reader@" + domain
	BindPassword = "Read-0nly-Directory"
)

// Password is the password of every person that has one and was given no other.
const Password = "Correct-Horse-7"

// lockAfter is how many wrong passwords lock an account of the Fake.
const lockAfter = 5

var errAbsent = errors.New("the test directory has no such account")

// Person is one person to add. Account is the sAMAccountName; what is left
// empty is made from it.
type Person struct {
	Account string
	// UPN is, if empty, Account@hospital.test.
	UPN string
	// Name is the display name, and the name of the entry. Default: Account.
	Name           string
	Given, Surname string
	Mail           string
	Title          string
	Department     string
	// OU is the organisational unit below StaffDN. Default: StaffDN itself.
	OU string
	// Password is, if empty, that of the constant Password.
	Password string
}

// Fake is an in-process domain controller. Its methods are safe for concurrent
// use.
type Fake struct {
	authority *Authority
	config    *tls.Config
	secure    net.Listener // LDAPS
	plain     net.Listener // StartTLS only
	group     sync.WaitGroup
	cancel    context.CancelFunc

	mu       sync.Mutex
	objects  []*object
	index    map[string]*object // by account, UPN and DN; nil after a change
	sid      [3]uint32
	rid      uint32
	usn      int64
	sessions map[net.Conn]bool
	refused  int // bind requests on a connection without TLS
	searches int
}

// NewFake starts a Fake on the loopback with these people. It writes its CA
// certificate to dir/fake-ca.pem. Close ends it.
func NewFake(dir string, people ...Person) (*Fake, error) {
	authority, err := NewAuthority(dir, "fake-ca.pem")
	if err != nil {
		return nil, err
	}
	config, err := authority.server(rightName)
	if err != nil {
		return nil, err
	}
	f := &Fake{authority: authority, config: config, sid: [3]uint32{1000000001, 2000000002, 3000000003}, rid: 1103, usn: 10000, sessions: map[net.Conn]bool{}}
	f.found()
	for _, p := range people {
		if _, err := f.AddPerson(p); err != nil {
			return nil, err
		}
	}
	if f.secure, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if f.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, firstOf(err, f.secure.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.group.Go(func() { f.accept(ctx, f.secure, true) })
	f.group.Go(func() { f.accept(ctx, f.plain, false) })
	return f, nil
}

// found makes the entries that every domain has.
func (f *Fake) found() {
	ou := func(dn string) *object {
		name, value, _ := strings.Cut(splitDN(dn)[0], "=")
		return newObject(dn, 0, attribute{"objectClass", []string{"top", "organizationalUnit"}}, attribute{name, []string{value}})
	}
	root := newObject(BaseDN, 0, attribute{"objectClass", []string{"top", "domain", "domainDNS"}}, attribute{"dc", []string{"hospital"}})
	f.objects = append(f.objects, root, ou("CN=Users,"+BaseDN), ou("CN=Computers,"+BaseDN), ou(StaffDN), ou(GroupsDN), ou(FormerDN))
	f.objects = append(f.objects, f.newGroup("CN=Domain Users,CN=Users,"+BaseDN, "Domain Users", 513))
	reader := f.newPerson(Person{Account: "holdfast-reader", Name: "holdfast reader", Password: BindPassword}, 1102)
	reader.place(BindDN)
	f.objects = append(f.objects, reader)
}

// URL is the server's ldaps:// address, StartTLSURL the ldap:// address where
// nothing but StartTLS is allowed before TLS.
func (f *Fake) URL() string { return "ldaps://" + f.secure.Addr().String() }

// StartTLSURL is described at URL.
func (f *Fake) StartTLSURL() string { return "ldap://" + f.plain.Addr().String() }

// CAFile is the PEM file with the only CA that certifies the server.
func (f *Fake) CAFile() string { return f.authority.File }

// Authority is that CA.
func (f *Fake) Authority() *Authority { return f.authority }

// Close ends the server, its connections and its goroutines.
func (f *Fake) Close() {
	f.cancel()
	_, _ = f.secure.Close(), f.plain.Close()
	f.mu.Lock()
	for c := range f.sessions {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.group.Wait()
}

// Attempts counts the bind requests for an account, right and wrong ones.
func (f *Fake) Attempts(account string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.account(account); o != nil {
		return o.attempts
	}
	return 0
}

// Locked says whether wrong passwords have locked the account.
func (f *Fake) Locked(account string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.account(account)
	return o != nil && o.locked
}

// PlainBinds counts the bind requests that came without TLS: each is a leaked
// password.
func (f *Fake) PlainBinds() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}

// Searches counts the search requests.
func (f *Fake) Searches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.searches
}

func (f *Fake) newPerson(p Person, rid uint32) *object {
	name, password, upn := p.Name, p.Password, p.UPN
	if name == "" {
		name = p.Account
	}
	if password == "" {
		password = Password
	}
	if upn == "" {
		upn = p.Account + "@" + domain
	}
	o := newObject("CN="+escape(name)+","+ouDN(p.OU), rid,
		attribute{"objectClass", []string{"top", "person", "organizationalPerson", "user"}},
		attribute{"objectCategory", []string{"CN=Person,CN=Schema,CN=Configuration," + BaseDN}},
		attribute{"sAMAccountName", []string{p.Account}}, attribute{"sAMAccountType", []string{"805306368"}},
		attribute{"userPrincipalName", []string{upn}}, attribute{"displayName", []string{name}},
		attribute{"givenName", []string{p.Given}}, attribute{"sn", []string{p.Surname}}, attribute{"mail", []string{p.Mail}},
		attribute{"title", []string{p.Title}}, attribute{"department", []string{p.Department}},
		attribute{"userAccountControl", []string{strconv.Itoa(uacNormal)}}, attribute{"accountExpires", []string{never}},
		attribute{"primaryGroupID", []string{"513"}})
	o.password = password
	return o
}

func (f *Fake) newGroup(dn, account string, rid uint32) *object {
	return newObject(dn, rid, attribute{"objectClass", []string{"top", "group"}}, attribute{"sAMAccountName", []string{account}},
		attribute{"objectCategory", []string{"CN=Group,CN=Schema,CN=Configuration," + BaseDN}},
		attribute{"groupType", []string{"-2147483646"}}, attribute{"sAMAccountType", []string{"268435456"}})
}

// ouDN is the DN of an organisational unit below StaffDN; a whole DN stays as it is.
func ouDN(ou string) string {
	switch {
	case ou == "":
		return StaffDN
	case strings.Contains(ou, "="):
		return ou
	}
	return "OU=" + escape(ou) + "," + StaffDN
}

// account finds what has this sAMAccountName. The caller holds the mutex.
func (f *Fake) account(account string) *object {
	return f.names()[keyAccount+strings.ToLower(account)]
}

// What the keys of the index begin with.
const (
	keyAccount = "account "
	keyUPN     = "upn "
	keyDN      = "dn "
)

// names is the index of what has a name. The caller holds the mutex.
func (f *Fake) names() map[string]*object {
	if f.index == nil {
		f.index = make(map[string]*object, 3*len(f.objects))
		for _, o := range f.objects {
			for _, k := range o.keys() {
				f.index[k] = o
			}
		}
	}
	return f.index
}

// keys are an object's keys in the index.
func (o *object) keys() []string {
	out := []string{keyDN + o.key}
	if v := o.first("sAMAccountName"); v != "" {
		out = append(out, keyAccount+strings.ToLower(v))
	}
	if v := o.first("userPrincipalName"); v != "" {
		out = append(out, keyUPN+strings.ToLower(v))
	}
	return out
}

func (f *Fake) where(ok func(*object) bool) *object {
	if i := slices.IndexFunc(f.objects, ok); i >= 0 {
		return f.objects[i]
	}
	return nil
}

// change runs a change of one account under the mutex.
func (f *Fake) change(account string, do func(o *object) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.account(account)
	if o == nil {
		return fmt.Errorf("%s: %w", account, errAbsent)
	}
	f.usn++
	o.set("uSNChanged", strconv.FormatInt(f.usn, 10))
	defer func() { f.index = nil }()
	return do(o)
}

// insert adds an object whose names are still free. The caller holds the mutex.
func (f *Fake) insert(o *object) error {
	for _, k := range o.keys() {
		if f.names()[k] != nil {
			return fmt.Errorf("the test directory already has %q", k)
		}
	}
	parent := parentOf(o.dn)
	if f.names()[keyDN+fold(parent)] == nil {
		rdn, value, _ := strings.Cut(splitDN(parent)[0], "=")
		f.objects = append(f.objects, newObject(parent, 0, attribute{"objectClass", []string{"top", "organizationalUnit"}}, attribute{rdn, []string{unescape(value)}}))
		f.index = nil
	}
	f.usn++
	o.set("uSNChanged", strconv.FormatInt(f.usn, 10))
	o.set("whenCreated", time.Now().UTC().Format("20060102150405.0Z"))
	f.objects = append(f.objects, o)
	for _, k := range o.keys() {
		f.names()[k] = o
	}
	return nil
}
