//go:build faults

package archive

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// block is what a disk writes whole or not at all.
const block = 4096

// inode is one file's content as the disk has it, and what only the kernel's
// cache has.
type inode struct {
	size    int64
	blocks  map[int64][]byte // never changed in place: states share them
	pending []event          // writes of at most a block, and truncations
}

func (f *inode) clone() *inode {
	return &inode{size: f.size, blocks: maps.Clone(f.blocks), pending: f.pending}
}

// apply makes one pending change durable.
func (f *inode) apply(e event) {
	if e.call == "truncate" {
		for at := range f.blocks {
			if at >= e.at {
				delete(f.blocks, at)
			}
		}
		if last := e.at &^ (block - 1); f.blocks[last] != nil {
			b := slices.Clone(f.blocks[last])
			clear(b[e.at-last:])
			f.blocks[last] = b
		}
		f.size = e.at
		return
	}
	at := e.at &^ (block - 1)
	b := make([]byte, block)
	copy(b, f.blocks[at])
	copy(b[e.at-at:], e.data)
	f.blocks[at] = b
	f.size = max(f.size, e.at+int64(len(e.data)))
}

// dirOp is a change of a folder: path now names inode id, or nothing (0).
type dirOp struct {
	set []dirSet
}

type dirSet struct {
	path string
	id   int
}

// powerDisk is a file system of which a loss of power keeps what was synced, of the
// rest of each file any part, and of the rest of each folder's changes the
// first ones, however many.
type powerDisk struct {
	inodes  map[int]*inode
	next    int
	names   map[string]int // as processes see them
	durable map[string]int
	changes map[string][]dirOp // by folder, not yet durable
}

// loadDisk reads a folder, all of it durable.
func loadDisk(dir string) (*powerDisk, error) {
	d := &powerDisk{inodes: map[int]*inode{}, names: map[string]int{}, durable: map[string]int{}, changes: map[string][]dirOp{}}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, dir+"/")
		if err != nil || e.IsDir() || name == "lock" || name == "reserve" {
			return err
		}
		d.next++
		f := &inode{blocks: map[int64][]byte{}}
		d.inodes[d.next], d.names[name], d.durable[name] = f, d.next, d.next
		return f.load(path)
	})
	return d, err
}

func (f *inode) load(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	zero := make([]byte, block)
	for err == nil {
		b := make([]byte, block)
		var n int
		if n, err = io.ReadFull(in, b); n > 0 && string(b) != string(zero) {
			f.blocks[f.size] = b
		}
		f.size += int64(n)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return errors.Join(err, in.Close())
}

// do takes what a process did.
func (d *powerDisk) do(e event) {
	change := func(sets ...dirSet) {
		for _, s := range sets {
			if s.id == 0 {
				delete(d.names, s.path)
			} else {
				d.names[s.path] = s.id
			}
		}
		dir := filepath.Dir(e.path)
		d.changes[dir] = append(d.changes[dir], dirOp{sets})
	}
	f := d.inodes[d.names[e.path]]
	switch e.call {
	case "create":
		if f == nil {
			d.next++
			d.inodes[d.next] = &inode{blocks: map[int64][]byte{}}
			change(dirSet{e.path, d.next})
		}
	case "write":
		if f == nil {
			return
		}
		for data, at := e.data, e.at; len(data) > 0; {
			n := min(block-at%block, int64(len(data)))
			f.pending = append(f.pending, event{call: "write", at: at, data: data[:n]})
			data, at = data[n:], at+n
		}
	case "truncate":
		if f != nil {
			f.pending = append(f.pending, e)
		}
	case "sync":
		if f != nil {
			for _, p := range f.pending {
				f.apply(p)
			}
			f.pending = nil
			return
		}
		for _, op := range d.changes[e.path] {
			op.to(d.durable)
		}
		delete(d.changes, e.path)
	case "rename":
		change(dirSet{e.path, 0}, dirSet{e.to, d.names[e.path]})
	case "link":
		change(dirSet{e.to, d.names[e.path]})
	case "unlink":
		change(dirSet{e.path, 0})
	}
}

func (op dirOp) to(names map[string]int) {
	for _, s := range op.set {
		if s.id == 0 {
			delete(names, s.path)
		} else {
			names[s.path] = s.id
		}
	}
}

// pendingCount says how much a loss of power could take.
func (d *powerDisk) pendingCount() (n int) {
	for _, f := range d.inodes {
		n += len(f.pending)
	}
	for _, ops := range d.changes {
		n += len(ops)
	}
	return n
}

// crash returns the files that a loss of power leaves: of what was not synced
// nothing (keep 0), all (keep 1), or by chance.
func (d *powerDisk) crash(keep float64, rnd *rand.Rand) map[string]*inode {
	names := maps.Clone(d.durable)
	for _, ops := range d.changes {
		n := len(ops)
		if keep < 1 {
			n = int(keep * 2 * float64(rnd.IntN(len(ops)+1)))
		}
		for _, op := range ops[:min(n, len(ops))] {
			op.to(names)
		}
	}
	left := map[int]*inode{}
	out := map[string]*inode{}
	for path, id := range names {
		if left[id] == nil {
			f := d.inodes[id].clone()
			for _, p := range f.pending {
				if rnd.Float64() < keep {
					f.apply(p)
				}
			}
			left[id] = f
		}
		out[path] = left[id]
	}
	return out
}

// materialize writes a state into an empty folder.
func materialize(dir string, state map[string]*inode) error {
	for _, sub := range []string{"log", "bodies", "blobs", "blobs/tmp", "index"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	written := map[*inode]string{}
	for path, f := range state {
		full := filepath.Join(dir, path)
		if other := written[f]; other != "" {
			if err := os.Link(other, full); err != nil {
				return err
			}
			continue
		}
		written[f] = full
		out, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		for at, b := range f.blocks {
			if _, e := out.WriteAt(b, at); e != nil {
				err = e
			}
		}
		if err = errors.Join(err, out.Truncate(f.size), out.Close()); err != nil {
			return err
		}
	}
	return nil
}
