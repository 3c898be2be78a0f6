package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// maxNamed is how many damaged entries a copy names.
const maxNamed = 100

// checkEvery is after how many records a check of a copy looks whether it is
// still wanted, and gives way to the writer.
const checkEvery = 1024

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
	f := &logFile{db: db, first: s.first}
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
	a.giveWay(ctx, time.Since(p.begun))
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

// checkBodyCopy opens the copy of a body file and each of its records. One that
// the archive itself cannot open any more either is named, and no reason to go
// without a backup: the others are worth having all the more.
func (s *Snapshot) checkBodyCopy(ctx context.Context, name string, c *Copied) (err error) {
	db, err := openBolt(c.Path, forChecking)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	f := &bodyFile{name: name, db: db}
	return guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			id, records := tx.Bucket(bucketMeta).Get(keyFileID), tx.Bucket(bucketRecord)
			if len(id) != seal.IDSize || records == nil {
				return fmt.Errorf("%w: body file %s", ErrDamaged, name)
			}
			if f.key, err = s.a.keys.bodyKey(name, [seal.IDSize]byte(id)); err != nil {
				return errors.Join(err, s.Unchanged())
			}
			return s.checkRecords(ctx, f, records.Cursor(), c)
		})
	})
}

// sealedRecord is a record of a body file, as long as the transaction lasts that
// it was read in.
type sealedRecord struct {
	seq    uint64
	sealed []byte
}

// checkRecords opens every record of a body file's copy. Their leaves are looked
// up many at a time: one by one that takes as long as opening them.
func (s *Snapshot) checkRecords(ctx context.Context, f *bodyFile, cursor *bbolt.Cursor, c *Copied) error {
	pause := pauses{begun: time.Now()}
	part := make([]sealedRecord, 0, checkEvery)
	for k, sealed := cursor.First(); k != nil; {
		part = part[:0]
		for ; k != nil && len(part) < checkEvery; k, sealed = cursor.Next() {
			if len(k) != 8 {
				return fmt.Errorf("%w: a record's key", ErrDamaged)
			}
			part = append(part, sealedRecord{binary.BigEndian.Uint64(k), sealed})
		}
		leaves := s.a.leavesOf(part)
		for i, r := range part {
			c.Records++
			if err := s.checkRecord(ctx, f, r, leaves[i], c); err != nil {
				return err
			}
		}
		if err := pause.take(ctx, s.a); err != nil {
			return err
		}
	}
	return nil
}

// checkRecord opens one record. leaf is nil for one that has to be asked for.
func (s *Snapshot) checkRecord(ctx context.Context, f *bodyFile, r sealedRecord, leaf *proof.Leaf, c *Copied) (err error) {
	if leaf == nil {
		var l proof.Leaf
		l, err = s.a.Leaf(r.seq)
		leaf = &l
	}
	if err == nil {
		_, err = f.openRecord(nil, leaf, r.sealed)
	}
	if err == nil {
		return nil
	}
	if _, own := s.a.Record(ctx, r.seq); own == nil || !errors.Is(own, ErrDamaged) {
		return errors.Join(&SeqError{r.seq, err}, s.Unchanged())
	}
	if len(c.Damaged) < maxNamed {
		c.Damaged = append(c.Damaged, r.seq)
	}
	return nil
}

// leavesOf returns the leaves of records that stand in order; nil for one that
// cannot be read. No transaction takes longer than one of a copy does.
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
						if i%16 == 15 && time.Since(begun) > copyTime {
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
