package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
)

// ErrUnreachable says that no relay answers.
var ErrUnreachable = errors.New("the relay does not answer")

// Client calls the vendor's side of a running relay. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a client of the relay in dir, whose URL is found in the folder unless one is given.
func NewClient(dir, url string) (*Client, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	config, err := clientTLS(dir, roleVendor)
	if err != nil {
		return nil, err
	}
	if url == "" {
		url = "https://" + announced(dir, c)
	}
	return &Client{
		base: url + "/vendor/v1/" + c.ArchiveID,
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 4}},
	}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns the state of the current epoch.
func (c *Client) Status(ctx context.Context) (wire.Status, error) {
	b, err := c.call(ctx, http.MethodGet, "/status", nil)
	if err != nil {
		return wire.Status{}, err
	}
	return wire.ParseStatus(b)
}

// Keyset returns the archive's keyset as it was put. Verifying it is the caller's.
func (c *Client) Keyset(ctx context.Context) ([]byte, error) {
	return c.call(ctx, http.MethodGet, "/keyset", nil)
}

// Submit hands in a batch of at most 1,000 submissions and 16 MiB.
func (c *Client) Submit(ctx context.Context, batch []Submission) (Receipt, error) {
	body, err := MarshalBatch(batch)
	if err != nil {
		return Receipt{}, err
	}
	b, err := c.call(ctx, http.MethodPost, "/submit", bytes.NewReader(body))
	if err != nil {
		return Receipt{}, err
	}
	var rec Receipt
	if err := ijson.Unmarshal(b, &rec); err != nil {
		return Receipt{}, fmt.Errorf("the relay's answer cannot be read: %w", err)
	}
	return rec, nil
}

// PutBlob hands in a sealed attachment.
func (c *Client) PutBlob(ctx context.Context, bid string, sealed []byte) error {
	_, err := c.call(ctx, http.MethodPut, "/blobs/"+bid, bytes.NewReader(sealed))
	return err
}

// MarshalBatch returns the body of POST submit.
func MarshalBatch(batch []Submission) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, s := range batch {
		if err := enc.Encode(submissionLine(s)); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// call makes a request and returns the body of its success. A refusal is a *wire.Problem.
func (c *Client) call(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return nil, fmt.Errorf("%w; start it with holdfast-relay serve: %w", ErrUnreachable, err)
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, wire.ReadProblem(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxEnvelope))
	if err != nil {
		return nil, fmt.Errorf("the relay's answer broke off: %w", err)
	}
	return b, nil
}
