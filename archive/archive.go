package archive

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
)

// Options says how an archive is opened. The zero value of each field but
// Master is its default.
type Options struct {
	Master        [seal.MasterSize]byte // opens the keyring
	LogFileLeaves uint64                // leaves that fill a log file; DefaultLogFileLeaves
	Reserve       int64                 // bytes kept for control and audit entries; see defaultReserve
	LowWater      int64                 // free bytes below which only those are accepted; see defaultLowWater
	ReadOnly      bool                  // changes nothing, not even what a crash left: for Check
	Keyless       bool                  // with ReadOnly: no master key; the chain can be checked, no body opened
	Logger        *slog.Logger          // nil: none
	KeysOf        string                // with ReadOnly: the folder of an archive whose keyring opens this copy of it; "": its own
	KeysFrom      *Archive              // with ReadOnly: an open archive whose keyring opens this copy of it; nil: Master opens one

	reading func() reading // of the machine's clocks; set by tests
}

// Archive is an open archive. It is safe for concurrent use.
type Archive struct {
	dir    string
	opts   Options
	id     *proof.Identity
	idText []byte
	keys   *keys
	signer note.Signer   // of checkpoints
	log    note.Verifier // of checkpoints
	lock   *os.File
	disk   *diskSpace

	mu sync.RWMutex // guards st: readers share it for the time of a transaction
	st *store

	size     atomic.Uint64
	cursor   atomic.Pointer[Cursor]
	timeline atomic.Pointer[timeline]
	restored atomic.Pointer[Restored]
	grownMu  sync.Mutex
	grown    chan struct{} // closed and replaced whenever size rises

	queue  chan *request // to the writer
	busy   atomic.Bool   // the writer has something to do
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the writer has ended
	closed sync.Once

	rotating sync.Mutex // one rotation of the HPKE keys at a time

	w writer // owned by the writer goroutine once it runs

	claims   blobClaims
	disposal sync.Mutex // held by whoever makes, switches or destroys a body file

	fault func(step string) error // set by tests: fails a commit before or after one of its steps
}

// Open opens the archive in dir, mends what a crash may have left (bodies past
// the log's end, a half-replaced keyring) and checks the log's last entries
// before anything is appended. The directory is held until Close: a second
// Open gets ErrLocked.
func Open(ctx context.Context, dir string, o Options) (*Archive, error) {
	text, id, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	if o.Keyless && !o.ReadOnly {
		return nil, fmt.Errorf("%w: without its key an archive can only be read", ErrKeys)
	}
	k := &keys{ring: &seal.Keyring{}}
	switch {
	case o.KeysFrom != nil:
		if !o.ReadOnly || o.KeysFrom.id.Origin != id.Origin {
			return nil, fmt.Errorf("%w: the keyring of another archive", ErrKeys)
		}
		k = &keys{origin: id.Origin, ring: o.KeysFrom.keys.snapshot()}
	case !o.Keyless:
		if k, err = openKeys(cmp.Or(o.KeysOf, dir), o.Master, id, true); err != nil {
			return nil, err
		}
	}
	a, err := start(dir, o, k, id, text)
	if err != nil {
		return nil, err
	}
	if a.Size() == 0 {
		return nil, errors.Join(fmt.Errorf("%w: the log has no genesis", ErrDamaged), a.Close())
	}
	if o.ReadOnly {
		return a, nil
	}
	err = a.checkGenesis()
	if err == nil {
		err = a.checkTail(ctx, tailCheck)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// readIdentity reads identity.json without any key.
func readIdentity(dir string) ([]byte, *proof.Identity, error) {
	text, err := readLimited(filepath.Join(dir, "identity.json"), proof.MaxIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: %w", dir, ErrNoStore)
	}
	if err != nil {
		return nil, nil, err
	}
	id, err := proof.ParseIdentity(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, "identity.json"), err)
	}
	return text, id, nil
}

// start takes the lock, opens the files and starts the writer.
func start(dir string, o Options, k *keys, id *proof.Identity, text []byte) (a *Archive, err error) {
	if o.LogFileLeaves == 0 {
		o.LogFileLeaves = DefaultLogFileLeaves
	}
	if o.reading == nil {
		o.reading = systemReading
	}
	a = &Archive{
		dir: dir, opts: o, id: id, idText: text, keys: k,
		grown: make(chan struct{}), queue: make(chan *request, 1024), stop: make(chan struct{}), done: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.release())
		}
	}()
	if !o.ReadOnly {
		if a.lock, err = lock(dir); err != nil {
			return a, err
		}
		// Only now, with the lock held, may anything be mended.
		if err = migrate(dir, id.Origin, migrations, Schema, o.Logger); err != nil {
			return a, err
		}
		if a.keys, err = openKeys(dir, k.master, id, false); err != nil {
			return a, err
		}
		if err = durable.Empty(blobTemp(dir)); err != nil {
			return a, err
		}
		emptySpool(dir, o.Logger)
		if a.disk, err = newDiskSpace(dir, o.Reserve, o.LowWater); err != nil {
			return a, err
		}
		if a.signer, err = note.NewSigner(a.keys.ring.Log); err != nil {
			return a, fmt.Errorf("%w: the checkpoint key", ErrDamaged)
		}
	}
	if a.log, err = id.LogVerifier(); err != nil {
		return a, err
	}
	if a.st, err = openStore(dir, id.Origin, a.keys, o.ReadOnly, true); err != nil {
		return a, err
	}
	a.w.reading = o.reading
	if o.ReadOnly {
		if err = a.w.loadSize(a); err == nil {
			a.w.end.since, a.w.end.suspect, err = a.st.newest().clock()
		}
	} else {
		err = a.w.load(a)
		if err == nil {
			err = a.st.sweepGenerations(nil)
		}
	}
	if err != nil {
		return a, err
	}
	a.publish(&a.w.end)
	if o.ReadOnly {
		close(a.done)
	} else {
		go a.write()
	}
	return a, nil
}

// emptySpool removes what a backup left that was killed: a copy of gigabytes, of
// which the disk may be full. The archive opens without that, too.
func emptySpool(dir string, l *slog.Logger) {
	if err := durable.Empty(filepath.Join(dir, "spool")); err != nil && !errors.Is(err, fs.ErrNotExist) && l != nil {
		l.Warn("emptying the spool", "err", err)
	}
}

// Close ends the writer after what it has begun and closes every file.
func (a *Archive) Close() error {
	var err error
	a.closed.Do(func() {
		close(a.stop)
		<-a.done
		err = a.release()
	})
	return err
}

func (a *Archive) release() error {
	var errs []error
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.st != nil {
		errs = append(errs, a.st.close())
		a.st = nil
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}

// view runs f with the open files. f does not call it again: between the two
// somebody may have come who waits for the files, and each would wait for the other.
func (a *Archive) view(f func(*store) error) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.st != nil {
		return f(a.st)
	}
	select {
	case <-a.done:
		return ErrClosed
	default:
		return ErrFailed
	}
}

// Size returns the number of entries in the log; the next gets this seq.
func (a *Archive) Size() uint64 { return a.size.Load() }

// Cursor returns how far the relay's stream has been appended, false before
// the first contact.
func (a *Archive) Cursor() (Cursor, bool) {
	c := a.cursor.Load()
	if c == nil {
		return Cursor{}, false
	}
	return *c, true
}

// Wait returns nil when the log holds more than size entries.
func (a *Archive) Wait(ctx context.Context, size uint64) error {
	for {
		a.grownMu.Lock()
		grown := a.grown
		a.grownMu.Unlock()
		if a.Size() > size {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		case <-a.stop:
			return ErrClosed
		}
	}
}

// publish makes the log's new end visible and wakes who waits for it.
func (a *Archive) publish(end *tip) {
	t := end.timeline
	a.timeline.Store(&t)
	a.restored.Store(end.restored)
	a.size.Store(end.size)
	if end.cursor != nil {
		a.cursor.Store(end.cursor)
	}
	a.grownMu.Lock()
	close(a.grown)
	a.grown = make(chan struct{})
	a.grownMu.Unlock()
}

// Identity returns who this archive is.
func (a *Archive) Identity() *proof.Identity { return a.id }

// IdentityJSON returns identity.json's bytes, which are the body of leaf 0.
func (a *Archive) IdentityJSON() []byte { return a.idText }

// IdentitySigner returns the Ed25519 key that signs acks, keysets and
// productions.
func (a *Archive) IdentitySigner() crypto.Signer { return a.keys.snapshot().IdentityKey() }

// LogFileLeaves returns how many leaves fill a log file.
func (a *Archive) LogFileLeaves() uint64 { return a.opts.LogFileLeaves }

// IndexKey returns the key of the index with the given number, making it,
// durably, at its first use.
func (a *Archive) IndexKey(_ context.Context, file uint64) ([seal.KeySize]byte, error) {
	return a.keys.indexKey(file)
}
