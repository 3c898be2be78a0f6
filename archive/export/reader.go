package export

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
)

// errLine is returned for a line longer than MaxLine.
var errLine = fmt.Errorf("a line is longer than %d bytes", MaxLine)

// A lineReader reads a file of a production line by line and hashes all of it.
// It stops soon after the size that the manifest states, so that no file, and
// no packed one, can make it read for ever.
type lineReader struct {
	name  string
	file  fs.File
	limit *io.LimitedReader
	buf   *bufio.Reader
	sum   hash.Hash
	size  uint64
	line  uint64 // number of the line read last, from 1
	err   error  // why reading stopped before the end
}

// openRegular opens a file. Anything else by its name is refused unopened:
// opening a pipe would wait for ever.
func openRegular(fsys fs.FS, name string) (fs.File, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return fsys.Open(name)
}

func openLines(fsys fs.FS, name string, limit int64) (*lineReader, error) {
	f, err := openRegular(fsys, name)
	if err != nil {
		return nil, err
	}
	r := &lineReader{name: name, file: f, sum: sha256.New()}
	r.limit = &io.LimitedReader{R: f, N: limit}
	r.buf = bufio.NewReaderSize(r.limit, 64<<10)
	return r, nil
}

// next returns the next line without its line break; ok is false at the end.
// Only whole lines count: one without a line break is errTorn.
func (r *lineReader) next() (line []byte, ok bool, err error) {
	if r.err != nil {
		return nil, false, nil
	}
	long := false
	for {
		part, err := r.buf.ReadSlice('\n')
		r.sum.Write(part)
		r.size += uint64(len(part)) // #nosec G115 -- a count of bytes read
		if len(line)+len(part) > MaxLine+1 {
			line, long = nil, true
		}
		if !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			r.err = err
		}
		break
	}
	if r.err != nil && len(line) == 0 && !long {
		return nil, false, nil
	}
	r.line++
	switch {
	case long:
		return nil, true, errLine
	case r.err != nil:
		return line, true, errTorn
	}
	return bytes.TrimSuffix(line, []byte{'\n'}), true, nil
}

var errTorn = errors.New("the last line does not end in a line break")

// check compares the file, once read to its end, with what the manifest says.
func (r *lineReader) check(want File) error {
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return fmt.Errorf("it cannot be read to its end: %w", r.err)
	}
	if r.size != want.Size {
		return fmt.Errorf("it is not of the size that the manifest lists")
	}
	if hex.EncodeToString(r.sum.Sum(nil)) != want.SHA256 {
		return errors.New("its SHA-256 is not the one that the manifest lists")
	}
	return nil
}

func (r *lineReader) Close() error { return r.file.Close() }

// readSmall reads a file of at most limit bytes.
func readSmall(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := openRegular(fsys, name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	err = errors.Join(err, f.Close())
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	return b, err
}
