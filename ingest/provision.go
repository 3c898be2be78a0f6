package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// ProvisionRequest is one thing that the relay is asked to do with a person's account or device (AMX/1 §8).
type ProvisionRequest struct {
	ID  string `json:"id"` // b64u of 32 bytes: the same for the same request, and for no other
	Op  string `json:"op"` // wire.OpUserDisable, OpDeviceRevoke or OpDeviceWipe
	Usr string `json:"usr"`
	Dev string `json:"dev,omitempty"`
	Kid string `json:"kid,omitempty"`
}

// newProvision makes the request that follows from a departure. since is the seq of the entry that tells of it: who comes back and leaves
// again is provisioned again.
func newProvision(op, usr, dev, kid string, since uint64) ProvisionRequest {
	h := sha256.New()
	h.Write([]byte("holdfast provision v1\x00"))
	for _, s := range []string{op, usr, dev, kid} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) // #nosec G115 -- at most 256 bytes
		h.Write([]byte(s))
	}
	h.Write(binary.BigEndian.AppendUint64(nil, since))
	return ProvisionRequest{ID: jws.EncodeB64(h.Sum(nil)), Op: op, Usr: usr, Dev: dev, Kid: kid}
}

// OverrideDigest is what two people approve when they let a wipe go ahead although its custodian is under hold: hex SHA-256 of exactly this
// request.
func (r ProvisionRequest) OverrideDigest() string {
	sum := sha256.Sum256([]byte("holdfast wipe-override v1\x00" + r.ID))
	return hex.EncodeToString(sum[:])
}

func (r ProvisionRequest) onWire(arc string, at time.Time) *wire.Provision {
	return &wire.Provision{Arc: arc, ID: r.ID, Op: r.Op, Usr: r.Usr, Dev: r.Dev, Kid: r.Kid, Time: at}
}

// Provision asks the relay for r and returns nil once the relay has accepted it. Asking again is harmless. A *wire.Problem says what the
// relay had against it.
func (c *Client) Provision(ctx context.Context, r ProvisionRequest) error {
	compact, err := r.onWire(c.arc, time.Now()).Sign(c.o.Keys.IdentitySigner())
	if err != nil {
		return err
	}
	return c.relay.provision(ctx, r.ID, compact)
}

func (r *httpRelay) provision(ctx context.Context, id string, compact []byte) error {
	ctx, cancel := context.WithTimeout(ctx, r.idle)
	defer cancel()
	resp, err := r.do(ctx, http.MethodPost, "provision", compact, http.Header{"Content-Type": {"application/jose"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return fmt.Errorf("read the relay's answer to a provision request: %w", err)
	}
	// Only an answer that names the request is one: a portal on the way says 200 to anything.
	return wire.CheckAccepted(b, id)
}

// refusalCode returns the code of an answer that will be the same whenever it is asked for again; false for every other failure.
func refusalCode(err error) (code string, final bool) {
	var p *wire.Problem
	if !errors.As(err, &p) {
		return "", false
	}
	switch {
	case p.Status == http.StatusNotFound && (p.Code == wire.CodeUnknownUser || p.Code == wire.CodeUnknownDevice),
		p.Status == http.StatusConflict && p.Code == wire.CodeIDReused:
		return p.Code, true
	case p.Status == http.StatusNotImplemented:
		return wire.CodeNotSupported, true
	case p.Status == http.StatusBadRequest:
		return wire.CodeBadRequest, true
	}
	return "", false
}
