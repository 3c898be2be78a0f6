package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive/proof"
)

// The keyring has a backup of its own, beside that of the data: the copy that
// is sealed to the recovery kit. Once HoldForKeys was called, nothing that
// comes from the relay is acknowledged before its key is in such a copy.

// ErrKeysBehind means that the key of a new body file is in no copy of the
// keyring yet.
var ErrKeysBehind = errors.New("a new body file's key is not in the keyring's own backup yet; " +
	"see that the folder of backup.keys_to is mounted and can be written, and it goes on by itself")

// KeyCopy is a copy of the keyring that only the recovery kit opens.
type KeyCopy struct {
	Generation uint64
	Sealed     []byte  // as keyring.recovery
	Keys       []KeyID // of body files, indexes and recipients in it, by name
}

// CopyKeys seals the present keyring to the recovery key once more.
func (a *Archive) CopyKeys() (*KeyCopy, error) {
	ring := a.keys.snapshot()
	if len(a.keys.recovery) == 0 {
		return nil, fmt.Errorf("%w: without its keys an archive cannot copy them", ErrKeys)
	}
	sealed, err := ring.SealForRecovery(a.keys.recovery, a.keys.origin)
	if err != nil {
		return nil, err
	}
	c := &KeyCopy{Generation: ring.Generation, Sealed: sealed}
	for name, key := range ring.Bodies {
		c.Keys = append(c.Keys, newKeyID("bodies/"+name, key))
	}
	for name, key := range ring.Index {
		c.Keys = append(c.Keys, newKeyID("index/"+name, key))
	}
	for _, r := range ring.Recipients {
		if !gone(r) {
			c.Keys = append(c.Keys, newKeyID("recipients/"+r.KID, r.Private))
		}
	}
	slices.SortFunc(c.Keys, func(a, b KeyID) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// KeyringGeneration returns the number of the present keyring. It rises with
// each change, and KeysChanged's channel is closed at the next.
func (a *Archive) KeyringGeneration() uint64 { return a.keys.snapshot().Generation }

// KeysChanged returns a channel that is closed when the keyring is replaced.
func (a *Archive) KeysChanged() <-chan struct{} { return a.keys.watch() }

// HoldForKeys makes batches from the relay wait, as ErrKeysBehind, until
// KeysCopied has named the keys of the body files that they go into. Entries of
// the archive's own go on: what people do stays on record.
func (a *Archive) HoldForKeys() { a.keys.hold() }

// KeysCopied says which keys are in a copy of the keyring, durably.
func (a *Archive) KeysCopied(keys []KeyID) { a.keys.copied(keys) }

// PrepareKeys makes the keys of the body files that the next month will need if
// it begins within ahead: for each class that has a file this month. So their
// copy is there when the month begins, and nothing waits.
func (a *Archive) PrepareKeys(ctx context.Context, ahead time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := a.Now()
	this, next := now.Format("2006-01"), now.Add(ahead).Format("2006-01")
	if this == next || a.Clock().Suspect {
		return nil
	}
	return a.view(func(s *store) error {
		ids, err := bodyNames(s.dir)
		if err != nil {
			return err
		}
		var names []string
		for _, id := range ids {
			if id.Month == this {
				names = append(names, s.bodyName(ClassMonth{id.Class, next}))
			}
		}
		slices.Sort(names)
		return a.keys.addBodyKeys(slices.Compact(names))
	})
}

// covered reports whether the key of a body file is in a copy of the keyring,
// or none is asked for.
func (k *keys) covered(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.inCopy == nil || k.inCopy[name]
}

func (k *keys) hold() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inCopy == nil {
		k.inCopy = map[string]bool{}
	}
}

func (k *keys) copied(list []KeyID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inCopy == nil {
		return
	}
	have := map[string]bool{} // what the newest copy has not, none has that will be kept
	for _, id := range list {
		name, isBody := strings.CutPrefix(id.Name, "bodies/")
		if key := k.ring.Bodies[name]; isBody && key != nil && newKeyID(id.Name, key) == id {
			have[name] = true
		}
	}
	k.inCopy = have
}

func (k *keys) watch() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changed == nil {
		k.changed = make(chan struct{})
	}
	return k.changed
}

// keyed refuses a batch from the relay that goes into a body file whose key is
// in no copy of the keyring. The key is made all the same, durably, so that it
// can be copied.
func (p *plan) keyed(b *Batch, received int64) (refused, err error) {
	if b.Cursor == nil {
		return nil, nil
	}
	keys, names, last := p.st.bodies.keys, bodyNamer{store: p.st}, ""
	for i := range b.Entries {
		name := names.of(&proof.Leaf{Class: b.Entries[i].Class, Received: received})
		if name == last || keys.covered(name) {
			last = name
			continue
		}
		if err := keys.addBodyKeys([]string{name}); err != nil {
			return nil, err
		}
		refused, last = ErrKeysBehind, name
	}
	return refused, nil
}
