package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/ingest/wire"
	"holdfast/internal/certreq"
)

// remote is the relay as the rest of the package sees it; httpRelay is the one of AMX/1 section 3.
type remote interface {
	status(ctx context.Context) (wire.Status, error)
	// events returns one page, verified whole.
	events(ctx context.Context, want wire.Expect, wait time.Duration) (*wire.Page, error)
	ack(ctx context.Context, compact []byte) error
	keyset(ctx context.Context, compact []byte) error
	// provision returns nil only for an answer that accepts the request id.
	provision(ctx context.Context, id string, compact []byte) error
	// blob opens a blob's ciphertext from offset on, if it still has the given strong ETag; else from 0.
	blob(ctx context.Context, bid string, offset int64, etag string) (*blobPart, error)
}

// blobPart is an answer to GET blobs/{bid}.
type blobPart struct {
	body   io.ReadCloser
	offset int64  // where body begins
	etag   string // strong, or ""
}

// Limits of what is read of an answer that is not a page or a blob, in bytes.
const (
	maxStatus = 64 << 10
	maxDrain  = 64 << 10
)

var errStalled = errors.New("the relay fell silent in the middle of an answer")

type httpRelay struct {
	base   *url.URL
	client *http.Client
	idle   time.Duration
}

// newHTTPRelay dials nothing. The files are read once here, so that a wrong path shows at the start.
func newHTTPRelay(o *Options, arc string) (*httpRelay, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%w: the relay's url must be of the form https://HOST[:PORT]", errOptions)
	}
	pem, err := certreq.Read(o.CA)
	if err != nil {
		return nil, fmt.Errorf("read the relay's CA; set [relay] ca to the file that the relay's operator gave out: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: the relay's CA file holds no PEM certificate", errOptions)
	}
	if _, err := certreq.Pair(o.Cert, o.Key); err != nil {
		return nil, fmt.Errorf("read the client certificate; check [relay] cert and key: %w", err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    roots,
		ServerName: base.Hostname(),
		// Read for each connection, so that a renewed certificate needs no restart.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := certreq.Pair(o.Cert, o.Key)
			if err != nil {
				return nil, fmt.Errorf("read the client certificate: %w", err)
			}
			return &cert, nil
		},
	}
	// HTTP/1.1 gives each long poll and each blob a connection of its own: none can stall another.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: o.IdleTimeout,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 4,
		DisableCompression:  true, // a Range of compressed bytes is not a Range of the blob
		Protocols:           &protocols,
	}
	return &httpRelay{
		base: base.JoinPath("amx", "v1", arc),
		idle: o.IdleTimeout,
		client: &http.Client{
			Transport: transport,
			// The relay is pinned; where it points to is not.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (r *httpRelay) close() { r.client.CloseIdleConnections() }

func (r *httpRelay) status(ctx context.Context) (wire.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, r.idle)
	defer cancel()
	resp, err := r.do(ctx, http.MethodGet, "status", nil, nil)
	if err != nil {
		return wire.Status{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return wire.Status{}, fmt.Errorf("read the relay's status: %w", err)
	}
	return wire.ParseStatus(b)
}

func (r *httpRelay) events(ctx context.Context, want wire.Expect, wait time.Duration) (*wire.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+pageTime)
	defer cancel()
	guard, ctx := newGuard(ctx, wait+r.idle)
	defer guard.stop()
	query := url.Values{
		"epoch": {want.Epoch},
		"after": {strconv.FormatUint(want.After, 10)},
		"limit": {strconv.Itoa(want.Limit)},
		"wait":  {strconv.FormatInt(int64(wait/time.Second), 10)},
	}
	resp, err := r.do(ctx, http.MethodGet, "events?"+query.Encode(), nil, nil)
	if err != nil {
		return nil, guard.cause(err)
	}
	defer resp.Body.Close()
	page, err := wire.ReadPage(guard.reader(resp.Body), want)
	if err != nil {
		return nil, guard.cause(err)
	}
	return page, nil
}

func (r *httpRelay) ack(ctx context.Context, compact []byte) error {
	return r.send(ctx, http.MethodPost, "ack", compact)
}

func (r *httpRelay) keyset(ctx context.Context, compact []byte) error {
	return r.send(ctx, http.MethodPut, "keyset", compact)
}

func (r *httpRelay) send(ctx context.Context, method, path string, compact []byte) error {
	ctx, cancel := context.WithTimeout(ctx, r.idle)
	defer cancel()
	resp, err := r.do(ctx, method, path, compact, http.Header{"Content-Type": {"application/jose"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// Read to its end, so that the connection can be used again; what it says beyond 2xx does not matter.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxDrain))
	return nil
}

func (r *httpRelay) blob(ctx context.Context, bid string, offset int64, etag string) (*blobPart, error) {
	header := http.Header{}
	if offset > 0 && etag != "" {
		header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		header.Set("If-Range", etag)
	}
	guard, ctx := newGuard(ctx, r.idle)
	resp, err := r.do(ctx, http.MethodGet, "blobs/"+url.PathEscape(bid), nil, header)
	if err != nil {
		guard.stop()
		return nil, guard.cause(err)
	}
	part := &blobPart{body: guard.readCloser(resp.Body), etag: strongETag(resp.Header.Get("ETag"))}
	if resp.StatusCode == http.StatusPartialContent {
		begin, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
		begin, _, dash := strings.Cut(begin, "-")
		part.offset, err = strconv.ParseInt(begin, 10, 64)
		if !ok || !dash || err != nil {
			_ = part.body.Close()
			return nil, errors.New("the relay's Content-Range cannot be read")
		}
	}
	return part, nil
}

// strongETag returns an ETag only if it vouches for the very bytes (RFC 9110 section 8.8.1).
func strongETag(tag string) string {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' || len(tag) > 256 {
		return ""
	}
	return tag
}

// do sends a request and returns an answer of the 2xx class, or the problem that the relay reported.
func (r *httpRelay) do(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	ref, err := url.Parse(path)
	if err != nil {
		return nil, fmt.Errorf("ask the relay: %w", err)
	}
	target := r.base.JoinPath(ref.EscapedPath())
	target.RawQuery = ref.RawQuery
	req, err := http.NewRequestWithContext(ctx, method, target.String(), strings.NewReader(string(body)))
	if err != nil {
		return nil, fmt.Errorf("ask the relay: %w", err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the relay: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, wire.ReadProblem(resp)
	}
	return resp, nil
}

// guard ends a request whose answer has been silent for too long; any byte, a heartbeat's too, starts its clock anew.
type guard struct {
	timer  *time.Timer
	limit  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func newGuard(parent context.Context, limit time.Duration) (*guard, context.Context) {
	ctx, cancel := context.WithCancelCause(parent)
	g := &guard{limit: limit, ctx: ctx, cancel: cancel}
	g.timer = time.AfterFunc(limit, func() { cancel(errStalled) })
	return g, ctx
}

func (g *guard) stop() {
	g.timer.Stop()
	g.cancel(nil)
}

// cause returns errStalled where err only says that the request was cancelled because of it.
func (g *guard) cause(err error) error {
	if errors.Is(context.Cause(g.ctx), errStalled) {
		return errStalled
	}
	return err
}

func (g *guard) reader(r io.Reader) io.Reader { return &guardedBody{guard: g, r: r} }

func (g *guard) readCloser(r io.ReadCloser) io.ReadCloser { return &guardedBody{guard: g, r: r, c: r} }

type guardedBody struct {
	*guard
	r io.Reader
	c io.Closer
}

func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 {
		b.timer.Reset(b.limit)
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.stop()
	return b.c.Close()
}
