package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/internal/durable"
)

// Destruction is what Destroy destroyed.
type Destruction struct {
	Keys       []KeyID  `json:"keys"`        // taken out of the keyring
	IndexFiles []uint64 `json:"index_files"` // indexes, by number, that cover entries which went: their keys went too, and they are to be made anew
	Files      uint64   `json:"files"`       // body files unlinked
	Blobs      uint64   `json:"blobs"`       // attachments unlinked
	Bytes      int64    `json:"bytes"`       // what those took on disk
	Keyring    uint64   `json:"keyring"`     // generation of the keyring without the keys: every copy of a lower one could still open what was destroyed
}

// Destroy takes the former keys of switched class-months out of the keyring
// and both its files, in one replacement for all, with the keys of the indexes
// of every log file that holds an entry that went; then it unlinks the former
// body files and the attachments. It can be called again after a failure or a
// crash at any point, and after it is done, with the same class-months: it
// finishes what is left and returns the same facts.
//
// Where g does not hold when the destruction of keys is written down, nothing
// is destroyed and the error is ErrChanged. From that transaction on nothing
// turns back but a crash before the keyring's replacement. A destruction whose
// keys are gone already goes on whatever g says. g may be nil.
//
// After a crash between the keyring's replacement and the writing down of what
// came of it, Keyring may be higher than the first that lacked the keys.
func (a *Archive) Destroy(ctx context.Context, cms []ClassMonth, g *Guard) (*Destruction, error) {
	if a.opts.ReadOnly {
		return nil, fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	}
	a.disposal.Lock()
	defer a.disposal.Unlock()
	gens, err := a.destructible(cms)
	if err != nil {
		return nil, err
	}
	if err := a.destroyKeys(ctx, gens, g); err != nil {
		return nil, err
	}
	for _, cm := range gens.sorted() {
		if !gens[cm].unfinished() {
			continue
		}
		if err := a.unlinkFormer(ctx, cm, gens[cm]); err != nil {
			return nil, fmt.Errorf("the keys of %s are destroyed; unlinking its files: %w", cm, err)
		}
	}
	if err := a.faultAt("unlinked"); err != nil {
		return nil, err
	}
	if err := a.writeDown(ctx, gens, stateDestroyed, nil); err != nil {
		return nil, err
	}
	return gens.destruction(), nil
}

// destructible returns copies of what the log says of the class-months.
func (a *Archive) destructible(cms []ClassMonth) (generations, error) {
	gens := generations{}
	err := a.view(func(s *store) error {
		for _, cm := range cms {
			g := s.gens[cm]
			if g == nil || g.state == stateUndone {
				return fmt.Errorf("%w: %s was not switched", ErrInvalid, cm)
			}
			next := *g
			gens[cm] = &next
		}
		return nil
	})
	return gens, err
}

// destroyKeys destroys the keys of those class-months that still have them.
// What is to go is written down before, because a key that is gone cannot be
// named any more.
func (a *Archive) destroyKeys(ctx context.Context, gens generations, unless *Guard) error {
	todo := generations{}
	var bodies []string
	var indexes []uint64
	for _, cm := range gens.sorted() {
		g := gens[cm]
		if !a.reversible(cm, g) {
			continue
		}
		if err := a.foresee(ctx, cm, g); err != nil {
			return err
		}
		todo[cm] = g
		bodies, indexes = append(bodies, bodyName(cm.Month, cm.Class, g.former)), append(indexes, g.index...)
	}
	if len(todo) == 0 {
		return nil
	}
	if err := a.writeDown(ctx, todo, stateDestroying, unless); err != nil {
		return err
	}
	// A crash here leaves everything as the switch left it: SwitchBack is still possible.
	if err := a.faultAt("destroying"); err != nil {
		return err
	}
	ids, generation, err := a.keys.destroy(bodies, indexes)
	if err != nil {
		return err
	}
	for cm, g := range todo {
		g.done.Keyring = generation
		g.done.Keys = slices.DeleteFunc(slices.Clone(ids), func(id KeyID) bool { return !g.names(cm, id) })
	}
	// A crash here leaves files that nothing opens any more; Destroy unlinks them when it is called again.
	return a.faultAt("keyring replaced")
}

// names reports whether a key is one that goes with the class-month.
func (g *generation) names(cm ClassMonth, id KeyID) bool {
	if id.Name == "bodies/"+bodyName(cm.Month, cm.Class, g.former) {
		return true
	}
	n, isIndex := strings.CutPrefix(id.Name, "index/")
	return isIndex && slices.ContainsFunc(g.index, func(file uint64) bool { return indexName(file) == n })
}

// foresee fills in what a destruction will have destroyed.
func (a *Archive) foresee(ctx context.Context, cm ClassMonth, g *generation) error {
	former := bodyName(cm.Month, cm.Class, g.former)
	bytes, err := diskBytes(bodyPath(a.dir, former))
	if err != nil {
		return err
	}
	g.done = Destruction{Keys: a.keys.ids([]string{former}, g.index), Files: 1, Bytes: bytes}
	names, err := a.attachmentsLeft(ctx, cm, g)
	if err != nil {
		return err
	}
	for _, name := range names {
		for i, path := range []string{name.path(a.dir), name.textPath(a.dir)} {
			bytes, err := diskBytes(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was pending and never came, or its text was never read
			}
			if err != nil {
				return err
			}
			if g.done.Bytes += bytes; i == 0 {
				g.done.Blobs++
			}
		}
	}
	return nil
}

// writeDown writes in the log that class-months have come to a state; those
// that were finished before stay as they are.
func (a *Archive) writeDown(ctx context.Context, gens generations, state uint8, unless *Guard) error {
	changed := generations{}
	for cm, g := range gens {
		if g.state == stateDestroyed {
			continue
		}
		if g.state = state; state == stateDestroyed && g.done.Keyring == 0 {
			g.done.Keyring = a.keys.snapshot().Generation
		}
		next := *g
		changed[cm] = &next
	}
	if len(changed) == 0 {
		return nil
	}
	_, err := a.submit(ctx, &request{done: make(chan reply, 1), alone: func() (reply, error) { return a.commitGenerations(changed, unless) }})
	return err
}

// attachmentsLeft returns the attachments that go with a class-month's former
// file. Messages that came after the resealing began may refer to one as well:
// it stays.
func (a *Archive) attachmentsLeft(ctx context.Context, cm ClassMonth, g *generation) ([]blobName, error) {
	left := map[blobName]bool{}
	var names []blobName
	err := a.view(func(s *store) error {
		f, err := s.bodies.get(s.bodyName(cm))
		if err != nil {
			return err
		}
		return guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketUnlink)
				if b == nil {
					return fmt.Errorf("%w: body file %s does not list the attachments to unlink", ErrDamaged, f.name)
				}
				return b.ForEach(func(k, _ []byte) error {
					if len(k) != len(blobName{}) {
						return fmt.Errorf("%w: an attachment's name", ErrDamaged)
					}
					names, left[blobName(k)] = append(names, blobName(k)), true
					return nil
				})
			})
		})
	})
	if err != nil || len(names) == 0 {
		return nil, err
	}
	for l, err := range a.Scan(ctx, g.through, a.Size()) {
		if err != nil {
			return nil, err
		}
		if l.Kind != proof.KindMessage {
			continue
		}
		r, err := a.RecordOf(ctx, l)
		if errors.Is(err, ErrDisposed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, at := range attachments(&r.Leaf, &Body{Random: r.Random, Note: r.Note, Bytes: r.Body}) {
			delete(left, at.name())
		}
	}
	return slices.DeleteFunc(names, func(n blobName) bool { return !left[n] }), nil
}

// unlinkFormer removes the former body file and the attachments that go with
// it. A crash under way leaves some of them; Destroy goes on.
func (a *Archive) unlinkFormer(ctx context.Context, cm ClassMonth, g *generation) error {
	if err := a.removeBodyFile(bodyName(cm.Month, cm.Class, g.former)); err != nil {
		return err
	}
	if err := a.faultAt("file unlinked"); err != nil {
		return err
	}
	names, err := a.attachmentsLeft(ctx, cm, g)
	if err != nil {
		return err
	}
	folders := map[string]bool{}
	for i, name := range names {
		path := name.path(a.dir)
		folders[filepath.Dir(path)] = true
		step := func(what string) func() error {
			if i > 0 {
				return func() error { return nil }
			}
			return func() error { return a.faultAt(what) }
		}
		if err := a.claims.unlink(name, a.dir, step("text unlinked")); err != nil {
			return err
		}
		if err := step("blob unlinked")(); err != nil {
			return err
		}
	}
	for folder := range folders {
		if err := durable.SyncDir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// destruction adds up what became of the class-months.
func (gs generations) destruction() *Destruction {
	out := &Destruction{Keys: []KeyID{}, IndexFiles: []uint64{}}
	for _, cm := range gs.sorted() {
		g := gs[cm]
		for _, id := range g.done.Keys {
			if !slices.Contains(out.Keys, id) {
				out.Keys = append(out.Keys, id)
			}
		}
		for _, n := range g.index {
			if !slices.Contains(out.IndexFiles, n) {
				out.IndexFiles = append(out.IndexFiles, n)
			}
		}
		out.Files += g.done.Files
		out.Blobs += g.done.Blobs
		out.Bytes += g.done.Bytes
		out.Keyring = max(out.Keyring, g.done.Keyring)
	}
	slices.Sort(out.IndexFiles)
	return out
}
