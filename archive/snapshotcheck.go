package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// maxNamed is how many damaged entries a copy names.
const maxNamed = 100

// After so many records looked at, or passed over, a check of a copy looks
// whether it is still wanted, and gives way to the writer.
const (
	checkEvery = 256
	passEvery  = 1 << 14
)

// leafTime is how long leaves are read in one transaction.
const leafTime = 5 * time.Millisecond

// checkLogCopy opens the copy of the newest log file as a restored archive
// would, and follows the chain and the tree from the file's first leaf to the
// snapshot's end: they must come to its last leaf and root, so that every leaf
// and node is the one that counts.
func (s *Snapshot) checkLogCopy(ctx context.Context, c *Copied) (err error) {
	db, err := openBolt(c.Path, forChecking)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	f := &logFile{shared: shared{db: db}, first: s.first}
	t, _, err := f.tip()
	if err != nil {
		return err
	}
	if t.size != s.Size || t.root != s.Root || t.last != s.Last {
		return fmt.Errorf("%w: it states another end", ErrDamaged)
	}
	w := writer{end: tip{size: s.first}}
	if err := s.a.view(w.loadFrontier); err != nil {
		return err
	}
	if w.end.last, err = s.before(); err != nil {
		return err
	}
	return guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			nodes := tx.Bucket(bucketNode)
			bad := false
			store := func(index int64, h proof.Hash) {
				bad = bad || string(nodes.Get(u64(uint64(index)))) != string(h[:]) // #nosec G115 -- an index
			}
			pause := pauses{begun: time.Now()}
			cursor := tx.Bucket(bucketLeaf).Cursor()
			for k, text := cursor.First(); k != nil; k, text = cursor.Next() {
				leaf, err := proof.ParseLeaf(text)
				if err != nil || leaf.Seq != w.end.size || leaf.Prev != w.end.last || binary.BigEndian.Uint64(k) != leaf.Seq {
					return &SeqError{w.end.size, fmt.Errorf("%w: its leaf does not follow the one before", ErrDamaged)}
				}
				if w.end.push(proof.LeafHash(text), store); bad {
					return &SeqError{leaf.Seq, fmt.Errorf("%w: a hash of the tree", ErrDamaged)}
				}
				if c.Records++; c.Records%checkEvery == 0 {
					if err := pause.take(ctx, s.a); err != nil {
						return err
					}
				}
			}
			if w.end.size != s.Size || w.end.last != s.Last || w.end.root() != s.Root {
				return fmt.Errorf("%w: it ends after entry %d with another root than was signed", ErrDamaged, w.end.size)
			}
			return nil
		})
	})
}

// pauses are those that long work makes for the writer.
type pauses struct{ begun time.Time }

func (p *pauses) take(ctx context.Context, a *Archive) error {
	a.GiveWay(ctx, time.Since(p.begun))
	p.begun = time.Now()
	return ctx.Err()
}

// before returns the leaf hash that the newest log file's first leaf follows.
func (s *Snapshot) before() (h proof.Hash, err error) {
	if s.first == 0 {
		return proof.GenesisPrev(s.a.idText), nil
	}
	err = s.a.view(func(st *store) error {
		got, err := hashReader{st}.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(s.first-1))}) // #nosec G115 -- a log's size
		if err == nil {
			h = got[0]
		}
		return err
	})
	return h, err
}

// checkBodyCopy opens the copy of a body file and its records from seq from on. One that
// the archive itself cannot open any more either is named, and no reason to go
// without a backup: the others are worth having all the more.
func (s *Snapshot) checkBodyCopy(ctx context.Context, name string, c *Copied, from uint64) (err error) {
	db, err := openBolt(c.Path, forChecking)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	f := &bodyFile{name: name, shared: shared{db: db}}
	return guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			id, records := tx.Bucket(bucketMeta).Get(keyFileID), tx.Bucket(bucketRecord)
			if len(id) != seal.IDSize || records == nil {
				return fmt.Errorf("%w: body file %s", ErrDamaged, name)
			}
			if f.key, err = s.a.keys.bodyKey(name, [seal.IDSize]byte(id)); err != nil {
				return err
			}
			return s.checkRecords(ctx, f, records.Cursor(), c, from)
		})
	})
}

// sealedRecord is a record of a body file, as long as the transaction lasts that
// it was read in.
type sealedRecord struct {
	seq    uint64
	sealed []byte
}

// checkRecords counts the records of a body file's copy and opens those from seq
// from on, on half of the cores. Their leaves are looked up many at a time: one
// by one that takes as long as opening them.
func (s *Snapshot) checkRecords(ctx context.Context, f *bodyFile, cursor *bbolt.Cursor, c *Copied, from uint64) error {
	var mu sync.Mutex // of c.Damaged
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(max(1, runtime.GOMAXPROCS(0)/2))
	k, sealed := cursor.First()
	for more := true; more && all.Err() == nil; {
		part := make([]sealedRecord, 0, checkEvery)
		for seen := 0; k != nil && len(part) < checkEvery && seen < passEvery; k, sealed = cursor.Next() {
			if len(k) != 8 {
				return errors.Join(fmt.Errorf("%w: a record's key", ErrDamaged), g.Wait())
			}
			seq := binary.BigEndian.Uint64(k)
			if seq >= s.Size {
				k = nil // it and all behind it came since
				break
			}
			if seq >= from {
				part = append(part, sealedRecord{seq, sealed})
			}
			c.Records++
			seen++
		}
		more = k != nil
		g.Go(func() error {
			return guard(func() error {
				begun := time.Now()
				damaged, err := s.checkSome(all, f, part)
				mu.Lock()
				c.Damaged = append(c.Damaged, damaged...)
				mu.Unlock()
				s.a.GiveWay(all, time.Since(begun))
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.Sort(c.Damaged)
	c.Damaged = c.Damaged[:min(len(c.Damaged), maxNamed)]
	return ctx.Err()
}

// checkSome opens records that stand in order, and returns those that the
// archive itself cannot open any more.
func (s *Snapshot) checkSome(ctx context.Context, f *bodyFile, part []sealedRecord) (damaged []uint64, err error) {
	leaves := s.a.leavesOf(part)
	for i, r := range part {
		ok, err := s.checkRecord(ctx, f, r, leaves[i])
		if err != nil {
			return damaged, err
		}
		if !ok {
			damaged = append(damaged, r.seq)
		}
	}
	return damaged, ctx.Err()
}

// checkRecord opens one record. leaf is nil for one that has to be asked for. It
// is false for a record that the archive itself cannot open either.
func (s *Snapshot) checkRecord(ctx context.Context, f *bodyFile, r sealedRecord, leaf *proof.Leaf) (ok bool, err error) {
	if leaf == nil {
		var l proof.Leaf
		l, err = s.a.Leaf(r.seq)
		leaf = &l
	}
	if err == nil {
		_, err = f.openRecord(nil, leaf, r.sealed)
	}
	if err == nil {
		return true, nil
	}
	if _, own := s.a.Record(ctx, r.seq); own == nil || !errors.Is(own, ErrDamaged) {
		return false, &SeqError{r.seq, err}
	}
	return false, nil
}

// leavesOf returns the leaves of records that stand in order; nil for one that
// cannot be read. No transaction takes much longer than leafTime.
func (a *Archive) leavesOf(part []sealedRecord) []*proof.Leaf {
	out := make([]*proof.Leaf, len(part))
	for i := 0; i < len(part); {
		err := a.view(func(st *store) error {
			log := st.logOf(part[i].seq)
			if log == nil {
				return ErrNotFound
			}
			return guard(func() error {
				return log.db.View(func(tx *bbolt.Tx) error {
					leaves, begun := tx.Bucket(bucketLeaf), time.Now()
					for ; i < len(part) && st.logOf(part[i].seq) == log; i++ {
						if leaf, err := proof.ParseLeaf(leaves.Get(u64(part[i].seq))); err == nil {
							out[i] = &leaf
						}
						if i%16 == 15 && time.Since(begun) > leafTime {
							i++
							return nil
						}
					}
					return nil
				})
			})
		})
		if err != nil {
			return out // whoever asks for the others one by one hears why
		}
	}
	return out
}
