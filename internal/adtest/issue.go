package adtest

import (
	"net"
	"path/filepath"
)

// Issue writes a server certificate for host, a name or an address, and its key
// to dir/name.pem and dir/name.key.
func (a *Authority) Issue(dir, name, host string) (certFile, keyFile string, err error) {
	c := certificate{names: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		c = certificate{ips: []net.IP{ip}}
	}
	cert, key, err := a.issue(c)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	return certFile, keyFile, firstOf(put(certFile, cert, 0o600), put(keyFile, key, 0o600))
}
