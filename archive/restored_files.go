package archive

import (
	"errors"
	"fmt"
	"strings"

	"holdfast/archive/seal"
)

// TruncateBodies deletes every body of an entry at or past size from an archive
// that was put back from a copy, whose bodies may have been copied after its
// log. No process may hold the archive, and none has opened it since: a start
// deletes as many as a crash can leave, and takes more for damage.
//
// A crash leaves some of them; it is done again then.
func TruncateBodies(dir string, size uint64) (dropped uint64, err error) {
	held, err := lock(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	names, err := bodyNames(dir)
	if err != nil {
		return 0, err
	}
	for _, id := range names {
		n, err := truncateBodies(dir, id.name, size)
		if err != nil {
			return dropped, fmt.Errorf("body file %s: %w", id.name, err)
		}
		dropped += n
	}
	return dropped, nil
}

func truncateBodies(dir, name string, size uint64) (n uint64, err error) {
	db, err := openBolt(bodyPath(dir, name), forWriting)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	f := &bodyFile{name: name, shared: shared{db: db}}
	if n, err = f.countFrom(size); err != nil || n == 0 {
		return n, err
	}
	return n, f.dropFrom(size)
}

// KeepKeys takes every key of a body file or an index out of the keyring of an
// archive that was put back from a copy, but for those of keep: what they
// opened is not in it, and what is made from here on gets keys of its own. The
// keyring's generation becomes later than above if it was earlier: copies of it
// go beside others. It returns which of keep the keyring lacks. No process may
// hold the archive.
func KeepKeys(dir string, master [seal.MasterSize]byte, keep []KeyID, above uint64) (missing []KeyID, err error) {
	_, id, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	k, err := openKeys(dir, master, id, false)
	if err != nil {
		return nil, err
	}
	have := map[KeyID]bool{}
	for name, key := range k.ring.Bodies {
		have[newKeyID("bodies/"+name, key)] = true
	}
	for name, key := range k.ring.Index {
		have[newKeyID("index/"+name, key)] = true
	}
	wanted := map[KeyID]bool{}
	for _, key := range keep {
		if wanted[key] = true; !have[key] {
			missing = append(missing, key)
		}
	}
	var bodies, indexes []string
	for key := range have {
		if name, ok := strings.CutPrefix(key.Name, "bodies/"); ok && !wanted[key] {
			bodies = append(bodies, name)
		} else if name, ok := strings.CutPrefix(key.Name, "index/"); ok && !wanted[key] {
			indexes = append(indexes, name)
		}
	}
	if len(bodies)+len(indexes) == 0 && k.ring.Generation >= above {
		return missing, nil
	}
	return missing, k.change(func(r *seal.Keyring) {
		r.Generation = max(r.Generation, above)
		for _, name := range bodies {
			delete(r.Bodies, name)
		}
		for _, name := range indexes {
			delete(r.Index, name)
		}
	})
}
