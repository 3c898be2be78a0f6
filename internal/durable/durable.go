// Package durable writes files so that they survive a loss of power: it is the
// only place in Holdfast that creates, replaces or removes a file outside
// bbolt and the index. Kept libraries for atomic files leave out the folder's
// fsync; each function here states its exact system calls instead.
//
// Every package may import it; it imports nothing of the project's.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tempSuffix marks a file that is not finished. A crash may leave one; its
// next writer unlinks it.
const tempSuffix = ".tmp"

// Replace puts data at path, durable once it returns.
//
//	unlink(path.tmp), open(path.tmp, O_CREAT|O_EXCL, perm), write, fsync, close, rename, fsync(folder)
//
// A crash leaves the old content or the new one, never a mixture.
func Replace(path string, data []byte, perm fs.FileMode) error {
	if err := writeTemp(path+tempSuffix, data, perm); err != nil {
		return err
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Create puts data at path, which must not exist, durable once it returns.
//
//	unlink(path.tmp), open(path.tmp, O_CREAT|O_EXCL), write, fsync, close, link(path.tmp, path), unlink(path.tmp), fsync(folder)
//
// A crash leaves no file at path or the whole one; right after the link,
// path.tmp is a second name of it.
func Create(path string, data []byte, perm fs.FileMode) error {
	temp := path + tempSuffix
	if err := writeTemp(temp, data, perm); err != nil {
		return err
	}
	if err := os.Link(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Remove(temp); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Publish moves a finished temporary file to path, durable once it returns.
// The caller has synced the file's content.
//
//	rename(temp, path), fsync(folder)
func Publish(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Remove unlinks path, durable once it returns. A missing file is no error.
//
//	unlink(path), fsync(folder)
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Mkdir makes the folder path, its parents existing, durable once it returns.
//
//	mkdir(path, perm), fsync(parent)
func Mkdir(path string, perm fs.FileMode) error {
	if err := os.Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Symlink makes path, which must not exist, point at target, durable once it
// returns.
//
//	symlink(target, path), fsync(folder)
func Symlink(target, path string) error {
	if err := os.Symlink(target, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the entries of a folder durable: fsync(folder).
func SyncDir(path string) error {
	d, err := os.Open(path) // #nosec G304 -- paths come from the project's own code
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Settle makes everything durable that any process has written to the file
// before, and then lets go of the kernel's cached copy of it.
//
// A process that was killed between a write and its fsync leaves content that
// every reader sees and a loss of power takes away; one whose fsync failed
// leaves a cache that the disk does not agree with. Who acts on what he finds
// in such a file settles it first. The file must not be mapped by the caller.
//
//	open(path), fsync, posix_fadvise(POSIX_FADV_DONTNEED), close
func Settle(path string) error {
	f, err := os.Open(path) // #nosec G304 -- as above
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // #nosec G115 -- a descriptor
	return errors.Join(err, f.Close())
}

func writeTemp(temp string, data []byte, perm fs.FileMode) error {
	// Never truncate: after a crash in Create the temporary name may be a link to the finished file.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm) // #nosec G304 -- as above
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// File is a file being written that nobody sees until Commit.
type File struct {
	f    *os.File
	path string
}

// NewFile begins a file, under a name of its own in the folder temp, that
// Commit will put at path. The folder is on path's file system and holds
// nothing else: whoever owns it empties it at its start.
func NewFile(temp, path string) (*File, error) {
	f, err := os.CreateTemp(temp, "*"+tempSuffix)
	if err != nil {
		return nil, err
	}
	return &File{f: f, path: path}, nil
}

// Write appends to the unfinished file.
func (f *File) Write(p []byte) (int, error) { return f.f.Write(p) }

// Commit makes the file visible at its path, durable once it returns.
//
//	fsync, close, rename, fsync(folder)
func (f *File) Commit() error {
	if err := errors.Join(f.f.Sync(), f.f.Close()); err != nil {
		return err
	}
	return Publish(f.f.Name(), f.path)
}

// Abort throws the file away, also after a Commit that failed.
func (f *File) Abort() error {
	err := f.f.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	if rm := os.Remove(f.f.Name()); !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// Grow opens the file at path to write on behind its first from bytes, of which
// nothing is changed; what stands behind them is cut off. It is made if it is
// missing and from is 0. What is written can be seen at once, and is durable
// once Close returns: it is for a folder that is no result yet.
func Grow(path string, from int64, perm fs.FileMode) (io.WriteCloser, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, perm) // #nosec G304 -- a path of the caller's own
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular() || info.Size() < from:
		err = fmt.Errorf("%s has not the %d bytes that it shall go on behind", path, from)
	default:
		if err = f.Truncate(from); err == nil {
			_, err = f.Seek(from, io.SeekStart)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &growing{f}, nil
}

type growing struct{ *os.File }

// Close makes what was written durable.
//
//	fsync, close, fsync(folder)
func (g *growing) Close() error {
	if err := errors.Join(g.Sync(), g.File.Close()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(g.Name()))
}

// Empty removes the files of a folder of unfinished files.
func Empty(temp string) error {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(temp, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// oldSuffix marks the former content of a file that ReplaceErasing is
// overwriting.
const oldSuffix = ".old"

// ReplaceErasing is Replace for a file of secrets: the blocks of the former
// content are overwritten before they are given back, so that a key taken out
// of the file is not left in free space. (On flash and copy-on-write media the
// overwriting promises nothing; archive/FORMAT.md section 8 says what does.)
//
//	link(path, path.old), fsync(folder)
//	Replace(path, data)
//	overwrite path.old in place, fsync, unlink, fsync(folder)
//
// A crash anywhere leaves the old or the new content at path; FinishErasing
// completes what is left.
func ReplaceErasing(path string, data []byte, perm fs.FileMode) error {
	if err := FinishErasing(path); err != nil {
		return err
	}
	if err := os.Link(path, path+oldSuffix); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	// A crash from here to the rename leaves two names for one file, of which FinishErasing drops the
	// second without overwriting, and perhaps an unfinished path.tmp, which it erases.
	if err := Replace(path, data, perm); err != nil {
		return err
	}
	// A crash here leaves the former secrets readable under path.old until the next start.
	return FinishErasing(path)
}

// FinishErasing completes a ReplaceErasing that a crash cut short; every start
// calls it. It is a no-op when nothing is left over.
//
//	fsync(folder)
//	for path.tmp, then path.old, unless it is path by another name: overwrite in place, fsync
//	unlink, fsync(folder)
func FinishErasing(path string) error {
	for _, left := range []string{path + tempSuffix, path + oldSuffix} {
		if err := erase(left, path); err != nil {
			return err
		}
	}
	return nil
}

// erase overwrites and unlinks what a replacement of path left behind.
func erase(left, path string) error {
	was, err := os.Lstat(left)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	if err != nil && (left == path+oldSuffix || !errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("%s is there but %s is not: %w", left, path, err)
	}
	if err != nil || !os.SameFile(was, now) {
		// The rename that put the new content at path may not be durable yet: were the old content
		// overwritten first, a loss of power would leave the old file at path, full of zeros.
		if err := SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
		if err := overwrite(left); err != nil {
			return err
		}
	}
	return Remove(left)
}

// Erase is Remove for a file of secrets: its blocks are overwritten before they
// are given back, as ReplaceErasing does. A missing file is no error.
//
//	overwrite path in place, fsync, unlink, fsync(folder)
//
// A crash leaves the file, a part of it overwritten, or none: it is erased again
// then.
func Erase(path string) error {
	if err := overwrite(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return Remove(path)
}

// overwrite puts zeros over a file's content, and nothing over what a name of
// ours may have been made to stand for: root, too, works in folders of other
// accounts. A link, a pipe, or a file that has another name besides is left as
// it is.
func overwrite(path string) error {
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // #nosec G304 -- as above
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 { // #nosec G115 -- a descriptor
		return errors.Join(err, f.Close())
	}
	_, err = f.Write(make([]byte, st.Size))
	return errors.Join(err, f.Sync(), f.Close())
}
