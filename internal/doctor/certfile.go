package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"holdfast/internal/certreq"
)

// certificates judges the files of certificates that the configuration names.
func (m *Machine) certificates() []Finding {
	var out []Finding
	c := m.Config
	own := func(name, cert, key string) {
		f := m.certificate(name, cert, false)
		switch _, err := certreq.Pair(cert, key); {
		case err == nil || f.Severity != OK:
		case errors.Is(err, fs.ErrPermission):
			f = unseen(f.ID, key)
		default:
			f = fatal(f.ID, fmt.Sprintf("the certificate %s does not fit the key %s, or the key cannot be read", cert, key),
				"Put the key that the certificate was requested with there. "+certificateFixes[name])
		}
		out = append(out, f)
	}
	authority := func(name, path string) {
		if path != "" {
			out = append(out, m.certificate(name, path, true))
		}
	}
	if r := c.Relay; r != nil {
		own("relay-client", r.Cert, r.Key)
		authority("relay-ca", r.CA)
	}
	if h := c.HTTPS; h != nil {
		own("https", h.Cert, h.Key)
	}
	if d := c.Directory; d != nil {
		authority("directory-ca", d.CA)
	}
	if s := c.Notify.SMTP; s != nil {
		authority("smtp-ca", s.CA)
	}
	if w := c.Notify.Webhook; w != nil {
		authority("webhook-ca", w.CA)
	}
	if s := c.Notify.Syslog; s != nil {
		authority("syslog-ca", s.CA)
	}
	if s := c.Mirror.Syslog; s != nil {
		authority("mirror-ca", s.CA)
	}
	if t := c.Anchor.Timestamp; t != nil {
		authority("timestamp-ca", t.CA)
	}
	return out
}

// certificate judges one file: the end of its first certificate, or, of
// authorities, of the one that ends last.
func (m *Machine) certificate(name, path string, authorities bool) Finding {
	certs, err := readCertificates(path)
	if errors.Is(err, fs.ErrPermission) {
		return unseen("certificate-"+name, path)
	}
	if err != nil {
		return fatal("certificate-"+name, err.Error(), "Put a PEM certificate there that the daemon's account can read. "+certificateFixes[name])
	}
	end := certs[0].NotAfter
	for _, c := range certs {
		if authorities && c.NotAfter.After(end) {
			end = c.NotAfter
		}
	}
	if begin := certs[0].NotBefore; !authorities && m.Now.Before(begin) {
		return fatal("certificate-"+name, fmt.Sprintf("%s is not good before %s", name, begin.UTC().Format(time.RFC3339)), "Compare the machine's clock with one that you trust; if it is right, have the certificate issued anew.")
	}
	return certificateEnds(name, end, m.Now)
}

// readCertificates reads every certificate of a PEM file; there is one at least.
func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := certreq.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return certs, nil
}
