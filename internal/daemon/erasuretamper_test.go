package daemon

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"

	"holdfast/archive/seal"
)

// none excludes no file.
func none(string) bool { return false }

// tampers are the ways in which a disposition could fail to erase, made by hand
// in a copy of the directory from after: each has to be seen.
var tampers = map[string]func(r *erasureRun, dir string){
	"the former body key left in the keyring": func(r *erasureRun, dir string) {
		name := bodyOf(r.holding(inRecord, none).path)
		was, _ := r.ring(r.before.dir)
		r.rewrap(dir, func(ring *seal.Keyring) { ring.Bodies[name] = was.Bodies[name] })
	},
	"the former body key left in the recovery copy": func(r *erasureRun, dir string) {
		r.put(dir, "keyring.recovery", r.before.files["keyring.recovery"])
	},
	"keyring.old left behind": func(r *erasureRun, dir string) {
		r.put(dir, "keyring.old", r.before.files["keyring"])
	},
	"keyring.tmp left behind": func(r *erasureRun, dir string) {
		r.put(dir, "keyring.tmp", r.before.files["keyring"])
	},
	"an index folder and its key left": func(r *erasureRun, dir string) {
		folder := filepath.Dir(r.holding(inIndex, none).path)
		was, _ := r.ring(r.before.dir)
		for path, b := range r.before.files {
			if strings.HasPrefix(path, folder+"/") {
				r.put(dir, path, b)
			}
		}
		number := strings.Split(folder, "/")[1]
		r.rewrap(dir, func(ring *seal.Keyring) { ring.Index[number] = was.Index[number] })
		if p := scanData(r.t, dir, r.holds); !r.anyGone(p, inIndex) || !r.anyGone(p, inPostings) {
			r.t.Error("the index that was left is not read")
		}
	},
	"records deleted in place instead of a new file": func(r *erasureRun, dir string) {
		path := r.holding(inRecord, none).path
		was, _ := r.ring(r.before.dir)
		r.put(dir, path, r.before.files[path])
		r.rewrap(dir, func(ring *seal.Keyring) { ring.Bodies[bodyOf(path)] = was.Bodies[bodyOf(path)] })
		r.deleteAll(filepath.Join(dir, path))
		// The key alone would open the copy from before: only what is in this directory shall count here.
		if p := scanData(r.t, dir, r.holds); !r.anyGone(p, inRecord) {
			r.t.Error("deleted records are not found in the free pages")
		}
	},
	"a blob left whose key a survivor's record tells": func(r *erasureRun, dir string) {
		blob := r.holding(inBlob, none)
		r.put(dir, blob.path, r.before.files[blob.path])
		record := r.recordWith(blob)
		r.reseal(dir, record)
		if p := scanData(r.t, dir, r.holds); !p.found[r.before.pieces[blob][0]][inBlob] {
			r.t.Error("the attachment is not opened")
		}
	},
	"a record behind the end of a file's pages": func(r *erasureRun, dir string) {
		r.reseal(dir, r.holding(inRecord, none))
	},
	"a text that stands in the clear": func(r *erasureRun, dir string) {
		r.put(dir, "index/000000/store/unsealed", []byte("call about "+r.gone[0]))
	},
	"a text in a temporary file": func(r *erasureRun, _ string) {
		path := filepath.Join(os.TempDir(), "spool")
		r.must(os.WriteFile(path, []byte(r.gone[0]), 0o600))
		r.t.Cleanup(func() { r.must(os.Remove(path)) })
	},
	"a text in the log output": func(r *erasureRun, _ string) {
		logs := &lockedBuffer{}
		if _, err := logs.Write([]byte("msg=" + r.gone[0])); err != nil {
			r.t.Fatal(err)
		}
		r.logs = logs
	},
}

// anyGone reports whether a scan found a canary of what went in a kind of
// place.
func (r *erasureRun) anyGone(s *scan, where string) bool {
	for _, c := range r.gone {
		if s.found[c][where] {
			return true
		}
	}
	return false
}

// deleteAll deletes every record of a body file as bbolt does it.
func (r *erasureRun) deleteAll(path string) {
	r.t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	r.must(err)
	r.must(db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("record"))
		var keys [][]byte
		if err := b.ForEach(func(k, _ []byte) error {
			keys = append(keys, append([]byte{}, k...))
			return nil
		}); err != nil {
			return err
		}
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	}))
	r.must(db.View(func(tx *bbolt.Tx) error {
		if k, _ := tx.Bucket([]byte("record")).Cursor().First(); k != nil {
			r.t.Error("a record is still in the bucket")
		}
		return nil
	}))
	r.must(db.Close())
}

// recordWith returns the record from before that tells an attachment's key.
func (r *erasureRun) recordWith(blob place) place {
	r.t.Helper()
	for _, s := range r.said {
		for _, f := range s.files {
			if f.canary != r.before.pieces[blob][0] {
				continue
			}
			name := strings.TrimSuffix(f.said.Name, ".pdf")
			for at, canaries := range r.before.pieces {
				for _, c := range canaries {
					if at.what == inRecord && c == name {
						return at
					}
				}
			}
		}
	}
	r.t.Fatal("no record tells the attachment's key")
	return place{}
}

// reseal seals a record from before under a key that is still there and writes
// it behind the last page of that key's file.
func (r *erasureRun) reseal(dir string, at place) {
	r.t.Helper()
	was, _ := r.ring(r.before.dir)
	ring, _ := r.ring(dir)
	b := r.before.files[at.path][at.at:]
	plain := counterMode(r.t, was.Bodies[bodyOf(at.path)], b[:min(len(b), erasureWindow)])
	plain = plain[:noteAt+int(binary.BigEndian.Uint32(plain[32:]))+8<<10]
	for name, key := range ring.Bodies {
		if strings.Contains(name, ".control.") {
			continue
		}
		k, err := seal.NewFileKey([seal.KeySize]byte(key), [seal.IDSize]byte{})
		r.must(err)
		path := filepath.Join(dir, "bodies", name+".db")
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
		r.must(err)
		_, err = f.Write(append([]byte("odd"), k.Seal(nil, 1, plain)...))
		r.must(err)
		r.must(f.Close())
		return
	}
}
