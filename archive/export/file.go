package export

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// The names of a production's own files. None depends on what is in it.
const (
	fileRecords       = "records.jsonl"
	fileProofs        = "proofs.json"
	fileUnproven      = "unproven.jsonl"
	filePrivilege     = "privilege-log.csv"
	fileRedactions    = "redactions.csv"
	fileCustodians    = "custodians.csv"
	fileList          = "files.jsonl"
	fileCertificate   = "certification.txt"
	fileCustody       = "custody.csv"
	fileAbout         = "about.txt"
	fileSums          = "SHA256SUMS"
	fileSignature     = "manifest.jws"
	fileManifest      = "manifest.json"
	dirAnnex          = "annex"
	fileAnnex         = "annex/annex.json"
	fileAnnexSig      = "annex/manifest.jws"
	fileAnnexManifest = "annex/manifest.json"
	fileNear          = "annex/near.csv"
)

// Names returns the names of the files of a production as JSON lines, in one
// volume and without attachments, redactions and withheld entries, in the
// order in which they are written; those under annex/ are internal and stay in
// the house.
func Names() []string {
	return []string{fileRecords, fileProofs, fileList, fileAnnex, fileAnnexSig, fileAnnexManifest, fileCertificate, fileCustody, fileSums, fileSignature, fileManifest}
}

// own are the files that a manifest lists, in its order; those that a
// production has no use for are not there.
var own = []string{fileProofs, fileUnproven, filePrivilege, fileRedactions, fileCustodians, fileList, fileAbout, fileCertificate, fileCustody, fileSums}

// sometimes are those of them that not every production has.
var sometimes = []string{fileUnproven, filePrivilege, fileRedactions, fileCustodians, fileAbout}

// File is one file as a manifest states it.
type File struct {
	Path   string `json:"path"`
	Size   uint64 `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // hex
	Seqs   uint64 `json:"seqs"`   // how many entries it holds something of
}

// A fileWriter writes one file of a production and learns its size and hash.
type fileWriter struct {
	name string
	dst  io.WriteCloser
	buf  *bufio.Writer
	sum  hash.Hash
	size uint64
}

func create(sink Sink, name string) (*fileWriter, error) {
	dst, err := sink.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	w := &fileWriter{name: name, dst: dst, sum: sha256.New()}
	w.buf = bufio.NewWriterSize(io.MultiWriter(dst, w.sum), 64<<10)
	return w, nil
}

func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.buf.Write(b)
	w.size += uint64(n) // #nosec G115 -- a count of bytes written
	if err != nil {
		return n, fmt.Errorf("write %s: %w", w.name, err)
	}
	return n, nil
}

// end closes the file and returns its SHA-256.
func (w *fileWriter) end() ([sha256.Size]byte, error) {
	err := w.buf.Flush()
	if err = errors.Join(err, w.dst.Close()); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("write %s: %w", w.name, err)
	}
	return [sha256.Size]byte(w.sum.Sum(nil)), nil
}

// finish closes the file and returns what a manifest says of it.
func (w *fileWriter) finish(seqs uint64) (File, error) {
	sum, err := w.end()
	if err != nil {
		return File{}, err
	}
	return File{Path: w.name, Size: w.size, SHA256: hex.EncodeToString(sum[:]), Seqs: seqs}, nil
}

// abandon closes a file whose writing failed with err.
func (w *fileWriter) abandon(err error) error {
	return errors.Join(err, w.dst.Close())
}

// writeFile writes one file through fill.
func writeFile(sink Sink, name string, fill func(w *fileWriter) (seqs uint64, err error)) (File, error) {
	w, err := create(sink, name)
	if err != nil {
		return File{}, err
	}
	seqs, err := fill(w)
	if err != nil {
		return File{}, w.abandon(err)
	}
	return w.finish(seqs)
}

// writeBytes writes one small file.
func writeBytes(sink Sink, name string, b []byte) (File, error) {
	return writeFile(sink, name, func(w *fileWriter) (uint64, error) {
		_, err := w.Write(b)
		return 0, err
	})
}
