package anchor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"

	"holdfast/internal/outward"
)

// MaxToken bounds a time-stamp token and the answer around it, in bytes: some
// authorities send their whole chain.
const MaxToken = 32 << 10

// maxSkew is how far a time-stamp may lie from the daemon's own time: it is
// fresh by its nonce, so more means that one of the clocks is wrong.
const maxSkew = 24 * time.Hour

// typeTST is id-ct-TSTInfo (RFC 3161 section 2.4.2): what is signed is a
// time-stamp, not some other content under the same key.
var typeTST = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}

// ErrToken is returned for a time-stamp token that proves nothing.
var ErrToken = errors.New("not a time-stamp that counts")

// Authority is a place with a time-stamping authority, RFC 3161 over HTTP
// (section 3.4).
type Authority struct {
	url, host string
	roots     *x509.CertPool
	client    *http.Client
}

// NewAuthority returns the authority at a URL. Its signer's certificate must
// lead to one of roots.
func NewAuthority(at string, roots *x509.CertPool, client *http.Client) (*Authority, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	return &Authority{url: at, host: u.Hostname(), roots: roots, client: client}, nil
}

// Kind implements Place.
func (t *Authority) Kind() string { return KindTimestamp }

// Name implements Place: the authority's host.
func (t *Authority) Name() string { return t.host }

// Anchor implements Place. The proof is the time-stamp token, DER, over the
// SHA-256 of the signed checkpoint. An authority has no memory and refuses no
// log.
func (t *Authority) Anchor(ctx context.Context, a Ask) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(a.Signed)
	query := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Certificates: true, Nonce: nonce}
	der, err := query.Marshal()
	if err != nil {
		return nil, err
	}
	answer, err := outward.Post(ctx, t.client, t.url, http.Header{"Content-Type": {"application/timestamp-query"}}, bytes.NewReader(der), MaxToken)
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK || answer.Type != "application/timestamp-reply" {
		return nil, fmt.Errorf("%w: status %d", ErrAnswer, answer.Status)
	}
	token, given, err := readReply(answer.Body)
	if err != nil {
		return nil, err
	}
	if given == nil || given.Cmp(nonce) != 0 {
		return nil, fmt.Errorf("%w: it answers another question", ErrToken)
	}
	at, err := VerifyToken(token, a.Signed, t.roots)
	if err != nil {
		return nil, err
	}
	if d := a.At.Sub(at).Abs(); d > maxSkew {
		return nil, fmt.Errorf("%w: its time and the machine's lie %s apart; compare the machine's clock", ErrToken, d.Round(time.Minute))
	}
	return token, nil
}

// readReply takes the token and its nonce out of an answer.
func readReply(b []byte) (token []byte, nonce *big.Int, err error) {
	defer unpanic(&err)
	reply, err := timestamp.ParseResponse(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return reply.RawToken, reply.Nonce, nil
}

// VerifyToken checks that a token is a time-stamp over signed, by a signer that
// was certified for time-stamping alone (RFC 3161 section 2.3) by one of roots
// at that time, and returns the time.
func VerifyToken(token, signed []byte, roots *x509.CertPool) (at time.Time, err error) {
	defer unpanic(&err)
	bad := func(err error) (time.Time, error) { return time.Time{}, fmt.Errorf("%w: %w", ErrToken, err) }
	if len(token) > MaxToken || roots == nil {
		return bad(errors.New("it is longer than one, or nobody may certify its signer"))
	}
	stamp, err := timestamp.Parse(token)
	if err != nil {
		return bad(err)
	}
	digest := sha256.Sum256(signed)
	if stamp.HashAlgorithm != crypto.SHA256 || !bytes.Equal(stamp.HashedMessage, digest[:]) {
		return bad(errors.New("it is over something else"))
	}
	p7, err := pkcs7.Parse(token)
	if err != nil {
		return bad(err)
	}
	var content asn1.ObjectIdentifier
	if err := p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &content); err != nil || !content.Equal(typeTST) {
		return bad(errors.New("what was signed is no time-stamp"))
	}
	signer := p7.GetOnlySigner()
	if signer == nil || len(signer.ExtKeyUsage) != 1 || signer.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(signer.UnknownExtKeyUsage) > 0 {
		return bad(errors.New("its signer is not one that was certified for time-stamping alone"))
	}
	between := x509.NewCertPool()
	for _, c := range p7.Certificates {
		between.AddCert(c)
	}
	err = p7.VerifyWithOpts(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: stamp.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return bad(err)
	}
	return stamp.Time.UTC(), nil
}

// unpanic makes an error of a panic in a parser that is not ours.
func unpanic(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: it cannot be read", ErrToken)
	}
}
