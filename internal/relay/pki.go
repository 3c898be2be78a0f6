package relay

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"holdfast/internal/durable"
)

// The files under pki/. A .key is a private key (PKCS #8, mode 0600), a .pem a certificate or public key.
const (
	pkiDir       = "pki"
	caFile       = "ca.pem"
	headKeyFile  = "head.key"     // Ed25519, signs pages
	headPubFile  = "head.pem"     // what the archive pins as head_key
	enrolKeyFile = "enrol.key"    // Ed25519, the hospital's: vouches for devices; a relay in production never has it
	enrolPubFile = "enrol.pem"    // what the archive pins as enrol_key
	identityFile = "identity.pem" // the archive's identity key, pinned
)

// The organizational units of client certificates, and the names of their files.
const (
	roleArchive = "archive"
	roleVendor  = "vendor"
	serverName  = "server"
)

// Development certificates outlive any development; nothing else should rest on them.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	certLife = 825 * 24 * time.Hour
)

// makePKI makes the development CA, the certificates and the Ed25519 keys. host is where the relay listens.
func makePKI(dir, arc, host string) error {
	now := time.Now().Add(-time.Hour) // a peer's clock may be behind
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "holdfast-relay development CA"}, NotBefore: now, NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := issue(ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	// The CA's own key is not kept: nobody can make it vouch for anything else later.
	if err := writePEM(dir, caFile, "CERTIFICATE", caDER, 0o644); err != nil {
		return err
	}
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip == nil && host != "localhost" && host != "" {
		server.DNSNames = append(server.DNSNames, host)
	} else if ip != nil && !ip.IsLoopback() {
		server.IPAddresses = append(server.IPAddresses, ip)
	}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, cert := range map[string]*x509.Certificate{
		serverName:  server,
		roleArchive: {Subject: pkix.Name{CommonName: arc, OrganizationalUnit: []string{roleArchive}}, ExtKeyUsage: client},
		roleVendor:  {Subject: pkix.Name{CommonName: "loader", OrganizationalUnit: []string{roleVendor}}, ExtKeyUsage: client},
	} {
		cert.NotBefore, cert.NotAfter, cert.KeyUsage = now, now.Add(certLife), x509.KeyUsageDigitalSignature
		if err := makeCertificate(dir, name, cert, ca, caKey); err != nil {
			return err
		}
	}
	for private, public := range map[string]string{headKeyFile: headPubFile, enrolKeyFile: enrolPubFile} {
		if err := makeEd25519(dir, private, public); err != nil {
			return err
		}
	}
	return nil
}

func makeCertificate(dir, name string, cert, ca *x509.Certificate, caKey crypto.Signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := issue(cert, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	if err := writePEM(dir, name+".pem", "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	return writePrivateKey(dir, name+".key", key)
}

func issue(cert, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	cert.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, pub, signer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return der, nil
}

func makeEd25519(dir, private, public string) error {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if err := writePrivateKey(dir, private, key); err != nil {
		return err
	}
	return writePublicKey(dir, public, pub)
}

func writePrivateKey(dir, name string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(dir, name, "PRIVATE KEY", der, 0o600)
}

func writePublicKey(dir, name string, key crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return writePEM(dir, name, "PUBLIC KEY", der, 0o644)
}

func writePEM(dir, name, kind string, der []byte, perm fs.FileMode) error {
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := durable.Create(filepath.Join(dir, pkiDir, name), b, perm); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- a file of the relay's own folder
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block %q", path, kind)
	}
	return block.Bytes, nil
}

func readPrivateKey(path string) (ed25519.PrivateKey, error) {
	der, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", path)
	}
	return private, nil
}

func readPublicKey(path string) (ed25519.PublicKey, error) {
	der, err := readPEM(path, "PUBLIC KEY")
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", path)
	}
	return public, nil
}

// EnrolmentKey returns the hospital's enrolment key, which the loader signs devices with.
func EnrolmentKey(dir string) (ed25519.PrivateKey, error) {
	return readPrivateKey(filepath.Join(dir, pkiDir, enrolKeyFile))
}

func certPool(dir string) (*x509.CertPool, error) {
	der, err := readPEM(filepath.Join(dir, pkiDir, caFile), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return pool, nil
}

func keyPair(dir, name string) (tls.Certificate, error) {
	path := filepath.Join(dir, pkiDir, name)
	return tls.LoadX509KeyPair(path+".pem", path+".key")
}

// serverTLS is TLS 1.3 alone, and no byte of a request before the client's certificate has been verified.
func (r *Relay) serverTLS() (*tls.Config, error) {
	cert, err1 := keyPair(r.dir, serverName)
	pool, err2 := certPool(r.dir)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("the relay's certificates: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"http/1.1"},
	}, nil
}

// ArchiveTLS returns the TLS settings of an archive that the relay in dir knows: what its configuration's ca, cert and key say.
func ArchiveTLS(dir string) (*tls.Config, error) { return clientTLS(dir, roleArchive) }

func clientTLS(dir, role string) (*tls.Config, error) {
	cert, err1 := keyPair(dir, role)
	pool, err2 := certPool(dir)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("the relay's client certificates: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: pool}, nil
}
