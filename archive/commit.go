package archive

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// commit writes a plan to disk in the order that makes every crash harmless:
// bodies, then the log. Only then is anybody answered.
func (a *Archive) commit(p *plan) error {
	if err := a.assignFiles(p); err != nil {
		return err
	}
	// A crash up to here leaves at most an empty body file and its key.
	sealAll(p.pending)
	if err := a.faultAt("before bodies"); err != nil {
		return err
	}
	if err := commitBodies(p.pending); err != nil {
		return err
	}
	if err := a.faultAt("after bodies"); err != nil {
		return err
	}
	// A crash here leaves bodies past the log's end: dropOrphans deletes them at the next start.
	if err := a.commitLog(p); err != nil {
		return err
	}
	if err := a.faultAt("after log"); err != nil {
		return err
	}
	// A crash here leaves everything in place and nobody told: the relay sends again, and the cursor skips it.
	a.w.end = p.end
	for mac, n := range p.devices {
		a.w.devices[mac] = n
	}
	a.switchTo(p.gens)
	a.publish(&a.w.end)
	for i, r := range p.requests {
		r.done <- p.replies[i]
	}
	return nil
}

func (a *Archive) faultAt(step string) error {
	if a.fault == nil {
		return nil
	}
	return a.fault(step)
}

// assignFiles finds the body file of each entry, making it when it is the
// month's or class's first.
func (a *Archive) assignFiles(p *plan) error {
	var last *bodyFile
	names := bodyNamer{store: a.st}
	for i := range p.pending {
		name := names.of(&p.pending[i].leaf)
		if last == nil || last.name != name {
			var err error
			if last, err = a.st.bodies.ensure(name); err != nil {
				return err
			}
		}
		p.pending[i].file = last
	}
	return nil
}

// sealShare is how many records are worth a goroutine.
const sealShare = 128

// sealAll fills in each leaf's commitments and seals its record, on all cores.
func sealAll(pending []pending) {
	workers := min(runtime.GOMAXPROCS(0), (len(pending)+sealShare-1)/sealShare)
	if workers <= 1 {
		sealSome(pending)
		return
	}
	var wg sync.WaitGroup
	share := (len(pending) + workers - 1) / workers
	for part := range slices.Chunk(pending, share) {
		wg.Go(func() { sealSome(part) })
	}
	wg.Wait()
}

func sealSome(pending []pending) {
	var plain []byte
	for i := range pending {
		e := &pending[i]
		rand.Read(e.body.Random[:]) // never fails (crypto/rand)
		e.leaf.Content = proof.ContentCommitment(&e.body.Random, e.body.Bytes)
		e.leaf.Note = proof.NoteCommitment(&e.body.Random, e.body.Note)
		plain = e.body.appendTo(plain[:0])
		e.sealed = e.file.key.Seal(make([]byte, 0, len(plain)+seal.Overhead), e.leaf.Seq, plain)
	}
}

// commitBodies puts the records into their files, one synced transaction a
// file.
func commitBodies(entries []pending) error {
	byFile := map[*bodyFile][]*pending{}
	for i := range entries {
		e := &entries[i]
		byFile[e.file] = append(byFile[e.file], e)
	}
	files := make([]*bodyFile, 0, len(byFile))
	for f := range byFile {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *bodyFile) int { return cmp.Compare(a.name, b.name) })
	for _, f := range files {
		err := f.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketRecord)
			b.FillPercent = 1.0
			for _, e := range byFile[f] {
				if err := b.Put(u64(e.leaf.Seq), e.sealed); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// commitLog appends leaves, hashes, dedupe keys, cursor and checkpoint in the
// one transaction that counts.
func (a *Archive) commitLog(p *plan) error {
	return a.st.newest().db.Update(func(tx *bbolt.Tx) error {
		if err := p.putLeaves(tx); err != nil {
			return err
		}
		if err := p.putDedupe(tx); err != nil {
			return err
		}
		if p.moved {
			if err := tx.Bucket(bucketCursor).Put(keyRelay, p.end.cursor.marshal()); err != nil {
				return err
			}
		}
		if err := errors.Join(p.end.putClock(tx), p.end.putRestored(tx)); err != nil {
			return err
		}
		if err := putTip(tx, p.end.record()); err != nil {
			return err
		}
		if err := putGenerations(tx, p.gens); err != nil {
			return err
		}
		return a.putCheckpoint(tx, p)
	})
}

func (p *plan) putLeaves(tx *bbolt.Tx) (err error) {
	leaves, nodes := tx.Bucket(bucketLeaf), tx.Bucket(bucketNode)
	leaves.FillPercent, nodes.FillPercent = 1.0, 1.0
	store := func(index int64, h proof.Hash) {
		if err == nil {
			err = nodes.Put(u64(uint64(index)), h[:]) // #nosec G115 -- an index is never negative
		}
	}
	for i := range p.pending {
		leaf := &p.pending[i].leaf
		leaf.Prev = p.end.last
		text, marshalErr := leaf.Marshal()
		if marshalErr != nil {
			return marshalErr
		}
		if err := leaves.Put(u64(leaf.Seq), text); err != nil {
			return err
		}
		p.end.push(proof.LeafHash(text), store)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) putDedupe(tx *bbolt.Tx) error {
	devices := tx.Bucket(bucketDevice)
	for mac, number := range p.devices {
		if err := devices.Put(mac[:], binary.BigEndian.AppendUint32(nil, number)); err != nil {
			return err
		}
	}
	dedupe := tx.Bucket(bucketDedupe)
	for key, value := range p.dedupe {
		if err := dedupe.Put(key[:], value[:]); err != nil {
			return err
		}
	}
	return nil
}

// putCheckpoint signs the log as this transaction leaves it, if anybody in the
// group asked for that.
func (a *Archive) putCheckpoint(tx *bbolt.Tx, p *plan) error {
	asked := slices.ContainsFunc(p.requests, func(r *request) bool { return r.checkpoint })
	if !asked {
		return nil
	}
	b := tx.Bucket(bucketCheckpoint)
	signed := slices.Clone(b.Get(u64(p.end.size)))
	if signed == nil {
		var err error
		point := proof.Checkpoint{Origin: a.id.Origin, Restored: p.end.restored.At(p.end.size), Size: p.end.size, Root: p.end.root()}
		signed, err = proof.SignCheckpoint(point, a.signer)
		if err != nil {
			return err
		}
		if err := b.Put(u64(p.end.size), signed); err != nil {
			return err
		}
	}
	for i, r := range p.requests {
		if r.checkpoint {
			p.replies[i].checkpoint = signed
		}
	}
	return nil
}
