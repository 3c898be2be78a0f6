// Package certreq makes keys and certificate requests (PKCS #10, RFC 2986),
// installs the certificates that come back, reads those that there are, and
// writes fingerprints as they are read over the telephone.
//
// The commands and whoever reads certificates import it; of the project it
// imports internal/durable and internal/regular alone.
package certreq

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"holdfast/internal/durable"
	"holdfast/internal/regular"
)

// maxPEM bounds a PEM file, in bytes.
const maxPEM = 1 << 20

// ErrCertificate is a certificate that does not fit its key or its purpose.
var ErrCertificate = errors.New("this certificate cannot be used")

// Make makes a P-256 key and a request for a certificate of that name, neither
// of which may be there. hosts are its DNS names and IP addresses; nil for a
// client's.
func Make(keyFile, requestFile, name string, hosts []string) (err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			request.IPAddresses = append(request.IPAddresses, ip)
		} else {
			request.DNSNames = append(request.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(private)
	if err := durable.Create(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	// A crash here leaves a key that nobody asked a certificate for: move it away and make another.
	if err := durable.Create(requestFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o644); err != nil {
		return errors.Join(err, durable.Remove(keyFile))
	}
	return nil
}

// Install puts the certificate chain in text at path, which must not be there,
// after checking that its first certificate is of the key in keyFile, is valid
// now, and serves usage.
func Install(text []byte, keyFile, path string, usage x509.ExtKeyUsage, now time.Time) (*x509.Certificate, error) {
	chain, err := certificates(text)
	if err != nil {
		return nil, err
	}
	private, err := privateKey(keyFile)
	if err != nil {
		return nil, err
	}
	cert := chain[0]
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !public.Equal(cert.PublicKey):
		return nil, fmt.Errorf("%w: it is not of the key in %s: was it made from another request?", ErrCertificate, keyFile)
	case now.Before(cert.NotBefore):
		return nil, fmt.Errorf("%w: it begins on %s; is this machine's clock right?", ErrCertificate, cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return nil, fmt.Errorf("%w: it ended on %s; ask for another", ErrCertificate, cert.NotAfter.UTC().Format(time.RFC3339))
	case !serves(cert, usage):
		return nil, fmt.Errorf("%w: it is not for that purpose (extended key usage); ask for a certificate for TLS clients or servers as the request's letter says", ErrCertificate)
	}
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return cert, durable.Create(path, out, 0o644)
}

func serves(c *x509.Certificate, usage x509.ExtKeyUsage) bool {
	for _, u := range c.ExtKeyUsage {
		if u == usage || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0
}

// certificates reads a PEM file of certificates and nothing else.
func certificates(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrCertificate, maxPEM)
	}
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: the file holds a %s; give the signed certificate, PEM", ErrCertificate, strings.ToLower(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no PEM certificate in the file", ErrCertificate)
	}
	return out, nil
}

func privateKey(path string) (crypto.Signer, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds no key that signs", path)
	}
	return signer, nil
}

// Read reads a PEM file of a bounded size.
func Read(path string) ([]byte, error) { return regular.Read(path, maxPEM) }

// Pair reads a certificate, whose chain may follow it, and its key.
func Pair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := Read(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := Read(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(key)
	return tls.X509KeyPair(cert, key)
}

// Pin is what one PEM block of a file is, and the SHA-256 by which two people
// compare it: of a certificate its DER, of a request or a public key the
// SubjectPublicKeyInfo.
type Pin struct {
	What string // "certificate", "public key" or "certificate request"
	Name string // of a certificate or a request: its subject
	Sum  [sha256.Size]byte
}

// Pins returns the fingerprints of a PEM file's blocks.
func Pins(text []byte) ([]Pin, error) {
	var out []Pin
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		p := Pin{What: strings.ToLower(block.Type)}
		covered := block.Bytes
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
			}
			p.Name = c.Subject.String()
		case "CERTIFICATE REQUEST":
			c, err := x509.ParseCertificateRequest(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
			}
			p.Name, covered = c.Subject.String(), c.RawSubjectPublicKeyInfo
		case "PUBLIC KEY":
			if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
			}
		default:
			return nil, fmt.Errorf("%w: the file holds a %s, which is not for anybody else to see or to pin", ErrCertificate, p.What)
		}
		p.Sum = sha256.Sum256(covered)
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: the file is not PEM", ErrCertificate)
	}
	return out, nil
}

// Requester returns the common name of a certificate request, PEM: who asks.
func Requester(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return "", fmt.Errorf("%w: the file holds no certificate request", ErrCertificate)
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return r.Subject.CommonName, nil
}

// Spoken writes a fingerprint to be read aloud: sixteen groups of four
// hexadecimal digits, eight a line.
func Spoken(sum [sha256.Size]byte) string {
	text := hex.EncodeToString(sum[:])
	var b strings.Builder
	for i := 0; i < len(text); i += 4 {
		switch {
		case i == 0:
		case i%32 == 0:
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		b.WriteString(text[i : i+4])
	}
	return b.String()
}
