package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// Snapshot is the archive as of one size, to be copied while it goes on
// growing: the log first, then the bodies of exactly its entries, then the
// attachments. Nothing is held meanwhile. A disposition may come in between:
// Unchanged tells.
type Snapshot struct {
	Size       uint64
	Root, Last proof.Hash // tree hash; leaf hash of the last entry
	Checkpoint []byte     // signed, of exactly Size
	Cursor     *Cursor
	Schema     uint32
	Keyring    uint64         // generation of the keyring that has Keys
	Keys       []KeyID        // of the body files, by name
	Files      []SnapshotFile // identity.json, the log, then the bodies

	a          *Archive
	gens       generations
	first      uint64 // of the newest log file
	spool      string
	spooledLog string // the newest log file's copy
	logSize    int64  // bytes of it
}

// SnapshotFile is one file of a snapshot.
type SnapshotFile struct {
	Path     string // below the data directory, with slashes
	Finished bool   // nothing is ever written to it again
	Bytes    int64  // roughly what it takes

	body string // name of a body file
}

// Dir is the folder that the archive was opened in.
func (a *Archive) Dir() string { return a.dir }

// Snapshot begins a copy: it names the log's end and the files, and copies the
// newest log file, as it is at that end, into the folder spool. The writer is
// busy with it for about as long as with a checkpoint.
func (a *Archive) Snapshot(ctx context.Context, spool string) (*Snapshot, error) {
	s := &Snapshot{a: a, spool: spool, spooledLog: filepath.Join(spool, "log.db")}
	var log *spooling
	_, err := a.submit(ctx, &request{done: make(chan reply, 1), alone: func() (reply, error) {
		r := &request{checkpoint: true, done: make(chan reply, 1)}
		p := newPlan(&a.w, a.st, nil)
		if _, err := p.add(r); err != nil {
			return reply{}, err
		}
		if err := a.commit(p); err != nil {
			return reply{}, err
		}
		s.Checkpoint = (<-r.done).checkpoint
		var err error
		log, err = s.capture()
		return reply{}, err
	}})
	if err != nil {
		return nil, err
	}
	if s.logSize, err = a.spoolPages(ctx, log, s.spooledLog); err != nil {
		return nil, err
	}
	ring := a.keys.snapshot()
	s.Keyring = ring.Generation
	if err := a.view(s.listLogs); err != nil {
		return nil, err
	}
	last, err := a.Leaf(s.Size - 1)
	if err != nil {
		return nil, err
	}
	if err := a.view(func(st *store) error { return s.listBodies(st, last.Month()) }); err != nil {
		return nil, s.because(err)
	}
	for _, f := range s.Files {
		if key := ring.Bodies[f.body]; f.body != "" && key != nil {
			s.Keys = append(s.Keys, newKeyID("bodies/"+f.body, key))
		}
	}
	slices.SortFunc(s.Keys, func(a, b KeyID) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// capture reads, in the writer, where the log ends, and begins a transaction
// that sees the newest log file as it is then.
func (s *Snapshot) capture() (log *spooling, err error) {
	end := &s.a.w.end
	s.Size, s.Root, s.Last, s.first, s.gens = end.size, end.root(), end.last, end.first, s.a.st.gens
	if end.cursor != nil {
		c := *end.cursor
		s.Cursor = &c
	}
	newest := s.a.st.newest()
	if s.Schema, err = newest.schema(); err != nil {
		return nil, err
	}
	return newest.spool()
}

// listLogs names identity.json and the log's files up to the one that was the
// newest.
func (s *Snapshot) listLogs(st *store) error {
	info, err := os.Stat(filepath.Join(s.a.dir, "identity.json"))
	if err != nil {
		return err
	}
	s.Files = append(s.Files, SnapshotFile{Path: "identity.json", Finished: true, Bytes: info.Size()})
	for _, f := range st.logs {
		if f.first > s.first {
			break
		}
		bytes, err := diskBytes(logPath(s.a.dir, f.number))
		if err != nil {
			return err
		}
		s.Files = append(s.Files, SnapshotFile{Path: fmt.Sprintf("log/%06d.db", f.number), Finished: f.first < s.first, Bytes: bytes})
	}
	return nil
}

// listBodies names the body files that count. A file of generation 1 without a
// record below Size is left out: it has been made since.
func (s *Snapshot) listBodies(st *store, lastMonth string) error {
	then := &store{dir: st.dir, gens: s.gens, bodies: st.bodies}
	ids, err := bodyNames(st.dir)
	if err != nil {
		return err
	}
	ring := st.bodies.keys.snapshot()
	present := map[string]bool{}
	for _, id := range ids {
		if then.stale(id) || id.Month > lastMonth {
			continue
		}
		g := s.gens[id.ClassMonth]
		live := id.generation == s.gens.live(id.ClassMonth)
		if ring.Bodies[id.name] == nil {
			if !live {
				continue // its disposition has destroyed the key; a restored archive finishes it without the file
			}
			return lostBody(id.name, "has no key")
		}
		if id.generation == 1 && id.Month == lastMonth {
			if has, err := st.hasBefore(id.name, s.Size); err != nil {
				return err
			} else if !has {
				continue
			}
		}
		bytes, err := diskBytes(bodyPath(st.dir, id.name))
		if err != nil {
			return err
		}
		present[id.name] = true
		s.Files = append(s.Files, SnapshotFile{
			Path: "bodies/" + id.name + ".db", Finished: id.Month < lastMonth && !g.unfinished(), Bytes: bytes, body: id.name,
		})
	}
	for cm := range s.gens {
		if name := then.bodyName(cm); !present[name] {
			return lostBody(name, "is missing")
		}
	}
	return nil
}

// lostBody says that a live file cannot be copied: unless a disposition came in
// between, the archive is damaged.
func lostBody(name, how string) error {
	return fmt.Errorf("%w: body file %s %s; `holdfastd verify` says which entries it had", ErrDamaged, name, how)
}

// because makes ErrChanged of what went wrong where a disposition came in between:
// a file or its key is gone. What is wrong besides the next try meets again.
func (s *Snapshot) because(err error) error {
	if changed := s.Unchanged(); errors.Is(changed, ErrChanged) {
		return changed
	}
	return err
}

// hasBefore reports whether a body file has a record of an entry before size.
func (s *store) hasBefore(name string, size uint64) (has bool, err error) {
	f, err := s.bodies.get(name)
	if err != nil {
		return false, err
	}
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			k, _ := tx.Bucket(bucketRecord).Cursor().First()
			has = k != nil && string(k) < string(u64(size))
			return nil
		})
	})
	return has, err
}

// Unchanged returns nil if no disposition has switched or destroyed a body file
// since the snapshot began, and ErrChanged otherwise: then the copy may lack
// what it needs, and is to be begun anew.
func (s *Snapshot) Unchanged() error {
	ring := s.a.keys.snapshot()
	for _, k := range s.Keys {
		if ring.Bodies[strings.TrimPrefix(k.Name, "bodies/")] == nil {
			return fmt.Errorf("%w: a disposition destroyed %s meanwhile", ErrChanged, k.Name)
		}
	}
	return s.a.view(func(st *store) error {
		for cm, g := range st.gens {
			was := s.gens[cm]
			if was == nil || was.state != g.state || was.live != g.live {
				return fmt.Errorf("%w: a disposition of %s went on meanwhile", ErrChanged, cm)
			}
		}
		return nil
	})
}

// Blobs returns the paths of the attachments in one folder, below the data
// directory and with slashes, in order. n is 0 to 255. It has every one that an
// entry before Size refers to; one that came since may be among them.
func (s *Snapshot) Blobs(n int) ([]SnapshotFile, error) {
	folder := fmt.Sprintf("%02x", n)
	entries, err := os.ReadDir(filepath.Join(s.a.dir, "blobs", folder))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []SnapshotFile
	for _, e := range entries {
		if name := e.Name(); len(name) == 2*len(blobName{}) && strings.HasPrefix(name, folder) && strings.Trim(name, "0123456789abcdef") == "" {
			out = append(out, SnapshotFile{Path: "blobs/" + folder + "/" + name, Finished: true})
		}
	}
	return out, err
}

// Open opens a finished file's content, an attachment's or identity.json's.
// One that is gone is ErrChanged.
func (s *Snapshot) Open(f SnapshotFile) (*os.File, error) {
	in, err := os.Open(filepath.Join(s.a.dir, filepath.FromSlash(f.Path))) // #nosec G304 -- a name of ours
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is gone", ErrChanged, f.Path)
	}
	return in, err
}
