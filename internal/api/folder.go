package api

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"holdfast/internal/durable"
	"holdfast/internal/ijson"
)

// What the folder of an export that is under way holds beside its files: how it
// began, and which files came whole. No production has such names.
const (
	fileBegun = ".begun"
	fileCame  = ".came"
)

// maxCame bounds one line of the list of files that came, in bytes.
const maxCame = 1 << 10

// folder is where a production arrives.
type folder struct {
	dir  string
	came io.WriteCloser // the list; nil before the production is known to be resumable
	had  []cameFile     // what came before this export was resumed
	next string         // the file of which the beginning is there
	sum  hash.Hash      // over it
	keep bool           // what came can be gone on with
	runs bool           // the daemon has begun to send, or to send the rest
}

// cameFile is one line of the list.
type cameFile struct {
	Name   string `json:"name"`
	Size   uint64 `json:"size"`
	SHA256 string `json:"sha256"`
}

// Create begins a file.
func (f *folder) Create(name string) (io.WriteCloser, error) { return f.grow(name, 0) }

// Grow goes on with the file whose beginning is there.
func (f *folder) Grow(name string, from uint64) (io.WriteCloser, hash.Hash, error) {
	if name != f.next {
		return nil, nil, errors.New("another file than the one that was cut off")
	}
	w, err := f.grow(name, from)
	return w, f.sum, err
}

func (f *folder) grow(name string, from uint64) (io.WriteCloser, error) {
	var folders []string
	for d := path.Dir(name); d != "."; d = path.Dir(d) {
		folders = append(folders, d)
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if err := durable.Mkdir(f.at(folders[i]), 0o700); err != nil {
			return nil, err
		}
	}
	return durable.Grow(f.at(name), int64(from), 0o600) // #nosec G115 -- a file's size
}

func (f *folder) at(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// begun notes by what the export can be gone on with.
func (f *folder) begun(b Begun) error {
	f.runs = true
	if f.keep {
		return nil
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := durable.Create(f.at(fileBegun), text, 0o600); err != nil {
		return err
	}
	if f.came, err = durable.Grow(f.at(fileCame), 0, 0o600); err != nil {
		return err
	}
	f.keep = true
	return nil
}

// Note puts a file that came whole into the list. A crash may lose the list's
// end: those files are sent again.
func (f *folder) Note(name string, size uint64, sum string) error {
	if f.came == nil {
		return nil
	}
	line, err := json.Marshal(cameFile{name, size, sum})
	if err != nil {
		return err
	}
	_, err = f.came.Write(append(line, '\n'))
	return err
}

// settle leaves nothing but the production in the folder.
func (f *folder) settle() error {
	if f.came == nil {
		return nil
	}
	err := f.came.Close()
	f.came, f.keep = nil, false // what is whole cannot be gone on with
	return errors.Join(err, durable.Remove(f.at(fileCame)), durable.Remove(f.at(fileBegun)))
}

// abandon leaves what can be gone on with, and nothing else. A resumption that
// was refused takes nothing away: it may be its own words that were wrong.
func (f *folder) abandon(err error) error {
	if f.came != nil {
		err = errors.Join(err, f.came.Close())
	}
	if f.keep && !f.runs {
		return err
	}
	var p *Problem
	if !f.keep || !errors.As(err, &p) || p.Code == CodeChanged {
		return errors.Join(err, os.RemoveAll(f.dir))
	}
	cut := *p
	switch {
	case p.Code == CodeOutput:
		cut.Hint = "what came is kept: make room on the disk and see that it works, then repeat the command with --resume to go on where it ended"
	case p.Exit == ExitTemporary:
		cut.Hint = "what came is kept: repeat the command with --resume to go on where it ended"
	default:
		return errors.Join(err, os.RemoveAll(f.dir))
	}
	return &cut
}

// reopen finds what came before the export was cut off, and asks for the rest.
func (f *folder) reopen(dir string, req *ExportRequest) error {
	if err := absent(dir); err != nil {
		return err
	}
	none := func(err error) error {
		return &Problem{Title: f.dir + " holds no export that can be gone on with", Code: CodeOutput, Exit: ExitCreate, err: err,
			Hint: "name the folder as the export that was cut off did; or remove the partial folder, if it is there, and export without --resume"}
	}
	text, err := readBounded(f.at(fileBegun), maxFinal)
	if err != nil {
		return none(err)
	}
	var b Begun
	if err := ijson.Unmarshal(text, &b); err != nil {
		return none(err)
	}
	whole, err := f.readCame()
	if err != nil {
		return none(err)
	}
	r := &Resume{Production: b.Production, Files: uint64(len(f.had))}
	l := newListing()
	for _, had := range f.had {
		l.addHex(had.Name, had.SHA256, had.Size)
	}
	r.SHA256 = l.digest()
	if r.Part, err = f.beginning(); err != nil {
		return none(err)
	}
	if f.came, err = durable.Grow(f.at(fileCame), whole, 0o600); err != nil {
		return none(err)
	}
	req.At, req.Resume, f.keep = b.At, r, true
	return nil
}

// readCame reads the list as far as its files are there as it says, and returns
// how long it is so far. What follows is sent again: all that is different each
// time a production is made.
func (f *folder) readCame() (whole int64, err error) {
	list, err := os.Open(f.at(fileCame))
	if err != nil {
		return 0, err
	}
	defer list.Close()
	lines := bufio.NewReaderSize(list, maxCame)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return whole, nil // its end, or what a crash left of it
		}
		var came cameFile
		if ijson.Unmarshal(bytes.TrimSuffix(line, []byte{'\n'}), &came) != nil || !ValidFile(came.Name) || passing(came.Name) {
			return whole, nil
		}
		if sum, size, err := f.digest(came.Name); err != nil || size != came.Size || hex.EncodeToString(sum.Sum(nil)) != came.SHA256 {
			return whole, nil
		}
		f.had = append(f.had, came)
		whole += int64(len(line))
	}
}

// passing are the files that say when and by whom a production was made, and
// come after all that are the same each time.
func passing(name string) bool {
	switch name {
	case "custody.csv", "certification.txt", "SHA256SUMS", "manifest.jws", "manifest.json":
		return true
	}
	return strings.HasPrefix(name, "annex/")
}

// beginning finds the file that was cut off: the one that is there and not in
// the list.
func (f *folder) beginning() (*Received, error) {
	listed := map[string]bool{fileBegun: true, fileCame: true}
	for _, had := range f.had {
		listed[had.Name] = true
	}
	var rest []string
	err := filepath.WalkDir(f.dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(f.dir, at)
		if name = filepath.ToSlash(name); err == nil && !listed[name] && !passing(name) && d.Type().IsRegular() && ValidFile(name) {
			rest = append(rest, name)
		}
		return err
	})
	if err != nil || len(rest) != 1 {
		return nil, err // none, or it cannot be told which was the last
	}
	sum, size, err := f.digest(rest[0])
	if err != nil || size == 0 {
		return nil, err
	}
	f.next, f.sum = rest[0], sum
	return &Received{Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (f *folder) digest(name string) (sum hash.Hash, size uint64, err error) {
	file, err := os.Open(f.at(name))
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	sum = sha256.New()
	n, err := io.Copy(sum, file)
	return sum, uint64(n), err // #nosec G115 -- never negative
}

func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- in the folder that whoever runs the command names
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}
