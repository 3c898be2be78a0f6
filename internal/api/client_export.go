package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"holdfast/internal/durable"
	"holdfast/internal/ijson"
)

// partialSuffix marks a production that is not whole.
const partialSuffix = ".partial"

// maxFiles bounds the files of one production that a client takes.
const maxFiles = 1 << 22

// Export asks for a production and writes it to the folder dir, which must not
// exist. The files are written to dir.partial, which becomes dir only when the
// production is whole: every file came, their digests agree, and all of them
// are on disk. After an error nothing is left; after a kill or a loss of power
// there is dir.partial at most. progress, which may be nil, hears of the files
// and bytes that have come.
func (c *Client) Export(ctx context.Context, req ExportRequest, dir string, progress func(files, bytes uint64)) (done *Completion, err error) {
	dir = filepath.Clean(dir)
	partial := dir + partialSuffix
	// The output is tried first: an export that cannot be written is not asked for.
	if err := makePartial(dir, partial); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	way := "/v1/export"
	if req.Request != 0 {
		way = "/v1/export/approved"
	}
	resp, err := c.do(ctx, http.MethodPost, way, req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || params["boundary"] == "" {
		return nil, protocol(errors.New("a production that is not multipart/mixed"))
	}
	in := intake{dir: partial, seen: map[string]bool{}, listing: newListing(), progress: progress}
	done, err = in.read(multipart.NewReader(resp.Body, params["boundary"]))
	if err != nil {
		return nil, err
	}
	// A crash before this leaves dir.partial, after it the whole production.
	if err := durable.Publish(partial, dir); err != nil {
		return nil, output("the production cannot be put in its place", err)
	}
	return done, nil
}

// makePartial makes the folder partial, which must be new: it is nobody
// else's, and holds nothing from before.
func makePartial(dir, partial string) error {
	if _, err := os.Lstat(dir); err == nil {
		return &Problem{Title: dir + " is there already", Code: CodeOutput, Exit: ExitCreate, Hint: "name a folder that does not exist: a production is never written over anything"}
	}
	err := os.Mkdir(partial, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return &Problem{Title: partial + " is there already", Code: CodeOutput, Exit: ExitCreate,
			Hint: "another export is writing it, or one was killed: in that case remove it, or name another folder"}
	}
	if err != nil {
		return &Problem{Title: "the folder cannot be made", Detail: err.Error(), Code: CodeOutput, Exit: ExitCreate, Hint: "name a folder whose parent exists and is writable", err: err}
	}
	return durable.SyncDir(filepath.Dir(partial))
}

func output(title string, err error) *Problem {
	return &Problem{Title: title, Detail: err.Error(), Code: CodeOutput, Exit: ExitIO, Hint: "check that the disk has room and works, then export again; nothing was kept", err: err}
}

// intake takes the parts of an export.
type intake struct {
	dir      string
	seen     map[string]bool
	listing  listing
	progress func(files, bytes uint64)
}

func (in *intake) read(parts *multipart.Reader) (*Completion, error) {
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil, interrupted(err)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, protocol(err)
		}
		switch {
		case kind == "attachment":
			if err := in.file(params["filename"], part); err != nil {
				return nil, err
			}
		case kind == "form-data" && params["name"] == partFailed:
			return nil, failed(part)
		case kind == "form-data" && params["name"] == partComplete:
			return in.complete(part, parts)
		default:
			return nil, protocol(errors.New("a part that no production has"))
		}
	}
}

// file writes one part to disk; it is durable once file returns.
func (in *intake) file(name string, part io.Reader) error {
	if !ValidFile(name) || in.seen[name] || in.listing.files >= maxFiles {
		return protocol(errors.New("a file that no production has"))
	}
	in.seen[name] = true
	full, err := in.place(name)
	if err != nil {
		return output("a folder of the production cannot be made", err)
	}
	f, err := durable.NewFile(in.dir, full)
	if err != nil {
		return output("a file of the production cannot be made", err)
	}
	sum := sha256.New()
	src := &source{r: part, progress: func(n uint64) {
		if in.progress != nil {
			in.progress(in.listing.files, in.listing.bytes+n)
		}
	}}
	if _, err := io.Copy(io.MultiWriter(f, sum), src); err != nil {
		if src.err != nil {
			return errors.Join(interrupted(src.err), f.Abort())
		}
		return errors.Join(output("a file of the production cannot be written", err), f.Abort())
	}
	if err := f.Commit(); err != nil {
		return output("a file of the production cannot be written", err)
	}
	in.listing.add(name, sum, src.n)
	return nil
}

// place makes the folders that name is in and returns its full path.
func (in *intake) place(name string) (string, error) {
	var folders []string
	for d := path.Dir(name); d != "."; d = path.Dir(d) {
		folders = append(folders, d)
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if err := durable.Mkdir(filepath.Join(in.dir, filepath.FromSlash(folders[i])), 0o700); err != nil {
			return "", err
		}
	}
	return filepath.Join(in.dir, filepath.FromSlash(name)), nil
}

// source remembers whether it was reading that failed, and how far it came.
type source struct {
	r        io.Reader
	n        uint64
	err      error
	progress func(n uint64)
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.n += uint64(n) // #nosec G115 -- never negative
	s.progress(s.n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// complete checks that what came is what was sent, and that nothing follows.
func (in *intake) complete(part io.Reader, parts *multipart.Reader) (*Completion, error) {
	b, err := readFinal(part)
	if err != nil {
		return nil, err
	}
	var c Completion
	if err := ijson.Unmarshal(b, &c); err != nil {
		return nil, protocol(err)
	}
	if c.Files != in.listing.files || c.Bytes != in.listing.bytes || c.SHA256 != in.listing.digest() {
		return nil, &Problem{Title: "the production did not arrive as it was sent", Code: CodeInterrupted, Exit: ExitData,
			Detail: fmt.Sprintf("%d files, %d bytes came; %d files, %d bytes were sent", in.listing.files, in.listing.bytes, c.Files, c.Bytes),
			Hint:   "export again; nothing was kept"}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		return nil, interrupted(errors.Join(errors.New("no end after the last part"), err))
	}
	return &c, nil
}

// failed returns the problem with which the daemon ended an export.
func failed(part io.Reader) error {
	b, err := readFinal(part)
	if err != nil {
		return err
	}
	p, err := parseProblem(b)
	if err != nil {
		return protocol(err)
	}
	return p
}

func readFinal(part io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(part, maxFinal+1))
	if err != nil {
		return nil, interrupted(err)
	}
	if len(b) > maxFinal {
		return nil, protocol(errors.New("a last part beyond all bounds"))
	}
	return b, nil
}
