// Package relay is the reference relay of AMX/1: a durable queue of events with a chain of heads over them, and the server that hands them
// to one archive. It is for the demo, for tests, and for vendors to develop against; a vendor's own relay shares nothing with it but the
// protocol, which ingest/AMX.md §3 and §8 specify. It holds no key that opens a message.
//
// cmd/holdfast-relay runs it, and the tests of any package may start one in their own process:
//
//	relay.Init(dir, relay.Params{Arc: "ward.example", Identity: key})
//	r, err := relay.New(dir, relay.Options{})
//	running, err := r.Start("127.0.0.1:0")     // running.URL, then running.Stop(ctx)
//
// # The archive's side
//
// Under /amx/v1/ARC, for a client certificate with OU=archive and CN=ARC: GET events, POST ack, GET status, GET blobs/BID, PUT keyset, GET
// keyset and POST provision (ingest/AMX.md §8). A certificate of another arc gets 403 wrong_archive; without one the TLS handshake fails.
//
// An epoch that has ended is served until the archive has asked past its last event; only then does the relay answer 409 epoch_changed, so
// that a change of epoch loses nothing. A success of ack is 200 {"acked":n}, of keyset 200 {"version":n}.
//
// # The vendor's side
//
// Under /vendor/v1/ARC, for a client certificate with OU=vendor. AMX/1 leaves this side to each vendor; here it is
//
//	POST submit        lines of {"id","kind","data","usr","key"}, at most 1,000 and 16 MiB, taken together or not at all and durable before the
//	                   answer 200 {"accepted":n,"duplicates":n,"high":n,"refused":[id]}. id is the idempotency key: an envelope's mid, 16 random
//	                   bytes for the rest. usr and key, the thumbprint of the sending device's key, may be left out; refused are the envelopes of
//	                   people whom POST provision disabled and of devices that it revoked.
//	                   409 key_expired under a key past its not_after: seal again under the current keyset
//	PUT blobs/BID      a sealed attachment; the same bytes again are a success, other bytes 409
//	GET keyset         the archive's JWS as it was put, or 404
//	GET status         as the archive sees it
//
// # On disk
//
// relay.toml, pki/ (development certificates and keys), queue.db (bbolt, the one commit point), blobs/ (one file each), addr (where the running
// relay listens). Package internal/relay/load keeps the state of its simulated clients in load.db beside them.
package relay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"holdfast/ingest/wire"
)

// keepAfterAck is how long an acked event is kept for an archive that may have to be restored, unless a backup holds it earlier.
const keepAfterAck = 30 * 24 * time.Hour

// Options are the settings of one run.
type Options struct {
	Faults    *Faults       // what to do wrong; nil for nothing
	Log       *slog.Logger  // nil discards; it never sees content, names or keys
	Heartbeat time.Duration // between two blank lines of a long poll; 0 stands for 10 s
}

// Relay is one open relay. It is safe for concurrent use.
type Relay struct {
	dir       string
	cfg       Config
	head      ed25519.PrivateKey
	queue     *queue
	faults    *Faults
	log       *slog.Logger
	heartbeat time.Duration

	// stop is closed when the server stops, so that long polls answer at once.
	stop     chan struct{}
	stopOnce sync.Once
}

// New opens the relay in dir, which Init has made. Only one process may have it open.
func New(dir string, opts Options) (*Relay, error) {
	cfg, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	head, err := readPrivateKey(filepath.Join(dir, pkiDir, headKeyFile))
	if err != nil {
		return nil, err
	}
	r := &Relay{
		dir: dir, cfg: cfg, head: head, faults: opts.Faults, log: opts.Log, heartbeat: opts.Heartbeat,
		stop: make(chan struct{}),
	}
	if r.faults == nil {
		r.faults = &Faults{}
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.heartbeat <= 0 {
		r.heartbeat = 10 * time.Second
	}
	if r.queue, err = openQueue(dir, cfg.ArchiveID, r.faults); err != nil {
		return nil, err
	}
	if err := r.queue.sweep(time.Now()); err != nil {
		return nil, errors.Join(err, r.queue.close())
	}
	return r, nil
}

// Close lets long polls go and closes the queue.
func (r *Relay) Close() error {
	r.release()
	return r.queue.close()
}

// release wakes every long poll for good.
func (r *Relay) release() { r.stopOnce.Do(func() { close(r.stop) }) }

// Arc returns the archive's id.
func (r *Relay) Arc() string { return r.cfg.ArchiveID }

// HeadKey returns the public key that pages are signed by.
func (r *Relay) HeadKey() ed25519.PublicKey { return r.head.Public().(ed25519.PublicKey) }

// Submission is what a vendor hands in: an event without its place.
type Submission struct {
	ID   string // idempotency key, at most 64 bytes: an envelope's mid
	Kind string
	Data string
	Usr  string // of an envelope: whose device hands it in; "" where the vendor does not say
	Key  string // of an envelope: RFC 7638 thumbprint of that device's key; "" likewise
}

// Receipt says what became of a batch.
type Receipt struct {
	Accepted   int    `json:"accepted"`
	Duplicates int    `json:"duplicates"` // known by their ID, and not queued again
	High       uint64 `json:"high"`
	// Refused are the IDs of what people and devices handed in whom the archive had shut out: none of it was queued.
	Refused []string `json:"refused,omitempty"`
}

// Submit queues a batch, whole or not at all, durable once it returns. It takes whatever fits a page, also what the vendor's endpoint
// would refuse (an envelope that is oversized, malformed or under an expired key): tests hand in hostile events here.
func (r *Relay) Submit(ctx context.Context, batch []Submission) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	return r.queue.submit(batch, time.Now())
}

// OfflineStatus reads the state of the current epoch of a relay that is not running.
func OfflineStatus(dir string) (wire.Status, error) {
	cfg, err := ReadConfig(dir)
	if err != nil {
		return wire.Status{}, err
	}
	q, err := openQueue(dir, cfg.ArchiveID, &Faults{})
	if err != nil {
		return wire.Status{}, err
	}
	s, err := q.status()
	return s, errors.Join(err, q.close())
}

// Status returns the state of the current epoch.
func (r *Relay) Status() (wire.Status, error) { return r.queue.status() }

// NewEpoch ends the current epoch and begins another, whose chain starts from its last head.
func (r *Relay) NewEpoch() (wire.Status, error) {
	if err := r.queue.newEpoch(); err != nil {
		return wire.Status{}, err
	}
	return r.queue.status()
}

// identity returns the archive's pinned identity key, read anew so that pinning needs no restart.
func (r *Relay) identity() (ed25519.PublicKey, error) {
	pub, err := PinnedIdentity(r.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no identity key is pinned; run: holdfast-relay pin --dir %s --identity FILE", r.dir)
	}
	return pub, err
}
