package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"path"
	"regexp"
	"strconv"

	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// A fileMap is what a production's files.jsonl lists.
type fileMap struct {
	order   []string
	files   map[string]*seenFile
	folders map[string]bool
}

type seenFile struct {
	size, seqs uint64
	sum        [sha256.Size]byte
	seen       bool // it was checked
}

func (l *fileMap) add(f File) error {
	sum, err := hex.DecodeString(f.SHA256)
	switch {
	case err != nil || len(sum) != sha256.Size || hex.EncodeToString(sum) != f.SHA256:
		return errors.New("a file without a SHA-256")
	case !validFile(f.Path):
		return errors.New("a file whose name no production's has")
	}
	if l.files == nil {
		l.files, l.folders = map[string]*seenFile{}, map[string]bool{}
	}
	if _, twice := l.files[f.Path]; twice {
		return errors.New("a file twice")
	}
	l.order = append(l.order, f.Path)
	l.files[f.Path] = &seenFile{size: f.Size, seqs: f.Seqs, sum: [sha256.Size]byte(sum)}
	for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
		l.folders[dir] = true
	}
	return nil
}

func (l *fileMap) file(name string) (File, bool) {
	f, ok := l.files[name]
	if !ok {
		return File{}, false
	}
	return File{Path: name, Size: f.size, SHA256: hex.EncodeToString(f.sum[:]), Seqs: f.seqs}, true
}

func (l *fileMap) folder(name string) bool { return l.folders[name] }

// see notes that a file was checked.
func (l *fileMap) see(name string) {
	if f, ok := l.files[name]; ok {
		f.seen = true
	}
}

// ordered yields the files in the order in which they are listed.
func (l *fileMap) ordered() iter.Seq2[string, File] {
	return func(yield func(string, File) bool) {
		for _, name := range l.order {
			f, _ := l.file(name)
			if !yield(name, f) {
				return
			}
		}
	}
}

// readList reads which files hold the records.
func (v *verifier) readList() {
	if v.m == nil || v.m.V == 1 {
		return
	}
	r, err := openLines(v.fsys, fileList, v.limit(fileList))
	if err != nil {
		v.v.file(fileList, problemOf(err), "without it the records' files are not known")
		return
	}
	defer r.Close()
	var bytes uint64
	for v.ctx.Err() == nil {
		text, ok, err := r.next()
		if !ok {
			break
		}
		var f File
		if err == nil {
			err = ijson.UnmarshalStrict(text, &f)
		}
		if err == nil {
			err = v.list.add(f)
		}
		if err != nil {
			v.v.add(Finding{File: fileList, Line: r.line, Problem: Changed, Detail: "it lists what is no file of a production: " + err.Error()})
		}
		bytes += f.Size
	}
	v.finish(r)
	if v.ctx.Err() == nil && (uint64(len(v.list.order)) != v.m.Rendered.Files || bytes != v.m.Rendered.Bytes) {
		v.v.file(fileList, Changed, "it does not list as many files or bytes as the manifest says")
	}
}

// checkRest checks what is listed and was not read yet.
func (v *verifier) checkRest() {
	for name, f := range v.list.ordered() {
		if v.ctx.Err() != nil {
			return
		}
		if !v.list.files[name].seen {
			v.checkWhole(f, nil)
		}
	}
}

// seqInName finds the seq in the name of a file that is of one entry or begins
// with one.
var seqInName = regexp.MustCompile(`(?:^|[-/])([0-9]{12})(?:[-.]|$)`)

// seqOf returns the seq that a file's name tells; nil if none.
func seqOf(name string) *uint64 {
	m := seqInName.FindStringSubmatch(path.Base(name))
	if m == nil {
		return nil
	}
	seq, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		return nil
	}
	return &seq
}

// native checks an attachment's own file: by the hash in its row or proof, and
// by what its message's signature covers: sealed again with the message's key
// it has the hash that the message states. seq and i are the message's and the
// attachment's; dir is the folder of the volume.
func (v *verifier) native(dir string, seq uint64, i int, a *envelope.Attachment, name, sum string) {
	bad := func(p Problem, detail string) {
		v.v.entry(visible(name), 0, seq, p, detail)
	}
	prefix := ""
	if dir != "." {
		prefix = dir + "/"
	}
	listed, ok := v.list.file(name)
	if !ok || name != nativeName(prefix, seq, i, a.Name) {
		bad(Changed, "it is not the file of this attachment")
		return
	}
	v.list.see(name)
	f, err := openRegular(v.fsys, name)
	if err != nil {
		bad(problemOf(err), "it cannot be opened")
		return
	}
	defer f.Close()
	key, err := jws.DecodeB64(a.Key)
	if err != nil || len(key) != 32 {
		bad(Unproven, "its message names no key")
		return
	}
	plain := sha256.New()
	sealed, n, err := envelope.SealAttachment(io.Discard, io.TeeReader(io.LimitReader(f, int64(listed.Size)+1), plain), [32]byte(key)) // #nosec G115 -- I-JSON integers are below 2^53
	switch {
	case err != nil:
		bad(Changed, "it cannot be read to its end")
	case uint64(n) != listed.Size || hex.EncodeToString(plain.Sum(nil)) != listed.SHA256: // #nosec G115 -- a count of bytes read
		bad(Changed, "it is not what files.jsonl lists")
	case sum != listed.SHA256:
		bad(Changed, "its SHA-256 is not the one that its record states")
	case jws.EncodeB64(sealed[:]) != a.CTSHA256:
		bad(Changed, "it is not what its sender attached")
	default:
		v.v.Natives++
	}
}

// rows returns how many rows the files of records hold, as they are listed.
func (v *verifier) rows() uint64 {
	var n uint64
	for _, name := range v.rowNames() {
		n += v.listed(name).Seqs
	}
	return n
}

// rowNames returns the files that hold rows as JSON lines, in their order.
func (v *verifier) rowNames() []string {
	if v.m == nil || v.m.V == 1 {
		return []string{fileRecords}
	}
	var out []string
	for _, name := range v.list.order {
		if path.Base(name) == fileRecords {
			out = append(out, name)
		}
	}
	return out
}

// totals compares the proofs' count with the manifest's.
func (v *verifier) totals(entries uint64) {
	if listed := v.listed(fileProofs).Seqs; listed != entries+1 {
		v.v.file(fileProofs, Changed, "it holds %d entries, and the manifest lists %d", entries+1, listed)
	}
}

// rowFiles reads the rows of all volumes, file after file.
type rowFiles struct {
	v     *verifier
	names []string
	name  string // of the file that was read last
	cur   *lineReader
}

func (v *verifier) openRows() *rowFiles {
	names := v.rowNames()
	if len(names) == 0 {
		v.v.file(fileRecords, Missing, "no file of records is listed")
		return &rowFiles{v: v, name: fileRecords}
	}
	return &rowFiles{v: v, names: names, name: names[0]}
}

// next returns the next line of all; see lineReader.next.
func (r *rowFiles) next() ([]byte, bool, error) {
	for {
		if r.cur == nil {
			if len(r.names) == 0 {
				return nil, false, nil
			}
			var err error
			r.name, r.names = r.names[0], r.names[1:]
			if r.cur, err = openLines(r.v.fsys, r.name, r.v.limit(r.name)); err != nil {
				r.v.list.see(r.name)
				r.v.v.file(r.name, problemOf(err), "its records cannot be read")
				r.cur = nil
				continue
			}
		}
		if text, ok, err := r.cur.next(); ok {
			return text, ok, err
		}
		r.close()
	}
}

// line returns the number of the line read last.
func (r *rowFiles) line() uint64 {
	if r.cur == nil {
		return 0
	}
	return r.cur.line
}

// close ends the file that is open, and compares it with what is listed.
func (r *rowFiles) close() {
	if r.cur == nil {
		return
	}
	r.v.finish(r.cur)
	// It was only read.
	_ = r.cur.Close()
	r.cur = nil
}
