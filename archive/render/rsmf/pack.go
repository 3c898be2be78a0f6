package rsmf

import (
	"archive/zip"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"holdfast/archive/render"
)

// A file is an attachment's content as it stands in rsmf.zip.
type file struct {
	id   string // its name there, of ours
	open func() (io.ReadCloser, error)
	size int64
	crc  uint32
}

// errChanged is returned when an attachment's content is not the same twice.
var errChanged = errors.New("rsmf: an attachment's content was not the same when it was read again; run the export again")

// extensions are those that a file of ours may have: what they open in is known.
var extensions = []string{".pdf", ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".txt", ".csv", ".rtf", ".doc", ".docx",
	".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".mp3", ".m4a", ".wav", ".ogg", ".mp4", ".mov", ".avi", ".webm", ".dcm", ".zip", ".json", ".xml", ".eml", ".ics", ".vcf"}

// attach gives an event its entry's attachments. Those whose content is not
// there, or does not fit into a file beside the others, are named.
func (w *writer) attach(it *item, e *render.Entry) error {
	if e.Withheld != "" {
		return nil
	}
	var size int64
	for _, f := range it.files {
		size += inFile(f.size)
	}
	for i := range e.Attachments {
		a := &e.Attachments[i]
		label := fmt.Sprintf("attachment_%d_%d", e.Seq, i+1)
		if a.Open == nil {
			it.ev.note(label+"_missing", fmt.Sprintf("%s (%s)", render.Visible(a.Name), render.Visible(a.Status)))
			continue
		}
		f := file{id: fmt.Sprintf("%012d-%d%s", e.Seq, i+1, extension(a.Name)), open: a.Open}
		fits, err := f.measure(w.limits.bytes / 2)
		if err != nil {
			return err
		}
		if !fits || size+inFile(f.size) > w.limits.bytes*3/4 {
			it.ev.note(label+"_not_embedded", render.Visible(a.Name)+": RSMF's 2 GB have no place for it")
			continue
		}
		size += inFile(f.size)
		it.files = append(it.files, f)
		it.ev.Attachments = append(it.ev.Attachments, attachment{f.id, render.Visible(a.Name), f.size})
		it.ev.note(label+"_file", f.id)
		it.ev.note(label+"_sha256", a.SHA256)
		it.ev.note(label+"_mime", render.Visible(a.MIME))
		it.ev.note(label+"_bates", a.Bates)
	}
	return nil
}

// extension returns name's extension if it is one that a file of ours may have.
func extension(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if slices.Contains(extensions, ext) {
		return ext
	}
	return ".bin"
}

// measure reads the content once: a zip that is written in one go needs its
// size first, and what the sender said of it is only a claim. It reports
// whether the content has at most most bytes.
func (f *file) measure(most int64) (fits bool, err error) {
	r, err := f.open()
	if err != nil {
		return false, fmt.Errorf("rsmf: attachment %s: %w", f.id, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	sum := crc32.NewIEEE()
	f.size, err = io.Copy(sum, io.LimitReader(r, most+1))
	f.crc = sum.Sum32()
	if err != nil {
		return false, fmt.Errorf("rsmf: attachment %s: %w", f.id, err)
	}
	return f.size <= most, nil
}

// pack writes rsmf.zip: the manifest and the files that it names, not
// compressed, so that no other version of a compressor gives other bytes.
func pack(out io.Writer, p *part) error {
	z := zip.NewWriter(out)
	b, err := marshal(&p.manifest)
	if err != nil {
		return err
	}
	m := file{id: manifestName, size: int64(len(b)), crc: crc32.ChecksumIEEE(b)}
	w, err := m.create(z)
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	for i := range p.files {
		if err := p.files[i].copy(z); err != nil {
			return err
		}
	}
	return z.Close()
}

// create begins the file in the zip. Its time is the earliest that a zip can say.
func (f *file) create(z *zip.Writer) (io.Writer, error) {
	h := &zip.FileHeader{Name: f.id, Method: zip.Store, CRC32: f.crc, CompressedSize64: uint64(f.size), UncompressedSize64: uint64(f.size)}
	h.Modified = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	return z.CreateRaw(h)
}

func (f *file) copy(z *zip.Writer) (err error) {
	w, err := f.create(z)
	if err != nil {
		return err
	}
	r, err := f.open()
	if err != nil {
		return fmt.Errorf("rsmf: attachment %s: %w", f.id, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var sum hash.Hash32 = crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, f.size+1))
	if err != nil {
		return fmt.Errorf("rsmf: attachment %s: %w", f.id, err)
	}
	if n != f.size || sum.Sum32() != f.crc {
		return errChanged
	}
	return nil
}
