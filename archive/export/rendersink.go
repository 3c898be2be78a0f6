package export

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"

	"holdfast/archive/render"
)

// fileForm is the form of the name of a file that a format renders: ours, and
// such that it means the same everywhere.
var fileForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)*(/[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)*){0,4}$`)

// maxName bounds the path of a file that is rendered, in bytes.
const maxName = 120

// validFile reports whether name can be that of a file that was rendered: no
// file of a production's own, and no way out of its folder.
func validFile(name string) bool {
	switch name {
	case fileProofs, fileUnproven, filePrivilege, fileRedactions, fileCustodians, fileList, fileCertificate, fileCustody, fileAbout, fileManifest, fileSignature:
		return false
	}
	return len(name) <= maxName && fileForm.MatchString(name) && (len(name) < len(dirAnnex)+1 || name[:len(dirAnnex)+1] != dirAnnex+"/")
}

// listing remembers what files.jsonl lists: some sixty bytes a file and its
// name.
type listing struct {
	names []byte
	files []listedFile
	bytes uint64
}

type listedFile struct {
	end  int // of its name in names
	size uint64
	seqs uint64
	sum  [sha256.Size]byte
}

func (l *listing) add(name string, size, seqs uint64, sum [sha256.Size]byte) {
	l.names = append(l.names, name...)
	l.files = append(l.files, listedFile{len(l.names), size, seqs, sum})
	l.bytes += size
}

// all yields the files in the order in which they were written.
func (l *listing) all(yield func(File) bool) {
	from := 0
	for _, f := range l.files {
		if !yield(File{Path: string(l.names[from:f.end]), Size: f.size, SHA256: fmt.Sprintf("%x", f.sum), Seqs: f.seqs}) {
			return
		}
		from = f.end
	}
}

// A renderSink takes what formats render: it counts and hashes each file and
// what was written of each unit.
type renderSink struct {
	sink   Sink
	list   *listing
	prefix string // of the volume
	open   *renderFile
	volume uint64    // bytes written of the volume
	unit   uint64    // bytes written of the unit
	sum    hash.Hash // of those; nil if nobody asks
	seqs   uint64    // entries of the unit; 0 between units
}

// begin begins a unit of so many entries.
func (s *renderSink) begin(seqs uint64, hashed bool) {
	s.unit, s.seqs, s.sum = 0, seqs, nil
	if hashed {
		s.sum = sha256.New()
	}
	if s.open != nil {
		s.open.seqs += seqs
	}
}

// Create implements render.Sink.
func (s *renderSink) Create(name string) (io.WriteCloser, error) {
	name = s.prefix + name
	if s.open != nil || !validFile(name) {
		return nil, fmt.Errorf("a format created %q out of turn, or under a name that no file may have", name)
	}
	w, err := create(s.sink, name)
	if err != nil {
		return nil, err
	}
	s.open = &renderFile{s: s, w: w, seqs: s.seqs}
	return s.open, nil
}

type renderFile struct {
	s    *renderSink
	w    *fileWriter
	seqs uint64
}

func (f *renderFile) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	f.s.unit += uint64(n)   // #nosec G115 -- a count of bytes written
	f.s.volume += uint64(n) // #nosec G115 -- likewise
	if f.s.sum != nil {
		f.s.sum.Write(b[:n])
	}
	return n, err
}

func (f *renderFile) Close() error {
	if f.s.open != f {
		return errors.New("a format closed a file twice")
	}
	f.s.open = nil
	sum, err := f.w.end()
	if err == nil {
		f.s.list.add(f.w.name, f.w.size, f.seqs, sum)
	}
	return err
}

// abandon closes the file that is open after an error.
func (s *renderSink) abandon(err error) error {
	if s.open == nil {
		return err
	}
	f := s.open
	s.open = nil
	return f.w.abandon(err)
}

// A lineWriter renders records.jsonl, the one format that shows entries as they are:
// it is given rows, not units.
type lineWriter struct {
	w   io.WriteCloser
	buf []byte
}

func newLines(sink render.Sink) (*lineWriter, error) {
	w, err := sink.Create(fileRecords)
	if err != nil {
		return nil, err
	}
	return &lineWriter{w: w}, nil
}

func (l *lineWriter) row(row *Row) error {
	if row.size() > MaxLine {
		return errTooLarge
	}
	l.buf = row.appendTo(l.buf[:0])
	if len(l.buf) > MaxLine {
		return errTooLarge
	}
	l.buf = append(l.buf, '\n')
	_, err := l.w.Write(l.buf)
	return err
}
