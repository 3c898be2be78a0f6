package ingest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

// Log is the log that entries go to. *archive.Archive has it.
type Log interface {
	// Append is durable once it returns nil. What the stored cursor has passed is skipped, the batch's control entries included, so that a
	// batch may be appended again after a failure whose outcome is unknown.
	Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	// Cursor returns the relay position up to which everything is durable; false before the first contact.
	Cursor() (archive.Cursor, bool)
	// Size returns the number of entries.
	Size() uint64
	// Scan and Record read entries back: what was quarantined and not yet acked, and whose attachments are pending.
	Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error]
	Record(ctx context.Context, seq uint64) (archive.Record, error)
	// Checkpoint returns a signed note over the present size.
	Checkpoint(ctx context.Context) ([]byte, error)
}

// Blobs keeps the ciphertext of attachments. *archive.Archive has it.
type Blobs interface {
	// PutBlob is durable once it returns nil. Content with another hash is archive.ErrInvalid; it and what r failed to give leave nothing.
	PutBlob(ctx context.Context, bid string, ctSHA256 [32]byte, r io.Reader) error
	HasBlob(bid string, ctSHA256 [32]byte) (bool, error)
}

// Keys holds the archive's secrets that ingest needs. *archive.Archive has it.
type Keys interface {
	Identity() *proof.Identity
	IdentitySigner() crypto.Signer         // Ed25519: signs acks and keysets
	RecipientKeys() []archive.RecipientKey // the caller's own slice
	Now() time.Time                        // received time, which no jump of the machine's clock moves
}

// State is what the log's control entries come to. The daemon gives it over archive/state.
type State interface {
	// Directory returns a private copy of the device directory as of all entries committed when it is called.
	Directory(ctx context.Context) (*envelope.Directory, error)
	// PendingBlobs returns the attachments that are pending as of all entries committed when it is called.
	PendingBlobs(ctx context.Context) ([]PendingBlob, error)
	// Ordinal returns the place of an epoch in the order in which the relay's epochs came, from 0; false for one that never came.
	Ordinal(ctx context.Context, epoch string) (uint32, bool, error)
}

// PendingBlob is a KindBlob entry with status pending that no later one has completed.
type PendingBlob struct {
	archive.BlobBody
	Seq   uint64    // of the KindBlob entry: its message stands before it, in the same batch
	Since time.Time // when that entry was received
}

// Options says which relay to pull from and where to put what it gives. A zero duration or count stands for its default.
type Options struct {
	URL     string            // https://HOST[:PORT] of the relay; /amx/v1/{arc} is added
	CA      string            // file, PEM: the only authorities by which the relay's certificate is accepted
	Cert    string            // file, PEM: the archive's client certificate; read anew for each connection
	Key     string            // file, PEM: its private key
	HeadKey ed25519.PublicKey // the relay's pinned key, by which pages are signed

	Log   Log
	Blobs Blobs
	Keys  Keys
	State State
	// Approvals returns people's approvals of devices in the log's order, without the first n, as of all entries committed when it is
	// called, which is once a page. Optional: without it an approval counts from the next session on. *state.State has it.
	Approvals func(ctx context.Context, n int) ([]envelope.Approval, error)
	// Classes decides the record class of each entry. Optional: without it everything is of class general.
	Classes Classes
	// Reopen brings the log back after archive.ErrFailed. It is tried again with back-off until it returns nil. Optional: *archive.Archive
	// reopens and checks itself at the next append.
	Reopen func(ctx context.Context) error
	// BackedUp returns the place in the relay's stream up to which a backup holds it too, "" and 0 before there is one. Optional.
	BackedUp func() (epoch string, seq uint64)
	// Gate holds ingest back. Optional: without one it is open.
	Gate *Gate
	// Lag returns how many entries the index is behind the log; it must be 0 while the index is broken. Optional.
	Lag     func() uint64
	Metrics *Metrics     // optional
	Logger  *slog.Logger // optional; gets no content, no name and no id of a person

	AllowX25519 bool // the site opts in to KEM 0x0020
	PageLimit   int  // events asked for at once, 1 to 1000; default 1000
	Workers     int  // envelopes opened at once; default GOMAXPROCS

	Wait             time.Duration // how long a poll may be held open, at most and by default 55 s
	BackoffMin       time.Duration // first pause after a failure, default 500 ms; doubled up to BackoffMax, with jitter
	BackoffMax       time.Duration // default 60 s
	DiskRetry        time.Duration // pause while the disk is full, default 10 s
	IdleTimeout      time.Duration // how long a connection may stay silent beyond Wait, default 30 s
	UnreachableAfter time.Duration // silence of the relay until an alarm, default 15 min
	KeysetEvery      time.Duration // how often the keyset is published again, default 24 h
	BlobDeadline     time.Duration // how long a page waits for its attachments, default 15 s; negative: not at all
	BlobGrace        time.Duration // how long the relay must keep answering 404 until a blob counts as missing, default 10 min
	BlobGiveUp       time.Duration // age at which a pending blob counts as missing whatever the reason, default 7 days
}

// Bounds that are no site's choice.
const (
	maxIndexLag   = 50_000      // entries; beyond it ingest goes at the index's speed
	indexPatience = time.Minute // an index that does not move for so long is broken and holds up nothing
	indexPoll     = 50 * time.Millisecond
	keysetLife    = 6 * 24 * time.Hour // below wire.MaxKeysetLife by more than any two clocks may differ
	pageTime      = 10 * time.Minute   // for one page, however slowly it drips

	blobPatience   = 2 * time.Minute // for one attempt at a blob, and beside it
	leastBlobSpeed = 64 << 10        // bytes a second
	mostBlobTime   = 24 * time.Hour  // whatever size the message states; a blob of more than 5 GiB must come faster
)

var errOptions = errors.New("ingest options")

func (o *Options) defaults() error {
	switch {
	case o.Log == nil || o.Blobs == nil || o.Keys == nil || o.State == nil:
		return fmt.Errorf("%w: Log, Blobs, Keys and State are needed", errOptions)
	case len(o.HeadKey) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: the relay's head key is not an Ed25519 public key; ask the relay's operator for it and set head_key", errOptions)
	case o.PageLimit < 0 || o.PageLimit > wire.MaxPageEvents:
		return fmt.Errorf("%w: a page has 1 to %d events", errOptions, wire.MaxPageEvents)
	case o.Wait < 0 || o.Wait > wire.MaxWait*time.Second:
		return fmt.Errorf("%w: a poll is held open for at most %d seconds", errOptions, wire.MaxWait)
	}
	fill := func(d *time.Duration, by time.Duration) {
		if *d == 0 {
			*d = by
		}
	}
	fill(&o.Wait, wire.MaxWait*time.Second)
	fill(&o.BackoffMin, 500*time.Millisecond)
	fill(&o.BackoffMax, 60*time.Second)
	fill(&o.DiskRetry, 10*time.Second)
	fill(&o.IdleTimeout, 30*time.Second)
	fill(&o.UnreachableAfter, 15*time.Minute)
	fill(&o.KeysetEvery, 24*time.Hour)
	fill(&o.BlobDeadline, 15*time.Second)
	fill(&o.BlobGrace, 10*time.Minute)
	fill(&o.BlobGiveUp, 7*24*time.Hour)
	if o.Gate == nil {
		o.Gate = &Gate{}
	}
	if o.PageLimit == 0 {
		o.PageLimit = wire.MaxPageEvents
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = newMetrics()
	}
	return nil
}
