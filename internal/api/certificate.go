package api

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"holdfast/internal/certreq"
)

// Certificate is the server's certificate chain and key, read from a pair of
// PEM files and read again when one of them changes. Whoever renews it writes
// both files, in any order: until they fit together the old pair serves.
type Certificate struct {
	cert, key string
	log       *slog.Logger
	failed    func(error)

	mu   sync.Mutex // guards what follows
	pair *tls.Certificate
	seen [2]fs.FileInfo // of the files when they were last tried
	// What is wrong with the files now, since when, and whether failed has heard of it.
	fault error
	since time.Time
	told  bool
}

// LoadCertificate reads the pair. failed, which may be nil, hears of a changed
// pair that cannot be used: once, when handshakes have met it for longer than
// settle.
func LoadCertificate(cert, key string, log *slog.Logger, failed func(error)) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, log: log, failed: failed}
	var err error
	if c.seen, err = c.stat(); err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	if c.pair, err = c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// NotAfter returns when the certificate in use ends.
func (c *Certificate) NotAfter() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair.Leaf.NotAfter
}

func (c *Certificate) load() (*tls.Certificate, error) {
	pair, err := certreq.Pair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	return &pair, nil
}

func (c *Certificate) stat() (seen [2]fs.FileInfo, err error) {
	for i, name := range []string{c.cert, c.key} {
		if seen[i], err = os.Stat(name); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// current returns the pair for one handshake. It costs two stats unless a file
// has changed. Whoever is to be told of the files is, by this handshake alone.
func (c *Certificate) current() *tls.Certificate {
	pair, fault := c.look()
	if fault != nil {
		c.log.Error("the changed certificate cannot be used; the one before it goes on serving", "error", fault)
		if c.failed != nil {
			c.failed(fault)
		}
	}
	return pair
}

// look returns the pair to serve, and what is to be told of the files, if anything.
func (c *Certificate) look() (pair *tls.Certificate, tell error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, err := c.stat()
	switch {
	case err != nil: // while a file is being replaced it may be missing
	case same(seen[0], c.seen[0]) && same(seen[1], c.seen[1]):
		err = c.fault
	default:
		c.seen = seen
		err = c.replace()
	}
	tell = c.judge(err)
	return c.pair, tell
}

// replace puts what the files now hold in place of the pair, if it can serve.
func (c *Certificate) replace() error {
	pair, err := c.load()
	if err != nil {
		return err
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return fmt.Errorf("the certificate: it ended at %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	c.pair = pair
	c.log.Info("the certificate was read again", "not_after", pair.Leaf.NotAfter)
	return nil
}

// judge remembers what is wrong with the files, and returns it, once, when they
// have been so for longer than replacing them takes.
func (c *Certificate) judge(fault error) (tell error) {
	c.fault = fault
	switch {
	case fault == nil:
		c.since, c.told = time.Time{}, false
	case c.since.IsZero():
		c.since = time.Now()
	case !c.told && time.Since(c.since) >= settle:
		c.told = true
		return fault
	}
	return nil
}

// settle is how long the two files may not fit together before that is told.
const settle = time.Minute

// same reports whether a file is the one seen before, as far as can be told
// without reading it.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
