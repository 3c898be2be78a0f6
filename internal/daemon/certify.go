package daemon

import (
	"context"
	"slices"
	"time"

	"holdfast/archive/coverage"
	"holdfast/internal/api"
)

// coverageAPI implements api.Coverer.
type coverageAPI struct{ *parts }

// Certify makes a completeness certificate.
func (c coverageAPI) Certify(ctx context.Context, by string, about api.Found, from, to time.Time, progress func(done, total uint64)) (*api.Certified, error) {
	if err := c.caughtUp(ctx); err != nil {
		return nil, err
	}
	r := coverage.Request{
		Person: about.GUID, Name: about.Name, Usrs: about.Usrs, From: from, To: to, By: by, Tool: "holdfastd " + c.version, Progress: progress,
		Certificates: c.certificatesOf,
	}
	usrs := map[string]bool{}
	for _, usr := range about.Usrs {
		usrs[usr] = true
	}
	for _, d := range c.state.Devices() {
		if usrs[d.Usr] {
			r.Keys = append(r.Keys, coverage.Key{Usr: d.Usr, Dev: d.Dev, Kid: d.Kid, Added: d.AddedSeq, Assurance: string(d.Assurance), Revoked: d.Revoked})
		}
	}
	if !c.known(about.Usrs) {
		return nil, api.ErrUnknown
	}
	s, compact, err := coverage.Certify(ctx, c.archive, r)
	if err != nil {
		return nil, err
	}
	return &api.Certified{Statement: *s, JWS: string(compact)}, nil
}

// known reports whether the relay ever named one of these users.
func (c coverageAPI) known(usrs []string) bool {
	for u := range c.state.Directory().Users() {
		if slices.Contains(usrs, u.Usr) {
			return true
		}
	}
	return len(usrs) == 0 // Certify says what that means
}

// certificatesOf returns the certificate by which an entry was disposed of.
func (c coverageAPI) certificatesOf(seq uint64) []uint64 {
	leaf, err := c.archive.Leaf(seq)
	if err != nil {
		return nil
	}
	if by, ok := c.book.CertificateFor(seq, leaf); ok {
		return []uint64{by.Seq}
	}
	return nil
}
